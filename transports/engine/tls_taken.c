/*
 * tls_taken.c: what libssl did for a connection of TLS 1.3 between its handshake and its end; see tls_taken.h.
 *
 *     received   receive buffer -> decrypted in place -> data to the caller, the rest is judged here
 *     sent       the caller's data -> encrypted in the output buffer
 *
 * Of handshake messages a client may get NewSessionTicket, which is skipped, and either side KeyUpdate.  All else is
 * answered by its alert and ends the connection.  Nothing that is not genuine is looked at.
 * Source: RFC 8446 sections 4.6, 5 and 6.
 */
#include "tls_taken.h"

#include "tls_internal.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_HEADER = 4, FATAL = 2, WARNING = 1, ALERT = 2 };	/* bytes; levels of an alert; bytes */

/* ---- life ---- */

int tls_taken_begin(struct ve_tls *tls, const struct tls13_suite *suite, const uint8_t *client, const uint8_t *server,
		    const uint64_t sequences[2])
{
	struct tls_taken *taken = &tls->taken;

	memset(taken, 0, sizeof(*taken));
	taken->rekey_after = TLS_REKEY_AFTER;
	taken->on = tls_direction_init(&taken->in, suite, tls->server ? client : server, sequences[0], 0) &&
		    tls_direction_init(&taken->out, suite, tls->server ? server : client, sequences[1], 1);
	if (!taken->on)
		tls_taken_clear(taken);
	return taken->on;
}

void tls_taken_clear(struct tls_taken *taken)
{
	tls_direction_clear(&taken->in);
	tls_direction_clear(&taken->out);
	OPENSSL_cleanse(taken, sizeof(*taken));
}

struct ve_tls *tls_from_secrets(int fd, int server, unsigned int suite, const uint8_t *client, const uint8_t *servers)
{
	struct ve_tls *tls = calloc(1, sizeof(*tls));
	const uint64_t sequences[2] = {0, 0};

	if (!tls)
		return NULL;
	tls->server = server;
	tls->established = 1;
	tls->alert = VE_EMPTY;
	if (tls_pipe_init(&tls->pipe, fd) == 0 && tls_taken_begin(tls, tls13_suite(suite), client, servers, sequences))
		return tls;
	ve_tls_free(tls);
	return NULL;
}

/* ---- sending ---- */

/* The caller has looked for room. */
static int put(struct ve_tls *tls, uint8_t type, const uint8_t *content, size_t length)
{
	struct tls_pipe *pipe = &tls->pipe;
	size_t made = tls_record_seal(&tls->taken.out, type, content, length, pipe->out + pipe->out_end);

	if (!made)
		return tls_broken(tls, "write: libcrypto failed");
	pipe->out_end += made;
	return VE_OK;
}

static void put_alert(struct ve_tls *tls, uint8_t level, uint8_t number)
{
	const uint8_t alert[ALERT] = {level, number};

	if (!tls->taken.closed && tls_pipe_room(&tls->pipe, ALERT + TLS_OVERHEAD))
		put(tls, TLS_ALERT, alert, sizeof(alert));
	tls->taken.closed = 1;
}

/* The alert leaves if the kernel takes it at once. */
__attribute__((format(printf, 3, 4))) static int refuse(struct ve_tls *tls, int alert, const char *format, ...)
{
	char text[TLS_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_alert(tls, FATAL, (uint8_t)alert);
	tls_pipe_flush(&tls->pipe);
	return tls_broken(tls, text);
}

/* RFC 8446 section 4.6.3.  VE_OK, VE_WANT_WRITE: no room, so it goes before the next data. */
static int put_key_update(struct ve_tls *tls, int ask)
{
	const uint8_t message[TLS_KEY_UPDATE_MESSAGE] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, ask || tls->taken.ask};

	tls->taken.update_due = 1;
	tls->taken.ask = message[MESSAGE_HEADER];

	/* What follows at the end of all, an alert, finds room too. */
	if (!tls_pipe_room(&tls->pipe, sizeof(message) + ALERT + 2 * TLS_OVERHEAD))
		return VE_WANT_WRITE;
	if (put(tls, TLS_HANDSHAKE, message, sizeof(message)) != VE_OK)
		return VE_ERROR;
	if (!tls_direction_update(&tls->taken.out))
		return tls_broken(tls, "write: libcrypto made no new keys");
	tls->taken.update_due = tls->taken.ask = 0;
	return VE_OK;
}

