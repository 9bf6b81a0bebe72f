/*
 * raw.c: the cryptography of ESP by libcrypto alone.  See raw.h.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "raw.h"

#include "device.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { FIXED = 8, GCM_IV = 8, GCM_TAG = 16, CBC_IV = 16, SALT = 4, BLOCK = 64, DIGEST = 32 };

static const struct {
	uint8_t code;
	const char *name;
	size_t key;
	int aead;
} ciphers[] = {
	{2, "AES-128-CBC", 16, 0}, {5, "AES-256-CBC", 32, 0}, {32, "AES-128-GCM", 16, 1}, {33, "AES-256-GCM", 32, 1},
};

union state {
	MD5_CTX md5;
	SHA_CTX sha1;
	SHA256_CTX sha256;
};

static int md5_init(void *state) { return MD5_Init(state); }
static int md5_update(void *state, const void *data, size_t n) { return MD5_Update(state, data, n); }
static int md5_final(uint8_t *out, void *state) { return MD5_Final(out, state); }
static int sha1_init(void *state) { return SHA1_Init(state); }
static int sha1_update(void *state, const void *data, size_t n) { return SHA1_Update(state, data, n); }
static int sha1_final(uint8_t *out, void *state) { return SHA1_Final(out, state); }
static int sha256_init(void *state) { return SHA256_Init(state); }
static int sha256_update(void *state, const void *data, size_t n) { return SHA256_Update(state, data, n); }
static int sha256_final(uint8_t *out, void *state) { return SHA256_Final(out, state); }

static const struct digest {
	int (*init)(void *state);
	int (*update)(void *state, const void *data, size_t n);
	int (*final)(uint8_t *out, void *state);
	size_t key, digest, icv;	/* bytes */
} digests[] = {
	{.icv = GCM_TAG},
	{md5_init, md5_update, md5_final, 16, 16, 12},
	{sha1_init, sha1_update, sha1_final, 20, 20, 12},
	{sha256_init, sha256_update, sha256_final, 32, 32, 16},
};

struct raw {
	EVP_CIPHER_CTX *seal, *open;
	const struct digest *digest;
	union state inner, outer;	/* behind the key's block */
	int aead;
	size_t iv, icv;
	uint8_t nonce[16];	/* GCM: salt and number; CBC: the last IV */
	uint64_t number;
};

static EVP_CIPHER_CTX *keyed(const char *name, const uint8_t *key, int encrypt)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	if (!cipher || !context || !EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypt) ||
	    !EVP_CIPHER_CTX_set_padding(context, 0))
		fail("raw: libcrypto cannot do %s", name);
	EVP_CIPHER_free(cipher);
	return context;
}

static void keyed_digest(const struct digest *digest, union state *state, const uint8_t *key, uint8_t pad)
{
	uint8_t block[BLOCK];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < digest->key; i++)
		block[i] ^= key[i];
	if (!digest->init(state) || !digest->update(state, block, sizeof(block)))
		fail("raw: libcrypto cannot do the HMAC");
}

struct raw *raw_new(const uint8_t *sa, size_t length)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	const uint8_t *key = sa + FIXED;
	size_t i = 0;

	while (i < 4 && ciphers[i].code != sa[0])
		i++;
	if (!raw || i == 4 || sa[1] > 3 || length < FIXED + ciphers[i].key + digests[sa[1]].key)
		fail("raw: no such security association");
	raw->aead = ciphers[i].aead;
	raw->iv = raw->aead ? GCM_IV : CBC_IV;
	raw->digest = &digests[sa[1]];
	raw->icv = raw->digest->icv;
	raw->seal = keyed(ciphers[i].name, key, 1);
	raw->open = keyed(ciphers[i].name, key, 0);
	key += ciphers[i].key;
	if (raw->aead) {
		memcpy(raw->nonce, key, SALT);
	} else {
		keyed_digest(raw->digest, &raw->inner, key, 0x36);
		keyed_digest(raw->digest, &raw->outer, key, 0x5c);
	}
	return raw;
}

void raw_free(struct raw *raw)
{
	EVP_CIPHER_CTX_free(raw->seal);
	EVP_CIPHER_CTX_free(raw->open);
	free(raw);
}

size_t raw_overhead(const struct raw *raw)
{
	return FIXED + raw->iv + raw->icv;
}

static int hmac(const struct raw *raw, const uint8_t *data, size_t length, uint8_t *out)
{
	const struct digest *digest = raw->digest;
	union state state = raw->inner;

	if (!digest->update(&state, data, length) || !digest->final(out, &state))
		return 0;
	state = raw->outer;
	return digest->update(&state, out, digest->digest) && digest->final(out, &state);
}

void raw_open(struct raw *raw, const uint8_t *wire, size_t length, uint8_t *out)
{
	const uint8_t *iv = wire + FIXED, *body = iv + raw->iv, *icv = wire + length - raw->icv;
	int size = (int)(length - raw_overhead(raw)), n, good;
	uint8_t digest[DIGEST], nonce[SALT + GCM_IV];

	if (raw->aead) {
		memcpy(nonce, raw->nonce, SALT);
		memcpy(nonce + SALT, iv, GCM_IV);
		memcpy(digest, icv, GCM_TAG);
		good = EVP_CipherInit_ex(raw->open, NULL, NULL, NULL, nonce, -1) &&
		       EVP_CipherUpdate(raw->open, NULL, &n, wire, FIXED) &&
		       EVP_CipherUpdate(raw->open, out, &n, body, size) &&
		       EVP_CIPHER_CTX_ctrl(raw->open, EVP_CTRL_AEAD_SET_TAG, GCM_TAG, digest) &&
		       EVP_CipherFinal_ex(raw->open, out + size, &n);
	} else {
		good = hmac(raw, wire, length - raw->icv, digest) && !CRYPTO_memcmp(digest, icv, raw->icv) &&
		       EVP_CipherInit_ex(raw->open, NULL, NULL, NULL, iv, -1) &&
		       EVP_CipherUpdate(raw->open, out, &n, body, size);
	}
	if (!good)
		fail("raw: a packet did not open");
}

void raw_seal(struct raw *raw, const uint8_t *plain, size_t length, uint8_t *wire)
{
	uint8_t *iv = wire + FIXED, *body = iv + raw->iv, digest[DIGEST];
	int n, good;

	raw->number++;
	memcpy(raw->nonce + SALT, &raw->number, sizeof(raw->number));
	memcpy(wire, &raw->number, FIXED);
	memcpy(iv, raw->aead ? raw->nonce + SALT : raw->nonce, raw->iv);
	good = EVP_CipherInit_ex(raw->seal, NULL, NULL, NULL, raw->aead ? raw->nonce : iv, -1) &&
	       (!raw->aead || EVP_CipherUpdate(raw->seal, NULL, &n, wire, FIXED)) &&
	       EVP_CipherUpdate(raw->seal, body, &n, plain, (int)length);
	if (raw->aead) {
		good = good && EVP_CipherFinal_ex(raw->seal, body + length, &n) &&
		       EVP_CIPHER_CTX_ctrl(raw->seal, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, body + length);
	} else {
		good = good && hmac(raw, wire, FIXED + raw->iv + length, digest);
		memcpy(body + length, digest, raw->icv);
	}
	if (!good)
		fail("raw: a packet was not sealed");
}
