/*
 * sink_wintun.c: the sink that decodes into the Receive ring of a Wintun driver, registered by us, and shrinks there.
 *
 *     Head <= Tail <= pub <= reservations <= alloc        in ring order; nothing beyond Tail is the driver's business
 *
 * The newest reservation shrinks by moving alloc back.  Whatever finishes while older ones are open waits, and moves down
 * to pub when it is its turn, so no gap is ever seen.  With one reservation at a time nothing moves.  flush publishes: one
 * store of Tail, at most one signal.
 *
 * What the released driver (0.14) gets wrong is met here: a wake-up may be lost (idle, and a full ring, look at Alertable
 * again), and Head may step back for a while by a packet.  The last 64 KiB that Head has given back are therefore only
 * used after it has stood still for SETTLE: a value inside them is then always a step back, and is ignored.
 * Source: Wintun notes, sections 7.2 to 7.5, 9, 10 and 13.
 */
#include "platform.h"
#include "ring.h"
#include "sink.h"

#include <stdio.h>
#include <string.h>

enum {
	ENTRIES = 1024,				/* reservations between two flushes, at most */
	NUDGES = 20,				/* looks at Alertable in a row without progress (Q3) */
	NUDGE_MS = 50,				/* section 7.3 (c) */
	SLOT_MAX = VE_RING_PACKET + 1 + VE_RING_WORD	/* bytes of the largest slot */
};

/* Nanoseconds. */
#define SPIN 200000u				/* wait for room, once between two flushes; section 7.4 */
#define SETTLE 2000000u				/* Head stands still: it will not step back any more (Q3) */
#define WATCHDOG 10000000000u			/* full, and Head does not move: the driver is dead; section 7.4 */

struct wintun_sink {
	struct ve_sink base;
	struct ve_ring ring;
	uint32_t alloc;		/* where the next reservation begins */
	uint32_t pub;		/* end of what is ready to be published */
	uint32_t tail;		/* as stored last */
	uint32_t seen;		/* the furthest Head */
	uint32_t lag;		/* bytes before `seen` that may not be used yet */
	int stepped;		/* Head is not where it was seen */
	int gone;		/* the registration has ended: the ring is not touched */
	int spun;		/* since the last flush */
	uint64_t still_since;	/* Head stands still, 0: not looked at */
	uint64_t full_since;	/* 0: not full */
	uint64_t nudged_at;
	unsigned int nudges;
	uint64_t ready_packets, ready_bytes;	/* finished, not published */
};

static uint32_t offset_of(const struct wintun_sink *w, const struct ve_entry *entry)
{
	return (uint32_t)(entry->at - w->ring.data) - VE_RING_WORD;
}

/* ---- room ----------------------------------------------------------------------------------------------------- */

/* Read Head.  0: the registration has ended. */
static int look(struct wintun_sink *w)
{
	uint32_t head, ahead;

	if (w->gone)
		return 0;
	head = atomic_load_explicit(w->ring.head, memory_order_acquire);
	if (!ve_ring_valid(&w->ring, head)) {
		w->gone = 1;
		return 0;
	}
	ahead = ve_ring_distance(&w->ring, w->seen, head);
	w->stepped = ahead > ve_ring_distance(&w->ring, w->seen, w->tail);
	if (ahead && !w->stepped) {
		w->seen = head;
		w->lag = ahead < SLOT_MAX - w->lag ? w->lag + ahead : SLOT_MAX;
		w->still_since = w->full_since = 0;
		w->nudges = 0;
		w->spun = 0;
	}
	return 1;
}

static int has_room(struct wintun_sink *w, uint32_t span)
{
	uint32_t space;
	uint64_t now;

	if (!look(w))
		return 0;
	space = ve_ring_distance(&w->ring, w->alloc + VE_RING_WORD, w->seen);
	if (span + w->lag <= space)
		return 1;
	if (span > space || w->stepped)
		return 0;
	now = ve_monotonic();
	if (!w->still_since)
		w->still_since = now;
	if (now - w->still_since < SETTLE)
		return 0;
	w->lag = 0;
	return 1;
}

