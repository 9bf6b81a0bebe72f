/*
 * counting.c: the allocator and the copying functions of libc, with counters in front.  See counting.h.
 *
 * A program's own definitions come before libc's, for the libraries it loads too.  glibc keeps its allocator reachable
 * under the names __libc_*.
 */
#include "counting.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *memory);
extern const char __executable_start[], etext[];	/* the linker's: where this program's code lies */

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void *aligned_alloc(size_t align, size_t size);
int posix_memalign(void **out, size_t align, size_t size);
void free(void *memory);
void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *__memcpy_chk(void *restrict to, const void *restrict from, size_t length, size_t room);
void *__memmove_chk(void *to, const void *from, size_t length, size_t room);

_Thread_local int counting;
_Thread_local struct counted counted;

void *malloc(size_t size)
{
	counted.allocations += counting != 0;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	counted.allocations += counting != 0;
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	counted.allocations += counting != 0;
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	counted.allocations += counting != 0;
	return __libc_memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
	counted.allocations += counting != 0;
	*out = __libc_memalign(align, size);
	return *out ? 0 : ENOMEM;
}

void free(void *memory)
{
	__libc_free(memory);
}

/* ---- copies: byte by byte, and so that the compiler makes no call of memcpy of it -------------------------------- */

static void *copy(void *to, const void *from, size_t length, const void *caller)
{
	volatile unsigned char *out = to;
	const unsigned char *in = from;

	if (counting && (const char *)caller >= __executable_start && (const char *)caller < etext)
		counted.copied += length;
	if ((uintptr_t)to - (uintptr_t)from >= length)
		for (size_t i = 0; i < length; i++)
			out[i] = in[i];
	else
		while (length--)
			out[length] = in[length];
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	return copy(to, from, length, __builtin_return_address(0));
}

void *memmove(void *to, const void *from, size_t length)
{
	return copy(to, from, length, __builtin_return_address(0));
}

void *__memcpy_chk(void *restrict to, const void *restrict from, size_t length, size_t room)
{
	if (length > room)
		__builtin_trap();
	return copy(to, from, length, __builtin_return_address(0));
}

void *__memmove_chk(void *to, const void *from, size_t length, size_t room)
{
	if (length > room)
		__builtin_trap();
	return copy(to, from, length, __builtin_return_address(0));
}
