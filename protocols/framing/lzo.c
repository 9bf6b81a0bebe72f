/*
 * lzo.c: expands LZO1X streams, as in Juniper's compressed ESP packets.  We never compress so.
 *
 * Own code and not liblzo2, whose licence (GPL) would become that of the whole program.
 * The instructions are in protocols/framing/lzo.py, the twin.  Source: Juniper notes, section 8.5.
 */
#include "compression.h"

#include <string.h>

enum {
	FAR = 16384,		/* distances beyond have their own instruction; itself: the end marker */
	AFTER_LITERALS = 4	/* state after a run of literals of four or more */
};

struct reader {
	const uint8_t *in, *in_end;
	uint8_t *out, *at, *out_end;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->in_end - r->in);
}

/* A count whose low bits `value` are in the instruction: 0 means that it goes on.  0: the input ends, or too much. */
static size_t count(struct reader *r, unsigned int value, unsigned int mask)
{
	size_t n = 0;

	value &= mask;
	if (value)
		return value;
	for (;;) {
		if (r->in == r->in_end || n > VE_MAX_PACKET)
			return 0;
		if (*r->in)
			return n + *r->in++ + mask;
		n += 255;
		r->in++;
	}
}

static int literals(struct reader *r, size_t n)
{
	if (n > left(r) || n > (size_t)(r->out_end - r->at))
		return VE_ERROR;
	memcpy(r->at, r->in, n);
	r->in += n;
	r->at += n;
	return VE_OK;
}

static int match(struct reader *r, size_t distance, size_t length)
{
	if (distance > (size_t)(r->at - r->out) || length > (size_t)(r->out_end - r->at))
		return VE_ERROR;
	for (; length; length--, r->at++)	/* byte by byte: a match may repeat itself */
		*r->at = r->at[-(ptrdiff_t)distance];
	return VE_OK;
}

/* Instructions 10 to 3f: the distance follows in two bytes.  VE_EOF: the end marker. */
static int far_match(struct reader *r, unsigned int x, unsigned int *state)
{
	size_t length = count(r, x, x < 0x20 ? 7 : 31), distance;
	unsigned int d;

	if (!length || left(r) < 2)
		return VE_ERROR;
	d = r->in[0] | (unsigned int)r->in[1] << 8;
	r->in += 2;
	distance = x < 0x20 ? FAR + ((x & 8) << 11) + (d >> 2) : (d >> 2) + 1;
	if (x < 0x20 && distance == FAR)
		return x == 0x11 && !d && !left(r) ? VE_EOF : VE_ERROR;
	*state = d & 3;
	return match(r, distance, length + 2);
}

/* All other instructions but a run of literals: one byte of distance follows. */
static int near_match(struct reader *r, unsigned int x, unsigned int *state)
{
	size_t next;

	if (r->in == r->in_end)
		return VE_ERROR;
	next = *r->in++;
	if (x < 0x10) {
		unsigned int before = *state;

		*state = x & 3;
		return before == AFTER_LITERALS ? match(r, (x >> 2) + (next << 2) + 2049, 3)
						: match(r, (x >> 2) + (next << 2) + 1, 2);
	}
	*state = x & 3;
	return match(r, (next << 3) + (x >> 2 & 7) + 1, x < 0x80 ? 3 + (x >> 5 & 1) : 5 + (x >> 5 & 3));
}

/* One instruction; the state is the number of literals that came with the last, AFTER_LITERALS: four or more. */
static int step(struct reader *r, unsigned int *state)
{
	unsigned int x;
	size_t n;
	int rc;

	if (r->in == r->in_end)
		return VE_ERROR;
	x = *r->in++;
	if (x < 0x10 && *state == 0) {
		n = count(r, x, 15);
		*state = AFTER_LITERALS;
		return n ? literals(r, n + 3) : VE_ERROR;
	}
	rc = x >= 0x10 && x < 0x40 ? far_match(r, x, state) : near_match(r, x, state);
	return rc == VE_OK ? literals(r, *state) : rc;
}

int ve_lzo1x_expand(const uint8_t *data, size_t length, uint8_t *out, size_t size)
{
	struct reader r = {.in = data, .in_end = data + length, .out = out, .at = out, .out_end = out + size};
	unsigned int state = 0;
	int rc = VE_OK;

	if (length && data[0] > 17) {
		size_t n = (size_t)*r.in++ - 17;

		state = n < AFTER_LITERALS ? (unsigned int)n : AFTER_LITERALS;
		rc = literals(&r, n);
	}
	while (rc == VE_OK)
		rc = step(&r, &state);
	return rc == VE_EOF ? (int)(r.at - out) : VE_ERROR;
}

static int lzo_expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out, size_t size)
{
	(void)compression;
	return ve_lzo1x_expand(data, length, out, size);
}

const struct ve_method ve_lzo = {
	.name = "lzo",
	.size = sizeof(struct ve_compression),
	.expand = lzo_expand,
};
