/*
 * tls13_keys.c: see tls13_keys.h.  Once a connection and once a KeyUpdate, so libcrypto's own key derivation does.
 * Source: RFC 8446 sections 7.1 to 7.3.
 */
#include "tls13_keys.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <string.h>

static const struct tls13_suite suites[] = {
	{0x1301, NID_aes_128_gcm, "SHA2-256", 32},
	{0x1302, NID_aes_256_gcm, "SHA2-384", 48},
	{0x1303, NID_chacha20_poly1305, "SHA2-256", 32},
};

const struct tls13_suite *tls13_suite(unsigned int id)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

int tls13_expand(const struct tls13_suite *suite, const uint8_t *secret, const char *label, uint8_t *out, size_t length)
{
	static char prefix[] = "tls13 ";
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY, done;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)suite->digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, suite->secret),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, sizeof(prefix) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	done = context && EVP_KDF_derive(context, out, length, params) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return done;
}
