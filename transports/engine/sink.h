/*
 * sink.h: what the kinds of sink share.  Internal; the contract is in engine.h.
 *
 * sink.c keeps the contract: a ring of entries in order of reservation, each open, ready or void, and the judgement
 * of what is an IP packet.  A kind of sink (memory, TUN, later a Wintun ring) says where a reservation lies and how
 * ready packets leave.  The packets of one sink leave in the order in which they were reserved: an open reservation
 * holds back those behind it.
 */
#ifndef VPN_ENGINE_SINK_H
#define VPN_ENGINE_SINK_H

#include "engine.h"

enum ve_entry_state { VE_ENTRY_OPEN, VE_ENTRY_READY, VE_ENTRY_VOID };

struct ve_entry {
	uint8_t *at;
	size_t span;	/* bytes reserved */
	size_t length;	/* bytes of packet, once ready */
	enum ve_entry_state state;
};

struct ve_sink_ops {
	/* Memory for a new reservation, the entry being filled; NULL: no room. */
	uint8_t *(*place)(struct ve_sink *sink, size_t capacity, size_t *span);
	/* The newest entry needs only entry->length bytes; NULL: nothing to gain. */
	void (*shrink)(struct ve_sink *sink, struct ve_entry *entry);
	/* Hand over from the front; VE_OK or VE_GONE. */
	int (*flush)(struct ve_sink *sink);
	void (*free)(struct ve_sink *sink);
};

struct ve_sink {
	const struct ve_sink_ops *ops;
	struct ve_sink_stats stats;
	struct ve_entry *entries;	/* a ring */
	size_t slots;			/* its size */
	size_t head;			/* index of the oldest */
	size_t count;
	size_t mtu;			/* bytes; larger packets are counted; 0: none */
};

/* Allocates `size` bytes that begin with a struct ve_sink, and its ring. */
struct ve_sink *ve_sink_create(const struct ve_sink_ops *ops, size_t size, size_t slots, char *err, size_t err_size);
void ve_sink_destroy(struct ve_sink *sink);

struct ve_entry *ve_sink_entry(struct ve_sink *sink, size_t index);	/* 0: the oldest */
void ve_sink_pop(struct ve_sink *sink);					/* forget the oldest */
void ve_sink_set_mtu(struct ve_sink *sink, size_t mtu);

/* Length of the IP packet at the beginning of these bytes by its own header, or 0: none.  linux-tun notes, section 13. */
size_t ve_ip_length(const uint8_t *packet, size_t length);

#endif
