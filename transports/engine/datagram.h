/*
 * datagram.h: a connected UDP socket in batches, both ways.  Internal to datagram*.c; the contract is in engine.h.
 *
 * Sending: datagrams lie one behind the other in `out`, so that a run of equally long ones (the last may be shorter)
 * leaves as one message, which the kernel cuts.  Receiving: one call fills several buffers of `in`, and where the kernel
 * joins what a peer sent, each may hold many datagrams of one length.
 * Source: linux-tun notes, sections 6 to 9.
 */
#ifndef VPN_ENGINE_DATAGRAM_H
#define VPN_ENGINE_DATAGRAM_H

#define _GNU_SOURCE		/* struct mmsghdr; so this is included before any other */

#include "engine.h"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103		/* linux/udp.h */
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define VE_DATAGRAM_OUT (256 * 1024)	/* bytes that wait to be sent, at most */
#define VE_DATAGRAM_RUN 64		/* datagrams of a run: what every kernel takes */
#define VE_DATAGRAM_RUN_BYTES 64952	/* bytes of a run: with headers 65000, beyond which the kernel cuts early */
#define VE_DATAGRAM_IN_JOINED 8		/* buffers of 64 KiB for one receive where datagrams come joined */
#define VE_DATAGRAM_IN 64		/* buffers of one datagram each, at most, where they do not */
#define VE_DATAGRAM_CONTROL 64		/* bytes of ancillary data of one message: room for what we did not ask for too */

enum ve_datagram_run_fault { VE_RUN_OK, VE_RUN_ODD, VE_RUN_INVALID };

struct ve_datagrams {
	int fd;				/* borrowed */
	int six;			/* IPv6 */
	size_t largest;
	unsigned int supported, offload;/* VE_UDP_* of this kernel and socket; in use */
	int probing;
	int mtu_changed;
	int last_errno;
	struct ve_datagram_stats stats;

	/* sending */
	uint8_t *out;			/* VE_DATAGRAM_OUT bytes */
	size_t out_at, out_end;		/* what waits */
	uint16_t lengths[VE_DATAGRAM_BATCH];
	size_t first, end;		/* of lengths: what waits */
	size_t room;			/* bytes lent behind out_end, 0: none */
	uint64_t serial;		/* number of the oldest that waits */
	uint64_t singly;		/* those with smaller numbers go singly: their run was refused */
	enum ve_datagram_run_fault fault;	/* why */
	int invalid_runs;		/* runs refused as invalid whose datagrams were not */
	uint64_t retried;		/* number, plus one, of the oldest when an error was last forgiven */
	struct mmsghdr tx[VE_DATAGRAM_BATCH];
	struct iovec tx_iov[VE_DATAGRAM_BATCH];
	uint16_t tx_count[VE_DATAGRAM_BATCH];	/* datagrams of each message */
	_Alignas(struct cmsghdr) uint8_t tx_control[VE_DATAGRAM_BATCH][CMSG_SPACE(sizeof(uint16_t))];

	/* receiving */
	uint8_t *in;
	size_t in_stride;		/* bytes from one buffer to the next */
	size_t in_size;			/* bytes of each */
	unsigned int in_buffers;
	int in_full;			/* the last call filled every buffer */
	unsigned int message, messages;	/* the one at hand, and how many came */
	int in_waiting;			/* datagrams not yet given out */
	struct mmsghdr rx[VE_DATAGRAM_IN];
	struct iovec rx_iov[VE_DATAGRAM_IN];
	size_t rx_segment[VE_DATAGRAM_IN];	/* bytes of each datagram in a message */
	size_t rx_at[VE_DATAGRAM_IN];		/* where the next one begins */
	size_t rx_left[VE_DATAGRAM_IN];		/* datagrams of it not yet given out */
	_Alignas(struct cmsghdr) uint8_t rx_control[VE_DATAGRAM_IN][VE_DATAGRAM_CONTROL];
};

/* Lay the receive buffers out for the offloads in use.  Nothing may wait in them. */
void ve_datagrams_buffers(struct ve_datagrams *d);
/* Bytes of the largest IP packet, as the kernel says it; VE_ERROR: it does not. */
int ve_datagrams_kernel_mtu(const struct ve_datagrams *d);

#endif
