/*
 * test_core.c: sink, queue and CSTP codec without Python, for the sanitizers.
 *
 * Every buffer handed in is allocated to its exact size, so that a byte too far is seen.
 */
#include "codec.h"
#include "queue.h"
#include "sink.h"

#include "check.h"

enum { STREAM = 65536 };

static char err[256];

static struct ve_sink *memory(size_t slots)
{
	struct ve_sink *sink = ve_sink_memory(slots, err, sizeof(err));

	CHECK(sink);
	return sink;
}

static struct ve_codec *cstp(void)
{
	struct ve_codec *codec = ve_codec_new("cstp", err, sizeof(err));

	CHECK(codec);
	return codec;
}

/* ---- sink ---- */

static void test_sink_contract(void)
{
	struct ve_sink *sink = memory(3);
	struct ve_sink_stats stats;
	uint8_t out[VE_MAX_PACKET], *a, *b, *c;

	a = ve_sink_reserve(sink, 100);
	b = ve_sink_reserve(sink, 100);
	c = ve_sink_reserve(sink, VE_MAX_PACKET);
	CHECK(a && b && c && !ve_sink_reserve(sink, 1));
	make_ipv4(a, 100, 1);
	make_ipv4(c, VE_MAX_PACKET, 3);
	CHECK(ve_sink_commit(sink, c, VE_MAX_PACKET) == VE_OK);
	CHECK(ve_sink_flush(sink) == VE_OK && ve_sink_memory_take(sink, out, sizeof(out)) == VE_EMPTY);
	CHECK(ve_sink_commit(sink, a, 101) == VE_ERROR);	/* growing */
	CHECK(ve_sink_commit(sink, a, 100) == VE_ERROR);	/* no longer open */
	CHECK(ve_sink_abort(sink, b) == VE_OK && ve_sink_abort(sink, b) == VE_ERROR);
	CHECK(ve_sink_flush(sink) == VE_OK);
	CHECK(ve_sink_memory_take(sink, out, 10) == VE_FULL);
	CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == VE_MAX_PACKET && out[5] == 3);
	CHECK(ve_sink_reserve(sink, VE_MAX_PACKET + 1) == NULL);
	CHECK(ve_sink_write(sink, out, VE_MAX_PACKET + 1) == VE_ERROR);
	ve_sink_stats(sink, &stats);
	CHECK(stats.packets == 1 && stats.in_place == 1 && stats.aborted == 1 && stats.oversize == 3);
	CHECK(stats.dropped_full == 1);
	ve_sink_free(sink);
}

/* Every truncation of a packet, and every first byte, in a buffer of exactly that size. */
static void test_judgement_reads_no_byte_too_far(void)
{
	for (size_t length = 0; length <= 64; length++) {
		for (unsigned int first = 0; first < 256; first++) {
			uint8_t *exact = malloc(length ? length : 1);
			size_t total;

			CHECK(exact);
			memset(exact, 0xff, length ? length : 1);
			for (size_t i = 0; i < 2 && 2 + i < length; i++)
				exact[2 + i] = i ? (uint8_t)length : 0;
			if (length)
				exact[0] = (uint8_t)first;
			total = ve_ip_length(exact, length);
			CHECK(total <= length);
			free(exact);
		}
	}
}

/* ---- queue ---- */

static void test_queue_wraps_and_is_bounded(void)
{
	struct ve_queue *queue = ve_queue_new(4, 100);
	struct ve_control *out = malloc(sizeof(*out));
	uint8_t payload[64];

	CHECK(queue && out);
	CHECK(ve_queue_peek(queue, out) == VE_EMPTY);
	ve_queue_pop(queue);
	for (unsigned int i = 0; i < 1000; i++) {	/* every offset of the ring is passed */
		size_t length = i % 37;

		memset(payload, (int)i, sizeof(payload));
		CHECK(ve_queue_push(queue, i, payload, length) == VE_OK);
		CHECK(ve_queue_push(queue, i + 1, NULL, 0) == VE_OK);
		CHECK(ve_queue_peek(queue, out) == VE_OK && out->kind == i && out->length == length);
		CHECK(!length || (out->payload[0] == (uint8_t)i && out->payload[length - 1] == (uint8_t)i));
		ve_queue_pop(queue);
		CHECK(ve_queue_peek(queue, out) == VE_OK && out->kind == i + 1 && out->length == 0);
		ve_queue_pop(queue);
	}
	for (unsigned int i = 0; i < 4; i++)
		CHECK(ve_queue_push(queue, i, payload, 17) == VE_OK);	/* 4 x (8 + 17) = 100 */
	CHECK(ve_queue_push(queue, 9, NULL, 0) == VE_FULL && ve_queue_count(queue) == 4);
	ve_queue_pop(queue);
	CHECK(ve_queue_push(queue, 9, payload, 18) == VE_FULL);
	CHECK(ve_queue_push(queue, 9, payload, 17) == VE_OK);
	free(out);
	ve_queue_free(queue);
}

/* ---- codec ---- */

static size_t add(uint8_t *stream, size_t at, unsigned int kind, const void *payload, size_t length)
{
	CHECK(at + 8 + length <= STREAM);
	return at + make_frame(stream + at, kind, payload, length);
}

