/*
 * test_ppp.c: PPP carriers without Python, for the sanitizers: both kernels of HDLC against the definition, vectors and
 * composed streams in every size of chunk, streams with wrong bytes, encoding into buffers of just that size.
 */
#include "../../fuzz/chunking.h"
#include "../../../protocols/framing/hdlc.h"

#include "check.h"

enum { STREAM = 65536, CONTROL = 0x80fd };

static char err[256];

/* xorshift: the same noise every run */
static uint32_t noise(void)
{
	static uint32_t state = 1;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* ---- the kernels ---- */

static uint16_t fcs_by_definition(uint16_t fcs, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		fcs ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			fcs = (uint16_t)(fcs & 1 ? fcs >> 1 ^ 0x8408 : fcs >> 1);
	}
	return fcs;
}

static size_t stuff(uint32_t accm, const uint8_t *in, size_t length, uint8_t *out)
{
	uint8_t *at = out;

	for (size_t i = 0; i < length; i++) {
		int special = in[i] == 0x7d || in[i] == 0x7e || (in[i] < 32 && accm >> in[i] & 1);

		if (special)
			*at++ = 0x7d;
		*at++ = special ? in[i] ^ 0x20 : in[i];
	}
	return (size_t)(at - out);
}

/* Un-stuffed in pieces into a buffer of just the size, or where it lies. */
static void unstuff(const struct hdlc_kernel *kernel, const uint8_t *wire, size_t size, const uint8_t *packet,
		    size_t length, int in_place)
{
	uint8_t *buffer = malloc(size + 1 + HDLC_SLACK), *exact = malloc(length ? length : 1);
	struct hdlc_run run = {.in = buffer, .out = in_place ? buffer : exact, .room = length};
	size_t left = size + 1;

	CHECK(buffer && exact);
	memset(buffer, HDLC_FLAG, size + 1 + HDLC_SLACK);
	memcpy(buffer, wire, size);
	while (left > 1) {
		size_t piece = 1 + noise() % left;

		run.left = piece;
		kernel->unescape(&run);
		CHECK(run.left == (piece == left));	/* all but the flag */
		left -= piece - run.left;
	}
	CHECK(left == 1 && *run.in == HDLC_FLAG && !run.escaped && !run.room);
	CHECK(!memcmp(run.out - length, packet, length));
	free(buffer);
	free(exact);
}

static void test_kernel(const struct hdlc_kernel *kernel)
{
	static uint8_t packet[700], wanted[1400], got[1400 + HDLC_SLACK];
	static const uint32_t maps[] = {0, HDLC_ACCM_ALL, 0x000a0000, 0x80000001};

	for (int round = 0; round < 4000; round++) {
		size_t length = noise() % (round % 4 ? 100 : sizeof(packet)), size;
		uint32_t accm = round % 5 < 4 ? maps[round % 5] : noise();
		uint16_t start = (uint16_t)noise();

		for (size_t i = 0; i < length; i++)
			packet[i] = (uint8_t)(noise() % 3 ? noise() : 0x70 + noise() % 16);
		CHECK(kernel->fcs(start, packet, length) == fcs_by_definition(start, packet, length));
		size = stuff(accm, packet, length, wanted);
		CHECK(kernel->escape(accm, packet, length, got) == size && !memcmp(got, wanted, size));
		unstuff(kernel, wanted, size, packet, length, round % 2);
	}
}

/* Full before the end: nothing is written beyond, and the byte that found no room stays. */
static void test_a_kernel_stops_where_it_is_full(const struct hdlc_kernel *kernel)
{
	uint8_t wire[64 + HDLC_SLACK] = {0};

	for (size_t room = 0; room < 40; room++) {
		uint8_t *exact = malloc(room ? room : 1);
		struct hdlc_run run = {.in = wire, .left = 64, .out = exact, .room = room};

		CHECK(exact);
		wire[20] = 0x7d;
		kernel->unescape(&run);
		CHECK(run.room == 0 && !run.escaped && (size_t)(run.in - wire) == room + (room > 20));
		free(exact);
	}
}

