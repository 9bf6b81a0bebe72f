/*
 * test_tls.c: both ends of a TLS connection in one thread, over a socket pair, for the sanitizers.
 *
 * Records by libssl and by ourselves: batching, back-pressure, new keys while data flows, another certificate in a renegotiation, damaged streams.
 */
#include "tls.h"
#include "tls_internal.h"

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "own.h"

enum { RECORD = 1400, TURNS = 40 };
enum { LIBSSL = 0, OURS = 1, CLIENT_OURS = 2, SERVER_OURS = 3 };	/* who makes the records */

static int records;
static const char *suite = "TLS_AES_256_GCM_SHA384";	/* of TLS 1.3 */

static char err[256];
static uint8_t data[VE_TLS_RECORD], got[VE_TLS_RECORD];

struct ends {
	struct ve_tls *client, *server;
	int fds[2];		/* client's, server's */
};

static struct ve_tls *end(int fd, int server, int version)
{
	struct ve_tls_context *context = ve_tls_context_new(server, 0, err, sizeof(err));
	struct ve_tls *tls;

	CHECK(context && ve_tls_context_versions(context, version, version) == VE_OK);
	CHECK(SSL_CTX_set_ciphersuites(context->ssl, suite) == 1);
	if (server)
		identify(context);
	tls = ve_tls_new(context, fd, NULL, server ? NULL : "gateway.example", err, sizeof(err));
	CHECK(tls);
	ve_tls_context_free(context);	/* the connection outlives it */
	return tls;
}

static void new_ends(struct ends *e, int version)
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, e->fds) == 0);
	e->client = end(e->fds[0], 0, version);
	e->server = end(e->fds[1], 1, version);
}

static void free_ends(struct ends *e)
{
	ve_tls_free(e->client);
	ve_tls_free(e->server);
	close(e->fds[0]);
	close(e->fds[1]);
}

static void open_ends(struct ends *e, int version)
{
	int client = VE_ERROR, server = VE_ERROR, asked = 0, can;

	new_ends(e, version);
	for (int i = 0; i < TURNS && (client != VE_OK || server != VE_OK); i++) {
		client = ve_tls_handshake(e->client);
		if (client == VE_WANT_TRUST) {
			CHECK(asked++ == 0 && ve_tls_verify_fault(e->client, 0) > 0);
			CHECK(ve_tls_handshake(e->client) == VE_WANT_TRUST);	/* it stays parked */
			CHECK(ve_tls_trust(e->client, 1) == VE_OK);
			CHECK(ve_tls_trust(e->client, 1) == VE_ERROR);
		}
		server = ve_tls_handshake(e->server);
	}
	CHECK(client == VE_OK && server == VE_OK && asked == 1);
	can = version == 0x0304 && !strstr(suite, "CCM") ? VE_OK : VE_ERROR;
	if (records == OURS || records == CLIENT_OURS)
		CHECK(ve_tls_take_over(e->client) == can);
	if (records == OURS || records == SERVER_OURS)
		CHECK(ve_tls_take_over(e->server) == can);
}

/* Reads what there is; returns the bytes, or the error. */
static int drain(struct ve_tls *tls)
{
	int total = 0, n;

	while ((n = ve_tls_read(tls, got, sizeof(got))) > 0)
		total += n;
	return n == VE_WANT_READ ? total : n;
}

static void test_many_records_a_call(int version)
{
	struct ends e;
	uint64_t sends, recvs;

	open_ends(&e, version);
	sends = ve_tls_send_calls(e.client);
	for (int i = 0; i < 80; i++)
		CHECK(ve_tls_write(e.client, data, RECORD) == RECORD);
	CHECK(ve_tls_send_calls(e.client) == sends);
	CHECK(ve_tls_flush(e.client) == VE_OK && ve_tls_send_calls(e.client) == sends + 1);
	recvs = ve_tls_recv_calls(e.server);
	for (int i = 0; i < 80; i++) {
		CHECK(ve_tls_read(e.server, got, sizeof(got)) == RECORD);	/* a record is a record */
		CHECK(ve_tls_has_input(e.server) == (i < 79));
	}
	CHECK(ve_tls_recv_calls(e.server) == recvs + 1);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == VE_WANT_READ);
	CHECK(ve_tls_write(e.client, data, 20) == 20 && ve_tls_flush(e.client) == VE_OK);
	CHECK(ve_tls_read(e.server, got, 8) == 8 && ve_tls_has_input(e.server));
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == 12 && !ve_tls_has_input(e.server));
	free_ends(&e);
}

