/*
 * pump.h: the inside of a pump, shared by pump.c (what other threads call) and pump_loop.c (its own thread).  Internal.
 */
#ifndef VPN_ENGINE_PUMP_H
#define VPN_ENGINE_PUMP_H

#include <pthread.h>
#include <stdatomic.h>

#include "codec.h"
#include "engine.h"
#include "queue.h"
#include "segment.h"
#include "sink.h"
#include "tls.h"
#include "vnet.h"

#define VE_PUMP_EVENTS 16			/* events waiting; the oldest gives way */
#define VE_PUMP_STATS (sizeof(struct ve_pump_stats) / sizeof(uint64_t))

struct ve_pump_event {
	int event;
	char text[256];
};

struct ve_pump {
	int tun_fd;				/* borrowed, as is tls */
	unsigned int offload;			/* VE_TUN_*: what the device was opened with */
	struct ve_tls *tls;
	struct ve_codec *codec;
	struct ve_sink *sink;
	int wake_fd;				/* tells the thread: look at the mailbox and the wishes */
	int event_fd;				/* tells the owner: controls or events wait */
	uint8_t *first;				/* framing that came with the HTTP answer */
	size_t first_length;
	pthread_t thread;
	int running;				/* the owner's: the thread is to be joined */

	pthread_mutex_t lock;			/* guards the mailbox, and nothing on the way of a packet */
	struct ve_queue *down, *up;		/* control frames to the link, and from it */
	struct ve_pump_event events[VE_PUMP_EVENTS];
	size_t event_head, event_count;
	int signalled;				/* event_fd is readable */

	atomic_size_t mtu;			/* wishes of any thread */
	atomic_int rekey_wanted;
	_Atomic uint64_t stop_at;		/* 0: go on; else end now, and linger until then at most */

	_Atomic uint64_t published[VE_PUMP_STATS];	/* of stats, once a turn */
	_Atomic uint64_t counters[VE_CODEC_COUNTERS];

	/* The rest is the thread's own. */
	struct ve_pump_stats stats;
	uint64_t recv_base, send_base;		/* system calls made on the link before */
	int failed;				/* the fatal event, or 0 */
	int link_dead;				/* nothing can be sent any more */
	int rekeying;
	int rx_dry;				/* reading the link again would find nothing */
	int rx_wants_write;			/* a handshake of the peer waits for room to answer */
	int link_writable;			/* 0: wait for POLLOUT before the next send */
	int device_failures;			/* reads failed since the last that worked */
	int tx_waits;				/* pending or a control frame waits: the device is left alone */
	const uint8_t *pending_frame;		/* a frame that TLS did not take yet */
	size_t pending;				/* bytes of it; 0: none */
	size_t pending_packet;			/* bytes of the packet in it */
	struct ve_segments segments;		/* of the super-packet in device */
	struct ve_control control;		/* scratch */
	uint8_t device[VE_HEADROOM + VE_SUPER_PACKET + 1];	/* what was read from it last, behind the headroom */
	uint8_t buffer[VE_HEADROOM + VE_MAX_PACKET];	/* a segment behind the headroom, or a control frame */
	uint8_t frame[VE_TLS_RECORD];		/* of framings that rewrite the whole packet */
};

void *ve_pump_thread(void *pump);
/* From the thread: leave something in the mailbox and wake the owner. */
void ve_pump_post_event(struct ve_pump *pump, int event, const char *text);
void ve_pump_post_controls(struct ve_pump *pump);
uint64_t ve_pump_clock(void);			/* CLOCK_MONOTONIC, ns */

#endif
