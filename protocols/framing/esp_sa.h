/*
 * esp_sa.h: one security association of ESP: what its option looks like, and the cryptography of one packet.
 *
 * The value of the options esp.in and esp.out; offset, size in bytes (big-endian):
 *     0  1  cipher     2 AES-128-CBC, 5 AES-256-CBC, 32 AES-128-GCM, 33 AES-256-GCM (16-byte ICV)
 *     1  1  mac        1 HMAC-MD5-96, 2 HMAC-SHA1-96, 3 HMAC-SHA256-128; 0 with GCM
 *     2  1  flags      1: replayed and old packets are taken, and counted (esp.in alone)
 *     3  1  reserved   0
 *     4  4  SPI        as in the packets, not 0
 *     8  k  cipher key 16 or 32; GCM: and 4 of salt
 *   8+k  m  MAC key    16, 20 or 32; GCM: none
 *
 * Ciphers and MACs have the codes of Network Connect and Pulse where those have one.
 * Twin: protocols/framing/esp_sa.py.
 */
#ifndef VPN_ESP_SA_H
#define VPN_ESP_SA_H

#include "codec.h"
#include "esp_batch.h"
#include "esp_mac.h"
#include "seqwin.h"

#include <openssl/evp.h>

enum {
	VE_ESP_FIXED = 8,		/* bytes: SPI and sequence number */
	VE_ESP_IVS = 64,		/* IVs made at once */
	VE_ESP_HEADER = 24,		/* bytes before the ciphertext, at most */
	VE_ESP_ICV = 16			/* bytes behind it, at most */
};

struct ve_esp_suite {
	uint8_t code;
	const char *name;		/* as libcrypto calls it */
	uint8_t key, salt, iv;		/* bytes */
	uint8_t align;			/* the ciphertext is a multiple of this, bytes */
	uint8_t aead;
};

struct ve_esp_sa {			/* zeroed: none */
	const struct ve_esp_suite *suite;
	uint32_t spi;
	size_t icv;			/* bytes */
	EVP_CIPHER_CTX *cipher;		/* keyed once; a packet sets the IV alone */
	struct ve_esp_mac mac;
	struct ve_esp_batch_keys together;	/* CBC, where packets are done several at once */
	uint8_t nonce[12];		/* GCM: salt, then the IV of the packet */
	struct ve_seqwin window;	/* inbound */
	int lenient;			/* inbound: replays are taken */
	int used;			/* inbound: an authentic packet came */
	uint64_t sequence;		/* outbound: the next number, 0..2^32 */
	EVP_CIPHER_CTX *iv_cipher;	/* outbound, CBC: AES-ECB under a key of its own makes the IVs from a counter */
	uint64_t iv_counter;
	size_t iv_next;			/* index of the next in ivs */
	uint8_t ivs[VE_ESP_IVS][16];
};

/* Builds an SA from its option.  VE_OK, or VE_ERROR: refused, the codec's error says why. */
int ve_esp_sa_init(struct ve_esp_sa *sa, struct ve_codec *codec, const char *option, const uint8_t *value,
		   size_t length);
void ve_esp_sa_clear(struct ve_esp_sa *sa);	/* wipes the keys */
/* The keys of its option for several packets at once too, if it is one of CBC. */
void ve_esp_sa_together(struct ve_esp_sa *sa, struct ve_esp_batch *batch, const uint8_t *value);

/* The ICV of a packet of CBC; 1: genuine. */
int ve_esp_sa_genuine(const struct ve_esp_sa *sa, const uint8_t *packet, size_t length);
/* Decrypts the ciphertext of `length` bytes out of packet; 1: done, 0: GCM found that it is not genuine. */
int ve_esp_sa_decrypt(struct ve_esp_sa *sa, const uint8_t *packet, size_t length, uint8_t *out);

size_t ve_esp_sa_padding(const struct ve_esp_sa *sa, size_t length);	/* bytes of it after a payload of `length` */
/* A whole packet with the next sequence number, which must be below 2^32.  payload may lie where its ciphertext goes.
 * 1: done; 0: libcrypto failed, and the number is spent. */
int ve_esp_sa_seal(struct ve_esp_sa *sa, uint8_t next_header, const uint8_t *payload, size_t length, uint8_t *out);
/* The same of CBC in two steps.  First all but the cryptography: the bytes before the ICV, or 0: libcrypto failed.  Then
 * that; or by a job of several. */
size_t ve_esp_sa_lay(struct ve_esp_sa *sa, uint8_t next_header, const uint8_t *payload, size_t length, uint8_t *out);
int ve_esp_sa_seal_laid(struct ve_esp_sa *sa, uint8_t *packet, size_t length);
struct ve_esp_job ve_esp_sa_seal_job(const struct ve_esp_sa *sa, uint8_t *packet, size_t length);
/* The ICV that a packet should have, by a job of several. */
struct ve_esp_job ve_esp_sa_icv_job(const struct ve_esp_sa *sa, const uint8_t *packet, size_t length, uint8_t *icv);

#endif
