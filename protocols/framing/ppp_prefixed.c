/*
 * ppp_prefixed.c: PPP behind a length, as F5 ("ppp-f5") and Fortinet ("ppp-fortinet") carry it, over TLS and DTLS.
 *
 *     ppp-f5         f5 00  len16                  PPP packet of len bytes
 *     ppp-fortinet   total16 = len + 6  50 50  len16   PPP packet of len bytes
 *
 * As a stream: a prefix that cannot be has lost the stream for good.  As datagrams: one holds whole packets; what is
 * wrong drops the rest of that datagram.  In a stream the prefix and the longest PPP header are read together, then the
 * rest of the packet into a reservation of just its length: at most three bytes of it came with the header.
 * Fortinet's datagrams are also control records, which are never PPP:
 *
 *     length16 of the datagram   GFtype 00   text: heartbeat 00, svrhello 00 ... (one that comes late is dropped)
 *
 * and one of F5's is the answer to the request once more, which was read before: HTTP/1. ...
 * Source: PPP notes, sections 1 and 2; Fortinet notes, section 6; F5 notes, section 7.
 * Twin: ppp_prefixed.py.   Options: ppp.c.
 */
#include "ppp.h"

#include <string.h>

enum { RX_EMPTY = PPP_COUNTERS, RX_BAD_DATAGRAM, F5_LATE_ANSWER, FORTI_HEARTBEAT = F5_LATE_ANSWER, FORTI_RX_CONTROL };

#define COUNTER_NAMES \
	PPP_COUNTER_NAMES, [RX_EMPTY] = "ppp_rx_empty", [RX_BAD_DATAGRAM] = "ppp_rx_bad_datagram"

static const char *const f5_counters[] = {
	COUNTER_NAMES,
	[F5_LATE_ANSWER] = "f5_late_answer",
	NULL,
};
static const char *const fortinet_counters[] = {
	COUNTER_NAMES,
	[FORTI_HEARTBEAT] = "forti_heartbeat",
	[FORTI_RX_CONTROL] = "forti_rx_control",
	NULL,
};
static const char control_mark[] = "GFtype";	/* at offset 2 of a control record of Fortinet; the NUL belongs to it */
static const char heartbeat[] = "GFtype\0heartbeat";
static const char late[] = "GFtype\0svrhello";
static const char answer[] = { 'H', 'T', 'T', 'P', '/', '1', '.' };

enum {
	F5_PREFIX = 4,
	FORTINET_PREFIX = 6,
	MAX_HEAD = FORTINET_PREFIX + PPP_MAX_HEADER,
	RECORD = 16384,			/* bytes; a frame must fit one TLS record */
	CONTROL_RECORD = 0x10000,	/* a kind that is no PPP protocol: behind the length, as it is (Fortinet's datagrams) */
	CONTROL_RECORD_HEADER = 2
};

enum state { IN_HEAD, IN_PACKET, IN_CONTROL, SKIPPING };

struct prefixed {
	struct ppp ppp;
	size_t prefix;			/* bytes */
	enum state state;
	uint8_t head[MAX_HEAD];
	size_t have;			/* bytes of head, IN_HEAD; of information, else */
	size_t length;			/* of information */
	uint32_t protocol;
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	uint8_t scratch[PPP_MAX_INFORMATION];	/* of a control packet, or bytes to skip */
};

/* Length of the PPP packet, or VE_ERROR. */
static int packet_length(const struct prefixed *c, const uint8_t *p)
{
	int length = p[c->prefix - 2] << 8 | p[c->prefix - 1];

	if (!c->ppp.bare)
		return p[0] == 0xf5 && p[1] == 0x00 ? length : VE_ERROR;
	return p[2] == 0x50 && p[3] == 0x50 && (p[0] << 8 | p[1]) == length + FORTINET_PREFIX ? length : VE_ERROR;
}

static int lost(struct prefixed *c)
{
	const uint8_t *p = c->head;

	if (!c->ppp.bare)
		return ve_codec_broken(&c->ppp.base, "ppp f5 prefix: got '%02x%02x%02x%02x', want f500 and a length "
				       "(byte 0)", p[0], p[1], p[2], p[3]);
	return ve_codec_broken(&c->ppp.base, "ppp fortinet prefix: got '%02x%02x%02x%02x%02x%02x', want length + 6, "
			       "5050 and a length (byte 0)", p[0], p[1], p[2], p[3], p[4], p[5]);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static size_t prefixed_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct prefixed *c = (struct prefixed *)codec;
	size_t left = c->length - c->have;

	(void)sink;
	switch (c->state) {
	case IN_PACKET:
		*at = c->packet + c->have;
		return left;
	case IN_CONTROL:
		*at = c->scratch + c->have;
		return left;
	case SKIPPING:
		*at = c->scratch;
		return left < sizeof(c->scratch) ? left : sizeof(c->scratch);
	default:
		*at = c->head + c->have;
		return c->prefix + PPP_MAX_HEADER - c->have;
	}
}

