/*
 * coalesce.h: the packets of one batch, joined per flow into super-packets for the kernel.  Internal.
 *
 *     ve_join_add(join, packet, length)           for each packet, in order
 *     n = ve_join_gather(join, i, vnet, iov)      for each item 0..join->items: a writev; packets stay where they are
 *     ve_join_restore(join, i)                    the super-packet was refused: its packets are as they came
 *     ve_join_reset(join)
 *
 * A flow is never reordered: packets are only appended to what came before, items leave in the order of their first
 * packets, and whatever of a flow cannot be appended closes its item.  No I/O, no allocation but for the joiner itself.
 * Source: linux-tun notes, sections 5.3 and 5.4.   Twin: transports/offload.py.
 */
#ifndef VPN_ENGINE_COALESCE_H
#define VPN_ENGINE_COALESCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vnet.h"

#define VE_JOIN_PACKETS 256		/* in a batch */
#define VE_JOIN_FLOWS 16		/* with an open item */
#define VE_JOIN_IOV (VE_JOIN_PACKETS + 1)
#define VE_JOIN_HEADER 100		/* bytes; the largest IP and TCP header that is joined */

struct ve_join_packet {
	uint8_t *at;
	uint16_t length;
	uint16_t next;			/* of its item */
};

struct ve_join_item {
	uint16_t first, last;		/* packets */
	uint16_t count;
	uint16_t transport, header;	/* bytes of IP header, and with the transport header */
	uint16_t size;			/* bytes of payload of every packet but the last */
	uint32_t total;			/* bytes of the super-packet */
	uint32_t sequence;		/* expected next (TCP) */
	uint8_t protocol;
	uint8_t verified;		/* the first packet's checksum is known to be right */
	uint8_t push;			/* the last packet carries PSH */
};

struct ve_join {
	int tcp, udp;			/* whether these are joined */
	size_t packets, items, flows;
	uint64_t bad_checksums;		/* packets not joined for that; a single packet is not looked at */
	uint16_t open[VE_JOIN_FLOWS];	/* items, oldest first */
	struct ve_join_packet packet[VE_JOIN_PACKETS];
	struct ve_join_item item[VE_JOIN_PACKETS];
	uint8_t saved[VE_JOIN_HEADER];	/* the header of the first packet of the item gathered last */
};

/* The batch must hold less than VE_JOIN_PACKETS packets.  packet: IP, its length checked by ve_ip_length. */
void ve_join_add(struct ve_join *join, uint8_t *packet, size_t length);
/* How an item is written: the number of iovecs filled, of which the first is vnet; iov has VE_JOIN_IOV of them.  Rewrites
 * the header of the first packet where there are more. */
size_t ve_join_gather(struct ve_join *join, size_t item, uint8_t *vnet, struct iovec *iov);
void ve_join_restore(struct ve_join *join, size_t item);	/* undo what gather did to this item, just gathered */
void ve_join_reset(struct ve_join *join);

#endif
