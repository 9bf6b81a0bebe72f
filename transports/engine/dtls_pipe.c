/*
 * dtls_pipe.c: see dtls_pipe.h.  No DTLS but the header of a record, no policy.
 */
#include "dtls_pipe.h"

#include "engine.h"

#include <string.h>

enum { IP_AND_UDP = 28 };	/* bytes around a datagram, for libssl's arithmetic of sizes */

/* Notes what our record layer needs of a datagram that libssl made. */
static void observe(struct dtls_pipe *pipe, const uint8_t *at, size_t left)
{
	struct dtls_header header;

	while (left >= DTLS_HEADER) {
		dtls_header_get(&header, at);
		if (header.length > left - DTLS_HEADER)
			return;
		if (header.type == DTLS_CHANGE_CIPHER_SPEC && DTLS_HEADER + header.length <= sizeof(pipe->ccs)) {
			pipe->ccs_length = DTLS_HEADER + header.length;
			memcpy(pipe->ccs, at, pipe->ccs_length);
		}
		if (header.epoch == 1) {
			pipe->sequence = header.sequence + 1;
			pipe->nonce = 0;
			for (size_t i = 0; i < 8 && i < header.length; i++)
				pipe->nonce = pipe->nonce << 8 | at[DTLS_HEADER + i];
			pipe->nonce++;
		}
		at += DTLS_HEADER + header.length;
		left -= DTLS_HEADER + header.length;
	}
}

static int pipe_write(BIO *bio, const char *data, size_t length, size_t *taken)
{
	struct dtls_pipe *pipe = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*taken = length;	/* what finds no room is lost, as on a network */
	observe(pipe, (const uint8_t *)data, length);
	if (pipe->count == DTLS_PIPE_DATAGRAMS || length > DTLS_PIPE_OUT - pipe->out_end) {
		pipe->dropped++;
		return 1;
	}
	memcpy(pipe->out + pipe->out_end, data, length);
	pipe->out_end += length;
	pipe->lengths[(pipe->first + pipe->count++) % DTLS_PIPE_DATAGRAMS] = length;
	return 1;
}

int dtls_pipe_take(struct dtls_pipe *pipe, uint8_t *out, size_t size)
{
	size_t length = pipe->lengths[pipe->first];

	if (!pipe->count)
		return VE_EMPTY;
	if (length > size)
		return VE_FULL;
	memcpy(out, pipe->out + pipe->out_at, length);
	pipe->out_at += length;
	pipe->first = (pipe->first + 1) % DTLS_PIPE_DATAGRAMS;
	if (!--pipe->count)
		pipe->out_at = pipe->out_end = 0;
	return (int)length;
}

int dtls_pipe_take_newest(struct dtls_pipe *pipe, uint8_t *out, size_t size)
{
	size_t length;

	if (!pipe->count)
		return VE_EMPTY;
	length = pipe->lengths[(pipe->first + pipe->count - 1) % DTLS_PIPE_DATAGRAMS];
	if (length > size)
		return VE_FULL;
	memcpy(out, pipe->out + pipe->out_end - length, length);
	pipe->out_end -= length;
	if (!--pipe->count)
		pipe->out_at = pipe->out_end = 0;
	return (int)length;
}

void dtls_pipe_drop(struct dtls_pipe *pipe)
{
	pipe->dropped += pipe->count;
	pipe->first = pipe->count = pipe->out_at = pipe->out_end = 0;
}

static int pipe_read(BIO *bio, char *out, size_t size, size_t *got)
{
	struct dtls_pipe *pipe = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*got = 0;
	if (!pipe->in) {
		BIO_set_retry_read(bio);
		return -1;
	}
	*got = size < pipe->in_length ? size : pipe->in_length;
	memcpy(out, pipe->in, *got);
	pipe->in = NULL;
	return 1;
}

static long pipe_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
		return IP_AND_UDP;
	default:
		return 0;
	}
}

BIO_METHOD *dtls_pipe_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dtls pipe");

	if (method && BIO_meth_set_read_ex(method, pipe_read) && BIO_meth_set_write_ex(method, pipe_write) &&
	    BIO_meth_set_ctrl(method, pipe_ctrl))
		return method;
	BIO_meth_free(method);
	return NULL;
}

BIO *dtls_pipe_bio(const BIO_METHOD *method, struct dtls_pipe *pipe)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, pipe);
	BIO_set_init(bio, 1);
	return bio;
}
