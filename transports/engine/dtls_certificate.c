/*
 * dtls_certificate.c: handshakes with certificates: what waits while the caller judges, and the cookie of a server.
 *
 * A server answers a hello with a cookie and nothing else (HelloVerifyRequest, RFC 6347 section 4.2.1), until the cookie comes
 * back: so nobody makes us send a chain of certificates to an address that is not his.  It is a random number of this
 * association, as an association has one peer.  libssl keeps nothing of such a hello and answers each, so a cookie that is
 * lost costs a retransmission.  The association itself is there from the first datagram: who listens limits their number.
 *
 * A session is never resumed: a certificate is judged each time.
 */
#include "dtls_internal.h"

#include <openssl/rand.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(struct ve_dtls, judged) == 0, "app_data is a tls_judgement as well");

static int make_cookie(SSL *ssl, unsigned char *cookie, unsigned int *length)
{
	const struct ve_dtls *dtls = SSL_get_app_data(ssl);

	memcpy(cookie, dtls->cookie, DTLS_COOKIE);
	*length = DTLS_COOKIE;
	return 1;
}

static int is_cookie(SSL *ssl, const unsigned char *cookie, unsigned int length)
{
	const struct ve_dtls *dtls = SSL_get_app_data(ssl);

	return length == DTLS_COOKIE && CRYPTO_memcmp(cookie, dtls->cookie, DTLS_COOKIE) == 0;
}

int dtls_certificate_set(struct ve_dtls *dtls, struct ve_tls_context *context)
{
	dtls->judged.any_client = context->any_client;
	if (dtls->version == VE_DTLS_10)
		SSL_set_security_level(dtls->ssl, 0);	/* its signatures are of MD5 and SHA-1; tls_verify keeps the level for certificates */
	if (dtls->server) {
		dtls->listening = 1;
		SSL_CTX_set_cookie_generate_cb(context->ssl, make_cookie);
		SSL_CTX_set_cookie_verify_cb(context->ssl, is_cookie);
		if (RAND_bytes(dtls->cookie, DTLS_COOKIE) != 1)
			return 0;
	} else {
		SSL_set_verify(dtls->ssl, SSL_VERIFY_PEER, NULL);
	}
	return SSL_set_min_proto_version(dtls->ssl, dtls->version) && SSL_set_max_proto_version(dtls->ssl, dtls->version);
}

int dtls_listen(struct ve_dtls *dtls)
{
	BIO_ADDR *nobody = BIO_ADDR_new();	/* the datagrams are moved by the caller */
	int result = nobody ? DTLSv1_listen(dtls->ssl, nobody) : -1;

	BIO_ADDR_free(nobody);
	if (result > 0)
		dtls->listening = 0;
	return result > 0 ? 1 : result;
}

void dtls_keep_rest(struct ve_dtls *dtls, const uint8_t *rest, size_t length)
{
	dtls->rest = length ? malloc(length) : NULL;
	if (!dtls->rest)
		return;		/* no memory: the peer sends it again */
	memcpy(dtls->rest, rest, length);
	dtls->rest_length = length;
}

int ve_dtls_trust(struct ve_dtls *dtls, int accept)
{
	int result;

	if (dtls->state != SHAKING || tls_judge(&dtls->judged, accept) != VE_OK)
		return VE_ERROR;
	result = dtls_step(dtls);	/* libssl asks again */
	if (result == VE_WANT_READ && dtls->rest)
		result = ve_dtls_feed(dtls, dtls->rest, dtls->rest_length);
	free(dtls->rest);
	dtls->rest = NULL;
	return result;
}

int ve_dtls_verify_fault(const struct ve_dtls *dtls, size_t index)
{
	return tls_fault(&dtls->judged, index);
}

int ve_dtls_peer_certificate(const struct ve_dtls *dtls, uint8_t *out, size_t size)
{
	if (!dtls->judged.leaf)
		return VE_EMPTY;
	if (dtls->judged.leaf_length > size)
		return VE_FULL;
	memcpy(out, dtls->judged.leaf, dtls->judged.leaf_length);
	return (int)dtls->judged.leaf_length;
}
