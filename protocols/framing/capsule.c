/*
 * capsule.c: capsules of CONNECT-IP, as they follow one another in the DATA frames of an HTTP/2 stream.
 *
 *     type (varint)   length (varint)   value
 *     0   DATAGRAM              context ID (varint), then one whole IP packet if the ID is 0
 *     1   ADDRESS_ASSIGN        up as a control frame, its kind the type; a value beyond PIECE bytes comes in pieces, the
 *     2   ADDRESS_REQUEST       kind of all but the last with MORE
 *     3   ROUTE_ADVERTISEMENT
 *     others                    skipped, whatever their length
 * A varint is 1, 2, 4 or 8 bytes by its two highest bits, big-endian; the longer forms of a value are as good.
 * Option capsule.context: 0, or none: a DATAGRAM is the bare packet (WARP).
 *
 * No I/O, allocation or clock.  A packet is read into a reservation of the sink that is exactly as long as it is.
 * Source: CONNECT-IP notes, sections 5 to 7 and 12; RFC 9297, RFC 9484.   Twin: protocols/framing/capsule.py.
 */
#include "codec.h"
#include "sink.h"

#include <inttypes.h>
#include <string.h>

enum { DATAGRAM = 0, LAST_CONTROL = 3, MORE = 0x100 };

enum {
	HEAD = 16,			/* bytes of type and length, at most */
	PIECE = 16384,			/* bytes of value in one control frame */
	MAX_DATAGRAM = 65543,		/* bytes of value: context ID and packet */
	MAX_CONTROL = 65536,		/* bytes of value */
	MAX_SENT = 16384,		/* bytes of packet or value */
	MAX_KIND = (1 << 30) - 1	/* of a control frame to be sent */
};

enum { OVERSIZE, UNKNOWN, OTHER_CONTEXT, NO_CONTEXT, EMPTY, NOT_IP, SINK_FULL, CONTROL_OVERFLOW };

static const char *const counter_names[] = {
	[OVERSIZE] = "capsule_oversize",
	[UNKNOWN] = "capsule_unknown",
	[OTHER_CONTEXT] = "capsule_other_context",
	[NO_CONTEXT] = "capsule_no_context",
	[EMPTY] = "capsule_empty",
	[NOT_IP] = "capsule_not_ip",
	[SINK_FULL] = "capsule_sink_full",
	[CONTROL_OVERFLOW] = "capsule_control_overflow",
	NULL,
};

enum state { IN_HEAD, IN_CONTEXT, IN_PACKET, IN_VALUE, SKIPPING };

struct capsule {
	struct ve_codec base;
	enum state state;
	int bare;			/* no context IDs */
	int pieces;			/* of this value were handed up before */
	size_t have;			/* bytes of head, packet or piece that came */
	uint32_t type;			/* IN_VALUE */
	uint64_t left;			/* bytes of value to come */
	uint8_t head[HEAD];		/* type and length, or the context ID */
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	uint8_t scratch[PIECE];		/* a piece of value, or bytes to skip */
};

/* ---- varints ---- */

static size_t varint_size(uint8_t first)
{
	return (size_t)1 << (first >> 6);
}

static uint64_t varint(const uint8_t *at)
{
	uint64_t value = *at & 0x3f;

	for (size_t i = 1; i < varint_size(*at); i++)
		value = value << 8 | at[i];
	return value;
}

/* The shortest form of a value below 2^30; bytes written, 4 at most. */
static size_t put_varint(uint8_t *out, uint32_t value)
{
	size_t size = value < 1 << 6 ? 1 : value < 1 << 14 ? 2 : 4;

	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	out[0] |= (uint8_t)(size == 1 ? 0 : size == 2 ? 0x40 : 0x80);
	return size;
}

/* ---- decode ---- */

/* Bytes of type and length that are still missing, as far as can be told. */
static size_t head_missing(const struct capsule *c)
{
	size_t type;

	if (!c->have)
		return 1;
	type = varint_size(c->head[0]);
	if (c->have <= type)
		return type + 1 - c->have;
	return type + varint_size(c->head[type]) - c->have;
}

static size_t context_missing(const struct capsule *c)
{
	return c->have ? varint_size(c->head[0]) - c->have : 1;
}

static size_t at_most(uint64_t left, size_t room)
{
	return left < room ? (size_t)left : room;
}

static size_t capsule_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct capsule *c = (struct capsule *)codec;

	(void)sink;
	switch (c->state) {
	case IN_PACKET:
		*at = c->packet + c->have;
		return (size_t)c->left;
	case IN_VALUE:
		*at = c->scratch + c->have;
		return at_most(c->left, PIECE - c->have);
	case SKIPPING:
		*at = c->scratch;
		return at_most(c->left, sizeof(c->scratch));
	case IN_CONTEXT:
		*at = c->head + c->have;
		return context_missing(c);
	default:
		*at = c->head + c->have;
		return head_missing(c);
	}
}

static void begin(struct capsule *c)
{
	c->state = IN_HEAD;
	c->have = 0;
}

static void skip(struct capsule *c, int counter)
{
	c->base.counters[counter]++;
	c->state = SKIPPING;
	if (!c->left)
		begin(c);
}

/* What is left of the value is a packet. */
static void on_context(struct capsule *c, struct ve_sink *sink)
{
	c->have = 0;
	if (!c->left) {
		skip(c, EMPTY);
	} else if (c->left > VE_MAX_PACKET) {
		skip(c, OVERSIZE);
	} else {
		c->packet = ve_sink_reserve(sink, (size_t)c->left);
		if (c->packet)
			c->state = IN_PACKET;
		else
			skip(c, SINK_FULL);
	}
}

