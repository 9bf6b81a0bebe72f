/*
 * segment.h: super-packets of the kernel, cut into the packets that they stand for, one at a time.  Internal.
 *
 *     rc = ve_segments_begin(&s, vnet, packet, length)
 *     while (ve_segments_left(&s))
 *             n = ve_segments_next(&s, out)       out holds ve_segments_largest(&s) bytes
 *
 * No I/O, no allocation.  The packet must stay where it is until all are cut.
 * Source: linux-tun notes, section 4.   Twin: transports/offload.py.
 */
#ifndef VPN_ENGINE_SEGMENT_H
#define VPN_ENGINE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

struct ve_segments {
	const uint8_t *packet;
	size_t transport;	/* bytes of IP header */
	size_t header;		/* bytes of IP and transport header */
	size_t payload;		/* bytes of it in all */
	size_t size;		/* bytes of payload each segment, but for the last */
	size_t done;		/* bytes cut so far */
	unsigned int index;	/* of the next segment */
	int tcp;
	int keep_cwr;
};

/* VE_OK: a super-packet; VE_EMPTY: an ordinary packet, whose checksum is finished in place now; VE_ERROR: the header
 * lies, drop the packet. */
int ve_segments_begin(struct ve_segments *s, const uint8_t *vnet, uint8_t *packet, size_t length);
size_t ve_segments_next(struct ve_segments *s, uint8_t *out);	/* bytes of the packet written to out */

static inline int ve_segments_left(const struct ve_segments *s)
{
	return s->done < s->payload;
}

static inline size_t ve_segments_largest(const struct ve_segments *s)
{
	return s->header + (s->size < s->payload ? s->size : s->payload);
}

static inline size_t ve_segments_count(const struct ve_segments *s)
{
	return (s->payload + s->size - 1) / s->size;
}

#endif