/* ---- streams ---- */

struct stream {
	const char *framing;
	uint8_t bytes[STREAM];
	size_t length;
};

static void add_hex(struct stream *s, const char *hex)
{
	unsigned int byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		s->bytes[s->length++] = (uint8_t)byte;
}

static struct ve_codec *codec_of(const char *framing, uint8_t plain)
{
	struct ve_codec *codec = ve_codec_new(framing, err, sizeof(err));

	CHECK(codec && ve_codec_set(codec, "ppp.data", (const uint8_t *)"\3", 1) == VE_OK);
	if (plain)
		CHECK(ve_codec_set(codec, "hdlc.plain", &plain, 1) == VE_OK);
	return codec;
}

/* A packet of this many bytes as our encoder frames it. */
static void add_packet(struct stream *s, struct ve_codec *codec, size_t length)
{
	uint8_t packet[2000];
	int n;

	make_ipv4(packet, length, (unsigned int)length);
	n = ve_codec_encode(codec, packet, length, s->bytes + s->length, STREAM - s->length);
	CHECK(n > 0);
	s->length += (size_t)n;
}

static struct seen decoded(const struct stream *s, size_t step, uint8_t plain)
{
	uint8_t *exact = malloc(s->length ? s->length : 1);
	struct seen seen;

	CHECK(exact);
	memcpy(exact, s->bytes, s->length);
	seen = decode_by(codec_of(s->framing, plain), exact, s->length, step);
	free(exact);
	return seen;
}

static void in_every_chunk_size(const struct stream *s, size_t packets, size_t controls)
{
	struct seen whole = decoded(s, s->length, 0);
	uint8_t hdlc = !strcmp(s->framing, "ppp-f5-hdlc");

	CHECK(whole.packets == packets && whole.controls == controls && whole.rc == VE_OK);
	CHECK(whole.sink.in_place == packets && whole.sink.copied == 0);
	for (size_t step = 1; step < 120; step++) {
		struct seen cut = decoded(s, step, hdlc && step % 2);

		CHECK(!memcmp(&cut, &whole, sizeof(cut)));
		stalling_does_not_matter(&whole, codec_of(s->framing, 0), s->bytes, s->length, step);
	}
}

static void with_wrong_bytes(const struct stream *s)
{
	static struct stream bad;
	uint8_t hdlc = !strcmp(s->framing, "ppp-f5-hdlc");

	for (int i = 0; i < 300; i++) {
		bad = *s;
		for (int flips = 0; flips < 3; flips++) {
			uint8_t byte = (uint8_t)(i % 3 ? noise() : 0x7c + noise() % 4);

			bad.bytes[noise() % (i % 2 ? bad.length : 200)] = byte;
		}
		bad.length -= noise() % 100;
		struct seen whole = decoded(&bad, bad.length, 0), cut = decoded(&bad, 1 + noise() % 300, hdlc);

		CHECK(!memcmp(&whole, &cut, sizeof(whole)));
		stalling_does_not_matter(&whole, codec_of(s->framing, hdlc), bad.bytes, bad.length, 1 + noise() % 300);
	}
}

/* PPP notes, section 16. */
static const char *const vectors[3][8] = {
	{
		"f5000016ff03c021010100120104057805061122334407020802", "f5000000", "f500000121", "f50000030020aa",
		"f500002621450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20",
		"f500002a" "ff030021450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20" "00",
	},
	{
		"7eff7d23c0217d217d217d207d387d217d247d25787d227d267d207d207d207d20"
		"7d257d267d312233447d277d227d287d2288b07e",
		"7e21450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce001100137d5e7d5d11135e5d001f207b687e",
		"7e7e7e", "7e21457d7e", "7e214500007e", "7e21457e", "21451e207d5e7d5e7e",
		"ff030021450000257d5d7d5e00004001e7410a0b01020a0b01010800e9ce001100137d5e7d5d11135e5d001f2004447e",
	},
	{
		"001850500012ff03c0210101000e01040569050611223344", "000650500000",
		"002d505000270021450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20",
		"001650500010c0210101000e01040569050611223344", "000750500001ff", "002c50500026"
		"21450000257d7e00004001e7410a0b01020a0b01010800e9ce001100137e7d11135e5d001f20",
	},
};

