/*
 * array.c: the stream of an Array Networks tunnel: IP packets with nothing between them.
 *
 *     version 4   length = BE16 at 2, at least 20 and the header's own; control if byte 0 is 45 and byte 9 ff
 *     version 6   length = 40 + BE16 at 4
 *     other       out of step: dropped to the end of this read of the link; three in a row end the stream
 * Control packet, offset, size in bytes:
 *     0 12  45 00, BE16 length, 0 but for ff at 9
 *    12  2  BE16 type: the kind of the control frame, whose payload is the rest
 *    14  2  0; in the answer to a client id LE16 core id
 *    16  n  argument; 4 zero bytes if there is none
 * Over DTLS a record is one such packet; one that begins with "200 OK" is the control frame ACCEPTED.
 *
 * No I/O, allocation or clock.  A packet is read into a reservation of the sink but for the bytes that tell its length.
 * Source: Array notes, sections 7, 8 and 9.   Twin: protocols/framing/array.py.
 */
#include "codec.h"
#include "sink.h"

#include <string.h>

enum { ACCEPTED = 0x10000 };		/* no type of the wire: a record "200 OK" */

enum {
	HEAD = 20,			/* bytes that every packet has; they tell all that is to be known */
	IPV6_HEADER = 40,
	TYPE = 12,			/* offset of a control packet's type */
	CONTROL_HEADER = 14,		/* bytes before the payload of a control frame */
	MAX_CONTROL = 2048,		/* bytes of a control packet; the largest known has 52 */
	MAX_DESYNC = 3,			/* in a row */
	MAX_SENT = 16384		/* bytes that fit one TLS record */
};

enum { DESYNC, OVERSIZE, CONTROL_OVERSIZE, SINK_FULL, CONTROL_OVERFLOW, BAD_RECORD };

static const char *const counter_names[] = {
	[DESYNC] = "array_desync",
	[OVERSIZE] = "array_oversize",
	[CONTROL_OVERSIZE] = "array_control_oversize",
	[SINK_FULL] = "array_sink_full",
	[CONTROL_OVERFLOW] = "array_control_overflow",
	[BAD_RECORD] = "array_bad_record",
	NULL,
};

static const char accepted[] = "200 OK";

enum state { IN_HEAD, IN_PACKET, IN_CONTROL, SKIPPING, LOST };

struct array {
	struct ve_codec base;
	enum state state;
	size_t have;			/* bytes of this packet that came */
	size_t length;			/* of this packet */
	unsigned int desyncs;		/* since the last whole packet */
	uint8_t head[HEAD];
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	uint8_t scratch[VE_MAX_PACKET];	/* a control packet, or bytes to skip */
};

/* Length of the packet that begins so; 0: more bytes are needed; VE_ERROR: none begins so. */
static int length_of(const uint8_t *head, size_t have)
{
	int length;

	if (have && head[0] >> 4 == 4) {
		if (have < 4)
			return 0;
		length = head[2] << 8 | head[3];
		return (head[0] & 15) >= 5 && length >= (head[0] & 15) * 4 ? length : VE_ERROR;
	}
	if (have && head[0] >> 4 == 6)
		return have < 6 ? 0 : IPV6_HEADER + (head[4] << 8 | head[5]);
	return have ? VE_ERROR : 0;
}

static int is_control(const uint8_t *head)
{
	return head[0] == 0x45 && head[9] == 0xff;
}

static size_t array_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct array *c = (struct array *)codec;
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
	case LOST:
		*at = c->scratch;
		return sizeof(c->scratch);
	default:
		*at = c->head + c->have;
		return HEAD - c->have;
	}
}

static int lost(struct array *c)
{
	c->base.counters[DESYNC]++;
	c->state = LOST;
	if (++c->desyncs >= MAX_DESYNC)
		return ve_codec_broken(&c->base, "array packets out of step in a row: got %u, want at most %d (byte 0)",
				       c->desyncs, MAX_DESYNC - 1);
	return VE_OK;
}

static void skip(struct array *c, int counter)
{
	c->base.counters[counter]++;
	c->state = SKIPPING;
}