static size_t everything(uint8_t *stream)
{
	static uint8_t payload[20000];
	size_t at = 0;

	make_ipv4(payload, 1400, 1);
	at = add(stream, at, 0, payload, 1400);
	at = add(stream, at, 3, "ABCDE", 5);
	at = add(stream, at, 0, payload, 0);
	at = add(stream, at, 7, payload, 0);
	at = add(stream, at, 8, payload, 30);
	at = add(stream, at, 200, payload, 300);
	at = add(stream, at, 0, payload, 16385);
	at = add(stream, at, 0, "no packet", 9);
	make_ipv4(payload, 16384, 2);
	at = add(stream, at, 0, payload, 16384);
	return add(stream, at, 5, "\xb0" "bye", 4);
}

static void feed_exact(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	uint8_t *exact = malloc(length);

	CHECK(exact);
	memcpy(exact, data, length);
	CHECK(ve_codec_feed(codec, sink, exact, length) == VE_OK);
	free(exact);
}

static void check_everything(struct ve_codec *codec, struct ve_sink *sink)
{
	static struct ve_control control;
	uint8_t out[VE_MAX_PACKET];
	const char *name;
	uint64_t value;

	CHECK(ve_sink_flush(sink) == VE_OK);
	CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == 1400);
	CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == 16384 && out[16383] == (uint8_t)(16383 + 2));
	CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == VE_EMPTY);
	CHECK(ve_codec_next_control(codec, &control) == VE_OK && control.kind == 3 && control.length == 5);
	CHECK(ve_codec_next_control(codec, &control) == VE_OK && control.kind == 7 && control.length == 0);
	CHECK(ve_codec_next_control(codec, &control) == VE_OK && control.kind == 5);
	CHECK(!memcmp(control.payload, "\xb0" "bye", 4));
	CHECK(ve_codec_next_control(codec, &control) == VE_EMPTY);
	for (size_t i = 0; i < 4; i++)
		CHECK(ve_codec_counter(codec, i, &name, &value) == VE_OK && value == 1);
	CHECK(ve_codec_counter(codec, 8, &name, &value) == VE_EMPTY);
}

static void test_every_chunk_size(void)
{
	static uint8_t stream[STREAM];
	size_t length = everything(stream);

	for (size_t chunk = 1; chunk < 100; chunk++) {
		struct ve_codec *codec = cstp();
		struct ve_sink *sink = memory(8);

		for (size_t at = 0; at < length; at += chunk)
			feed_exact(codec, sink, stream + at, length - at < chunk ? length - at : chunk);
		check_everything(codec, sink);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
}

static void test_every_cut_in_two(void)
{
	static uint8_t stream[STREAM];
	size_t length = everything(stream);

	for (size_t border = 1; border < length; border += border < 2000 ? 1 : 997) {
		struct ve_codec *codec = cstp();
		struct ve_sink *sink = memory(8);

		feed_exact(codec, sink, stream, border);
		feed_exact(codec, sink, stream + border, length - border);
		check_everything(codec, sink);
		ve_codec_free(codec);
		ve_sink_free(sink);
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

/* A stream with wrong bytes never leads outside a buffer, and a broken stream stays broken. */
static void test_malformed_input(void)
{
	static uint8_t stream[STREAM];
	uint32_t seed = 1;
	int broken = 0;

	for (int round = 0; round < 3000; round++) {
		size_t length = everything(stream), at = 0;
		struct ve_codec *codec = cstp();
		struct ve_sink *sink = memory(2);
		int rc = VE_OK;

		for (int i = 0; i < 3; i++)
			stream[noise(&seed) % (round % 2 ? length : 1500)] = (uint8_t)noise(&seed);
		while (at < length) {
			size_t n = noise(&seed) % 3000 + 1;

			n = n < length - at ? n : length - at;
			rc = ve_codec_feed(codec, sink, stream + at, n);
			if (rc != VE_OK)
				break;
			at += n;
		}
		broken += rc == VE_ERROR;
		if (rc == VE_ERROR) {
			CHECK(strlen(ve_codec_error(codec)) > 20);
			CHECK(ve_codec_feed(codec, sink, stream, 1) == VE_ERROR);
		}
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
	CHECK(broken > 100);
}

static void test_encode_in_place_and_elsewhere(void)
{
	struct ve_codec *codec = cstp();
	uint8_t *frame = malloc(8 + 100), packet[100], wanted[108];

	CHECK(frame);
	make_ipv4(packet, 100, 7);
	CHECK(make_frame(wanted, 0, packet, 100) == 108);
	CHECK(ve_codec_encode(codec, packet, 100, frame, 107) == VE_FULL);
	CHECK(ve_codec_encode(codec, packet, 100, frame, 108) == 108 && !memcmp(frame, wanted, 108));
	memset(frame, 0, 8);
	CHECK(ve_codec_encode(codec, frame + 8, 100, frame, 108) == 108 && !memcmp(frame, wanted, 108));
	CHECK(ve_codec_encode_control(codec, 256, NULL, 0, frame, 108) == VE_ERROR);
	CHECK(ve_codec_encode(codec, packet, 16377, frame, 20000) == VE_ERROR);
	free(frame);
	ve_codec_free(codec);
}

int main(void)
{
	test_sink_contract();
	test_judgement_reads_no_byte_too_far();
	test_queue_wraps_and_is_bounded();
	test_every_chunk_size();
	test_every_cut_in_two();
	test_malformed_input();
	test_encode_in_place_and_elsewhere();
	return 0;
}
