/*
 * test_compression.c: the compression methods, alone and in CSTP, without Python, for the sanitizers.
 *
 * Every buffer handed in is allocated to its exact size, so that a byte too far is seen.  Vectors: AnyConnect notes, V8 to
 * V10; ESP notes, section 14; Juniper notes, J10.
 */
#include "../../fuzz/chunking.h"

#include "check.h"

static const char *const all[] = {"lzs", "oc-lz4", "deflate", "lzo"};

static struct ve_compression *method(const char *name)
{
	char err[256];
	struct ve_compression *compression = ve_compression_new(name, err, sizeof(err));

	CHECK(compression);
	return compression;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
	unsigned int byte;
	size_t n = 0;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

/* In buffers of exactly these sizes; out may be NULL. */
static int expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out, size_t room)
{
	uint8_t *in = malloc(length ? length : 1), *exact = malloc(room ? room : 1);
	int n;

	CHECK(in && exact);
	memcpy(in, data, length);
	n = ve_compression_expand(compression, in, length, exact, room);
	CHECK(n <= (int)room);
	if (n > 0 && out)
		memcpy(out, exact, (size_t)n);
	free(in);
	free(exact);
	return n;
}

static int shrink(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out, size_t room)
{
	uint8_t *in = malloc(length ? length : 1), *exact = malloc(room ? room : 1);
	int n;

	CHECK(in && exact);
	memcpy(in, data, length);
	n = ve_compression_shrink(compression, in, length, exact, room);
	CHECK(n <= (int)room);
	if (n > 0)
		memcpy(out, exact, (size_t)n);
	free(in);
	free(exact);
	return n;
}

static const struct {
	const char *method, *packed, *plain;	/* plain: hex, NULL: damaged */
} vectors[] = {
	{"lzs", "20e000", "41"},
	{"lzs", "20e05c00", "41414141"},
	{"lzs", "2090b05e1800", "41424142414241424142"},
	{"lzs", "20e07c3000", "414141414141414141"},
	{"lzs", "", NULL},
	{"lzs", "c0", NULL},
	{"lzs", "60", NULL},
	{"lzs", "ffffffff", NULL},
	{"lzs", "8000", NULL},
	{"lzs", "c1000000", NULL},
	{"oc-lz4", "ff064500003c00010000400164bd0a6300010a6300024101000f504141414141",
	 "4500003c00010000400164bd0a6300010a630002"
	 "41414141414141414141414141414141414141414141414141414141414141414141414141414141"},
	{"oc-lz4", "1f4101", NULL},
	{"deflate", "7274241500000000ffff43fc0cb3",
	 "41414141414141414141414141414141414141414141414141"
	 "41414141414141414141414141414141414141414141414141"},
	{"deflate", "7274241500000000ffff43fc0cb4", NULL},
	{"deflate", "00000000", NULL},
	{"lzo", "1561626364110000", "61626364"},
	{"lzo", "146162630000110000", "6162636363"},
	{"lzo", "12616000110000", "6161616161"},
	{"lzo", "1261210000110000", "61616161"},
	{"lzo", "1261a000110000", "61616161616161"},
	{"lzo", "15616263641100", NULL},
	{"lzo", "1261210400110000", NULL},
	{"lzo", "156162636411000000", NULL},
	{"lzo", "1561626364120000", NULL},
	{"lzo", "1261202020ff110000", NULL},
	{"lzo", "", NULL},
};

static void test_the_vectors(void)
{
	uint8_t packed[256], plain[256], out[VE_MAX_PACKET];

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t length = from_hex(vectors[i].packed, packed);
		size_t wanted = vectors[i].plain ? from_hex(vectors[i].plain, plain) : 0;
		struct ve_compression *compression = method(vectors[i].method);
		int n = expand(compression, packed, length, out, VE_MAX_PACKET);

		CHECK(vectors[i].plain ? n == (int)wanted && !memcmp(out, plain, wanted) : n == VE_ERROR);
		CHECK(n >= 0 || strcmp(vectors[i].method, "deflate") || strlen(ve_compression_error(compression)) > 20);
		ve_compression_free(compression);
		for (size_t cut = 0; cut < length; cut++) {	/* every truncation, and every room */
			compression = method(vectors[i].method);
			expand(compression, packed, cut, NULL, VE_MAX_PACKET);
			ve_compression_free(compression);
		}
		for (size_t room = 0; room < wanted; room++) {
			compression = method(vectors[i].method);
			CHECK(expand(compression, packed, length, NULL, room) == VE_ERROR);
			ve_compression_free(compression);
		}
	}
}

