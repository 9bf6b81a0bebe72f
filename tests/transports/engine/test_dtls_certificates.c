/*
 * test_dtls_certificates.c: both ends of a DTLS handshake with certificates, datagrams in memory, for the sanitizers.
 *
 * Every suite's kind, both versions; what happens around the judgement; every cut of every datagram; settings that cannot be.
 * Every datagram handed in is allocated to its exact size, so that a byte too far is seen.
 */
#include "dtls_internal.h"

#include <openssl/evp.h>

#include "check.h"
#include "own.h"

enum { DATAGRAM = 20000, TURNS = 60 };

static char err[256];

struct ends {
	struct ve_dtls *client, *server;
	int client_result, server_result;
	int cut;		/* each datagram comes in every shorter length first */
	int faults;		/* of the certificate that was judged */
	int accept;
};

static struct ve_dtls_settings settings(int server, int version, const char *ciphers, struct ve_tls_context *context)
{
	return (struct ve_dtls_settings){
		.server = server, .mode = VE_DTLS_CERTIFICATE, .version = version, .ciphers = ciphers, .mtu = 1200,
		.retransmit_ms = 60000, .retransmit_most_ms = 60000, .context = context,
		.server_name = server ? NULL : "gateway.example", .verify_name = server ? NULL : "gateway.example",
	};
}

static struct ve_dtls *end(int server, int version, const char *ciphers, int rsa, size_t mtu)
{
	struct ve_tls_context *context = ve_tls_context_new(server, 1, err, sizeof(err));
	struct ve_dtls_settings wanted = settings(server, version, ciphers, context);
	struct ve_dtls *dtls;

	CHECK(context);
	wanted.mtu = mtu;
	if (server)
		identify_with(context, rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
	dtls = ve_dtls_new(&wanted, err, sizeof(err));
	CHECK(dtls);
	ve_tls_context_free(context);	/* the association outlives it */
	return dtls;
}

static struct ends ends_of(int version, const char *ciphers, int rsa)
{
	return (struct ends){
		.client = end(0, version, ciphers, rsa, 1200), .server = end(1, version, ciphers, rsa, 1200), .accept = 1,
		.client_result = VE_WANT_READ, .server_result = VE_WANT_READ,
	};
}

static void free_ends(struct ends *e)
{
	ve_dtls_free(e->client);
	ve_dtls_free(e->server);
}

static int feed_exact(struct ve_dtls *dtls, const uint8_t *datagram, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);
	int result;

	CHECK(exact);
	memcpy(exact, datagram, length);
	result = ve_dtls_feed(dtls, exact, length);
	free(exact);
	return result;
}

static void judge(struct ends *e)
{
	uint8_t leaf[2048];

	CHECK(ve_dtls_timeout(e->client) == VE_EMPTY);
	CHECK(ve_dtls_peer_certificate(e->client, leaf, 1) == VE_FULL);
	CHECK(ve_dtls_peer_certificate(e->client, leaf, sizeof(leaf)) > 100);
	while (ve_dtls_verify_fault(e->client, (size_t)e->faults) > 0)
		e->faults++;
	CHECK(feed_exact(e->client, leaf, 100) == VE_WANT_TRUST);	/* dropped, whatever it is */
	e->client_result = ve_dtls_trust(e->client, e->accept);
	CHECK(ve_dtls_trust(e->client, 1) == VE_ERROR);		/* there is nothing more to judge */
}

static void move(struct ends *e, int to_server)
{
	struct ve_dtls *from = to_server ? e->client : e->server, *to = to_server ? e->server : e->client;
	int *result = to_server ? &e->server_result : &e->client_result;
	uint8_t datagram[DATAGRAM];
	int length;

	while ((length = ve_dtls_outgoing(from, datagram, sizeof(datagram))) > 0) {
		for (int part = e->cut ? 0 : length; part <= length && *result == VE_WANT_READ; part++) {
			*result = feed_exact(to, datagram, (size_t)part);
			if (*result == VE_WANT_TRUST)
				judge(e);
		}
	}
	CHECK(length == VE_EMPTY);
}

static void shake(struct ends *e)
{
	CHECK(ve_dtls_start(e->client) == VE_WANT_READ && ve_dtls_start(e->server) == VE_WANT_READ);
	for (int turn = 0; turn < TURNS; turn++)
		move(e, turn % 2 == 0);
}

static void say(struct ve_dtls *from, struct ve_dtls *to, size_t length)
{
	size_t head = ve_dtls_head(from), size = head + length + ve_dtls_tail(from), used;
	uint8_t *record = malloc(size), *payload;
	int sealed;

	CHECK(record);
	memset(record + head, (int)length, length);
	sealed = ve_dtls_seal(from, record, length, size);
	CHECK(sealed > 0);
	CHECK(ve_dtls_open(to, record, (size_t)sealed, &used, &payload) == (int)length && used == (size_t)sealed);
	CHECK(length == 0 || (payload[0] == (uint8_t)length && payload[length - 1] == (uint8_t)length));
	free(record);
}

