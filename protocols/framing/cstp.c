/*
 * cstp.c: CSTP framing, the stream of a Cisco AnyConnect tunnel.
 *
 * Offset, size in bytes (big-endian):
 *     0  4  magic     53 54 46 01
 *     4  2  length    of the payload; more than MAX_PAYLOAD is skipped
 *     6  1  type      0 data, 3 DPD request, 4 DPD response, 5 disconnect, 7 keep-alive, 8 compressed, 9 terminate
 *     7  1  reserved  0
 *     8  n  payload
 *
 * No I/O, allocation or clock.  A packet is read into a reservation of the sink that is exactly as long as it is; a
 * compressed one is expanded into one of the largest size, which shrinks when it is committed.
 * Option cstp.compression: lzs, oc-lz4, deflate or none, as negotiated; between frames.
 * Source: AnyConnect notes, sections 4 and 8.   Twin: protocols/framing/cstp.py.
 */
#include "codec.h"
#include "compression.h"

#include <string.h>

enum { DATA = 0, DPD_REQ = 3, DPD_RESP = 4, DISCONNECT = 5, KEEPALIVE = 7, COMPRESSED = 8, TERMINATE = 9 };

enum {
	HEADER = 8,
	MAX_PAYLOAD = 16384,		/* bytes that are taken in */
	MAX_SENT = 16384 - HEADER,	/* bytes that fit one TLS record with the header */
	MAX_COMPRESSED = 10,		/* compressed frames without a plain packet between them, if none was negotiated */
	MIN_SHRUNK = 40			/* bytes; smaller packets are not worth it, but for a stream */
};

enum { OVERSIZE, UNKNOWN_TYPE, COMPRESSED_FRAMES, EMPTY, SINK_FULL, CONTROL_OVERFLOW, EXPANDED, BAD_COMPRESSED };

static const char *const counter_names[] = {
	[OVERSIZE] = "cstp_oversize",
	[UNKNOWN_TYPE] = "cstp_unknown_type",
	[COMPRESSED_FRAMES] = "cstp_compressed",
	[EMPTY] = "cstp_empty",
	[SINK_FULL] = "cstp_sink_full",
	[CONTROL_OVERFLOW] = "cstp_control_overflow",
	[EXPANDED] = "cstp_expanded",
	[BAD_COMPRESSED] = "cstp_bad_compressed",
	NULL,
};

static const uint8_t magic[4] = {0x53, 0x54, 0x46, 0x01};

enum state { IN_HEADER, IN_PACKET, IN_CONTROL, IN_COMPRESSED, SKIPPING };

struct cstp {
	struct ve_codec base;
	enum state state;
	size_t have;			/* bytes of the header, or of the payload, that came */
	size_t length;			/* bytes of payload of this frame */
	uint8_t type;
	unsigned int compressed;	/* frames since the last plain packet */
	uint8_t header[HEADER];
	uint8_t *packet;		/* the open reservation, IN_PACKET */
	struct ve_compression *compression;	/* as negotiated; NULL: none */
	uint8_t scratch[MAX_PAYLOAD];	/* control or compressed payload, or bytes to skip */
	uint8_t spare[VE_MAX_PACKET];	/* a packet being shrunk, or expanded though the sink is full */
};

