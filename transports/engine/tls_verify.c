/*
 * tls_verify.c: is the peer's certificate good?  For TLS and for DTLS.
 *
 * A client's chain and name are verified when the certificate comes, all faults are noted, and the handshake is parked
 * for ve_tls_trust or ve_dtls_trust: NEW -> PARKED -> ACCEPTED or REFUSED.  No judgement here: pins and people are the
 * caller's.
 */
#include "tls_internal.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Static_assert(offsetof(struct ve_tls, judged) == 0, "app_data is a tls_judgement as well");

static SSL *connection(X509_STORE_CTX *store)
{
	return X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
}

/* Notes every fault and lets verification go on, so that a person can be told all of them. */
static int note_fault(int ok, X509_STORE_CTX *store)
{
	struct tls_judgement *judged = SSL_get_app_data(connection(store));
	int fault = X509_STORE_CTX_get_error(store);

	if (ok)
		return 1;
	for (int i = 0; i < judged->fault_count; i++)
		if (judged->faults[i] == fault)
			return 1;
	if (judged->fault_count == 0)
		judged->fault_depth = X509_STORE_CTX_get_error_depth(store);
	if (judged->fault_count == TLS_FAULTS)
		return 0;
	judged->faults[judged->fault_count++] = fault;
	return 1;
}

static int refuse(struct tls_judgement *judged, X509_STORE_CTX *store, int fault, const char *text)
{
	judged->trust = REFUSED;
	judged->refusal = text;
	X509_STORE_CTX_set_error(store, fault);
	return 0;
}

/* The leaf as DER, owned by the caller; NULL: unusable, or too large. */
static uint8_t *leaf_of(X509_STORE_CTX *store, size_t *size)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	unsigned char *der = NULL;
	int length = leaf ? i2d_X509(leaf, &der) : -1;

	*size = (size_t)length;
	if (length > 0 && length <= VE_TLS_CERTIFICATE)
		return der;
	OPENSSL_free(der);
	return NULL;
}

/* First certificate of a client connection: verify, remember it, park.  1: parked, 0: refused at once. */
static int verify_first(struct tls_judgement *judged, X509_STORE_CTX *store)
{
	judged->leaf = leaf_of(store, &judged->leaf_length);
	if (!judged->leaf)
		return refuse(judged, store, X509_V_ERR_CERT_REJECTED, "certificate: unusable or over 65536 bytes");
	if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) > VE_TLS_CHAIN)
		return refuse(judged, store, X509_V_ERR_CERT_CHAIN_TOO_LONG, "certificate: a chain of more than 10");
	X509_STORE_CTX_set_verify_cb(store, note_fault);
	if (X509_verify_cert(store) <= 0 && judged->fault_count == 0) {
		int fault = X509_STORE_CTX_get_error(store);

		judged->faults[judged->fault_count++] = fault ? fault : X509_V_ERR_UNSPECIFIED;
	}
	judged->trust = PARKED;
	return SSL_set_retry_verify(connection(store));
}

static int same_leaf(const struct tls_judgement *judged, X509_STORE_CTX *store)
{
	size_t length;
	uint8_t *der = leaf_of(store, &length);
	int same = der && length == judged->leaf_length && memcmp(der, judged->leaf, length) == 0;

	OPENSSL_free(der);
	return same;
}

static int verify_client(struct tls_judgement *judged, X509_STORE_CTX *store)
{
	int ok = judged->any_client || X509_verify_cert(store) > 0;

	if (!ok)
		return refuse(judged, store, X509_STORE_CTX_get_error(store), "client certificate refused");
	OPENSSL_free(judged->leaf);
	judged->leaf = leaf_of(store, &judged->leaf_length);
	if (!judged->leaf)
		return refuse(judged, store, X509_V_ERR_CERT_REJECTED, "client certificate: unusable or over 65536 bytes");
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

int tls_verify(X509_STORE_CTX *store, void *unused)
{
	SSL *ssl = connection(store);
	struct tls_judgement *judged = SSL_get_app_data(ssl);

	(void)unused;
	/* The context's, for DTLS 1.0 too: a level of 0 is for its handshake, a certificate is as good as for TLS or it is not. */
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store), SSL_CTX_get_security_level(SSL_get_SSL_CTX(ssl)));
	if (SSL_is_server(ssl))
		return verify_client(judged, store);
	switch (judged->trust) {
	case NEW:
		return verify_first(judged, store);
	case PARKED:
		return SSL_set_retry_verify(ssl);
	case ACCEPTED:
		if (!same_leaf(judged, store))
			return refuse(judged, store, X509_V_ERR_CERT_REJECTED,
				      "certificate: another one in a renegotiation, want the one accepted before");
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	case REFUSED:
		break;
	}
	return refuse(judged, store, judged->fault_count ? judged->faults[0] : X509_V_ERR_CERT_REJECTED, "certificate: refused");
}

int tls_names(SSL *ssl, const char *server_name, const char *verify_name, char *err, size_t err_size)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	uint8_t address[sizeof(struct in6_addr)];
	int done;

	/* A leading dot would make libssl match every name below it. */
	if (!verify_name || !*verify_name || *verify_name == '.') {
		snprintf(err, err_size, "tls: no name to verify");
		return 0;
	}
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (inet_pton(AF_INET, verify_name, address) == 1)
		done = X509_VERIFY_PARAM_set1_ip(param, address, 4);
	else if (inet_pton(AF_INET6, verify_name, address) == 1)
		done = X509_VERIFY_PARAM_set1_ip(param, address, 16);
	else
		done = X509_VERIFY_PARAM_set1_host(param, verify_name, 0);
	if (done && (!server_name || SSL_set_tlsext_host_name(ssl, server_name)))
		return 1;
	tls_error_text(err, err_size, "tls names");
	return 0;
}

int tls_judge(struct tls_judgement *judged, int accept)
{
	if (judged->trust != PARKED)
		return VE_ERROR;	/* no certificate waits to be judged */
	judged->trust = accept ? ACCEPTED : REFUSED;
	return VE_OK;
}

int tls_fault(const struct tls_judgement *judged, size_t index)
{
	return index < (size_t)judged->fault_count ? judged->faults[index] : VE_EMPTY;
}

void tls_judgement_clear(struct tls_judgement *judged)
{
	OPENSSL_free(judged->leaf);
	*judged = (struct tls_judgement){0};
}

int ve_tls_trust(struct ve_tls *tls, int accept)
{
	return tls_judge(&tls->judged, accept);
}

int ve_tls_verify_fault(const struct ve_tls *tls, size_t index)
{
	return tls_fault(&tls->judged, index);
}
