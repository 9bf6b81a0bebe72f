/*
 * test_tls_record.c: records of TLS 1.3 without Python, for the sanitizers: vectors, limits, no allocation a record.
 *
 * Vectors: RFC 8448 section 3, both directions of its application data, from the traffic secrets on.
 */
#include "tls.h"
#include "tls_internal.h"

#include "crypto_check.h"

#include <sys/socket.h>
#include <unistd.h>

static const unsigned int suites[] = {0x1301, 0x1302, 0x1303};

enum { SUITES = sizeof(suites) / sizeof(suites[0]), RECORD = 1400 };

static uint8_t data[VE_TLS_RECORD], got[VE_TLS_RECORD];

/* ---- vectors ---- */

static void direction_of(struct tls_direction *direction, const char *secret, const char *iv, uint64_t sequence, int encrypt)
{
	uint8_t bytes[TLS13_SECRET], want[AEAD_NONCE];

	CHECK(unhex(secret, bytes) == 32 && unhex(iv, want) == AEAD_NONCE);
	CHECK(tls_direction_init(direction, tls13_suite(0x1301), bytes, sequence, encrypt));
	CHECK(!memcmp(direction->iv, want, AEAD_NONCE));
}

static void test_vectors(void)
{
	static const struct {
		const char *secret, *iv;
		uint64_t sequence;
		const char *data, *end;
	} sides[] = {
		{"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", "5b78923dee08579033e523d9", 0,
		 "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a"
		 "6292a2977014bd1e3deae63aeebb21694915e4", "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"},
		{"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", "cf782b88dd83549aadf1e984", 1,
		 "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2"
		 "e5f0a21c0047c2abf332540dd032e167c2955d", "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"},
	};
	uint8_t content[50], record[128], want[128], type;
	struct tls_direction seal, open;

	for (uint8_t i = 0; i < sizeof(content); i++)
		content[i] = i;
	for (size_t i = 0; i < 2; i++) {
		direction_of(&seal, sides[i].secret, sides[i].iv, sides[i].sequence, 1);
		direction_of(&open, sides[i].secret, sides[i].iv, sides[i].sequence, 0);
		CHECK(unhex(sides[i].data, want) == 72);
		CHECK(tls_record_seal(&seal, TLS_DATA, content, sizeof(content), record) == 72 && !memcmp(record, want, 72));
		CHECK(tls_record_look(want, 72) == 72 && tls_record_look(want, 71) == 0);
		CHECK(tls_record_open(&open, want, 72, &type) == 50 && type == TLS_DATA);
		CHECK(!memcmp(want + TLS_HEADER, content, sizeof(content)));
		CHECK(unhex(sides[i].end, want) == 24);
		CHECK(tls_record_seal(&seal, TLS_ALERT, (const uint8_t *)"\1", 2, record) == 24 && !memcmp(record, want, 24));
		CHECK(tls_record_open(&open, want, 24, &type) == 2 && type == TLS_ALERT);
		tls_direction_clear(&seal);
		tls_direction_clear(&open);
	}
}

/* ---- records of every length, damaged at every byte ---- */

static void init(struct tls_direction *direction, unsigned int suite, int encrypt)
{
	uint8_t secret[TLS13_SECRET];

	memset(secret, 0x5a, sizeof(secret));
	CHECK(tls_direction_init(direction, tls13_suite(suite), secret, 0, encrypt));
}

/* Opens a copy of exactly this size. */
static int open_exact(struct tls_direction *direction, const uint8_t *record, size_t size)
{
	uint8_t *exact = malloc(size), type;
	int length;

	CHECK(exact);
	memcpy(exact, record, size);
	length = tls_record_open(direction, exact, size, &type);
	if (length > 0)
		memcpy(got, exact + TLS_HEADER, (size_t)length);
	free(exact);
	return length;
}

static void test_every_length(unsigned int suite)
{
	struct tls_direction seal, open;

	init(&seal, suite, 1);
	init(&open, suite, 0);
	for (size_t length = 0; length <= TLS_PLAINTEXT; length += length < 600 ? 1 : 1973) {
		size_t size = length + TLS_OVERHEAD;
		uint8_t *exact = malloc(size);

		CHECK(exact && tls_record_seal(&seal, TLS_DATA, data, length, exact) == size);
		CHECK(open_exact(&open, exact, size) == (int)length && !memcmp(got, data, length));
		free(exact);
	}
	tls_direction_clear(&seal);
	tls_direction_clear(&open);
}

