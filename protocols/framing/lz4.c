/*
 * lz4.c: oc-lz4 compression: a packet is one raw LZ4 block, without frame or size.  A thin face of liblz4.
 *
 * Source: AnyConnect notes, section 8.1.   Reference: protocols/framing/lz4.py.
 */
#include "compression.h"

#ifdef VE_LZ4
#include <lz4.h>
#include <stdlib.h>

struct lz4 {
	struct ve_compression base;
	void *state;			/* of the encoder, so that it allocates none */
};

static int lz4_init(struct ve_compression *compression)
{
	struct lz4 *lz4 = (struct lz4 *)compression;

	lz4->state = malloc((size_t)LZ4_sizeofState());
	return lz4->state ? VE_OK : VE_ERROR;
}

static void lz4_free(struct ve_compression *compression)
{
	free(((struct lz4 *)compression)->state);
}

static int lz4_shrink(struct ve_compression *compression, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	struct lz4 *lz4 = (struct lz4 *)compression;
	int n;

	if (size > VE_MAX_PACKET)
		size = VE_MAX_PACKET;
	n = LZ4_compress_fast_extState(lz4->state, (const char *)packet, (char *)out, (int)length, (int)size, 1);
	return n > 0 ? n : VE_FULL;
}

static int lz4_expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out, size_t size)
{
	int n = LZ4_decompress_safe((const char *)data, (char *)out, (int)length, (int)size);

	(void)compression;
	return n >= 0 ? n : VE_ERROR;
}

const struct ve_method ve_lz4 = {
	.name = "oc-lz4",
	.size = sizeof(struct lz4),
	.init = lz4_init,
	.free = lz4_free,
	.shrink = lz4_shrink,
	.expand = lz4_expand,
};
#else
const struct ve_method ve_lz4 = {.name = "oc-lz4", .missing = "liblz4"};
#endif
