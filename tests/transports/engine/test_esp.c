/*
 * test_esp.c: ESP without Python, for the sanitizers: vectors, every length both ways, the window, no allocation a packet.
 *
 * Every datagram handed in is allocated to its exact size, so that a byte too far is seen.
 * Vectors: ESP notes, section 15.
 */
#include "../../../protocols/framing/esp_sa.h"

#include "check.h"

#include <openssl/crypto.h>

static char err[256];
static size_t allocations;		/* of libcrypto, so far */

static void *counted_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return malloc(n);
}

static void *counted_realloc(void *old, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return realloc(old, n);
}

static void counted_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

struct pair {
	uint8_t cipher, mac;
	size_t keys, overhead, align;		/* bytes; overhead: around the ciphertext */
};

static const struct pair pairs[] = {
	{2, 1, 32, 36, 16}, {2, 2, 36, 36, 16}, {2, 3, 48, 40, 16}, {5, 1, 48, 36, 16},
	{5, 2, 52, 36, 16}, {5, 3, 64, 40, 16}, {32, 0, 20, 32, 4}, {33, 0, 36, 32, 4},
};

enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };

/* The option of the notes' SA: cipher key from 0x10 on, MAC key from 0x40 on. */
static void set_sa(struct ve_codec *codec, const char *option, const struct pair *pair)
{
	size_t key = pair->cipher == 5 || pair->cipher == 33 ? 32 : 16;
	uint8_t *value = malloc(8 + pair->keys);

	CHECK(value);
	memcpy(value, (uint8_t[]){pair->cipher, pair->mac, 0, 0, 0x12, 0x34, 0xab, 0xcd}, 8);
	for (size_t i = 0; i < pair->keys; i++)
		value[8 + i] = (uint8_t)(i < key ? 0x10 + i : 0x40 + i - key);
	CHECK(ve_codec_set(codec, option, value, 8 + pair->keys) == VE_OK);
	free(value);
}

static struct ve_codec *esp(const struct pair *pair)
{
	struct ve_codec *codec = ve_codec_new("esp", err, sizeof(err));

	CHECK(codec);
	set_sa(codec, "esp.in", pair);
	set_sa(codec, "esp.out", pair);
	return codec;
}

static struct ve_sink *memory(size_t slots)
{
	struct ve_sink *sink = ve_sink_memory(slots, err, sizeof(err));

	CHECK(sink);
	return sink;
}

static uint64_t counter(struct ve_codec *codec, const char *wanted)
{
	const char *name;
	uint64_t value;

	for (size_t i = 0; ve_codec_counter(codec, i, &name, &value) == VE_OK; i++)
		if (!strcmp(name, wanted))
			return value;
	CHECK(!"such a counter");
	return 0;
}

static void feed_exact(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);

	CHECK(exact);
	memcpy(exact, data, length);
	CHECK(ve_codec_datagram(codec, sink, exact, length) == VE_OK);
	free(exact);
}

