/*
 * aead.h: the ciphers of our own record layers, DTLS 1.2 and TLS 1.3, as keyed contexts of libcrypto.  Internal.
 */
#ifndef VPN_AEAD_H
#define VPN_AEAD_H

#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <stddef.h>
#include <stdint.h>

enum {	/* bytes */
	AEAD_KEY = 32,			/* at most */
	AEAD_NONCE = 12,
	AEAD_TAG = 16
};

struct aead_suite {
	int cipher;			/* NID_aes_128_gcm, NID_aes_256_gcm, NID_chacha20_poly1305 */
	const char *name;
	size_t key;			/* bytes */
};

const struct aead_suite *aead_find(int cipher);	/* NULL: none of ours */
/* A context with this key, which libcrypto wipes when it is freed; NULL: libcrypto failed. */
EVP_CIPHER_CTX *aead_keyed(const struct aead_suite *suite, const uint8_t *key, int encrypt);

/* Numbers of records, big-endian. */
static inline void aead_put16(uint8_t *out, size_t number)
{
	out[0] = (uint8_t)(number >> 8);
	out[1] = (uint8_t)number;
}

static inline void aead_put64(uint8_t *out, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(number >> (56 - 8 * i));
}

#endif
