/*
 * sink.h: what the kinds of sink share.  Internal; the contract is in engine.h.
 *
 * sink.c keeps the contract: a ring of entries in order of reservation, each open, ready or void, the judgement of what
 * is an IP packet, and the scratch memory of reservations that could not grow where they lie.  A kind of sink (memory,
 * TUN, Wintun ring) says where a reservation lies and how ready packets leave.  The packets of one sink leave in the
 * order in which they were reserved: an open reservation holds back those behind it.  Where two links share a sink, one that
 * stalls within a packet would hold back the other: its reservation is parked.  What came of it is copied to scratch memory,
 * its place is given back as if it were aborted, and the packet gets a place again when it is committed.
 */
#ifndef VPN_ENGINE_SINK_H
#define VPN_ENGINE_SINK_H

#include "engine.h"

enum ve_entry_state { VE_ENTRY_OPEN, VE_ENTRY_READY, VE_ENTRY_VOID };

struct ve_entry {
	uint8_t *at;	/* where the sink placed it; NULL: it is parked */
	uint8_t *ext;	/* scratch memory that the packet is in instead; NULL: none */
	size_t span;	/* bytes taken at `at` */
	size_t length;	/* bytes the owner may use; bytes of packet, once ready */
	enum ve_entry_state state;
	int grown;	/* it needed more than was reserved first */
};

static inline uint8_t *ve_entry_data(const struct ve_entry *entry)
{
	return entry->ext ? entry->ext : entry->at;
}

#define VE_SCRATCH 8

struct ve_sink_ops {
	/* Memory for a new reservation, the entry being filled; NULL: no room. */
	uint8_t *(*place)(struct ve_sink *sink, size_t capacity, size_t *span);
	/* Make the entry's span hold capacity bytes where it lies.  1: done; 0: it cannot grow. */
	int (*grow)(struct ve_sink *sink, struct ve_entry *entry, size_t capacity);
	/* The newest entry, in its place, needs only entry->length bytes; NULL: nothing to gain. */
	void (*shrink)(struct ve_sink *sink, struct ve_entry *entry);
	/* An entry is no longer open: finish those at the front; NULL: flush does. */
	void (*advance)(struct ve_sink *sink);
	/* Hand over from the front; VE_OK or VE_GONE. */
	int (*flush)(struct ve_sink *sink);
	/* See ve_sink_idle; NULL: never. */
	int (*idle)(struct ve_sink *sink);
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
	size_t largest;			/* bytes; the largest reservation */
	uint8_t *scratch;		/* VE_SCRATCH buffers of the largest size */
	uint32_t scratch_used;		/* a bit each */
	struct ve_entry parked[VE_SCRATCH];	/* open, out of the order; by the scratch memory that each is in */
};

/* Allocates `size` bytes that begin with a struct ve_sink, its ring and its scratch memory. */
struct ve_sink *ve_sink_create(const struct ve_sink_ops *ops, size_t size, size_t slots, size_t largest, char *err,
			       size_t err_size);
void ve_sink_destroy(struct ve_sink *sink);

struct ve_entry *ve_sink_entry(struct ve_sink *sink, size_t index);	/* 0: the oldest */
void ve_sink_pop(struct ve_sink *sink);					/* forget the oldest */
void ve_sink_set_mtu(struct ve_sink *sink, size_t mtu);

/* Length of the IP packet at the beginning of these bytes by its own header, or 0: none.  linux-tun notes, section 13. */
size_t ve_ip_length(const uint8_t *packet, size_t length);

#endif
