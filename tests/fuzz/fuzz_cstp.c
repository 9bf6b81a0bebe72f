/* fuzz_cstp.c: libFuzzer target; the invariant is in chunking.h, the seeds are vectors of the notes. */
#include "chunking.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	return fuzz_stream("cstp", data, length);
}
