/*
 * dtls_record.c: records of DTLS 1.2 with AES-GCM and ChaCha20-Poly1305, on gcm.h or libcrypto.
 *
 * Offset, size in bytes of a record (big-endian); n: explicit nonce, GCM 8, ChaCha20 0:
 *      0  1  type       20 ChangeCipherSpec, 21 alert, 22 handshake, 23 data
 *      1  2  version    FE FD
 *      3  2  epoch      1: there is one set of keys
 *      5  6  sequence   counts up from 0 in an epoch
 *     11  2  length     of what follows
 *     13  n  nonce
 *   13+n  c  ciphertext
 * 13+n+c 16  tag        over type, version, epoch, sequence and c too
 *
 * GCM: nonce = 4 secret bytes, then the explicit 8.  ChaCha20: 12 secret bytes XOR (4 zeros, epoch, sequence).
 *
 * Why no nonce is ever used twice under a key: libssl began the explicit ones with a random number and adds one a record, so
 * those that it used are a run, and we go on right behind its end; the sum of both is at most 2^48 records, far from
 * coming around in 2^64.  ChaCha20's nonce is the sequence number, which goes on right behind libssl's as well, and ends at
 * 2^48 - 1.  libssl is freed before our first record, and the two directions have keys of their own.
 *
 * With libcrypto a record is two calls, the ones that libssl itself uses (EVP_CTRL_AEAD_TLS1_AAD): it keeps the nonce, adds
 * the tag and works in place, and costs less than setting IV, AAD and tag one by one.  Nothing is allocated.
 * Source: RFC 6347 section 4.1; RFC 5246 sections 6.2.3.3 and 6.3; RFC 5288; RFC 7905.
 */
#include "dtls_record.h"

#include "engine.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <string.h>

enum { AAD = 13, GCM_SALT = 4, GCM_EXPLICIT = 8 };	/* bytes */

/* Bytes of a nonce that are secret, and of those that are in a record. */
static size_t salt_of(const struct aead_suite *suite)
{
	return suite->cipher == NID_chacha20_poly1305 ? AEAD_NONCE : GCM_SALT;
}

static size_t explicit_of(const struct aead_suite *suite)
{
	return AEAD_NONCE - salt_of(suite);
}

int dtls_aead_knows(int cipher)
{
	return aead_find(cipher) != NULL;
}

static uint64_t get64(const uint8_t *from)
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | from[i];
	return number;
}

void dtls_header_get(struct dtls_header *header, const uint8_t *record)
{
	uint64_t numbers = get64(record + 3);

	header->type = record[0];
	header->version = (uint16_t)(record[1] << 8 | record[2]);
	header->epoch = (uint16_t)(numbers >> 48);
	header->sequence = numbers & DTLS_LAST_SEQUENCE;
	header->length = (size_t)record[11] << 8 | record[12];
}

/* ---- keys ---- */

/* RFC 5246 section 6.3: PRF(master secret, "key expansion", server random + client random). */
static int key_block(const struct dtls_secrets *secrets, uint8_t *out, size_t length)
{
	static char label[] = "key expansion";
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	uint8_t seed[sizeof(label) - 1 + 2 * DTLS_RANDOM];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)secrets->digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)secrets->master, sizeof(secrets->master)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};
	int done;

	memcpy(seed, label, sizeof(label) - 1);
	memcpy(seed + sizeof(label) - 1, secrets->server_random, DTLS_RANDOM);
	memcpy(seed + sizeof(label) - 1 + DTLS_RANDOM, secrets->client_random, DTLS_RANDOM);
	done = context && EVP_KDF_derive(context, out, length, params) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return done;
}

static EVP_CIPHER_CTX *keyed(const struct aead_suite *suite, const uint8_t *key, uint8_t nonce[AEAD_NONCE], int encrypt)
{
	EVP_CIPHER_CTX *context = aead_keyed(suite, key, encrypt);
	int fixed = (int)salt_of(suite);

	if (explicit_of(suite) && encrypt)
		fixed = -1;	/* all of it: counted up from here, rather than from a random number */
	if (context && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IV_FIXED, fixed, nonce) == 1)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

/* next: the explicit nonce of the first record that is sealed. */
static int set_direction(struct dtls_direction *direction, const struct aead_suite *suite, const uint8_t *key,
			 const uint8_t *salt, uint64_t next, int encrypt)
{
	memcpy(direction->nonce, salt, salt_of(suite));
	if (explicit_of(suite)) {
		aead_put64(direction->nonce + salt_of(suite), next);
		direction->gcm = gcm_key_new(key, suite->key);
	}
	if (!direction->gcm)
		direction->libcrypto = keyed(suite, key, direction->nonce, encrypt);
	return direction->gcm || direction->libcrypto;
}

