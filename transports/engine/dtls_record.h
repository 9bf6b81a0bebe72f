/*
 * dtls_record.h: records of DTLS 1.2 with AES-GCM and ChaCha20-Poly1305, without libssl.  Internal to dtls*.c.
 */
#ifndef VPN_DTLS_RECORD_H
#define VPN_DTLS_RECORD_H

#include "aead.h"
#include "dtls_window.h"
#include "gcm.h"

#include <stddef.h>
#include <stdint.h>

enum {
	DTLS_HEADER = 13,			/* bytes of a record before its body */
	DTLS_TAG = 16,
	DTLS_CHANGE_CIPHER_SPEC = 20, DTLS_ALERT = 21, DTLS_HANDSHAKE = 22, DTLS_DATA = 23,	/* types of records */
	DTLS_FINISHED = 20,			/* a type of handshake messages */
	DTLS_RANDOM = 32			/* bytes of a hello's random */
};

#define DTLS_LAST_SEQUENCE (((uint64_t)1 << 48) - 1)

struct dtls_header {
	uint8_t type;
	uint16_t version;
	uint16_t epoch;
	uint64_t sequence;
	size_t length;				/* bytes of body */
};

/* What the keys are made of, and what libssl has used of them. */
struct dtls_secrets {
	int server;				/* whose side this is */
	int cipher;				/* NID_aes_128_gcm, NID_aes_256_gcm, NID_chacha20_poly1305 */
	const char *digest;			/* of the suite's PRF: "SHA2-256", "SHA2-384" */
	uint8_t master[48];
	uint8_t client_random[DTLS_RANDOM], server_random[DTLS_RANDOM];
	uint64_t sequence;			/* the next that is sent */
	uint64_t nonce;				/* the next explicit nonce of GCM */
};

struct dtls_direction {				/* keyed once: one or the other */
	struct gcm_key *gcm;
	EVP_CIPHER_CTX *libcrypto;
	uint8_t nonce[AEAD_NONCE];		/* of gcm: the secret part, and the explicit one of the last record */
};

struct dtls_aead {				/* zeroed: none */
	struct dtls_direction sealing, opening;
	int ready;
	size_t nonce;				/* bytes of explicit nonce in a record */
	uint64_t sequence;			/* the next that is sent, in epoch 1; past DTLS_LAST_SEQUENCE: none is left */
	struct dtls_window window;		/* of what was received */
};

void dtls_header_get(struct dtls_header *header, const uint8_t *record);	/* DTLS_HEADER bytes */

int dtls_aead_knows(int cipher);		/* 1: this NID is one of ours */
int dtls_aead_init(struct dtls_aead *aead, const struct dtls_secrets *secrets);	/* 1: done, 0: libcrypto failed */
void dtls_aead_clear(struct dtls_aead *aead);	/* wipes the keys */
/* A record around the payload of `length` bytes at record + DTLS_HEADER + nonce.  Its length, or 0: libcrypto failed.
 * The caller has looked at `sequence`. */
size_t dtls_aead_seal(struct dtls_aead *aead, uint8_t type, uint8_t *record, size_t length);
/* Decrypts a record in place; its payload begins at record + DTLS_HEADER + nonce.  Bytes of payload, or -1: not genuine.
 * The window is the caller's to ask. */
int dtls_aead_open(struct dtls_aead *aead, const struct dtls_header *header, uint8_t *record);

#endif
