/*
 * gpst.c: GPST framing, the TLS tunnel of GlobalProtect after START_TUNNEL.
 *
 * Offset, size in bytes:
 *     0  4  magic      1a 2b 3c 4d
 *     4  2  EtherType  big-endian: 0000 keepalive, 0800 IPv4, 86dd IPv6; it is the kind of the frame
 *     6  2  length     big-endian, of the payload; more than MAX_PAYLOAD: out of step
 *     8  4  one        01 00 00 00 with a packet, 0 in a keepalive; others are taken and counted
 *    12  4  zero       likewise
 *    16  n  one IP packet
 *
 * No I/O, allocation or clock.  A packet is read into a reservation of the sink that is exactly as long as it is.
 * Source: GlobalProtect notes, section 11.2.   Twin: protocols/framing/gpst.py.
 */
#include "codec.h"

#include <string.h>

enum { KEEPALIVE = 0, IPV4 = 0x0800, IPV6 = 0x86dd };

enum {
	HEADER = 16,
	MARK = 8,			/* offset of the 8 bytes that only tell packets from keepalives */
	MAX_PAYLOAD = 16384,		/* bytes that are taken in */
	MAX_SENT = 16384 - HEADER	/* bytes that fit one TLS record with the header */
};

enum { ODD_HEADER, EMPTY, VERSION, SINK_FULL, CONTROL_OVERFLOW };

static const char *const counter_names[] = {
	[ODD_HEADER] = "gpst_odd_header",
	[EMPTY] = "gpst_empty",
	[VERSION] = "gpst_version",
	[SINK_FULL] = "gpst_sink_full",
	[CONTROL_OVERFLOW] = "gpst_control_overflow",
	NULL,
};

static const uint8_t magic[4] = {0x1a, 0x2b, 0x3c, 0x4d};

enum state { IN_HEADER, IN_PACKET, IN_CONTROL, SKIPPING };

struct gpst {
	struct ve_codec base;
	enum state state;
	size_t have;			/* bytes of the header, or of the payload, that came */
	size_t length;			/* bytes of payload of this frame */
	unsigned int type;
	uint8_t header[HEADER];
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	uint8_t scratch[MAX_PAYLOAD];	/* payload of a keepalive, or bytes to skip */
};

static size_t gpst_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct gpst *c = (struct gpst *)codec;

	(void)sink;
	switch (c->state) {
	case IN_PACKET:
		*at = c->packet + c->have;
		return c->length - c->have;
	case IN_CONTROL:
	case SKIPPING:
		*at = c->scratch + c->have;
		return c->length - c->have;
	default:
		*at = c->header + c->have;
		return HEADER - c->have;
	}
}

/* The type of frame for a packet, by its version; KEEPALIVE: none. */
static unsigned int type_of(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? IPV4 : packet[0] >> 4 == 6 ? IPV6 : KEEPALIVE;
}

static void skip(struct gpst *c, int counter)
{
	c->base.counters[counter]++;
	c->state = SKIPPING;
}

static void choose(struct gpst *c, struct ve_sink *sink)
{
	if (c->type == KEEPALIVE) {
		c->state = IN_CONTROL;
		return;
	}
	if (!c->length) {
		skip(c, EMPTY);
		return;
	}
	c->packet = ve_sink_reserve(sink, c->length);
	if (c->packet)
		c->state = IN_PACKET;
	else
		skip(c, SINK_FULL);
}

static int on_header(struct gpst *c, struct ve_sink *sink)
{
	uint8_t mark[HEADER - MARK] = {0};
	const uint8_t *h = c->header;

	if (memcmp(h, magic, sizeof(magic)))
		return ve_codec_broken(&c->base, "gpst magic: got '%02x%02x%02x%02x', want 1a2b3c4d (byte 0)",
				       h[0], h[1], h[2], h[3]);
	c->type = (unsigned int)h[4] << 8 | h[5];
	if (c->type != IPV4 && c->type != IPV6 && c->type != KEEPALIVE)
		return ve_codec_broken(&c->base, "gpst ethertype: got '%04x', want 0000, 0800 or 86dd (byte 4)",
				       c->type);
	c->length = (size_t)h[6] << 8 | h[7];
	if (c->length > MAX_PAYLOAD)
		return ve_codec_broken(&c->base, "gpst length: got %zu, want 0..%d (byte 6)", c->length, MAX_PAYLOAD);
	c->have = 0;
	mark[0] = c->type != KEEPALIVE;
	c->base.counters[ODD_HEADER] += memcmp(h + MARK, mark, sizeof(mark)) != 0;
	choose(c, sink);
	return VE_OK;
}

static void on_payload(struct gpst *c, struct ve_sink *sink)
{
	if (c->state == IN_CONTROL) {
		if (ve_queue_push(c->base.controls, c->type, c->scratch, c->length) != VE_OK)
			c->base.counters[CONTROL_OVERFLOW]++;
	} else if (c->state == IN_PACKET && type_of(c->packet) != c->type) {
		c->base.counters[VERSION]++;
		ve_sink_abort(sink, c->packet);
	} else if (c->state == IN_PACKET) {
		ve_sink_commit(sink, c->packet, c->length);	/* the sink judges and counts what is no IP packet */
	}
	c->state = IN_HEADER;
	c->have = 0;
}

static uint8_t **gpst_open(struct ve_codec *codec, size_t *used)
{
	struct gpst *c = (struct gpst *)codec;

	*used = c->have;
	return c->state == IN_PACKET ? &c->packet : NULL;
}

static int gpst_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct gpst *c = (struct gpst *)codec;

	c->have += n;
	if (c->state == IN_HEADER) {
		if (c->have < HEADER)
			return VE_OK;
		if (on_header(c, sink) != VE_OK)
			return VE_ERROR;
	}
	if (c->have == c->length)
		on_payload(c, sink);
	return VE_OK;
}

static int gpst_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	(void)codec;
	if (kind == VE_ANY_PACKET) {
		kind = length ? type_of(out + HEADER) : KEEPALIVE;
		if (kind == KEEPALIVE)
			return VE_ERROR;
	}
	if (kind != KEEPALIVE && kind != IPV4 && kind != IPV6)
		return VE_ERROR;
	memset(out, 0, HEADER);
	memcpy(out, magic, sizeof(magic));
	out[4] = (uint8_t)(kind >> 8);
	out[5] = (uint8_t)kind;
	out[6] = (uint8_t)(length >> 8);
	out[7] = (uint8_t)length;
	out[MARK] = kind != KEEPALIVE;
	return VE_OK;
}

const struct ve_codec_ops ve_gpst = {
	.framing = "gpst",
	.size = sizeof(struct gpst),
	.headroom = HEADER,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = gpst_room,
	.took = gpst_took,
	.open = gpst_open,
	.header = gpst_header,
	.packet_kind = VE_ANY_PACKET,
};