/* xorshift: the same noise every run */
static uint32_t noise(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* A packet of `length` bytes of an alphabet: the smaller it is, the better it compresses. */
static void make_plain(uint8_t *out, size_t length, unsigned int letters, uint32_t *seed)
{
	for (size_t i = 0; i < length; i++)
		out[i] = (uint8_t)(noise(seed) % letters);
}

static void test_what_is_shrunk_expands_and_damage_stays_in_bounds(void)
{
	static uint8_t plain[VE_MAX_PACKET], packed[VE_MAX_PACKET], out[VE_MAX_PACKET];
	static const unsigned int letters[] = {1, 2, 5, 40, 256};
	uint32_t seed = 7;

	for (size_t m = 0; m < 3; m++) {
		struct ve_compression *compression = method(all[m]);

		for (int round = 0; round < 600; round++) {
			size_t length = round % 100 ? 1 + noise(&seed) % 1500 : VE_MAX_PACKET - 2;
			size_t room = round % 3 ? VE_MAX_PACKET : noise(&seed) % 1500;
			struct ve_compression *other;
			int n;

			make_plain(plain, length, letters[noise(&seed) % 5], &seed);
			n = shrink(compression, plain, length, packed, room);
			if (n < 0)
				continue;
			CHECK(expand(compression, packed, (size_t)n, out, VE_MAX_PACKET) == (int)length);
			CHECK(!memcmp(out, plain, length));
			for (int i = 0; i < 3; i++)
				packed[noise(&seed) % (unsigned int)n] = (uint8_t)noise(&seed);
			other = method(all[m]);
			expand(other, packed, (size_t)n, NULL, noise(&seed) % 4 ? VE_MAX_PACKET : length);
			ve_compression_free(other);
		}
		ve_compression_free(compression);
	}
}

static void test_noise(void)
{
	uint8_t data[64];
	uint32_t seed = 3;

	for (int round = 0; round < 40000; round++) {
		struct ve_compression *compression = method(all[round % 4]);
		size_t length = noise(&seed) % (sizeof(data) + 1);

		make_plain(data, length, round % 3 ? 256 : 4, &seed);
		expand(compression, data, length, NULL, noise(&seed) % 600);
		ve_compression_free(compression);
	}
}

static struct ve_codec *cstp(const char *name)
{
	char err[256];
	struct ve_codec *codec = ve_codec_new("cstp", err, sizeof(err));

	CHECK(codec);
	CHECK(ve_codec_set(codec, "cstp.compression", (const uint8_t *)name, strlen(name)) == VE_OK);
	return codec;
}

/* Frames made in place, as the pump makes them: the packet lies behind the room for its header. */
static size_t make_stream(const char *name, uint8_t *stream)
{
	static uint8_t buffer[VE_MAX_PACKET];
	struct ve_codec *codec = cstp(name);
	size_t at = 0;

	for (unsigned int i = 0; i < 12; i++) {
		size_t length = 20 + i * i * 11;
		int n;

		make_ipv4(buffer + 8, length, i);
		n = ve_codec_encode(codec, buffer + 8, length, buffer, sizeof(buffer));
		CHECK(n > 8);
		memcpy(stream + at, buffer, (size_t)n);
		at += (size_t)n;
	}
	ve_codec_free(codec);
	return at;
}

static void test_cstp_in_every_chunk_size(void)
{
	static uint8_t stream[65536];

	for (size_t m = 0; m < 3; m++) {
		size_t length = make_stream(all[m], stream);
		struct seen whole = decode_by(cstp(all[m]), stream, length, length);

		CHECK(whole.packets == 12 && whole.rc == VE_OK);
		for (size_t step = 1; step < 100; step++) {
			struct seen seen = decode_by(cstp(all[m]), stream, length, step);

			CHECK(!memcmp(&seen, &whole, sizeof(seen)));
			stalling_does_not_matter(&whole, cstp(all[m]), stream, length, step);
		}
	}
}

static void test_cstp_with_wrong_bytes(void)
{
	static uint8_t stream[65536];
	uint32_t seed = 11;

	for (int round = 0; round < 500; round++) {
		const char *name = all[round % 3];
		size_t length = make_stream(name, stream);
		struct seen whole, cut;

		for (int i = 0; i < 2; i++)
			stream[noise(&seed) % length] = (uint8_t)noise(&seed);
		whole = decode_by(cstp(name), stream, length, length);
		cut = decode_by(cstp(name), stream, length, 1 + noise(&seed) % 300);
		CHECK(!memcmp(&whole, &cut, sizeof(whole)));
	}
}

static void test_what_is_missing_is_named(void)
{
	char err[256];

	CHECK(!ve_compression_new("zstd", err, sizeof(err)));
	CHECK(!strcmp(err, "no compression named 'zstd' in this engine"));
}

int main(void)
{
	test_the_vectors();
	test_what_is_shrunk_expands_and_damage_stays_in_bounds();
	test_noise();
	test_cstp_in_every_chunk_size();
	test_cstp_with_wrong_bytes();
	test_what_is_missing_is_named();
	return 0;
}
