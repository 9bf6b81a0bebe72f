/*
 * test_streams.c: the framings whose header only stands before a packet (GPST, oNCP, IF-T) without Python, for the
 * sanitizers: vectors and composed streams in every size of chunk, streams with wrong bytes, encoding.
 */
#include "../../fuzz/chunking.h"

#include "check.h"

enum { STREAM = 65536 };

struct stream {
	uint8_t bytes[STREAM];
	size_t length;
};

static void add(struct stream *s, const void *bytes, size_t length)
{
	CHECK(s->length + length <= STREAM);
	if (length)
		memcpy(s->bytes + s->length, bytes, length);
	s->length += length;
}

static void add_be(struct stream *s, uint32_t value, size_t length)
{
	for (size_t i = length; i-- > 0;) {
		uint8_t byte = (uint8_t)(value >> (8 * i));

		add(s, &byte, 1);
	}
}

static void add_packet(struct stream *s, size_t length)
{
	static uint8_t packet[STREAM];

	make_ipv4(packet, length, (unsigned int)length);
	add(s, packet, length);
}

static void add_hex(struct stream *s, const char *hex)
{
	unsigned int byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		add_be(s, byte, 1);
}

/* Exact copies, so that a byte too far is seen. */
static struct seen decoded(const char *framing, const struct stream *s, size_t step)
{
	uint8_t *exact = malloc(s->length ? s->length : 1);
	struct seen seen;

	CHECK(exact);
	memcpy(exact, s->bytes, s->length);
	seen = decode(framing, exact, s->length, step);
	free(exact);
	return seen;
}

