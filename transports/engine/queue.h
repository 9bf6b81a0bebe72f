/*
 * queue.h: a bounded queue of control frames.  Internal.
 *
 * Bounded by frames and by bytes (payload and VE_QUEUE_OVERHEAD each).  No lock: one thread, or the owner locks.
 */
#ifndef VPN_ENGINE_QUEUE_H
#define VPN_ENGINE_QUEUE_H

#include "engine.h"

#define VE_QUEUE_OVERHEAD 8	/* bytes a frame takes besides its payload */

struct ve_queue;
struct ve_queue *ve_queue_new(size_t frames, size_t bytes);	/* NULL: out of memory */
void ve_queue_free(struct ve_queue *queue);
int ve_queue_push(struct ve_queue *queue, uint32_t kind, const uint8_t *payload, size_t length);	/* VE_OK, VE_FULL */
/* The oldest frame, which stays until ve_queue_pop; VE_OK or VE_EMPTY.  Only the used part of payload is written. */
int ve_queue_peek(const struct ve_queue *queue, struct ve_control *out);
void ve_queue_pop(struct ve_queue *queue);
size_t ve_queue_count(const struct ve_queue *queue);
int ve_queue_takes_any(const struct ve_queue *queue);	/* whether the largest frame would find room */

#endif
