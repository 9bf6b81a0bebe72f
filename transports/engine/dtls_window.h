/*
 * dtls_window.h: which records of an epoch came already: a window of 1984 numbers, exact within it.
 *
 * A ring of 32 words; word (number / 64) % 32 has a bit for each of its 64 numbers.  Moving on clears whole words and never
 * shifts, so that a record costs the same however wide the window is; one word is always being filled, hence 31 * 64.
 * Source: RFC 6347 section 4.1.2.6 (what for), RFC 6479 (the ring).
 */
#ifndef VPN_DTLS_WINDOW_H
#define VPN_DTLS_WINDOW_H

#include <stdint.h>

enum {
	DTLS_WINDOW_WORDS = 32,				/* a power of two */
	DTLS_WINDOW = (DTLS_WINDOW_WORDS - 1) * 64	/* numbers below the newest that can be told */
};

struct dtls_window {		/* zeroed: nothing came */
	uint64_t next;		/* the newest number, plus one */
	uint64_t words[DTLS_WINDOW_WORDS];
};

/* 1: a record with this number may be new; look before it costs a decryption. */
static inline int dtls_window_fresh(const struct dtls_window *window, uint64_t number)
{
	if (number >= window->next)
		return 1;
	if (window->next - 1 - number >= DTLS_WINDOW)
		return 0;
	return !(window->words[number / 64 % DTLS_WINDOW_WORDS] >> number % 64 & 1);
}

/* A genuine record with this number came: never call it before it is known to be genuine. */
static inline void dtls_window_take(struct dtls_window *window, uint64_t number)
{
	if (number >= window->next) {
		uint64_t word = window->next ? (window->next - 1) / 64 : 0, last = number / 64;
		uint64_t steps = last - word < DTLS_WINDOW_WORDS ? last - word : DTLS_WINDOW_WORDS;

		while (steps-- > 0)
			window->words[(last - steps) % DTLS_WINDOW_WORDS] = 0;
		window->next = number + 1;
	}
	window->words[number / 64 % DTLS_WINDOW_WORDS] |= (uint64_t)1 << number % 64;
}

#endif
