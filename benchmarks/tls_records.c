/*
 * tls_records.c: ve_tls_write and ve_tls_read of 1400 bytes a record, libssl's records beside our own, in turns.
 *
 * Both ends in one thread, over a socket pair; the time of the send and the recv of 64 records is not counted.
 * Argument: the rounds.  A line for each suite and kind: suite, "libssl" or "own", median nanoseconds a record to write and to
 * read.  What benchmarks/tls_records.py runs.
 */
#define _GNU_SOURCE
#include "tls_internal.h"
#include "tls.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 1400, BATCH = 64, ROUNDS = 2001 };	/* bytes; records a round; rounds at most */

static int rounds = ROUNDS;

struct connection {
	struct ve_tls *ends[2];		/* client, server */
	int fds[2];
	double written[ROUNDS], read[ROUNDS];
};

static uint8_t data[RECORD], got[VE_TLS_RECORD];

static void must(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "bench_tls_records: %s failed\n", what);
	exit(1);
}

static void identify(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	must(X509_sign(certificate, key, EVP_sha256()) && SSL_CTX_use_certificate(context, certificate) == 1 &&
	     SSL_CTX_use_PrivateKey(context, key) == 1, "certificate");
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void open_connection(struct connection *c, const char *suite, int own)
{
	int done[2] = {VE_ERROR, VE_ERROR};
	char err[256];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, c->fds) == 0, "socketpair");
	for (int i = 0; i < 2; i++) {
		struct ve_tls_context *context = ve_tls_context_new(i, 0, err, sizeof(err));

		must(context && SSL_CTX_set_ciphersuites(context->ssl, suite), "context");
		if (i)
			identify(context->ssl);
		c->ends[i] = ve_tls_new(context, c->fds[i], NULL, i ? NULL : "bench", err, sizeof(err));
		must(c->ends[i] != NULL, "connection");
		ve_tls_context_free(context);
	}
	for (int turn = 0; turn < 20 && (done[0] || done[1]); turn++)
		for (int i = 0; i < 2; i++)
			if ((done[i] = ve_tls_handshake(c->ends[i])) == VE_WANT_TRUST)
				ve_tls_trust(c->ends[i], 1);
	must(!done[0] && !done[1], "handshake");
	for (int i = 0; i < 2 && own; i++)
		must(ve_tls_take_over(c->ends[i]) == VE_OK, "taking over");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void round_of(struct connection *c, int i)
{
	double begun = now();

	for (int n = 0; n < BATCH; n++)
		must(ve_tls_write(c->ends[0], data, RECORD) == RECORD, "write");
	c->written[i] = (now() - begun) / BATCH;
	must(ve_tls_flush(c->ends[0]) == VE_OK, "flush");
	must(ve_tls_read(c->ends[1], got, sizeof(got)) == RECORD, "read");	/* makes the recv */
	begun = now();
	for (int n = 1; n < BATCH; n++)
		must(ve_tls_read(c->ends[1], got, sizeof(got)) == RECORD, "read");
	c->read[i] = (now() - begun) / (BATCH - 1);
}

static int by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *values)
{
	qsort(values, (size_t)rounds, sizeof(*values), by_value);
	return values[rounds / 2];
}

static void compare(const char *suite)
{
	static struct connection of[2];

	for (int own = 0; own < 2; own++)
		open_connection(&of[own], suite, own);
	for (int i = 0; i < rounds; i++)
		for (int own = 0; own < 2; own++)
			round_of(&of[own], i);
	for (int own = 0; own < 2; own++) {
		printf("%s %s %.0f %.0f\n", suite, own ? "own" : "libssl", median(of[own].written), median(of[own].read));
		for (int i = 0; i < 2; i++) {
			ve_tls_free(of[own].ends[i]);
			close(of[own].fds[i]);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = atoi(argv[1]);
	must(rounds > 0 && rounds <= ROUNDS, "number of rounds: want 1..2001; that");
	compare("TLS_AES_128_GCM_SHA256");
	compare("TLS_AES_256_GCM_SHA384");
	compare("TLS_CHACHA20_POLY1305_SHA256");
	return 0;
}
