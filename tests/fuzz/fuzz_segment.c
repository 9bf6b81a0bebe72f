/*
 * fuzz_segment.c: libFuzzer target; a read of a device with a virtio header.  Whatever the header says, what is cut is within
 * bounds, ends, and is all of the payload.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "segment.h"
#include "vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct ve_segments s;
	uint8_t *packet, *out;
	size_t cut = 0, count = 0, n;

	if (length < VE_VNET_SIZE || length > VE_VNET_SIZE + VE_SUPER_PACKET)
		return 0;
	length -= VE_VNET_SIZE;
	packet = malloc(length ? length : 1);
	if (!packet)
		abort();
	memcpy(packet, data + VE_VNET_SIZE, length);
	if (ve_segments_begin(&s, data, packet, length) == VE_OK) {
		out = malloc(ve_segments_largest(&s));
		if (!out)
			abort();
		while (ve_segments_left(&s)) {
			n = ve_segments_next(&s, out);
			if (n <= s.header || n > ve_segments_largest(&s))
				abort();
			cut += n - s.header;
			count++;
		}
		if (cut != length - s.header || count != ve_segments_count(&s))
			abort();
		free(out);
	}
	free(packet);
	return 0;
}
