/*
 * cstp_dtls.c: what a DTLS record of a Cisco AnyConnect tunnel holds.
 *
 * Offset, size in bytes:
 *     0  1  type      0 data, 3 DPD request, 4 DPD response, 7 keep-alive, 8 compressed; 5 and 9 mean nothing here
 *     1  n  payload   to the end of the record
 *
 * A record that is wrong is dropped and counted.  Option cstp.compression: lzs, oc-lz4 or none, as negotiated.
 * Source: AnyConnect notes, sections 6.7 and 8.   Twin: protocols/framing/cstp_dtls.py.
 */
#include "codec.h"
#include "compression.h"

#include <string.h>

enum { DATA = 0, DPD_REQ = 3, DPD_RESP = 4, DISCONNECT = 5, KEEPALIVE = 7, COMPRESSED = 8, TERMINATE = 9 };

enum {
	HEADER = 1,
	MAX_SENT = 16384 - HEADER,	/* bytes that fit one record with the header */
	MIN_SHRUNK = 40			/* bytes; smaller packets are not worth it */
};

enum { EMPTY, UNKNOWN_TYPE, MEANINGLESS, NOT_NEGOTIATED, SINK_FULL, CONTROL_OVERFLOW, EXPANDED, BAD_COMPRESSED };

static const char *const counter_names[] = {
	[EMPTY] = "cstp_dtls_empty",
	[UNKNOWN_TYPE] = "cstp_dtls_unknown_type",
	[MEANINGLESS] = "cstp_dtls_meaningless",
	[NOT_NEGOTIATED] = "cstp_dtls_not_negotiated",
	[SINK_FULL] = "cstp_dtls_sink_full",
	[CONTROL_OVERFLOW] = "cstp_dtls_control_overflow",
	[EXPANDED] = "cstp_dtls_expanded",
	[BAD_COMPRESSED] = "cstp_dtls_bad_compressed",
	NULL,
};

struct cstp_dtls {
	struct ve_codec base;
	struct ve_compression *compression;	/* as negotiated; NULL: none */
	uint8_t spare[VE_MAX_PACKET];		/* a packet being shrunk */
};

/* The packet lies in the datagram already, decrypted there: it is copied once, while it is in the cache. */
static void on_data(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *packet, size_t length)
{
	uint8_t *room;

	if (!length) {
		codec->counters[EMPTY]++;
		return;
	}
	room = ve_sink_reserve(sink, length);
	if (!room) {
		codec->counters[SINK_FULL]++;
		return;
	}
	memcpy(room, packet, length);
	ve_sink_commit(sink, room, length);	/* the sink judges and counts what is no IP packet */
}

static void on_compressed(struct cstp_dtls *c, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	uint8_t *room;
	int n;

	if (!c->compression) {
		c->base.counters[NOT_NEGOTIATED]++;
		return;
	}
	room = ve_sink_reserve(sink, VE_MAX_PACKET);
	if (!room) {
		c->base.counters[SINK_FULL]++;
		return;
	}
	n = ve_compression_expand(c->compression, data, length, room, VE_MAX_PACKET);
	c->base.counters[n > 0 ? EXPANDED : BAD_COMPRESSED]++;
	if (n > 0)
		ve_sink_commit(sink, room, (size_t)n);
	else
		ve_sink_abort(sink, room);
}

static void cstp_dtls_datagram(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	if (!length) {
		codec->counters[EMPTY]++;
		return;
	}
	switch (data[0]) {
	case DATA:
		on_data(codec, sink, data + HEADER, length - HEADER);
		break;
	case DPD_REQ:
	case DPD_RESP:
	case KEEPALIVE:
		if (ve_queue_push(codec->controls, data[0], data + HEADER, length - HEADER) != VE_OK)
			codec->counters[CONTROL_OVERFLOW]++;
		break;
	case COMPRESSED:
		on_compressed((struct cstp_dtls *)codec, sink, data + HEADER, length - HEADER);
		break;
	case DISCONNECT:
	case TERMINATE:
		codec->counters[MEANINGLESS]++;
		break;
	default:
		codec->counters[UNKNOWN_TYPE]++;
	}
}

static int cstp_dtls_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	static const char *const methods[] = {"none", "lzs", "oc-lz4"};
	struct cstp_dtls *c = (struct cstp_dtls *)codec;
	struct ve_compression *fresh = NULL;
	size_t i = 0;

	if (strcmp(option, "cstp.compression"))
		return ve_codec_refuse(codec, "option: got '%.40s', want cstp.compression", option);
	while (i < 3 && (length != strlen(methods[i]) || memcmp(methods[i], value, length)))
		i++;
	if (i == 3)
		return ve_codec_refuse(codec, "cstp.compression: want lzs, oc-lz4 or none");
	if (i) {
		fresh = ve_compression_new(methods[i], codec->error, sizeof(codec->error));
		if (!fresh)
			return VE_ERROR;
	}
	ve_compression_free(c->compression);
	c->compression = fresh;
	return VE_OK;
}

static void cstp_dtls_free(struct ve_codec *codec)
{
	ve_compression_free(((struct cstp_dtls *)codec)->compression);
}

static int cstp_dtls_header(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out)
{
	(void)codec;
	(void)length;
	if (kind > 255)
		return VE_ERROR;
	out[0] = (uint8_t)kind;
	return VE_OK;
}

static int cstp_dtls_shrink(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	struct cstp_dtls *c = (struct cstp_dtls *)codec;
	size_t room = size < HEADER ? 0 : size - HEADER;
	int n;

	if (!c->compression || length < MIN_SHRUNK || length > MAX_SENT)
		return VE_FULL;
	n = ve_compression_shrink(c->compression, packet, length, c->spare, room < length ? room : length);
	if (n < 0)
		return VE_FULL;
	memcpy(out + HEADER, c->spare, (size_t)n);
	out[0] = COMPRESSED;
	return HEADER + n;
}

const struct ve_codec_ops ve_cstp_dtls = {
	.framing = "cstp-dtls",
	.size = sizeof(struct cstp_dtls),
	.headroom = HEADER,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.datagram = cstp_dtls_datagram,
	.header = cstp_dtls_header,
	.shrink = cstp_dtls_shrink,
	.set = cstp_dtls_set,
	.free = cstp_dtls_free,
	.packet_kind = DATA,
};
