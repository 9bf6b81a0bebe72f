/*
 * dtls.c: the life of one DTLS association; see engine.h for what each call promises.
 *
 *     SHAKING --handshake done--> OPEN --close_notify, theirs or ours--> ENDED
 *        +------- failure -------> DEAD <------- fatal alert, used up ------+
 *
 * libssl makes the handshake, over datagrams that the caller moves.  Suites of dtls_record.c are then taken out of its
 * hands: keys are derived from the master secret, and libssl is freed.  What is left of its duties is to send our last flight
 * again if the peer lost it; that it did is told by its own last flight coming again, genuine, as only keys can make
 * it.  Our Finished goes out under a new sequence number then, as RFC 6347 section 4.2.4 asks, for the peer may have moved its
 * window past the old one.  One epoch an association: new keys are a new association.
 *
 * Records without keys mean nothing once there are keys: ignored and counted, as is everything that is not genuine.
 * No I/O, no clock but libssl's for retransmissions.  After a failure libssl is not called again.
 */
#include "dtls_internal.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum {
	REPLAYS_ANSWERED = 4,		/* times that a last flight with an old number is answered: anybody can send it again */
	FATAL = 2,			/* level of an alert */
	LEAST_FINISHED = 24 + 16,	/* bytes: a Finished and the least that a suite adds; CCM's short tag has a nonce beside */
	LIBSSL_TAIL = 96		/* bytes: MAC of 48, padding of 16, its length; with room to spare */
};

#define FORGERIES ((uint64_t)1 << 36)	/* RFC 9147 section 4.5.3: then the keys have been tried often enough */

/* ---- life ---- */

struct ve_dtls *ve_dtls_new(const struct ve_dtls_settings *settings, char *err, size_t err_size)
{
	struct ve_dtls *dtls = calloc(1, sizeof(*dtls));

	if (!dtls) {
		snprintf(err, err_size, "dtls: no memory");
		return NULL;
	}
	dtls->alert = VE_EMPTY;
	if (dtls_set_up(dtls, settings, err, err_size))
		return dtls;
	ve_dtls_free(dtls);
	return NULL;
}

/* Libssl and the secrets that only a handshake needs. */
static void forget_handshake(struct ve_dtls *dtls)
{
	SSL_free(dtls->ssl);	/* and the BIO */
	BIO_meth_free(dtls->method);
	SSL_SESSION_free(dtls->forged);
	dtls->ssl = NULL;
	dtls->method = NULL;
	dtls->forged = NULL;
	OPENSSL_cleanse(dtls->secret, sizeof(dtls->secret));
}

void ve_dtls_free(struct ve_dtls *dtls)
{
	if (!dtls)
		return;
	forget_handshake(dtls);
	dtls_aead_clear(&dtls->aead);
	tls_judgement_clear(&dtls->judged);
	free(dtls->rest);
	OPENSSL_cleanse(dtls, sizeof(*dtls));
	free(dtls);
}

struct ve_dtls *dtls_from_secrets(const struct dtls_secrets *secrets)
{
	struct ve_dtls *dtls = calloc(1, sizeof(*dtls));

	if (!dtls || !dtls_aead_init(&dtls->aead, secrets)) {
		free(dtls);
		return NULL;
	}
	dtls->state = OPEN;
	dtls->server = secrets->server;
	dtls->version = VE_DTLS_12;
	dtls->info.own_records = 1;
	dtls->alert = VE_EMPTY;
	return dtls;
}

/* ---- failures ---- */

int dtls_fail(struct ve_dtls *dtls, int failure, const char *text)
{
	dtls->state = DEAD;
	dtls->failure = failure;
	snprintf(dtls->error, sizeof(dtls->error), "%s", text);
	return VE_ERROR;
}