int tls_taken_write(struct ve_tls *tls, const uint8_t *data, size_t length)
{
	struct tls_taken *taken = &tls->taken;
	int rc = VE_OK;

	if (taken->closed)
		return tls_broken(tls, "write: after the end");
	if (taken->update_due || taken->out.sequence >= taken->rekey_after)
		rc = put_key_update(tls, 0);
	if (rc == VE_OK)
		rc = put(tls, TLS_DATA, data, length);
	return rc == VE_OK ? (int)length : rc;
}

int tls_taken_rekey(struct ve_tls *tls)
{
	if (tls->taken.closed)
		return tls_broken(tls, "rekey: after the end");
	return put_key_update(tls, 1) == VE_ERROR ? VE_ERROR : VE_OK;
}

void tls_taken_shutdown(struct ve_tls *tls)
{
	put_alert(tls, WARNING, SSL_AD_CLOSE_NOTIFY);
}

/* ---- receiving: what is no data ---- */

/* VE_EMPTY: on to the next record. */
static int without_data(struct ve_tls *tls)
{
	if (++tls->taken.idle > TLS_IDLE_RECORDS)
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got over %d records in a row without data",
			      TLS_IDLE_RECORDS);
	return VE_EMPTY;
}

static int on_alert(struct ve_tls *tls, const uint8_t *alert, size_t length)
{
	if (length != ALERT)
		return refuse(tls, SSL_AD_DECODE_ERROR, "read: got an alert of %zu bytes, want %d", length, ALERT);
	if (alert[1] == SSL_AD_CLOSE_NOTIFY) {
		tls->taken.ended = 1;
		return VE_EOF;
	}
	if (alert[1] == SSL_AD_USER_CANCELLED)		/* a close_notify follows */
		return without_data(tls);
	return tls_alerted(tls, "read", alert[1]);
}

static int on_key_update(struct ve_tls *tls, uint8_t wish)
{
	struct tls_taken *taken = &tls->taken;

	if (wish > 1)
		return refuse(tls, SSL_AD_ILLEGAL_PARAMETER, "read: key update: got request %d, want 0 or 1", wish);
	if (++taken->updates > TLS_KEY_UPDATES)
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got too many key updates, and little data between them");
	if (!tls_direction_update(&taken->in))
		return refuse(tls, SSL_AD_INTERNAL_ERROR, "read: libcrypto made no new keys");
	if (!wish || taken->closed)
		return VE_OK;
	if (put_key_update(tls, 0) == VE_ERROR)
		return VE_ERROR;
	tls_pipe_flush(&tls->pipe);	/* ve_tls_buffered_out tells what stays */
	return VE_OK;
}

/* Type and length of a message have come. */
static int on_message_header(struct ve_tls *tls)
{
	struct tls_taken *taken = &tls->taken;
	const uint8_t *header = taken->message;
	size_t length = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];

	if (header[0] == SSL3_MT_KEY_UPDATE && length == TLS_KEY_UPDATE_MESSAGE - MESSAGE_HEADER)
		return VE_OK;
	if (header[0] == SSL3_MT_KEY_UPDATE || (header[0] == SSL3_MT_NEWSESSION_TICKET && length > TLS_TICKET))
		return refuse(tls, SSL_AD_DECODE_ERROR, "read: got a handshake message of type %d and %zu bytes", header[0],
			      length);
	if (header[0] != SSL3_MT_NEWSESSION_TICKET || tls->server)
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: unexpected handshake message of type %d", header[0]);
	taken->message_length = 0;
	taken->skip = length;
	return VE_OK;
}

