/*
 * esp_mac.h: the truncated HMACs of ESP, keyed once.
 */
#ifndef VPN_ESP_MAC_H
#define VPN_ESP_MAC_H

#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

#define VE_ESP_DIGEST 32	/* bytes: the longest digest, before it is cut */

enum ve_esp_mac_kind { VE_ESP_MAC_NONE = 0, VE_ESP_MAC_MD5 = 1, VE_ESP_MAC_SHA1 = 2, VE_ESP_MAC_SHA256 = 3 };

union ve_esp_hash {
	MD5_CTX md5;
	SHA_CTX sha1;
	SHA256_CTX sha256;
};

struct ve_esp_mac {
	enum ve_esp_mac_kind kind;
	union ve_esp_hash inner, outer;		/* after the key's block: what is secret */
};

size_t ve_esp_mac_key(unsigned int kind);	/* bytes of key; 0: no such kind, or none */
size_t ve_esp_mac_icv(unsigned int kind);	/* bytes of digest that are sent */
void ve_esp_mac_init(struct ve_esp_mac *mac, enum ve_esp_mac_kind kind, const uint8_t *key);
void ve_esp_mac(const struct ve_esp_mac *mac, const uint8_t *data, size_t length, uint8_t out[VE_ESP_DIGEST]);

#endif