/* Where the information goes. */
static enum state choose(struct prefixed *c, struct ve_sink *sink, enum ppp_verdict verdict)
{
	if (verdict == PPP_CONTROL)
		return IN_CONTROL;
	if (verdict == PPP_DROP)
		return SKIPPING;
	c->packet = ve_sink_reserve(sink, c->length);
	c->ppp.base.counters[PPP_SINK_FULL] += !c->packet;
	return c->packet ? IN_PACKET : SKIPPING;
}

static void push_control(struct ppp *ppp, uint32_t protocol, const uint8_t *information, size_t length)
{
	if (ve_queue_push(ppp->base.controls, protocol, information, length) != VE_OK)
		ppp->base.counters[PPP_CONTROL_OVERFLOW]++;
}

static void finish(struct prefixed *c, struct ve_sink *sink)
{
	if (c->state == IN_PACKET)
		ve_sink_commit(sink, c->packet, c->length);
	else if (c->state == IN_CONTROL)
		push_control(&c->ppp, c->protocol, c->scratch, c->length);
	c->state = IN_HEAD;
	c->have = 0;
}

/* The head held `used` bytes of what is done with; what follows them begins the next. */
static void rewind_head(struct prefixed *c, size_t used, size_t have)
{
	memmove(c->head, c->head + used, have - used);
	c->have = have - used;
}

/* One step in the head.  VE_OK: go on, VE_EMPTY: more bytes are needed, VE_ERROR: the stream is lost. */
static int on_head(struct prefixed *c, struct ve_sink *sink)
{
	struct ppp_header header;
	size_t have = c->have, at, n, taken;
	enum ppp_verdict verdict;
	uint8_t *to;
	int length, rc;

	if (have < c->prefix)
		return VE_EMPTY;
	length = packet_length(c, c->head);
	if (length < 0)
		return lost(c);
	if (length == 0) {
		c->ppp.base.counters[RX_EMPTY]++;
		rewind_head(c, c->prefix, have);
		return VE_OK;
	}
	n = have - c->prefix < (size_t)length ? have - c->prefix : (size_t)length;
	rc = ppp_parse(c->head + c->prefix, n, &header);
	if (rc == VE_EMPTY && n < (size_t)length)
		return VE_EMPTY;
	at = c->prefix + (rc == VE_EMPTY ? n : header.length);
	c->length = c->prefix + (size_t)length - at;
	c->protocol = header.protocol;
	verdict = ppp_judge(&c->ppp, rc, &header, c->length);
	c->state = choose(c, sink, verdict);
	c->have = 0;
	taken = have - at < c->length ? have - at : c->length;
	if (prefixed_room(&c->ppp.base, sink, &to) >= taken && taken)
		memcpy(to, c->head + at, taken);
	c->have = taken;
	if (taken < c->length)
		return VE_OK;
	finish(c, sink);
	rewind_head(c, at + taken, have);
	return VE_OK;
}

static uint8_t **prefixed_open(struct ve_codec *codec, size_t *used)
{
	struct prefixed *c = (struct prefixed *)codec;

	*used = c->have;
	return c->state == IN_PACKET ? &c->packet : NULL;
}

static int prefixed_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct prefixed *c = (struct prefixed *)codec;
	int rc = VE_OK;

	c->have += n;
	if (c->state != IN_HEAD) {
		if (c->have == c->length)
			finish(c, sink);
		return VE_OK;
	}
	while (rc == VE_OK && c->state == IN_HEAD)
		rc = on_head(c, sink);
	return rc == VE_ERROR ? VE_ERROR : VE_OK;
}

/* ---- datagrams -------------------------------------------------------------------------------------------------- */

static void on_whole(struct prefixed *c, struct ve_sink *sink, const uint8_t *packet, size_t length)
{
	struct ppp_header header;
	int rc = ppp_parse(packet, length, &header);
	size_t information = length - header.length;

	switch (ppp_judge(&c->ppp, rc, &header, information)) {
	case PPP_PACKET:
		if (ve_sink_write(sink, packet + header.length, information) == VE_FULL)
			c->ppp.base.counters[PPP_SINK_FULL]++;
		return;
	case PPP_CONTROL:
		push_control(&c->ppp, header.protocol, packet + header.length, information);
		return;
	default:
		return;
	}
}

/* Whether the text of a record, the two bytes of its length apart, begins so. */
static int begins(const uint8_t *data, size_t length, const char *with, size_t size)
{
	return length >= 2 + size && !memcmp(data + 2, with, size);
}

