/*
 * dtls_pipe.h: between libssl and whoever moves the datagrams, as a BIO: one record in, whole datagrams out.
 *
 * It also takes down what libssl sends, so that our own record layer can go on behind it.  Internal to dtls*.c.
 */
#ifndef VPN_DTLS_PIPE_H
#define VPN_DTLS_PIPE_H

#include "dtls_record.h"

#include <openssl/bio.h>

enum {
	DTLS_PIPE_OUT = 64 * 1024,		/* bytes that wait to be sent; a flight has a few hundred, or a chain of certificates */
	DTLS_PIPE_DATAGRAMS = 64,		/* datagrams that wait to be sent */
	DTLS_PIPE_CCS = DTLS_HEADER + 3		/* bytes of a ChangeCipherSpec record, at most (DTLS 0.9) */
};

struct dtls_pipe {
	const uint8_t *in;			/* borrowed for one call of libssl; NULL: nothing there */
	size_t in_length;
	uint8_t out[DTLS_PIPE_OUT];
	size_t out_end;				/* bytes used */
	size_t lengths[DTLS_PIPE_DATAGRAMS];
	size_t first, count;			/* of lengths; the first datagram begins at out_at */
	size_t out_at;
	uint64_t dropped;			/* datagrams that found no room */
	/* seen on the way out: */
	uint8_t ccs[DTLS_PIPE_CCS];		/* the last ChangeCipherSpec record */
	size_t ccs_length;
	uint64_t sequence;			/* of epoch 1: one more than the last; 0: none was sent */
	uint64_t nonce;				/* the first 8 bytes of its body, as a number, plus one */
};

int dtls_pipe_take(struct dtls_pipe *pipe, uint8_t *out, size_t size);	/* as ve_dtls_outgoing */
int dtls_pipe_take_newest(struct dtls_pipe *pipe, uint8_t *out, size_t size);	/* the same, of the last one made */
void dtls_pipe_drop(struct dtls_pipe *pipe);	/* nobody took what waits: counted */
BIO_METHOD *dtls_pipe_method(void);		/* free with BIO_meth_free, after the BIOs made of it */
BIO *dtls_pipe_bio(const BIO_METHOD *method, struct dtls_pipe *pipe);

#endif
