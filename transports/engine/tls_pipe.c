/*
 * tls_pipe.c: see tls_pipe.h.  No TLS, no policy.
 *
 * A direction that failed stays failed; the other goes on: an alert or a goodbye may still wait to be read after a
 * send was refused.
 */
#include "tls_pipe.h"

#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int tls_pipe_init(struct tls_pipe *pipe, int fd)
{
	memset(pipe, 0, sizeof(*pipe));
	pipe->fd = fd;
	pipe->in = malloc(TLS_PIPE_IN);
	pipe->out = malloc(TLS_PIPE_OUT);
	return pipe->in && pipe->out ? 0 : -1;
}

void tls_pipe_close(struct tls_pipe *pipe)
{
	free(pipe->in);
	free(pipe->out);
	pipe->in = pipe->out = NULL;
}

size_t tls_pipe_waiting(const struct tls_pipe *pipe)
{
	return pipe->out_end - pipe->out_at;
}

int tls_pipe_room(struct tls_pipe *pipe, size_t length)
{
	size_t waiting = tls_pipe_waiting(pipe);

	if (length <= TLS_PIPE_OUT - pipe->out_end)
		return 1;
	if (length > TLS_PIPE_OUT - waiting)
		return 0;
	memmove(pipe->out, pipe->out + pipe->out_at, waiting);
	pipe->out_at = 0;
	pipe->out_end = waiting;
	return 1;
}

int tls_pipe_flush(struct tls_pipe *pipe)
{
	size_t waiting = tls_pipe_waiting(pipe);
	ssize_t sent;

	if (waiting == 0)
		return VE_OK;
	if (pipe->out_errno)
		return VE_ERROR;
	do {
		pipe->sends++;
		sent = send(pipe->fd, pipe->out + pipe->out_at, waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
			return VE_WANT_WRITE;
		pipe->out_errno = errno;
		return VE_ERROR;
	}
	pipe->out_at += (size_t)sent;
	if (pipe->out_at < pipe->out_end)
		return VE_WANT_WRITE;
	pipe->out_at = pipe->out_end = 0;
	return VE_OK;
}

int tls_pipe_fill(struct tls_pipe *pipe)
{
	size_t left = pipe->in_end - pipe->in_at;
	ssize_t got;

	if (pipe->ended || pipe->in_errno)
		return 0;
	if (pipe->refills <= 0)
		return -1;	/* a flood: the caller looks at its clock, then goes on */
	pipe->refills--;
	if (left && pipe->in_at)
		memmove(pipe->in, pipe->in + pipe->in_at, left);
	pipe->in_at = 0;
	pipe->in_end = left;
	do {
		pipe->recvs++;
		got = recv(pipe->fd, pipe->in + left, TLS_PIPE_IN - left, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return -1;
		pipe->in_errno = errno;
		return 0;
	}
	if (got == 0) {
		pipe->ended = 1;
		return 0;
	}
	pipe->in_end += (size_t)got;
	if (pipe->head_length == 0) {
		pipe->head_length = pipe->in_end < TLS_PIPE_HEAD ? pipe->in_end : TLS_PIPE_HEAD;
		memcpy(pipe->head, pipe->in, pipe->head_length);
	}
	return 1;
}

/* Where the records end that libssl reads, however it cuts them. */
static void follow(struct tls_pipe *pipe, const uint8_t *at, size_t length)
{
	while (length) {
		size_t n = pipe->body < length ? pipe->body : length;

		pipe->body -= n;
		at += n;
		length -= n;
		for (; length && !pipe->body; length--) {
			pipe->header[pipe->header_length++] = *at++;
			if (pipe->header_length == TLS_PIPE_HEADER) {
				pipe->header_length = 0;
				pipe->body = (size_t)pipe->header[3] << 8 | pipe->header[4];
			}
		}
	}
}

int tls_pipe_between_records(const struct tls_pipe *pipe)
{
	return !pipe->header_length && !pipe->body;
}

static int pipe_read(BIO *bio, char *out, size_t size, size_t *got)
{
	struct tls_pipe *pipe = BIO_get_data(bio);
	size_t left;

	BIO_clear_retry_flags(bio);
	*got = 0;
	if (pipe->in_at == pipe->in_end) {
		int filled = tls_pipe_fill(pipe);

		if (filled < 0)
			BIO_set_retry_read(bio);
		if (filled <= 0)
			return pipe->ended ? 0 : -1;
	}
	left = pipe->in_end - pipe->in_at;
	if (size > left)
		size = left;
	memcpy(out, pipe->in + pipe->in_at, size);
	follow(pipe, pipe->in + pipe->in_at, size);
	pipe->in_at += size;
	*got = size;
	return 1;
}

static int pipe_write(BIO *bio, const char *data, size_t length, size_t *taken)
{
	struct tls_pipe *pipe = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*taken = 0;
	if (!tls_pipe_room(pipe, length)) {	/* a handshake flight only: ve_tls_write asks for room first */
		if (tls_pipe_flush(pipe) == VE_ERROR)
			return -1;
		if (!tls_pipe_room(pipe, length)) {
			BIO_set_retry_write(bio);
			return -1;
		}
	}
	memcpy(pipe->out + pipe->out_end, data, length);
	pipe->out_end += length;
	*taken = length;
	return 1;
}

static long pipe_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct tls_pipe *pipe = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:	/* sending is ours to time, see ve_tls_flush */
		return 1;
	case BIO_CTRL_EOF:
		return pipe->ended;
	default:
		return 0;
	}
}

BIO_METHOD *tls_pipe_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tls pipe");

	if (method && BIO_meth_set_read_ex(method, pipe_read) && BIO_meth_set_write_ex(method, pipe_write) &&
	    BIO_meth_set_ctrl(method, pipe_ctrl))
		return method;
	BIO_meth_free(method);
	return NULL;
}

BIO *tls_pipe_bio(const BIO_METHOD *method, struct tls_pipe *pipe)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, pipe);
	BIO_set_init(bio, 1);
	return bio;
}