static void on_control_record(struct prefixed *c, const uint8_t *data, size_t length)
{
	int whole = ((size_t)data[0] << 8 | data[1]) == length;

	if (whole && length == 2 + sizeof(heartbeat) && begins(data, length, heartbeat, sizeof(heartbeat)))
		c->ppp.base.counters[FORTI_HEARTBEAT]++;
	else if (!whole || !begins(data, length, late, sizeof(late)))
		c->ppp.base.counters[FORTI_RX_CONTROL]++;
}

static void prefixed_datagram(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t left)
{
	struct prefixed *c = (struct prefixed *)codec;

	if (c->ppp.bare && begins(data, left, control_mark, sizeof(control_mark))) {
		on_control_record(c, data, left);
		return;
	}
	if (!c->ppp.bare && left >= sizeof(answer) && !memcmp(data, answer, sizeof(answer))) {
		codec->counters[F5_LATE_ANSWER]++;
		return;
	}
	while (left) {
		int length = left < c->prefix ? VE_ERROR : packet_length(c, data);

		if (length < 0 || (size_t)length > left - c->prefix) {
			codec->counters[RX_BAD_DATAGRAM]++;
			return;
		}
		if (length)
			on_whole(c, sink, data + c->prefix, (size_t)length);
		else
			codec->counters[RX_EMPTY]++;
		data += c->prefix + (size_t)length;
		left -= c->prefix + (size_t)length;
	}
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

static int is_control_record(const struct prefixed *c, uint32_t kind)
{
	return c->ppp.bare && kind == CONTROL_RECORD;
}

static size_t prefixed_header_size(const struct ve_codec *codec, uint32_t kind)
{
	const struct prefixed *c = (const struct prefixed *)codec;

	if (is_control_record(c, kind))
		return CONTROL_RECORD_HEADER;
	return c->prefix + ppp_header_size(&c->ppp, kind);
}

static int prefixed_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	struct prefixed *c = (struct prefixed *)codec;
	size_t size = ppp_header_size(&c->ppp, kind), total = size + length;
	uint32_t protocol;

	if (is_control_record(c, kind)) {
		out[0] = (uint8_t)((length + CONTROL_RECORD_HEADER) >> 8);
		out[1] = (uint8_t)(length + CONTROL_RECORD_HEADER);
		return VE_OK;
	}
	protocol = ppp_protocol(&c->ppp, kind, out + c->prefix + size, length);
	if (!protocol)
		return VE_ERROR;
	if (c->ppp.bare) {
		out[0] = (uint8_t)((total + FORTINET_PREFIX) >> 8);
		out[1] = (uint8_t)(total + FORTINET_PREFIX);
		out[2] = out[3] = 0x50;
	} else {
		out[0] = 0xf5;
		out[1] = 0x00;
	}
	out[c->prefix - 2] = (uint8_t)(total >> 8);
	out[c->prefix - 1] = (uint8_t)total;
	ppp_build(&c->ppp, protocol, out + c->prefix);
	return VE_OK;
}

static int prefixed_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	struct ppp *ppp = (struct ppp *)codec;
	int rc = ppp_set(ppp, option, value, length);

	return rc == VE_EMPTY ? ppp_no_option(ppp, option) : rc;
}

static int f5_init(struct ve_codec *codec)
{
	((struct prefixed *)codec)->prefix = F5_PREFIX;
	return VE_OK;
}

static int fortinet_init(struct ve_codec *codec)
{
	((struct prefixed *)codec)->prefix = FORTINET_PREFIX;
	((struct prefixed *)codec)->ppp.bare = 1;
	return VE_OK;
}

#define PREFIXED \
	.size = sizeof(struct prefixed), \
	.room = prefixed_room, \
	.took = prefixed_took, \
	.open = prefixed_open, \
	.header = prefixed_header, \
	.header_size = prefixed_header_size, \
	.packet_kind = VE_ANY_PACKET, \
	.set = prefixed_set, \
	.datagram = prefixed_datagram

const struct ve_codec_ops ve_ppp_f5 = {
	.framing = "ppp-f5",
	.headroom = F5_PREFIX + PPP_MAX_HEADER,
	.max_payload = RECORD - F5_PREFIX - PPP_MAX_HEADER,
	.init = f5_init,
	.counters = f5_counters,
	PREFIXED,
};

const struct ve_codec_ops ve_ppp_fortinet = {
	.framing = "ppp-fortinet",
	.headroom = FORTINET_PREFIX + 2,
	.max_payload = RECORD - FORTINET_PREFIX - 2,
	.init = fortinet_init,
	.counters = fortinet_counters,
	PREFIXED,
};
