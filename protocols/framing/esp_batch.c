/*
 * esp_batch.c: AES-CBC and HMAC of several packets of ESP at once, by Intel's Multi-Buffer Crypto for IPsec library.
 *
 * No I/O and no allocation but for the manager's, which holds the state of every lane and is wiped with it.  Keyed states
 * are the library's own form of what esp_mac.c and libcrypto hold.  Tests compare with those, packet by packet.
 */
#include "esp_batch.h"

#ifdef VE_IPSEC_MB
#define NO_COMPAT_IMB_API_053		/* its old names are also those of libcrypto */
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = 64,			/* bytes, of all three digests */
	AES_BLOCK = 16,
	LINE = 64,			/* bytes of a cache line: alignment of the manager */
	LANES = 16,			/* packets side by side: with AVX-512; AVX2 has 8, SSE 4 */
	/* Packets below which one by one costs no more.  EPYC, s/GB for 1408 bytes, libcrypto 1.75 sealing, 0.85 the HMAC
	 * alone; AVX-512 with 4, 6, 8, 16 packets: 1.11, 0.80, 0.61, 0.33 and 0.78, 0.57, 0.44, 0.24; AVX2: 0.95, 0.68,
	 * 0.50, 0.48 and 0.68, 0.48, 0.35, 0.35; SSE with SHA extensions: 0.71, 0.60, 0.56, 0.54 and 0.42, 0.42, 0.40,
	 * 0.40.  Packets of 96 bytes are as dear either way with 8. */
	LEAST = 8
};

struct ve_esp_batch {
	IMB_MGR *manager;
	size_t least;
};

static const struct {
	IMB_HASH_ALG hash;
	uint64_t icv;			/* bytes */
} macs[] = {
	[VE_ESP_MAC_MD5] = {IMB_AUTH_MD5, 12},
	[VE_ESP_MAC_SHA1] = {IMB_AUTH_HMAC_SHA_1, 12},
	[VE_ESP_MAC_SHA256] = {IMB_AUTH_HMAC_SHA_256, 16},
};

/* A manager that came up well, its own tests included, and has AES instructions to use. */
static int usable(IMB_MGR *manager)
{
	init_mb_mgr_auto(manager, NULL);
	return !imb_get_errno(manager) && manager->features & IMB_FEATURE_AESNI;
}

struct ve_esp_batch *ve_esp_batch_new(size_t least)
{
	struct ve_esp_batch *batch = calloc(1, sizeof(*batch));
	size_t size = (imb_get_mb_mgr_size() + LINE - 1) / LINE * LINE;
	void *memory = aligned_alloc(LINE, size);

	if (batch && memory) {
		batch->least = least ? least : LEAST;
		batch->manager = imb_set_pointers_mb_mgr(memory, 0, 1);
		if (batch->manager && usable(batch->manager))
			return batch;
	}
	free(memory);
	free(batch);
	return NULL;
}

void ve_esp_batch_free(struct ve_esp_batch *batch)
{
	if (!batch)
		return;
	OPENSSL_cleanse(batch->manager, imb_get_mb_mgr_size());
	free(batch->manager);
	free(batch);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

/* The state of a digest after the key's block. */
static void begin(IMB_MGR *manager, enum ve_esp_mac_kind mac, const uint8_t *key, uint8_t pad, uint8_t *state)
{
	size_t length = ve_esp_mac_key(mac);
	uint8_t block[BLOCK];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < length; i++)
		block[i] ^= key[i];
	if (mac == VE_ESP_MAC_MD5)
		IMB_MD5_ONE_BLOCK(manager, block, state);
	else if (mac == VE_ESP_MAC_SHA1)
		IMB_SHA1_ONE_BLOCK(manager, block, state);
	else
		IMB_SHA256_ONE_BLOCK(manager, block, state);
	OPENSSL_cleanse(block, sizeof(block));
}

void ve_esp_batch_key(struct ve_esp_batch *batch, struct ve_esp_batch_keys *keys, const uint8_t *key, size_t length,
		      enum ve_esp_mac_kind mac, const uint8_t *mac_key)
{
	_Alignas(16) uint8_t decryption[sizeof(keys->schedule)];	/* libcrypto decrypts, it does so in parallel */

