/*
 * counting.h: how often memory is allocated, and how many bytes the engine copies, while the measured loops run.
 *
 * Only the program that is built with counting.c counts; it is slower, and is not the one that is timed.
 */
#ifndef VPN_BENCH_COUNTING_H
#define VPN_BENCH_COUNTING_H

#include <stdint.h>

struct counted {
	uint64_t allocations;	/* calls of malloc, calloc, realloc and aligned_alloc, libcrypto's and zlib's included */
	uint64_t copied;	/* bytes by memcpy and memmove called from this program; fixed small sizes are inlined */
};

#ifdef BENCH_COUNTING
extern _Thread_local int counting;	/* this thread is in a measured loop */
extern _Thread_local struct counted counted;
#define COUNTING(on) (counting = (on))
#else
#define COUNTING(on) ((void)(on))
#endif

#endif
