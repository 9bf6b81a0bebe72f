/*
 * check.h: what the C tests share: a check that tells the line, whatever NDEBUG says, and smallest IP packets.
 */
#ifndef VPN_TEST_CHECK_H
#define VPN_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

#define MAGIC "\x53\x54\x46\x01"

/* An IPv4 packet of `length` bytes (20..65535), recognisable by its mark. */
static inline void make_ipv4(uint8_t *out, size_t length, unsigned int mark)
{
	memset(out, 0, 20);
	out[0] = 0x45;
	out[2] = (uint8_t)(length >> 8);
	out[3] = (uint8_t)length;
	out[4] = (uint8_t)(mark >> 8);
	out[5] = (uint8_t)mark;
	for (size_t i = 20; i < length; i++)
		out[i] = (uint8_t)(i + mark);
}

/* A CSTP frame; its length. */
static inline size_t make_frame(uint8_t *out, unsigned int kind, const void *payload, size_t length)
{
	memcpy(out, MAGIC, 4);
	out[4] = (uint8_t)(length >> 8);
	out[5] = (uint8_t)length;
	out[6] = (uint8_t)kind;
	out[7] = 0;
	if (length)
		memcpy(out + 8, payload, length);
	return 8 + length;
}

#endif
