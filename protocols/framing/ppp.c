/*
 * ppp.c: the header of a PPP packet, and what may pass.
 *
 *     [ff 03]  protocol of 1 (odd) or 2 bytes (even, odd)  information
 *
 * Options of every carrier (value):
 *     ppp.data  1 byte: families that may pass, 1 IPv4, 2 IPv6; none at first
 *     ppp.pfc   1 byte: 1 if the peer granted protocol field compression   (not Fortinet)
 *     ppp.acfc  1 byte: 1 if the peer granted address/control compression  (not Fortinet)
 * Source: PPP notes, sections 2 and 10.   Twin: protocols/framing/ppp.py.
 */
#include "ppp.h"

#include <string.h>

static const uint8_t address_control[2] = {0xff, 0x03};

int ppp_parse(const uint8_t *packet, size_t length, struct ppp_header *out)
{
	size_t at = 0;

	out->length = 0;
	out->protocol = 0;
	if (length && packet[0] == address_control[0]) {
		if (length == 1)
			return VE_EMPTY;
		if (packet[1] == address_control[1])
			at = 2;
	}
	if (length == at)
		return VE_EMPTY;
	if (packet[at] & 1) {
		out->protocol = packet[at];
		out->length = at + 1;
		return VE_OK;
	}
	if (length == at + 1)
		return VE_EMPTY;
	out->protocol = (uint32_t)packet[at] << 8 | packet[at + 1];
	out->length = at + 2;
	return out->protocol & 1 ? VE_OK : VE_ERROR;
}

int ppp_is_data(uint32_t protocol)
{
	return protocol == PPP_IPV4 || protocol == PPP_IPV6;
}

int ppp_may_pass(const struct ppp *ppp, uint32_t protocol)
{
	return ppp->data & (protocol == PPP_IPV4 ? 1 : 2);
}

static enum ppp_verdict drop(struct ppp *ppp, int counter)
{
	ppp->base.counters[counter]++;
	return PPP_DROP;
}

enum ppp_verdict ppp_judge(struct ppp *ppp, int rc, const struct ppp_header *header, size_t information)
{
	int data = ppp_is_data(header->protocol);

	if (rc == VE_EMPTY || (rc == VE_OK && data && !information))
		return drop(ppp, PPP_RX_SHORT);
	if (rc != VE_OK)
		return drop(ppp, PPP_RX_BAD_PROTOCOL);
	if (data && !ppp_may_pass(ppp, header->protocol))
		return drop(ppp, PPP_RX_EARLY);
	if (information > PPP_MAX_INFORMATION)
		return drop(ppp, PPP_RX_TOO_LONG);
	return data ? PPP_PACKET : PPP_CONTROL;
}

uint32_t ppp_protocol(struct ppp *ppp, uint32_t kind, const uint8_t *payload, size_t length)
{
	uint32_t family = 0;

	if (kind != VE_ANY_PACKET && !ppp_is_data(kind))
		return kind <= 0xffff && (kind & 0x101) == 1 ? kind : 0;
	if (length)
		family = payload[0] >> 4 == 4 ? PPP_IPV4 : payload[0] >> 4 == 6 ? PPP_IPV6 : 0;
	if (!family || (kind != VE_ANY_PACKET && kind != family))
		return 0;
	if (!ppp_may_pass(ppp, family)) {
		ppp->base.counters[PPP_TX_EARLY]++;
		return 0;
	}
	return family;
}

static int sends_address(const struct ppp *ppp, uint32_t kind)
{
	return !ppp->bare && (kind == PPP_LCP || !ppp->acfc);
}

static int sends_short(const struct ppp *ppp, uint32_t kind)
{
	return !ppp->bare && ppp->pfc && (kind == VE_ANY_PACKET || ppp_is_data(kind));
}

size_t ppp_header_size(const struct ppp *ppp, uint32_t kind)
{
	return (sends_address(ppp, kind) ? 2 : 0) + (sends_short(ppp, kind) ? 1 : 2);
}

void ppp_build(const struct ppp *ppp, uint32_t protocol, uint8_t *out)
{
	if (sends_address(ppp, protocol)) {
		memcpy(out, address_control, sizeof(address_control));
		out += sizeof(address_control);
	}
	if (!sends_short(ppp, protocol))
		*out++ = (uint8_t)(protocol >> 8);
	*out = (uint8_t)protocol;
}

int ppp_no_option(struct ppp *ppp, const char *option)
{
	return ve_codec_refuse(&ppp->base, "framing %s has no option '%s'", ppp->base.ops->framing, option);
}

int ppp_set_byte(struct ppp *ppp, const char *option, const uint8_t *value, size_t length, unsigned int max,
		 uint8_t *out)
{
	if (length != 1)
		return ve_codec_refuse(&ppp->base, "%s length: got %zu, want 1 (byte 0)", option, length);
	if (value[0] > max)
		return ve_codec_refuse(&ppp->base, "%s: got %u, want 0..%u (byte 0)", option, value[0], max);
	*out = value[0];
	return VE_OK;
}

int ppp_set(struct ppp *ppp, const char *option, const uint8_t *value, size_t length)
{
	if (!strcmp(option, "ppp.data"))
		return ppp_set_byte(ppp, option, value, length, 3, &ppp->data);
	if (!ppp->bare && !strcmp(option, "ppp.pfc"))
		return ppp_set_byte(ppp, option, value, length, 1, &ppp->pfc);
	if (!ppp->bare && !strcmp(option, "ppp.acfc"))
		return ppp_set_byte(ppp, option, value, length, 1, &ppp->acfc);
	return VE_EMPTY;
}
