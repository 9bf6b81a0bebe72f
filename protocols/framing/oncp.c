/*
 * oncp.c: oNCP framing, the stream of Juniper Network Connect after its first KMP 301.
 *
 *     record   LE16 length, then that many bytes of the stream of messages; a length of 0: one byte of reason, the end
 *     message  20 bytes of KMP header, then the payload; its borders and those of records have nothing to do with
 *              another
 *     300      IPv4 packets back to back
 *
 * KMP header, offset, size in bytes:
 *     0  6  zero
 *     6  2  type     big-endian: 300 packets, 301 configuration, 302 ESP keys, 303 control; it is the kind of the frame
 *     8  1  01       the gateway's may be 00; not compared, nor is the rest up to 17
 *     9  3  zero
 *    12  1  sender   01 client, 00 gateway (option "gateway", one byte: 01)
 *    13  5  zero
 *    18  2  length   big-endian, of the payload
 *
 * The headers of a record, a message and a packet are read together into a small stage; there they tell the packet's
 * length.  The rest of the packet is read into its reservation, which stays open from record to record.  The stage may
 * take in more than it should (a short record ends inside): whatever it holds is gone through as a stream of its own.
 *
 * No I/O, allocation or clock.  Source: Juniper notes, sections 5.1, 6, 7 and 9.2.   Twin: protocols/framing/oncp.py.
 */
#include "codec.h"

#include <string.h>

enum { TERMINATED = 0, DATA = 300, CONFIGURATION = 301, ESP_KEYS = 302, CONTROL = 303 };

enum {
	LENGTH = 2,			/* bytes before a record */
	HEADER = 20,			/* bytes before a message */
	IP_HEADER = 20,			/* bytes that tell how long a packet is */
	IPV6_HEADER = 40,
	HEADROOM = LENGTH + HEADER,
	MAX_CONTROL = 16384,		/* bytes of payload of a control frame */
	MAX_SENT = 16384 - HEADROOM,	/* bytes of payload, so that a record fits one TLS record */
	MAX_UNKNOWN = 64		/* messages of unknown types without a known one between them */
};

enum { BAD_IP, IPV6, EMPTY, UNKNOWN_KMP, OVERSIZE, SINK_FULL, CONTROL_OVERFLOW };

static const char *const counter_names[] = {
	[BAD_IP] = "oncp_bad_ip",
	[IPV6] = "oncp_ipv6",
	[EMPTY] = "oncp_empty",
	[UNKNOWN_KMP] = "oncp_unknown_kmp",
	[OVERSIZE] = "oncp_oversize",
	[SINK_FULL] = "oncp_sink_full",
	[CONTROL_OVERFLOW] = "oncp_control_overflow",
	NULL,
};

enum state { IN_HEADER, IN_IP_HEADER, IN_PACKET, IN_CONTROL, SKIPPING };

struct oncp {
	struct ve_codec base;
	uint8_t gateway;		/* sign messages as the gateway does */
	uint8_t length[LENGTH];		/* of the next record */
	size_t length_have;		/* LENGTH: it is 0, the reason follows */
	size_t need;			/* bytes of this record to come */
	int ended;
	enum state state;		/* what the bytes of messages under way belong to */
	size_t want;			/* bytes of that */
	size_t have;
	size_t left;			/* bytes of the message's payload behind it */
	unsigned int type;
	unsigned int unknown;		/* messages since the last of a known type */
	uint8_t header[HEADER];
	uint8_t ip_header[IP_HEADER];
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	uint8_t stage[LENGTH + HEADER + IP_HEADER];
	uint8_t scratch[MAX_CONTROL];	/* control payload, or bytes to skip */
};

