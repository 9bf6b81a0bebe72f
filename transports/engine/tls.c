/*
 * tls.c: one TLS connection on libssl; see engine.h and tls.h for what each call promises.
 *
 * Client handshake:   NEW --certificate--> PARKED --ve_tls_trust--> ACCEPTED or REFUSED
 * The chain and the name are verified when the certificate comes, then the handshake is parked: before our certificate,
 * our Finished or any data is sent.  Once accepted, only the byte-identical leaf is accepted again (TLS 1.2 renegotiation).
 * Once ve_tls_take_over has succeeded, data, new keys and the end are those of tls_taken.c.
 * No clock, no thread, no policy.  After a fatal error libssl is not called again.
 */
#include "tls.h"

#include "tls_internal.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_OVERHEAD 1024	/* bytes: header, IV, MAC, padding, and a KeyUpdate record that goes first */

/* ---- life ---- */

/* A client is asked for its certificate, on a server: about to choose its own. */
static int on_certificate_wanted(SSL *ssl, void *unused)
{
	struct ve_tls *tls = SSL_get_app_data(ssl);

	(void)unused;
	if (!tls->server)
		tls->asked = 1;
	return 1;
}

static int set_up(struct ve_tls *tls, struct ve_tls_context *context, int fd)
{
	BIO *bio;

	if (tls_pipe_init(&tls->pipe, fd) < 0 || !(tls->method = tls_pipe_method()) ||
	    !(tls->ssl = SSL_new(context->ssl)) || !(bio = tls_pipe_bio(tls->method, &tls->pipe)))
		return 0;
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_cert_cb(tls->ssl, on_certificate_wanted, NULL);
	if (context->server) {
		SSL_set_accept_state(tls->ssl);
	} else {
		SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, NULL);
		SSL_set_connect_state(tls->ssl);
	}
	return 1;
}

struct ve_tls *ve_tls_new(struct ve_tls_context *context, int fd, const char *server_name, const char *verify_name,
			  char *err, size_t err_size)
{
	struct ve_tls *tls;

	if (context->datagrams) {
		snprintf(err, err_size, "tls: the context is for datagrams");
		return NULL;
	}
	ERR_clear_error();
	tls = calloc(1, sizeof(*tls));
	if (!tls) {
		snprintf(err, err_size, "tls: no memory");
		return NULL;
	}
	tls->server = context->server;
	tls->judged.any_client = context->any_client;
	tls->alert = VE_EMPTY;
	if (!set_up(tls, context, fd))
		tls_error_text(err, err_size, "tls");
	else if (tls->server || tls_names(tls->ssl, server_name, verify_name, err, err_size))
		return tls;
	ve_tls_free(tls);
	return NULL;
}

void ve_tls_free(struct ve_tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);	/* and the BIO */
	BIO_meth_free(tls->method);
	tls_pipe_close(&tls->pipe);
	tls_judgement_clear(&tls->judged);
	tls_watch_wipe(&tls->watch);
	tls_taken_clear(&tls->taken);
	free(tls);
}

/* ---- errors ---- */

