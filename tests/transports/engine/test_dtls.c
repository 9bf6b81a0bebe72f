/*
 * test_dtls.c: DTLS records without Python, for the sanitizers: vectors, every length, the window, no allocation a packet.
 *
 * Every datagram handed in is allocated to its exact size, so that a byte too far is seen.
 * Vectors: AnyConnect notes, section 14 (V3, V4, V6).
 */
#include "../../../transports/engine/dtls_internal.h"

#include "crypto_check.h"

static const struct {
	int cipher;
	const char *digest;
	size_t head;
} suites[] = {
	{NID_aes_128_gcm, "SHA2-256", 21},
	{NID_aes_256_gcm, "SHA2-384", 21},
	{NID_chacha20_poly1305, "SHA2-256", 13},
};

enum { SUITES = sizeof(suites) / sizeof(suites[0]) };

static struct dtls_secrets secrets_of(size_t suite, int server)
{
	struct dtls_secrets secrets = {
		.server = server, .cipher = suites[suite].cipher, .digest = suites[suite].digest, .sequence = 1,
		.nonce = UINT64_MAX - 1,	/* comes around in these tests */
	};

	memset(secrets.master, 0x33, sizeof(secrets.master));
	memset(secrets.client_random, 0xc1, sizeof(secrets.client_random));
	memset(secrets.server_random, 0x5e, sizeof(secrets.server_random));
	return secrets;
}

static struct ve_dtls *end(size_t suite, int server)
{
	struct dtls_secrets secrets = secrets_of(suite, server);
	struct ve_dtls *dtls = dtls_from_secrets(&secrets);

	CHECK(dtls);
	return dtls;
}

static struct ve_dtls_stats stats_of(struct ve_dtls *dtls)
{
	struct ve_dtls_stats stats;

	ve_dtls_stats(dtls, &stats);
	return stats;
}

/* Opens a copy of exactly this size; the payload goes to out. */
static int open_exact(struct ve_dtls *dtls, const uint8_t *datagram, size_t length, uint8_t *out)
{
	uint8_t *exact = malloc(length ? length : 1), *payload;
	size_t used;
	int got;

	CHECK(exact);
	memcpy(exact, datagram, length);
	got = ve_dtls_open(dtls, exact, length, &used, &payload);
	CHECK(used <= length && (used || !length || got == VE_EMPTY));
	if (got > 0)
		memcpy(out, payload, (size_t)got);
	free(exact);
	return got;
}

/* ---- vectors ---- */

static void test_v3(void)
{
	struct dtls_secrets secrets = {
		.cipher = NID_aes_128_gcm, .digest = "SHA2-256", .sequence = 1, .nonce = 0x0001000000000001,
	};
	uint8_t want[64], record[64], out[64];
	struct ve_dtls *client, *server;

	unhex("70a3e0d28e0461652171a5cfc5c5152042551d7356fa7f867bdf749dac32097803be34352724a4c07faa16e55fb8d2d6",
	      secrets.master);
	memset(secrets.client_random, 0xc1, DTLS_RANDOM);
	memset(secrets.server_random, 0x5e, DTLS_RANDOM);
	client = dtls_from_secrets(&secrets);
	secrets.server = 1;
	server = dtls_from_secrets(&secrets);
	CHECK(client && server);
	CHECK(unhex("17fefd000100000000000100190001000000000001db1c79d7f179d297c588cf0bc74e953e4b", want) == 38);
	record[21] = 3;
	CHECK(ve_dtls_seal(client, record, 1, 37) == VE_FULL);
	CHECK(ve_dtls_seal(client, record, 1, 38) == 38 && !memcmp(record, want, 38));
	CHECK(open_exact(server, want, 38, out) == 1 && out[0] == 3);
	ve_dtls_free(client);
	ve_dtls_free(server);
}

static void test_v4(void)
{
	uint8_t id[32], master[48], der[DTLS_SESSION_DER], want[DTLS_SESSION_DER];

	memset(id, 0xaa, sizeof(id));
	memset(master, 0xbb, sizeof(master));
	unhex("3060020101020300fefd0402009c0420", want);
	memcpy(want + 16, id, 32);
	memcpy(want + 48, "\x04\x30", 2);
	memcpy(want + 50, master, 48);
	CHECK(dtls_forge(der, VE_DTLS_12, 0x009c, id, 32, master) == 98 && !memcmp(der, want, 98));
	unhex("305f020101020201000402002f0420", want);
	memcpy(want + 15, id, 32);
	memcpy(want + 47, "\x04\x30", 2);
	memcpy(want + 49, master, 48);
	CHECK(dtls_forge(der, VE_DTLS_CISCO, 0x002f, id, 32, master) == 97 && !memcmp(der, want, 97));
}

