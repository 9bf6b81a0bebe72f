/*
 * hdlc.c: octet stuffing and the FCS-16 of HDLC-like framing (RFC 1662), in plain C.
 *
 * Looks at eight bytes at a time where none of them is special; the FCS takes eight bytes a step from eight tables.
 * Source: PPP notes, sections 3 and 4.   Twins: protocols/framing/hdlc.py, hdlc_x86.c.
 */
#include "hdlc.h"

#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)
#define HAS_ZERO(word) (((word) - ONES) & ~(word) & HIGH)

/*
 * TABLE(k)[i]: what byte i leaves in the register after k zero bytes more.  It is linear in the bits of i, so eight
 * values make a table, and the compiler the rest.
 */
#define BIT(i, b, value) ((i) >> (b) & 1 ? (value) : 0)
#define ENTRY(i, a, b, c, d, e, f, g, h) \
	(BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ \
	 BIT(i, 4, e) ^ BIT(i, 5, f) ^ BIT(i, 6, g) ^ BIT(i, 7, h))
#define TWO(i, ...) ENTRY(i, __VA_ARGS__), ENTRY(i + 1, __VA_ARGS__)
#define EIGHT(i, ...) TWO(i, __VA_ARGS__), TWO(i + 2, __VA_ARGS__), TWO(i + 4, __VA_ARGS__), TWO(i + 6, __VA_ARGS__)
#define MANY(i, ...) \
	EIGHT(i, __VA_ARGS__), EIGHT(i + 8, __VA_ARGS__), EIGHT(i + 16, __VA_ARGS__), EIGHT(i + 24, __VA_ARGS__)
#define HALF(i, ...) \
	MANY(i, __VA_ARGS__), MANY(i + 32, __VA_ARGS__), MANY(i + 64, __VA_ARGS__), MANY(i + 96, __VA_ARGS__)
#define TABLE(...) {HALF(0, __VA_ARGS__), HALF(128, __VA_ARGS__)}

static const uint16_t table[8][256] = {
	TABLE(0x1189, 0x2312, 0x4624, 0x8c48, 0x1081, 0x2102, 0x4204, 0x8408),
	TABLE(0x19d8, 0x33b0, 0x6760, 0xcec0, 0x9591, 0x2333, 0x4666, 0x8ccc),
	TABLE(0x5adc, 0xb5b8, 0x6361, 0xc6c2, 0x8595, 0x033b, 0x0676, 0x0cec),
	TABLE(0x1cbb, 0x3976, 0x72ec, 0xe5d8, 0xc3a1, 0x8f53, 0x16b7, 0x2d6e),
	TABLE(0x0b44, 0x1688, 0x2d10, 0x5a20, 0xb440, 0x6091, 0xc122, 0x8a55),
	TABLE(0x042b, 0x0856, 0x10ac, 0x2158, 0x42b0, 0x8560, 0x02d1, 0x05a2),
	TABLE(0x9fd5, 0x37bb, 0x6f76, 0xdeec, 0xb5c9, 0x6383, 0xc706, 0x861d),
	TABLE(0x81bf, 0x0b6f, 0x16de, 0x2dbc, 0x5b78, 0xb6f0, 0x65f1, 0xcbe2),
};

static uint16_t plain_fcs(uint16_t fcs, const uint8_t *data, size_t length)
{
	for (; length >= 8; length -= 8, data += 8)
		fcs = table[7][(data[0] ^ fcs) & 0xff] ^ table[6][data[1] ^ fcs >> 8] ^
		      table[5][data[2]] ^ table[4][data[3]] ^ table[3][data[4]] ^ table[2][data[5]] ^
		      table[1][data[6]] ^ table[0][data[7]];
	if (length & 4) {
		fcs = table[3][(data[0] ^ fcs) & 0xff] ^ table[2][data[1] ^ fcs >> 8] ^
		      table[1][data[2]] ^ table[0][data[3]];
		data += 4;
	}
	if (length & 2) {
		fcs = table[1][(data[0] ^ fcs) & 0xff] ^ table[0][data[1] ^ fcs >> 8];
		data += 2;
	}
	if (length & 1)
		fcs = (uint16_t)(fcs >> 8 ^ table[0][(fcs ^ *data) & 0xff]);
	return fcs;
}

static uint64_t load(const uint8_t *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof(word));
	return word;
}

static void plain_unescape(struct hdlc_run *run)
{
	const uint8_t *in = run->in, *end = in + run->left;
	uint8_t *out = run->out, *limit = out + run->room;
	int escaped = run->escaped;

	while (in < end) {
		if (!escaped && end - in >= 8 && limit - out >= 8) {
			uint64_t word = load(in);

			if (!HAS_ZERO(word ^ ONES * HDLC_FLAG) && !HAS_ZERO(word ^ ONES * HDLC_ESCAPE)) {
				memcpy(out, &word, sizeof(word));
				in += 8;
				out += 8;
				continue;
			}
		}
		/* Up to the special byte and over it. */
		for (int i = 0; i < 8 && in < end; i++) {
			uint8_t byte = *in;

			if (byte == HDLC_FLAG || out == limit)
				goto out;
			in++;
			if (byte == HDLC_ESCAPE && !escaped) {
				escaped = 1;
				continue;
			}
			*out++ = escaped ? byte ^ HDLC_FLIP : byte;
			escaped = 0;
		}
	}
out:
	*run = (struct hdlc_run){in, (size_t)(end - in), out, (size_t)(limit - out), escaped};
}

static size_t plain_escape(uint32_t accm, const uint8_t *in, size_t length, uint8_t *out)
{
	const uint8_t *end = in + length;
	uint8_t *at = out;

	while (in < end) {
		if (end - in >= 8) {
			uint64_t word = load(in);
			uint64_t control = accm ? HAS_ZERO(word & ONES * 0xe0) : 0;	/* a byte below 0x20 */

			if (!control && !HAS_ZERO(word ^ ONES * HDLC_FLAG) && !HAS_ZERO(word ^ ONES * HDLC_ESCAPE)) {
				memcpy(at, &word, sizeof(word));
				in += 8;
				at += 8;
				continue;
			}
		}
		for (int i = 0; i < 8 && in < end; i++) {
			uint8_t byte = *in++;
			int special = hdlc_needs_escape(accm, byte);

			*at = HDLC_ESCAPE;	/* overwritten if the byte is none to be escaped */
			at += special;
			*at++ = special ? byte ^ HDLC_FLIP : byte;
		}
	}
	return (size_t)(at - out);
}

const struct hdlc_kernel hdlc_plain = {
	.name = "plain",
	.fcs = plain_fcs,
	.unescape = plain_unescape,
	.escape = plain_escape,
};

const struct hdlc_kernel *hdlc_best(void)
{
	const struct hdlc_kernel *x86 = hdlc_x86();

	return x86 ? x86 : &hdlc_plain;
}
