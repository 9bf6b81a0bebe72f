/*
 * queue.c: a bounded queue of control frames in a ring of bytes.
 *
 * A frame is its kind and length (host order, 4 bytes each) and its payload; any of it may wrap.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

struct ve_queue {
	size_t frames, max_frames;
	size_t used, size;	/* bytes */
	size_t head;		/* offset of the oldest */
	uint8_t ring[];
};

struct ve_queue *ve_queue_new(size_t frames, size_t bytes)
{
	struct ve_queue *queue = malloc(sizeof(*queue) + bytes);

	if (queue)
		*queue = (struct ve_queue){.max_frames = frames, .size = bytes};
	return queue;
}

void ve_queue_free(struct ve_queue *queue)
{
	free(queue);
}

static void put(struct ve_queue *queue, const void *from, size_t length)
{
	size_t at = (queue->head + queue->used) % queue->size;
	size_t first = length < queue->size - at ? length : queue->size - at;

	if (!length)
		return;
	memcpy(queue->ring + at, from, first);
	memcpy(queue->ring, (const uint8_t *)from + first, length - first);
	queue->used += length;
}

static void get(const struct ve_queue *queue, size_t offset, void *to, size_t length)
{
	size_t at = (queue->head + offset) % queue->size;
	size_t first = length < queue->size - at ? length : queue->size - at;

	memcpy(to, queue->ring + at, first);
	memcpy((uint8_t *)to + first, queue->ring, length - first);
}

int ve_queue_push(struct ve_queue *queue, uint32_t kind, const uint8_t *payload, size_t length)
{
	uint32_t head[2] = {kind, (uint32_t)length};
	size_t room = queue->size - queue->used;

	if (queue->frames == queue->max_frames || length > sizeof(((struct ve_control *)0)->payload))
		return VE_FULL;
	if (room < VE_QUEUE_OVERHEAD || room - VE_QUEUE_OVERHEAD < length)
		return VE_FULL;
	put(queue, head, sizeof(head));
	put(queue, payload, length);
	queue->frames++;
	return VE_OK;
}

int ve_queue_peek(const struct ve_queue *queue, struct ve_control *out)
{
	uint32_t head[2];

	if (!queue->frames)
		return VE_EMPTY;
	get(queue, 0, head, sizeof(head));
	out->kind = head[0];
	out->length = head[1];
	get(queue, VE_QUEUE_OVERHEAD, out->payload, head[1]);
	return VE_OK;
}

void ve_queue_pop(struct ve_queue *queue)
{
	uint32_t head[2];
	size_t taken;

	if (!queue->frames)
		return;
	get(queue, 0, head, sizeof(head));
	taken = VE_QUEUE_OVERHEAD + head[1];
	queue->head = (queue->head + taken) % queue->size;
	queue->used -= taken;
	queue->frames--;
}

int ve_queue_takes_any(const struct ve_queue *queue)
{
	return queue->frames < queue->max_frames &&
	       queue->size - queue->used >= VE_QUEUE_OVERHEAD + sizeof(((struct ve_control *)0)->payload);
}

size_t ve_queue_count(const struct ve_queue *queue)
{
	return queue->frames;
}
