/*
 * lzs.c: LZS compression of one packet, whose history is the packet itself.
 *
 * The layout of the bits is in protocols/framing/lzs.py, the twin.  Both twins write the same bits: the longest match of the
 * last MAX_CANDIDATES places that begin with the same two bytes, the nearest of equals.
 * Source: AnyConnect notes, section 8.2; RFC 1974.
 */
#include "compression.h"

#include <string.h>

enum {
	WINDOW = 2047,			/* bytes back that an offset reaches */
	SHORT_OFFSETS = 128,		/* offsets below take 7 bits */
	NIBBLE = 15,			/* a nibble of length after which another follows */
	LONG_LENGTH = 8,		/* the shortest length that is written in nibbles */
	MAX_CANDIDATES = 32,		/* places looked at for a match */
	PAIRS = 65536
};

struct lzs {
	struct ve_compression base;
	uint16_t newest[PAIRS];		/* place + 1 where this pair of bytes was seen last; all 0 between packets */
	uint16_t older[VE_MAX_PACKET];	/* place + 1 of the same pair before this place */
};

/* ---- expand ---- */

struct reader {
	const uint8_t *at, *end;
	uint32_t bits;			/* the low `have` bits are the next ones */
	unsigned int have;
};

/* The next n (1..11) bits, or VE_ERROR: the input ends. */
static int take(struct reader *r, unsigned int n)
{
	while (r->have < n) {
		if (r->at == r->end)
			return VE_ERROR;
		r->bits = r->bits << 8 | *r->at++;
		r->have += 8;
	}
	r->have -= n;
	return (int)(r->bits >> r->have & ((1u << n) - 1));
}

/* Length of a match, at most a little more than max, or VE_ERROR. */
static int take_length(struct reader *r, size_t max)
{
	int code = take(r, 2), nibble;
	size_t length;

	if (code < 3)
		return code < 0 ? VE_ERROR : 2 + code;
	code = take(r, 2);
	if (code < 3)
		return code < 0 ? VE_ERROR : 5 + code;
	length = LONG_LENGTH;
	do {
		nibble = take(r, 4);
		if (nibble < 0 || length > max)
			return VE_ERROR;
		length += (size_t)nibble;
	} while (nibble == NIBBLE);
	return (int)length;
}

static int lzs_expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out, size_t size)
{
	struct reader r = {.at = data, .end = data + length};
	size_t done = 0;

	(void)compression;
	for (;;) {
		int bit = take(&r, 1), offset, count, i;

		if (bit < 0)
			return VE_ERROR;
		if (!bit) {
			int literal = take(&r, 8);

			if (literal < 0 || done == size)
				return VE_ERROR;
			out[done++] = (uint8_t)literal;
			continue;
		}
		bit = take(&r, 1);
		offset = bit < 0 ? VE_ERROR : take(&r, bit ? 7 : 11);
		if (bit == 1 && offset == 0)
			return (int)done;	/* the end marker; what follows is padding */
		if (offset <= 0 || (size_t)offset > done)
			return VE_ERROR;
		count = take_length(&r, size - done);
		if (count < 0 || (size_t)count > size - done)
			return VE_ERROR;
		for (i = 0; i < count; i++, done++)	/* byte by byte: a match may repeat itself */
			out[done] = out[done - (size_t)offset];
	}
}

/* ---- shrink ---- */

struct writer {
	uint8_t *at, *end;
	uint64_t bits;
	unsigned int have;
	int full;
};

static void put(struct writer *w, uint32_t value, unsigned int n)
{
	w->bits = w->bits << n | value;
	w->have += n;
	while (w->have >= 8) {
		if (w->at == w->end) {
			w->full = 1;
			w->have = 0;
			return;
		}
		w->have -= 8;
		*w->at++ = (uint8_t)(w->bits >> w->have);
	}
}

static void put_match(struct writer *w, size_t offset, size_t length)
{
	if (offset < SHORT_OFFSETS)
		put(w, 0x180u | (uint32_t)offset, 9);
	else
		put(w, 0x1000u | (uint32_t)offset, 13);
	if (length < 5) {
		put(w, (uint32_t)length - 2, 2);
	} else if (length < LONG_LENGTH) {
		put(w, 0xcu | ((uint32_t)length - 5), 4);
	} else {
		put(w, 0xf, 4);
		for (length -= LONG_LENGTH; length >= NIBBLE && !w->full; length -= NIBBLE)
			put(w, NIBBLE, 4);
		put(w, (uint32_t)length, 4);
	}
}

static size_t pair(const uint8_t *at)
{
	return (size_t)at[0] << 8 | at[1];
}

/* The best match for the bytes at `at`: its length, 0: none; its offset. */
static size_t longest(const struct lzs *lzs, const uint8_t *packet, size_t at, size_t length, size_t *offset)
{
	size_t best = 0, place;
	int tried;

	if (length - at < 2)
		return 0;
	place = lzs->newest[pair(packet + at)];
	for (tried = 0; place && at - (place - 1) <= WINDOW && tried < MAX_CANDIDATES; tried++) {
		const uint8_t *here = packet + at, *there = packet + place - 1;
		size_t same = 2;

		while (at + same < length && here[same] == there[same])
			same++;
		if (same > best) {
			best = same;
			*offset = at - (place - 1);
		}
		if (at + best == length)
			break;
		place = lzs->older[place - 1];
	}
	return best;
}

static void remember(struct lzs *lzs, const uint8_t *packet, size_t from, size_t to, size_t length)
{
	for (; from < to && from + 1 < length; from++) {
		uint16_t *newest = &lzs->newest[pair(packet + from)];

		lzs->older[from] = *newest;
		*newest = (uint16_t)(from + 1);
	}
}

static int lzs_shrink(struct ve_compression *compression, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	struct lzs *lzs = (struct lzs *)compression;
	struct writer w = {.at = out, .end = out + size};
	size_t at = 0, step, offset = 0, i;

	while (at < length && !w.full) {
		step = longest(lzs, packet, at, length, &offset);
		if (step) {
			put_match(&w, offset, step);
		} else {
			put(&w, packet[at], 9);
			step = 1;
		}
		remember(lzs, packet, at, at + step, length);
		at += step;
	}
	for (i = 0; i < at && i + 1 < length; i++)	/* forget: cheaper than to wipe the table */
		lzs->newest[pair(packet + i)] = 0;
	put(&w, 0x180, 9);
	if (w.have)
		put(&w, 0, 8 - w.have);
	return w.full ? VE_FULL : (int)(w.at - out);
}

const struct ve_method ve_lzs = {
	.name = "lzs",
	.size = sizeof(struct lzs),
	.shrink = lzs_shrink,
	.expand = lzs_expand,
};