static void in_every_chunk_size(const char *framing, const struct stream *s, const struct seen *wanted)
{
	for (size_t step = 1; step < 120; step++) {
		struct seen seen = decoded(framing, s, step);

		CHECK(!memcmp(&seen, wanted, sizeof(seen)));
		chunks_do_not_matter(framing, s->bytes, s->length, step);
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

static void with_wrong_bytes(const char *framing, const struct stream *s, int rounds)
{
	static struct stream bad;
	uint32_t seed = 1;
	int broken = 0;

	for (int i = 0; i < rounds; i++) {
		bad = *s;
		for (int flips = 0; flips < 3; flips++)
			bad.bytes[noise(&seed) % (i % 2 ? bad.length : 300)] = (uint8_t)noise(&seed);
		bad.length -= noise(&seed) % 100;
		chunks_do_not_matter(framing, bad.bytes, bad.length, noise(&seed) % 100 + 1);
		broken += decode(framing, bad.bytes, bad.length, bad.length).rc != VE_OK;
	}
	CHECK(broken > rounds / 100);
}

/* ---- GPST ------------------------------------------------------------------------------------------------------ */

static void add_gpst(struct stream *s, unsigned int type, size_t length)
{
	add_hex(s, "1a2b3c4d");
	add_be(s, type, 2);
	add_be(s, (uint32_t)length, 2);
	add_hex(s, type ? "0100000000000000" : "0000000000000000");
	if (length)
		add_packet(s, length);
}

static void test_gpst(void)
{
	static struct stream s;
	struct seen seen;

	/* GlobalProtect notes, section 18 */
	add_hex(&s, "1a2b3c4d000000000000000000000000");
	add_hex(&s, "1a2b3c4d0800001e01000000000000004500001e00010000401165fe0a6300020a63000912340009000a00006162");
	add_gpst(&s, 0x0800, 1400);
	add_gpst(&s, 0x86dd, 40);	/* is IPv4 */
	add_gpst(&s, 0x0800, 0);
	add_gpst(&s, 0x0800, 16384);
	add_gpst(&s, 0, 0);
	seen = decoded("gpst", &s, s.length);
	CHECK(seen.rc == VE_OK && seen.packets == 3 && seen.controls == 2);
	CHECK(seen.counters[1] == 1 && seen.counters[2] == 1 && seen.sink.aborted == 1 && seen.sink.copied == 0);
	in_every_chunk_size("gpst", &s, &seen);
	with_wrong_bytes("gpst", &s, 1000);
}

/* ---- oNCP ------------------------------------------------------------------------------------------------------ */

static void add_kmp(struct stream *s, unsigned int type, size_t length)
{
	add_hex(s, "000000000000");
	add_be(s, type, 2);
	add_hex(s, "00000000000000000000");
	add_be(s, (uint32_t)length, 2);
}

/* A stream of messages, cut into records of this size. */
static void cut_into_records(struct stream *out, const struct stream *messages, size_t size)
{
	out->length = 0;
	for (size_t at = 0; at < messages->length; at += size) {
		size_t n = messages->length - at < size ? messages->length - at : size;

		add_be(out, (uint32_t)((n & 255) << 8 | n >> 8), 2);
		add(out, messages->bytes + at, n);
	}
	add_hex(out, "000008");
}

/* Juniper notes, section 13 */
static void test_oncp_vector_j6(void)
{
	static struct stream s;
	struct seen seen;

	add_hex(&s, "3300000000000000012c000000000000000000000018450000180001000040fd");
	add_hex(&s, "65d40a0900010a09000241414141000000000000012b002c0000000000000000");
	add_hex(&s, "0000002b450000160002000040fd65d50a0900010a0900024242450000150003");
	add_hex(&s, "00003a0040fd65d50a0900010a09000243000000000000012c00000000000000");
	add_hex(&s, "0000000019450000190004000040fd65d00a0900010a09000244444444440000");
	add_hex(&s, "08");
	CHECK(s.length == 161);
	seen = decoded("oncp", &s, s.length);
	CHECK(seen.rc == VE_OK && seen.packets == 4 && seen.controls == 1 && seen.sink.in_place == 4);
	for (size_t step = 1; step <= s.length; step++)
		chunks_do_not_matter("oncp", s.bytes, s.length, step);
}

static void test_oncp(void)
{
	static const size_t sizes[] = {1, 7, 20, 21, 41, 42, 43, 1000, 16000, 65535};
	static struct stream messages, s;
	struct seen first = {0}, seen;

	add_kmp(&messages, 300, 1400 + 20 + 300);
	add_packet(&messages, 1400);
	add_packet(&messages, 20);
	add_packet(&messages, 300);
	add_kmp(&messages, 302, 0);
	add_kmp(&messages, 303, 60);
	add_packet(&messages, 60);
	add_kmp(&messages, 300, 100 + 19);
	add_packet(&messages, 100);
	add_packet(&messages, 19);
	add_kmp(&messages, 999, 200);
	add_packet(&messages, 200);
	add_kmp(&messages, 301, 16385);
	add_packet(&messages, 16385);
	add_kmp(&messages, 300, 16384);
	add_packet(&messages, 16384);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cut_into_records(&s, &messages, sizes[i] > 2 ? sizes[i] : sizes[i] + 2);
		seen = decoded("oncp", &s, s.length);
		CHECK(seen.rc == VE_OK && seen.packets == 5 && seen.controls == 2 && seen.sink.in_place == 5);
		CHECK(seen.counters[0] == 1 && seen.counters[2] == 1 && seen.counters[3] == 1 && seen.counters[4] == 1);
		CHECK(!i || !memcmp(&seen, &first, sizeof(seen)));	/* borders of records mean nothing */
		first = seen;
		if (sizes[i] > 40)
			in_every_chunk_size("oncp", &s, &seen);
	}
	with_wrong_bytes("oncp", &s, 1000);
	cut_into_records(&s, &messages, 33);
	with_wrong_bytes("oncp", &s, 1000);
}

/* ---- IF-T ------------------------------------------------------------------------------------------------------ */

static void add_ift(struct stream *s, uint32_t vendor, uint32_t type, size_t length)
{
	add_be(s, vendor, 4);
	add_be(s, type, 4);
	add_be(s, (uint32_t)(16 + length), 4);
	add_be(s, 7, 4);
	if (length)
		add_packet(s, length);
}

static void test_ift(void)
{
	static struct stream s;
	struct seen seen;

	/* Pulse notes, section 14: P1, P14, P15 */
	add_hex(&s, "0000559700000001000000140000000000010202");
	add_hex(&s, "00000a4c0000000500000018000000076e636d6f3d310a00");
	add_hex(&s, "00000a4c000000040000002c000000084500001c0001000040fd65d00a0900020a09000170696e6730303031");
	add_ift(&s, 0x0a4c, 4, 1400);
	add_ift(&s, 0x0a4c, 4, 0);
	add_ift(&s, 0x1234, 4, 50);
	add_ift(&s, 0x0a4c, 1, 16385);
	add_ift(&s, 0x0a4c, 4, 16384);
	add_ift(&s, 0x0a4c, 1, 16384);
	add_ift(&s, 0x0a4c, 0x89, 0);
	seen = decoded("ift", &s, s.length);
	CHECK(seen.rc == VE_OK && seen.packets == 3 && seen.controls == 4 && seen.sink.copied == 0);
	CHECK(seen.counters[0] == 1 && seen.counters[1] == 1 && seen.counters[2] == 1);
	in_every_chunk_size("ift", &s, &seen);
	with_wrong_bytes("ift", &s, 1000);
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

static void test_encode_in_place_and_elsewhere(const char *framing, size_t head)
{
	char err[200];
	struct ve_codec *one = ve_codec_new(framing, err, sizeof(err)), *two = ve_codec_new(framing, err, sizeof(err));
	uint8_t *frame = malloc(head + 100), *other = malloc(head + 100), packet[100];
	int n = (int)head + 100;

	CHECK(one && two && frame && other && ve_codec_headroom(one) == head);
	make_ipv4(packet, 100, 7);
	CHECK(ve_codec_encode(one, packet, 100, frame, head + 99) == VE_FULL);
	CHECK(ve_codec_encode(one, packet, 100, frame, head + 100) == n && !memcmp(frame + head, packet, 100));
	memcpy(other + head, packet, 100);
	CHECK(ve_codec_encode(two, other + head, 100, other, head + 100) == n && !memcmp(frame, other, head + 100));
	CHECK(ve_codec_encode(one, packet, 16384, frame, head + 100) == VE_ERROR);
	CHECK(ve_codec_encode_control(one, 0xfffffffe, NULL, 0, frame, head + 100) == VE_ERROR);
	free(frame);
	free(other);
	ve_codec_free(one);
	ve_codec_free(two);
}

static void test_oncp_control_frames(void)
{
	char err[200];
	struct ve_codec *codec = ve_codec_new("oncp", err, sizeof(err));
	uint8_t exact[25];

	CHECK(codec);
	CHECK(ve_codec_encode_control(codec, 0, (const uint8_t *)"\x08", 1, exact, 3) == 3 && !memcmp(exact, "\0\0\x08", 3));
	CHECK(ve_codec_encode_control(codec, 0, (const uint8_t *)"\x08", 1, exact, 2) == VE_FULL);
	CHECK(ve_codec_encode_control(codec, 303, (const uint8_t *)"abc", 3, exact, 25) == 25);
	CHECK(!memcmp(exact, "\x17\0\0\0\0\0\0\0\x01\x2f", 10) && !memcmp(exact + 20, "\0\3abc", 5));
	CHECK(ve_codec_encode_control(codec, 303, (const uint8_t *)"abc", 3, exact, 24) == VE_FULL);
	ve_codec_free(codec);
}

int main(void)
{
	test_gpst();
	test_oncp_vector_j6();
	test_oncp();
	test_ift();
	test_encode_in_place_and_elsewhere("gpst", 16);
	test_encode_in_place_and_elsewhere("oncp", 22);
	test_encode_in_place_and_elsewhere("ift", 16);
	test_oncp_control_frames();
	return 0;
}