/* Of a record that is damaged anywhere, or has a body of any length, nothing is left but a count. */
static void forge(struct ve_dtls *from, struct ve_dtls *to)
{
	uint8_t record[256], forged[256], *payload;
	size_t head = ve_dtls_head(from), used;
	int sealed;

	memset(record + head, 7, 60);
	sealed = ve_dtls_seal(from, record, 60, sizeof(record));
	CHECK(sealed > 0);
	for (int i = 0; i < sealed; i++) {
		memcpy(forged, record, (size_t)sealed);
		forged[i] ^= 0x11;
		CHECK(ve_dtls_open(to, forged, (size_t)sealed, &used, &payload) == VE_EMPTY);
	}
	for (int body = 0; body < 100; body++) {
		memset(forged, 0x5a, sizeof(forged));
		memcpy(forged, record, DTLS_HEADER - 2);
		forged[10] = (uint8_t)(100 + body);	/* a number of its own */
		forged[11] = 0;
		forged[12] = (uint8_t)body;
		CHECK(ve_dtls_open(to, forged, (size_t)(DTLS_HEADER + body), &used, &payload) == VE_EMPTY);
	}
	CHECK(ve_dtls_open(to, record, (size_t)sealed, &used, &payload) == 60 && payload[59] == 7);
}

static void goodbye(struct ends *e)
{
	uint8_t record[256], *payload;
	size_t used;
	int length = ve_dtls_close(e->client, record, sizeof(record));

	CHECK(length > 0 && ve_dtls_open(e->server, record, (size_t)length, &used, &payload) == VE_EOF);
}

static void test_kinds(int cut)
{
	static const struct {
		int version;
		const char *ciphers;
		int rsa, own;
	} kinds[] = {
		{VE_DTLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0, 1},
		{VE_DTLS_12, "ECDHE-ECDSA-CHACHA20-POLY1305", 0, 1},
		{VE_DTLS_12, "AES256-GCM-SHA384", 1, 1},
		{VE_DTLS_12, "ECDHE-ECDSA-AES128-SHA", 0, 0},
		{VE_DTLS_10, "ECDHE-RSA-AES128-SHA:AES128-SHA", 1, 0},
		{VE_DTLS_10, "ECDHE-ECDSA-AES256-SHA", 0, 0},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct ends e = ends_of(kinds[i].version, kinds[i].ciphers, kinds[i].rsa);
		struct ve_dtls_info info;

		e.cut = cut;
		shake(&e);
		CHECK(e.client_result == VE_OK && e.server_result == VE_OK);
		CHECK(e.faults >= 2);		/* nobody vouches for it, and it has no name */
		ve_dtls_info(e.client, &info);
		CHECK((int)info.own_records == kinds[i].own && !info.resumed);
		CHECK(!strcmp(info.version, kinds[i].version == VE_DTLS_12 ? "DTLSv1.2" : "DTLSv1"));
		forge(e.client, e.server);
		forge(e.server, e.client);
		for (size_t length = 1; length < 1500; length += 13) {
			say(e.client, e.server, length);
			say(e.server, e.client, length);
		}
		CHECK(ve_dtls_feed(e.client, NULL, 0) == VE_ERROR && ve_dtls_trust(e.client, 1) == VE_ERROR);
		goodbye(&e);
		free_ends(&e);
	}
}

static void test_refused(void)
{
	struct ends e = ends_of(VE_DTLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0);

	e.accept = 0;
	shake(&e);
	CHECK(e.client_result == VE_ERROR && ve_dtls_failure(e.client) == VE_DTLS_REFUSED);
	CHECK(!strcmp(ve_dtls_error(e.client), "certificate: refused"));
	CHECK(e.server_result == VE_ERROR && ve_dtls_failure(e.server) == VE_DTLS_ALERT && ve_dtls_alert(e.server) > 0);
	CHECK(ve_dtls_start(e.client) == VE_ERROR && ve_dtls_feed(e.client, NULL, 0) == VE_ERROR);
	free_ends(&e);
}

/* It comes at the end of a flight, or before what else is in its datagram: nothing of that is lost. */
static void test_sizes_of_datagrams(void)
{
	static const size_t sizes[] = {256, 300, 400, 700, 1200, 1500, 9000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ends e = ends_of(VE_DTLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0);

		ve_dtls_free(e.server);
		e.server = end(1, VE_DTLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0, sizes[i]);
		shake(&e);
		CHECK(e.client_result == VE_OK && e.server_result == VE_OK);
		say(e.client, e.server, 100);
		free_ends(&e);
	}
}

