/*
 * tls_context.c: what many connections share: versions, trust, own certificate.  No I/O but reading the trust store.
 *
 * Sessions are never resumed and no tickets are used: channel binding needs full handshakes, and a certificate is
 * judged on every connection.
 */
#include "tls_internal.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CHAIN_BYTES ((long)VE_TLS_CHAIN * VE_TLS_CERTIFICATE)
/* A peer in DTLS makes libssl set aside as much by one datagram, and for several messages. */
#define MAX_DATAGRAM_CHAIN_BYTES ((long)128 * 1024)

void tls_error_text(char *out, size_t size, const char *doing)
{
	size_t used = (size_t)snprintf(out, size, "%s", doing);
	const char *separator = ": ";
	unsigned long code;

	while ((code = ERR_get_error()) != 0) {		/* to the end: nothing may stay in the queue */
		const char *reason = ERR_reason_error_string(code);
		char number[32];

		snprintf(number, sizeof(number), "error %lx", code);
		if (used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", separator, reason ? reason : number);
		separator = "; ";
	}
	if (*separator == ':' && used < size)
		snprintf(out + used, size - used, ": unusable");
	for (; *out; out++)
		*out = (char)tolower((unsigned char)*out);
}

/* Record the failure of `doing`; returns VE_ERROR. */
static int failed(struct ve_tls_context *context, const char *doing)
{
	tls_error_text(context->error, sizeof(context->error), doing);
	return VE_ERROR;
}

/* What is of one kind alone: TLS is watched for its keys, DTLS has no renegotiation and no TLS 1.3. */
static int set_kind(struct ve_tls_context *context)
{
	SSL_CTX_set_max_cert_list(context->ssl, context->datagrams ? MAX_DATAGRAM_CHAIN_BYTES : MAX_CHAIN_BYTES);
	if (context->datagrams)
		return SSL_CTX_set_ciphersuites(context->ssl, "");
	if (context->server)	/* OpenSSL 3 refuses a client's renegotiation unless told so; the lab's clients rekey with it. */
		SSL_CTX_set_options(context->ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
	tls_watch_set(context->ssl);
	return 1;
}

static const SSL_METHOD *method_of(int server, int datagrams)
{
	if (datagrams)
		return server ? DTLS_server_method() : DTLS_client_method();
	return server ? TLS_server_method() : TLS_client_method();
}

struct ve_tls_context *ve_tls_context_new(int server, int datagrams, char *err, size_t err_size)
{
	struct ve_tls_context *context = calloc(1, sizeof(*context));

	ERR_clear_error();
	if (context) {
		context->server = server != 0;
		context->datagrams = datagrams != 0;
		context->ssl = SSL_CTX_new(method_of(server, datagrams));
	}
	if (!context || !context->ssl || !set_kind(context)) {
		tls_error_text(err, err_size, "tls context");
		ve_tls_context_free(context);
		return NULL;
	}
	if (server) {
		SSL_CTX_set_options(context->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
		SSL_CTX_set_num_tickets(context->ssl, 0);
		SSL_CTX_set_dh_auto(context->ssl, 1);
		SSL_CTX_set_session_id_context(context->ssl, (const unsigned char *)"ve", 2);
	}
	SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_clear_options(context->ssl, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_cert_verify_callback(context->ssl, tls_verify, NULL);
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	SSL_CTX_clear_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
	/* A trusted certificate ends a chain even if it is not self-signed: a CA file may hold an intermediate. */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	return context;
}

void ve_tls_context_free(struct ve_tls_context *context)
{
	if (!context)
		return;
	SSL_CTX_free(context->ssl);
	free(context);
}

int ve_tls_context_versions(struct ve_tls_context *context, int min, int max)
{
	ERR_clear_error();
	if (SSL_CTX_set_min_proto_version(context->ssl, min) && SSL_CTX_set_max_proto_version(context->ssl, max))
		return VE_OK;
	return failed(context, "tls versions");
}

int ve_tls_context_ciphers(struct ve_tls_context *context, const char *list)
{
	ERR_clear_error();
	return SSL_CTX_set_cipher_list(context->ssl, list) ? VE_OK : failed(context, "cipher list");
}

int ve_tls_context_system_trust(struct ve_tls_context *context)
{
	ERR_clear_error();
	return SSL_CTX_set_default_verify_paths(context->ssl) ? VE_OK : failed(context, "system trust");
}

/* The certificate that fills `length` bytes exactly, or NULL. */
static X509 *parse(const uint8_t *der, size_t length)
{
	const unsigned char *at = der;
	X509 *certificate;

	ERR_clear_error();
	if (length > VE_TLS_CERTIFICATE)
		return NULL;
	certificate = d2i_X509(NULL, &at, (long)length);
	if (certificate && at != der + length) {
		X509_free(certificate);
		return NULL;
	}
	return certificate;
}

int ve_tls_context_add_ca(struct ve_tls_context *context, const uint8_t *der, size_t length)
{
	X509 *ca = parse(der, length);
	int ok = ca && X509_STORE_add_cert(SSL_CTX_get_cert_store(context->ssl), ca);

	if (ok && context->server) {
		ok = SSL_CTX_add_client_CA(context->ssl, ca);
		context->any_client = 0;
	}
	X509_free(ca);
	return ok ? VE_OK : failed(context, "ca certificate");
}

int ve_tls_context_identity(struct ve_tls_context *context, const uint8_t *certificate, size_t certificate_length,
			    const uint8_t *key, size_t key_length)
{
	const unsigned char *at = key;
	X509 *leaf = parse(certificate, certificate_length);
	EVP_PKEY *pkey;
	int ok;

	if (!leaf)
		return failed(context, "own certificate");
	pkey = d2i_AutoPrivateKey(NULL, &at, (long)key_length);
	if (!pkey) {
		X509_free(leaf);
		return failed(context, "own key");
	}
	ok = SSL_CTX_use_certificate(context->ssl, leaf) && SSL_CTX_use_PrivateKey(context->ssl, pkey) &&
	     SSL_CTX_check_private_key(context->ssl);
	X509_free(leaf);
	EVP_PKEY_free(pkey);
	return ok ? VE_OK : failed(context, "own certificate and key");
}

int ve_tls_context_add_chain(struct ve_tls_context *context, const uint8_t *der, size_t length)
{
	X509 *certificate = parse(der, length);
	int ok = certificate && SSL_CTX_add1_chain_cert(context->ssl, certificate);

	X509_free(certificate);
	return ok ? VE_OK : failed(context, "own certificate chain");
}

int ve_tls_context_ask_client(struct ve_tls_context *context, int required)
{
	const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(context->ssl);

	if (!context->server) {
		snprintf(context->error, sizeof(context->error), "ask client: not a server context");
		return VE_ERROR;
	}
	context->any_client = !names || sk_X509_NAME_num(names) == 0;
	SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return VE_OK;
}

const char *ve_tls_context_error(const struct ve_tls_context *context)
{
	return context->error;
}