#define V6_SERVER "16fefd0001000000000000003000010000000000009afaeeca015764687b0b452b2979adb3be6c553c753afb1a5e17a687619df6df8c496c" \
	"89381d621f"
#define V6_CLIENT "16fefd00010000000000000030000100000000000054ee754db76c862584a781d983ff4a96a906330f847e97cc239513778915b45ee59a9d" \
	"fa29a206a0"

/* Both Finished messages of the capture are made again, byte by byte. */
static void test_v6(void)
{
	static const struct {
		const char *record, *finished;
	} sides[] = {
		{V6_CLIENT, "1400000c000100000000000c616cfd0f7fede7e70d98f760"},
		{V6_SERVER, "1400000c000100000000000cd9b0b5548839520277446684"},
	};
	struct dtls_secrets secrets = {
		.cipher = NID_aes_128_gcm, .digest = "SHA2-256", .nonce = 0x0001000000000000,
	};
	uint8_t want[64], plain[32], record[80];
	struct dtls_header header;
	struct dtls_aead aead;

	unhex("4ebbe40b062616bac8c4bf8a9871059e32bd5f804f12f2086a177c4e98021917564c55ee5d264a55e6e18b39eafa39d2",
	      secrets.master);
	unhex("987dc59bac17ab3e0b1a9cbeeb882f689ed06bb495fa9850ddfb2f027d96d0eb", secrets.client_random);
	unhex("405e39c8b09164b31b5055a82a012129ba02af950761814e6e0e0dbf3ae583f8", secrets.server_random);
	for (secrets.server = 0; secrets.server < 2; secrets.server++) {
		CHECK(unhex(sides[secrets.server].record, want) == 61);
		CHECK(unhex(sides[secrets.server].finished, plain) == 24);
		CHECK(dtls_aead_init(&aead, &secrets));
		memcpy(record + 21, plain, 24);
		CHECK(dtls_aead_seal(&aead, DTLS_HANDSHAKE, record, 24) == 61 && !memcmp(record, want, 61));
		dtls_aead_clear(&aead);
		unhex(sides[!secrets.server].record, record);
		unhex(sides[!secrets.server].finished, plain);
		CHECK(dtls_aead_init(&aead, &secrets));
		dtls_header_get(&header, record);
		CHECK(header.epoch == 1 && header.sequence == 0);
		CHECK(dtls_aead_open(&aead, &header, record) == 24 && !memcmp(record + 21, plain, 24));
		dtls_aead_clear(&aead);
	}
}

/* ---- both ways ---- */

static void round_trip(struct ve_dtls *from, struct ve_dtls *to, size_t length)
{
	size_t head = ve_dtls_head(from), whole = head + length + ve_dtls_tail(from);
	uint8_t *record = malloc(whole), *payload;
	size_t used;

	CHECK(record);
	memset(record + head, (int)length, length);
	CHECK(ve_dtls_seal(from, record, length, whole) == (int)whole);
	CHECK(ve_dtls_open(to, record, whole, &used, &payload) == (int)length);
	CHECK(used == whole && payload == record + head);
	for (size_t i = 0; i < length; i++)
		CHECK(payload[i] == (uint8_t)length);
	free(record);
}

static void test_every_length_of_every_suite(void)
{
	for (size_t i = 0; i < SUITES; i++) {
		struct ve_dtls *client = end(i, 0), *server = end(i, 1);

		CHECK(ve_dtls_head(client) == suites[i].head && ve_dtls_tail(client) == 16);
		for (size_t length = 0; length < 200; length++) {
			round_trip(client, server, length);
			round_trip(server, client, length);
		}
		round_trip(client, server, 1400);
		round_trip(client, server, VE_DTLS_PAYLOAD);
		CHECK(stats_of(server).records_in == 202 && stats_of(client).records_out == 202);
		ve_dtls_free(client);
		ve_dtls_free(server);
	}
}

static void test_no_allocation_a_packet(void)
{
	for (size_t i = 0; i < SUITES; i++) {
		struct ve_dtls *client = end(i, 0), *server = end(i, 1);
		uint8_t record[1500], *payload;
		size_t before, used;

		memset(record, 1, sizeof(record));
		for (int n = 0; n < 200; n++) {
			int length = ve_dtls_seal(client, record, 1400, sizeof(record));

			CHECK(length > 0 && ve_dtls_open(server, record, (size_t)length, &used, &payload) == 1400);
			if (n == 0)
				before = allocations;
			CHECK(allocations == before);
		}
		ve_dtls_free(client);
		ve_dtls_free(server);
	}
}

