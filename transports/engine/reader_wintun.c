/*
 * reader_wintun.c: reads what the system sends, in place, from the Send ring of a Wintun driver.
 *
 * A batch is read, then released by one store of Head.  There is no lost wake-up here: look at the ring, then wait; the
 * event stays set.  A size that cannot be ends the registration (Q2): nothing further is read.
 * Source: Wintun notes, sections 6.2, 7.1 and 14.
 */
#include "platform.h"
#include "ring.h"
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>

struct ve_reader {
	struct ve_ring ring;
	uint32_t next;		/* offset of the next packet */
	uint32_t head;		/* as stored last */
	int corrupt;
	struct ve_reader_stats stats;
};

struct ve_reader *ve_reader_wintun(uint8_t *ring, size_t size, intptr_t event, char *err, size_t err_size)
{
	struct ve_ring attached;
	struct ve_reader *reader;

	if (ve_ring_attach(&attached, ring, size, event, err, err_size) != VE_OK)
		return NULL;
	reader = calloc(1, sizeof(*reader));
	if (!reader) {
		snprintf(err, err_size, "wintun reader: out of memory");
		return NULL;
	}
	reader->ring = attached;
	reader->next = reader->head = atomic_load(attached.head);
	return reader;
}

void ve_reader_free(struct ve_reader *reader)
{
	free(reader);
}

static int corrupt(struct ve_reader *reader)
{
	reader->corrupt = 1;
	reader->stats.corrupt++;
	return VE_ERROR;
}

int ve_reader_next(struct ve_reader *reader, uint8_t **packet)
{
	const struct ve_ring *ring = &reader->ring;
	uint32_t tail, size;
	size_t length;

	if (reader->corrupt)
		return VE_ERROR;
	for (;;) {
		tail = atomic_load_explicit(ring->tail, memory_order_acquire);
		if (tail >= ring->capacity)
			return VE_GONE;
		if (tail == reader->next)
			return VE_EMPTY;
		if (tail % VE_RING_WORD)
			return corrupt(reader);
		size = atomic_load_explicit(ve_ring_size_at(ring, reader->next), memory_order_relaxed);
		if (size > VE_RING_PACKET || ve_ring_slot(size) > ve_ring_distance(ring, reader->next, tail))
			return corrupt(reader);
		*packet = ring->data + reader->next + VE_RING_WORD;
		reader->next = ve_ring_wrap(ring, reader->next + ve_ring_slot(size));
		length = ve_ip_length(*packet, size);
		if (length) {
			reader->stats.packets++;
			reader->stats.bytes += length;
			return (int)length;
		}
		reader->stats.not_ip++;
	}
}

void ve_reader_release(struct ve_reader *reader)
{
	if (reader->head == reader->next)
		return;
	if (atomic_load_explicit(reader->ring.tail, memory_order_relaxed) >= reader->ring.capacity)
		return;		/* it has ended: the memory is no longer shared */
	reader->head = reader->next;
	atomic_store_explicit(reader->ring.head, reader->head, memory_order_release);
	reader->stats.batches++;
}

int ve_reader_wait(struct ve_reader *reader, int ms)
{
	return ve_event_wait(reader->ring.event, ms) ? VE_OK : VE_EMPTY;
}

void ve_reader_restart(struct ve_reader *reader)
{
	ve_ring_format(&reader->ring, 0);
	reader->next = reader->head = 0;
	reader->corrupt = 0;
}

void ve_reader_stats(const struct ve_reader *reader, struct ve_reader_stats *out)
{
	*out = reader->stats;
}