static void test_a_full_buffer_takes_nothing(int version)
{
	struct ends e;
	size_t waiting;
	long sent = 0, received = 0;

	open_ends(&e, version);
	for (int i = 0; i < 400; i++) {
		int n = ve_tls_write(e.client, data, sizeof(data));

		if (n == VE_WANT_WRITE) {
			waiting = ve_tls_buffered_out(e.client);
			CHECK(ve_tls_write(e.client, data, sizeof(data)) == VE_WANT_WRITE);
			CHECK(ve_tls_buffered_out(e.client) == waiting && waiting > TLS_PIPE_OUT - 20000);
			CHECK(ve_tls_flush(e.client) != VE_ERROR);
			CHECK((n = drain(e.server)) >= 0);
			received += n;
			continue;
		}
		CHECK(n == VE_TLS_RECORD);
		sent += n;
	}
	while (ve_tls_buffered_out(e.client)) {
		int n;

		CHECK(ve_tls_flush(e.client) != VE_ERROR);
		CHECK((n = drain(e.server)) >= 0);
		received += n;
	}
	CHECK(sent == received && sent > 300L * VE_TLS_RECORD);
	free_ends(&e);
}

/* New keys from either side while both send; nothing is lost. */
static void test_new_keys_while_data_flows(int version)
{
	struct ends e;
	long sent[2] = {0}, received[2] = {0};

	open_ends(&e, version);
	for (int i = 0; i < 2000; i++) {
		struct ve_tls *tls = i % 2 ? e.client : e.server;
		int n;

		if (i % 100 == 50)
			CHECK(ve_tls_rekey(i % 200 == 50 ? e.client : e.server) == VE_OK);
		n = ve_tls_write(tls, data, (size_t)(1 + i * 7 % RECORD));
		CHECK(n > 0 || n == VE_WANT_READ);
		sent[i % 2] += n > 0 ? n : 0;
		CHECK(ve_tls_flush(tls) == VE_OK);
		if (i % 3 == 0) {
			CHECK((n = drain(e.client)) >= 0);
			received[0] += n;
			CHECK((n = drain(e.server)) >= 0);
			received[1] += n;
		}
	}
	for (int i = 0; i < TURNS; i++) {
		received[0] += drain(e.client);
		received[1] += drain(e.server);
	}
	CHECK(ve_tls_rekey_done(e.client) && ve_tls_rekey_done(e.server));
	CHECK(sent[0] == received[0] && sent[1] == received[1] && sent[0] > 100000 && sent[1] > 100000);
	free_ends(&e);
}

static void test_another_certificate_in_a_renegotiation(void)
{
	struct own own = make_own(EVP_EC_gen("P-256"));
	struct ends e;
	int n = 0;

	open_ends(&e, 0x0303);
	CHECK(SSL_use_cert_and_key(e.server->ssl, own.certificate, own.key, NULL, 1) == 1);
	CHECK(ve_tls_rekey(e.client) == VE_OK);
	for (int i = 0; i < TURNS && n != VE_ERROR; i++) {
		drain(e.server);
		n = ve_tls_read(e.client, got, sizeof(got));
	}
	CHECK(n == VE_ERROR && ve_tls_failure(e.client) == VE_TLS_REFUSED && strstr(ve_tls_error(e.client), "renegotiation"));
	CHECK(!ve_tls_rekey_done(e.client) && ve_tls_write(e.client, data, 1) == VE_ERROR);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == VE_ERROR && ve_tls_failure(e.server) == VE_TLS_ALERT);
	free_own(own);
	free_ends(&e);
}

static void test_the_end(int version)
{
	struct ends e;

	open_ends(&e, version);
	CHECK(ve_tls_write(e.client, data, 10) == 10);
	ve_tls_shutdown(e.client);
	CHECK(ve_tls_flush(e.client) == VE_OK);
	CHECK(ve_tls_write(e.client, data, 10) == VE_ERROR);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == 10);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == VE_EOF && ve_tls_read(e.server, got, 1) == VE_EOF);
	free_ends(&e);

	open_ends(&e, version);
	CHECK(ve_tls_write(e.client, data, 10) == 10 && ve_tls_flush(e.client) == VE_OK);
	CHECK(shutdown(e.fds[0], SHUT_WR) == 0);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == 10);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == VE_ERROR && ve_tls_failure(e.server) == VE_TLS_TRUNCATED);
	CHECK(ve_tls_read(e.server, got, sizeof(got)) == VE_ERROR);
	free_ends(&e);

	open_ends(&e, version);
	CHECK(ve_tls_write(e.server, data, 10) == 10 && ve_tls_flush(e.server) == VE_OK);
	CHECK(shutdown(e.fds[0], SHUT_WR) == 0 && shutdown(e.fds[1], SHUT_RD) == 0);
	CHECK(ve_tls_write(e.client, data, 10) == 10);
	CHECK(ve_tls_flush(e.client) == VE_ERROR && ve_tls_failure(e.client) == VE_TLS_RESET);	/* and no SIGPIPE */
	CHECK(ve_tls_read(e.client, got, sizeof(got)) == 10);	/* what came before can be read */
	free_ends(&e);
}