/* Messages may be cut anywhere, and several may lie in a record, but for KeyUpdate, which ends one. */
static int on_handshake(struct ve_tls *tls, const uint8_t *at, size_t length)
{
	struct tls_taken *taken = &tls->taken;
	int rc = VE_OK;

	if (!length)
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got an empty handshake record");
	while (length && rc == VE_OK) {
		size_t skipped = taken->skip < length ? taken->skip : length;

		taken->skip -= skipped;
		at += skipped;
		length -= skipped;
		if (!length)
			break;
		taken->message[taken->message_length++] = *at++;
		length--;
		if (taken->message_length == MESSAGE_HEADER) {
			rc = on_message_header(tls);
		} else if (taken->message_length == TLS_KEY_UPDATE_MESSAGE) {
			taken->message_length = 0;
			rc = length ? refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: a key update does not end its record")
				    : on_key_update(tls, taken->message[MESSAGE_HEADER]);
		}
	}
	return rc == VE_OK ? without_data(tls) : rc;
}

/* ---- receiving ---- */

static int on_data(struct ve_tls *tls, const uint8_t *at, size_t length)
{
	struct tls_taken *taken = &tls->taken;

	if (taken->message_length || taken->skip)
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got data within a handshake message");
	if (!length)
		return without_data(tls);
	taken->at = at;
	taken->left = length;
	taken->idle = 0;
	if (taken->updates && ++taken->earned >= TLS_KEY_UPDATE_PRICE) {
		taken->earned = 0;
		taken->updates--;
	}
	return VE_OK;
}

static int refuse_record(struct ve_tls *tls, int fault, const uint8_t *record)
{
	switch (fault) {
	case TLS_NOT_DATA:
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got a record of type %d, want %d", record[0], TLS_DATA);
	case TLS_TOO_LONG:
		return refuse(tls, SSL_AD_RECORD_OVERFLOW, "read: got a record that is too long, %d bytes",
			      record[3] << 8 | record[4]);
	case TLS_NO_TYPE:
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got a record without a type of content");
	default:
		return refuse(tls, SSL_AD_BAD_RECORD_MAC, "read: bad record mac");
	}
}

/* VE_OK: there is data; VE_EMPTY: it brought none. */
static int take_record(struct ve_tls *tls, uint8_t *record, size_t size)
{
	uint8_t type = 0;
	int length = tls_record_open(&tls->taken.in, record, size, &type);

	tls->pipe.in_at += size;
	if (length < 0)
		return refuse_record(tls, length, record);
	switch (type) {
	case TLS_DATA:
		return on_data(tls, record + TLS_HEADER, (size_t)length);
	case TLS_HANDSHAKE:
		return on_handshake(tls, record + TLS_HEADER, (size_t)length);
	case TLS_ALERT:
		return on_alert(tls, record + TLS_HEADER, (size_t)length);
	default:
		return refuse(tls, SSL_AD_UNEXPECTED_MESSAGE, "read: got a record with content of type %d", type);
	}
}

static int look(const struct ve_tls *tls)
{
	return tls_record_look(tls->pipe.in + tls->pipe.in_at, tls->pipe.in_end - tls->pipe.in_at);
}

/* Records until one has data. */
static int next_data(struct ve_tls *tls)
{
	int rc = VE_EMPTY;

	tls->pipe.refills = TLS_PIPE_REFILLS;
	while (rc == VE_EMPTY) {
		int size = tls->taken.ended ? 0 : look(tls), filled;

		if (tls->taken.ended)
			return VE_EOF;
		if (size > 0) {
			rc = take_record(tls, tls->pipe.in + tls->pipe.in_at, (size_t)size);
		} else if (size < 0) {
			return refuse_record(tls, size, tls->pipe.in + tls->pipe.in_at);
		} else {
			filled = tls_pipe_fill(&tls->pipe);
			if (filled < 0)
				return VE_WANT_READ;
			if (filled == 0)
				return tls_lost(tls, "read");
		}
	}
	return rc;
}

int tls_taken_read(struct ve_tls *tls, uint8_t *out, size_t size)
{
	struct tls_taken *taken = &tls->taken;
	int rc;

	if (!taken->left && (rc = next_data(tls)) != VE_OK)
		return rc;
	if (size > taken->left)
		size = taken->left;
	memcpy(out, taken->at, size);
	taken->at += size;
	taken->left -= size;
	return (int)size;
}

int tls_taken_has_input(const struct ve_tls *tls)
{
	return tls->taken.left || tls->taken.ended || look(tls) != 0;
}
