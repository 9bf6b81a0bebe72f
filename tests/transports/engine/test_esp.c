/*
 * test_esp.c: ESP without Python, for the sanitizers: vectors, every length both ways, the window, no allocation a packet.
 *
 * Every datagram handed in is allocated to its exact size, so that a byte too far is seen.  All of it runs twice where the
 * engine can do several packets at once: singly, and each packet as one of several.
 * Vectors: ESP notes, section 15.
 */
#include "../../../protocols/framing/esp_sa.h"

#include "crypto_check.h"

static char err[256];
static uint8_t together;		/* the option esp.together */

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
	CHECK(ve_codec_set(codec, "esp.together", &together, 1) == VE_OK);
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

static void take(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	struct ve_span span = {data, length};

	CHECK((together ? ve_codec_datagrams(codec, sink, &span, 1) : ve_codec_datagram(codec, sink, data, length)) == VE_OK);
}

static int encode(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	int n = (together ? ve_codec_encode_later : ve_codec_encode)(codec, packet, length, out, size);

	ve_codec_finish(codec);
	return n;
}

static void feed_exact(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);

	CHECK(exact);
	memcpy(exact, data, length);
	take(codec, sink, exact, length);
	free(exact);
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
	CHECK(encode(codec, packet, length, frame, whole - 1) == VE_FULL);
	CHECK(encode(codec, packet, length, frame, whole) == (int)whole);
	take(codec, sink, frame, whole);
	memcpy(frame + head, packet, length);
	CHECK(encode(codec, frame + head, length, frame, whole) == (int)whole);
	take(codec, sink, frame, whole);
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
		int length = encode(codec, packet, sizeof(packet), frame, sizeof(frame));
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
		CHECK(encode(codec, packet, VE_MAX_PACKET - 1, frame, sizeof(frame)) == VE_ERROR);
		length = encode(codec, packet, VE_MAX_PACKET - 2, frame, sizeof(frame));
		CHECK(length > VE_MAX_PACKET);
		feed_exact(codec, sink, frame, (size_t)length);
		CHECK(ve_sink_flush(sink) == VE_OK);
		CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == VE_MAX_PACKET - 2);
		take(codec, sink, NULL, 65535);		/* not read: the length says enough */
		CHECK(counter(codec, "esp_trunc") == 1);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

/* ---- several at once ---- */

enum { FRAMES = 70, SPACE = 1 + FRAMES * 400 };	/* at an odd address, one directly behind the other */

/* Frames yet to be finished, of lengths all mixed; the end of the last. */
static size_t lay(struct ve_codec *codec, uint8_t *space, struct ve_span *frames, size_t count)
{
	size_t at = 1;

	for (size_t i = 0; i < count; i++) {
		uint8_t packet[400];
		size_t length = 20 + i * 53 % 300;
		int n;

		make_ipv4(packet, length, (unsigned int)i);
		n = ve_codec_encode_later(codec, packet, length, space + at, SPACE - at);
		CHECK(n > 0);
		frames[i] = (struct ve_span){space + at, (size_t)n};
		at += (size_t)n;
	}
	return at;
}

static void check_frames(struct ve_codec *codec, struct ve_sink *sink, const struct ve_span *frames, size_t count)
{
	uint8_t packet[400], out[VE_MAX_PACKET];

	CHECK(ve_codec_datagrams(codec, sink, frames, count) == VE_OK);
	CHECK(ve_sink_flush(sink) == VE_OK);
	for (size_t i = 0; i < count; i++) {
		size_t length = 20 + i * 53 % 300;

		make_ipv4(packet, length, (unsigned int)i);
		CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == (int)length && !memcmp(out, packet, length));
	}
	CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == VE_EMPTY);
}

static void test_frames_side_by_side_touch_nothing_else(void)
{
	static uint8_t space[SPACE];
	struct ve_span frames[FRAMES];

	for (size_t i = 0; i < PAIRS; i++) {
		struct ve_sink *sink = memory(FRAMES);

		for (size_t count = 0; count <= FRAMES; count++) {
			struct ve_codec *codec = esp(&pairs[i]);
			size_t end;

			memset(space, 0xa5, sizeof(space));
			end = lay(codec, space, frames, count);
			ve_codec_finish(codec);
			CHECK(space[0] == 0xa5);
			for (; end < sizeof(space); end++)
				CHECK(space[end] == 0xa5);
			check_frames(codec, sink, frames, count);
			CHECK(counter(codec, "esp_together") == (together && pairs[i].mac ? 2 * count : 0));
			ve_codec_free(codec);
		}
		ve_sink_free(sink);
	}
}

/* Whatever happens to the keys, what was begun with them is finished with them. */
static void test_new_keys_before_the_frames_are_finished(void)
{
	static const struct pair *const first = &pairs[1], *const second = &pairs[5];
	static uint8_t space[SPACE];
	struct ve_span frames[20];

	for (int closed = 0; closed < 2; closed++) {
		struct ve_codec *codec = esp(first), *peer = esp(first);
		struct ve_sink *sink = memory(FRAMES);

		lay(codec, space, frames, 20);
		if (closed)
			CHECK(ve_codec_set(codec, "esp.close", NULL, 0) == VE_OK);
		else
			set_sa(codec, "esp.out", second);
		check_frames(peer, sink, frames, 20);
		if (closed)
			set_sa(codec, "esp.out", second);
		set_sa(peer, "esp.in", second);
		lay(codec, space, frames, 20);
		ve_codec_finish(codec);
		ve_codec_finish(codec);		/* nothing is left to do */
		check_frames(peer, sink, frames, 20);
		ve_codec_free(codec);
		ve_codec_free(peer);
		ve_sink_free(sink);
	}
}

static void test_frames_that_are_never_finished(void)
{
	uint8_t *space = malloc(SPACE);
	struct ve_codec *codec = esp(&pairs[1]);
	struct ve_span frames[20];

	CHECK(space);
	lay(codec, space, frames, 20);
	free(space);
	ve_codec_free(codec);		/* does not look at them */
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
	struct ve_esp_batch *batch = ve_esp_batch_new(0);
	struct ve_esp_sa sa;
	uint8_t option[8 + 52] = {5, 2, 0, 0, 0, 0, 1, 0};

	memset(option + 8, 0x5a, 52);
	CHECK(ve_esp_sa_init(&sa, codec, "esp.out", option, sizeof(option)) == VE_OK);
	CHECK(sa.cipher && sa.iv_cipher && memcmp(&sa, zeros, sizeof(sa)) != 0);
	if (batch)
		ve_esp_sa_together(&sa, batch, option);
	CHECK(!batch || sa.together.key == 32);
	ve_esp_batch_free(batch);
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

static int can_do_together(void)
{
	struct ve_esp_batch *batch = ve_esp_batch_new(0);

	ve_esp_batch_free(batch);
	return batch != NULL;
}

static void run(void)
{
	test_vectors_and_all_their_truncations();
	test_every_length_of_every_pair();
	test_no_allocation_a_packet();
	test_bits_changed();
	test_the_largest();
	test_frames_side_by_side_touch_nothing_else();
	test_new_keys_before_the_frames_are_finished();
	test_frames_that_are_never_finished();
	test_the_window_at_its_edges();
	test_a_cleared_sa_holds_nothing();
	test_rekey_leaks_nothing();
}

int main(void)
{
	count_allocations();
	run();
	together = 1;
	if (can_do_together())
		run();
	return 0;
}
