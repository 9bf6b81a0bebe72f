/*
 * reader.h: what the kinds of reader share.  Internal; the contract is in engine.h.
 *
 * reader.c keeps the contract and judges what is an IP packet; a kind (our own ring, a session of wintun.dll) says where
 * the next packet lies and gives the room back.
 */
#ifndef VPN_ENGINE_READER_H
#define VPN_ENGINE_READER_H

#include "engine.h"

struct ve_reader_ops {
	/* Where the next packet lies, and its length.  VE_OK, VE_EMPTY, VE_GONE or VE_ERROR. */
	int (*next)(struct ve_reader *reader, uint8_t **packet, size_t *length);
	int (*release)(struct ve_reader *reader);	/* 1: room was given back */
	void (*restart)(struct ve_reader *reader);	/* NULL: it cannot be */
};

struct ve_reader {
	const struct ve_reader_ops *ops;
	struct ve_reader_stats stats;
	intptr_t event;
	int corrupt;
	int more;		/* next stopped though packets may wait, of which the event has told already */
};

/* Allocates `size` bytes that begin with a struct ve_reader. */
struct ve_reader *ve_reader_create(const struct ve_reader_ops *ops, size_t size, intptr_t event, char *err,
				   size_t err_size);

#endif
