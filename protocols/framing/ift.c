/*
 * ift.c: IF-T/TLS framing, the stream of Pulse Connect Secure after its HTTP upgrade.
 *
 * Offset, size in bytes (big-endian):
 *     0  4  vendor    00005597 TCG (the top byte is not looked at), 00000a4c Juniper
 *     4  4  type
 *     8  4  length    of the whole frame; more than MAX_FRAME: out of step
 *    12  4  sequence  of the sender's frames on this connection; the receiver does not look at it.  Option "sequence",
 *                     4 bytes: that of the next frame sent, when others were sent before
 *    16  n  payload
 *
 * Juniper's type 4 carries one IP packet.  All other frames of the two vendors with a type that fits 16 bits are control
 * frames, whose kind is the vendor's low 16 bits and the type.
 *
 * No I/O, allocation or clock.  A packet is read into a reservation of the sink that is exactly as long as it is.
 * Source: Pulse notes, sections 1, 3 and 8.   Twin: protocols/framing/ift.py.
 */
#include "codec.h"

#include <string.h>

enum { TCG = 0x5597, TCG_MASK = 0x00ffffff, JUNIPER = 0x0a4c };

#define DATA ((uint32_t)JUNIPER << 16 | 4)
#define UNKNOWN 0		/* no kind */

enum {
	HEADER = 16,
	MAX_FRAME = 1 << 20,		/* bytes, header included */
	MAX_CONTROL = 16384,		/* bytes of payload of a control frame */
	MAX_SENT = 16384 - HEADER	/* bytes of payload, so that a frame fits one TLS record */
};

enum { OVERSIZE, UNKNOWN_FRAMES, EMPTY, SINK_FULL, CONTROL_OVERFLOW };

static const char *const counter_names[] = {
	[OVERSIZE] = "ift_oversize",
	[UNKNOWN_FRAMES] = "ift_unknown",
	[EMPTY] = "ift_empty",
	[SINK_FULL] = "ift_sink_full",
	[CONTROL_OVERFLOW] = "ift_control_overflow",
	NULL,
};

enum state { IN_HEADER, IN_PACKET, IN_CONTROL, SKIPPING };

struct ift {
	struct ve_codec base;
	enum state state;
	uint32_t sequence;		/* of the next frame sent */
	uint32_t kind;
	size_t have;			/* bytes of the header, or of the payload, that came */
	size_t length;			/* bytes of payload of this frame */
	uint8_t header[HEADER];
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	uint8_t scratch[MAX_CONTROL];	/* control payload, or bytes to skip */
};

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

static size_t ift_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct ift *c = (struct ift *)codec;
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
		*at = c->header + c->have;
		return HEADER - c->have;
	}
}

static uint32_t kind_of(uint32_t vendor, uint32_t type)
{
	if (type > 0xffff)
		return UNKNOWN;
	if ((vendor & TCG_MASK) == TCG)
		return (uint32_t)TCG << 16 | type;
	return vendor == JUNIPER ? (uint32_t)JUNIPER << 16 | type : UNKNOWN;
}

static void skip(struct ift *c, int counter)
{
	c->base.counters[counter]++;
	c->state = SKIPPING;
}

static void on_data(struct ift *c, struct ve_sink *sink)
{
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

static int on_header(struct ift *c, struct ve_sink *sink)
{
	size_t length = get32(c->header + 8);

	if (length < HEADER || length > MAX_FRAME)
		return ve_codec_broken(&c->base, "ift frame length: got %zu, want %d..%d (byte 8)", length, HEADER,
				       MAX_FRAME);
	c->length = length - HEADER;
	c->have = 0;
	c->kind = kind_of(get32(c->header), get32(c->header + 4));
	if (c->kind == UNKNOWN)
		skip(c, UNKNOWN_FRAMES);
	else if (c->length > (c->kind == DATA ? (size_t)VE_MAX_PACKET : (size_t)MAX_CONTROL))
		skip(c, OVERSIZE);
	else if (c->kind == DATA)
		on_data(c, sink);
	else
		c->state = IN_CONTROL;
	return VE_OK;
}

static void on_payload(struct ift *c, struct ve_sink *sink)
{
	if (c->state == IN_PACKET)
		ve_sink_commit(sink, c->packet, c->length);	/* the sink judges and counts what is no IP packet */
	else if (c->state == IN_CONTROL &&
		 ve_queue_push(c->base.controls, c->kind, c->scratch, c->length) != VE_OK)
		c->base.counters[CONTROL_OVERFLOW]++;
	c->state = IN_HEADER;
	c->have = 0;
}

static uint8_t **ift_open(struct ve_codec *codec, size_t *used)
{
	struct ift *c = (struct ift *)codec;

	*used = c->have;
	return c->state == IN_PACKET ? &c->packet : NULL;
}

static int ift_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct ift *c = (struct ift *)codec;

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

static int ift_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	if (strcmp(option, "sequence"))
		return ve_codec_refuse(codec, "framing ift has no option '%.40s'", option);
	if (length != 4)
		return ve_codec_refuse(codec, "ift option sequence: got %zu bytes, want 4", length);
	((struct ift *)codec)->sequence = get32(value);
	return VE_OK;
}

static int ift_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	struct ift *c = (struct ift *)codec;

	if (kind >> 16 != TCG && kind >> 16 != JUNIPER)
		return VE_ERROR;
	put32(out, kind >> 16);
	put32(out + 4, kind & 0xffff);
	put32(out + 8, (uint32_t)(HEADER + length));
	put32(out + 12, c->sequence++);
	return VE_OK;
}

const struct ve_codec_ops ve_ift = {
	.framing = "ift",
	.size = sizeof(struct ift),
	.headroom = HEADER,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = ift_room,
	.took = ift_took,
	.open = ift_open,
	.header = ift_header,
	.packet_kind = DATA,
	.set = ift_set,
};
