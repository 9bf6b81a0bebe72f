/*
 * compression.h: what the methods of compression share.  Internal; the outer contract is in engine.h.
 *
 * A method embeds struct ve_compression as its first member, fills one struct ve_method and has one line in
 * compression.c's table.  All memory is taken when it starts, none for a packet.
 */
#ifndef VPN_FRAMING_COMPRESSION_H
#define VPN_FRAMING_COMPRESSION_H

#include "engine.h"

struct ve_method {
	const char *name;
	const char *missing;	/* the library that this engine was built without, or NULL */
	int stateful;		/* a stream: input that cannot be expanded ends it */
	size_t size;		/* of the method's struct, zeroed when it starts */
	int (*init)(struct ve_compression *compression);	/* VE_OK, or VE_ERROR: out of memory; may be NULL */
	void (*free)(struct ve_compression *compression);	/* may be NULL */
	/* Bytes written, or VE_FULL: more than size, nothing that counts was changed.  NULL: this method only expands. */
	int (*shrink)(struct ve_compression *compression, const uint8_t *packet, size_t length, uint8_t *out, size_t size);
	/* Bytes written, or VE_ERROR. */
	int (*expand)(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out, size_t size);
};

struct ve_compression {
	const struct ve_method *method;
	int lost;		/* the stream is broken; error says why, for good */
	char error[120];
};

/* For streams: the text is that of protocols.errors.MalformedFrame.  Returns VE_ERROR. */
int ve_compression_lost(struct ve_compression *compression, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One LZO1X stream that is exactly this long, end marker included; bytes written, or VE_ERROR. */
int ve_lzo1x_expand(const uint8_t *data, size_t length, uint8_t *out, size_t size);

extern const struct ve_method ve_lzs;
extern const struct ve_method ve_lz4;
extern const struct ve_method ve_deflate;
extern const struct ve_method ve_lzo;

#endif
