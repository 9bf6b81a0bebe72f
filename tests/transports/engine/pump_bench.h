/*
 * pump_bench.h: a pump between a packet socket, in the device's place, and a TLS socket pair whose other end is the test's.
 */
#ifndef VPN_TEST_PUMP_BENCH_H
#define VPN_TEST_PUMP_BENCH_H

#include "tls.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "own.h"

static char err[256];

struct bench {
	struct ve_tls *client, *server;
	int link[2];		/* the sockets of either */
	int device[2];		/* the pump's side, the kernel's side */
	struct ve_pump *pump;
};

static struct ve_tls *end(int fd, int server)
{
	struct ve_tls_context *context = ve_tls_context_new(server, 0, err, sizeof(err));
	struct ve_tls *tls;

	CHECK(context);
	if (server)
		identify(context);
	tls = ve_tls_new(context, fd, NULL, server ? NULL : "gateway.example", err, sizeof(err));
	CHECK(tls);
	ve_tls_context_free(context);
	return tls;
}

static void pairs(int type, int fds[2])
{
	CHECK(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}

static void open_bench(struct bench *b)
{
	int client = VE_ERROR, server = VE_ERROR;

	pairs(SOCK_STREAM, b->link);
	pairs(SOCK_SEQPACKET, b->device);
	b->client = end(b->link[0], 0);
	b->server = end(b->link[1], 1);
	for (int i = 0; i < 20 && (client != VE_OK || server != VE_OK); i++) {
		client = ve_tls_handshake(b->client);
		if (client == VE_WANT_TRUST)
			CHECK(ve_tls_trust(b->client, 1) == VE_OK);
		server = ve_tls_handshake(b->server);
		ve_tls_flush(b->server);
	}
	CHECK(client == VE_OK && server == VE_OK);
	b->pump = ve_pump_new(b->device[0], b->client, "cstp", 1400, NULL, 0, err, sizeof(err));
	CHECK(b->pump && ve_pump_start(b->pump) == VE_OK);
}

static void close_bench(struct bench *b)
{
	ve_pump_free(b->pump);
	ve_tls_free(b->client);
	ve_tls_free(b->server);
	for (int i = 0; i < 2; i++) {
		close(b->link[i]);
		close(b->device[i]);
	}
}

#endif