static const char *alert_name(int alert)
{
	/* libssl 3.0 has no text for the alerts that TLS 1.3 added */
	switch (alert) {
	case SSL_AD_MISSING_EXTENSION:
		return "missing extension";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

static void socket_failure(struct ve_tls *tls, const char *doing, int number)
{
	char text[128];

	tls->failure = number == ECONNRESET || number == EPIPE ? VE_TLS_RESET : VE_TLS_SOCKET;
	if (tls->failure == VE_TLS_RESET)
		snprintf(tls->error, sizeof(tls->error), "%s: connection reset by peer", doing);
	else if (strerror_r(number, text, sizeof(text)) == 0)
		snprintf(tls->error, sizeof(tls->error), "%s: %s", doing, text);
	else
		snprintf(tls->error, sizeof(tls->error), "%s: error %d", doing, number);
}

/* What came instead of TLS, in hex, so that a wrong port explains itself. */
static void not_tls(struct ve_tls *tls, const char *doing)
{
	char hex[3 * TLS_PIPE_HEAD + 1] = "";

	for (size_t i = 0; i < tls->pipe.head_length; i++)
		snprintf(hex + 3 * i, 4, " %02x", tls->pipe.head[i]);
	snprintf(tls->error, sizeof(tls->error), "%s: what came is not tls; it begins%s", doing, hex);
}

int tls_alerted(struct ve_tls *tls, const char *doing, int alert)
{
	tls->dead = 1;
	tls->failure = VE_TLS_ALERT;
	tls->alert = alert;
	snprintf(tls->error, sizeof(tls->error), "%s: the peer sent alert %d, %s", doing, alert, alert_name(alert));
	return VE_ERROR;
}

int tls_lost(struct ve_tls *tls, const char *doing)
{
	tls->dead = 1;
	if (tls->pipe.in_errno) {
		socket_failure(tls, doing, tls->pipe.in_errno);
		return VE_ERROR;
	}
	tls->failure = VE_TLS_TRUNCATED;
	snprintf(tls->error, sizeof(tls->error), "%s: the peer closed tcp without close_notify", doing);
	return VE_ERROR;
}

/* Names the cause of a fatal error; the most telling one wins.  Returns VE_ERROR. */
static int died(struct ve_tls *tls, const char *doing)
{
	unsigned long first = ERR_peek_error();
	int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;

	tls->dead = 1;
	if (tls->judged.trust == REFUSED) {
		tls->failure = VE_TLS_REFUSED;
		snprintf(tls->error, sizeof(tls->error), "%s", tls->judged.refusal ? tls->judged.refusal : "certificate: refused");
	} else if (reason > SSL_AD_REASON_OFFSET) {
		tls_alerted(tls, doing, reason - SSL_AD_REASON_OFFSET);
	} else if (tls->pipe.in_errno || tls->pipe.ended) {
		tls_lost(tls, doing);
	} else if (tls->pipe.out_errno) {
		socket_failure(tls, doing, tls->pipe.out_errno);
	} else {
		tls->failure = VE_TLS_BROKEN;
		if (!tls->established && (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST))
			not_tls(tls, doing);
		else
			tls_error_text(tls->error, sizeof(tls->error), doing);
	}
	ERR_clear_error();
	tls_pipe_flush(&tls->pipe);	/* our own alert, if libssl made one */
	return VE_ERROR;
}

int tls_broken(struct ve_tls *tls, const char *text)
{
	tls->dead = 1;
	tls->failure = VE_TLS_BROKEN;
	snprintf(tls->error, sizeof(tls->error), "%s", text);
	return VE_ERROR;
}

/* What libssl's answer `result` <= 0 means. */
static int outcome(struct ve_tls *tls, int result, const char *doing)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return VE_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return VE_WANT_WRITE;
	case SSL_ERROR_WANT_RETRY_VERIFY:
		return VE_WANT_TRUST;
	case SSL_ERROR_ZERO_RETURN:
		return VE_EOF;
	default:
		return died(tls, doing);
	}
}

static int misuse(struct ve_tls *tls, const char *text)
{
	if (!tls->dead)
		snprintf(tls->error, sizeof(tls->error), "%s", text);
	return VE_ERROR;
}

/* Before each call of libssl that may read. */
static void enter(struct ve_tls *tls)
{
	ERR_clear_error();
	tls->pipe.refills = TLS_PIPE_REFILLS;
}

/* ---- the handshake ---- */

/* One step of libssl.  VE_OK: done. */
static int step(struct ve_tls *tls)
{
	int result;

	enter(tls);
	result = SSL_do_handshake(tls->ssl);
	if (result != 1) {
		result = outcome(tls, result, "handshake");
		return result == VE_EOF ? tls_broken(tls, "handshake: the peer ended it with close_notify") : result;
	}
	if (!tls->server && tls->judged.trust != ACCEPTED)	/* a suite without certificates */
		return tls_broken(tls, "handshake: no certificate came");
	tls->established = 1;
	return VE_OK;
}

int ve_tls_handshake(struct ve_tls *tls)
{
	int result, sent;

	if (tls->dead)
		return VE_ERROR;
	result = step(tls);
	if (result == VE_ERROR)
		return VE_ERROR;
	sent = tls_pipe_flush(&tls->pipe);
	if (sent == VE_ERROR && result != VE_OK) {
		/* The peer may have said why before it went: read once more for its alert. */
		if (step(tls) != VE_ERROR) {
			tls->dead = 1;
			socket_failure(tls, "handshake", tls->pipe.out_errno);
		}
		return VE_ERROR;
	}
	return sent == VE_WANT_WRITE && result != VE_WANT_TRUST ? VE_WANT_WRITE : result;
}

/* ---- data ---- */

