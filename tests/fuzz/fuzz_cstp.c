/*
 * fuzz_cstp.c: any bytes, in any chunking, give packets that are IP, control frames, counters, or one error that stays.
 *
 * The first byte of the input chooses the length of the chunks.  Fed whole and in chunks the outcome must be the same.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

struct outcome {
	int rc;
	size_t packets, controls;
	uint64_t sum;
};

static void drain(struct ve_codec *codec, struct ve_sink *sink, struct outcome *out)
{
	static struct ve_control control;
	static uint8_t packet[VE_MAX_PACKET];
	int length;

	ve_sink_flush(sink);
	while ((length = ve_sink_memory_take(sink, packet, sizeof(packet))) >= 0) {
		MUST(length >= 20 && (packet[0] >> 4 == 4 || packet[0] >> 4 == 6));
		out->packets++;
		for (int i = 0; i < length; i++)
			out->sum = out->sum * 31 + packet[i];
	}
	while (ve_codec_next_control(codec, &control) == VE_OK) {
		MUST(control.length <= sizeof(control.payload));
		out->controls++;
		for (uint32_t i = 0; i < control.length; i++)
			out->sum = out->sum * 31 + control.payload[i];
	}
}

static struct outcome decode(const uint8_t *data, size_t size, size_t chunk)
{
	struct outcome out = {0};
	char err[256];
	struct ve_codec *codec = ve_codec_new("cstp", err, sizeof(err));
	struct ve_sink *sink = ve_sink_memory(8, err, sizeof(err));

	MUST(codec && sink);
	while (size && out.rc == VE_OK) {
		size_t n = size < chunk ? size : chunk;

		out.rc = ve_codec_feed(codec, sink, data, n);
		drain(codec, sink, &out);
		data += n;
		size -= n;
	}
	if (out.rc != VE_OK) {
		MUST(*ve_codec_error(codec));
		MUST(ve_codec_feed(codec, sink, (const uint8_t *)"x", 1) == VE_ERROR);
	}
	ve_codec_free(codec);
	ve_sink_free(sink);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome by_byte, chunked;

	if (!size)
		return 0;
	by_byte = decode(data + 1, size - 1, 1);
	chunked = decode(data + 1, size - 1, 1 + data[0] % 64u);
	MUST(by_byte.rc == chunked.rc);
	MUST(by_byte.packets == chunked.packets && by_byte.controls == chunked.controls);
	return 0;
}
