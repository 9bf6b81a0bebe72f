/*
 * dtls_setup.c: what libssl is told before a DTLS handshake: version, suites, key or forged session, and what is off.
 *
 * A resumption resumes a session that never was: both sides know its id and its master secret from elsewhere.  libssl is
 * handed a session with these (dtls_forge) and does the rest.  With a pre-shared key the same call gives the ClientHello
 * its session id, by which the gateway finds the key; the master secret is a random one then, so it cannot be resumed.
 * In both no certificate is ever accepted: whoever does not know the secret is refused, whatever it shows.  Certificates
 * are a mode of their own, on a context that many associations share (tls_context.c, dtls_certificate.c).
 * Source: AnyConnect notes, sections 6.2 to 6.6.
 */
#include "dtls_internal.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum {
	LEAST_MTU = 256,		/* bytes; libssl takes no less */
	MOST_MTU = 16384,
	SESSION_SECONDS = 3600,		/* forged sessions do not expire within their handshake */
	SECURITY_LEVEL = 2,
	AES128_SHA = 0x002f,		/* a suite that every libssl knows, for a session that is not resumed */
	HELLO_HEADER = 12,		/* bytes: of a handshake message */
	HELLO_SESSION_ID = HELLO_HEADER + 2 + DTLS_RANDOM	/* where the length of the session id is, in either hello */
};

/* ---- callbacks of libssl ---- */

static unsigned int on_client_key(SSL *ssl, const char *hint, char *identity, unsigned int identity_size, uint8_t *out,
				  unsigned int size)
{
	struct ve_dtls *dtls = SSL_get_app_data(ssl);

	(void)hint;
	if (dtls->mode != VE_DTLS_PSK || dtls->secret_length > size || strlen(dtls->identity) >= identity_size)
		return 0;	/* a resumption has no key: libssl only offers these suites if it could be asked */
	memcpy(identity, dtls->identity, strlen(dtls->identity) + 1);
	memcpy(out, dtls->secret, dtls->secret_length);
	return (unsigned int)dtls->secret_length;
}

static unsigned int on_server_key(SSL *ssl, const char *identity, uint8_t *out, unsigned int size)
{
	struct ve_dtls *dtls = SSL_get_app_data(ssl);

	(void)identity;		/* the key was found by the session id */
	if (dtls->mode != VE_DTLS_PSK || dtls->secret_length > size)
		return 0;
	memcpy(out, dtls->secret, dtls->secret_length);
	return (unsigned int)dtls->secret_length;
}

static SSL_SESSION *on_lookup(SSL *ssl, const uint8_t *id, int length, int *copy)
{
	struct ve_dtls *dtls = SSL_get_app_data(ssl);

	*copy = 1;
	if ((size_t)length != dtls->session_id_length || memcmp(id, dtls->session_id, (size_t)length) != 0)
		return NULL;
	return dtls->forged;
}

