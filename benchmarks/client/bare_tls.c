/*
 * bare_tls.c: packets as records of one TLS stream, libssl on memory BIOs.  See bare.h.
 *
 *     packet -> SSL_write -> memory BIO -> one send of many records
 *     one recv of many records -> memory BIO -> SSL_read -> packet
 */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SEND = 256 << 10,		/* bytes of records that leave together, about */
	RECEIVE = 32 << 10,		/* bytes a recv; more leaves the nearest cache before it is decrypted */
	ARENA = 1 << 20,		/* bytes of packets between two deliveries */
	ROOM = 16 << 10			/* bytes of plaintext a record, at most */
};

static struct {
	struct bare_link link;
	SSL *ssl;
	BIO *in, *out;
	uint8_t packet[BARE_PACKET];	/* on its way out */
	uint8_t leaving[SEND + 65536], coming[RECEIVE], arena[ARENA];
	size_t left, sent;		/* bytes in leaving, and of those with the kernel */
	char about[64];
} tls;

noreturn static void die(const char *what)
{
	fprintf(stderr, "bench_bare: %s: ", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* 1: all is with the kernel; 0: it is full. */
static int tls_flush(struct bare_link *link)
{
	for (;;) {
		ssize_t done;

		if (tls.sent == tls.left) {
			int got = BIO_read(tls.out, tls.leaving, sizeof(tls.leaving));

			tls.sent = 0;
			tls.left = got > 0 ? (size_t)got : 0;
			if (!tls.left)
				return 1;
		}
		done = send(link->fd, tls.leaving + tls.sent, tls.left - tls.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == EAGAIN)
			return 0;
		if (done < 0)
			bare_die("send");
		tls.sent += (size_t)done;
	}
}

static uint8_t *tls_room(struct bare_link *link, size_t length)
{
	(void)length;
	return BIO_ctrl_pending(tls.out) < SEND || tls_flush(link) ? tls.packet : NULL;
}

static void tls_put(struct bare_link *link, size_t length)
{
	(void)link;
	if (SSL_write(tls.ssl, tls.packet, (int)length) != (int)length)
		die("SSL_write");
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* Every record that is whole; the memory BIO is empty then, and moves nothing at the next write. */
static void take_all(void)
{
	size_t used = 0;
	int got;

	for (;;) {
		if (ARENA - used < ROOM) {
			bare_deliver();
			used = 0;
		}
		got = SSL_read(tls.ssl, tls.arena + used, ROOM);
		if (got <= 0)
			break;
		if (bare_take(tls.arena + used, (size_t)got)) {
			bare_deliver();
			used = 0;
		} else {
			used += ((size_t)got + 63) & ~(size_t)63;
		}
	}
	if (SSL_get_error(tls.ssl, got) != SSL_ERROR_WANT_READ)
		die("SSL_read");
}

static int tls_receive(struct bare_link *link)
{
	ssize_t got = recv(link->fd, tls.coming, sizeof(tls.coming), MSG_DONTWAIT);

	if (got == 0)
		exit(0);	/* the other end was told to end */
	if (got < 0 && errno != EAGAIN)
		bare_die("recv");
	if (got < 0)
		return 0;
	if (BIO_write(tls.in, tls.coming, (int)got) != got)
		die("BIO_write");
	take_all();
	return 1;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void make_identity(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()) || SSL_CTX_use_certificate(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(context, key) != 1)
		die("certificate");
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void shake_hands(struct bare_link *link)
{
	for (;;) {
		int rc = SSL_do_handshake(tls.ssl);
		ssize_t got;

		while (!tls_flush(link))
			bare_wait(link->fd, POLLOUT);
		if (rc == 1)
			return;
		if (SSL_get_error(tls.ssl, rc) != SSL_ERROR_WANT_READ)
			die("handshake");
		bare_wait(link->fd, POLLIN);
		got = recv(link->fd, tls.coming, sizeof(tls.coming), MSG_DONTWAIT);
		if (got <= 0)
			bare_die("handshake");
		BIO_write(tls.in, tls.coming, (int)got);
	}
}

static int open_stream(int listening, const char *address, int port)
{
	int on = 1, fd = bare_socket(SOCK_STREAM, listening, address, port);

	if (listening) {
		int accepted;

		if (listen(fd, 1) || (accepted = accept(fd, NULL, NULL)) < 0)
			bare_die("accept");
		close(fd);
		fd = accepted;
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) || fcntl(fd, F_SETFL, O_NONBLOCK))
		bare_die("socket options");
	return fd;
}

struct bare_link *bare_tls(int listening, const char *address, int port)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());

	if (listening)
		make_identity(context);
	tls.link = (struct bare_link){.fd = open_stream(listening, address, port),
				      .room = tls_room,
				      .put = tls_put,
				      .flush = tls_flush,
				      .receive = tls_receive,
				      .about = tls.about};
	tls.ssl = SSL_new(context);
	tls.in = BIO_new(BIO_s_mem());
	tls.out = BIO_new(BIO_s_mem());
	SSL_set_bio(tls.ssl, tls.in, tls.out);
	if (listening)
		SSL_set_accept_state(tls.ssl);
	else
		SSL_set_connect_state(tls.ssl);
	shake_hands(&tls.link);
	snprintf(tls.about, sizeof(tls.about), "%s, %s", SSL_get_version(tls.ssl), SSL_get_cipher(tls.ssl));
	return &tls.link;
}
