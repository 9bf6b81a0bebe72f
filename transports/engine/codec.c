/*
 * codec.c: the table of framings, and what all of them do alike.
 */
#include "codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ve_codec_ops *const framings[] = {
	&ve_array, &ve_capsule, &ve_cstp, &ve_cstp_dtls, &ve_esp, &ve_gpst, &ve_ift, &ve_oncp,
	&ve_ppp_f5, &ve_ppp_f5_hdlc, &ve_ppp_fortinet,
};

struct ve_codec *ve_codec_new(const char *framing, char *err, size_t err_size)
{
	const struct ve_codec_ops *ops = NULL;
	struct ve_codec *codec;
	size_t i;

	for (i = 0; i < sizeof(framings) / sizeof(framings[0]); i++)
		if (!strcmp(framings[i]->framing, framing))
			ops = framings[i];
	if (!ops) {
		snprintf(err, err_size, "no framing named '%s' in this engine", framing);
		return NULL;
	}
	codec = calloc(1, ops->size);
	if (codec)
		codec->controls = ve_queue_new(VE_CODEC_QUEUE, VE_CODEC_QUEUE_BYTES);
	if (!codec || !codec->controls) {
		snprintf(err, err_size, "framing %s: out of memory", framing);
		free(codec);
		return NULL;
	}
	codec->ops = ops;
	if (ops->init && ops->init(codec) != VE_OK) {
		snprintf(err, err_size, "framing %s: %s", framing, codec->error);
		ve_codec_free(codec);
		return NULL;
	}
	return codec;
}

void ve_codec_free(struct ve_codec *codec)
{
	if (!codec)
		return;
	if (codec->ops->free)
		codec->ops->free(codec);
	ve_queue_free(codec->controls);
	free(codec);
}

int ve_codec_broken(struct ve_codec *codec, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(codec->error, sizeof(codec->error), format, args);
	va_end(args);
	codec->failed = 1;
	return VE_ERROR;
}

int ve_codec_refuse(struct ve_codec *codec, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(codec->error, sizeof(codec->error), format, args);
	va_end(args);
	return VE_ERROR;
}

int ve_codec_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	if (codec->failed)
		return VE_ERROR;
	if (!codec->ops->set)
		return ve_codec_refuse(codec, "framing %s has no options", codec->ops->framing);
	return codec->ops->set(codec, option, value, length);
}

int ve_codec_datagram(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	if (!codec->ops->datagram)
		return ve_codec_refuse(codec, "framing %s is one of streams", codec->ops->framing);
	codec->ops->datagram(codec, sink, data, length);
	return VE_OK;
}

int ve_codec_datagrams(struct ve_codec *codec, struct ve_sink *sink, const struct ve_span *datagrams, size_t count)
{
	int rc = VE_OK;

	if (codec->ops->datagrams)
		codec->ops->datagrams(codec, sink, datagrams, count);
	else
		for (size_t i = 0; i < count && rc == VE_OK; i++)
			rc = ve_codec_datagram(codec, sink, datagrams[i].at, datagrams[i].length);
	return rc;
}

int ve_codec_streams(const struct ve_codec *codec)
{
	return codec->ops->room != NULL;
}

size_t ve_codec_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	return codec->failed ? 0 : codec->ops->room(codec, sink, at);
}

int ve_codec_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	return codec->failed ? VE_ERROR : codec->ops->took(codec, sink, n);
}

int ve_codec_pour(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	uint8_t *at;

	if (!ve_codec_streams(codec))
		return ve_codec_refuse(codec, "framing %s is one of datagrams", codec->ops->framing);
	while (length) {
		size_t n = ve_codec_room(codec, sink, &at);

		if (n > length)
			n = length;
		if (n)
			memcpy(at, data, n);
		if (ve_codec_took(codec, sink, n) != VE_OK)
			return VE_ERROR;
		data += n;
		length -= n;
	}
	return codec->failed ? VE_ERROR : VE_OK;
}

int ve_codec_feed(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	int rc = ve_codec_pour(codec, sink, data, length);

	if (rc == VE_OK)
		ve_codec_read_end(codec);
	return rc;
}

void ve_codec_park(struct ve_codec *codec, struct ve_sink *sink)
{
	size_t used = 0;
	uint8_t **packet = codec->failed || !codec->ops->open ? NULL : codec->ops->open(codec, &used);

	if (packet)
		*packet = ve_sink_park(sink, *packet, used);
}

void ve_codec_read_end(struct ve_codec *codec)
{
	if (codec->ops->read_end)
		codec->ops->read_end(codec);
}

int ve_codec_end(struct ve_codec *codec)
{
	if (codec->failed)
		return VE_ERROR;
	return codec->ops->end ? codec->ops->end(codec) : VE_OK;
}

int ve_codec_next_control(struct ve_codec *codec, struct ve_control *out)
{
	int rc = ve_queue_peek(codec->controls, out);

	if (rc == VE_OK)
		ve_queue_pop(codec->controls);
	return rc;
}

static size_t header_size(const struct ve_codec *codec, uint32_t kind)
{
	return codec->ops->header_size ? codec->ops->header_size(codec, kind) : codec->ops->headroom;
}

/* payload may already lie where it goes, behind its header in out: then nothing is copied. */
int ve_codec_encode_control(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length,
			    uint8_t *out, size_t size)
{
	const struct ve_codec_ops *ops = codec->ops;
	size_t head = header_size(codec, kind);

	if (length > ops->max_payload)
		return VE_ERROR;
	if (ops->encode && (kind != ops->packet_kind || !ops->header))
		return ops->encode(codec, kind, payload, length, out, size);
	if (size < head + length)
		return VE_FULL;
	if (length && payload != out + head)
		memmove(out + head, payload, length);
	if (ops->header(codec, kind, length, out) != VE_OK)
		return VE_ERROR;
	return (int)(head + length);
}

int ve_codec_encode(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	int n = codec->ops->shrink ? codec->ops->shrink(codec, packet, length, out, size) : VE_FULL;

	return n != VE_FULL ? n
			    : ve_codec_encode_control(codec, codec->ops->packet_kind, packet, length, out, size);
}

int ve_codec_encode_later(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	if (!codec->ops->encode_later)
		return ve_codec_encode(codec, packet, length, out, size);
	return length > codec->ops->max_payload ? VE_ERROR : codec->ops->encode_later(codec, packet, length, out, size);
}

void ve_codec_finish(struct ve_codec *codec)
{
	if (codec->ops->finish)
		codec->ops->finish(codec);
}

size_t ve_codec_headroom(const struct ve_codec *codec)
{
	return header_size(codec, codec->ops->packet_kind);
}

size_t ve_codec_max_payload(const struct ve_codec *codec)
{
	return codec->ops->max_payload;
}

const char *ve_codec_error(const struct ve_codec *codec)
{
	return codec->error;
}

int ve_codec_counter(const struct ve_codec *codec, size_t index, const char **name, uint64_t *value)
{
	size_t i;

	for (i = 0; codec->ops->counters[i]; i++) {
		if (i == index) {
			*name = codec->ops->counters[i];
			*value = codec->counters[i];
			return VE_OK;
		}
	}
	return VE_EMPTY;
}
