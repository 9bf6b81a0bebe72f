/*
 * fuzz_compression.c: libFuzzer target; the invariants are in expanding.h and chunking.h, the seeds are vectors.
 *
 * First byte: the method, and whether the rest is one packet or a stream of CSTP; second: size of the chunks, or room.
 */
#include "expanding.h"

static struct ve_codec *cstp(const char *name)
{
	char err[256];
	struct ve_codec *codec = ve_codec_new("cstp", err, sizeof(err));

	HOLDS(codec && ve_codec_set(codec, "cstp.compression", (const uint8_t *)name, strlen(name)) == VE_OK);
	return codec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static const char *const names[] = {"lzs", "oc-lz4", "deflate", "lzo"};
	const char *name;
	size_t room;

	if (length < 3 || length > VE_MAX_PACKET)
		return 0;
	name = names[data[0] % 4];
	room = data[1] < 128 ? VE_MAX_PACKET : data[1];
	if (data[0] < 128 || data[0] % 4 == 3) {
		expand_in_bounds(name, data + 2, length - 2, room);
		shrink_and_expand(name, data + 2, length - 2, room);
	} else {
		struct seen whole = decode_by(cstp(name), data + 2, length - 2, length - 2);
		struct seen cut = decode_by(cstp(name), data + 2, length - 2, 1 + data[1] % 64u);

		HOLDS(!memcmp(&whole, &cut, sizeof(whole)));
		stalling_does_not_matter(&cut, cstp(name), data + 2, length - 2, 1 + data[1] % 64u);
	}
	return 0;
}
