/*
 * decoders.c: nanoseconds a packet of one framing's encoder and decoder; the loops that benchmarks/decoders.py measures.
 *
 * Usage: decoders SINK TUN_FD FRAMING UNIT CONTENT SIZE ROUNDS [OPTION=HEX ...]
 *     SINK      memory, wintun or tun (TUN_FD: a descriptor that is attached to a TUN that is up; others: -1)
 *     UNIT      stream or datagram
 *     CONTENT   random or text: what is in the packets, behind an IPv4 header
 *     SIZE      bytes of IP packet
 *
 * A round encodes a batch that fits the processor's second cache, decodes it as it would come from the link (16 KiB of a
 * stream, 64 KiB of datagrams at once, then a flush), and does the same cryptography by libcrypto alone, so that all three meet the same weather.  What
 * takes packets out of the sink is not timed.  Prints one JSON object: for each loop the nanoseconds a packet of every
 * round, and the counters.
 */
#include "codec.h"
#include "counting.h"
#include "device.h"
#include "raw.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_BYTES = 160 << 10,	/* of packets, a round */
	MAX_PACKETS = 1024,		/* a round */
	READ = 16384,			/* bytes of stream between two flushes */
	RECEIVE = 65536,		/* and of datagrams: what the kernel joins to one */
	FLUSH = 60,			/* packets between two flushes, at most */
	WARM = 4,			/* rounds that do not count */
	MAX_ROUNDS = 1000,
	SPARE = 64			/* bytes behind a packet: padding and trailer of ESP */
};

enum loop { ENCODE, DECODE, RAW_SEAL, RAW_OPEN, BARE, LOOPS };

static const char *const loop_names[LOOPS] = {"encode", "decode", "raw_encode", "raw_decode", "bare_write"};

