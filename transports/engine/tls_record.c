/*
 * tls_record.c: records of TLS 1.3 with AES-GCM and ChaCha20-Poly1305, on gcm.h or libcrypto.
 *
 * Offset, size in bytes of a record (big-endian):
 *      0  1  type       23, whatever it is
 *      1  2  version    03 03
 *      3  2  length     of what follows
 *      5  c  ciphertext of content, its type (1 byte), and zeros for padding
 *    5+c 16  tag        over the header too
 *
 * Nonce: 12 secret bytes XOR (4 zeros, sequence).  The sequence counts up from 0 under each key and is not in the record, so
 * none comes twice, as long as it goes on right behind libssl's: see tls_watch.c.
 *
 * Nothing is allocated or looked up for a record.  EVP_Cipher costs less than EVP_CipherUpdate; but a final call of it with
 * no input does nothing for ChaCha20-Poly1305, not even look at the tag, so that one is EVP_CipherFinal_ex.
 * Source: RFC 8446 sections 5.2 to 5.4.
 */
#include "tls_record.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <string.h>

/* ---- keys ---- */

static void forget_key(struct tls_direction *direction)
{
	gcm_key_free(direction->gcm);
	EVP_CIPHER_CTX_free(direction->libcrypto);	/* which wipes it */
	direction->gcm = NULL;
	direction->libcrypto = NULL;
}

static int rekey(struct tls_direction *direction)
{
	const struct aead_suite *aead = aead_find(direction->suite->cipher);
	uint8_t key[AEAD_KEY];
	int done;

	forget_key(direction);
	done = tls13_expand(direction->suite, direction->secret, "key", key, aead->key) &&
	       tls13_expand(direction->suite, direction->secret, "iv", direction->iv, sizeof(direction->iv));
	if (done && aead->cipher != NID_chacha20_poly1305)
		direction->gcm = gcm_key_new(key, aead->key);
	if (done && !direction->gcm)
		done = (direction->libcrypto = aead_keyed(aead, key, direction->encrypt)) != NULL;
	OPENSSL_cleanse(key, sizeof(key));
	return done;
}

int tls_direction_init(struct tls_direction *direction, const struct tls13_suite *suite, const uint8_t *secret,
		       uint64_t sequence, int encrypt)
{
	memset(direction, 0, sizeof(*direction));
	direction->suite = suite;
	direction->encrypt = encrypt;
	direction->sequence = sequence;
	memcpy(direction->secret, secret, suite->secret);
	return rekey(direction);
}

int tls_direction_update(struct tls_direction *direction)
{
	uint8_t next[TLS13_SECRET];
	int done = tls13_expand(direction->suite, direction->secret, "traffic upd", next, direction->suite->secret);

	if (done) {
		memcpy(direction->secret, next, direction->suite->secret);
		direction->sequence = 0;
		done = rekey(direction);
	}
	OPENSSL_cleanse(next, sizeof(next));
	return done;
}

void tls_direction_clear(struct tls_direction *direction)
{
	forget_key(direction);
	OPENSSL_cleanse(direction, sizeof(*direction));
}

/* ---- records ---- */

static void next_nonce(struct tls_direction *direction, uint8_t nonce[AEAD_NONCE])
{
	uint8_t sequence[8];

	aead_put64(sequence, direction->sequence++);	/* whatever happens, this one is spent */
	memcpy(nonce, direction->iv, AEAD_NONCE);
	for (int i = 0; i < 8; i++)
		nonce[AEAD_NONCE - 8 + i] ^= sequence[i];
}

int tls_record_look(const uint8_t *at, size_t available)
{
	size_t length;

	if (available < TLS_HEADER)
		return 0;
	if (at[0] != TLS_DATA)
		return TLS_NOT_DATA;
	length = (size_t)at[3] << 8 | at[4];
	if (length > TLS_CIPHERTEXT)
		return TLS_TOO_LONG;
	return available - TLS_HEADER < length ? 0 : (int)(TLS_HEADER + length);
}

/* In place, the tag behind it.  1: genuine. */
static int decrypt(EVP_CIPHER_CTX *context, const uint8_t nonce[AEAD_NONCE], const uint8_t *header, uint8_t *at, size_t length)
{
	OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
	int rest;

	params[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, at + length, AEAD_TAG);
	return EVP_DecryptInit_ex2(context, NULL, NULL, nonce, params) == 1 &&
	       EVP_Cipher(context, NULL, header, TLS_HEADER) >= 0 &&
	       (!length || EVP_Cipher(context, at, at, (unsigned int)length) >= 0) &&
	       EVP_DecryptFinal_ex(context, at + length, &rest) == 1;
}

int tls_record_open(struct tls_direction *direction, uint8_t *record, size_t size, uint8_t *type)
{
	uint8_t nonce[AEAD_NONCE], *at = record + TLS_HEADER;
	size_t length;
	int genuine;

	if (size < TLS_HEADER + AEAD_TAG)
		return TLS_NOT_GENUINE;
	length = size - TLS_HEADER - AEAD_TAG;
	next_nonce(direction, nonce);
	if (direction->gcm)
		genuine = gcm_open(direction->gcm, nonce, record, TLS_HEADER, at, length);
	else
		genuine = decrypt(direction->libcrypto, nonce, record, at, length);
	if (!genuine)
		return TLS_NOT_GENUINE;
	if (length > TLS_PLAINTEXT + 1)
		return TLS_TOO_LONG;
	while (length && !at[length - 1])
		length--;
	if (!length)
		return TLS_NO_TYPE;
	*type = at[length - 1];
	return (int)(length - 1);
}

/* Content, type and tag to `at`.  1: done. */
static int encrypt(EVP_CIPHER_CTX *context, const uint8_t nonce[AEAD_NONCE], const uint8_t *header, uint8_t type,
		   const uint8_t *content, size_t length, uint8_t *at)
{
	OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
	int rest;

	params[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, at + length + 1, AEAD_TAG);
	return EVP_EncryptInit_ex2(context, NULL, NULL, nonce, NULL) == 1 &&
	       EVP_Cipher(context, NULL, header, TLS_HEADER) >= 0 &&
	       (!length || EVP_Cipher(context, at, content, (unsigned int)length) >= 0) &&
	       EVP_Cipher(context, at + length, &type, 1) >= 0 &&	/* costs less than a copy of the content */
	       EVP_EncryptFinal_ex(context, at + length + 1, &rest) == 1 &&
	       EVP_CIPHER_CTX_get_params(context, params) == 1;
}

size_t tls_record_seal(struct tls_direction *direction, uint8_t type, const uint8_t *content, size_t length, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE], *at = out + TLS_HEADER;

	out[0] = TLS_DATA;
	out[1] = out[2] = 3;
	aead_put16(out + 3, length + 1 + AEAD_TAG);
	next_nonce(direction, nonce);
	if (direction->gcm)
		gcm_seal(direction->gcm, nonce, out, TLS_HEADER, content, length, &type, at);
	else if (!encrypt(direction->libcrypto, nonce, out, type, content, length, at))
		return 0;
	return length + TLS_OVERHEAD;
}
