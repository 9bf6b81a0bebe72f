/*
 * ring.c: memory taken as a Wintun ring.
 */
#include "ring.h"

#include <stdio.h>

enum { HEAD = 0, TAIL = 4, ALERTABLE = 8, DATA = 12 };	/* bytes */

_Static_assert(sizeof(_Atomic uint32_t) == 4, "the words of a ring are lock-free");

int ve_ring_attach(struct ve_ring *ring, uint8_t *memory, size_t size, intptr_t event, char *err, size_t err_size)
{
	size_t capacity = size < VE_RING_OVERHEAD ? 0 : size - VE_RING_OVERHEAD;
	uint32_t head, tail;

	if (capacity < VE_RING_MIN || capacity > VE_RING_MAX || (capacity & (capacity - 1))) {
		snprintf(err, err_size, "wintun ring: got a capacity of %llu bytes, want a power of two in %d..%d",
			 (unsigned long long)capacity, VE_RING_MIN, VE_RING_MAX);
		return VE_ERROR;
	}
	if ((uintptr_t)memory % VE_RING_WORD) {
		snprintf(err, err_size, "wintun ring: the memory is not aligned to %u bytes", VE_RING_WORD);
		return VE_ERROR;
	}
	*ring = (struct ve_ring){
		.head = (_Atomic uint32_t *)(void *)(memory + HEAD),
		.tail = (_Atomic uint32_t *)(void *)(memory + TAIL),
		.alertable = (_Atomic uint32_t *)(void *)(memory + ALERTABLE),
		.data = memory + DATA,
		.capacity = (uint32_t)capacity,
		.event = event,
	};
	head = atomic_load(ring->head);
	tail = atomic_load(ring->tail);
	if (head != tail || !ve_ring_valid(ring, head)) {
		snprintf(err, err_size, "wintun ring: got head %#x and tail %#x, want a fresh ring", head, tail);
		return VE_ERROR;
	}
	return VE_OK;
}

void ve_ring_format(const struct ve_ring *ring, uint32_t at)
{
	atomic_store(ring->head, at);
	atomic_store(ring->tail, at);
	atomic_store(ring->alertable, 0);
}
