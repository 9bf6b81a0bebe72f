/*
 * own.h: a certificate of our own for a server, signed by itself, made anew each time.
 */
#ifndef VPN_TEST_OWN_H
#define VPN_TEST_OWN_H

#include "tls_internal.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "check.h"

struct own {
	X509 *certificate;
	EVP_PKEY *key;
};

static inline struct own make_own(EVP_PKEY *key)
{
	struct own own = {X509_new(), key};

	CHECK(own.certificate && own.key && X509_set_version(own.certificate, 2));
	CHECK(X509_set_pubkey(own.certificate, own.key));
	X509_gmtime_adj(X509_getm_notBefore(own.certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(own.certificate), 3600);
	ASN1_INTEGER_set(X509_get_serialNumber(own.certificate), 1);
	CHECK(X509_sign(own.certificate, own.key, EVP_sha256()) > 0);
	return own;
}

static inline void free_own(struct own own)
{
	X509_free(own.certificate);
	EVP_PKEY_free(own.key);
}

/* key: of the certificate, taken. */
static inline void identify_with(struct ve_tls_context *context, EVP_PKEY *key)
{
	struct own own = make_own(key);
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(own.key);
	uint8_t *leaf = NULL, *pkcs8 = NULL;
	int leaf_length = i2d_X509(own.certificate, &leaf), key_length = i2d_PKCS8_PRIV_KEY_INFO(info, &pkcs8);

	CHECK(ve_tls_context_identity(context, leaf, (size_t)leaf_length, pkcs8, (size_t)key_length) == VE_OK);
	OPENSSL_free(leaf);
	OPENSSL_free(pkcs8);
	PKCS8_PRIV_KEY_INFO_free(info);
	free_own(own);
}

static inline void identify(struct ve_tls_context *context)
{
	identify_with(context, EVP_EC_gen("P-256"));
}

#endif
