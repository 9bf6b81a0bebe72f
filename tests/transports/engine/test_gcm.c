/*
 * test_gcm.c: AES-GCM by the multi-buffer library is libcrypto's, bit for bit; where the engine was built without it, there
 * are no keys.
 */
#include "gcm.h"

#include "check.h"

#include <openssl/evp.h>

enum { MOST = 16384 + 1, AAD = 13 };

static uint8_t plain[MOST], want[MOST + GCM_TAG], got[MOST + GCM_TAG];
static const uint8_t nonce[GCM_NONCE] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
static const uint8_t aad[AAD] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

#ifdef VE_IPSEC_MB

static uint8_t key[32];

static void by_libcrypto(size_t key_length, size_t aad_length, size_t length)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int n;

	CHECK(context && EVP_EncryptInit_ex(context, key_length == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm(), NULL, key, nonce));
	CHECK(!aad_length || EVP_EncryptUpdate(context, NULL, &n, aad, (int)aad_length));
	CHECK(!length || EVP_EncryptUpdate(context, want, &n, plain, (int)length));
	CHECK(EVP_EncryptFinal_ex(context, want + length, &n));
	CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, want + length));
	EVP_CIPHER_CTX_free(context);
}

static void compare(const struct gcm_key *k, size_t key_length, size_t aad_length, size_t length)
{
	by_libcrypto(key_length, aad_length, length);
	memset(got, 0, sizeof(got));
	gcm_seal(k, nonce, aad, aad_length, plain, length, NULL, got);
	CHECK(!memcmp(got, want, length + GCM_TAG));
	if (length) {		/* the last byte from elsewhere */
		memset(got, 0, sizeof(got));
		gcm_seal(k, nonce, aad, aad_length, plain, length - 1, plain + length - 1, got);
		CHECK(!memcmp(got, want, length + GCM_TAG));
	}
	memcpy(got, plain, length);	/* in place */
	gcm_seal(k, nonce, aad, aad_length, got, length, NULL, got);
	CHECK(!memcmp(got, want, length + GCM_TAG));
	CHECK(gcm_open(k, nonce, aad, aad_length, got, length) && !memcmp(got, plain, length));
	memcpy(got, want, length + GCM_TAG);
	got[length / 2] ^= 0x10;
	CHECK(!gcm_open(k, nonce, aad, aad_length, got, length));
}

static void test_every_length(size_t key_length)
{
	struct gcm_key *k = gcm_key_new(key, key_length);

	CHECK(k);
	for (size_t length = 0; length < 600; length++)
		compare(k, key_length, length % (AAD + 1), length);
	for (size_t length = MOST - 300; length <= MOST; length += 7)
		compare(k, key_length, 5, length);
	gcm_key_free(k);
}

static void test_refusals(void)
{
	CHECK(!gcm_key_new(key, 24) && !gcm_key_new(key, 0));
	gcm_allow(0);
	CHECK(!gcm_key_new(key, 16));
	gcm_allow(1);
	gcm_key_free(NULL);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7 + (i >> 8));
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(0xa0 + i);
	test_every_length(16);
	test_every_length(32);
	test_refusals();
	return 0;
}

#else

int main(void)
{
	uint8_t key[16] = {0};

	(void)want;
	CHECK(!gcm_key_new(key, sizeof(key)));
	CHECK(!gcm_open(NULL, nonce, aad, sizeof(aad), got, 0));
	gcm_seal(NULL, nonce, aad, sizeof(aad), plain, 0, NULL, got);
	gcm_key_free(NULL);
	gcm_allow(1);
	return 0;
}

#endif