static void signal_if_alertable(struct wintun_sink *w)
{
	if (atomic_load_explicit(w->ring.alertable, memory_order_acquire)) {
		ve_event_set(w->ring.event);
		w->base.stats.writes++;
	}
}

static void publish(struct wintun_sink *w)
{
	if (w->tail == w->pub)
		return;
	w->tail = w->pub;
	atomic_store_explicit(w->ring.tail, w->tail, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	signal_if_alertable(w);
	w->base.stats.packets += w->ready_packets;
	w->base.stats.bytes += w->ready_bytes;
	w->ready_packets = w->ready_bytes = 0;
	w->nudges = 0;
}

/* The ring is full: wake the driver if it sleeps, give it a moment. */
static int wait_for_room(struct wintun_sink *w, uint32_t span)
{
	uint64_t start, now;

	publish(w);
	atomic_thread_fence(memory_order_seq_cst);
	signal_if_alertable(w);
	start = now = ve_monotonic();
	while (!w->spun && !w->gone && now - start < SPIN) {
		ve_yield();
		if (has_room(w, span))
			return 1;
		now = ve_monotonic();
	}
	if (w->gone)
		return 0;
	w->spun = 1;
	if (!w->full_since)
		w->full_since = now;
	else if (now - w->full_since >= WATCHDOG)
		w->gone = 1;
	return 0;
}

/* ---- the contract --------------------------------------------------------------------------------------------- */

static uint8_t *wintun_place(struct ve_sink *sink, size_t capacity, size_t *span)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;
	uint32_t slot = ve_ring_slot(capacity);
	uint8_t *at = w->ring.data + w->alloc + VE_RING_WORD;

	if (w->gone || sink->count == sink->slots)
		return NULL;
	if (!has_room(w, slot) && (w->gone || !wait_for_room(w, slot)))
		return NULL;
	*span = slot;
	w->alloc = ve_ring_wrap(&w->ring, w->alloc + slot);
	return at;
}

static int wintun_grow(struct ve_sink *sink, struct ve_entry *entry, size_t capacity)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;
	uint32_t slot = ve_ring_slot(capacity);

	if (slot <= entry->span)
		return 1;
	if (entry != ve_sink_entry(sink, sink->count - 1) || !has_room(w, slot - (uint32_t)entry->span))
		return 0;
	entry->span = slot;
	w->alloc = ve_ring_wrap(&w->ring, offset_of(w, entry) + slot);
	return 1;
}

static void wintun_shrink(struct ve_sink *sink, struct ve_entry *entry)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;

	entry->span = entry->state == VE_ENTRY_VOID ? 0 : ve_ring_slot(entry->length);
	w->alloc = ve_ring_wrap(&w->ring, offset_of(w, entry) + (uint32_t)entry->span);
}

/* Copy the packet at the front in from scratch memory, if it fits before what follows.  1: done. */
static int fetch(struct wintun_sink *w, const struct ve_entry *entry)
{
	uint32_t slot = ve_ring_slot(entry->length), room;

	if (w->base.count > 1) {
		room = ve_ring_distance(&w->ring, w->pub, offset_of(w, ve_sink_entry(&w->base, 1)));
		if (slot > room)
			return 0;
	} else {
		w->alloc = w->pub;
		if (!has_room(w, slot))
			return 0;
	}
	memcpy(w->ring.data + w->pub + VE_RING_WORD, entry->ext, entry->length);
	return 1;
}