static void test_every_byte(unsigned int suite)
{
	struct tls_direction seal, open;
	uint8_t record[64 + TLS_OVERHEAD];

	init(&seal, suite, 1);
	init(&open, suite, 0);
	CHECK(tls_record_seal(&seal, TLS_DATA, data, 64, record) == sizeof(record));
	for (size_t i = 0; i < sizeof(record); i++) {
		record[i] ^= (uint8_t)(1u << i % 8);
		open.sequence = 0;
		CHECK(open_exact(&open, record, sizeof(record)) == TLS_NOT_GENUINE);
		record[i] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t size = TLS_HEADER; size < sizeof(record); size++) {
		open.sequence = 0;
		CHECK(open_exact(&open, record, size) == TLS_NOT_GENUINE);
	}
	open.sequence = 1;
	CHECK(open_exact(&open, record, sizeof(record)) == TLS_NOT_GENUINE);
	open.sequence = 0;
	CHECK(open_exact(&open, record, sizeof(record)) == 64);	/* a failure leaves nothing behind */
	tls_direction_clear(&seal);
	tls_direction_clear(&open);
}

static void test_new_secrets(unsigned int suite)
{
	struct tls_direction seal, open;
	uint8_t old[TLS13_SECRET], record[RECORD + TLS_OVERHEAD];

	init(&seal, suite, 1);
	init(&open, suite, 0);
	for (int i = 0; i < 5; i++) {
		memcpy(old, seal.secret, sizeof(old));
		CHECK(tls_record_seal(&seal, TLS_DATA, data, RECORD, record) == sizeof(record));
		CHECK(open_exact(&open, record, sizeof(record)) == RECORD);
		CHECK(tls_direction_update(&seal) && memcmp(old, seal.secret, seal.suite->secret) && seal.sequence == 0);
		CHECK(tls_record_seal(&seal, TLS_DATA, data, RECORD, record) == sizeof(record));
		open.sequence = 0;
		CHECK(open_exact(&open, record, sizeof(record)) == TLS_NOT_GENUINE);
		CHECK(tls_direction_update(&open) && open_exact(&open, record, sizeof(record)) == RECORD);
	}
	tls_direction_clear(&seal);
	CHECK(!seal.gcm && !seal.libcrypto && !seal.secret[0] && !seal.iv[0]);
	tls_direction_clear(&open);
}

/* ---- connections ---- */

struct pair {
	struct ve_tls *client, *server;
	int fds[2];
};

static void open_pair(struct pair *p, unsigned int suite)
{
	uint8_t client[TLS13_SECRET], server[TLS13_SECRET];

	memset(client, 1, sizeof(client));
	memset(server, 2, sizeof(server));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds) == 0);
	p->client = tls_from_secrets(p->fds[0], 0, suite, client, server);
	p->server = tls_from_secrets(p->fds[1], 1, suite, client, server);
	CHECK(p->client && p->server);
}

static void close_pair(struct pair *p)
{
	ve_tls_free(p->client);
	ve_tls_free(p->server);
	close(p->fds[0]);
	close(p->fds[1]);
}

static void move(struct ve_tls *from, struct ve_tls *to)
{
	CHECK(ve_tls_write(from, data, RECORD) == RECORD && ve_tls_flush(from) == VE_OK);
	CHECK(ve_tls_read(to, got, sizeof(got)) == RECORD && !memcmp(got, data, RECORD));
}

static void test_no_allocation(unsigned int suite)
{
	struct pair p;
	size_t before;

	open_pair(&p, suite);
	move(p.client, p.server);
	move(p.server, p.client);
	before = allocations;
	for (int i = 0; i < 100; i++) {
		move(p.client, p.server);
		move(p.server, p.client);
	}
	CHECK(allocations == before);
	close_pair(&p);
}

/* A key is replaced before it has protected too much, and the peer follows. */
static void test_a_key_wears_out(unsigned int suite)
{
	struct pair p;
	uint8_t secret[TLS13_SECRET];

	open_pair(&p, suite);
	CHECK(p.client->taken.rekey_after == (uint64_t)1 << 24);
	p.client->taken.rekey_after = 100;
	for (int i = 0; i < 1000; i++) {
		memcpy(secret, p.client->taken.out.secret, sizeof(secret));
		move(p.client, p.server);
		CHECK(p.client->taken.out.sequence == (uint64_t)(1 + i % 100));
		CHECK(!memcmp(secret, p.client->taken.out.secret, sizeof(secret)) == (i == 0 || i % 100 != 0));
	}
	CHECK(!memcmp(p.client->taken.out.secret, p.server->taken.in.secret, TLS13_SECRET));
	CHECK(p.server->taken.updates == 0);	/* data has paid for all */
	close_pair(&p);
}

static void test_records(void)
{
	test_vectors();
	for (size_t i = 0; i < SUITES; i++) {
		test_every_length(suites[i]);
		test_every_byte(suites[i]);
		test_new_secrets(suites[i]);
		test_no_allocation(suites[i]);
		test_a_key_wears_out(suites[i]);
	}
}

int main(void)
{
	count_allocations();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31);
	for (int multi_buffer = 1; multi_buffer >= 0; multi_buffer--) {
		gcm_allow(multi_buffer);
		test_records();
	}
	CHECK(allocations > 0 && !tls13_suite(0x1304) && !tls13_suite(0x009c));
	return 0;
}