/* Moves what `from` sends through a damaging hand; the ends themselves talk to sockets of their own. */
static unsigned int seed;

static unsigned int chance(unsigned int below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % below;
}

static void relay(int from, int to, unsigned int damage)
{
	uint8_t bytes[4096];
	ssize_t n = recv(from, bytes, 1 + chance(sizeof(bytes)), MSG_DONTWAIT);

	if (n <= 0)
		return;
	if (damage && chance(damage) == 0)
		bytes[chance((unsigned int)n)] ^= (uint8_t)(1u << chance(8));
	CHECK(send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n);
}

/* A stream damaged anywhere ends in an error or goes on; it neither crashes nor hangs, and false data is never read. */
static void test_damage(int version, unsigned int damage)
{
	struct ends e;
	int client[2], server[2], n, m, trusted = 0, failed = 0;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, client) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, server) == 0);
	e.client = end(client[0], 0, version);
	e.server = end(server[0], 1, version);
	for (int i = 0; i < 300 && !failed; i++) {
		if ((n = ve_tls_handshake(e.client)) == VE_OK && (records == OURS || records == CLIENT_OURS))
			ve_tls_take_over(e.client);
		if (n == VE_WANT_TRUST)
			trusted = ve_tls_trust(e.client, 1) == VE_OK;
		failed |= n == VE_ERROR;
		if ((m = ve_tls_handshake(e.server)) == VE_OK && (records == OURS || records == SERVER_OURS))
			ve_tls_take_over(e.server);
		failed |= m == VE_ERROR;
		relay(client[1], server[1], damage);
		relay(server[1], client[1], damage);
		if (n == VE_OK && trusted && ve_tls_write(e.client, data, RECORD) > 0)
			ve_tls_flush(e.client);
		while ((n = ve_tls_read(e.server, got, sizeof(got))) > 0)
			CHECK(n == RECORD && memcmp(got, data, RECORD) == 0);
		if (n == VE_ERROR && ve_tls_failure(e.server) != VE_TLS_NO_FAILURE)
			failed = 1;
	}
	CHECK(damage || !failed);
	if (failed)
		CHECK(*ve_tls_error(e.client) || *ve_tls_error(e.server));
	ve_tls_free(e.client);
	ve_tls_free(e.server);
	for (int i = 0; i < 2; i++) {
		close(client[i]);
		close(server[i]);
	}
}

static void test_a_suite_that_is_not_ours(void)
{
	test_many_records_a_call(0x0304);
	test_new_keys_while_data_flows(0x0304);
	test_the_end(0x0304);
}

static void test_misuse(void)
{
	struct ends e;
	struct ve_tls_info info;

	new_ends(&e, 0);
	CHECK(ve_tls_read(e.client, got, 1) == VE_ERROR && ve_tls_write(e.client, data, 1) == VE_ERROR);
	CHECK(ve_tls_rekey(e.client) == VE_ERROR && ve_tls_trust(e.client, 1) == VE_ERROR);
	CHECK(ve_tls_export(e.client, "label", got, 32) == VE_ERROR && ve_tls_finished(e.client, got, 64) == VE_EMPTY);
	CHECK(ve_tls_peer_certificate(e.client, 0, got, sizeof(got)) == VE_EMPTY);
	CHECK(ve_tls_shutdown(e.client) == VE_OK && ve_tls_flush(e.client) == VE_OK);
	ve_tls_info(e.client, &info);
	CHECK(info.peer_chain == 0 && ve_tls_alert(e.client) == VE_EMPTY);
	free_ends(&e);
	ve_tls_free(NULL);
	ve_tls_context_free(NULL);
}

static void test_all(int version)
{
	test_many_records_a_call(version);
	test_a_full_buffer_takes_nothing(version);
	test_new_keys_while_data_flows(version);
	test_the_end(version);
	test_damage(version, 0);
	for (seed = 1; seed < 60 * 7919; seed += 7919) {
		unsigned int mine = seed;

		test_damage(version, 1 + seed % 7);
		seed = mine;
	}
}

int main(void)
{
	static const char *const suites[] = {
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
	};

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31);
	test_misuse();
	test_all(0x0303);
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		suite = suites[i];
		for (records = LIBSSL; records <= SERVER_OURS; records++)
			test_all(0x0304);
	}
	suite = "TLS_AES_128_CCM_SHA256";
	records = OURS;
	test_a_suite_that_is_not_ours();
	test_another_certificate_in_a_renegotiation();
	return 0;
}
