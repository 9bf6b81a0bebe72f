/*
 * ring.h: the layout of a Wintun ring, as its two sides share it.  Internal.
 *
 *     0 Head   4 Tail   8 Alertable   12 data[capacity]   12 + capacity trailing[65536]
 *
 * A packet is a word with its size, its bytes, and padding to a multiple of 4.  One that begins below the capacity may run
 * on into the trailing region; the next then begins at (offset + slot) modulo the capacity.  Four bytes always stay free.
 * Head or Tail >= capacity: that side has ended.  Source: Wintun notes, section 3.
 */
#ifndef VPN_ENGINE_RING_H
#define VPN_ENGINE_RING_H

#include "engine.h"

#include <stdatomic.h>

#define VE_RING_PACKET 65535u	/* bytes: the largest packet */
#define VE_RING_WORD 4u		/* bytes of the size before a packet, and the alignment of everything */

struct ve_ring {
	_Atomic uint32_t *head;		/* the consumer's */
	_Atomic uint32_t *tail;		/* the producer's */
	_Atomic uint32_t *alertable;	/* the consumer's: wake me */
	uint8_t *data;
	uint32_t capacity;		/* a power of two */
	intptr_t event;
};

/* VE_OK, or VE_ERROR with a text: no ring, or one that is in use. */
int ve_ring_attach(struct ve_ring *ring, uint8_t *memory, size_t size, intptr_t event, char *err, size_t err_size);

/* As it must be before it is registered, with its first packet at offset `at`. */
void ve_ring_format(const struct ve_ring *ring, uint32_t at);

static inline uint32_t ve_ring_slot(size_t length)	/* length <= VE_RING_PACKET */
{
	return VE_RING_WORD + (((uint32_t)length + VE_RING_WORD - 1) & ~(VE_RING_WORD - 1));
}

static inline uint32_t ve_ring_wrap(const struct ve_ring *ring, uint32_t offset)
{
	return offset & (ring->capacity - 1);
}

/* Bytes from one offset forward to another. */
static inline uint32_t ve_ring_distance(const struct ve_ring *ring, uint32_t from, uint32_t to)
{
	return (to - from) & (ring->capacity - 1);
}

static inline _Atomic uint32_t *ve_ring_size_at(const struct ve_ring *ring, uint32_t offset)
{
	return (_Atomic uint32_t *)(void *)(ring->data + offset);
}

/* An offset that the other side may have stored, alive or not. */
static inline int ve_ring_valid(const struct ve_ring *ring, uint32_t offset)
{
	return offset < ring->capacity && offset % VE_RING_WORD == 0;
}

#endif