static int alerted(struct ve_dtls *dtls, const char *doing, int alert)
{
	dtls->state = DEAD;
	dtls->failure = VE_DTLS_ALERT;
	dtls->alert = alert;
	snprintf(dtls->error, sizeof(dtls->error), "%s: the peer sent alert %d, %s", doing, alert,
		 SSL_alert_desc_string_long(alert));
	return VE_ERROR;
}

int dtls_died(struct ve_dtls *dtls, const char *doing)
{
	unsigned long first = ERR_peek_error();
	int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;

	dtls->state = DEAD;
	if (dtls->judged.trust == REFUSED) {
		dtls_fail(dtls, VE_DTLS_REFUSED, dtls->judged.refusal ? dtls->judged.refusal : "certificate: refused");
	} else if (reason > SSL_AD_REASON_OFFSET) {
		alerted(dtls, doing, reason - SSL_AD_REASON_OFFSET);
	} else {
		dtls->failure = reason == SSL_R_READ_TIMEOUT_EXPIRED ? VE_DTLS_TIMED_OUT : VE_DTLS_BROKEN;
		tls_error_text(dtls->error, sizeof(dtls->error), doing);
	}
	ERR_clear_error();
	return VE_ERROR;
}

/* ---- the handshake ---- */

/* Takes the records over from libssl.  1: done; 0: libcrypto failed. */
static int take_over(struct ve_dtls *dtls, const SSL_CIPHER *cipher)
{
	struct dtls_secrets secrets = {
		.server = dtls->server,
		.cipher = SSL_CIPHER_get_cipher_nid(cipher),
		.digest = EVP_MD_get0_name(SSL_CIPHER_get_handshake_digest(cipher)),
		.sequence = dtls->pipe.sequence,
		.nonce = dtls->pipe.nonce,
	};
	int done;

	SSL_get_client_random(dtls->ssl, secrets.client_random, sizeof(secrets.client_random));
	SSL_get_server_random(dtls->ssl, secrets.server_random, sizeof(secrets.server_random));
	done = SSL_SESSION_get_master_key(SSL_get_session(dtls->ssl), secrets.master, sizeof(secrets.master)) ==
		       sizeof(secrets.master) &&
	       dtls_aead_init(&dtls->aead, &secrets);
	OPENSSL_cleanse(&secrets, sizeof(secrets));
	return done;
}

static int finish(struct ve_dtls *dtls)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(dtls->ssl);
	int resumed = SSL_session_reused(dtls->ssl);

	if (resumed != (dtls->mode == VE_DTLS_RESUME))
		return dtls_fail(dtls, VE_DTLS_NOT_RESUMED, "handshake: got another kind of it, full or resumed, than wanted");
	if (dtls->mode == VE_DTLS_CERTIFICATE && !dtls->server && dtls->judged.trust != ACCEPTED)
		return dtls_fail(dtls, VE_DTLS_BROKEN, "handshake: no certificate came");
	snprintf(dtls->info.version, sizeof(dtls->info.version), "%s", SSL_get_version(dtls->ssl));
	snprintf(dtls->info.cipher, sizeof(dtls->info.cipher), "%s", SSL_CIPHER_get_name(cipher));
	dtls->info.resumed = (uint32_t)resumed;
	dtls->last_word = resumed != dtls->server;	/* who speaks last: the server; in a resumption, the client */
	if (dtls->version == VE_DTLS_12 && dtls_aead_knows(SSL_CIPHER_get_cipher_nid(cipher))) {
		if (!take_over(dtls, cipher))
			return dtls_died(dtls, "handshake: keys");
		dtls->info.own_records = 1;
		forget_handshake(dtls);
	}
	dtls->least_body = dtls_libssl_least(cipher);
	OPENSSL_cleanse(dtls->secret, sizeof(dtls->secret));
	dtls->state = OPEN;
	return VE_OK;
}

