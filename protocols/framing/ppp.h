/*
 * ppp.h: what the PPP carriers share: the packet header, what may pass, options and counters.  Internal.
 */
#ifndef VPN_FRAMING_PPP_H
#define VPN_FRAMING_PPP_H

#include "codec.h"

enum {
	PPP_IPV4 = 0x0021,
	PPP_IPV6 = 0x0057,
	PPP_LCP = 0xc021,
	PPP_MAX_HEADER = 4,		/* ff 03 and two bytes of protocol */
	PPP_MAX_INFORMATION = 16384	/* bytes that are taken in */
};

enum {	/* the counters of every carrier; each goes on from PPP_COUNTERS */
	PPP_RX_EARLY, PPP_RX_SHORT, PPP_RX_BAD_PROTOCOL, PPP_RX_TOO_LONG, PPP_SINK_FULL, PPP_CONTROL_OVERFLOW,
	PPP_TX_EARLY, PPP_COUNTERS
};

#define PPP_COUNTER_NAMES \
	[PPP_RX_EARLY] = "ppp_rx_early", [PPP_RX_SHORT] = "ppp_rx_short", \
	[PPP_RX_BAD_PROTOCOL] = "ppp_rx_bad_protocol", [PPP_RX_TOO_LONG] = "ppp_rx_too_long", \
	[PPP_SINK_FULL] = "ppp_sink_full", [PPP_CONTROL_OVERFLOW] = "ppp_control_overflow", \
	[PPP_TX_EARLY] = "ppp_tx_early"

struct ppp {
	struct ve_codec base;
	int bare;		/* Fortinet: nothing is compressed, ff 03 is never sent */
	uint8_t data;		/* families that may pass: 1 IPv4, 2 IPv6 */
	uint8_t pfc, acfc;	/* granted by the peer */
};

struct ppp_header {
	size_t length;		/* bytes */
	uint32_t protocol;
};

/* VE_OK, VE_EMPTY: more bytes are needed (never of PPP_MAX_HEADER), or VE_ERROR: a protocol number that cannot be. */
int ppp_parse(const uint8_t *packet, size_t length, struct ppp_header *out);

enum ppp_verdict { PPP_DROP, PPP_CONTROL, PPP_PACKET };

/* What becomes of a packet with this much information behind its header; a drop is counted.  rc: of ppp_parse, where
 * VE_EMPTY means that the packet ends there. */
enum ppp_verdict ppp_judge(struct ppp *ppp, int rc, const struct ppp_header *header, size_t information);
int ppp_is_data(uint32_t protocol);
int ppp_may_pass(const struct ppp *ppp, uint32_t protocol);

/* The protocol under which a payload of this kind is sent, or 0: not to be sent. */
uint32_t ppp_protocol(struct ppp *ppp, uint32_t kind, const uint8_t *payload, size_t length);
size_t ppp_header_size(const struct ppp *ppp, uint32_t kind);	/* also of VE_ANY_PACKET */
void ppp_build(const struct ppp *ppp, uint32_t protocol, uint8_t *out);

/* The options of every carrier.  VE_EMPTY: none of them. */
int ppp_set(struct ppp *ppp, const char *option, const uint8_t *value, size_t length);
int ppp_set_byte(struct ppp *ppp, const char *option, const uint8_t *value, size_t length, unsigned int max,
		 uint8_t *out);
int ppp_no_option(struct ppp *ppp, const char *option);

#endif