static int on_certificate(X509_STORE_CTX *store, void *unused)
{
	(void)unused;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static unsigned int on_timer(SSL *ssl, unsigned int us)
{
	struct ve_dtls *dtls = SSL_get_app_data(ssl);
	uint64_t next = us ? 2 * (uint64_t)us : (uint64_t)dtls->retransmit_ms * 1000;
	uint64_t most = (uint64_t)dtls->retransmit_most_ms * 1000;

	if (us)
		dtls->stats.retransmitted_flights++;
	return (unsigned int)(next < most ? next : most);
}

/* Every message that is sent and received, whole. */
static void on_message(int sent, int version, int type, const void *message, size_t length, SSL *ssl, void *unused)
{
	struct ve_dtls *dtls = SSL_get_app_data(ssl);
	const uint8_t *bytes = message;
	size_t id;

	(void)version;
	(void)unused;
	if (type != SSL3_RT_HANDSHAKE || !dtls || !length)
		return;
	if (sent && bytes[0] == SSL3_MT_FINISHED && length <= sizeof(dtls->finished)) {
		memcpy(dtls->finished, bytes, length);
		dtls->finished_length = length;
	}
	if (sent || dtls->mode != VE_DTLS_RESUME || length <= HELLO_SESSION_ID ||
	    bytes[0] != (dtls->server ? SSL3_MT_CLIENT_HELLO : SSL3_MT_SERVER_HELLO))
		return;
	id = bytes[HELLO_SESSION_ID];
	if (id != dtls->session_id_length || length - HELLO_SESSION_ID - 1 < id ||
	    memcmp(bytes + HELLO_SESSION_ID + 1, dtls->session_id, id) != 0)
		dtls->not_resumed = 1;
}

/* ---- sessions ---- */

static uint8_t *put(uint8_t *at, uint8_t tag, const uint8_t *value, size_t length)
{
	*at++ = tag;
	*at++ = (uint8_t)length;
	memcpy(at, value, length);
	return at + length;
}

size_t dtls_forge(uint8_t *out, int version, unsigned int suite, const uint8_t *session_id, size_t session_id_length,
		  const uint8_t master[DTLS_MASTER])
{
	enum { SEQUENCE = 0x30, INTEGER = 2, OCTET_STRING = 4 };
	const uint8_t number[] = {0, (uint8_t)(version >> 8), (uint8_t)version};
	const uint8_t cipher[] = {(uint8_t)(suite >> 8), (uint8_t)suite};
	size_t sign = version < 0x8000;		/* a leading zero keeps an INTEGER from being negative */
	uint8_t *at = out + 2;

	at = put(at, INTEGER, (const uint8_t[]){1}, 1);
	at = put(at, INTEGER, number + sign, sizeof(number) - sign);
	at = put(at, OCTET_STRING, cipher, sizeof(cipher));
	at = put(at, OCTET_STRING, session_id, session_id_length);
	at = put(at, OCTET_STRING, master, DTLS_MASTER);
	out[0] = SEQUENCE;
	out[1] = (uint8_t)(at - out - 2);
	return (size_t)(at - out);
}

static int forge_session(struct ve_dtls *dtls)
{
	STACK_OF(SSL_CIPHER) *offered = SSL_get_ciphers(dtls->ssl);
	uint8_t master[DTLS_MASTER], der[DTLS_SESSION_DER];
	const unsigned char *at = der;
	unsigned int suite = AES128_SHA;
	size_t length;

	if (dtls->mode == VE_DTLS_RESUME) {
		memcpy(master, dtls->secret, sizeof(master));
		suite = SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(offered, 0));
	} else if (RAND_priv_bytes(master, sizeof(master)) != 1) {
		return 0;
	}
	length = dtls_forge(der, dtls->version, suite, dtls->session_id, dtls->session_id_length, master);
	dtls->forged = d2i_SSL_SESSION(NULL, &at, (long)length);
	OPENSSL_cleanse(master, sizeof(master));
	OPENSSL_cleanse(der, sizeof(der));
	if (!dtls->forged)
		return 0;
	SSL_SESSION_set_timeout(dtls->forged, SESSION_SECONDS);
	return dtls->server || SSL_set_session(dtls->ssl, dtls->forged);
}

/* ---- all of it ---- */

static const char *wrong_secrets(const struct ve_dtls_settings *settings)
{
	if (settings->mode == VE_DTLS_RESUME && settings->secret_length != DTLS_MASTER)
		return "master secret: want 48 bytes";
	if (!settings->secret_length || settings->secret_length > VE_DTLS_SECRET)
		return "secret: want 1..256 bytes";
	if (settings->session_id_length > DTLS_SESSION_ID)
		return "session id: want at most 32 bytes";
	if (!settings->session_id_length && settings->mode == VE_DTLS_RESUME)
		return "session id: want at least 1 byte to resume";
	if (settings->identity && strlen(settings->identity) >= DTLS_IDENTITY)
		return "identity: want at most 127 bytes";
	if (settings->mode == VE_DTLS_RESUME && settings->ciphers && strchr(settings->ciphers, ':'))
		return "ciphers: want one to resume";
	return NULL;
}

static const char *wrong_certificates(const struct ve_dtls_settings *settings)
{
	if (!settings->context || !settings->context->datagrams)
		return "context: want one for datagrams";
	if (settings->context->server != (settings->server != 0))
		return "context: want one for this side";
	if (settings->secret_length || settings->session_id_length)
		return "secret: certificates want none, and no session id";
	return NULL;
}

static const char *wrong_version(const struct ve_dtls_settings *settings)
{
	switch (settings->version) {
	case VE_DTLS_12:
		return NULL;
	case VE_DTLS_10:
		return settings->mode == VE_DTLS_CERTIFICATE ? NULL : "version: 1.0 is for certificates";
	case VE_DTLS_CISCO:
		return settings->mode == VE_DTLS_RESUME && !settings->server ? NULL : "version: 0.9 is for clients that resume";
	default:
		return "version: want 0xfefd, 0xfeff or 0x0100";
	}
}

static const char *wrong(const struct ve_dtls_settings *settings)
{
	const char *fault = wrong_version(settings);

	if (settings->mode != VE_DTLS_PSK && settings->mode != VE_DTLS_RESUME && settings->mode != VE_DTLS_CERTIFICATE)
		return "mode: want a pre-shared key, a resumption or certificates";
	if (!fault)
		fault = settings->mode == VE_DTLS_CERTIFICATE ? wrong_certificates(settings) : wrong_secrets(settings);
	if (fault)
		return fault;
	if (settings->mtu < LEAST_MTU || settings->mtu > MOST_MTU)
		return "mtu: want 256..16384 bytes";
	if (!settings->ciphers || !*settings->ciphers)
		return "ciphers: want at least one";
	if (!settings->retransmit_ms || settings->retransmit_most_ms < settings->retransmit_ms ||
	    settings->retransmit_most_ms > 60000)
		return "retransmission: want 1..60000 ms";
	return NULL;
}

