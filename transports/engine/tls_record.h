/*
 * tls_record.h: records of TLS 1.3 with AES-GCM and ChaCha20-Poly1305, without libssl.  Internal to tls*.c.
 */
#ifndef VPN_TLS_RECORD_H
#define VPN_TLS_RECORD_H

#include "gcm.h"
#include "tls13_keys.h"

enum {
	TLS_HEADER = 5,				/* bytes of a record before its ciphertext */
	TLS_PLAINTEXT = 16384,			/* bytes of content, at most */
	TLS_CIPHERTEXT = TLS_PLAINTEXT + 256,	/* bytes behind a header, at most */
	TLS_OVERHEAD = TLS_HEADER + 1 + AEAD_TAG,	/* bytes that a record of ours adds to its content */
	TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_DATA = 23	/* types of content */
};

enum {	/* what a record can be besides a length */
	TLS_NOT_GENUINE = -1,
	TLS_NO_TYPE = -2,			/* genuine, and nothing but padding */
	TLS_TOO_LONG = -3,			/* its content, or its ciphertext */
	TLS_NOT_DATA = -4			/* its outer type is not the only one that there is behind a handshake */
};

/* One direction of a connection; zeroed: none. */
struct tls_direction {
	const struct tls13_suite *suite;
	int encrypt;
	struct gcm_key *gcm;			/* keyed once a secret: one or the other */
	EVP_CIPHER_CTX *libcrypto;
	uint64_t sequence;			/* of the next record */
	uint8_t iv[AEAD_NONCE];
	uint8_t secret[TLS13_SECRET];
};

/* 1: done, 0: libcrypto failed.  Both leave behind what tls_direction_clear frees and wipes. */
int tls_direction_init(struct tls_direction *direction, const struct tls13_suite *suite, const uint8_t *secret,
		       uint64_t sequence, int encrypt);
int tls_direction_update(struct tls_direction *direction);	/* the next secret, RFC 8446 section 7.2 */
void tls_direction_clear(struct tls_direction *direction);

/* Bytes of the first record in `available` bytes; 0: it is not whole yet; TLS_NOT_DATA, TLS_TOO_LONG. */
int tls_record_look(const uint8_t *at, size_t available);
/* Decrypts a whole record in place; its content begins at record + TLS_HEADER.  Bytes of content, or one of the above. */
int tls_record_open(struct tls_direction *direction, uint8_t *record, size_t size, uint8_t *type);
/* A record of `length` bytes of content, at most TLS_PLAINTEXT, into out.  Its length + TLS_OVERHEAD, or 0: libcrypto failed. */
size_t tls_record_seal(struct tls_direction *direction, uint8_t type, const uint8_t *content, size_t length, uint8_t *out);

#endif
