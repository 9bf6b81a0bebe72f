/*
 * tls_pipe.h: two fixed buffers between libssl and a non-blocking descriptor, as a BIO.
 *
 * One recv fills the input buffer, many records are served from it; many records are gathered in the output buffer, one
 * send empties it.  Internal to tls*.c.
 */
#ifndef VPN_TLS_PIPE_H
#define VPN_TLS_PIPE_H

#include <openssl/bio.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_PIPE_IN (128 * 1024)	/* bytes: what one recv takes at most */
#define TLS_PIPE_OUT (256 * 1024)	/* bytes: what waits for the kernel at most */
#define TLS_PIPE_REFILLS 4		/* recvs for one call of libssl: it reads on for as long as messages without data come */
#define TLS_PIPE_HEADER 5		/* bytes of a record before its body */
#define TLS_PIPE_HEAD 8			/* first bytes received, kept to tell what the peer speaks instead of TLS */

struct tls_pipe {
	int fd;				/* borrowed */
	uint8_t *in, *out;		/* owned, TLS_PIPE_IN and TLS_PIPE_OUT bytes */
	size_t in_at, in_end;		/* not yet read by libssl */
	size_t out_at, out_end;		/* not yet taken by the kernel */
	uint64_t recvs, sends;		/* system calls */
	int refills;			/* recvs left to this call; the caller sets it to TLS_PIPE_REFILLS before each */
	uint8_t header[TLS_PIPE_HEADER];/* of a record that libssl has read the beginning of */
	size_t header_length, body;	/* bytes of it, and bytes behind it that libssl has yet to read */
	uint8_t head[TLS_PIPE_HEAD];
	size_t head_length;
	int ended;			/* TCP ended: recv gave 0 */
	int in_errno, out_errno;	/* the error that ended a direction, 0: none */
};

int tls_pipe_init(struct tls_pipe *pipe, int fd);	/* 0, or -1: no memory; call tls_pipe_close either way */
void tls_pipe_close(struct tls_pipe *pipe);
size_t tls_pipe_waiting(const struct tls_pipe *pipe);
int tls_pipe_room(struct tls_pipe *pipe, size_t length);	/* 1: length more bytes fit the output buffer */
int tls_pipe_between_records(const struct tls_pipe *pipe);	/* 1: libssl has read whole records only */
/* One recv behind the input that nobody has read, which is moved to the front.  1: there is more, 0: the end or an error,
 * -1: nothing yet. */
int tls_pipe_fill(struct tls_pipe *pipe);
int tls_pipe_flush(struct tls_pipe *pipe);		/* one send: VE_OK, VE_WANT_WRITE, VE_ERROR (see out_errno) */

BIO_METHOD *tls_pipe_method(void);			/* free with BIO_meth_free, after the BIOs made of it */
BIO *tls_pipe_bio(const BIO_METHOD *method, struct tls_pipe *pipe);

#endif