/* The head is there, and it is one of a packet. */
static void choose(struct array *c, struct ve_sink *sink)
{
	if (is_control(c->head)) {
		c->state = IN_CONTROL;
		memcpy(c->scratch, c->head, HEAD);
		if (c->length > MAX_CONTROL)
			skip(c, CONTROL_OVERSIZE);
		return;
	}
	if (c->length > VE_MAX_PACKET) {
		skip(c, OVERSIZE);
		return;
	}
	c->packet = ve_sink_reserve(sink, c->length);
	if (!c->packet) {
		skip(c, SINK_FULL);
		return;
	}
	c->state = IN_PACKET;
	memcpy(c->packet, c->head, HEAD);
}

static void push_control(struct array *c, uint32_t kind, const uint8_t *payload, size_t length)
{
	if (ve_queue_push(c->base.controls, kind, payload, length) != VE_OK)
		c->base.counters[CONTROL_OVERFLOW]++;
}

static void on_control(struct array *c, const uint8_t *packet, size_t length)
{
	push_control(c, (uint32_t)packet[TYPE] << 8 | packet[TYPE + 1], packet + CONTROL_HEADER,
		     length - CONTROL_HEADER);
}

static uint8_t **array_open(struct ve_codec *codec, size_t *used)
{
	struct array *c = (struct array *)codec;

	*used = c->have;
	return c->state == IN_PACKET ? &c->packet : NULL;
}

static int array_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct array *c = (struct array *)codec;
	int length;

	if (c->state == LOST)
		return VE_OK;
	c->have += n;
	if (c->state == IN_HEAD) {
		length = length_of(c->head, c->have);
		if (length < 0)
			return lost(c);
		if (c->have < HEAD)
			return VE_OK;
		c->length = (size_t)length;
		choose(c, sink);
	}
	if (c->have < c->length)
		return VE_OK;
	if (c->state == IN_PACKET)
		ve_sink_commit(sink, c->packet, c->length);
	else if (c->state == IN_CONTROL)
		on_control(c, c->scratch, c->length);
	c->state = IN_HEAD;
	c->have = 0;
	c->desyncs = 0;
	return VE_OK;
}

static void array_read_end(struct ve_codec *codec)
{
	struct array *c = (struct array *)codec;

	if (c->state != LOST)
		return;
	c->state = IN_HEAD;
	c->have = 0;
}

static void array_datagram(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	struct array *c = (struct array *)codec;
	uint8_t *packet;

	if (length >= strlen(accepted) && length <= MAX_CONTROL && !memcmp(data, accepted, strlen(accepted))) {
		push_control(c, ACCEPTED, data, length);
	} else if (length < HEAD || length_of(data, length) < 0 || (size_t)length_of(data, length) != length) {
		codec->counters[BAD_RECORD]++;
	} else if (is_control(data)) {
		if (length > MAX_CONTROL)
			codec->counters[CONTROL_OVERSIZE]++;
		else
			on_control(c, data, length);
	} else if (length > VE_MAX_PACKET) {
		codec->counters[OVERSIZE]++;
	} else {
		packet = ve_sink_reserve(sink, length);
		codec->counters[SINK_FULL] += !packet;
		if (packet) {
			memcpy(packet, data, length);
			ve_sink_commit(sink, packet, length);
		}
	}
}

/* A packet is its own frame; but what would be taken as control must not leave, nor what is not exactly one packet. */
static int array_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	(void)codec;
	(void)kind;
	if (ve_ip_length(out, length) != length || !length)
		return VE_ERROR;
	return out[0] >> 4 == 4 && out[9] == 0xff ? VE_ERROR : VE_OK;
}

static int array_encode(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length, uint8_t *out,
			size_t size)
{
	size_t total = length + CONTROL_HEADER < HEAD ? HEAD : length + CONTROL_HEADER;

	(void)codec;
	if (kind > 0xffff || total > MAX_CONTROL)
		return VE_ERROR;
	if (size < total)
		return VE_FULL;
	memset(out, 0, total);
	out[0] = 0x45;
	out[2] = (uint8_t)(total >> 8);
	out[3] = (uint8_t)total;
	out[9] = 0xff;
	out[TYPE] = (uint8_t)(kind >> 8);
	out[TYPE + 1] = (uint8_t)kind;
	if (length)
		memcpy(out + CONTROL_HEADER, payload, length);
	return (int)total;
}

const struct ve_codec_ops ve_array = {
	.framing = "array",
	.size = sizeof(struct array),
	.headroom = 0,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = array_room,
	.took = array_took,
	.open = array_open,
	.header = array_header,
	.packet_kind = VE_ANY_PACKET,
	.datagram = array_datagram,
	.encode = array_encode,
	.read_end = array_read_end,
};
