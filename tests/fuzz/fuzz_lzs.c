/* fuzz_lzs.c: libFuzzer target; the invariants are in expanding.h, the seeds are vectors of the notes.  First byte: room. */
#include "expanding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	if (length < 2 || length > VE_MAX_PACKET)
		return 0;
	expand_in_bounds("lzs", data + 1, length - 1, data[0] < 128 ? VE_MAX_PACKET : data[0]);
	shrink_and_expand("lzs", data + 1, length - 1, data[0] < 128 ? VE_MAX_PACKET : data[0]);
	return 0;
}
