/*
 * tls_verify.c: is the peer's certificate good?
 *
 * A client's chain and name are verified when the certificate comes, all faults are noted, and the handshake is parked
 * for ve_tls_trust: NEW -> PARKED -> ACCEPTED or REFUSED.  No judgement here: pins and people are the caller's.
 */
#include "tls_internal.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static struct ve_tls *owner(X509_STORE_CTX *store)
{
	return SSL_get_app_data(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* Notes every fault and lets verification go on, so that a person can be told all of them. */
static int note_fault(int ok, X509_STORE_CTX *store)
{
	struct ve_tls *tls = owner(store);
	int fault = X509_STORE_CTX_get_error(store);

	if (ok)
		return 1;
	for (int i = 0; i < tls->fault_count; i++)
		if (tls->faults[i] == fault)
			return 1;
	if (tls->fault_count == 0)
		tls->fault_depth = X509_STORE_CTX_get_error_depth(store);
	if (tls->fault_count == TLS_FAULTS)
		return 0;
	tls->faults[tls->fault_count++] = fault;
	return 1;
}

static int refuse(struct ve_tls *tls, X509_STORE_CTX *store, int fault, const char *text)
{
	tls->trust = REFUSED;
	snprintf(tls->error, sizeof(tls->error), "%s", text);
	X509_STORE_CTX_set_error(store, fault);
	return 0;
}

/* First certificate of a client connection: verify, remember it, park.  1: parked, 0: refused at once. */
static int verify_first(struct ve_tls *tls, X509_STORE_CTX *store)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	unsigned char *der = NULL;
	int length = leaf ? i2d_X509(leaf, &der) : -1;

	if (length <= 0 || length > VE_TLS_CERTIFICATE) {
		OPENSSL_free(der);
		return refuse(tls, store, X509_V_ERR_CERT_REJECTED, "certificate: unusable or over 65536 bytes");
	}
	tls->leaf = der;
	tls->leaf_length = (size_t)length;
	if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) > VE_TLS_CHAIN)
		return refuse(tls, store, X509_V_ERR_CERT_CHAIN_TOO_LONG, "certificate: a chain of more than 10");
	X509_STORE_CTX_set_verify_cb(store, note_fault);
	if (X509_verify_cert(store) <= 0 && tls->fault_count == 0) {
		int fault = X509_STORE_CTX_get_error(store);

		tls->faults[tls->fault_count++] = fault ? fault : X509_V_ERR_UNSPECIFIED;
	}
	tls->trust = PARKED;
	return SSL_set_retry_verify(tls->ssl);
}

static int same_leaf(const struct ve_tls *tls, X509 *leaf)
{
	unsigned char *der = NULL;
	int length = leaf ? i2d_X509(leaf, &der) : -1;
	int same = length > 0 && (size_t)length == tls->leaf_length && memcmp(der, tls->leaf, tls->leaf_length) == 0;

	OPENSSL_free(der);
	return same;
}

static int verify_client(struct ve_tls *tls, X509_STORE_CTX *store)
{
	int ok = tls->any_client || X509_verify_cert(store) > 0;

	if (!ok)
		return refuse(tls, store, X509_STORE_CTX_get_error(store), "client certificate refused");
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

int tls_verify(X509_STORE_CTX *store, void *unused)
{
	struct ve_tls *tls = owner(store);

	(void)unused;
	if (tls->server)
		return verify_client(tls, store);
	switch (tls->trust) {
	case NEW:
		return verify_first(tls, store);
	case PARKED:
		return SSL_set_retry_verify(tls->ssl);
	case ACCEPTED:
		if (!same_leaf(tls, X509_STORE_CTX_get0_cert(store)))
			return refuse(tls, store, X509_V_ERR_CERT_REJECTED,
				      "certificate: another one in a renegotiation, want the one accepted before");
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	case REFUSED:
		break;
	}
	return refuse(tls, store, tls->fault_count ? tls->faults[0] : X509_V_ERR_CERT_REJECTED, "certificate: refused");
}

int ve_tls_trust(struct ve_tls *tls, int accept)
{
	if (tls->trust != PARKED)
		return VE_ERROR;	/* no certificate waits to be judged */
	tls->trust = accept ? ACCEPTED : REFUSED;
	return VE_OK;
}

int ve_tls_verify_fault(const struct ve_tls *tls, size_t index)
{
	return index < (size_t)tls->fault_count ? tls->faults[index] : VE_EMPTY;
}
