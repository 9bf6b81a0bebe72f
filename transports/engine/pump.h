/*
 * pump.h: the inside of a pump, shared by pump.c (what other threads call) and what its own thread does: pump_loop.c (poll,
 * turns), pump_stream.c and pump_link.c (the two kinds of link), pump_device.c (packets of the device).  Internal.
 */
#ifndef VPN_ENGINE_PUMP_H
#define VPN_ENGINE_PUMP_H

#include <pthread.h>
#include <stdatomic.h>

#include "codec.h"
#include "engine.h"
#include "link.h"
#include "queue.h"
#include "segment.h"
#include "sink.h"
#include "tls.h"
#include "vnet.h"

#define VE_PUMP_EVENTS 16			/* events waiting; the oldest gives way */
#define VE_PUMP_STATS (sizeof(struct ve_pump_stats) / sizeof(uint64_t))
#define VE_PUMP_RX_CONTROLS (VE_CODEC_QUEUE / 2)	/* handed up in time, before the codec's queue is full */
#define VE_LINK_OPTIONS 8			/* of a running datagram link, waiting for its thread */
#define VE_LINK_OPTION_NAME 40			/* bytes, with the final NUL */
#define VE_LINK_OPTION_VALUE 512

struct ve_pump_event {
	int event;
	char text[256];
};

/* How much a link brings.  While it is much, a short pause before each read gathers more for the same price: a peer that
 * sends packet by packet would otherwise wake us for each. */
struct ve_pace {
	uint64_t since;			/* ns: when the window began */
	size_t packets, reads;		/* in it */
	int busy;
	uint64_t next;			/* ns: while busy, when to read again */
};

/* Options hold keys: wiped as soon as they were used. */
struct ve_link_options {
	int count;
	struct {
		char name[VE_LINK_OPTION_NAME];
		uint8_t value[VE_LINK_OPTION_VALUE];
		size_t length;
	} of[VE_LINK_OPTIONS];
};

/* Keying material that somebody wants of the stream: only the thread may touch that. */
struct ve_export {
	enum { VE_EXPORT_NONE, VE_EXPORT_WANTED, VE_EXPORT_DONE, VE_EXPORT_REFUSED } state;
	char label[64];
	uint8_t out[64];
	size_t length;
};

/* Sums over the datagram links of a pump, of uint64_t alone. */
struct ve_link_totals {
	struct ve_sink_stats sink;
	struct ve_datagram_stats socket;
	struct ve_dtls_stats dtls;
	uint64_t codec[VE_CODEC_COUNTERS];
};

struct ve_pump {
	int tun_fd;				/* borrowed, as is tls */
	unsigned int offload;			/* VE_TUN_*: what the device was opened with */
	struct ve_tls *tls;			/* the stream, with its codec and sink; NULL: datagrams alone */
	struct ve_codec *codec;
	struct ve_sink *sink;
	int wake_fd;				/* tells the thread: look at the mailbox and the wishes */
	int event_fd;				/* tells the owner: controls or events wait */
	uint8_t *first;				/* framing that came with the HTTP answer */
	size_t first_length;
	pthread_t thread;
	int running;				/* the owner's: the thread is to be joined */

	pthread_mutex_t lock;			/* guards the mailbox, and nothing on the way of a packet */
	struct ve_queue *down, *up;		/* control frames to the stream, and from it */
	struct ve_queue *down_datagrams, *up_datagrams;
	struct ve_link *offered;		/* for the thread to take; NULL: none */
	int detach_wanted;
	struct ve_link_options options;
	struct ve_export export;
	pthread_cond_t exported;
	struct ve_pump_event events[VE_PUMP_EVENTS];
	size_t event_head, event_count;
	int signalled;				/* event_fd is readable */

	atomic_size_t mtu;			/* wishes of any thread */
	atomic_int rekey_wanted;
	atomic_int way;				/* VE_BY_*: packets leave, while there is a datagram link */
	_Atomic(const struct ve_codec_ops *) link_ops;	/* of the newest datagram link: the names of link_counters */
	_Atomic uint64_t stop_at;		/* 0: go on; else end now, and linger until then at most */

	_Atomic uint64_t published[VE_PUMP_STATS];	/* of stats, once a turn */
	_Atomic uint64_t counters[VE_CODEC_COUNTERS];
	_Atomic uint64_t link_counters[VE_CODEC_COUNTERS];

