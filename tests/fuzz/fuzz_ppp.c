/*
 * fuzz_ppp.c: libFuzzer target for the PPP carriers; the seeds are vectors of the notes.
 *
 * Offset, size in bytes of the input:
 *     0  1  chunk    size of the chunks
 *     1  1  options  bits 0-1: carrier, 2-3: ppp.data, 4: ppp.pfc, 5: ppp.acfc
 *     2  1  accm     its bit k stands for the bits k, k + 8, k + 16 and k + 24 of the map
 *     3  n  wire
 * Besides the invariant of chunking.h: the plain kernel agrees with that of this processor; what is encoded comes back;
 * datagrams with nothing wrong hold what the same bytes hold as a stream; control records of Fortinet and
 * F5's answer hold nothing.
 */
#include "chunking.h"

enum { CONTROL = 0x80fd, LARGEST = 32768 };

static const char *const carriers[4] = {"ppp-f5", "ppp-f5-hdlc", "ppp-fortinet", "ppp-f5-hdlc"};

struct options {
	const char *framing;
	int hdlc;
	uint8_t data, pfc, acfc, accm[4];
};

static struct ve_codec *codec_of(const struct options *o, uint8_t plain)
{
	char err[256];
	struct ve_codec *codec = ve_codec_new(o->framing, err, sizeof(err));

	HOLDS(codec && ve_codec_set(codec, "ppp.data", &o->data, 1) == VE_OK);
	if (strcmp(o->framing, "ppp-fortinet"))
		HOLDS(ve_codec_set(codec, "ppp.pfc", &o->pfc, 1) == VE_OK &&
		      ve_codec_set(codec, "ppp.acfc", &o->acfc, 1) == VE_OK);
	if (o->hdlc)
		HOLDS(ve_codec_set(codec, "ppp.accm", o->accm, 4) == VE_OK &&
		      ve_codec_set(codec, "hdlc.plain", &plain, 1) == VE_OK);
	return codec;
}

static void chunks(const struct options *o, const uint8_t *data, size_t length, size_t step)
{
	struct seen whole = decode_by(codec_of(o, 0), data, length, length ? length : 1);
	struct seen cut = decode_by(codec_of(o, 0), data, length, step);
	struct seen plain = decode_by(codec_of(o, 1), data, length, step + 1);

	HOLDS(!memcmp(&whole, &cut, sizeof(whole)) && !memcmp(&whole, &plain, sizeof(whole)));
	stalling_does_not_matter(&cut, codec_of(o, 0), data, length, step);
}

static void datagram(const struct options *o, const uint8_t *data, size_t length)
{
	struct seen seen = {.digest = 0xcbf29ce484222325u}, stream;
	char err[256];
	struct ve_codec *codec = codec_of(o, 0);
	struct ve_sink *sink = ve_sink_memory(64, err, sizeof(err));
	const char *name;
	uint64_t bad = 0;

	HOLDS(sink && ve_codec_datagram(codec, sink, data, length) == VE_OK);
	collect(codec, sink, &seen);
	for (size_t i = 0; ve_codec_counter(codec, i, &name, &seen.counters[i]) == VE_OK; i++)
		if (!strcmp(name, "ppp_rx_bad_datagram"))
			bad = seen.counters[i];
	if ((!strcmp(o->framing, "ppp-fortinet") && length >= 9 && !memcmp(data + 2, "GFtype", 7)) ||
	    (!strcmp(o->framing, "ppp-f5") && length >= 7 && !memcmp(data, "HTTP/1.", 7))) {
		HOLDS(!seen.packets && !seen.controls && !bad);
	} else if (!bad) {
		stream = decode_by(codec_of(o, 0), data, length, length ? length : 1);
		HOLDS(stream.digest == seen.digest);
		HOLDS(stream.packets == seen.packets && stream.controls == seen.controls);
	}
	ve_codec_free(codec);
	ve_sink_free(sink);
}

/* There and back, and no byte beyond what it says it wrote. */
static void encode(const struct options *o, const uint8_t *payload, size_t length)
{
	static uint8_t wire[2][LARGEST];
	static struct ve_control control;
	char err[256];
	struct ve_codec *codec = codec_of(o, 0), *plain = codec_of(o, 1);
	struct ve_sink *sink = ve_sink_memory(64, err, sizeof(err));
	int n = ve_codec_encode_control(codec, CONTROL, payload, length, wire[0], LARGEST);
	uint8_t *exact;

	HOLDS(sink && n == ve_codec_encode_control(plain, CONTROL, payload, length, wire[1], LARGEST));
	if (n > 0) {
		HOLDS(n <= VE_TLS_RECORD && !memcmp(wire[0], wire[1], (size_t)n));
		exact = malloc((size_t)n);
		HOLDS(exact);
		HOLDS(ve_codec_encode_control(codec, CONTROL, payload, length, exact, (size_t)n - 1) == VE_FULL);
		HOLDS(ve_codec_encode_control(codec, CONTROL, payload, length, exact, (size_t)n) == n);
		HOLDS(!memcmp(exact, wire[0], (size_t)n) && ve_codec_feed(codec, sink, exact, (size_t)n) == VE_OK);
		HOLDS(ve_codec_next_control(codec, &control) == VE_OK && control.kind == CONTROL);
		HOLDS(control.length == length && (!length || !memcmp(control.payload, payload, length)));
		free(exact);
	}
	ve_codec_free(codec);
	ve_codec_free(plain);
	ve_sink_free(sink);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct options o;

	if (length < 3)
		return 0;
	o = (struct options){
		.framing = carriers[data[1] & 3], .hdlc = data[1] & 1, .data = data[1] >> 2 & 3,
		.pfc = data[1] >> 4 & 1, .acfc = data[1] >> 5 & 1, .accm = {data[2], data[2], data[2], data[2]},
	};
	chunks(&o, data + 3, length - 3, 1 + data[0] % 64u);
	if (!o.hdlc)
		datagram(&o, data + 3, length - 3);
	encode(&o, data + 3, length - 3);
	return 0;
}
