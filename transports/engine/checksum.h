/*
 * checksum.h: the Internet checksum, a word at a time.  Internal.
 *
 * Sums are in the byte order of the machine: what ve_sum_fold gives is stored as it is.  32-bit words in a 64-bit sum
 * need no carry for less than 2^32 of them, and compilers make vector code of the loops.
 * Source: RFC 1071.   Twin: transports/offload.py.
 */
#ifndef VPN_ENGINE_CHECKSUM_H
#define VPN_ENGINE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t ve_sum_tail(const uint8_t *data, size_t length)
{
	uint32_t word = 0;

	memcpy(&word, data, length);	/* less than four; what is missing is zero */
	return word;
}

/* Add bytes that begin at an even offset. */
static inline uint64_t ve_sum(uint64_t sum, const uint8_t *data, size_t length)
{
	size_t i;
	uint32_t word;

	for (i = 0; i + 4 <= length; i += 4) {
		memcpy(&word, data + i, 4);
		sum += word;
	}
	return sum + ve_sum_tail(data + i, length - i);
}

/* The same, and copy them: each byte is read once. */
static inline uint64_t ve_sum_copy(uint64_t sum, uint8_t *restrict out, const uint8_t *restrict data, size_t length)
{
	size_t i;
	uint32_t word;

	for (i = 0; i + 4 <= length; i += 4) {
		memcpy(&word, data + i, 4);
		memcpy(out + i, &word, 4);
		sum += word;
	}
	memcpy(out + i, data + i, length - i);
	return sum + ve_sum_tail(data + i, length - i);
}

/* A 16-bit number that stands in the packet in network order. */
static inline uint64_t ve_sum_number(uint64_t sum, uint32_t number)
{
	const uint8_t bytes[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
				  (uint8_t)number};

	return ve_sum(sum, bytes, sizeof(bytes));
}

static inline uint16_t ve_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffu) + (sum >> 16);
	sum = (sum & 0xffffu) + (sum >> 16);
	return (uint16_t)sum;
}

/* The pseudo header of the addresses in this packet, for `length` bytes from the transport header on. */
static inline uint64_t ve_sum_pseudo(const uint8_t *packet, uint8_t protocol, size_t length)
{
	uint64_t sum = packet[0] >> 4 == 4 ? ve_sum(0, packet + 12, 8) : ve_sum(0, packet + 8, 32);

	return ve_sum_number(ve_sum_number(sum, protocol), (uint32_t)length);
}

static inline void ve_sum_store(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* The header checksum of an IPv4 packet, in place. */
static inline void ve_sum_ipv4(uint8_t *packet, size_t header)
{
	ve_sum_store(packet + 10, 0);
	ve_sum_store(packet + 10, (uint16_t)~ve_sum_fold(ve_sum(0, packet, header)));
}

#endif
