/*
 * coalesce.c: see coalesce.h.
 */
#include "coalesce.h"

#include "checksum.h"

#include <string.h>

enum { ACK = 0x10, PSH = 0x08, MAX_DATAGRAMS = 64 };

enum flow {
	NO_FLOW,	/* no TCP or UDP: emitted in its place */
	HOSTS_ONLY,	/* fragments, options: of any flow between these addresses */
	FLOW		/* ports are known */
};

struct view {
	uint8_t *at;
	size_t length, transport, header, payload;
	enum flow flow;
	uint8_t protocol;
	int candidate;	/* but for its checksum */
	int push;
};

/* ---- one packet ---------------------------------------------------------------------------------------------- */

/* Length of the IP header and what can be told of the flow.  1: the IP part is as a candidate's has to be. */
static int look_at_ip(struct view *v)
{
	const uint8_t *p = v->at;

	if (p[0] >> 4 == 4) {
		v->transport = 20;
		v->protocol = p[9];
		v->flow = (p[0] & 15) == 5 && !(ve_get16(p + 6) & 0x3fff) ? FLOW : HOSTS_ONLY;
		return v->flow == FLOW && !(ve_get16(p + 6) & 0xbfff) && ve_get16(p + 2) == v->length &&
		       ve_sum_fold(ve_sum(0, p, 20)) == 0xffff;
	}
	v->transport = 40;
	v->protocol = p[6];
	v->flow = FLOW;
	return ve_get16(p + 4) + 40u == v->length;
}

static int look_at_tcp(struct view *v)
{
	const uint8_t *tcp = v->at + v->transport;
	size_t header = (size_t)(tcp[12] >> 4) * 4;

	v->header = v->transport + header;
	v->push = tcp[13] & PSH;
	if (header < 20 || v->header >= v->length || tcp[12] & 15 || (tcp[13] & ~PSH) != ACK)
		return 0;
	v->payload = v->length - v->header;
	return 1;
}

static int look_at_udp(struct view *v)
{
	const uint8_t *udp = v->at + v->transport;

	v->header = v->transport + VE_UDP_HEADER;
	if (v->header >= v->length || ve_get16(udp + 4) != v->length - v->transport || !ve_get16(udp + VE_UDP_CSUM))
		return 0;
	v->payload = v->length - v->header;
	return 1;
}

static void look(struct view *v, const struct ve_join *join)
{
	int good = look_at_ip(v);
	size_t least = v->protocol == VE_TCP ? 20 : VE_UDP_HEADER;

	if (v->flow == FLOW && v->protocol != VE_TCP && v->protocol != VE_UDP) {
		/* Behind an extension header there may be the ports of any flow. */
		v->flow = v->transport == 40 && v->protocol != 58 ? HOSTS_ONLY : NO_FLOW;
		return;
	}
	if (v->flow != FLOW)
		return;
	if (v->length < v->transport + least) {
		v->flow = HOSTS_ONLY;
		return;
	}
	good &= v->protocol == VE_TCP ? join->tcp && look_at_tcp(v) : join->udp && look_at_udp(v);
	v->candidate = good;
}

static int checksum_is_right(const uint8_t *packet, size_t length, size_t transport, uint8_t protocol)
{
	uint64_t sum = ve_sum_pseudo(packet, protocol, length - transport);

	return ve_sum_fold(ve_sum(sum, packet + transport, length - transport)) == 0xffff;
}

/* ---- items --------------------------------------------------------------------------------------------------- */

static uint8_t *first_of(struct ve_join *join, const struct ve_join_item *item)
{
	return join->packet[item->first].at;
}

static int same_hosts(const uint8_t *a, const uint8_t *b)
{
	if (a[0] >> 4 != b[0] >> 4)
		return 0;
	return a[0] >> 4 == 4 ? !memcmp(a + 12, b + 12, 8) : !memcmp(a + 8, b + 8, 32);
}

static void close_flow(struct ve_join *join, size_t slot)
{
	join->flows--;
	memmove(&join->open[slot], &join->open[slot + 1], (join->flows - slot) * sizeof(join->open[0]));
}

static void close_hosts(struct ve_join *join, const uint8_t *packet)
{
	size_t slot;

	for (slot = join->flows; slot-- > 0;) {
		if (same_hosts(first_of(join, &join->item[join->open[slot]]), packet))
			close_flow(join, slot);
	}
}

/* The slot of the open item of this flow, or VE_JOIN_FLOWS. */
static size_t find(struct ve_join *join, const struct view *v)
{
	size_t slot;

	for (slot = join->flows; slot-- > 0;) {
		const struct ve_join_item *item = &join->item[join->open[slot]];
		const uint8_t *first = first_of(join, item);

		if (item->protocol == v->protocol && item->transport == v->transport &&
		    !memcmp(first + item->transport, v->at + v->transport, 4) && same_hosts(first, v->at))
			return slot;
	}
	return VE_JOIN_FLOWS;
}

static int same_ip(const struct ve_join_item *item, const uint8_t *a, const uint8_t *b)
{
	if (item->transport == 40)	/* traffic class, flow label, hop limit */
		return !memcmp(a, b, 4) && a[7] == b[7];
	if (a[1] != b[1] || a[8] != b[8] || a[6] != b[6])
		return 0;
	return a[6] & 0x40 || ve_get16(b + 4) == ((ve_get16(a + 4) + item->count) & 0xffff);
}