/* Freed at any moment: while it listens, while it is parked with the rest of a datagram, when it is done. */
static void test_freed_at_any_moment(void)
{
	for (int turns = 0; turns < 8; turns++) {
		struct ends e = ends_of(VE_DTLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0);
		uint8_t datagram[DATAGRAM];
		int length;

		CHECK(ve_dtls_start(e.client) == VE_WANT_READ);
		for (int turn = 0; turn < turns; turn++)
			while ((length = ve_dtls_outgoing(turn % 2 ? e.server : e.client, datagram, sizeof(datagram))) > 0)
				feed_exact(turn % 2 ? e.client : e.server, datagram, (size_t)length);
		if (turns >= 4)
			CHECK(e.client->judged.trust == PARKED && e.client->rest_length > 0);
		free_ends(&e);
	}
}

static void test_the_cookie(void)
{
	struct ends e = ends_of(VE_DTLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0);
	uint8_t hello[DATAGRAM], answer[DATAGRAM], same[DATAGRAM];
	int length, first;

	CHECK(ve_dtls_start(e.client) == VE_WANT_READ);
	length = ve_dtls_outgoing(e.client, hello, sizeof(hello));
	CHECK(length > 0);
	for (int shorter = 0; shorter < length; shorter++)
		CHECK(feed_exact(e.server, hello, (size_t)shorter) == VE_WANT_READ && e.server->listening);
	while (ve_dtls_outgoing(e.server, answer, sizeof(answer)) > 0)
		;
	CHECK(feed_exact(e.server, hello, (size_t)length) == VE_WANT_READ);
	first = ve_dtls_outgoing(e.server, answer, sizeof(answer));
	CHECK(first > 0 && first < length && ve_dtls_outgoing(e.server, same, sizeof(same)) == VE_EMPTY);
	CHECK(feed_exact(e.server, hello, (size_t)length) == VE_WANT_READ);
	CHECK(ve_dtls_outgoing(e.server, same, sizeof(same)) == first && !memcmp(answer + 28, same + 28, (size_t)first - 28));
	answer[first - 1] ^= 1;			/* another cookie comes back: asked again */
	CHECK(feed_exact(e.client, answer, (size_t)first) == VE_WANT_READ);
	length = ve_dtls_outgoing(e.client, hello, sizeof(hello));
	CHECK(length > 0 && feed_exact(e.server, hello, (size_t)length) == VE_WANT_READ && e.server->listening);
	free_ends(&e);
}

static void refused_settings(struct ve_dtls_settings wanted, const char *text)
{
	CHECK(!ve_dtls_new(&wanted, err, sizeof(err)));
	if (strcmp(err, text))
		fprintf(stderr, "got \"%s\", want \"%s\"\n", err, text);
	CHECK(!strcmp(err, text));
}

static void test_settings(void)
{
	static const char suites[] = "ECDHE-ECDSA-AES128-GCM-SHA256";
	struct ve_tls_context *context = ve_tls_context_new(0, 1, err, sizeof(err));
	struct ve_tls_context *server = ve_tls_context_new(1, 1, err, sizeof(err));
	struct ve_tls_context *stream = ve_tls_context_new(0, 0, err, sizeof(err));
	struct ve_dtls_settings wanted = settings(0, VE_DTLS_12, suites, context);

	refused_settings(settings(0, VE_DTLS_12, suites, NULL), "dtls context: want one for datagrams");
	refused_settings(settings(0, VE_DTLS_12, suites, stream), "dtls context: want one for datagrams");
	refused_settings(settings(0, VE_DTLS_12, suites, server), "dtls context: want one for this side");
	refused_settings(settings(0, VE_DTLS_CISCO, suites, context), "dtls version: 0.9 is for clients that resume");
	refused_settings(settings(0, 0xfefc, suites, context), "dtls version: want 0xfefd, 0xfeff or 0x0100");
	refused_settings(settings(0, VE_DTLS_12, "nonsense", context), "dtls: no cipher match");
	wanted.verify_name = ".example";
	refused_settings(wanted, "tls: no name to verify");
	wanted.verify_name = NULL;
	refused_settings(wanted, "tls: no name to verify");
	wanted.secret = (const uint8_t *)"x";
	wanted.secret_length = 1;
	refused_settings(wanted, "dtls secret: certificates want none, and no session id");
	wanted.mode = VE_DTLS_PSK;
	wanted.version = VE_DTLS_10;
	refused_settings(wanted, "dtls version: 1.0 is for certificates");
	CHECK(!ve_tls_new(context, 0, NULL, "gateway.example", err, sizeof(err)));
	CHECK(!strcmp(err, "tls: the context is for datagrams"));
	ve_tls_context_free(context);
	ve_tls_context_free(server);
	ve_tls_context_free(stream);
}

int main(void)
{
	test_kinds(0);
	test_kinds(1);
	test_refused();
	test_sizes_of_datagrams();
	test_freed_at_any_moment();
	test_the_cookie();
	test_settings();
	return 0;
}
