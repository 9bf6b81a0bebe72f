/*
 * hdlc_x86.c: octet stuffing and the FCS-16 with SSSE3 and carry-less multiplication, 16 bytes at a time.
 *
 * Escapes are taken out, and put in, by shuffles from tables, so that their number costs no mispredicted branches.
 * The FCS folds 64 bytes into 16 (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ") and
 * leaves those to plain C.  Which kernel to use is asked once a codec; there is no ifunc and no constructor.
 * Twin: hdlc.c.
 */
#include "hdlc.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#define KERNEL __attribute__((target("ssse3,pclmul,popcnt")))

/*
 * x^n modulo the polynomial, bits reversed in 64: moving 64 bits by D bits multiplies by x^(D-1), those before them by
 * x^(D+63); the missing 1 is the shift of a reversed product.
 */
#define BY_512 _mm_set_epi64x(0x7f90000000000000, (long long)0x9822000000000000)
#define BY_128 _mm_set_epi64x(0x7eea000000000000, (long long)0xa95d000000000000)

KERNEL static __m128i load(const uint8_t *from)
{
	return _mm_loadu_si128((const __m128i *)(const void *)from);
}

KERNEL static void store(uint8_t *to, __m128i value)
{
	_mm_storeu_si128((__m128i *)(void *)to, value);
}

KERNEL static void store_half(uint8_t *to, __m128i value)
{
	_mm_storel_epi64((__m128i *)(void *)to, value);
}

/* `block` moved on, and the bytes that stand there added. */
KERNEL static __m128i fold(__m128i block, __m128i by, __m128i there)
{
	return _mm_xor_si128(there, _mm_xor_si128(_mm_clmulepi64_si128(block, by, 0x00),
						  _mm_clmulepi64_si128(block, by, 0x11)));
}

KERNEL static uint16_t x86_fcs(uint16_t fcs, const uint8_t *data, size_t length)
{
	uint8_t rest[16];
	__m128i a;

	if (length < 32)
		return hdlc_plain.fcs(fcs, data, length);
	a = _mm_xor_si128(load(data), _mm_cvtsi32_si128(fcs));
	if (length >= 128) {
		__m128i b = load(data + 16), c = load(data + 32), d = load(data + 48);

		for (data += 64, length -= 64; length >= 64; data += 64, length -= 64) {
			a = fold(a, BY_512, load(data));
			b = fold(b, BY_512, load(data + 16));
			c = fold(c, BY_512, load(data + 32));
			d = fold(d, BY_512, load(data + 48));
		}
		a = fold(fold(fold(a, BY_128, b), BY_128, c), BY_128, d);
	} else {
		data += 16;
		length -= 16;
	}
	for (; length >= 16; data += 16, length -= 16)
		a = fold(a, BY_128, load(data));
	store(rest, a);
	return hdlc_plain.fcs(hdlc_plain.fcs(0, rest, sizeof(rest)), data, length);
}

/* Places (one a byte, from the lowest) of those of four bytes that stay when the bits of the index go; zeros follow. */
static const uint32_t kept[16] = {
	0x03020100, 0x030201, 0x030200, 0x0302, 0x030100, 0x0301, 0x0300, 0x03,
	0x020100, 0x0201, 0x0200, 0x02, 0x0100, 0x01, 0x00, 0x00,
};

/* A shuffle that closes up eight bytes; 8 - popcount(gone) of them count. */
static uint64_t closed_up(unsigned int gone)
{
	unsigned int low = gone & 15;

	return kept[low] | (uint64_t)(kept[gone >> 4] + 0x04040404u) << 8 * (4 - (unsigned int)__builtin_popcount(low));
}

/* The 16 bytes without those in `gone`, and some rubbish behind. */
KERNEL static void close_up(__m128i bytes, unsigned int gone, uint8_t *out)
{
	unsigned int low = gone & 0xff, high = gone >> 8;
	size_t first = 8 - (size_t)__builtin_popcount(low);

	store_half(out, _mm_shuffle_epi8(bytes, _mm_cvtsi64_si128((long long)closed_up(low))));
	bytes = _mm_srli_si128(bytes, 8);
	store_half(out + first, _mm_shuffle_epi8(bytes, _mm_cvtsi64_si128((long long)closed_up(high))));
}

KERNEL static unsigned int places(__m128i bytes, uint8_t value)
{
	return (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)value)));
}