/* Every bit, and every length that is too short: nothing is taken for genuine, and nothing is left of the window's innocence. */
static void test_bits_and_cuts(void)
{
	for (size_t i = 0; i < SUITES; i++) {
		struct ve_dtls *client = end(i, 0), *server = end(i, 1);
		uint8_t record[100], out[100];
		struct ve_dtls_stats stats;
		int length;

		memset(record + ve_dtls_head(client), 'x', 40);
		length = ve_dtls_seal(client, record, 40, sizeof(record));
		CHECK(length > 0);
		for (size_t bit = 0; bit < (size_t)length * 8; bit++) {
			record[bit / 8] ^= (uint8_t)(1u << bit % 8);
			CHECK(open_exact(server, record, (size_t)length, out) == VE_EMPTY);
			record[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t cut = 0; cut < (size_t)length; cut++)
			CHECK(open_exact(server, record, cut, out) == VE_EMPTY);
		stats = stats_of(server);
		CHECK(stats.records_in == 0 && stats.replayed == 0 && stats.bad_mac > 400);
		CHECK(stats.bad_version && stats.bad_type && stats.bad_length && stats.old_epoch && stats.unauthenticated);
		CHECK(stats.bad_mac + stats.bad_version + stats.bad_type + stats.bad_length + stats.old_epoch +
		      stats.unauthenticated == (size_t)length * 9);
		CHECK(open_exact(server, record, (size_t)length, out) == 40 && out[39] == 'x');
		CHECK(open_exact(server, record, (size_t)length, out) == VE_EMPTY && stats_of(server).replayed == 1);
		ve_dtls_free(client);
		ve_dtls_free(server);
	}
}

static void test_several_records_in_a_datagram(void)
{
	struct ve_dtls *client = end(0, 0), *server = end(0, 1);
	uint8_t datagram[400], *payload;
	size_t at = 0, used, left;

	for (int n = 0; n < 3; n++) {
		datagram[at + 21] = (uint8_t)n;
		at += (size_t)ve_dtls_seal(client, datagram + at, 1, sizeof(datagram) - at);
	}
	datagram[38 + 30] ^= 1;		/* the second is forged */
	memset(datagram + at, 0xff, 5);
	left = at + 5;
	for (int n = 0; n < 3; n++, left -= used) {
		CHECK(ve_dtls_open(server, datagram + (at + 5 - left), left, &used, &payload) == (n == 1 ? VE_EMPTY : 1));
		CHECK(used == 38 && (n == 1 || payload[0] == n));
	}
	CHECK(ve_dtls_open(server, datagram + at, left, &used, &payload) == VE_EMPTY && used == 5);
	CHECK(stats_of(server).bad_length == 1 && stats_of(server).bad_mac == 1);
	ve_dtls_free(client);
	ve_dtls_free(server);
}

static void test_the_end(void)
{
	for (size_t i = 0; i < SUITES; i++) {
		struct ve_dtls *client = end(i, 0), *server = end(i, 1);
		uint8_t record[100], out[100];
		int length;

		CHECK(ve_dtls_close(client, record, suites[i].head + 2 + 15) == 0);
		length = ve_dtls_close(client, record, suites[i].head + 2 + 16);
		CHECK(length == (int)suites[i].head + 18 && record[0] == DTLS_ALERT);
		CHECK(ve_dtls_close(client, record, sizeof(record)) == 0);
		CHECK(ve_dtls_seal(client, record, 1, sizeof(record)) == VE_ERROR);
		record[0] = DTLS_DATA;
		CHECK(open_exact(server, record, (size_t)length, out) == VE_EMPTY);
		record[0] = DTLS_ALERT;
		CHECK(open_exact(server, record, (size_t)length, out) == VE_EOF);
		CHECK(open_exact(server, record, (size_t)length, out) == VE_EOF);
		CHECK(ve_dtls_seal(server, record, 1, sizeof(record)) == VE_ERROR);
		ve_dtls_free(client);
		ve_dtls_free(server);
	}
}

static void test_alerts(void)
{
	struct ve_dtls *client = end(0, 0), *server = end(0, 1);
	uint8_t record[100], out[100];
	size_t length;

	memcpy(record + 21, "\x01\x64", 2);		/* a warning: no_renegotiation */
	length = dtls_aead_seal(&client->aead, DTLS_ALERT, record, 2);
	CHECK(open_exact(server, record, length, out) == VE_EMPTY && stats_of(server).alerts == 1);
	memcpy(record + 21, "\x02\x32\x00", 3);
	length = dtls_aead_seal(&client->aead, DTLS_ALERT, record, 3);
	CHECK(open_exact(server, record, length, out) == VE_EMPTY && stats_of(server).bad_length == 1);
	memcpy(record + 21, "\x02\x32", 2);		/* decode_error */
	length = dtls_aead_seal(&client->aead, DTLS_ALERT, record, 2);
	CHECK(open_exact(server, record, length, out) == VE_ERROR);
	CHECK(ve_dtls_failure(server) == VE_DTLS_ALERT && ve_dtls_alert(server) == 50);
	CHECK(!strcmp(ve_dtls_error(server), "read: the peer sent alert 50, decode error"));
	CHECK(open_exact(server, record, length, out) == VE_ERROR);
	CHECK(ve_dtls_seal(server, record, 1, sizeof(record)) == VE_ERROR && ve_dtls_close(server, record, 100) == 0);
	ve_dtls_free(client);
	ve_dtls_free(server);
}

/* ---- numbers ---- */

static void test_the_last_sequence_number(void)
{
	struct dtls_secrets secrets = secrets_of(2, 0);
	struct ve_dtls *client, *server = end(2, 1);
	uint8_t record[100], out[100];
	int length;

	secrets.sequence = DTLS_LAST_SEQUENCE;
	client = dtls_from_secrets(&secrets);
	CHECK(client);
	length = ve_dtls_seal(client, record, 1, sizeof(record));
	CHECK(length == 30 && !memcmp(record + 3, "\x00\x01\xff\xff\xff\xff\xff\xff", 8));
	CHECK(open_exact(server, record, 30, out) == 1);
	CHECK(ve_dtls_seal(client, record, 1, sizeof(record)) == VE_ERROR);
	CHECK(ve_dtls_failure(client) == VE_DTLS_USED_UP);
	ve_dtls_free(client);
	ve_dtls_free(server);
}

static void test_too_many_forgeries(void)
{
	struct ve_dtls *client = end(1, 0), *server = end(1, 1);
	uint8_t record[100], out[100];
	int length = ve_dtls_seal(client, record, 1, sizeof(record));

	record[30] ^= 1;
	server->stats.bad_mac = ((uint64_t)1 << 36) - 2;
	CHECK(open_exact(server, record, (size_t)length, out) == VE_EMPTY);
	CHECK(open_exact(server, record, (size_t)length, out) == VE_ERROR);
	CHECK(ve_dtls_failure(server) == VE_DTLS_USED_UP);
	ve_dtls_free(client);
	ve_dtls_free(server);
}

/* The ring against a plain list of all that came. */
static void test_the_window(void)
{
	static uint8_t came[40000];
	struct dtls_window window = {0};
	uint64_t newest = 0, number;
	unsigned int seed = 1;

	for (int n = 0; n < 200000; n++) {
		uint64_t jump;

		seed = seed * 1103515245 + 12345;
		jump = seed >> 8;
		number = jump % 16 ? newest - (newest < jump / 16 % 2200 ? newest : jump / 16 % 2200)
				   : newest + jump / 16 % (jump % 512 ? 4 : 3000);
		if (number >= sizeof(came)) {	/* begin anew */
			memset(came, 0, sizeof(came));
			window = (struct dtls_window){0};
			newest = 0;
			continue;
		}
		CHECK(dtls_window_fresh(&window, number) ==
		      (!came[number] && (number > newest || newest - number < DTLS_WINDOW)));
		if (dtls_window_fresh(&window, number)) {
			dtls_window_take(&window, number);
			came[number] = 1;
			newest = number > newest ? number : newest;
		}
	}
	window = (struct dtls_window){0};
	dtls_window_take(&window, DTLS_LAST_SEQUENCE);
	CHECK(!dtls_window_fresh(&window, DTLS_LAST_SEQUENCE) && !dtls_window_fresh(&window, 5));
	CHECK(dtls_window_fresh(&window, DTLS_LAST_SEQUENCE - 1));
	CHECK(dtls_window_fresh(&window, DTLS_LAST_SEQUENCE - DTLS_WINDOW + 1));
	CHECK(!dtls_window_fresh(&window, DTLS_LAST_SEQUENCE - DTLS_WINDOW));
}

static void test_cleared_keys_hold_nothing(void)
{
	static const uint8_t zeros[sizeof(struct dtls_aead)];
	struct dtls_secrets secrets = secrets_of(1, 0);
	struct dtls_aead aead;

	CHECK(dtls_aead_init(&aead, &secrets) && memcmp(&aead, zeros, sizeof(aead)) != 0);
	dtls_aead_clear(&aead);
	CHECK(!memcmp(&aead, zeros, sizeof(aead)));
}

static void test_records(void)
{
	test_v6();
	test_every_length_of_every_suite();
	test_no_allocation_a_packet();
	test_bits_and_cuts();
	test_several_records_in_a_datagram();
	test_the_end();
	test_alerts();
	test_the_last_sequence_number();
	test_too_many_forgeries();
	test_cleared_keys_hold_nothing();
}

int main(void)
{
	count_allocations();
	test_v3();
	test_v4();
	test_the_window();
	for (int multi_buffer = 1; multi_buffer >= 0; multi_buffer--) {
		gcm_allow(multi_buffer);
		test_records();
	}
	return 0;
}
