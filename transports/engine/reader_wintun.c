/*
 * reader_wintun.c: reads what the system sends, in place, from the Send ring of a Wintun driver.
 *
 * A batch is read, then released by one store of Head.  There is no lost wake-up here: look at the ring, then wait; the
 * event stays set.  A size that cannot be ends the registration (Q2): nothing further is read.
 * Source: Wintun notes, sections 6.2, 7.1 and 14.
 */
#include "reader.h"
#include "ring.h"

struct ring_reader {
	struct ve_reader base;
	struct ve_ring ring;
	uint32_t next;		/* offset of the next packet */
	uint32_t head;		/* as stored last */
};

static int ring_next(struct ve_reader *reader, uint8_t **packet, size_t *length)
{
	struct ring_reader *r = (struct ring_reader *)reader;
	const struct ve_ring *ring = &r->ring;
	uint32_t tail = atomic_load_explicit(ring->tail, memory_order_acquire), size;

	if (tail >= ring->capacity)
		return VE_GONE;
	if (tail == r->next)
		return VE_EMPTY;
	if (tail % VE_RING_WORD)
		return VE_ERROR;
	size = atomic_load_explicit(ve_ring_size_at(ring, r->next), memory_order_relaxed);
	if (size > VE_RING_PACKET || ve_ring_slot(size) > ve_ring_distance(ring, r->next, tail))
		return VE_ERROR;
	*packet = ring->data + r->next + VE_RING_WORD;
	*length = size;
	r->next = ve_ring_wrap(ring, r->next + ve_ring_slot(size));
	return VE_OK;
}

static int ring_release(struct ve_reader *reader)
{
	struct ring_reader *r = (struct ring_reader *)reader;

	if (r->head == r->next)
		return 0;
	if (atomic_load_explicit(r->ring.tail, memory_order_relaxed) >= r->ring.capacity)
		return 0;	/* it has ended: the memory is no longer shared */
	r->head = r->next;
	atomic_store_explicit(r->ring.head, r->head, memory_order_release);
	return 1;
}

static void ring_restart(struct ve_reader *reader)
{
	struct ring_reader *r = (struct ring_reader *)reader;

	ve_ring_format(&r->ring, 0);
	r->next = r->head = 0;
}

static const struct ve_reader_ops ring_ops = {
	.next = ring_next,
	.release = ring_release,
	.restart = ring_restart,
};

struct ve_reader *ve_reader_wintun(uint8_t *ring, size_t size, intptr_t event, char *err, size_t err_size)
{
	struct ve_ring attached;
	struct ring_reader *r;

	if (ve_ring_attach(&attached, ring, size, event, err, err_size) != VE_OK)
		return NULL;
	r = (struct ring_reader *)ve_reader_create(&ring_ops, sizeof(*r), event, err, err_size);
	if (!r)
		return NULL;
	r->ring = attached;
	r->next = r->head = atomic_load(attached.head);
	return &r->base;
}
