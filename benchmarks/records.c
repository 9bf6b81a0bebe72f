/*
 * records.c: sealing and opening of DTLS records beside libcrypto alone on the same buffers; what benchmarks/records.py runs.
 *
 * Arguments: the rounds.  A line a round: suite, bytes of payload, nanoseconds a record to seal and to open, ours and raw.
 * Raw is the textbook's way: IV, additional data, payload, tag, a call each, with contexts that were keyed once.
 */
#include "dtls_internal.h"

#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(condition) do { if (!(condition)) { fprintf(stderr, "not so: %s\n", #condition); exit(1); } } while (0)

enum { RECORDS = 512, ROOM = 1536, MOST = 1400, KEY = 32, IV = 12, AAD = 13 };

static const struct suite {
	const char *name, *cipher, *digest;
	int nid;
} suites[] = {
	{"AES-128-GCM", "AES-128-GCM", "SHA2-256", NID_aes_128_gcm},
	{"AES-256-GCM", "AES-256-GCM", "SHA2-384", NID_aes_256_gcm},
	{"ChaCha20-Poly1305", "ChaCha20-Poly1305", "SHA2-256", NID_chacha20_poly1305},
};

static uint8_t buffers[RECORDS][ROOM];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct ve_dtls *end(const struct suite *suite, int server)
{
	struct dtls_secrets secrets = {.server = server, .cipher = suite->nid, .digest = suite->digest};
	struct ve_dtls *dtls = dtls_from_secrets(&secrets);

	MUST(dtls);
	return dtls;
}

static EVP_CIPHER_CTX *keyed(const struct suite *suite, int encrypt)
{
	static const uint8_t key[KEY] = {7};
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suite->cipher, NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	MUST(cipher && context && EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypt));
	EVP_CIPHER_free(cipher);
	return context;
}

static double seal_ours(struct ve_dtls *dtls, size_t size)
{
	size_t whole = ve_dtls_head(dtls) + size + ve_dtls_tail(dtls);
	double began = now();

	for (int i = 0; i < RECORDS; i++)
		MUST(ve_dtls_seal(dtls, buffers[i], size, ROOM) == (int)whole);
	return (now() - began) / RECORDS;
}

static double open_ours(struct ve_dtls *dtls, size_t size)
{
	size_t whole = ve_dtls_head(dtls) + size + ve_dtls_tail(dtls), used;
	double began = now();
	uint8_t *payload;

	for (int i = 0; i < RECORDS; i++)
		MUST(ve_dtls_open(dtls, buffers[i], whole, &used, &payload) == (int)size);
	return (now() - began) / RECORDS;
}

static void count_up(uint8_t iv[IV])
{
	for (int i = IV - 1; i >= 0 && ++iv[i] == 0; i--)
		;
}

static double seal_raw(EVP_CIPHER_CTX *context, uint8_t iv[IV], size_t head, size_t size)
{
	double began = now();
	uint8_t aad[AAD];
	int n;

	for (int i = 0; i < RECORDS; i++) {
		uint8_t *at = buffers[i] + head;

		count_up(iv);
		memcpy(aad, buffers[i], AAD);
		MUST(EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) && EVP_CipherUpdate(context, NULL, &n, aad, AAD) &&
		     EVP_CipherUpdate(context, at, &n, at, (int)size) && EVP_CipherFinal_ex(context, at + size, &n) &&
		     EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, DTLS_TAG, at + size));
	}
	return (now() - began) / RECORDS;
}

static double open_raw(EVP_CIPHER_CTX *context, uint8_t iv[IV], size_t head, size_t size)
{
	double began = now();
	uint8_t aad[AAD];
	int n;

	for (int i = 0; i < RECORDS; i++) {
		uint8_t *at = buffers[i] + head;

		count_up(iv);
		memcpy(aad, buffers[i], AAD);
		MUST(EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) && EVP_CipherUpdate(context, NULL, &n, aad, AAD) &&
		     EVP_CipherUpdate(context, at, &n, at, (int)size) &&
		     EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, DTLS_TAG, at + size) &&
		     EVP_CipherFinal_ex(context, at + size, &n));
	}
	return (now() - began) / RECORDS;
}

static void measure(const struct suite *suite, size_t size, int rounds)
{
	struct ve_dtls *client = end(suite, 0), *server = end(suite, 1);
	EVP_CIPHER_CTX *sealing = keyed(suite, 1), *opening = keyed(suite, 0);
	uint8_t iv[2][IV] = {{0}};
	size_t head = ve_dtls_head(client);

	for (int round = -1; round < rounds; round++) {		/* the first warms up */
		double sealed = seal_ours(client, size), opened = open_ours(server, size);
		double raw_sealed = seal_raw(sealing, iv[0], head, size), raw_opened = open_raw(opening, iv[1], head, size);

		if (round >= 0)
			printf("%s %zu %.1f %.1f %.1f %.1f\n", suite->name, size, sealed, opened, raw_sealed, raw_opened);
	}
	ve_dtls_free(client);
	ve_dtls_free(server);
	EVP_CIPHER_CTX_free(sealing);
	EVP_CIPHER_CTX_free(opening);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {64, 576, MOST};
	int rounds = argc > 1 ? atoi(argv[1]) : 1;

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			measure(&suites[i], sizes[k], rounds);
	return 0;
}