/* All that 5.3 asks for, but the checksums. */
static int fits(struct ve_join *join, const struct ve_join_item *item, const struct view *v)
{
	const uint8_t *first = first_of(join, item), *a = first + item->transport, *b = v->at + v->transport;

	if (v->header != item->header || v->payload > item->size || item->total + v->payload > VE_SUPER_PACKET ||
	    !same_ip(item, first, v->at))
		return 0;
	if (item->protocol == VE_UDP)
		return item->count < MAX_DATAGRAMS;
	/* Acknowledgement, offset, window, urgent pointer and options are the same. */
	return ve_get32(b + 4) == item->sequence && !memcmp(a + 8, b + 8, 5) && !memcmp(a + 14, b + 14, 2) &&
	       !memcmp(a + 18, b + 18, item->header - item->transport - 18);
}

/* Both checksums are right; the first packet's is looked at once. */
static int verified(struct ve_join *join, struct ve_join_item *item, struct view *v)
{
	const struct ve_join_packet *first = &join->packet[item->first];

	if (!item->verified) {
		item->verified = (uint8_t)checksum_is_right(first->at, first->length, item->transport, item->protocol);
		join->bad_checksums += !item->verified;
	}
	if (!checksum_is_right(v->at, v->length, v->transport, v->protocol)) {
		join->bad_checksums++;
		v->candidate = 0;
		return 0;
	}
	return item->verified;
}

static void append(struct ve_join *join, size_t slot, const struct view *v, uint16_t index)
{
	struct ve_join_item *item = &join->item[join->open[slot]];

	join->packet[item->last].next = index;
	item->last = index;
	item->count++;
	item->total += (uint32_t)v->payload;
	item->sequence += (uint32_t)v->payload;
	item->push = v->push != 0;
	if (v->payload < item->size || v->push)
		close_flow(join, slot);
}

static void begin(struct ve_join *join, const struct view *v, uint16_t index)
{
	size_t number = join->items++;

	join->item[number] = (struct ve_join_item){
		.first = index,
		.last = index,
		.count = 1,
		.transport = (uint16_t)v->transport,
		.header = (uint16_t)v->header,
		.size = (uint16_t)v->payload,
		.total = (uint32_t)v->length,
		.protocol = v->protocol,
	};
	if (!v->candidate || v->push)
		return;
	if (v->protocol == VE_TCP)
		join->item[number].sequence = ve_get32(v->at + v->transport + 4) + (uint32_t)v->payload;
	if (join->flows == VE_JOIN_FLOWS)
		close_flow(join, 0);
	join->open[join->flows++] = (uint16_t)number;
}

void ve_join_add(struct ve_join *join, uint8_t *packet, size_t length)
{
	struct view v = {.at = packet, .length = length};
	uint16_t index = (uint16_t)join->packets++;
	size_t slot;

	join->packet[index] = (struct ve_join_packet){.at = packet, .length = (uint16_t)length};
	look(&v, join);
	if (v.flow == HOSTS_ONLY)
		close_hosts(join, packet);
	slot = v.flow == FLOW ? find(join, &v) : VE_JOIN_FLOWS;
	if (slot != VE_JOIN_FLOWS) {
		struct ve_join_item *item = &join->item[join->open[slot]];

		if (v.candidate && fits(join, item, &v) && verified(join, item, &v)) {
			append(join, slot, &v, index);
			return;
		}
		close_flow(join, slot);
	}
	begin(join, &v, index);
}

/* ---- what leaves --------------------------------------------------------------------------------------------- */

/* Make the header of the first packet that of the super-packet. */
static void rebuild(struct ve_join *join, const struct ve_join_item *item, uint8_t *vnet)
{
	uint8_t *packet = first_of(join, item), *transport = packet + item->transport;
	int tcp = item->protocol == VE_TCP, v4 = item->transport == 20;
	size_t datagram = item->total - item->transport;

	memcpy(join->saved, packet, item->header);
	if (v4) {
		ve_put16(packet + 2, item->total);
		ve_sum_ipv4(packet, 20);
	} else {
		ve_put16(packet + 4, item->total - 40);
	}
	if (!tcp)
		ve_put16(transport + 4, datagram);
	else if (item->push)
		transport[13] |= PSH;
	ve_sum_store(transport + (tcp ? VE_TCP_CSUM : VE_UDP_CSUM),
		     ve_sum_fold(ve_sum_pseudo(packet, item->protocol, datagram)));
	vnet[0] = VE_VNET_NEEDS_CSUM;
	vnet[1] = !tcp ? VE_VNET_UDP : v4 ? VE_VNET_TCPV4 : VE_VNET_TCPV6;
	ve_vnet_put(vnet + 2, item->header);
	ve_vnet_put(vnet + 4, item->size);
	ve_vnet_put(vnet + 6, item->transport);
	ve_vnet_put(vnet + 8, tcp ? VE_TCP_CSUM : VE_UDP_CSUM);
}

size_t ve_join_gather(struct ve_join *join, size_t number, uint8_t *vnet, struct iovec *iov)
{
	const struct ve_join_item *item = &join->item[number];
	size_t i, at = item->first;

	memset(vnet, 0, VE_VNET_SIZE);
	if (item->count > 1)
		rebuild(join, item, vnet);
	iov[0] = (struct iovec){.iov_base = vnet, .iov_len = VE_VNET_SIZE};
	iov[1] = (struct iovec){.iov_base = join->packet[at].at, .iov_len = join->packet[at].length};
	for (i = 1; i < item->count; i++) {
		const struct ve_join_packet *packet = &join->packet[at = join->packet[at].next];

		iov[i + 1] = (struct iovec){.iov_base = packet->at + item->header,
					    .iov_len = packet->length - item->header};
	}
	return i + 1;
}

void ve_join_restore(struct ve_join *join, size_t number)
{
	const struct ve_join_item *item = &join->item[number];

	if (item->count > 1)
		memcpy(first_of(join, item), join->saved, item->header);
}

void ve_join_reset(struct ve_join *join)
{
	join->packets = join->items = join->flows = 0;
}
