/*
 * deflate.c: deflate compression: one raw stream each way for the life of the connection.  A thin face of zlib.
 *
 * A packet is what a sync flush gives (00 00 ff ff at its end), and the Adler-32, big-endian, of all plaintext so far.
 * Source: AnyConnect notes, section 8.3.   Twin: protocols/framing/deflate.py.
 */
#include "compression.h"

#ifdef VE_ZLIB
#include <zlib.h>

enum {
	WINDOW_BITS = 12,		/* of our stream */
	ANY_WINDOW_BITS = 15,		/* of the peer's */
	MEMORY_LEVEL = 9,
	CHECKSUM = 4			/* bytes */
};

struct deflate {
	struct ve_compression base;
	z_stream in, out;
	uLong in_sum, out_sum;		/* Adler-32 of all plaintext of that direction */
	int failed;			/* the encoder is of no use any more */
};

static int deflate_init(struct ve_compression *compression)
{
	struct deflate *d = (struct deflate *)compression;

	d->in_sum = d->out_sum = adler32(0, Z_NULL, 0);
	if (inflateInit2(&d->in, -ANY_WINDOW_BITS) != Z_OK)
		return VE_ERROR;
	if (deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return VE_ERROR;
	return VE_OK;
}

static void deflate_free(struct ve_compression *compression)
{
	struct deflate *d = (struct deflate *)compression;

	inflateEnd(&d->in);		/* both do nothing to a stream that was not begun */
	deflateEnd(&d->out);
}

/* The most that zlib makes of so many bytes and a flush, with room to spare, and the checksum. */
static size_t bound(size_t length)
{
	return length + length / 8 + length / 64 + 64;
}

static void put32(uint8_t *out, uLong value)
{
	for (int i = 0; i < CHECKSUM; i++)
		out[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Whether there is room is known before: a packet that was put into the stream must be sent. */
static int deflate_shrink(struct ve_compression *compression, const uint8_t *packet, size_t length, uint8_t *out,
			  size_t size)
{
	struct deflate *d = (struct deflate *)compression;
	size_t n;

	if (d->failed || !length || bound(length) > size)
		return VE_FULL;
	d->out.next_in = (Bytef *)(uintptr_t)packet;	/* zlib only reads it */
	d->out.avail_in = (uInt)length;
	d->out.next_out = out;
	d->out.avail_out = (uInt)(bound(length) - CHECKSUM);
	if (deflate(&d->out, Z_SYNC_FLUSH) != Z_OK || d->out.avail_in || !d->out.avail_out) {
		d->failed = 1;
		return VE_FULL;
	}
	d->out_sum = adler32(d->out_sum, packet, (uInt)length);
	n = (size_t)(d->out.next_out - out);
	put32(out + n, d->out_sum);
	return (int)(n + CHECKSUM);
}

static int deflate_expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out,
			  size_t size)
{
	struct deflate *d = (struct deflate *)compression;
	const uint8_t *sum;
	uint32_t told;
	size_t n;
	int rc;

	if (length <= CHECKSUM)
		return ve_compression_lost(compression, "deflate payload: got %zu, want >= 5 bytes (byte 0)", length);
	d->in.next_in = (Bytef *)(uintptr_t)data;
	d->in.avail_in = (uInt)(length - CHECKSUM);
	d->in.next_out = out;
	d->in.avail_out = (uInt)size;
	rc = inflate(&d->in, Z_SYNC_FLUSH);
	if (rc == Z_STREAM_END)
		return ve_compression_lost(compression, "deflate stream: got 'its end', want one that lasts (byte 0)");
	if (rc != Z_OK && rc != Z_BUF_ERROR)
		return ve_compression_lost(compression, "deflate blocks: got 'damage', want what inflates (byte 0)");
	if (d->in.avail_in)
		return ve_compression_lost(compression, "deflate output: got 'more', want <= %zu bytes (byte 0)", size);
	n = size - d->in.avail_out;
	d->in_sum = adler32(d->in_sum, out, (uInt)n);
	sum = data + length - CHECKSUM;
	told = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
	if (told != d->in_sum)
		return ve_compression_lost(compression, "deflate checksum: got '%08x', want %08lx (byte %zu)", told,
					   d->in_sum, length - CHECKSUM);
	return (int)n;
}

const struct ve_method ve_deflate = {
	.name = "deflate",
	.stateful = 1,
	.size = sizeof(struct deflate),
	.init = deflate_init,
	.free = deflate_free,
	.shrink = deflate_shrink,
	.expand = deflate_expand,
};
#else
const struct ve_method ve_deflate = {.name = "deflate", .stateful = 1, .missing = "zlib"};
#endif