static size_t cstp_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	struct cstp *c = (struct cstp *)codec;
	size_t left = c->length - c->have;

	(void)sink;
	switch (c->state) {
	case IN_PACKET:
		*at = c->packet + c->have;
		return left;
	case IN_CONTROL:
	case IN_COMPRESSED:
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

static void skip(struct cstp *c, int counter)
{
	c->base.counters[counter]++;
	c->state = SKIPPING;
}

/* What to do with a payload of this type; the length is already known to be in bounds. */
static int choose(struct cstp *c, struct ve_sink *sink)
{
	switch (c->type) {
	case DATA:
		c->compressed = 0;
		if (!c->length) {
			skip(c, EMPTY);
			return VE_OK;
		}
		c->packet = ve_sink_reserve(sink, c->length);
		if (c->packet)
			c->state = IN_PACKET;
		else
			skip(c, SINK_FULL);
		return VE_OK;
	case DPD_REQ:
	case DPD_RESP:
	case DISCONNECT:
	case KEEPALIVE:
	case TERMINATE:
		c->state = IN_CONTROL;
		return VE_OK;
	case COMPRESSED:
		if (c->compression) {
			c->state = IN_COMPRESSED;
			return VE_OK;
		}
		skip(c, COMPRESSED_FRAMES);
		if (++c->compressed >= MAX_COMPRESSED)
			return ve_codec_broken(&c->base, "cstp compressed frames in a row: got %u, want none, as "
					       "none was negotiated (byte 6)", c->compressed);
		return VE_OK;
	default:
		skip(c, UNKNOWN_TYPE);
		return VE_OK;
	}
}

static int on_header(struct cstp *c, struct ve_sink *sink)
{
	const uint8_t *h = c->header;

	if (memcmp(h, magic, sizeof(magic)))
		return ve_codec_broken(&c->base, "cstp magic: got '%02x%02x%02x%02x', want 53544601 (byte 0)",
				       h[0], h[1], h[2], h[3]);
	if (h[7])
		return ve_codec_broken(&c->base, "cstp reserved byte: got %u, want 0 (byte 7)", h[7]);
	c->length = (size_t)h[4] << 8 | h[5];
	c->type = h[6];
	c->have = 0;
	if (c->length > MAX_PAYLOAD) {
		skip(c, OVERSIZE);
		return VE_OK;
	}
	return choose(c, sink);
}

/* A stream has to be expanded even where there is no room for the packet. */
static int on_compressed(struct cstp *c, struct ve_sink *sink)
{
	int stateful = c->compression->method->stateful, n;
	uint8_t *packet = ve_sink_reserve(sink, VE_MAX_PACKET);

	c->base.counters[SINK_FULL] += !packet;
	if (!packet && !stateful)
		return VE_OK;
	n = ve_compression_expand(c->compression, c->scratch, c->length, packet ? packet : c->spare, VE_MAX_PACKET);
	c->base.counters[n > 0 ? EXPANDED : BAD_COMPRESSED]++;
	if (packet && n > 0)
		ve_sink_commit(sink, packet, (size_t)n);
	else if (packet)
		ve_sink_abort(sink, packet);
	return n < 0 && stateful ? ve_codec_broken(&c->base, "%s", ve_compression_error(c->compression)) : VE_OK;
}

static int on_payload(struct cstp *c, struct ve_sink *sink)
{
	enum state state = c->state;

	c->state = IN_HEADER;
	c->have = 0;
	if (state == IN_COMPRESSED)
		return on_compressed(c, sink);
	if (state == IN_PACKET)
		ve_sink_commit(sink, c->packet, c->length);	/* the sink judges and counts what is no IP packet */
	else if (state == IN_CONTROL &&
		 ve_queue_push(c->base.controls, c->type, c->scratch, c->length) != VE_OK)
		c->base.counters[CONTROL_OVERFLOW]++;
	return VE_OK;
}

static uint8_t **cstp_open(struct ve_codec *codec, size_t *used)
{
	struct cstp *c = (struct cstp *)codec;

	*used = c->have;
	return c->state == IN_PACKET ? &c->packet : NULL;
}

static int cstp_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct cstp *c = (struct cstp *)codec;

	c->have += n;
	if (c->state == IN_HEADER) {
		if (c->have < HEADER)
			return VE_OK;
		if (on_header(c, sink) != VE_OK)
			return VE_ERROR;
	}
	return c->have == c->length ? on_payload(c, sink) : VE_OK;
}

static int cstp_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	static const char *const methods[] = {"none", "lzs", "oc-lz4", "deflate"};
	struct cstp *c = (struct cstp *)codec;
	struct ve_compression *fresh = NULL;
	size_t i = 0;

	if (strcmp(option, "cstp.compression"))
		return ve_codec_refuse(codec, "option: got '%.40s', want cstp.compression", option);
	while (i < 4 && (length != strlen(methods[i]) || memcmp(methods[i], value, length)))
		i++;
	if (i == 4)
		return ve_codec_refuse(codec, "cstp.compression: want lzs, oc-lz4, deflate or none");
	if (c->state != IN_HEADER)
		return ve_codec_refuse(codec, "cstp.compression: cannot change within a frame");
	if (i) {
		fresh = ve_compression_new(methods[i], codec->error, sizeof(codec->error));
		if (!fresh)
			return VE_ERROR;
	}
	ve_compression_free(c->compression);
	c->compression = fresh;
	return VE_OK;
}

static void cstp_free(struct ve_codec *codec)
{
	ve_compression_free(((struct cstp *)codec)->compression);
}

static int cstp_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	(void)codec;
	if (kind > 255)
		return VE_ERROR;
	memcpy(out, magic, sizeof(magic));
	out[4] = (uint8_t)(length >> 8);
	out[5] = (uint8_t)length;
	out[6] = (uint8_t)kind;
	out[7] = 0;
	return VE_OK;
}

static int cstp_shrink(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	struct cstp *c = (struct cstp *)codec;
	size_t room = size < HEADER ? 0 : size - HEADER;
	int n;

	if (!c->compression || length > MAX_SENT)
		return VE_FULL;
	if (!c->compression->method->stateful) {
		if (length < MIN_SHRUNK)
			return VE_FULL;
		room = room < length ? room : length;
	}
	n = ve_compression_shrink(c->compression, packet, length, c->spare, room < MAX_SENT ? room : MAX_SENT);
	if (n < 0)
		return VE_FULL;
	memcpy(out + HEADER, c->spare, (size_t)n);
	cstp_header(codec, COMPRESSED, (size_t)n, out);
	return HEADER + n;
}

const struct ve_codec_ops ve_cstp = {
	.framing = "cstp",
	.size = sizeof(struct cstp),
	.headroom = HEADER,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = cstp_room,
	.took = cstp_took,
	.open = cstp_open,
	.header = cstp_header,
	.shrink = cstp_shrink,
	.set = cstp_set,
	.free = cstp_free,
	.packet_kind = DATA,
};
