/*
 * sink_tun.c: the sink that writes to a Linux TUN descriptor (IFF_TUN | IFF_NO_PI), a batch at a time.
 *
 * Packets lie one behind the other in an arena, so that a batch stays in the processor's cache; flush writes each.
 * The arena is a ring without wrapped packets: [front .. alloc) is in use, modulo its size.  A full batch is written
 * out by the reservation that finds it full.  Borrows the descriptor, which must not block.
 *
 * With IFF_VNET_HDR a flush joins what it can into super-packets, which are gathered from where the packets lie.  A kernel
 * that refuses one gets its packets singly, and no further one.
 * Source: linux-tun notes, sections 1.1, 5 and 13.
 */
#include "sink.h"

#include "checksum.h"
#include "coalesce.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	BATCH = 64,				/* packets between two flushes, at most */
	ARENA = BATCH * VE_MAX_PACKET,		/* bytes; touched only as far as used */
	VNET_BATCH = VE_JOIN_PACKETS,		/* more, for larger super-packets, but no larger an arena */
	ALIGN = 64,				/* bytes; a cache line */
	JOIN_ANY = VE_TUN_JOIN_TCP | VE_TUN_JOIN_UDP
};

struct tun_sink {
	struct ve_sink base;
	int fd;
	uint8_t *arena;
	size_t alloc;				/* offset of the next reservation */
	unsigned int offload;			/* VE_TUN_* */
	struct ve_join *join;			/* owned; NULL: without VE_TUN_VNET */
	struct iovec iov[VE_JOIN_IOV];
	uint8_t vnet[VE_VNET_SIZE];
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

/* Packets that the device did not take, by errno; VE_OK, or VE_GONE. */
static int refused(struct ve_sink_stats *stats, size_t packets)
{
	switch (errno) {
	case EBADFD:		/* the interface was deleted */
	case ENODEV:
	case EBADF:
	case EPIPE:		/* a socket in the device's place was closed */
		stats->refused += packets;
		return VE_GONE;
	case EAGAIN:
		stats->dropped_full += packets;
		return VE_OK;
	default:		/* EINVAL: this packet only; EIO: interface down; ENOBUFS, ENOMEM */
		stats->refused += packets;
		return VE_OK;
	}
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
	if (n < 0)
		return refused(stats, 1);
	stats->packets++;
	stats->bytes += entry->length;
	return VE_OK;
}

/* ---- with a virtio header -------------------------------------------------------------------------------------- */

/* The first `count` iovecs in one call; what writev says. */
static ssize_t put_vector(struct tun_sink *tun, size_t count)
{
	ssize_t n;

	do {
		n = writev(tun->fd, tun->iov, (int)count);
		tun->base.stats.writes++;
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Two segments from and to an address that nobody uses, with no time to live: accepted, or EINVAL, and dropped. */
static ssize_t put_probe(struct tun_sink *tun, size_t tail)
{
	static const uint8_t header[40] = {
		0x45, 0, 0, 0, 0, 0, 0x40, 0, 0, VE_TCP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1,
		0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10,
	};
	enum { SIZE = 512 };
	uint8_t packet[sizeof(header) + 2 * SIZE] = {0};
	size_t length = sizeof(header) + SIZE + tail;

	memcpy(packet, header, sizeof(header));
	ve_put16(packet + 2, length);
	ve_sum_ipv4(packet, 20);
	ve_sum_store(packet + 20 + VE_TCP_CSUM, ve_sum_fold(ve_sum_pseudo(packet, VE_TCP, length - 20)));
	tun->vnet[0] = VE_VNET_NEEDS_CSUM;
	tun->vnet[1] = VE_VNET_TCPV4;
	ve_vnet_put(tun->vnet + 2, sizeof(header));
	ve_vnet_put(tun->vnet + 4, SIZE);
	ve_vnet_put(tun->vnet + 6, 20);
	ve_vnet_put(tun->vnet + 8, VE_TCP_CSUM);
	tun->iov[0] = (struct iovec){.iov_base = tun->vnet, .iov_len = sizeof(tun->vnet)};
	tun->iov[1] = (struct iovec){.iov_base = packet, .iov_len = length};
	return put_vector(tun, 2);
}

/* Some kernels refuse good super-packets, others only those with a short tail (Q6).  An interface that is down tells
 * nothing: it is tried again. */
static void probe(struct tun_sink *tun)
{
	static const size_t tails[] = {512, 100};
	size_t i;

	for (i = 0; i < 2; i++) {
		if (put_probe(tun, tails[i]) >= 0)
			continue;
		if (errno == EINVAL) {
			tun->base.stats.join_refused++;
			tun->offload = VE_TUN_VNET;
		}
		return;
	}
	tun->offload &= ~(unsigned int)VE_TUN_PROBE;
}

/* The packets of an item, one by one. */
static int put_singly(struct tun_sink *tun, size_t number)
{
	struct ve_join *join = tun->join;
	size_t i, at = join->item[number].first;
	int rc = VE_OK;

	memset(tun->vnet, 0, sizeof(tun->vnet));
	tun->iov[0] = (struct iovec){.iov_base = tun->vnet, .iov_len = sizeof(tun->vnet)};
	for (i = 0; i < join->item[number].count; i++) {
		const struct ve_join_packet *packet = &join->packet[at];

		tun->iov[1] = (struct iovec){.iov_base = packet->at, .iov_len = packet->length};
		if (put_vector(tun, 2) < 0) {
			if (refused(&tun->base.stats, 1) != VE_OK)
				rc = VE_GONE;
		} else {
			tun->base.stats.packets++;
			tun->base.stats.bytes += packet->length;
		}
		at = packet->next;
	}
	return rc;
}

static int put_item(struct tun_sink *tun, size_t number)
{
	const struct ve_join_item *item = &tun->join->item[number];
	struct ve_sink_stats *stats = &tun->base.stats;

	if (item->count == 1 || !(tun->offload & JOIN_ANY))
		return put_singly(tun, number);
	if (put_vector(tun, ve_join_gather(tun->join, number, tun->vnet, tun->iov)) >= 0) {
		stats->packets += item->count;
		stats->bytes += item->total + (uint64_t)(item->count - 1) * item->header;
		stats->super_packets++;
		stats->joined += item->count;
		return VE_OK;
	}
	if (errno != EINVAL)
		return refused(stats, item->count);
	stats->join_refused++;
	tun->offload = VE_TUN_VNET;
	ve_join_restore(tun->join, number);
	return put_singly(tun, number);
}

static int joins(const struct ve_join *join)
{
	return join->items < join->packets;
}

static int vnet_flush(struct ve_sink *sink)
{
	struct tun_sink *tun = (struct tun_sink *)sink;
	size_t i, settled;
	int rc = VE_OK;

	tun->join->tcp = (tun->offload & VE_TUN_JOIN_TCP) != 0;
	tun->join->udp = (tun->offload & VE_TUN_JOIN_UDP) != 0;
	for (settled = 0; settled < sink->count; settled++) {
		const struct ve_entry *entry = ve_sink_entry(sink, settled);

		if (entry->state == VE_ENTRY_OPEN)
			break;
		if (entry->state == VE_ENTRY_READY)
			ve_join_add(tun->join, ve_entry_data(entry), entry->length);
	}
	if (joins(tun->join) && tun->offload & VE_TUN_PROBE)
		probe(tun);
	for (i = 0; i < tun->join->items; i++) {
		if (put_item(tun, i) != VE_OK)
			rc = VE_GONE;
	}
	sink->stats.join_bad_checksum = tun->join->bad_checksums;
	ve_join_reset(tun->join);
	while (settled--)
		ve_sink_pop(sink);
	return rc;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

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
	free(((struct tun_sink *)sink)->join);
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

static const struct ve_sink_ops vnet_ops = {
	.place = tun_place,
	.grow = tun_grow,
	.shrink = tun_shrink,
	.flush = vnet_flush,
	.free = tun_free,
};

struct ve_sink *ve_sink_tun_offload(int fd, size_t mtu, unsigned int offload, char *err, size_t err_size)
{
	int vnet = (offload & VE_TUN_VNET) != 0;
	struct tun_sink *tun = (struct tun_sink *)ve_sink_create(vnet ? &vnet_ops : &tun_ops, sizeof(*tun),
								 vnet ? VNET_BATCH : BATCH, VE_MAX_PACKET, err,
								 err_size);

	if (!tun)
		return NULL;
	tun->fd = fd;
	tun->base.mtu = mtu;
	tun->offload = offload;
	tun->arena = aligned_alloc(ALIGN, ARENA);
	if (vnet)
		tun->join = calloc(1, sizeof(*tun->join));
	if (!tun->arena || (vnet && !tun->join)) {
		snprintf(err, err_size, "tun sink: out of memory for a batch of packets");
		tun_free(&tun->base);
		return NULL;
	}
	return &tun->base;
}

struct ve_sink *ve_sink_tun(int fd, size_t mtu, char *err, size_t err_size)
{
	return ve_sink_tun_offload(fd, mtu, 0, err, err_size);
}
