/*
 * gcm.h: AES-GCM one packet a call, by Intel's multi-buffer library (libIPSec_MB) where the engine was built with it.
 *
 * libcrypto needs four to five calls for a packet, and its AES-GCM of OpenSSL 3.0 knows no AVX-512: a packet of 1400 bytes
 * takes a third of its time here, one of 64 bytes an eighth (docs/performance.md).  Internal to the record layers.
 */
#ifndef VPN_GCM_H
#define VPN_GCM_H

#include <stddef.h>
#include <stdint.h>

enum { GCM_NONCE = 12, GCM_TAG = 16 };		/* bytes */

struct gcm_key;

/* length: 16 or 32 bytes.  NULL: not with this build, CPU or length, or no memory; libcrypto then does it. */
struct gcm_key *gcm_key_new(const uint8_t *key, size_t length);
void gcm_key_free(struct gcm_key *key);		/* wipes it; NULL is fine */
/* out: the ciphertext of `in` (it may be the same place), then of one more byte if `last` is one, then the tag. */
void gcm_seal(const struct gcm_key *key, const uint8_t nonce[GCM_NONCE], const uint8_t *aad, size_t aad_length,
	      const uint8_t *in, size_t length, const uint8_t *last, uint8_t *out);
/* Decrypts `length` bytes in place; the tag lies behind them.  1: genuine; 0: not, and what is there means nothing. */
int gcm_open(const struct gcm_key *key, const uint8_t nonce[GCM_NONCE], const uint8_t *aad, size_t aad_length, uint8_t *at,
	     size_t length);
/* For tests and benchmarks: 0 makes gcm_key_new answer NULL from now on. */
void gcm_allow(int yes);

#endif
