/*
 * dtls_libssl.c: records by libssl, for CBC and CCM suites and for DTLS 0.9.
 *
 * libssl takes a record out of the datagram into memory of its own before it writes the payload, so that may lie where the
 * record did.  Slower than our own records, and only for gateways that can nothing better.
 *
 * A record of CCM that is too short for its nonce and tag would be a fatal error to libssl 3.0, whoever sent it: such
 * are dropped before.
 */
#include "dtls_internal.h"

#include <openssl/err.h>
#include <string.h>

enum { REPLY = 1200 };		/* bytes: fits wherever the handshake did */

size_t dtls_libssl_least(const SSL_CIPHER *cipher)
{
	enum { EXPLICIT_NONCE = 8, TAG = 16, SHORT_TAG = 8 };
	const char *name = SSL_CIPHER_get_name(cipher);

	if (!strstr(name, "CCM"))
		return 0;
	return EXPLICIT_NONCE + (strstr(name, "CCM8") ? SHORT_TAG : TAG);
}

int dtls_libssl_seal(struct ve_dtls *dtls, uint8_t *datagram, size_t payload_length, size_t size)
{
	int length;

	if (!payload_length)
		return VE_FULL;		/* libssl makes no empty record */
	if (dtls->pipe.count == DTLS_PIPE_DATAGRAMS)
		dtls_pipe_drop(&dtls->pipe);	/* old flights: the peer asks again */
	ERR_clear_error();
	if (SSL_write(dtls->ssl, datagram + ve_dtls_head(dtls), (int)payload_length) != (int)payload_length)
		return dtls_died(dtls, "write");
	length = dtls_pipe_take_newest(&dtls->pipe, datagram, size);	/* a flight may wait for ve_dtls_reply */
	return length > 0 ? length : dtls_fail(dtls, VE_DTLS_BROKEN, "write: libssl made more than a record");
}

int dtls_libssl_open(struct ve_dtls *dtls, const struct dtls_header *header, uint8_t *record, uint8_t **payload)
{
	int fresh = dtls_window_fresh(&dtls->window, header->sequence), got;

	if (header->length < dtls->least_body) {
		dtls->stats.bad_length++;
		return VE_EMPTY;
	}
	dtls->pipe.in = record;
	dtls->pipe.in_length = DTLS_HEADER + header->length;
	ERR_clear_error();
	got = SSL_read(dtls->ssl, record + DTLS_HEADER, (int)header->length);
	dtls->pipe.in = NULL;
	if (got > 0) {
		dtls_window_take(&dtls->window, header->sequence);
		dtls->stats.records_in++;
		*payload = record + DTLS_HEADER;
		return got;
	}
	switch (SSL_get_error(dtls->ssl, got)) {
	case SSL_ERROR_WANT_READ:
		if (header->type == DTLS_HANDSHAKE && dtls->pipe.count)
			dtls->stats.handshakes++;	/* it is being answered */
		else if (fresh)
			dtls->stats.bad_mac++;
		else
			dtls->stats.replayed++;
		return VE_EMPTY;
	case SSL_ERROR_ZERO_RETURN:
		dtls->stats.alerts++;
		dtls->state = ENDED;
		return VE_EOF;
	default:
		return dtls_died(dtls, "read");
	}
}

/* libssl makes a datagram of each message that it sends again; they travel together. */
int dtls_libssl_reply(struct dtls_pipe *pipe, uint8_t *out, size_t size)
{
	size_t all = 0;
	int length;

	if (size > REPLY)
		size = REPLY;
	while ((length = dtls_pipe_take(pipe, out + all, size - all)) > 0)
		all += (size_t)length;
	return (int)all;
}

int dtls_libssl_close(struct ve_dtls *dtls, uint8_t *out, size_t size)
{
	int length;

	ERR_clear_error();
	SSL_shutdown(dtls->ssl);	/* 0 or 1; an error here changes nothing for the caller */
	ERR_clear_error();
	length = dtls_pipe_take_newest(&dtls->pipe, out, size);
	return length > 0 ? length : 0;
}