int ve_tls_read(struct ve_tls *tls, uint8_t *out, size_t size)
{
	size_t before;
	int got;

	if (tls->dead)
		return VE_ERROR;
	if (tls->wanted)
		ve_tls_take_over(tls);
	if (tls->taken.on)
		return tls_taken_read(tls, out, size);
	if (!tls->established)
		return misuse(tls, "read: before the handshake");
	before = tls_pipe_waiting(&tls->pipe);
	enter(tls);
	got = SSL_read(tls->ssl, out, size > INT_MAX ? INT_MAX : (int)size);
	if (got <= 0)
		got = outcome(tls, got, "read");
	if (tls_pipe_waiting(&tls->pipe) > before)
		tls_pipe_flush(&tls->pipe);	/* an answer to a handshake message; ve_tls_buffered_out tells what stays */
	return got;
}

int ve_tls_write(struct ve_tls *tls, const uint8_t *data, size_t length)
{
	int took;

	if (tls->dead)
		return VE_ERROR;
	if (!tls->established || length == 0)
		return misuse(tls, "write: before the handshake, or nothing to write");
	if (!ve_tls_rekey_done(tls))
		return VE_WANT_READ;
	if (length > VE_TLS_RECORD)
		length = VE_TLS_RECORD;
	if (!tls_pipe_room(&tls->pipe, length + RECORD_OVERHEAD))
		return VE_WANT_WRITE;
	if (tls->taken.on)
		return tls_taken_write(tls, data, length);
	enter(tls);
	took = SSL_write(tls->ssl, data, (int)length);
	if (took > 0)
		return took;
	took = outcome(tls, took, "write");
	return took == VE_EOF ? tls_broken(tls, "write: after the end") : took;
}

int ve_tls_flush(struct ve_tls *tls)
{
	int result = tls_pipe_flush(&tls->pipe);

	if (result == VE_ERROR && !tls->dead)	/* not dead: the peer's last words may still be read */
		socket_failure(tls, "write", tls->pipe.out_errno);
	return result;
}

int ve_tls_shutdown(struct ve_tls *tls)
{
	if (tls->dead || !tls->established)
		return VE_OK;		/* nothing that could be said in order */
	if (tls->taken.on) {
		tls_taken_shutdown(tls);
		return VE_OK;
	}
	ERR_clear_error();
	SSL_shutdown(tls->ssl);		/* 0 or 1; an error here changes nothing for the caller */
	ERR_clear_error();
	return VE_OK;
}

/* ---- new keys ---- */

static int rekey_13(struct ve_tls *tls)
{
	int result;

	if (!SSL_key_update(tls->ssl, SSL_KEY_UPDATE_REQUESTED)) {
		tls_error_text(tls->error, sizeof(tls->error), "rekey");
		return VE_ERROR;
	}
	result = SSL_do_handshake(tls->ssl);	/* sends it; reads nothing */
	return result == 1 || outcome(tls, result, "rekey") != VE_ERROR ? VE_OK : VE_ERROR;
}

static int rekey_12(struct ve_tls *tls)
{
	uint8_t byte;
	int result;

	if (!SSL_get_secure_renegotiation_support(tls->ssl))
		return misuse(tls, "rekey: the peer has no secure renegotiation");
	if (!SSL_renegotiate(tls->ssl)) {
		tls_error_text(tls->error, sizeof(tls->error), "rekey");
		return VE_ERROR;
	}
	tls->rekeying = 1;
	/* A peek sends the ClientHello and, unlike SSL_do_handshake, keeps application data that comes meanwhile. */
	result = SSL_peek(tls->ssl, &byte, 1);
	if (result <= 0 && outcome(tls, result, "rekey") == VE_ERROR)
		return VE_ERROR;
	return VE_OK;
}

int ve_tls_rekey(struct ve_tls *tls)
{
	int result;

	if (tls->dead)
		return VE_ERROR;
	if (!tls->established)
		return misuse(tls, "rekey: before the handshake");
	if (!ve_tls_rekey_done(tls))
		return VE_OK;
	if (tls->taken.on) {
		result = tls_taken_rekey(tls);
		tls_pipe_flush(&tls->pipe);
		return result;
	}
	enter(tls);
	result = SSL_version(tls->ssl) >= TLS1_3_VERSION ? rekey_13(tls) : rekey_12(tls);
	if (result == VE_OK)
		tls_pipe_flush(&tls->pipe);
	return result;
}

int ve_tls_rekey_done(struct ve_tls *tls)
{
	if (tls->taken.on)
		return 1;
	/* With TLS 1.3 a handshake state means a KeyUpdate to send, which libssl puts in front of the next record. */
	if (SSL_version(tls->ssl) >= TLS1_3_VERSION)
		return 1;
	if (tls->dead)
		return !tls->rekeying;	/* what was under way never ends */
	if (tls->rekeying && SSL_renegotiate_pending(tls->ssl))
		return 0;
	tls->rekeying = SSL_in_init(tls->ssl);
	return !tls->rekeying;
}
