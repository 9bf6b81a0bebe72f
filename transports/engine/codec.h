/*
 * codec.h: what the framings share, and how the pump pulls one.  Internal; the outer contract is in engine.h.
 *
 * Pulled, so that a link can decrypt straight to where a packet leaves from:
 *
 *     n = ve_codec_room(codec, sink, &at)      the next bytes of the stream belong at `at`, n of them are wanted
 *     got = read(link, at, n)
 *     ve_codec_took(codec, sink, got)          VE_OK, or VE_ERROR: the stream cannot go on
 *
 * A framing (protocols/framing/NAME.c) embeds struct ve_codec as its first member, fills one struct ve_codec_ops and has
 * one line in codec.c's table.
 */
#ifndef VPN_ENGINE_CODEC_H
#define VPN_ENGINE_CODEC_H

#include "engine.h"
#include "queue.h"

#define VE_CODEC_COUNTERS 24		/* at most, a framing */
#define VE_CODEC_QUEUE 64		/* control frames waiting in a codec */
#define VE_CODEC_QUEUE_BYTES 65536
#define VE_ANY_PACKET 0xffffffffu	/* kind given to encode for a packet, where its version decides the kind */
#define VE_HEADROOM 64			/* bytes that the pump leaves before a packet; no framing's header is larger */

struct ve_codec_ops {
	const char *framing;
	size_t size;			/* of the framing's struct, zeroed when it starts */
	size_t headroom;		/* bytes of header before an encoded packet */
	size_t max_payload;		/* bytes of packet or control payload that can be encoded */
	const char *const *counters;	/* names, NULL at the end; values are in ve_codec.counters */
	size_t (*room)(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at);	/* never 0 */
	int (*took)(struct ve_codec *codec, struct ve_sink *sink, size_t n);
	/* Write the header for length bytes of payload of this kind; VE_OK or VE_ERROR. */
	int (*header)(struct ve_codec *codec, uint32_t kind, size_t length, uint8_t *out);
	/* Framings whose header differs in length: that of this kind now, headroom at most; NULL: always headroom. */
	size_t (*header_size)(const struct ve_codec *codec, uint32_t kind);
	uint32_t packet_kind;		/* the kind that carries packets, and VE_ANY_PACKET: by the packet's version */
	/* The rest may be NULL. */
	int (*init)(struct ve_codec *codec);		/* what calloc cannot give; VE_OK or VE_ERROR */
	void (*free)(struct ve_codec *codec);		/* wipe keys, free what init made */
	int (*set)(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length);
	/* Framings of streams: the reservation that is open between two reads of the link, and how many bytes came; NULL:
	 * none.  What it points to may change: see ve_codec_park. */
	uint8_t **(*open)(struct ve_codec *codec, size_t *used);
	/* Framings of datagrams: one whole datagram.  room and took are NULL, or the framing is one of streams as well. */
	void (*datagram)(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length);
	/* Framings that do more than put a header in front (escape, encrypt): the whole frame, instead of header.  With
	 * both, header is for packets and this for control frames.
	 * out does not overlap payload.  Bytes written, VE_FULL or VE_ERROR. */
	int (*encode)(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length, uint8_t *out,
		      size_t size);
	/* Framings to whom several datagrams at once are cheaper: of datagrams that came together, instead of datagram. */
	void (*datagrams)(struct ve_codec *codec, struct ve_sink *sink, const struct ve_span *datagrams, size_t count);
	/* ... and of packets that leave together, instead of encode: the frame has its length, but may be unfinished until
	 * finish is called.  packet may lie where it belongs in the frame. */
	int (*encode_later)(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size);
	void (*finish)(struct ve_codec *codec);
	/* Framings that can compress: the whole frame for a packet, or VE_FULL: it does not pay, frame it as ever.
	 * packet may lie where it would go uncompressed. */
	int (*shrink)(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size);
	/* Framings that come into step again where a read of the link ends: such an end. */
	void (*read_end)(struct ve_codec *codec);
	/* Framings that must not end anywhere: the stream ended.  VE_OK, or VE_ERROR through ve_codec_broken. */
	int (*end)(struct ve_codec *codec);
};

struct ve_codec {
	const struct ve_codec_ops *ops;
	struct ve_queue *controls;
	uint64_t counters[VE_CODEC_COUNTERS];
	int failed;			/* the stream is broken; error says why, for good */
	char error[200];
};

int ve_codec_streams(const struct ve_codec *codec);	/* 0: a framing of datagrams alone; room, took are not for it */
size_t ve_codec_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at);	/* 0: the stream is broken */
int ve_codec_took(struct ve_codec *codec, struct ve_sink *sink, size_t n);
/* Bytes that are in memory already, a part of a read of the link.  VE_OK or VE_ERROR. */
int ve_codec_pour(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length);
void ve_codec_read_end(struct ve_codec *codec);	/* what was taken last is all that this read of the link brought */
size_t ve_codec_headroom(const struct ve_codec *codec);	/* bytes before a packet, as options are now */
size_t ve_codec_max_payload(const struct ve_codec *codec);

/* For framings: the stream is broken.  The text is that of protocols.errors.MalformedFrame.  Returns VE_ERROR. */
int ve_codec_broken(struct ve_codec *codec, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For framings: an option is refused; the codec goes on as it was.  Returns VE_ERROR. */
int ve_codec_refuse(struct ve_codec *codec, const char *format, ...) __attribute__((format(printf, 2, 3)));

extern const struct ve_codec_ops ve_array;
extern const struct ve_codec_ops ve_capsule;
extern const struct ve_codec_ops ve_cstp;
extern const struct ve_codec_ops ve_cstp_dtls;
extern const struct ve_codec_ops ve_esp;
extern const struct ve_codec_ops ve_gpst;
extern const struct ve_codec_ops ve_ift;
extern const struct ve_codec_ops ve_oncp;
extern const struct ve_codec_ops ve_ppp_f5;
extern const struct ve_codec_ops ve_ppp_f5_hdlc;
extern const struct ve_codec_ops ve_ppp_fortinet;

#endif
