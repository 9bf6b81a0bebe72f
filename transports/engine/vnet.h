/*
 * vnet.h: the header before each packet of a TUN that was opened with IFF_VNET_HDR, and numbers in packets.  Internal.
 *
 * Offset, size in bytes (little-endian; transports/tun.py sees to that):
 *     0  1  flags        1: checksum is partial, 2: checksum was verified
 *     1  1  type         what the packet is to be cut into
 *     2  2  hdr_len      bytes of IP and transport header; a hint
 *     4  2  gso_size     bytes of payload each segment
 *     6  2  csum_start   offset of the transport header
 *     8  2  csum_offset  of the checksum field, from there
 * Source: linux-tun notes, section 3.
 */
#ifndef VPN_ENGINE_VNET_H
#define VPN_ENGINE_VNET_H

#include <stdint.h>

#define VE_VNET_SIZE 10			/* bytes */
#define VE_SUPER_PACKET 65535		/* bytes of IP packet, at most */

enum {
	VE_VNET_NEEDS_CSUM = 1,
	VE_VNET_DATA_VALID = 2,
	VE_VNET_NONE = 0,
	VE_VNET_TCPV4 = 1,
	VE_VNET_TCPV6 = 4,
	VE_VNET_UDP = 5,
	VE_VNET_ACCECN = 0x10,		/* CWR stays on all segments */
	VE_VNET_ECN = 0x80		/* CWR stays on the first */
};

enum { VE_TCP = 6, VE_UDP = 17, VE_TCP_CSUM = 16, VE_UDP_CSUM = 6, VE_UDP_HEADER = 8 };

static inline uint16_t ve_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t ve_get32(const uint8_t *at)
{
	return (uint32_t)ve_get16(at) << 16 | ve_get16(at + 2);
}

static inline void ve_put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void ve_put32(uint8_t *at, uint32_t value)
{
	ve_put16(at, value >> 16);
	ve_put16(at + 2, value & 0xffff);
}

static inline size_t ve_vnet_get(const uint8_t *at)
{
	return (size_t)at[1] << 8 | at[0];
}

static inline void ve_vnet_put(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

#endif