static int oncp_init(struct ve_codec *codec)
{
	((struct oncp *)codec)->want = HEADER;
	return VE_OK;
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

/* The next bytes of the payload, or the next header. */
static void expect(struct oncp *c, enum state state, size_t want)
{
	c->state = state;
	c->want = want;
	c->have = 0;
	if (state != IN_HEADER)
		c->left -= want;
}

static void skip(struct oncp *c, int counter, size_t length)
{
	c->base.counters[counter]++;
	expect(c, SKIPPING, length);
}

static void go_on(struct oncp *c)
{
	if (!c->left)
		expect(c, IN_HEADER, HEADER);
	else if (c->left < IP_HEADER)
		skip(c, BAD_IP, c->left);
	else
		expect(c, IN_IP_HEADER, IP_HEADER);
}

static int on_unknown(struct oncp *c)
{
	skip(c, UNKNOWN_KMP, c->left);
	if (++c->unknown >= MAX_UNKNOWN)
		return ve_codec_broken(&c->base, "oncp unknown messages in a row: got %u, want types 300 to 303 (byte 6)",
				       c->unknown);
	return VE_OK;
}

static int on_header(struct oncp *c)
{
	static const uint8_t zero[6];
	const uint8_t *h = c->header;

	if (memcmp(h, zero, sizeof(zero)))
		return ve_codec_broken(&c->base, "oncp kmp header: got '%02x%02x%02x%02x%02x%02x', want 000000000000 "
				       "(byte 0)", h[0], h[1], h[2], h[3], h[4], h[5]);
	c->type = (unsigned int)h[6] << 8 | h[7];
	c->left = (size_t)h[18] << 8 | h[19];
	if (!c->left) {
		c->base.counters[EMPTY]++;
		expect(c, IN_HEADER, HEADER);
		return VE_OK;
	}
	if (c->type < DATA || c->type > CONTROL)
		return on_unknown(c);
	c->unknown = 0;
	if (c->type == DATA)
		go_on(c);
	else if (c->left > MAX_CONTROL)
		skip(c, OVERSIZE, c->left);
	else
		expect(c, IN_CONTROL, c->left);
	return VE_OK;
}

static void begin_packet(struct oncp *c, struct ve_sink *sink, size_t length)
{
	c->packet = ve_sink_reserve(sink, length);
	if (!c->packet) {
		skip(c, SINK_FULL, length - IP_HEADER);
		return;
	}
	memcpy(c->packet, c->ip_header, IP_HEADER);
	expect(c, IN_PACKET, length - IP_HEADER);
}

static void on_ip_header(struct oncp *c, struct ve_sink *sink)
{
	const uint8_t *h = c->ip_header;
	size_t room = c->left + IP_HEADER;
	size_t v4 = (size_t)h[2] << 8 | h[3];
	size_t v6 = IPV6_HEADER + ((size_t)h[4] << 8 | h[5]);

	if (room > VE_MAX_PACKET)
		room = VE_MAX_PACKET;
	if (h[0] >> 4 == 4 && v4 >= IP_HEADER && v4 <= room)
		begin_packet(c, sink, v4);
	else if (h[0] >> 4 == 6 && v6 <= room)
		skip(c, IPV6, v6 - IP_HEADER);
	else
		skip(c, BAD_IP, c->left);
}

static void queue(struct oncp *c, uint32_t kind, const uint8_t *payload, size_t length)
{
	if (ve_queue_push(c->base.controls, kind, payload, length) != VE_OK)
		c->base.counters[CONTROL_OVERFLOW]++;
}

/* What the state names has come, and whatever needs no further byte. */
static int on_units(struct oncp *c, struct ve_sink *sink)
{
	int rc = VE_OK;

	while (rc == VE_OK && c->have == c->want) {
		switch (c->state) {
		case IN_HEADER:
			rc = on_header(c);
			break;
		case IN_IP_HEADER:
			on_ip_header(c, sink);
			break;
		case IN_PACKET:
			ve_sink_commit(sink, c->packet, IP_HEADER + c->want);	/* judges what is no IP packet */
			go_on(c);
			break;
		case IN_CONTROL:
			queue(c, c->type, c->scratch, c->want);
			go_on(c);
			break;
		case SKIPPING:
			go_on(c);
			break;
		}
	}
	return rc;
}

/* ---- records -------------------------------------------------------------------------------------------------- */

static int on_reason(struct oncp *c, struct ve_sink *sink, const uint8_t *reason)
{
	c->ended = 1;
	if (c->state == IN_PACKET)
		ve_sink_abort(sink, c->packet);
	queue(c, TERMINATED, reason, 1);
	return VE_OK;
}

/* One byte between records. */
static int on_length(struct oncp *c, struct ve_sink *sink, const uint8_t *byte)
{
	if (c->ended)
		return ve_codec_broken(&c->base, "oncp byte behind the termination: got %u, want the end of the stream "
				       "(byte 0)", *byte);
	if (c->length_have == LENGTH)
		return on_reason(c, sink, byte);
	c->length[c->length_have++] = *byte;
	if (c->length_have == LENGTH) {
		c->need = (size_t)c->length[1] << 8 | c->length[0];
		if (c->need)
			c->length_have = 0;
	}
	return VE_OK;
}

/* Where the bytes of what the state names are gathered. */
static uint8_t *unit(struct oncp *c)
{
	switch (c->state) {
	case IN_HEADER:
		return c->header + c->have;
	case IN_IP_HEADER:
		return c->ip_header + c->have;
	case IN_PACKET:
		return c->packet + IP_HEADER + c->have;
	case IN_CONTROL:
		return c->scratch + c->have;
	default:
		return c->scratch;
	}
}

/* n bytes of this record have been put where they belong. */
static int arrived(struct oncp *c, struct ve_sink *sink, size_t n)
{
	c->need -= n;
	c->have += n;
	return on_units(c, sink);
}

static int go_through(struct oncp *c, struct ve_sink *sink, const uint8_t *data, size_t n)
{
	int rc = VE_OK;

	while (n && rc == VE_OK) {
		size_t m = 1;

		if (c->need) {
			m = c->want - c->have;
			m = m < c->need ? m : c->need;
			m = m < n ? m : n;
			if (c->state != SKIPPING)
				memcpy(unit(c), data, m);
			rc = arrived(c, sink, m);
		} else {
			rc = on_length(c, sink, data);
		}
		data += m;
		n -= m;
	}
	return rc;
}

/* Bytes that are read to where they belong; 0: they go to the stage. */
static size_t straight(const struct oncp *c)
{
	size_t n = c->want - c->have;

	if (c->state == IN_HEADER || c->state == IN_IP_HEADER)
		return 0;
	if (c->state == SKIPPING && n > sizeof(c->scratch))
		n = sizeof(c->scratch);
	return n < c->need ? n : c->need;
}

/* Up to the end of the headers that are next, if all is as usual. */
static size_t staged(const struct oncp *c)
{
	size_t headers = 0;

	if (c->ended || c->length_have == LENGTH)
		return 1;
	if (c->state == IN_HEADER)
		headers = c->want - c->have + IP_HEADER;
	else if (c->state == IN_IP_HEADER)
		headers = c->want - c->have;
	if (c->need)
		return headers < c->need ? headers : c->need;
	return LENGTH - c->length_have + headers;
}

static size_t oncp_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct oncp *c = (struct oncp *)codec;
	size_t n = straight(c);

	(void)sink;
	*at = n ? unit(c) : c->stage;
	return n ? n : staged(c);
}

