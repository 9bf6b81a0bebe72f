/*
 * sink_session.c: the sink that sends through a session of wintun.dll itself.
 *
 * The released library allocates exact sizes only: packets are decoded into slots here, and copied when they are flushed.
 * A library that can shrink what it allocated lets the first open reservation be decoded in the ring.  An allocation cannot
 * be taken back, and blocks those behind it until it is sent: an aborted one is kept as the `spare` for the next packet.
 * Source: Wintun notes, sections 2 and 8.
 */
#include "ring.h"
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 64, TERMINATING = 38 };	/* the latter: ERROR_HANDLE_EOF, the adapter goes */

struct session_sink {
	struct ve_sink base;
	struct ve_wintun_calls calls;
	uint8_t *slots;
	uint8_t *spare;		/* allocated in the ring, of the largest size, not in use */
	uint8_t *lent;		/* the same, given out as the reservation at the front */
	int gone;
};

static uint8_t *allocate(struct session_sink *s, size_t length)
{
	uint8_t *at = s->gone ? NULL : s->calls.allocate(s->calls.session, (uint32_t)length);

	if (!at && !s->gone && s->calls.last_error() == TERMINATING)
		s->gone = 1;
	return at;
}

static uint8_t *take_spare(struct session_sink *s)
{
	uint8_t *at = s->spare ? s->spare : allocate(s, s->base.largest);

	s->spare = NULL;
	return at;
}

static uint8_t *session_place(struct ve_sink *sink, size_t capacity, size_t *span)
{
	struct session_sink *s = (struct session_sink *)sink;
	size_t slot;

	(void)capacity;
	if (sink->count == sink->slots)
		sink->ops->flush(sink);
	if (s->gone || sink->count == sink->slots)
		return NULL;
	*span = sink->largest;
	if (s->calls.shrink && !sink->count && (s->lent = take_spare(s)))
		return s->lent;
	slot = sink->head + sink->count;
	return s->slots + (slot < sink->slots ? slot : slot - sink->slots) * sink->largest;
}

static int session_grow(struct ve_sink *sink, struct ve_entry *entry, size_t capacity)
{
	(void)sink;
	return capacity <= entry->span;
}

static void count_sent(struct ve_sink *sink, size_t length)
{
	sink->stats.packets++;
	sink->stats.bytes += length;
	sink->stats.writes++;
}

/* Send a packet that lies in the ring, in a slot of the largest size. */
static void shrink(struct session_sink *s, uint8_t *at, size_t length)
{
	if (s->calls.shrink(s->calls.session, at, (uint32_t)length)) {
		count_sent(&s->base, length);
		return;
	}
	s->base.stats.refused++;
	s->spare = at;
}

/* Copy a packet into the ring and send it. */
static void copy(struct session_sink *s, const struct ve_entry *entry)
{
	uint8_t *at = s->spare ? take_spare(s) : NULL;

	if (at) {
		memcpy(at, entry->at, entry->length);
		shrink(s, at, entry->length);
		return;
	}
	at = allocate(s, entry->length);
	if (!at) {
		++*(s->gone ? &s->base.stats.refused : &s->base.stats.dropped_full);
		return;
	}
	memcpy(at, entry->at, entry->length);
	s->calls.send(s->calls.session, at);
	count_sent(&s->base, entry->length);
}

static int session_flush(struct ve_sink *sink)
{
	struct session_sink *s = (struct session_sink *)sink;

	while (sink->count) {
		const struct ve_entry *entry = ve_sink_entry(sink, 0);
		int in_ring = entry->at == s->lent;

		if (entry->state == VE_ENTRY_OPEN)
			break;
		if (in_ring) {
			s->lent = NULL;
			if (entry->state == VE_ENTRY_READY)
				shrink(s, entry->at, entry->length);
			else
				s->spare = entry->at;
		} else if (entry->state == VE_ENTRY_READY) {
			copy(s, entry);
		}
		ve_sink_pop(sink);
	}
	return s->gone ? VE_GONE : VE_OK;
}

static void session_free(struct ve_sink *sink)
{
	free(((struct session_sink *)sink)->slots);
	ve_sink_destroy(sink);
}

static const struct ve_sink_ops session_ops = {
	.place = session_place,
	.grow = session_grow,
	.flush = session_flush,
	.free = session_free,
};

struct ve_sink *ve_sink_session(const struct ve_wintun_calls *calls, size_t mtu, char *err, size_t err_size)
{
	struct session_sink *s;

	if (mtu > VE_RING_PACKET) {
		snprintf(err, err_size, "wintun session: got an MTU of %llu bytes, want at most %u", (unsigned long long)mtu,
			 VE_RING_PACKET);
		return NULL;
	}
	s = (struct session_sink *)ve_sink_create(&session_ops, sizeof(*s), SLOTS, mtu > VE_MAX_PACKET ? mtu : VE_MAX_PACKET,
						  err, err_size);
	if (!s)
		return NULL;
	s->base.mtu = mtu;
	s->calls = *calls;
	s->slots = malloc(SLOTS * s->base.largest);
	if (!s->slots) {
		snprintf(err, err_size, "wintun session: out of memory for %d slots", SLOTS);
		ve_sink_destroy(&s->base);
		return NULL;
	}
	return &s->base;
}
