/*
 * tls_watch.c: see tls_watch.h.
 *
 * Secrets come by libssl's log of keys; nothing is ever written.  Sequence numbers are counted: libssl tells of every header
 * before it tells of the message in that record, so the application keys of a direction begin behind the record whose
 * message is Finished.  From there on every record is of the outer type 23.
 *
 * libssl keeps the part of a handshake message that has come to itself, and cannot be asked for it.  So the bytes of
 * handshake records are counted against those of messages; while they differ, part of one is missing.
 */
#include "tls_watch.h"

#include "tls_internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

enum { RECEIVED = 0, SENT = 1, CLIENT = 0, SERVER = 1 };

static void on_header(struct tls_watch *watch, int way, const uint8_t *header)
{
	if (!watch->finished[way])
		return;
	if (header[0] == TLS_DATA)
		watch->records[way]++;
	else
		watch->foul = 1;
	if (way == RECEIVED)
		watch->last_length = (size_t)header[3] << 8 | header[4];
}

static void on_handshake(struct tls_watch *watch, int way, uint8_t type, size_t length)
{
	if (type == SSL3_MT_FINISHED) {
		watch->finished[way] = 1;
		watch->records[way] = 0;
		return;
	}
	if (!watch->finished[way])
		return;
	if (type != SSL3_MT_NEWSESSION_TICKET || (way == RECEIVED && length > watch->handshake))
		watch->foul = 1;	/* a KeyUpdate above all: the secrets are not those any more */
	else if (way == RECEIVED)
		watch->handshake -= length;
}

static void on_event(int way, int version, int kind, const void *data, size_t length, SSL *ssl, void *unused)
{
	struct ve_tls *tls = SSL_get_app_data(ssl);
	const uint8_t *bytes = data;

	(void)version;
	(void)unused;
	if (!tls || !length)
		return;
	if (kind == SSL3_RT_HEADER && length >= TLS_HEADER)
		on_header(&tls->watch, way, bytes);
	else if (kind == SSL3_RT_HANDSHAKE)
		on_handshake(&tls->watch, way, bytes[0], length);
	else if (kind == SSL3_RT_INNER_CONTENT_TYPE && way == RECEIVED && tls->watch.finished[way] && *bytes == TLS_HANDSHAKE)
		tls->watch.handshake += tls->watch.last_length - 1 - AEAD_TAG;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "LABEL client-random secret", the latter two in hex. */
static void on_secret(const SSL *ssl, const char *line)
{
	static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
	struct ve_tls *tls = SSL_get_app_data(ssl);
	const char *at = strrchr(line, ' ');

	for (int i = CLIENT; tls && at && i <= SERVER; i++) {
		size_t n = 0;

		if (strncmp(line, labels[i], strlen(labels[i])) != 0)
			continue;
		for (at++; n < TLS13_SECRET && digit(at[0]) >= 0 && digit(at[1]) >= 0; at += 2)
			tls->watch.secrets[i][n++] = (uint8_t)(digit(at[0]) << 4 | digit(at[1]));
		tls->watch.secret_length[i] = *at ? 0 : n;
		return;
	}
}

void tls_watch_set(SSL_CTX *context)
{
	SSL_CTX_set_msg_callback(context, on_event);
	SSL_CTX_set_keylog_callback(context, on_secret);
}

void tls_watch_wipe(struct tls_watch *watch)
{
	OPENSSL_cleanse(watch->secrets, sizeof(watch->secrets));
	watch->secret_length[CLIENT] = watch->secret_length[SERVER] = 0;
}

/* ---- taking over ---- */

/* libssl can be left behind: what it has taken is read, and nothing is half done. */
static int at_rest(const struct ve_tls *tls)
{
	return tls_pipe_between_records(&tls->pipe) && !SSL_has_pending(tls->ssl) && !SSL_in_init(tls->ssl) &&
	       !tls->watch.handshake;
}

int ve_tls_take_over(struct ve_tls *tls)
{
	const struct tls_watch *watch = &tls->watch;
	const struct tls13_suite *suite;

	if (tls->taken.on)
		return VE_OK;
	tls->wanted = 0;
	if (tls->dead || !tls->established || SSL_version(tls->ssl) != TLS1_3_VERSION || SSL_get_shutdown(tls->ssl))
		return VE_ERROR;
	suite = tls13_suite(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(tls->ssl)));
	if (!suite || watch->foul || !watch->finished[0] || !watch->finished[1] || watch->secret_length[0] != suite->secret ||
	    watch->secret_length[1] != suite->secret)
		return VE_ERROR;
	if (!at_rest(tls)) {
		tls->wanted = 1;
		return VE_EMPTY;
	}
	ERR_clear_error();
	if (!tls_taken_begin(tls, suite, watch->secrets[0], watch->secrets[1], watch->records)) {
		ERR_clear_error();
		return VE_ERROR;
	}
	tls_watch_wipe(&tls->watch);
	return VE_OK;
}