	/* The rest is the thread's own. */
	struct ve_pump_stats stats;
	uint64_t recv_base, send_base;		/* system calls made on the link before */
	int failed;				/* the fatal event, or 0 */
	int link_dead;				/* nothing can be sent any more */
	int rekeying;
	int rx_dry;				/* reading the link again would find nothing */
	int rx_wants_write;			/* a handshake of the peer waits for room to answer */
	int stream_full;			/* TCP has more than it can send: wait for POLLOUT before the next packet */
	int link_writable;			/* 0: wait for POLLOUT before the next send */
	int device_failures;			/* reads failed since the last that worked */
	int tx_waits;				/* pending or a control frame waits: the device is left alone */
	const uint8_t *pending_frame;		/* a frame that TLS did not take yet */
	size_t pending;				/* bytes of it; 0: none */
	size_t pending_packet;			/* bytes of the packet in it */
	size_t control_frame_length;		/* of the control frame that TLS did not take yet; 0: none */
	struct ve_link *link;			/* the datagram link; NULL: none */
	struct ve_codec *kept;			/* of a link that went, for one that inherits; NULL: none */
	struct ve_link_totals link_totals;	/* of those before it */
	struct ve_pace stream_pace, link_pace;
	int followed;				/* packets came by the datagram link last */
	int genuine;				/* something of the last datagrams was authenticated */
	struct ve_segments segments;		/* of the super-packet in device */
	struct ve_control control;		/* scratch */
	uint8_t device[VE_HEADROOM + VE_SUPER_PACKET + 1];	/* what was read from it last, behind the headroom */
	uint8_t buffer[VE_HEADROOM + VE_MAX_PACKET];	/* a segment behind the headroom */
	uint8_t control_frame[VE_TLS_RECORD];
	uint8_t frame[VE_TLS_RECORD];		/* of framings that rewrite the whole packet */
};

void *ve_pump_thread(void *pump);
uint64_t ve_pump_clock(void);			/* CLOCK_MONOTONIC, ns */

/* From the thread: leave something in the mailbox and wake the owner, or take a control frame to send from it. */
void ve_pump_post_event(struct ve_pump *pump, int event, const char *text);
void ve_pump_post_lost(struct ve_pump *pump, const char *text);	/* the datagram link beside a stream */
void ve_pump_post_controls(struct ve_pump *pump, struct ve_codec *codec, int datagrams);
int ve_pump_take_control(struct ve_pump *pump, struct ve_queue *down, struct ve_control *control);	/* VE_OK, VE_EMPTY */
/* No packet moves any more. */
void ve_pump_fail(struct ve_pump *pump, int event, const char *text);
void ve_pump_fail_device(struct ve_pump *pump);

/* The next packet of the device: where it lies, writable, with VE_HEADROOM bytes before it (segment, where one is cut, gets
 * it instead).  Its length; 0: nothing usable came; VE_EMPTY: nothing is there. */
int ve_pump_next_packet(struct ve_pump *pump, size_t mtu, uint8_t *segment, uint8_t **packet);

void ve_stream_begin(struct ve_pump *pump);
void ve_stream_receive(struct ve_pump *pump);
void ve_stream_transmit(struct ve_pump *pump, int packets);	/* packets: those of the device go this way now */
int ve_stream_flush(struct ve_pump *pump);			/* 1: all that was queued is with the kernel */
/* The packets of the device go another way now: one that waits for TLS lies where they are read, and is dropped. */
void ve_stream_drop_pending(struct ve_pump *pump);

void ve_pump_yield(size_t packets);	/* after so many were handed to the device */
void ve_pace_read(struct ve_pace *pace, uint64_t now, size_t packets);	/* so many came with this read */

struct pollfd;
void ve_link_on_wake(struct ve_pump *pump);
void ve_link_poll(const struct ve_pump *pump, struct pollfd *fd);
void ve_link_turn(struct ve_pump *pump, short revents, uint64_t now);
void ve_link_transmit(struct ve_pump *pump, int packets);
int ve_link_blocked(const struct ve_pump *pump);	/* 1: datagrams wait for the socket */
void ve_link_stats(struct ve_pump *pump);		/* into stats and link_counters */
void ve_link_end(struct ve_pump *pump);

#endif