int dtls_step(struct ve_dtls *dtls)
{
	int result = 1;

	ERR_clear_error();
	if (dtls->listening)
		result = dtls_listen(dtls);
	if (result == 0) {	/* answered with a cookie, or dropped */
		ERR_clear_error();
		dtls->pipe.in = NULL;
		return VE_WANT_READ;
	}
	if (result == 1)
		result = SSL_do_handshake(dtls->ssl);
	dtls->pipe.in = NULL;
	if (dtls->not_resumed) {
		ERR_clear_error();
		return dtls_fail(dtls, VE_DTLS_NOT_RESUMED, "handshake: the peer does not resume the session");
	}
	if (result == 1)
		return finish(dtls);
	switch (SSL_get_error(dtls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return VE_WANT_READ;
	case SSL_ERROR_WANT_RETRY_VERIFY:
		return VE_WANT_TRUST;
	default:
		return dtls_died(dtls, "handshake");
	}
}

int ve_dtls_start(struct ve_dtls *dtls)
{
	return dtls->state == SHAKING ? dtls_step(dtls) : VE_ERROR;
}

/* ---- records that come ---- */

static int is_version(const struct ve_dtls *dtls, int version)
{
	if (version == dtls->version)
		return 1;
	if (dtls->state != SHAKING)
		return 0;
	/* The first hellos say 1.0, whatever is wanted; who wants nothing but 1.2 says so in an alert of that version. */
	return (version == VE_DTLS_10 && dtls->version == VE_DTLS_12) || (version == VE_DTLS_12 && dtls->version == VE_DTLS_10);
}

/* Of epoch 1 libssl is shown nothing but what can be a Finished, while it waits for that: it would take a body too short for
 * nonce and tag for an error of its own, and end the handshake, whoever sent it. */
static int can_be_finished(const struct dtls_header *header)
{
	return header->type == DTLS_HANDSHAKE && header->length >= LEAST_FINISHED;
}

/* The first record of what came, and the bytes it takes.  1: look at it; 0: dropped and counted. */
static int classify(struct ve_dtls *dtls, const uint8_t *at, size_t left, struct dtls_header *header, size_t *used)
{
	uint64_t *fault = NULL;

	*used = left;
	if (left < DTLS_HEADER) {
		dtls->stats.bad_length++;
		return 0;
	}
	dtls_header_get(header, at);
	if (header->type < DTLS_CHANGE_CIPHER_SPEC || header->type > DTLS_DATA)
		fault = &dtls->stats.bad_type;
	else if (!is_version(dtls, header->version))
		fault = &dtls->stats.bad_version;
	else if (header->length > left - DTLS_HEADER)
		fault = &dtls->stats.bad_length;
	if (fault) {		/* what is wrong here says nothing good of the length: the rest is dropped as well */
		++*fault;
		return 0;
	}
	*used = DTLS_HEADER + header->length;
	if (header->epoch > 1)
		fault = &dtls->stats.old_epoch;
	else if (dtls->state == SHAKING && (header->type == DTLS_DATA || (header->epoch && !can_be_finished(header))))
		fault = &dtls->stats.early;
	else if (dtls->state != SHAKING && header->epoch == 0)
		fault = &dtls->stats.unauthenticated;
	if (fault)
		++*fault;
	return !fault;
}

int ve_dtls_feed(struct ve_dtls *dtls, const uint8_t *datagram, size_t length)
{
	int result = dtls->state == SHAKING ? VE_WANT_READ : VE_ERROR;
	struct dtls_header header;
	size_t used;

	if (result == VE_WANT_READ && dtls->judged.trust == PARKED) {
		dtls->stats.early++;
		return VE_WANT_TRUST;
	}
	for (; length && result == VE_WANT_READ; datagram += used, length -= used) {
		if (!classify(dtls, datagram, length, &header, &used))
			continue;
		dtls->pipe.in = datagram;	/* one at a time, so that none comes between its last one and our first */
		dtls->pipe.in_length = used;
		result = dtls_step(dtls);
	}
	if (result == VE_WANT_TRUST)
		dtls_keep_rest(dtls, datagram, length);
	return result;
}

int ve_dtls_outgoing(struct ve_dtls *dtls, uint8_t *out, size_t size)
{
	return dtls_pipe_take(&dtls->pipe, out, size);
}

int ve_dtls_timeout(struct ve_dtls *dtls)
{
	struct timeval left;

	if (dtls->state != SHAKING || dtls->judged.trust == PARKED || !DTLSv1_get_timeout(dtls->ssl, &left))
		return VE_EMPTY;
	return (int)(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
}

int ve_dtls_expired(struct ve_dtls *dtls)
{
	if (dtls->state != SHAKING)
		return VE_ERROR;
	ERR_clear_error();
	return DTLSv1_handle_timeout(dtls->ssl) < 0 ? dtls_died(dtls, "handshake: no answer") : VE_WANT_READ;
}

/* ---- the record layer ---- */

size_t ve_dtls_head(const struct ve_dtls *dtls)
{
	return DTLS_HEADER + (dtls->aead.ready ? dtls->aead.nonce : 0);
}

size_t ve_dtls_tail(const struct ve_dtls *dtls)
{
	return dtls->aead.ready ? DTLS_TAG : LIBSSL_TAIL;
}

static int seal(struct ve_dtls *dtls, uint8_t type, uint8_t *record, size_t length)
{
	size_t whole;

	if (dtls->aead.sequence > DTLS_LAST_SEQUENCE)
		return dtls_fail(dtls, VE_DTLS_USED_UP, "write: all 2^48 sequence numbers are used");
	whole = dtls_aead_seal(&dtls->aead, type, record, length);
	return whole ? (int)whole : dtls_fail(dtls, VE_DTLS_BROKEN, "write: libcrypto failed");
}

int ve_dtls_seal(struct ve_dtls *dtls, uint8_t *datagram, size_t payload_length, size_t size)
{
	size_t around = ve_dtls_head(dtls) + ve_dtls_tail(dtls);
	int length;

	if (dtls->state != OPEN)
		return VE_ERROR;
	if (payload_length > VE_DTLS_PAYLOAD || size < around || payload_length > size - around)
		return VE_FULL;
	length = dtls->aead.ready ? seal(dtls, DTLS_DATA, datagram, payload_length)
				    : dtls_libssl_seal(dtls, datagram, payload_length, size);
	if (length > 0)
		dtls->stats.records_out++;
	return length;
}

static int on_alert(struct ve_dtls *dtls, const uint8_t *alert, int length)
{
	if (length != 2) {
		dtls->stats.bad_length++;
		return VE_EMPTY;
	}
	dtls->stats.alerts++;
	if (alert[1] == SSL3_AD_CLOSE_NOTIFY) {
		dtls->state = ENDED;
		return VE_EOF;
	}
	return alert[0] == FATAL ? alerted(dtls, "read", alert[1]) : VE_EMPTY;
}

/* A genuine message of a handshake that is over.  fresh: its number was not used before. */
static int on_handshake(struct ve_dtls *dtls, const uint8_t *message, int length, int fresh)
{
	dtls->stats.handshakes++;
	if (length <= 0 || message[0] != DTLS_FINISHED || !dtls->last_word)
		return VE_EMPTY;
	if (fresh || dtls->replays_answered < REPLAYS_ANSWERED) {
		dtls->replays_answered += !fresh;
		dtls->reply_due = 1;
	}
	return VE_EMPTY;
}

static int open_own(struct ve_dtls *dtls, const struct dtls_header *header, uint8_t *record, uint8_t **payload)
{
	uint8_t *at = record + DTLS_HEADER + dtls->aead.nonce;
	int fresh = dtls_window_fresh(&dtls->aead.window, header->sequence);
	int length;

	if (!fresh && header->type != DTLS_HANDSHAKE) {
		dtls->stats.replayed++;
		return VE_EMPTY;
	}
	if (header->length < dtls->aead.nonce + DTLS_TAG || header->length > dtls->aead.nonce + VE_DTLS_PAYLOAD + DTLS_TAG) {
		dtls->stats.bad_length++;
		return VE_EMPTY;
	}
	length = dtls_aead_open(&dtls->aead, header, record);
	if (length < 0)
		return ++dtls->stats.bad_mac < FORGERIES ? VE_EMPTY
			: dtls_fail(dtls, VE_DTLS_USED_UP, "read: 2^36 records were forged");
	/* The window begins empty, although libssl took records of this epoch: those were handshake messages, which bring no
	 * data whoever sends them again. */
	dtls_window_take(&dtls->aead.window, header->sequence);
	switch (header->type) {
	case DTLS_DATA:
		dtls->stats.records_in++;
		*payload = at;
		return length;
	case DTLS_ALERT:
		return on_alert(dtls, at, length);
	case DTLS_HANDSHAKE:
		return on_handshake(dtls, at, length, fresh);
	default:
		dtls->stats.bad_type++;
		return VE_EMPTY;
	}
}

int ve_dtls_open(struct ve_dtls *dtls, uint8_t *datagram, size_t length, size_t *used, uint8_t **payload)
{
	struct dtls_header header;

	*used = length;
	*payload = NULL;
	if (dtls->state != OPEN)
		return dtls->state == ENDED ? VE_EOF : VE_ERROR;
	if (!classify(dtls, datagram, length, &header, used))
		return VE_EMPTY;
	if (dtls->aead.ready)
		return open_own(dtls, &header, datagram, payload);
	return dtls_libssl_open(dtls, &header, datagram, payload);
}

int ve_dtls_reply(struct ve_dtls *dtls, uint8_t *out, size_t size)
{
	size_t ccs = dtls->pipe.ccs_length, head = ve_dtls_head(dtls);
	int length;

	if (!dtls->aead.ready) {
		length = dtls->state == OPEN ? dtls_libssl_reply(&dtls->pipe, out, size) : 0;
		dtls->stats.retransmitted_flights += length > 0;
		return length;
	}
	if (!dtls->reply_due || dtls->state != OPEN || size < ccs + head + dtls->finished_length + DTLS_TAG)
		return 0;
	dtls->reply_due = 0;
	memcpy(out, dtls->pipe.ccs, ccs);
	memcpy(out + ccs + head, dtls->finished, dtls->finished_length);
	length = seal(dtls, DTLS_HANDSHAKE, out + ccs, dtls->finished_length);
	if (length < 0)
		return 0;
	dtls->stats.retransmitted_flights++;
	return (int)ccs + length;
}

int ve_dtls_close(struct ve_dtls *dtls, uint8_t *out, size_t size)
{
	static const uint8_t close_notify[] = {SSL3_AL_WARNING, SSL3_AD_CLOSE_NOTIFY};
	size_t head = ve_dtls_head(dtls);
	int length;

	if (dtls->state != OPEN || size < head + sizeof(close_notify) + ve_dtls_tail(dtls))
		return 0;
	if (!dtls->aead.ready) {
		length = dtls_libssl_close(dtls, out, size);
	} else {
		memcpy(out + head, close_notify, sizeof(close_notify));
		length = seal(dtls, DTLS_ALERT, out, sizeof(close_notify));
	}
	dtls->state = ENDED;
	return length > 0 ? length : 0;
}

/* ---- questions ---- */

void ve_dtls_info(const struct ve_dtls *dtls, struct ve_dtls_info *out)
{
	*out = dtls->info;
}

void ve_dtls_stats(const struct ve_dtls *dtls, struct ve_dtls_stats *out)
{
	*out = dtls->stats;
	out->dropped_out = dtls->pipe.dropped;
}

const char *ve_dtls_error(const struct ve_dtls *dtls)
{
	return dtls->error;
}

int ve_dtls_failure(const struct ve_dtls *dtls)
{
	return dtls->failure;
}

int ve_dtls_alert(const struct ve_dtls *dtls)
{
	return dtls->alert;
}