/* A piece is full, or the value is whole. */
static int on_value(struct capsule *c)
{
	uint32_t kind = c->left ? c->type | MORE : c->type;

	if (ve_queue_push(c->base.controls, kind, c->scratch, c->have) != VE_OK) {
		if (c->left || c->pieces)	/* half a capsule is worse than none */
			return ve_codec_broken(&c->base, "capsule pieces waiting: got 'too many', want them taken "
					       "between reads (byte 0)");
		c->base.counters[CONTROL_OVERFLOW]++;
	}
	c->pieces = c->left != 0;
	c->have = 0;
	if (!c->left)
		begin(c);
	return VE_OK;
}

static int on_head(struct capsule *c, struct ve_sink *sink)
{
	size_t size = varint_size(c->head[0]);
	uint64_t type = varint(c->head);

	c->left = varint(c->head + size);
	c->have = 0;
	if (type == DATAGRAM) {
		if (c->left > MAX_DATAGRAM)
			skip(c, OVERSIZE);
		else if (c->bare)
			on_context(c, sink);
		else if (!c->left)
			skip(c, NO_CONTEXT);
		else
			c->state = IN_CONTEXT;
		return VE_OK;
	}
	if (type > LAST_CONTROL) {
		skip(c, UNKNOWN);
		return VE_OK;
	}
	if (c->left > MAX_CONTROL)
		return ve_codec_broken(&c->base, "capsule length of type %" PRIu64 ": got %" PRIu64 ", want <= %d "
				       "(byte %zu)", type, c->left, MAX_CONTROL, size);
	c->type = (uint32_t)type;
	c->pieces = 0;
	c->state = IN_VALUE;
	return c->left ? VE_OK : on_value(c);
}

static void take_context(struct capsule *c, struct ve_sink *sink, size_t n)
{
	c->have += n;
	c->left -= n;
	if (context_missing(c) > c->left) {
		skip(c, NO_CONTEXT);
		c->have = 0;
	} else if (!context_missing(c)) {
		c->have = 0;
		if (varint(c->head))
			skip(c, OTHER_CONTEXT);
		else
			on_context(c, sink);
	}
}

static void take_packet(struct capsule *c, struct ve_sink *sink, size_t n)
{
	c->have += n;
	c->left -= n;
	if (c->left)
		return;
	if (ve_ip_length(c->packet, c->have) == c->have) {
		ve_sink_commit(sink, c->packet, c->have);
	} else {
		c->base.counters[NOT_IP]++;
		ve_sink_abort(sink, c->packet);
	}
	begin(c);
}

static uint8_t **capsule_open(struct ve_codec *codec, size_t *used)
{
	struct capsule *c = (struct capsule *)codec;

	*used = c->have;
	return c->state == IN_PACKET ? &c->packet : NULL;
}

static int capsule_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct capsule *c = (struct capsule *)codec;

	switch (c->state) {
	case IN_PACKET:
		take_packet(c, sink, n);
		return VE_OK;
	case IN_VALUE:
		c->have += n;
		c->left -= n;
		return !c->left || c->have == PIECE ? on_value(c) : VE_OK;
	case SKIPPING:
		c->left -= n;
		if (!c->left)
			begin(c);
		return VE_OK;
	case IN_CONTEXT:
		take_context(c, sink, n);
		return VE_OK;
	default:
		c->have += n;
		return head_missing(c) ? VE_OK : on_head(c, sink);
	}
}

static int capsule_end(struct ve_codec *codec)
{
	struct capsule *c = (struct capsule *)codec;

	if (c->state == IN_HEAD && !c->have)
		return VE_OK;
	return ve_codec_broken(codec, "capsule stream: got 'its end', want the rest of a capsule (byte 0)");
}

/* ---- encode ---- */

static int capsule_encode(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length, uint8_t *out,
			  size_t size)
{
	int packet = kind == VE_ANY_PACKET;
	int context = packet && !((struct capsule *)codec)->bare;
	uint8_t head[HEAD];
	size_t n;

	if (packet ? !length : kind == DATAGRAM || kind > MAX_KIND)
		return VE_ERROR;
	n = put_varint(head, packet ? DATAGRAM : kind);
	n += put_varint(head + n, (uint32_t)length + (uint32_t)context);
	if (context)
		head[n++] = 0;
	if (size < n + length)
		return VE_FULL;
	memcpy(out, head, n);
	if (length)
		memcpy(out + n, payload, length);
	return (int)(n + length);
}

static int capsule_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	struct capsule *c = (struct capsule *)codec;
	int none = length == 4 && !memcmp(value, "none", 4);

	if (strcmp(option, "capsule.context"))
		return ve_codec_refuse(codec, "option: got '%.40s', want capsule.context", option);
	if (!none && !(length == 1 && *value == '0'))
		return ve_codec_refuse(codec, "capsule.context: want 0 or none");
	if (c->state == IN_CONTEXT)
		return ve_codec_refuse(codec, "capsule.context: cannot change within a context ID");
	c->bare = none;
	return VE_OK;
}

const struct ve_codec_ops ve_capsule = {
	.framing = "capsule",
	.size = sizeof(struct capsule),
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = capsule_room,
	.took = capsule_took,
	.open = capsule_open,
	.packet_kind = VE_ANY_PACKET,
	.set = capsule_set,
	.encode = capsule_encode,
	.end = capsule_end,
};
