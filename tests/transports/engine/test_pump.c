/*
 * test_pump.c: the pump's thread against a peer on a TLS socket pair, for the sanitizers.
 *
 * The peer runs in the main thread.  Bulk both ways with control frames between, statistics read all the while, then an
 * orderly stop; and a stream that breaks.
 */
#include "tls.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum {
	PACKETS = 2000,
	LENGTH = 1400,
	FRAME = 8 + LENGTH,
	WINDOW = 50		/* packets on the way to the host: what its side holds without loss */
};

static char err[256];
static uint8_t frame[65536], packet[65536];

struct bench {
	struct ve_tls *client, *server;
	int link[2];		/* the sockets of either */
	int device[2];		/* the pump's side, the kernel's side */
	struct ve_pump *pump;
};

static void identity(struct ve_tls_context *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	PKCS8_PRIV_KEY_INFO *info;
	uint8_t *leaf = NULL, *pkcs8 = NULL;
	int leaf_length, key_length;

	CHECK(key && certificate && X509_set_version(certificate, 2) && X509_set_pubkey(certificate, key));
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
	info = EVP_PKEY2PKCS8(key);
	leaf_length = i2d_X509(certificate, &leaf);
	key_length = i2d_PKCS8_PRIV_KEY_INFO(info, &pkcs8);
	CHECK(ve_tls_context_identity(context, leaf, (size_t)leaf_length, pkcs8, (size_t)key_length) == VE_OK);
	OPENSSL_free(leaf);
	OPENSSL_free(pkcs8);
	PKCS8_PRIV_KEY_INFO_free(info);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static struct ve_tls *end(int fd, int server)
{
	struct ve_tls_context *context = ve_tls_context_new(server, err, sizeof(err));
	struct ve_tls *tls;

	CHECK(context);
	if (server)
		identity(context);
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

static void wait_a_moment(const struct bench *b)
{
	struct pollfd fds[] = {
		{.fd = b->link[1], .events = POLLIN},
		{.fd = b->device[1], .events = POLLIN},
		{.fd = ve_pump_event_fd(b->pump), .events = POLLIN},
	};

	poll(fds, 3, 5);
}

/* The peer's reading: every record is one frame, data in order. */
static void read_link(struct bench *b, unsigned int *packets, unsigned int *controls)
{
	int got;

	while ((got = ve_tls_read(b->server, packet, sizeof(packet))) > 0) {
		CHECK(got >= 8 && !memcmp(packet, MAGIC, 4));
		if (packet[6] == 0) {
			CHECK(got == FRAME && packet[12] == (uint8_t)(*packets >> 8) && packet[13] == (uint8_t)*packets);
			++*packets;
		} else {
			++*controls;
		}
	}
	CHECK(got == VE_WANT_READ);
}

static void test_bulk_both_ways(void)
{
	unsigned int sent_up = 0, sent_down = 0, up = 0, down = 0, controls = 0, asked = 0, heard = 0;
	static struct ve_control control;
	struct ve_pump_stats stats;
	struct bench b;

	open_bench(&b);
	while (up < PACKETS || down < PACKETS || controls < asked) {
		for (; sent_down < PACKETS && sent_down - down < WINDOW; sent_down++) {	/* gateway to host */
			make_ipv4(frame + 8, LENGTH, sent_down);
			make_frame(frame, 0, frame + 8, LENGTH);
			if (ve_tls_write(b.server, frame, FRAME) != FRAME)
				break;
			if (sent_down % 100 == 0 && ve_tls_write(b.server, frame, make_frame(frame, 3, "x", 1)) <= 0)
				continue;
		}
		CHECK(ve_tls_flush(b.server) != VE_ERROR);
		for (; sent_up < PACKETS; sent_up++) {		/* host to gateway */
			make_ipv4(packet, LENGTH, sent_up);
			if (write(b.device[1], packet, LENGTH) != LENGTH)
				break;
			if (sent_up % 100 == 0)
				asked += ve_pump_send_control(b.pump, 0, 7, NULL, 0) == VE_OK;
		}
		read_link(&b, &up, &controls);
		for (; read(b.device[1], packet, sizeof(packet)) == LENGTH; down++)
			CHECK(packet[4] == (uint8_t)(down >> 8) && packet[5] == (uint8_t)down);
		while (ve_pump_next_control(b.pump, 0, &control) == VE_OK)
			heard += control.kind == 3;
		ve_pump_stats(b.pump, &stats);
		wait_a_moment(&b);
	}
	ve_pump_set_mtu(b.pump, 1300);
	ve_pump_stop(b.pump, 1000);
	ve_pump_stats(b.pump, &stats);
	CHECK(stats.tx_packets == PACKETS && stats.tx_bytes == (uint64_t)PACKETS * LENGTH);
	CHECK(stats.rx_packets == PACKETS && stats.sink.in_place == PACKETS && stats.sink.dropped_full == 0);
	CHECK(stats.tx_controls == asked && heard > 0);
	close_bench(&b);
}

static void test_a_broken_stream_ends_it(void)
{
	char text[256];
	struct bench b;
	int event = 0;

	open_bench(&b);
	CHECK(ve_tls_write(b.server, (const uint8_t *)"no cstp at all", 14) == 14);
	CHECK(ve_tls_flush(b.server) == VE_OK);
	while (ve_pump_next_event(b.pump, &event, text, sizeof(text)) != VE_OK)
		wait_a_moment(&b);
	CHECK(event == VE_EVENT_STREAM_BROKEN && strstr(text, "cstp magic"));
	close_bench(&b);	/* stops it as well */
}

int main(void)
{
	test_bulk_both_ways();
	test_a_broken_stream_ends_it();
	return 0;
}
