/*
 * test_packets.c: the framings of bare packets (Array) and of capsules (CONNECT-IP) without Python, for the sanitizers:
 * streams in every size of chunk and cut in two, streams with wrong bytes, encoding in buffers of the exact size.
 */
#include "../../fuzz/chunking.h"

#include "check.h"

enum { STREAM = 65536, DESYNC = 0 /* array_desync is the first counter of array.c */ };

struct stream {
	uint8_t bytes[STREAM];
	size_t length;
};

static void add_hex(struct stream *s, const char *hex)
{
	unsigned int byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
		CHECK(s->length < STREAM);
		s->bytes[s->length++] = (uint8_t)byte;
	}
}

static void add_packet(struct stream *s, size_t length)
{
	CHECK(s->length + length <= STREAM);
	make_ipv4(s->bytes + s->length, length, (unsigned int)length);
	s->length += length;
}

/* Exact copies, so that a byte too far is seen. */
static struct seen decoded(const char *framing, const struct stream *s, size_t step)
{
	uint8_t *exact = malloc(s->length);
	struct seen seen;

	CHECK(exact);
	memcpy(exact, s->bytes, s->length);
	seen = decode(framing, exact, s->length, step);
	free(exact);
	return seen;
}

static struct seen in_every_chunk_size(const char *framing, const struct stream *s)
{
	struct seen whole = decoded(framing, s, s->length);

	for (size_t step = 1; step < 120; step++) {
		struct seen seen = decoded(framing, s, step);

		CHECK(!memcmp(&seen, &whole, sizeof(seen)));
		chunks_do_not_matter(framing, s->bytes, s->length, step);
	}
	return whole;
}

/* xorshift: the same noise every run */
static uint32_t noise(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Where reads end matters to Array once it is out of step. */
static void with_wrong_bytes(const char *framing, const struct stream *good, int ends_matter)
{
	static struct stream bad;
	uint32_t seed = 5;

	for (int round = 0; round < 800; round++) {
		struct seen whole, cut;

		bad = *good;
		for (int i = 0; i < 3; i++)
			bad.bytes[noise(&seed) % (round % 2 ? bad.length : 200)] = (uint8_t)noise(&seed);
		whole = decoded(framing, &bad, bad.length);
		cut = decoded(framing, &bad, 1 + noise(&seed) % 500);
		if (!ends_matter || !whole.counters[DESYNC])
			CHECK(!memcmp(&whole, &cut, sizeof(whole)));
	}
}

/* ---- Array ---- */

/* Array notes, section 15: keep-alive, kill, client id and its answer. */
static void array_stream(struct stream *s)
{
	s->length = 0;
	add_packet(s, 28);
	add_hex(s, "450000140000000000ff00000001000000000000");
	add_packet(s, 1400);
	add_hex(s, "450000140000000000ff0000000200000000000e");
	add_hex(s, "450000250000000000ff0000000400000000115144544c532053504545442054554e4e454c");
	add_packet(s, 20);
	add_packet(s, 16385);		/* more than any sink takes */
	add_packet(s, 16384);
	add_hex(s, "6000000000143a40");
	for (int i = 0; i < 52; i++)
		add_hex(s, "00");
}

static void test_array(void)
{
	static struct stream s;
	struct seen seen;

	array_stream(&s);
	seen = in_every_chunk_size("array", &s);
	CHECK(seen.packets == 5 && seen.controls == 3 && seen.rc == VE_OK && !seen.counters[DESYNC]);
	with_wrong_bytes("array", &s, 1);
}

static void test_array_records_in_exact_buffers(void)
{
	char err[256];
	struct ve_codec *codec = ve_codec_new("array", err, sizeof(err));
	struct ve_sink *sink = ve_sink_memory(4, err, sizeof(err));
	uint8_t packet[64];

	CHECK(codec && sink);
	make_ipv4(packet, 64, 1);
	for (size_t length = 0; length <= 64; length++) {
		for (unsigned int first = 0; first < 256; first++) {
			uint8_t *exact = malloc(length ? length : 1);

			CHECK(exact);
			memcpy(exact, packet, length);
			if (length)
				exact[0] = (uint8_t)first;
			if (length > 3)
				exact[3] = (uint8_t)length;
			CHECK(ve_codec_datagram(codec, sink, exact, length) == VE_OK);
			free(exact);
		}
	}
	ve_codec_free(codec);
	ve_sink_free(sink);
}

/* ---- capsules ---- */

/* CONNECT-IP notes, section 18. */
static void capsule_stream(struct stream *s)
{
	s->length = 0;
	add_hex(s, "01070104c000020b20030a0400000000ffffffff00");
	add_hex(s, "002100450000200001000040118e86c000020bc633640703e80035000c4aac61626364");
	add_hex(s, "1702dead4040000000000100000200ff0003027a7a");
	add_hex(s, "4000800000224000450000200001000040118e86c000020bc633640703e80035000c4aac61626364");
	add_hex(s, "00457900");
	add_packet(s, 1400);
	add_hex(s, "008000400100");
	add_packet(s, 16384);
	add_hex(s, "008000400200");
	add_packet(s, 16385);
	add_hex(s, "01000300");
}

static void test_capsules(void)
{
	static struct stream s;
	struct seen seen;

	capsule_stream(&s);
	seen = in_every_chunk_size("capsule", &s);
	CHECK(seen.packets == 4 && seen.controls == 4 && seen.rc == VE_OK);
	with_wrong_bytes("capsule", &s, 0);
}

static void test_a_large_capsule_in_pieces(void)
{
	static struct ve_control control;
	static uint8_t chunk[1000];
	char err[256];
	struct ve_codec *codec = ve_codec_new("capsule", err, sizeof(err));
	struct ve_sink *sink = ve_sink_memory(1, err, sizeof(err));
	size_t taken = 0;

	CHECK(codec && sink);
	CHECK(ve_codec_feed(codec, sink, (const uint8_t *)"\x03\x80\x00\xfd\xe8", 5) == VE_OK);	/* 65000 bytes */
	for (int i = 0; i < 65; i++) {
		CHECK(ve_codec_feed(codec, sink, chunk, sizeof(chunk)) == VE_OK);
		while (ve_codec_next_control(codec, &control) == VE_OK) {
			taken += control.length;
			CHECK(control.kind == (taken == 65000 ? 3 : 0x103));
		}
	}
	CHECK(taken == 65000 && ve_codec_end(codec) == VE_OK);
	ve_codec_free(codec);
	ve_sink_free(sink);
}

static void test_encoding_in_exact_buffers(void)
{
	char err[256];
	struct ve_codec *codec = ve_codec_new("capsule", err, sizeof(err));
	static uint8_t packet[VE_MAX_PACKET];

	CHECK(codec);
	for (size_t length = 20; length <= VE_MAX_PACKET; length += length < 100 ? 1 : 977) {
		size_t head = length + 1 < 64 ? 3 : length + 1 < 16384 ? 4 : 6;
		uint8_t *exact = malloc(head + length);

		CHECK(exact);
		make_ipv4(packet, length, 1);
		CHECK(ve_codec_encode(codec, packet, length, exact, head + length) == (int)(head + length));
		CHECK(ve_codec_encode(codec, packet, length, exact, head + length - 1) == VE_FULL);
		free(exact);
	}
	ve_codec_free(codec);
}

int main(void)
{
	test_array();
	test_array_records_in_exact_buffers();
	test_capsules();
	test_a_large_capsule_in_pieces();
	test_encoding_in_exact_buffers();
	return 0;
}
