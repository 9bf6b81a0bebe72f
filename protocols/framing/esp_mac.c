/*
 * esp_mac.c: the truncated HMACs of ESP, keyed once.
 *
 * On libcrypto's plain digest functions, which OpenSSL 3 calls deprecated, for three reasons: a keyed state is copied by an
 * assignment (EVP_MAC, and EVP_MD_CTX_copy_ex, allocate twice a packet), short packets cost less than half, and
 * HMAC-MD5-96 works where the system's policy disables MD5 for other uses, as gateways need.
 * No I/O or allocation.  Keys are 16 to 32 bytes, less than a block of the digest.
 * Source: ESP notes, section 2; RFC 2104.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "esp_mac.h"

#include <openssl/crypto.h>
#include <string.h>

enum { BLOCK = 64 };	/* bytes, of all three */

static const struct {
	size_t key, icv;
} sizes[] = {
	[VE_ESP_MAC_NONE] = {0, 0},
	[VE_ESP_MAC_MD5] = {16, 12},
	[VE_ESP_MAC_SHA1] = {20, 12},
	[VE_ESP_MAC_SHA256] = {32, 16},
};

size_t ve_esp_mac_key(unsigned int kind)
{
	return kind < sizeof(sizes) / sizeof(sizes[0]) ? sizes[kind].key : 0;
}

size_t ve_esp_mac_icv(unsigned int kind)
{
	return kind < sizeof(sizes) / sizeof(sizes[0]) ? sizes[kind].icv : 0;
}

static void absorb(union ve_esp_hash *hash, enum ve_esp_mac_kind kind, const uint8_t *data, size_t length)
{
	switch (kind) {
	case VE_ESP_MAC_MD5:
		MD5_Update(&hash->md5, data, length);
		break;
	case VE_ESP_MAC_SHA1:
		SHA1_Update(&hash->sha1, data, length);
		break;
	case VE_ESP_MAC_SHA256:
		SHA256_Update(&hash->sha256, data, length);
		break;
	case VE_ESP_MAC_NONE:
		break;
	}
}

/* Bytes of digest. */
static size_t finish(union ve_esp_hash *hash, enum ve_esp_mac_kind kind, uint8_t out[VE_ESP_DIGEST])
{
	switch (kind) {
	case VE_ESP_MAC_MD5:
		MD5_Final(out, &hash->md5);
		return MD5_DIGEST_LENGTH;
	case VE_ESP_MAC_SHA1:
		SHA1_Final(out, &hash->sha1);
		return SHA_DIGEST_LENGTH;
	case VE_ESP_MAC_SHA256:
		SHA256_Final(out, &hash->sha256);
		return SHA256_DIGEST_LENGTH;
	case VE_ESP_MAC_NONE:
		break;
	}
	return 0;
}

static void begin(union ve_esp_hash *hash, enum ve_esp_mac_kind kind, const uint8_t *key, uint8_t pad)
{
	size_t length = ve_esp_mac_key(kind);
	uint8_t block[BLOCK];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < length; i++)
		block[i] ^= key[i];
	if (kind == VE_ESP_MAC_MD5)
		MD5_Init(&hash->md5);
	else if (kind == VE_ESP_MAC_SHA1)
		SHA1_Init(&hash->sha1);
	else if (kind == VE_ESP_MAC_SHA256)
		SHA256_Init(&hash->sha256);
	absorb(hash, kind, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
}

void ve_esp_mac_init(struct ve_esp_mac *mac, enum ve_esp_mac_kind kind, const uint8_t *key)
{
	mac->kind = kind;
	begin(&mac->inner, kind, key, 0x36);
	begin(&mac->outer, kind, key, 0x5c);
}

void ve_esp_mac(const struct ve_esp_mac *mac, const uint8_t *data, size_t length, uint8_t out[VE_ESP_DIGEST])
{
	union ve_esp_hash hash = mac->inner;
	size_t digest;

	absorb(&hash, mac->kind, data, length);
	digest = finish(&hash, mac->kind, out);
	hash = mac->outer;
	absorb(&hash, mac->kind, out, digest);
	finish(&hash, mac->kind, out);
	OPENSSL_cleanse(&hash, sizeof(hash));
}
