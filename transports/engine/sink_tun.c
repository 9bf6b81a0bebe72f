/*
 * sink_tun.c: the sink that writes to a Linux TUN descriptor (IFF_TUN | IFF_NO_PI), a batch at a time.
 *
 * Packets lie one behind the other in an arena, so that a batch stays in the processor's cache; flush writes each.
 * The arena is a ring without wrapped packets: [front .. alloc) is in use, modulo its size.  A full batch is written
 * out by the reservation that finds it full.  Borrows the descriptor, which must not block.
 * Source: linux-tun notes, sections 1.1, 5.2 and 13.
 */
#include "sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	BATCH = 64,				/* packets between two flushes, at most */
	ARENA = BATCH * VE_MAX_PACKET,		/* bytes; touched only as far as used */
	ALIGN = 64				/* bytes; a cache line */
};

struct tun_sink {
	struct ve_sink base;
	int fd;
	uint8_t *arena;
	size_t alloc;				/* offset of the next reservation */
};

static size_t aligned(size_t length)
{
	return length < ALIGN ? ALIGN : (length + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* Free room of at least span bytes beginning at *at, without wrapping inside it; 0: none. */
static int find_room(struct tun_sink *tun, size_t span, size_t *at)
{
	size_t front;

	if (tun->base.count == 0) {
		*at = 0;
		return 1;
	}
	front = (size_t)(ve_sink_entry(&tun->base, 0)->at - tun->arena);
	*at = tun->alloc;
	if (tun->alloc <= front)			/* the part in use wraps; it is never empty here */
		return front - tun->alloc > span;	/* strictly: alloc == front would mean empty */
	if (ARENA - tun->alloc >= span)
		return 1;
	*at = 0;
	return front > span;
}

static uint8_t *tun_place(struct ve_sink *sink, size_t capacity, size_t *span)
{
	struct tun_sink *tun = (struct tun_sink *)sink;
	size_t at;

	*span = aligned(capacity);
	if (sink->count == sink->slots || !find_room(tun, *span, &at)) {
		sink->ops->flush(sink);		/* a device that is gone is reported by the next flush again */
		if (sink->count == sink->slots || !find_room(tun, *span, &at))
			return NULL;
	}
	tun->alloc = at + *span;
	return tun->arena + at;
}

/* Only the newest can: what follows another is in use. */
static int tun_grow(struct ve_sink *sink, struct ve_entry *entry, size_t capacity)
{
	struct tun_sink *tun = (struct tun_sink *)sink;
	size_t at = (size_t)(entry->at - tun->arena), span = aligned(capacity);
	size_t front = (size_t)(ve_sink_entry(sink, 0)->at - tun->arena);

	if (entry != ve_sink_entry(sink, sink->count - 1))
		return 0;
	if (front > at ? front - at <= span : ARENA - at < span)	/* strictly less, as in find_room */
		return 0;
	entry->span = span;
	tun->alloc = at + span;
	return 1;
}

static void tun_shrink(struct ve_sink *sink, struct ve_entry *entry)
{
	struct tun_sink *tun = (struct tun_sink *)sink;

	entry->span = aligned(entry->length);
	tun->alloc = (size_t)(entry->at - tun->arena) + entry->span;
}

/* One packet; VE_OK: written, or refused and counted. */
static int put(struct tun_sink *tun, const struct ve_entry *entry)
{
	struct ve_sink_stats *stats = &tun->base.stats;
	ssize_t n;

	do {
		n = write(tun->fd, ve_entry_data(entry), entry->length);
		stats->writes++;
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		stats->packets++;
		stats->bytes += entry->length;
		return VE_OK;
	}
	switch (errno) {
	case EBADFD:		/* the interface was deleted */
	case ENODEV:
	case EBADF:
	case EPIPE:		/* a socket in the device's place was closed */
		stats->refused++;
		return VE_GONE;
	case EAGAIN:
		stats->dropped_full++;
		return VE_OK;
	default:		/* EINVAL: this packet only; EIO: interface down; ENOBUFS, ENOMEM */
		stats->refused++;
		return VE_OK;
	}
}

static int tun_flush(struct ve_sink *sink)
{
	struct tun_sink *tun = (struct tun_sink *)sink;
	int rc = VE_OK;

	while (sink->count) {
		const struct ve_entry *entry = ve_sink_entry(sink, 0);

		if (entry->state == VE_ENTRY_OPEN)
			break;
		if (entry->state == VE_ENTRY_READY && put(tun, entry) != VE_OK)
			rc = VE_GONE;
		ve_sink_pop(sink);
	}
	return rc;
}

static void tun_free(struct ve_sink *sink)
{
	free(((struct tun_sink *)sink)->arena);
	ve_sink_destroy(sink);
}

static const struct ve_sink_ops tun_ops = {
	.place = tun_place,
	.grow = tun_grow,
	.shrink = tun_shrink,
	.flush = tun_flush,
	.free = tun_free,
};

struct ve_sink *ve_sink_tun(int fd, size_t mtu, char *err, size_t err_size)
{
	struct tun_sink *tun = (struct tun_sink *)ve_sink_create(&tun_ops, sizeof(*tun), BATCH, VE_MAX_PACKET, err,
								   err_size);

	if (!tun)
		return NULL;
	tun->fd = fd;
	tun->base.mtu = mtu;
	tun->arena = aligned_alloc(ALIGN, ARENA);
	if (!tun->arena) {
		snprintf(err, err_size, "tun sink: out of memory for a batch of %d packets", BATCH);
		ve_sink_destroy(&tun->base);
		return NULL;
	}
	return &tun->base;
}