static size_t unhex(const char *text, uint8_t *out)
{
	size_t n = strlen(text) / 2;
	unsigned int byte;

	for (size_t i = 0; i < n; i++) {
		CHECK(sscanf(text + 2 * i, "%2x", &byte) == 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

/* ---- vectors ---- */

#define HEAD(number) "1234abcd" number "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define BODY_128 "08c178b079307341cbbfcbc06f977c2802d94e78086f25db077cbf8667d3d7ddffb7a09121189dad41113cdaab36dae2"
#define BODY_256 "dd8c38bc31d329363773f6d7641ec783b5ea9aecb4502ec72bafc453fc93abd4ce8bb11d2ec0c181f2e7bdc38c6a4124"

static const struct {
	int pair;
	int packet;			/* bytes delivered, or 0 */
	const char *counter, *datagram;	/* what is counted */
} vectors[] = {
	{0, 44, "esp_authentic", HEAD("00000001") BODY_128 "b244e48fc693352eb325c93b"},
	{1, 44, "esp_authentic", HEAD("00000001") BODY_128 "28c9c21eebb7559037b26e99"},
	{2, 44, "esp_authentic", HEAD("00000001") BODY_128 "653e2eeb14ad4addba2cc209429c4832"},
	{3, 44, "esp_authentic", HEAD("00000001") BODY_256 "0b3ba4c1d94aad3c759769a7"},
	{4, 44, "esp_authentic", HEAD("00000001") BODY_256 "34145545eb02c4221bb017b1"},
	{5, 44, "esp_authentic", HEAD("00000001") BODY_256 "646a88aa279ffaba99b0b5c62e3cc463"},
	{5, 64, "esp_authentic", HEAD("00000002") "5d11fe0e6393a2a219ac4d68abd4a44ecb4d0610310f137d1368cb06da87978103f3"
	 "82361e8ab74bf4055e0d952bf327441f0be30506b33beeb9aa3f841aff80664cb0ec2382c226ed4939a9746bcd5bb2a3c8e5510c1801f8"
	 "cb55030e1d2fe8"},
	{1, 30, "esp_authentic", HEAD("fffffffe") "ab88ace504de322a398432cd8f9a92845abdad0e87b0f82bc3e06719fd184bc2b53b"
	 "f064583b4e854a78621f"},
	{1, 31, "esp_authentic", HEAD("00000003") "7afc1bb6f9cc417992fdb7a3fc1db3cb5a676f9f193504d897f7fb30f2862ac95689"
	 "0e44868ca5c41dc7e6a78fd742ad6db34d2b9c26dfb05b07386e"},
	{0, 0, "esp_authentic", HEAD("00000000") "080eb7be7d6f81d1710f1a06975c44fa1e1d4f58f0910126c2c186f1"},
	{1, 0, "esp_lzo", HEAD("00000007") "436c33dbbdb417c3b4b9a20c2c5a50ecdc8bd87806180fa78c43ed376fafc1e99a8ee610ebc0"
	 "199793492ae79718e4f11e208c89a95d4642c36f3fec3edbbb12f96edce59f868422891f24c7"},
	{1, 0, "esp_pad", HEAD("00000008") "08c178b079307341cbbfcbc06f977c2802d94e78086f25db077cbf8667d3d7dd559b764b7d8e"
	 "bffd048859c7908ffe4892c3aeeb311fe57b8330d850"},
	{1, 0, "esp_pad", HEAD("00000009") "8eed79c0311d76d093aa990be32339a30bbcd0738c61296ccf11863d"},
};

static void test_vectors_and_all_their_truncations(void)
{
	uint8_t datagram[256], out[VE_MAX_PACKET];

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct ve_codec *codec = esp(&pairs[vectors[i].pair]);
		struct ve_sink *sink = memory(4);
		size_t length = unhex(vectors[i].datagram, datagram);

		for (size_t cut = 0; cut < length; cut++)
			feed_exact(codec, sink, datagram, cut);
		CHECK(counter(codec, "esp_authentic") == 0);
		feed_exact(codec, sink, datagram, length);
		CHECK(counter(codec, vectors[i].counter) == 1);
		CHECK(ve_sink_flush(sink) == VE_OK);
		CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == (vectors[i].packet ? vectors[i].packet : VE_EMPTY));
		feed_exact(codec, sink, datagram, length);
		CHECK(counter(codec, "esp_replay") == 1);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

/* ---- both ways ---- */

/* Encoded to exactly the room it needs, from elsewhere and in place; decoded out of exactly that. */
static void round_trip(struct ve_codec *codec, struct ve_sink *sink, const struct pair *pair, size_t length)
{
	size_t whole = pair->overhead + (length + 2 + pair->align - 1) / pair->align * pair->align;
	size_t head = pair->mac ? 24 : 16;
	uint8_t packet[2000], out[VE_MAX_PACKET], *frame = malloc(whole);

	CHECK(frame);
	make_ipv4(packet, length, (unsigned int)length);
	CHECK(ve_codec_encode(codec, packet, length, frame, whole - 1) == VE_FULL);
	CHECK(ve_codec_encode(codec, packet, length, frame, whole) == (int)whole);
	CHECK(ve_codec_datagram(codec, sink, frame, whole) == VE_OK);
	memcpy(frame + head, packet, length);
	CHECK(ve_codec_encode(codec, frame + head, length, frame, whole) == (int)whole);
	CHECK(ve_codec_datagram(codec, sink, frame, whole) == VE_OK);
	CHECK(ve_sink_flush(sink) == VE_OK);
	for (int i = 0; i < 2; i++)
		CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == (int)length && !memcmp(out, packet, length));
	free(frame);
}

static void test_every_length_of_every_pair(void)
{
	for (size_t i = 0; i < PAIRS; i++) {
		struct ve_codec *codec = esp(&pairs[i]);
		struct ve_sink *sink = memory(4);
		struct ve_sink_stats stats;

		for (size_t length = 20; length < 300; length++)
			round_trip(codec, sink, &pairs[i], length);
		ve_sink_stats(sink, &stats);
		CHECK(stats.in_place == 560 && stats.copied == 0);
		CHECK(counter(codec, "esp_authentic") == 560 && counter(codec, "esp_icv") == 0);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

static void test_no_allocation_a_packet(void)
{
	for (size_t i = 0; i < PAIRS; i++) {
		struct ve_codec *codec = esp(&pairs[i]);
		struct ve_sink *sink = memory(4);
		size_t before;

		round_trip(codec, sink, &pairs[i], 1400);
		before = allocations;
		for (int n = 0; n < 200; n++)
			round_trip(codec, sink, &pairs[i], 1400);
		CHECK(allocations == before);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

static void test_bits_changed(void)
{
	uint8_t packet[60], frame[200];

	make_ipv4(packet, sizeof(packet), 1);
	for (size_t i = 0; i < PAIRS; i++) {
		struct ve_codec *codec = esp(&pairs[i]);
		struct ve_sink *sink = memory(4);
		int length = ve_codec_encode(codec, packet, sizeof(packet), frame, sizeof(frame));
		uint64_t wrong = 0;

		CHECK(length > 0);
		for (size_t bit = 32; bit < (size_t)length * 8; bit++, wrong++) {
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
			feed_exact(codec, sink, frame, (size_t)length);
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
			ve_sink_flush(sink);
		}
		CHECK(counter(codec, "esp_icv") == wrong && counter(codec, "esp_authentic") == 0);
		feed_exact(codec, sink, frame, (size_t)length);
		CHECK(counter(codec, "esp_authentic") == 1);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

static void test_the_largest(void)
{
	static uint8_t packet[VE_MAX_PACKET], frame[20000], out[VE_MAX_PACKET];

	for (size_t i = 0; i < PAIRS; i++) {
		struct ve_codec *codec = esp(&pairs[i]);
		struct ve_sink *sink = memory(1);
		int length;

		make_ipv4(packet, VE_MAX_PACKET - 2, 1);
		CHECK(ve_codec_encode(codec, packet, VE_MAX_PACKET - 1, frame, sizeof(frame)) == VE_ERROR);
		length = ve_codec_encode(codec, packet, VE_MAX_PACKET - 2, frame, sizeof(frame));
		CHECK(length > VE_MAX_PACKET);
		feed_exact(codec, sink, frame, (size_t)length);
		CHECK(ve_sink_flush(sink) == VE_OK);
		CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == VE_MAX_PACKET - 2);
		CHECK(ve_codec_datagram(codec, sink, NULL, 65535) == VE_OK);	/* not read: the length says enough */
		CHECK(counter(codec, "esp_trunc") == 1);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

/* ---- the parts ---- */

static void test_the_window_at_its_edges(void)
{
	struct ve_seqwin window = {0, 0};

	CHECK(ve_seqwin_take(&window, 0) == VE_SEQUENCE_FRESH);
	CHECK(ve_seqwin_take(&window, 0) == VE_SEQUENCE_REPLAY);
	CHECK(ve_seqwin_take(&window, 63) == VE_SEQUENCE_FRESH && ve_seqwin_take(&window, 0) == VE_SEQUENCE_REPLAY);
	CHECK(ve_seqwin_take(&window, 64) == VE_SEQUENCE_FRESH && ve_seqwin_take(&window, 0) == VE_SEQUENCE_OLD);
	CHECK(ve_seqwin_take(&window, 1) == VE_SEQUENCE_FRESH && ve_seqwin_take(&window, 1) == VE_SEQUENCE_REPLAY);
	CHECK(ve_seqwin_take(&window, 129) == VE_SEQUENCE_FRESH && window.map == 1);	/* a gap of 65 */
	CHECK(ve_seqwin_take(&window, 0xffffffff) == VE_SEQUENCE_FRESH && window.next == (uint64_t)1 << 32);
	CHECK(ve_seqwin_take(&window, 0xffffffc0) == VE_SEQUENCE_FRESH);
	CHECK(ve_seqwin_take(&window, 0xffffffbf) == VE_SEQUENCE_OLD);
	CHECK(ve_seqwin_take(&window, 0) == VE_SEQUENCE_OLD && ve_seqwin_take(&window, 0xffffffff) == VE_SEQUENCE_REPLAY);
}

static void test_a_cleared_sa_holds_nothing(void)
{
	static const uint8_t zeros[sizeof(struct ve_esp_sa)];
	struct ve_codec *codec = esp(&pairs[0]);
	struct ve_esp_sa sa;
	uint8_t option[8 + 52] = {5, 2, 0, 0, 0, 0, 1, 0};

	memset(option + 8, 0x5a, 52);
	CHECK(ve_esp_sa_init(&sa, codec, "esp.out", option, sizeof(option)) == VE_OK);
	CHECK(sa.cipher && sa.iv_cipher && memcmp(&sa, zeros, sizeof(sa)) != 0);
	ve_esp_sa_clear(&sa);
	CHECK(!memcmp(&sa, zeros, sizeof(sa)));
	ve_codec_free(codec);
}

static void test_rekey_leaks_nothing(void)
{
	struct ve_codec *codec = esp(&pairs[0]);

	for (size_t i = 0; i < 10 * PAIRS; i++) {
		set_sa(codec, "esp.in", &pairs[i % PAIRS]);
		set_sa(codec, "esp.out", &pairs[(i + 3) % PAIRS]);
		if (i % 5 == 0)
			CHECK(ve_codec_set(codec, "esp.expire-old", NULL, 0) == VE_OK);
		if (i % 7 == 0)
			CHECK(ve_codec_set(codec, "esp.close", NULL, 0) == VE_OK);
		CHECK(ve_codec_set(codec, "esp.in", (const uint8_t *)"\2\2\0\0\0\0\0", 8) == VE_ERROR);
	}
	ve_codec_free(codec);
}

int main(void)
{
	CHECK(CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free));
	test_vectors_and_all_their_truncations();
	test_every_length_of_every_pair();
	test_no_allocation_a_packet();
	test_bits_changed();
	test_the_largest();
	test_the_window_at_its_edges();
	test_a_cleared_sa_holds_nothing();
	test_rekey_leaks_nothing();
	return 0;
}