static uint8_t **oncp_open(struct ve_codec *codec, size_t *used)
{
	struct oncp *c = (struct oncp *)codec;

	*used = IP_HEADER + c->have;
	return c->state == IN_PACKET && !c->ended ? &c->packet : NULL;
}

static int oncp_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct oncp *c = (struct oncp *)codec;

	return straight(c) ? arrived(c, sink, n) : go_through(c, sink, c->stage, n);
}

/* ---- sending -------------------------------------------------------------------------------------------------- */

static int oncp_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	if (strcmp(option, "gateway"))
		return ve_codec_refuse(codec, "framing oncp has no option '%.40s'", option);
	if (length != 1 || value[0] > 1)
		return ve_codec_refuse(codec, "oncp option gateway: want one byte, 0 or 1");
	((struct oncp *)codec)->gateway = value[0];
	return VE_OK;
}

/* An IPv4 packet of just that length: anything else confuses the gateway. */
static int fit_to_send(const uint8_t *packet, size_t length)
{
	return length >= IP_HEADER && packet[0] >> 4 == 4 && ((size_t)packet[2] << 8 | packet[3]) == length;
}

static int oncp_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	size_t record = HEADER + length;

	if (kind == VE_ANY_PACKET) {
		if (!fit_to_send(out + HEADROOM, length))
			return VE_ERROR;
		kind = DATA;
	}
	if (kind > 65535)
		return VE_ERROR;
	memset(out, 0, HEADROOM);
	out[0] = (uint8_t)record;
	out[1] = (uint8_t)(record >> 8);
	out += LENGTH;
	out[6] = (uint8_t)(kind >> 8);
	out[7] = (uint8_t)kind;
	out[8] = 1;
	out[12] = !((struct oncp *)codec)->gateway;
	out[18] = (uint8_t)(length >> 8);
	out[19] = (uint8_t)length;
	return VE_OK;
}

/* Control frames: the end of the stream is no message. */
static int oncp_encode(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length, uint8_t *out,
		       size_t size)
{
	size_t total = (kind == TERMINATED ? LENGTH : HEADROOM) + length;

	if (kind == TERMINATED ? length != 1 : kind > 65535)
		return VE_ERROR;
	if (size < total)
		return VE_FULL;
	if (length)
		memcpy(out + (total - length), payload, length);
	if (kind != TERMINATED)
		oncp_header(codec, kind, length, out);
	else
		memset(out, 0, LENGTH);
	return (int)total;
}

const struct ve_codec_ops ve_oncp = {
	.framing = "oncp",
	.size = sizeof(struct oncp),
	.headroom = HEADROOM,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = oncp_room,
	.took = oncp_took,
	.open = oncp_open,
	.header = oncp_header,
	.packet_kind = VE_ANY_PACKET,
	.init = oncp_init,
	.set = oncp_set,
	.encode = oncp_encode,
};