struct bench {
	size_t size, packets, rounds;
	int datagram, tun_fd;
	struct ve_codec *codec;
	struct raw *raw;
	struct device device;
	uint8_t *plain;			/* packets, `stride` bytes apart */
	size_t stride;
	uint8_t *frames;		/* each encoded packet, `slot` bytes apart */
	size_t slot;
	uint8_t *wire;			/* frames one behind the other */
	size_t length[MAX_PACKETS], wire_length;
	uint8_t *opened;		/* where raw_open writes to: laid out as the memory sink is */
	double ns[LOOPS][MAX_ROUNDS];
	uint64_t arrived;		/* bytes that the link copied in: ve_codec_feed's, in the place of a TLS read */
#ifdef BENCH_COUNTING
	struct counted seen[LOOPS];
#endif
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- what is measured ------------------------------------------------------------------------------------------- */

static void *grab(size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (!memory)
		fail("out of memory");
	memset(memory, 0, bytes);
	return memory;
}

static uint32_t dice(void)
{
	static uint32_t seed = 1;

	return (seed = seed * 1664525u + 1013904223u) >> 16;
}

static void fill(uint8_t *packet, size_t size, int text)
{
	static const char *const words[] = {"the ", "packet ", "GET /", "index", ".html ", "HTTP/1.1\r\n", "Host: ", "and ",
					    "of ", "a ", "tunnel ", "0x7e", "<div>", "</div>", "example", ".com"};
	size_t at = 20;

	memcpy(packet, (uint8_t[20]){0x45, 0, (uint8_t)(size >> 8), (uint8_t)size, 0, 0, 0, 0, 64, 253, 0, 0,
				     192, 0, 2, 1, 192, 0, 2, 2}, 20);
	while (at < size) {
		const char *word = words[dice() % 16];

		if (!text)
			packet[at++] = (uint8_t)dice();
		for (; text && *word && at < size; word++)
			packet[at++] = (uint8_t)*word;
	}
}

/* Whether the pump has a packet where it leaves from, behind room for its header; other framings write it elsewhere. */
static int in_place(const struct bench *b)
{
	return b->codec->ops->header || b->codec->ops->encode_later;
}

/* Where the frame of packet i goes. */
static uint8_t *frame_of(const struct bench *b, size_t i)
{
	return b->frames + i * b->slot + VE_HEADROOM - (in_place(b) ? ve_codec_headroom(b->codec) : 0);
}

static const uint8_t *packet_of(const struct bench *b, size_t i)
{
	return in_place(b) ? b->frames + i * b->slot + VE_HEADROOM : b->plain + i * b->stride;
}

static double encode(struct bench *b)
{
	double start;
	int n;

	for (size_t i = 0; i < b->packets; i++)
		memcpy(b->frames + i * b->slot + VE_HEADROOM, b->plain + i * b->stride, b->size);
	COUNTING(1);
	start = now();
	for (size_t i = 0; i < b->packets; i++) {
		n = (b->datagram ? ve_codec_encode_later : ve_codec_encode)(b->codec, packet_of(b, i), b->size, frame_of(b, i),
									    b->slot - VE_HEADROOM);
		if (n <= 0)
			fail("encode: %d: %s", n, ve_codec_error(b->codec));
		b->length[i] = (size_t)n;
	}
	ve_codec_finish(b->codec);
	start = now() - start;
	COUNTING(0);
	b->wire_length = 0;
	for (size_t i = 0; i < b->packets; i++) {
		memcpy(b->wire + b->wire_length, frame_of(b, i), b->length[i]);
		b->wire_length += b->length[i];
	}
	return start;
}

static size_t shortest(const struct bench *b)
{
	size_t least = b->length[0];

	for (size_t i = 1; i < b->packets; i++)
		if (b->length[i] < least)
			least = b->length[i];
	return least;
}

static double decode_stream(struct bench *b)
{
	size_t chunk = FLUSH * shortest(b);
	double spent = 0, start;
	int rc;

	if (chunk > READ)
		chunk = READ;
	for (size_t at = 0; at < b->wire_length; at += chunk) {
		size_t n = b->wire_length - at < chunk ? b->wire_length - at : chunk;

		COUNTING(1);
		start = now();
		rc = ve_codec_feed(b->codec, b->device.sink, b->wire + at, n);
		ve_sink_flush(b->device.sink);
		spent += now() - start;
		COUNTING(0);
		if (rc != VE_OK)
			fail("decode: %s", ve_codec_error(b->codec));
		b->arrived += n;
		device_drain(&b->device);
	}
	return spent;
}

/* As many datagrams from number i on as are received at once; how many. */
static size_t receive(const struct bench *b, size_t i, const uint8_t *at, struct ve_span *datagrams)
{
	size_t bytes = 0, n = 0;

	for (; n < FLUSH && i < b->packets && (!n || bytes + b->length[i] <= RECEIVE); bytes += b->length[i++])
		datagrams[n++] = (struct ve_span){at + bytes, b->length[i]};
	return n;
}

static double decode_datagrams(struct bench *b)
{
	struct ve_span datagrams[FLUSH];
	const uint8_t *at = b->wire;
	double spent = 0, start;

	for (size_t i = 0, n; i < b->packets; i += n) {
		n = receive(b, i, at, datagrams);
		at = datagrams[n - 1].at + datagrams[n - 1].length;
		COUNTING(1);
		start = now();
		ve_codec_datagrams(b->codec, b->device.sink, datagrams, n);
		ve_sink_flush(b->device.sink);
		spent += now() - start;
		COUNTING(0);
		device_drain(&b->device);
	}
	return spent;
}

static double decode(struct bench *b)
{
	double spent = b->datagram ? decode_datagrams(b) : decode_stream(b);

	device_settle(&b->device);
	return spent;
}

static double raw_decode(struct bench *b)
{
	double start = now();
	size_t at = 0;

	for (size_t i = 0; i < b->packets; at += b->length[i++])
		raw_open(b->raw, b->wire + at, b->length[i], b->opened + i % BENCH_SLOTS * VE_MAX_PACKET);
	return now() - start;
}

static double raw_encode(struct bench *b)
{
	size_t length = b->length[0] - raw_overhead(b->raw);
	double start = now();

	for (size_t i = 0; i < b->packets; i++)
		raw_seal(b->raw, b->plain + i * b->stride, length, frame_of(b, i));
	return now() - start;
}

/* The same packets to the device by write(2), without any engine. */
static double bare_write(struct bench *b)
{
	double start = now();

	for (size_t i = 0; i < b->packets; i++)
		if (write(b->tun_fd, b->plain + i * b->stride, b->size) != (ssize_t)b->size)
			fail("write to the TUN failed");
	return now() - start;
}

/* What was counted since the last time. */
static void note(struct bench *b, enum loop loop)
{
#ifdef BENCH_COUNTING
	b->seen[loop].allocations += counted.allocations;
	b->seen[loop].copied += counted.copied;
	counted = (struct counted){0};
#else
	(void)b;
	(void)loop;
#endif
}

/* What is allocated once, by the first packets, is not counted. */
static void warm(struct bench *b)
{
#ifdef BENCH_COUNTING
	memset(b->seen, 0, sizeof(b->seen));
#endif
	b->arrived = 0;
}

/* Is everything counted that should be, libcrypto's calls included? */
static void check_counting(void)
{
#ifdef BENCH_COUNTING
	void *volatile memory;
	static uint8_t bytes[2][256];
	uint8_t *volatile to = bytes[0];	/* volatile: or the compiler does without */
	volatile size_t length = sizeof(bytes[0]);

	COUNTING(1);
	memory = OPENSSL_malloc(length);
	free(calloc(1, length));
	memcpy(to, bytes[1], length);
	COUNTING(0);
	OPENSSL_free(memory);
	if (counted.allocations != 2 || counted.copied != sizeof(bytes[0]))
		fail("counting: got %lu allocations and %lu bytes copied, want 2 and %zu", counted.allocations,
		     counted.copied, sizeof(bytes[0]));
	counted = (struct counted){0};
#endif
}

static void run_round(struct bench *b, double *ns)
{
	ns[ENCODE] = encode(b);
	note(b, ENCODE);
	ns[DECODE] = decode(b);
	note(b, DECODE);
	if (b->raw) {
		ns[RAW_OPEN] = raw_decode(b);
		ns[RAW_SEAL] = raw_encode(b);
	}
	if (b->tun_fd >= 0)
		ns[BARE] = bare_write(b);
}

static void run(struct bench *b)
{
	double ns[LOOPS];

	for (size_t round = 0; round < WARM + b->rounds; round++) {
		if (round == WARM)
			warm(b);
		memset(ns, 0, sizeof(ns));
		run_round(b, ns);
		for (int loop = 0; round >= WARM && loop < LOOPS; loop++)
			b->ns[loop][round - WARM] = ns[loop] / (double)b->packets;
	}
}

/* ---- from the arguments to the report --------------------------------------------------------------------------- */

static size_t unhex(const char *text, uint8_t *out, size_t size)
{
	size_t n = 0;
	unsigned int byte;

	for (; text[0] && text[1] && n < size; text += 2) {
		if (sscanf(text, "%2x", &byte) != 1)
			fail("no hex: %s", text);
		out[n++] = (uint8_t)byte;
	}
	return n;
}

static void set_option(struct bench *b, char *argument)
{
	char *equals = strchr(argument, '=');
	uint8_t value[128];
	size_t n;

	if (!equals)
		fail("option: got '%s', want NAME=HEX", argument);
	*equals = 0;
	n = unhex(equals + 1, value, sizeof(value));
	if (ve_codec_set(b->codec, argument, value, n) != VE_OK)
		fail("%s", ve_codec_error(b->codec));
	if (!strcmp(argument, "esp.out"))
		b->raw = raw_new(value, n);
}

static void prepare(struct bench *b, int text)
{
	b->packets = BATCH_BYTES / b->size;
	if (b->packets > MAX_PACKETS)
		b->packets = MAX_PACKETS;
	b->stride = (b->size + SPARE + 63) / 64 * 64;
	b->slot = 2 * b->size + 3 * SPARE + VE_HEADROOM;
	b->plain = grab(b->packets * b->stride);
	b->frames = grab(b->packets * b->slot);
	b->wire = grab(b->packets * b->slot);
	b->opened = grab((size_t)BENCH_SLOTS * VE_MAX_PACKET);
	for (size_t i = 0; i < b->packets; i++)
		fill(b->plain + i * b->stride, b->size, text);
}

static void print_counters(const struct bench *b)
{
	struct ve_sink_stats s;
	const char *name;
	uint64_t value;

	ve_sink_stats(b->device.sink, &s);
	printf("\"sink\": {\"packets\": %lu, \"in_place\": %lu, \"copied\": %lu, \"expanded\": %lu, \"moved\": %lu, "
	       "\"aborted\": %lu, \"writes\": %lu}, \"codec\": {", s.packets, s.in_place, s.copied, s.expanded, s.moved,
	       s.aborted, s.writes);
	for (size_t i = 0; ve_codec_counter(b->codec, i, &name, &value) == VE_OK; i++)
		printf("%s\"%s\": %lu", i ? ", " : "", name, value);
	printf("}");
	if (s.packets != b->packets * (WARM + b->rounds))
		fail("the sink took %lu packets of %zu", s.packets, b->packets * (WARM + b->rounds));
}

static void report(const struct bench *b)
{
	printf("{\"wire_bytes\": %zu, \"packets\": %zu, ", b->wire_length, b->packets);
	for (int loop = 0; loop < LOOPS; loop++) {
		if (b->ns[loop][0] == 0)
			continue;
		printf("\"%s\": [", loop_names[loop]);
		for (size_t i = 0; i < b->rounds; i++)
			printf("%s%.3f", i ? ", " : "", b->ns[loop][i]);
		printf("], ");
	}
#ifdef BENCH_COUNTING
	printf("\"total\": %zu, \"arrived\": %lu, ", b->packets * b->rounds, b->arrived);
	for (int loop = ENCODE; loop <= DECODE; loop++)
		printf("\"%s_allocations\": %lu, \"%s_copied\": %lu, ", loop_names[loop], b->seen[loop].allocations,
		       loop_names[loop], b->seen[loop].copied);
#endif
	print_counters(b);
	printf("}\n");
}

int main(int argc, char **argv)
{
	static struct bench bench;
	struct bench *b = &bench;
	char err[200];

	check_counting();
	if (argc < 8)
		fail("usage: decoders SINK TUN_FD FRAMING UNIT CONTENT SIZE ROUNDS [OPTION=HEX ...]");
	b->tun_fd = atoi(argv[2]);
	b->datagram = !strcmp(argv[4], "datagram");
	b->size = strtoul(argv[6], NULL, 10);
	b->rounds = strtoul(argv[7], NULL, 10);
	if (b->size < 40 || b->size > 4096 || b->rounds < 1 || b->rounds > MAX_ROUNDS)
		fail("want a size of 40 to 4096 bytes and 1 to %d rounds", MAX_ROUNDS);
	b->codec = ve_codec_new(argv[3], err, sizeof(err));
	if (!b->codec)
		fail("%s", err);
	for (int i = 8; i < argc; i++)
		set_option(b, argv[i]);
	prepare(b, !strcmp(argv[5], "text"));
	device_open(&b->device, argv[1], b->tun_fd);
	run(b);
	report(b);
	device_close(&b->device);
	ve_codec_free(b->codec);
	if (b->raw)
		raw_free(b->raw);
	free(b->plain);
	free(b->frames);
	free(b->wire);
	free(b->opened);
	return 0;
}
