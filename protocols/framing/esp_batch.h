/*
 * esp_batch.h: AES-CBC and HMAC of several packets of ESP at once.
 *
 * Encryption by CBC and every HMAC are serial within a packet, so a processor that could work on 16 blocks at a time has
 * one to work on.  Intel's Multi-Buffer Crypto for IPsec library lays packets side by side: its cost is that of the
 * longest of 4 to 16 packets, whatever their number, so a few are cheaper one by one.  All that is known of its jobs is here
 * (of its AES-GCM, in gcm.c).
 */
#ifndef VPN_ESP_BATCH_H
#define VPN_ESP_BATCH_H

#include "esp_mac.h"

enum { VE_ESP_TOGETHER = 32 };		/* packets of one call, at most: their bytes stay in the second cache */

struct ve_esp_batch;			/* the library at work; one thread's */

struct ve_esp_batch_keys {		/* of one SA; zeroed: none.  Secret, as are the other keys of an SA */
	_Alignas(16) uint8_t schedule[15 * 16];	/* of AES, for encryption */
	_Alignas(16) uint8_t inner[VE_ESP_DIGEST], outer[VE_ESP_DIGEST];	/* HMAC: after the key's block */
	uint8_t key;			/* bytes of AES key */
	uint8_t mac;			/* enum ve_esp_mac_kind */
};

struct ve_esp_job {
	const struct ve_esp_batch_keys *keys;
	const uint8_t *packet;		/* what the ICV is over */
	size_t length;			/* bytes of it */
	uint8_t *icv;			/* where it goes */
	uint8_t *frame;			/* the packet, to be encrypted in place before; NULL: the ICV is all */
	size_t head;			/* bytes of it before the plaintext, the last 16 of them the IV */
	uint8_t done;			/* 0: nothing was touched, it is the caller's to do */
};

/* least: do no fewer packets than these together; 0: as it pays.  NULL: built without the library, no AES instructions in
 * this processor, or no memory; then all goes one by one. */
struct ve_esp_batch *ve_esp_batch_new(size_t least);
void ve_esp_batch_free(struct ve_esp_batch *batch);	/* wipes what it knows; NULL is fine */
void ve_esp_batch_key(struct ve_esp_batch *batch, struct ve_esp_batch_keys *keys, const uint8_t *key, size_t length,
		      enum ve_esp_mac_kind mac, const uint8_t *mac_key);
/* Does those of the jobs (VE_ESP_TOGETHER at most) that are cheaper together, and marks them.  Returns how many. */
size_t ve_esp_batch_run(struct ve_esp_batch *batch, struct ve_esp_job *jobs, size_t count);

#endif
