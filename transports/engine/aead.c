/*
 * aead.c: see aead.h.  No records, no nonces: how those are made differs between DTLS 1.2 and TLS 1.3.
 */
#include "aead.h"

static const struct aead_suite suites[] = {
	{NID_aes_128_gcm, "AES-128-GCM", 16},
	{NID_aes_256_gcm, "AES-256-GCM", 32},
	{NID_chacha20_poly1305, "ChaCha20-Poly1305", 32},
};

const struct aead_suite *aead_find(int cipher)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (suites[i].cipher == cipher)
			return &suites[i];
	return NULL;
}

EVP_CIPHER_CTX *aead_keyed(const struct aead_suite *suite, const uint8_t *key, int encrypt)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suite->name, NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	if (!cipher || !context || EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypt) != 1) {
		EVP_CIPHER_CTX_free(context);
		context = NULL;
	}
	EVP_CIPHER_free(cipher);	/* the context holds one of its own */
	return context;
}