int dtls_aead_init(struct dtls_aead *aead, const struct dtls_secrets *secrets)
{
	const struct aead_suite *suite = aead_find(secrets->cipher);
	uint8_t block[2 * (AEAD_KEY + AEAD_NONCE)];
	const uint8_t *key[2], *salt[2];	/* the client's, the server's */
	int own = secrets->server != 0, done = 0;

	memset(aead, 0, sizeof(*aead));
	if (suite && key_block(secrets, block, 2 * (suite->key + salt_of(suite)))) {
		key[0] = block;
		key[1] = key[0] + suite->key;
		salt[0] = key[1] + suite->key;
		salt[1] = salt[0] + salt_of(suite);
		aead->nonce = explicit_of(suite);
		aead->sequence = secrets->sequence;
		done = set_direction(&aead->sealing, suite, key[own], salt[own], secrets->nonce, 1) &&
		       set_direction(&aead->opening, suite, key[!own], salt[!own], 0, 0);
		aead->ready = done;
	}
	OPENSSL_cleanse(block, sizeof(block));
	if (!done)
		dtls_aead_clear(aead);
	return done;
}

static void forget(struct dtls_direction *direction)
{
	gcm_key_free(direction->gcm);
	EVP_CIPHER_CTX_free(direction->libcrypto);	/* which wipes the key schedules */
}

void dtls_aead_clear(struct dtls_aead *aead)
{
	forget(&aead->sealing);
	forget(&aead->opening);
	OPENSSL_cleanse(aead, sizeof(*aead));
}

/* ---- records ---- */

/* What is authenticated besides: epoch and sequence, type, version, bytes of content. */
static void make_aad(uint8_t aad[AAD], const uint8_t *record, size_t length)
{
	memcpy(aad, record + 3, 8);
	memcpy(aad + 8, record, 3);
	aead_put16(aad + 11, length);
}

/* libcrypto takes the nonce off the bytes of body by itself, and the tag when opening.  1: done. */
static int crypt(EVP_CIPHER_CTX *context, const uint8_t *record, uint8_t *at, size_t body, int encrypt)
{
	uint8_t aad[AAD];

	make_aad(aad, record, encrypt ? body - DTLS_TAG : body);
	return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_TLS1_AAD, sizeof(aad), aad) == DTLS_TAG &&
	       EVP_Cipher(context, at, at, (unsigned int)body) >= 0;
}

static void seal_gcm(struct dtls_direction *direction, const uint8_t *record, uint8_t *at, size_t length)
{
	uint8_t *explicit = direction->nonce + GCM_SALT;
	uint8_t aad[AAD];

	make_aad(aad, record, length);
	memcpy(at, explicit, GCM_EXPLICIT);
	gcm_seal(direction->gcm, direction->nonce, aad, sizeof(aad), at + GCM_EXPLICIT, length, NULL, at + GCM_EXPLICIT);
	aead_put64(explicit, get64(explicit) + 1);
}

size_t dtls_aead_seal(struct dtls_aead *aead, uint8_t type, uint8_t *record, size_t length)
{
	size_t body = aead->nonce + length + DTLS_TAG;
	uint8_t *at = record + DTLS_HEADER;

	record[0] = type;
	aead_put16(record + 1, VE_DTLS_12);
	aead_put64(record + 3, (uint64_t)1 << 48 | aead->sequence);
	aead_put16(record + 11, body);
	aead->sequence++;	/* whatever happens, this one is spent */
	if (aead->sealing.gcm)
		seal_gcm(&aead->sealing, record, at, length);
	else if (!crypt(aead->sealing.libcrypto, record, at, body, 1))
		return 0;
	return DTLS_HEADER + body;
}

static int open_gcm(struct dtls_direction *direction, const uint8_t *record, uint8_t *at, size_t length)
{
	uint8_t aad[AAD];

	make_aad(aad, record, length);
	memcpy(direction->nonce + GCM_SALT, at, GCM_EXPLICIT);
	return gcm_open(direction->gcm, direction->nonce, aad, sizeof(aad), at + GCM_EXPLICIT, length);
}

int dtls_aead_open(struct dtls_aead *aead, const struct dtls_header *header, uint8_t *record)
{
	uint8_t *at = record + DTLS_HEADER;
	size_t length;
	int genuine;

	if (header->length < aead->nonce + DTLS_TAG)
		return -1;
	length = header->length - aead->nonce - DTLS_TAG;
	if (aead->opening.gcm)
		genuine = open_gcm(&aead->opening, record, at, length);
	else
		genuine = crypt(aead->opening.libcrypto, record, at, header->length, 0);
	return genuine ? (int)length : -1;
}
