/*
 * fuzz_array.c: libFuzzer target; the invariant is in chunking.h, the seeds are vectors of the notes.
 *
 * Where reads end matters once the stream is out of step, so the chunks are compared only where it never was.  The same
 * bytes are a record of DTLS too.
 */
#include "chunking.h"

enum { DESYNC = 0 };	/* array_desync is the first counter of array.c */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	char err[256];
	struct ve_codec *codec;
	struct ve_sink *sink;
	struct seen whole, cut;

	if (length < 2)
		return 0;
	whole = decode("array", data + 1, length - 1, length - 1);
	cut = decode("array", data + 1, length - 1, 1 + data[0] % 64u);
	HOLDS(whole.counters[DESYNC] || !memcmp(&whole, &cut, sizeof(whole)));
	stalling_does_not_matter(&cut, ve_codec_new("array", err, sizeof(err)), data + 1, length - 1, 1 + data[0] % 64u);

	codec = ve_codec_new("array", err, sizeof(err));
	sink = ve_sink_memory(4, err, sizeof(err));
	HOLDS(codec && sink);
	HOLDS(ve_codec_datagram(codec, sink, data + 1, length - 1) == VE_OK);
	memset(&whole, 0, sizeof(whole));
	collect(codec, sink, &whole);
	HOLDS(whole.packets + whole.controls <= 1);
	ve_codec_free(codec);
	ve_sink_free(sink);
	return 0;
}
