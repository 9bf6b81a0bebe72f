/*
 * expanding.h: the invariants of every compression method.
 *
 * Whatever is expanded stays within its room, which is given exactly; what is shrunk expands to the same.
 */
#ifndef VPN_FUZZ_EXPANDING_H
#define VPN_FUZZ_EXPANDING_H

#include "chunking.h"

static inline struct ve_compression *new_method(const char *name)
{
	char err[256];
	struct ve_compression *method = ve_compression_new(name, err, sizeof(err));

	HOLDS(method);
	return method;
}

static inline void expand_in_bounds(const char *name, const uint8_t *data, size_t length, size_t room)
{
	struct ve_compression *method = new_method(name);
	uint8_t *exact = malloc(room ? room : 1);
	int n;

	HOLDS(exact);
	n = ve_compression_expand(method, data, length, exact, room);
	HOLDS(n == VE_ERROR || (n >= 0 && (size_t)n <= room));
	HOLDS(n < 0 || !*ve_compression_error(method));
	free(exact);
	ve_compression_free(method);
}

/* Twice, as a stream. */
static inline void shrink_and_expand(const char *name, const uint8_t *data, size_t length, size_t room)
{
	static uint8_t packed[VE_MAX_PACKET], plain[VE_MAX_PACKET];
	struct ve_compression *method = new_method(name);

	for (int round = 0; round < 2; round++) {
		int n = ve_compression_shrink(method, data, length, packed, room);

		HOLDS(n == VE_FULL || (n > 0 && (size_t)n <= room));
		if (n == VE_FULL)
			break;
		HOLDS(ve_compression_expand(method, packed, (size_t)n, plain, sizeof(plain)) == (int)length);
		HOLDS(!memcmp(plain, data, length));
	}
	ve_compression_free(method);
}

#endif
