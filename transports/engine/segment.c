/*
 * segment.c: see segment.h.
 */
#include "segment.h"

#include "checksum.h"
#include "engine.h"
#include "vnet.h"

enum { FIN = 0x01, PSH = 0x08, CWR = 0x80 };

/* An ordinary packet: finish a partial checksum in place. */
static int finish_checksum(const uint8_t *vnet, uint8_t *packet, size_t length)
{
	size_t start = ve_vnet_get(vnet + 6), field = start + ve_vnet_get(vnet + 8);
	uint16_t sum;

	if (!(vnet[0] & VE_VNET_NEEDS_CSUM))
		return VE_EMPTY;
	if (field + 2 > length)
		return VE_ERROR;
	sum = (uint16_t)~ve_sum_fold(ve_sum(0, packet + start, length - start));
	ve_sum_store(packet + field, sum ? sum : 0xffff);
	return VE_EMPTY;
}

/* Bytes of IP header, if the header says what the packet is; 0: it lies. */
static size_t transport_of(const uint8_t *vnet, const uint8_t *packet, size_t length)
{
	int type = vnet[1] & ~(VE_VNET_ECN | VE_VNET_ACCECN);
	size_t start = ve_vnet_get(vnet + 6), offset = ve_vnet_get(vnet + 8);
	int version;

	if (!(vnet[0] & VE_VNET_NEEDS_CSUM) || length < 20 || start >= length)
		return 0;
	version = packet[0] >> 4;
	if (type == VE_VNET_TCPV4 ? version != 4 : type == VE_VNET_TCPV6 ? version != 6 : type != VE_VNET_UDP)
		return 0;
	if (offset != (type == VE_VNET_UDP ? VE_UDP_CSUM : VE_TCP_CSUM))
		return 0;
	if (version == 4)
		return start >= 20 && start == (size_t)(packet[0] & 15) * 4 ? start : 0;
	return version == 6 && start >= 40 ? start : 0;
}

static size_t transport_length(const uint8_t *packet, size_t start, size_t length, int tcp)
{
	size_t header;

	if (!tcp)
		return VE_UDP_HEADER;
	if (start + 13 > length)
		return 0;
	header = (size_t)(packet[start + 12] >> 4) * 4;
	return header >= 20 ? header : 0;
}

int ve_segments_begin(struct ve_segments *s, const uint8_t *vnet, uint8_t *packet, size_t length)
{
	size_t transport, header, size = ve_vnet_get(vnet + 4);
	int tcp = (vnet[1] & ~(VE_VNET_ECN | VE_VNET_ACCECN)) != VE_VNET_UDP;

	*s = (struct ve_segments){.size = 1};
	if (vnet[0] & ~(VE_VNET_NEEDS_CSUM | VE_VNET_DATA_VALID))
		return VE_ERROR;
	if ((vnet[1] & ~VE_VNET_ECN) == VE_VNET_NONE)
		return finish_checksum(vnet, packet, length);
	transport = transport_of(vnet, packet, length);
	header = transport ? transport_length(packet, transport, length, tcp) : 0;
	if (!header || !size || transport + header >= length || length > VE_SUPER_PACKET)
		return VE_ERROR;
	s->packet = packet;
	s->transport = transport;
	s->header = transport + header;
	s->payload = length - s->header;
	s->size = size;
	s->tcp = tcp;
	s->keep_cwr = (vnet[1] & VE_VNET_ACCECN) != 0;
	return VE_OK;
}

static void ip_header(const struct ve_segments *s, uint8_t *out, size_t length)
{
	if (out[0] >> 4 == 4) {
		ve_put16(out + 2, length);
		ve_put16(out + 4, (ve_get16(out + 4) + s->index) & 0xffff);
		ve_sum_ipv4(out, s->transport);
	} else {
		ve_put16(out + 4, length - 40);
	}
}

static void tcp_header(const struct ve_segments *s, uint8_t *tcp, int last)
{
	ve_put32(tcp + 4, ve_get32(tcp + 4) + (uint32_t)s->done);
	if (!last)
		tcp[13] &= (uint8_t)~(FIN | PSH);
	if (s->index && !s->keep_cwr)
		tcp[13] &= (uint8_t)~CWR;
}

size_t ve_segments_next(struct ve_segments *s, uint8_t *out)
{
	size_t left = s->payload - s->done, payload = left < s->size ? left : s->size;
	size_t length = s->header + payload, datagram = length - s->transport;
	uint8_t *transport = out + s->transport, *field = transport + (s->tcp ? VE_TCP_CSUM : VE_UDP_CSUM);
	uint64_t sum;
	uint16_t checksum;

	memcpy(out, s->packet, s->header);
	ip_header(s, out, length);
	if (s->tcp)
		tcp_header(s, transport, payload == left);
	else
		ve_put16(transport + 4, datagram);
	ve_sum_store(field, 0);
	sum = ve_sum_pseudo(out, s->tcp ? VE_TCP : VE_UDP, datagram);
	sum = ve_sum(sum, transport, s->header - s->transport);
	sum = ve_sum_copy(sum, out + s->header, s->packet + s->header + s->done, payload);
	checksum = (uint16_t)~ve_sum_fold(sum);
	ve_sum_store(field, checksum || s->tcp ? checksum : 0xffff);
	s->done += payload;
	s->index++;
	return length;
}
