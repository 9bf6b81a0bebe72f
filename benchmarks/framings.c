/*
 * framings.c: packets a second of a framing, decoded from memory into a memory sink (and copied out of it) and encoded.
 *
 * Usage: framings PACKET_SIZE FRAMING...   Prints per framing the median and the extremes of ROUNDS rounds.
 * Uses the public interface only; run by benchmarks/framings.py.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PACKETS = 4096, ROUNDS = 51, SLOTS = 64, CHUNK = 16384, OVERHEAD = 64 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(const char *framing, const char *what, size_t size, double *seconds)
{
	qsort(seconds, ROUNDS, sizeof(*seconds), by_value);
	printf("%-8s %-6s %5zu bytes  median %6.1f M packets/s  (%.1f to %.1f)\n", framing, what, size,
	       PACKETS / seconds[ROUNDS / 2] / 1e6, PACKETS / seconds[ROUNDS - 1] / 1e6, PACKETS / seconds[0] / 1e6);
}

static size_t encode_all(struct ve_codec *codec, const uint8_t *packet, size_t size, uint8_t *wire, size_t room)
{
	size_t at = 0;

	for (int i = 0; i < PACKETS; i++) {
		int n = ve_codec_encode(codec, packet, size, wire + at, room - at);

		if (n <= 0)
			exit(2);
		at += (size_t)n;
	}
	return at;
}

/* Feeds so much at a time that the sink holds it, then takes it out. */
static void decode_all(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *wire, size_t length, size_t size)
{
	static uint8_t out[VE_MAX_PACKET];
	size_t chunk = (SLOTS - 2) * size < CHUNK ? (SLOTS - 2) * size : CHUNK, taken = 0;

	for (size_t at = 0; at < length; at += chunk) {
		if (ve_codec_feed(codec, sink, wire + at, length - at < chunk ? length - at : chunk) != VE_OK)
			exit(2);
		ve_sink_flush(sink);
		while (ve_sink_memory_take(sink, out, sizeof(out)) > 0)
			taken++;
	}
	if (taken != PACKETS)
		exit(2);
}

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, room = PACKETS * (size + OVERHEAD);
	uint8_t *packet, *wire;
	char err[200];

	if (size < 20 || size > VE_MAX_PACKET - OVERHEAD)
		return 1;
	packet = calloc(1, size);
	wire = malloc(room);
	if (!packet || !wire)
		return 1;
	packet[0] = 0x45;
	packet[2] = (uint8_t)(size >> 8);
	packet[3] = (uint8_t)size;
	for (int i = 2; i < argc; i++) {
		struct ve_codec *codec = ve_codec_new(argv[i], err, sizeof(err));
		struct ve_sink *sink = ve_sink_memory(SLOTS, err, sizeof(err));
		double encoded[ROUNDS], decoded[ROUNDS];

		if (!codec || !sink) {
			fprintf(stderr, "%s\n", err);
			return 1;
		}
		for (int round = 0; round < ROUNDS; round++) {
			double start = now(), middle;
			size_t length = encode_all(codec, packet, size, wire, room);

			middle = now();
			decode_all(codec, sink, wire, length, size);
			encoded[round] = middle - start;
			decoded[round] = now() - middle;
		}
		report(argv[i], "decode", size, decoded);
		report(argv[i], "encode", size, encoded);
		ve_codec_free(codec);
		ve_sink_free(sink);
	}
	free(packet);
	free(wire);
	return 0;
}