	if (length == 16)
		IMB_AES_KEYEXP_128(batch->manager, key, keys->schedule, decryption);
	else
		IMB_AES_KEYEXP_256(batch->manager, key, keys->schedule, decryption);
	OPENSSL_cleanse(decryption, sizeof(decryption));
	begin(batch->manager, mac, mac_key, 0x36, keys->inner);
	begin(batch->manager, mac, mac_key, 0x5c, keys->outer);
	keys->key = (uint8_t)length;
	keys->mac = (uint8_t)mac;
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

static void describe(IMB_JOB *to, struct ve_esp_job *job)
{
	to->cipher_mode = job->frame ? IMB_CIPHER_CBC : IMB_CIPHER_NULL;
	to->cipher_direction = IMB_DIR_ENCRYPT;
	to->chain_order = IMB_ORDER_CIPHER_HASH;
	to->enc_keys = to->dec_keys = job->keys->schedule;
	to->key_len_in_bytes = job->keys->key;
	to->src = job->packet;
	if (job->frame) {
		to->dst = job->frame + job->head;
		to->cipher_start_src_offset_in_bytes = job->head;
		to->msg_len_to_cipher_in_bytes = job->length - job->head;
		to->iv = job->frame + job->head - AES_BLOCK;
		to->iv_len_in_bytes = AES_BLOCK;
	}
	to->hash_alg = macs[job->keys->mac].hash;
	to->hash_start_src_offset_in_bytes = 0;
	to->msg_len_to_hash_in_bytes = job->length;
	to->auth_tag_output = job->icv;
	to->auth_tag_output_len_in_bytes = macs[job->keys->mac].icv;
	to->u.HMAC._hashed_auth_key_xor_ipad = job->keys->inner;
	to->u.HMAC._hashed_auth_key_xor_opad = job->keys->outer;
	to->user_data = job;
}

/* A job that the library gave back; one that it refused it did not touch.  1: done. */
static size_t settle(const IMB_JOB *from)
{
	struct ve_esp_job *job = from->user_data;

	job->done = from->status == IMB_STATUS_COMPLETED;
	return job->done;
}

/* Full rows are always cheaper; what is left over is, if it is not too few. */
static size_t worthwhile(const struct ve_esp_batch *batch, size_t count)
{
	return count % LANES < batch->least ? count - count % LANES : count;
}

size_t ve_esp_batch_run(struct ve_esp_batch *batch, struct ve_esp_job *jobs, size_t count)
{
	size_t done = 0, together = batch ? worthwhile(batch, count) : 0;
	IMB_JOB *job;

	for (size_t i = 0; i < count; i++)
		jobs[i].done = 0;
	for (size_t i = 0; i < together; i++) {
		describe(IMB_GET_NEXT_JOB(batch->manager), &jobs[i]);
		for (job = IMB_SUBMIT_JOB(batch->manager); job; job = IMB_GET_COMPLETED_JOB(batch->manager))
			done += settle(job);
	}
	while (together && (job = IMB_FLUSH_JOB(batch->manager)))
		done += settle(job);
	return done;
}
#else

struct ve_esp_batch *ve_esp_batch_new(size_t least)
{
	(void)least;
	return NULL;
}

void ve_esp_batch_free(struct ve_esp_batch *batch)
{
	(void)batch;
}

void ve_esp_batch_key(struct ve_esp_batch *batch, struct ve_esp_batch_keys *keys, const uint8_t *key, size_t length,
		      enum ve_esp_mac_kind mac, const uint8_t *mac_key)
{
	(void)batch;
	(void)keys;
	(void)key;
	(void)length;
	(void)mac;
	(void)mac_key;
}

size_t ve_esp_batch_run(struct ve_esp_batch *batch, struct ve_esp_job *jobs, size_t count)
{
	(void)batch;
	for (size_t i = 0; i < count; i++)
		jobs[i].done = 0;
	return 0;
}
#endif
