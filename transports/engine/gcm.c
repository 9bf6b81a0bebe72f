/*
 * gcm.c: see gcm.h.  All that the engine knows of the library's direct interface: it has no state but the caller's, so one
 * manager, which only says which routines suit this CPU, serves every thread.
 */
#include "gcm.h"

#ifdef VE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };	/* bytes: whole cache lines for the tables of a key */

struct gcm_key {
	struct gcm_key_data tables;
	aes_gcm_enc_dec_t seal, open;
	aes_gcm_init_t init;
	aes_gcm_enc_dec_update_t update;
	aes_gcm_enc_dec_finalize_t finalize;
};

static IMB_MGR *manager;	/* NULL: this CPU lacks what makes it worth while */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int refused;

static void choose(void)
{
	const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	IMB_MGR *candidate = alloc_mb_mgr(0);

	if (!candidate)
		return;
	init_mb_mgr_auto(candidate, NULL);
	if (imb_get_errno(candidate) == 0 && (candidate->features & wanted) == wanted)
		manager = candidate;	/* for good: keys point to its routines */
	else
		free_mb_mgr(candidate);
}

struct gcm_key *gcm_key_new(const uint8_t *key, size_t length)
{
	struct gcm_key *made;

	pthread_once(&once, choose);
	if (!manager || refused || (length != 16 && length != 32))
		return NULL;
	made = aligned_alloc(ALIGNMENT, (sizeof(*made) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	if (!made)
		return NULL;
	if (length == 16) {
		IMB_AES128_GCM_PRE(manager, key, &made->tables);
		made->seal = manager->gcm128_enc;
		made->open = manager->gcm128_dec;
		made->init = manager->gcm128_init;
		made->update = manager->gcm128_enc_update;
		made->finalize = manager->gcm128_enc_finalize;
	} else {
		IMB_AES256_GCM_PRE(manager, key, &made->tables);
		made->seal = manager->gcm256_enc;
		made->open = manager->gcm256_dec;
		made->init = manager->gcm256_init;
		made->update = manager->gcm256_enc_update;
		made->finalize = manager->gcm256_enc_finalize;
	}
	return made;
}

void gcm_key_free(struct gcm_key *key)
{
	if (!key)
		return;
	OPENSSL_cleanse(key, sizeof(*key));
	free(key);
}

void gcm_seal(const struct gcm_key *key, const uint8_t nonce[GCM_NONCE], const uint8_t *aad, size_t aad_length,
	      const uint8_t *in, size_t length, const uint8_t *last, uint8_t *out)
{
	struct gcm_context_data context;

	if (!last) {
		key->seal(&key->tables, &context, out, in, length, nonce, aad, aad_length, out + length, GCM_TAG);
	} else {
		key->init(&key->tables, &context, nonce, aad, aad_length);
		key->update(&key->tables, &context, out, in, length);
		key->update(&key->tables, &context, out + length, last, 1);
		key->finalize(&key->tables, &context, out + length + 1, GCM_TAG);
	}
}

int gcm_open(const struct gcm_key *key, const uint8_t nonce[GCM_NONCE], const uint8_t *aad, size_t aad_length, uint8_t *at,
	     size_t length)
{
	struct gcm_context_data context;
	uint8_t tag[GCM_TAG];

	key->open(&key->tables, &context, at, at, length, nonce, aad, aad_length, tag, GCM_TAG);
	return !CRYPTO_memcmp(tag, at + length, GCM_TAG);
}

void gcm_allow(int yes)
{
	refused = !yes;
}

#else

struct gcm_key *gcm_key_new(const uint8_t *key, size_t length)
{
	(void)key;
	(void)length;
	return NULL;
}

void gcm_key_free(struct gcm_key *key)
{
	(void)key;
}

void gcm_seal(const struct gcm_key *key, const uint8_t nonce[GCM_NONCE], const uint8_t *aad, size_t aad_length,
	      const uint8_t *in, size_t length, const uint8_t *last, uint8_t *out)
{
	(void)key, (void)nonce, (void)aad, (void)aad_length, (void)in, (void)length, (void)last, (void)out;
}

int gcm_open(const struct gcm_key *key, const uint8_t nonce[GCM_NONCE], const uint8_t *aad, size_t aad_length, uint8_t *at,
	     size_t length)
{
	(void)key, (void)nonce, (void)aad, (void)aad_length, (void)at, (void)length;
	return 0;
}

void gcm_allow(int yes)
{
	(void)yes;
}

#endif