static void keep(struct ve_dtls *dtls, const struct ve_dtls_settings *settings)
{
	dtls->server = settings->server != 0;
	dtls->mode = settings->mode;
	dtls->version = settings->version;
	dtls->retransmit_ms = settings->retransmit_ms;
	dtls->retransmit_most_ms = settings->retransmit_most_ms;
	if (settings->secret_length)
		memcpy(dtls->secret, settings->secret, settings->secret_length);
	dtls->secret_length = settings->secret_length;
	if (settings->session_id_length)
		memcpy(dtls->session_id, settings->session_id, settings->session_id_length);
	dtls->session_id_length = settings->session_id_length;
	if (settings->identity)
		memcpy(dtls->identity, settings->identity, strlen(settings->identity) + 1);
}

static int set_context(SSL_CTX *context, const struct ve_dtls_settings *settings)
{
	if (settings->mode == VE_DTLS_RESUME)
		SSL_CTX_set_options(context, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_NO_EXTENDED_MASTER_SECRET);
	SSL_CTX_set_security_level(context, settings->version == VE_DTLS_CISCO ? 0 : SECURITY_LEVEL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_get_cb(context, on_lookup);
	if (!settings->server)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(context, on_certificate, NULL);
	SSL_CTX_set_psk_client_callback(context, on_client_key);
	SSL_CTX_set_psk_server_callback(context, on_server_key);
	return SSL_CTX_set_min_proto_version(context, settings->version) &&
	       SSL_CTX_set_max_proto_version(context, settings->version) &&
	       SSL_CTX_set_ciphersuites(context, "");		/* TLS 1.3's would come first in the list */
}

/* libssl passes over names that it does not know, as long as one is left. */
static int all_known(SSL *ssl, const char *ciphers)
{
	int names = 1;

	for (; *ciphers; ciphers++)
		names += *ciphers == ':';
	if (sk_SSL_CIPHER_num(SSL_get_ciphers(ssl)) == names)
		return 1;
	ERR_raise(ERR_LIB_SSL, SSL_R_UNKNOWN_CIPHER_TYPE);
	return 0;
}

static int set_connection(struct ve_dtls *dtls, SSL_CTX *context, const struct ve_dtls_settings *settings)
{
	BIO *bio;

	dtls->ssl = SSL_new(context);
	dtls->method = dtls_pipe_method();
	if (!dtls->ssl || !dtls->method || !(bio = dtls_pipe_bio(dtls->method, &dtls->pipe)))
		return 0;
	SSL_set_bio(dtls->ssl, bio, bio);
	SSL_set_app_data(dtls->ssl, dtls);
	/* Without encrypt-then-MAC: with it libssl 3.0 ends the association at the first forged record. */
	SSL_set_options(dtls->ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION |
				   SSL_OP_NO_ENCRYPT_THEN_MAC);
	SSL_set_msg_callback(dtls->ssl, on_message);
	SSL_set_read_ahead(dtls->ssl, 1);
	DTLS_set_timer_cb(dtls->ssl, on_timer);
	if (dtls->server)
		SSL_set_accept_state(dtls->ssl);
	else
		SSL_set_connect_state(dtls->ssl);
	return SSL_set_cipher_list(dtls->ssl, settings->ciphers) && all_known(dtls->ssl, settings->ciphers) &&
	       (dtls->mode != VE_DTLS_CERTIFICATE || dtls_certificate_set(dtls, settings->context)) &&
	       SSL_set_mtu(dtls->ssl, (long)settings->mtu) && (!dtls->session_id_length || forge_session(dtls));
}

/* Held by the caller; NULL: libssl failed. */
static SSL_CTX *context_of(const struct ve_dtls *dtls, const struct ve_dtls_settings *settings)
{
	SSL_CTX *context;

	if (dtls->mode == VE_DTLS_CERTIFICATE)
		return SSL_CTX_up_ref(settings->context->ssl) ? settings->context->ssl : NULL;
	context = SSL_CTX_new(dtls->server ? DTLS_server_method() : DTLS_client_method());
	if (context && set_context(context, settings))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

int dtls_set_up(struct ve_dtls *dtls, const struct ve_dtls_settings *settings, char *err, size_t err_size)
{
	const char *fault = wrong(settings);
	SSL_CTX *context;
	int done;

	if (fault) {
		snprintf(err, err_size, "dtls %s", fault);
		return 0;
	}
	keep(dtls, settings);
	ERR_clear_error();
	context = context_of(dtls, settings);
	done = context && set_connection(dtls, context, settings);
	if (!done)
		tls_error_text(err, err_size, "dtls");
	else if (dtls->mode == VE_DTLS_CERTIFICATE && !dtls->server)
		done = tls_names(dtls->ssl, settings->server_name, settings->verify_name, err, err_size);
	SSL_CTX_free(context);	/* the connection holds it */
	return done;
}