/* The entry at the front is ready: bring it to pub. */
static void finish(struct wintun_sink *w, const struct ve_entry *entry)
{
	if (w->gone) {
		w->base.stats.refused++;
		return;
	}
	if (entry->ext && !fetch(w, entry)) {
		w->base.stats.dropped_expand++;
		return;
	}
	if (!entry->ext && offset_of(w, entry) != w->pub) {
		memmove(w->ring.data + w->pub + VE_RING_WORD, entry->at, entry->length);
		w->base.stats.moved++;
	}
	atomic_store_explicit(ve_ring_size_at(&w->ring, w->pub), (uint32_t)entry->length, memory_order_relaxed);
	w->pub = ve_ring_wrap(&w->ring, w->pub + ve_ring_slot(entry->length));
	w->ready_packets++;
	w->ready_bytes += entry->length;
}

static void wintun_advance(struct ve_sink *sink)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;

	while (sink->count && ve_sink_entry(sink, 0)->state != VE_ENTRY_OPEN) {
		if (ve_sink_entry(sink, 0)->state == VE_ENTRY_READY)
			finish(w, ve_sink_entry(sink, 0));
		ve_sink_pop(sink);
	}
	if (!sink->count)
		w->alloc = w->pub;
}

static int wintun_flush(struct ve_sink *sink)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;

	w->spun = 0;
	if (look(w)) {
		publish(w);
		return VE_OK;
	}
	sink->stats.refused += w->ready_packets;
	w->ready_packets = w->ready_bytes = 0;
	return VE_GONE;
}

static int wintun_idle(struct ve_sink *sink)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;
	uint64_t now;

	if (!look(w) || (w->seen == w->tail && !w->stepped) || w->nudges >= NUDGES)
		return -1;
	now = ve_monotonic();
	if (w->nudges && now - w->nudged_at < NUDGE_MS * (uint64_t)1000000)
		return NUDGE_MS;
	w->nudged_at = now;
	w->nudges++;
	signal_if_alertable(w);
	return NUDGE_MS;
}

static void wintun_free(struct ve_sink *sink)
{
	ve_sink_destroy(sink);
}

static const struct ve_sink_ops wintun_ops = {
	.place = wintun_place,
	.grow = wintun_grow,
	.shrink = wintun_shrink,
	.advance = wintun_advance,
	.flush = wintun_flush,
	.idle = wintun_idle,
	.free = wintun_free,
};

static void begin(struct wintun_sink *w, uint32_t at)
{
	w->pub = w->tail = w->seen = at;
	w->lag = w->nudges = 0;
	w->gone = w->spun = w->stepped = 0;
	w->still_since = w->full_since = 0;
}

struct ve_sink *ve_sink_wintun(uint8_t *ring, size_t size, intptr_t event, size_t mtu, char *err, size_t err_size)
{
	struct wintun_sink *w;
	struct ve_ring attached;

	if (mtu > VE_RING_PACKET) {
		snprintf(err, err_size, "wintun sink: got an MTU of %llu bytes, want at most %u", (unsigned long long)mtu,
			 VE_RING_PACKET);
		return NULL;
	}
	if (ve_ring_attach(&attached, ring, size, event, err, err_size) != VE_OK)
		return NULL;
	w = (struct wintun_sink *)ve_sink_create(&wintun_ops, sizeof(*w), ENTRIES, mtu > VE_MAX_PACKET ? mtu : VE_MAX_PACKET,
						 err, err_size);
	if (!w)
		return NULL;
	w->base.mtu = mtu;
	w->ring = attached;
	w->alloc = atomic_load(attached.head);
	begin(w, w->alloc);
	return &w->base;
}

int ve_sink_wintun_restart(struct ve_sink *sink)
{
	struct wintun_sink *w = (struct wintun_sink *)sink;

	if (sink->ops != &wintun_ops)
		return VE_ERROR;
	sink->stats.refused += w->ready_packets;
	w->ready_packets = w->ready_bytes = 0;
	if (!sink->count)
		w->alloc = 0;
	begin(w, sink->count ? offset_of(w, ve_sink_entry(sink, 0)) : 0);
	ve_ring_format(&w->ring, w->pub);
	return VE_OK;
}