/* Input of any length is looked at 16 bytes at a time, the last of them in part: HDLC_SLACK. */
KERNEL static void x86_unescape(struct hdlc_run *run)
{
	const __m128i flip = _mm_set1_epi8(HDLC_FLIP), escape = _mm_set1_epi8(HDLC_ESCAPE);
	const uint8_t *in = run->in;
	uint8_t *out = run->out;
	size_t left = run->left, room = run->room;
	unsigned int escaped = run->escaped != 0;

	while (left && room >= 16) {
		__m128i bytes = load(in), escapes = _mm_cmpeq_epi8(bytes, escape);
		unsigned int gone = (unsigned int)_mm_movemask_epi8(escapes), flags = places(bytes, HDLC_FLAG);
		unsigned int n = left < 16 ? (unsigned int)left : 16, written;

		if (!(gone | flags | escaped) && n == 16) {
			store(out, bytes);
			in += 16;
			out += 16;
			left -= 16;
			room -= 16;
			continue;
		}
		if (flags && (unsigned int)__builtin_ctz(flags) < n)
			n = (unsigned int)__builtin_ctz(flags);
		if (n < 16 && (uintptr_t)in + n - (uintptr_t)out < 16)	/* in place: the rubbish would fall on input */
			break;
		gone &= (1u << n) - 1;
		if (gone & (gone << 1 | escaped))	/* an escaped escape: rare, as it means 5d */
			break;
		escapes = _mm_or_si128(_mm_slli_si128(escapes, 1), _mm_cvtsi32_si128(escaped ? 0xff : 0));
		written = n - (unsigned int)__builtin_popcount(gone);
		close_up(_mm_xor_si128(bytes, _mm_and_si128(escapes, flip)), gone, out);
		if (n)
			escaped = gone >> (n - 1) & 1;
		in += n;
		out += written;
		left -= n;
		room -= written;
		if (n < 16)
			break;
	}
	*run = (struct hdlc_run){in, left, out, room, (int)escaped};
	if (left && *in != HDLC_FLAG)
		hdlc_plain.unescape(run);
}

/* Shuffles that open a gap (0x80) before those of four bytes whose bits are set in the index. */
static const uint64_t opened[16] = {
	0x3020100, 0x302010080, 0x302018000, 0x30201800080,
	0x302800100, 0x30280010080, 0x30280018000, 0x3028001800080,
	0x380020100, 0x38002010080, 0x38002018000, 0x3800201800080,
	0x38002800100, 0x3800280010080, 0x3800280018000, 0x380028001800080,
};

/* Four bytes, those in `special` behind an escape; returns how many. */
KERNEL static size_t open_up(__m128i bytes, unsigned int special, uint8_t *out)
{
	uint64_t shuffle = opened[special];
	uint64_t escapes = (shuffle >> 7 & 0x0101010101010101) * HDLC_ESCAPE;

	bytes = _mm_shuffle_epi8(bytes, _mm_cvtsi64_si128((long long)shuffle));
	store_half(out, _mm_or_si128(bytes, _mm_cvtsi64_si128((long long)escapes)));
	return 4 + (size_t)__builtin_popcount(special);
}

/* A byte is special if, in the rows below, bits of its low and of its high half meet: 00-0f, 10-1f, 7d and 7e. */
KERNEL static __m128i low_halves(uint32_t accm)
{
	uint8_t rows[16];

	for (unsigned int i = 0; i < 16; i++)
		rows[i] = (uint8_t)((accm >> i & 1) | (accm >> (16 + i) & 1) << 1 | (i == 0xd || i == 0xe) << 2);
	return load(rows);
}

KERNEL static size_t x86_escape(uint32_t accm, const uint8_t *in, size_t length, uint8_t *out)
{
	const __m128i low = low_halves(accm), high = _mm_setr_epi8(1, 2, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m128i half = _mm_set1_epi8(0x0f), flip = _mm_set1_epi8(HDLC_FLIP);
	uint8_t *at = out;

	for (; length >= 16; in += 16, length -= 16) {
		__m128i bytes = load(in);
		__m128i meet = _mm_and_si128(_mm_shuffle_epi8(low, _mm_and_si128(bytes, half)),
					     _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(bytes, 4), half)));
		__m128i common = _mm_cmpeq_epi8(meet, _mm_setzero_si128());
		unsigned int special = (unsigned int)_mm_movemask_epi8(common) ^ 0xffff;

		if (!special) {
			store(at, bytes);
			at += 16;
			continue;
		}
		bytes = _mm_xor_si128(bytes, _mm_andnot_si128(common, flip));
		at += open_up(bytes, special & 15, at);
		at += open_up(_mm_srli_si128(bytes, 4), special >> 4 & 15, at);
		at += open_up(_mm_srli_si128(bytes, 8), special >> 8 & 15, at);
		at += open_up(_mm_srli_si128(bytes, 12), special >> 12, at);
	}
	return (size_t)(at - out) + hdlc_plain.escape(accm, in, length, at);
}

static const struct hdlc_kernel kernel = {
	.name = "ssse3+pclmul",
	.fcs = x86_fcs,
	.unescape = x86_unescape,
	.escape = x86_escape,
};

const struct hdlc_kernel *hdlc_x86(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("ssse3") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("popcnt"))
		return &kernel;
	return NULL;
}

#else

const struct hdlc_kernel *hdlc_x86(void)
{
	return NULL;
}

#endif
