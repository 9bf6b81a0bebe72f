/*
 * crypto_check.h: what the C tests of records and ESP share: libcrypto's allocations counted, and vectors in hex.
 */
#ifndef VPN_TEST_CRYPTO_CHECK_H
#define VPN_TEST_CRYPTO_CHECK_H

#include "check.h"

#include <openssl/crypto.h>
#include <stdint.h>

static size_t allocations;		/* of libcrypto, so far */

static void *counted_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return malloc(n);
}

static void *counted_realloc(void *old, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return realloc(old, n);
}

static void counted_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

/* Before libcrypto allocates anything. */
static void count_allocations(void)
{
	CHECK(CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free));
}

static size_t unhex(const char *text, uint8_t *out)
{
	size_t n = strlen(text) / 2;
	unsigned int byte;

	for (size_t i = 0; i < n; i++) {
		CHECK(sscanf(text + 2 * i, "%2x", &byte) == 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

#endif