static void test_streams(void)
{
	static const char *const framings[3] = {"ppp-f5", "ppp-f5-hdlc", "ppp-fortinet"};
	static const size_t controls[3] = {1, 1, 2};
	static struct stream s;

	for (size_t i = 0; i < 3; i++) {
		struct ve_codec *codec = codec_of(framings[i], 0);

		s.framing = framings[i];
		s.length = 0;
		for (size_t j = 0; j < 8 && vectors[i][j]; j++)
			add_hex(&s, vectors[i][j]);
		in_every_chunk_size(&s, 2, controls[i]);
		for (size_t length = 20; length < 1500; length += 150)
			add_packet(&s, codec, length);
		in_every_chunk_size(&s, 12, controls[i]);
		with_wrong_bytes(&s);
		ve_codec_free(codec);
	}
}

/* ---- datagrams ---- */

static void test_every_truncation_of_a_datagram(void)
{
	static struct stream s;
	static struct ve_control control;

	add_hex(&s, vectors[0][0]);
	add_hex(&s, vectors[0][4]);
	for (size_t length = 0; length <= s.length; length++) {
		struct ve_codec *codec = codec_of("ppp-f5", 0);
		struct ve_sink *sink = ve_sink_memory(4, err, sizeof(err));
		uint8_t *exact = malloc(length ? length : 1);
		struct ve_sink_stats stats;

		CHECK(exact && sink);
		memcpy(exact, s.bytes, length);
		CHECK(ve_codec_datagram(codec, sink, exact, length) == VE_OK);
		ve_sink_stats(sink, &stats);
		CHECK(stats.copied == (length == s.length) && !stats.in_place);
		CHECK((ve_codec_next_control(codec, &control) == VE_OK) == (length >= 26));
		free(exact);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

/* ---- sending ---- */

static void test_encoding_writes_what_it_says(const char *framing, uint8_t plain)
{
	struct ve_codec *codec = codec_of(framing, plain);
	static uint8_t payload[300], wire[1024];

	for (size_t length = 0; length < sizeof(payload); length++) {
		int n = ve_codec_encode_control(codec, CONTROL, payload, length, wire, sizeof(wire));
		uint8_t *exact = malloc((size_t)n);

		CHECK(n > 0 && exact);
		for (int size = n - 40 > 0 ? n - 40 : 0; size < n; size++)
			CHECK(ve_codec_encode_control(codec, CONTROL, payload, length, exact, (size_t)size) == VE_FULL);
		CHECK(ve_codec_encode_control(codec, CONTROL, payload, length, exact, (size_t)n) == n);
		CHECK(!memcmp(exact, wire, (size_t)n));
		free(exact);
		payload[length] = (uint8_t)(length * 7);
	}
	ve_codec_free(codec);
}

int main(void)
{
	const struct hdlc_kernel *kernels[] = {&hdlc_plain, hdlc_best()};

	for (size_t i = 0; i < 2; i++) {
		test_kernel(kernels[i]);
		test_a_kernel_stops_where_it_is_full(kernels[i]);
		test_encoding_writes_what_it_says("ppp-f5-hdlc", (uint8_t)!i);
	}
	test_encoding_writes_what_it_says("ppp-f5", 0);
	test_encoding_writes_what_it_says("ppp-fortinet", 0);
	test_streams();
	test_every_truncation_of_a_datagram();
	return 0;
}
