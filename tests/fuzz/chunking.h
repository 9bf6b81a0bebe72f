/*
 * chunking.h: the invariant that every fuzz target of a framing of streams checks, and the C tests too.
 *
 * However a stream is cut, the decoder hands out the same packets and control frames, counts the same and breaks with the
 * same words; every packet is a whole IP packet; what is broken stays broken.  The same if it stalls where it is cut, and
 * what is open is parked for the sake of another link.
 */
#ifndef VPN_FUZZ_CHUNKING_H
#define VPN_FUZZ_CHUNKING_H

#include "codec.h"
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

struct seen {
	size_t packets, controls;
	uint64_t digest;	/* of all of both */
	uint64_t counters[VE_CODEC_COUNTERS];
	struct ve_sink_stats sink;
	int64_t rc;		/* no padding: compared as bytes */
	char error[200];
};

static inline uint64_t mix(uint64_t digest, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3u;
	return (digest ^ length) * 0x100000001b3u;
}

/* The encoder either refuses a packet or writes just as much as it says. */
static inline void try_to_encode(struct ve_codec *codec, const uint8_t *packet, size_t length)
{
	size_t size = ve_codec_headroom(codec) + length;
	uint8_t *exact = malloc(size);

	HOLDS(exact);
	int n = ve_codec_encode(codec, packet, length, exact, size);
	HOLDS(n == VE_ERROR || n == (int)size || (codec->ops->shrink && n > 0 && n < (int)size));
	free(exact);
}

static inline void take_packets(struct ve_codec *codec, struct ve_sink *sink, struct seen *seen)
{
	static uint8_t packet[VE_MAX_PACKET];
	int n;

	HOLDS(ve_sink_flush(sink) == VE_OK);
	while ((n = ve_sink_memory_take(sink, packet, sizeof(packet))) > 0) {
		HOLDS(ve_ip_length(packet, (size_t)n) == (size_t)n);
		seen->packets++;
		seen->digest = mix(seen->digest, packet, (size_t)n);
		if (!codec->ops->encode)
			try_to_encode(codec, packet, (size_t)n);
	}
}

static inline void collect(struct ve_codec *codec, struct ve_sink *sink, struct seen *seen)
{
	static struct ve_control control;
	const char *name;

	take_packets(codec, sink, seen);
	while (ve_codec_next_control(codec, &control) == VE_OK) {
		seen->controls++;
		seen->digest = mix(seen->digest, &control.kind, sizeof(control.kind));
		seen->digest = mix(seen->digest, control.payload, control.length);
	}
	for (size_t i = 0; i < VE_CODEC_COUNTERS; i++)
		if (ve_codec_counter(codec, i, &name, &seen->counters[i]) != VE_OK)
			break;
	ve_sink_stats(sink, &seen->sink);
	memcpy(seen->error, codec->error, sizeof(seen->error));
}

/* By a codec whose options are set; frees it. */
static inline struct seen decode_by(struct ve_codec *codec, const uint8_t *data, size_t length, size_t step)
{
	struct seen seen = {.digest = 0xcbf29ce484222325u};
	char err[256];
	struct ve_sink *sink = ve_sink_memory(64, err, sizeof(err));

	HOLDS(codec && sink);
	for (size_t at = 0; at < length && seen.rc == VE_OK; at += step)
		seen.rc = ve_codec_feed(codec, sink, data + at, length - at < step ? length - at : step);
	if (seen.rc != VE_OK)
		HOLDS(strlen(ve_codec_error(codec)) > 20 && ve_codec_feed(codec, sink, data, 1) == seen.rc);
	collect(codec, sink, &seen);
	ve_codec_free(codec);
	ve_sink_free(sink);
	return seen;
}

/* By a codec as that which gave `want`, in pieces, between which the stream stalls; frees it. */
static inline void stalling_does_not_matter(const struct seen *want, struct ve_codec *codec, const uint8_t *data,
					    size_t length, size_t step)
{
	struct seen seen = {.digest = 0xcbf29ce484222325u};
	char err[256];
	struct ve_sink *sink = ve_sink_memory(64, err, sizeof(err));

	HOLDS(codec && sink);
	for (size_t at = 0; at < length && seen.rc == VE_OK; at += step) {
		seen.rc = ve_codec_feed(codec, sink, data + at, length - at < step ? length - at : step);
		ve_codec_park(codec, sink);
		take_packets(codec, sink, &seen);
		HOLDS(seen.rc != VE_OK || !sink->count);	/* nothing is held back */
	}
	collect(codec, sink, &seen);
	if (!want->sink.dropped_full)	/* this one is emptied more often */
		HOLDS(seen.packets == want->packets && seen.controls == want->controls && seen.digest == want->digest &&
		      seen.rc == want->rc && !memcmp(seen.counters, want->counters, sizeof(seen.counters)) &&
		      !strcmp(seen.error, want->error));
	ve_codec_free(codec);
	ve_sink_free(sink);
}

static inline struct seen decode(const char *framing, const uint8_t *data, size_t length, size_t step)
{
	char err[256];

	return decode_by(ve_codec_new(framing, err, sizeof(err)), data, length, step);
}

static inline void chunks_do_not_matter(const char *framing, const uint8_t *data, size_t length, size_t step)
{
	struct seen whole = decode(framing, data, length, length ? length : 1), cut = decode(framing, data, length, step);
	char err[256];

	HOLDS(!memcmp(&whole, &cut, sizeof(whole)));
	stalling_does_not_matter(&cut, ve_codec_new(framing, err, sizeof(err)), data, length, step);
}

/* What a fuzz target does with its input: the first byte chooses the size of the chunks. */
static inline int fuzz_stream(const char *framing, const uint8_t *data, size_t length)
{
	if (length)
		chunks_do_not_matter(framing, data + 1, length - 1, 1 + data[0] % 64u);
	return 0;
}

#endif
