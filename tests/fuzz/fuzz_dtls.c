/*
 * fuzz_dtls.c: whatever datagrams come, only what the peer sealed is delivered, once, and every record is accounted for.
 *
 * The input is a script; its first byte chooses suite and side; offset, size in bytes of a step:
 *     0  1  what     0 a raw datagram; 1 a record of the peer with this plaintext, of type 20 + what / 8 % 4; 2 the same,
 *                    damaged; 3 the peer's last one again; 4 we seal, and the peer opens; 5 our reply, or our goodbye
 *                    (what / 8 % 16 == 0); 6 a raw datagram for a handshake, which is, as the first one of them says, a
 *                    server's (what / 8 % 2 == 0) or a client's, with certificates (what / 16 % 2) or a key, of DTLS 1.0
 *                    if what / 32 % 2, and refuses what it is shown if what / 64 % 2; 7 sequence numbers go on by the bytes
 *     1  1  length   of what follows
 *     2  n  bytes
 */
#include "dtls_internal.h"

#include <openssl/obj_mac.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

enum { DATAGRAM = 512 };

struct state {
	struct ve_dtls *ours, *peer, *shaking;
	int refuses;			/* certificates */
	uint8_t last[DATAGRAM];		/* record of the peer, */
	size_t last_length;
	uint8_t plain[256];		/* and what is in it */
	size_t plain_length;
	int over;			/* an alert, or our goodbye */
};

static struct ve_dtls_stats stats_of(const struct ve_dtls *dtls)
{
	struct ve_dtls_stats stats;

	ve_dtls_stats(dtls, &stats);
	return stats;
}

/* Everything that can become of a record. */
static uint64_t fates(const struct ve_dtls *dtls)
{
	struct ve_dtls_stats s = stats_of(dtls);

	return s.records_in + s.bad_mac + s.replayed + s.bad_version + s.bad_type + s.bad_length + s.old_epoch +
	       s.unauthenticated + s.alerts + s.handshakes;
}

/* Records delivered. */
static size_t open_all(struct state *s, const uint8_t *data, size_t length, const uint8_t *want, size_t want_length)
{
	uint8_t *exact = malloc(length ? length : 1), *payload;
	size_t at = 0, used, delivered = 0;

	MUST(exact);
	memcpy(exact, data, length);
	while (at < length) {
		uint64_t before = fates(s->ours);
		int got = ve_dtls_open(s->ours, exact + at, length - at, &used, &payload);

		MUST(used > 0 && used <= length - at);
		MUST(s->over ? got == VE_EOF || got == VE_ERROR : fates(s->ours) == before + 1);
		if (got >= 0) {
			MUST(want && (size_t)got == want_length && payload + got <= exact + at + used);
			MUST(!memcmp(payload, want, want_length));
			delivered++;
		}
		s->over = s->over || got == VE_EOF || got == VE_ERROR;
		at += used;
	}
	free(exact);
	return delivered;
}

static void from_peer(struct state *s, unsigned int what, const uint8_t *data, size_t length, int damaged)
{
	uint8_t type = (uint8_t)(DTLS_CHANGE_CIPHER_SPEC + what / 8 % 4);
	size_t head = ve_dtls_head(s->peer), before = s->over;

	if (s->peer->aead.sequence > DTLS_LAST_SEQUENCE)
		return;
	memcpy(s->plain, data, length);
	s->plain_length = length;
	memcpy(s->last + head, data, length);
	s->last_length = dtls_aead_seal(&s->peer->aead, type, s->last, length);
	MUST(s->last_length == head + length + DTLS_TAG);
	if (damaged) {
		size_t at = what * 7 % s->last_length;

		s->last[at] ^= 0x11;
		MUST(open_all(s, s->last, s->last_length, NULL, 0) == 0);
		s->last[at] ^= 0x11;
		return;
	}
	MUST(open_all(s, s->last, s->last_length, type == DTLS_DATA ? data : NULL, length) ==
	     (type == DTLS_DATA && !before));
}

static void to_peer(struct state *s, const uint8_t *data, size_t length)
{
	uint8_t record[DATAGRAM], *payload;
	size_t head = ve_dtls_head(s->ours), used;
	int got;

	memcpy(record + head, data, length);
	got = ve_dtls_seal(s->ours, record, length, head + length + ve_dtls_tail(s->ours));
	if (got == VE_ERROR) {
		MUST(s->over || ve_dtls_failure(s->ours) == VE_DTLS_USED_UP);
		s->over = 1;
		return;
	}
	MUST(got == (int)(head + length + DTLS_TAG));
	MUST(ve_dtls_open(s->peer, record, (size_t)got, &used, &payload) == (int)length && used == (size_t)got);
	MUST(!memcmp(payload, data, length));
}

static void speak(struct state *s, unsigned int what)
{
	uint8_t out[DATAGRAM], *payload;
	size_t used, at = 0;
	int got = what / 8 % 16 ? ve_dtls_reply(s->ours, out, sizeof(out)) : ve_dtls_close(s->ours, out, sizeof(out));

	MUST(got >= 0 && (!s->over || got == 0));
	for (; at < (size_t)got; at += used) {
		int opened = ve_dtls_open(s->peer, out + at, (size_t)got - at, &used, &payload);

		MUST(opened == VE_EMPTY || opened == VE_EOF);
	}
	s->over = s->over || what / 8 % 16 == 0;
	if (s->peer->state == ENDED)
		s->peer->state = OPEN;		/* it goes on for the test */
}

static struct ve_dtls *shaking(int server)
{
	static const uint8_t key[32] = {1}, id[32] = {2};
	const struct ve_dtls_settings settings = {
		.server = server, .mode = VE_DTLS_PSK, .version = VE_DTLS_12, .ciphers = "PSK-AES128-GCM-SHA256",
		.identity = "psk", .secret = key, .secret_length = sizeof(key), .session_id = id,
		.session_id_length = server ? 0 : sizeof(id), .mtu = 1200, .retransmit_ms = 250, .retransmit_most_ms = 1000,
	};
	char err[256];
	struct ve_dtls *dtls = ve_dtls_new(&settings, err, sizeof(err));

	MUST(dtls && ve_dtls_start(dtls) == VE_WANT_READ);
	return dtls;
}

static void identify(struct ve_tls_context *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	uint8_t *leaf = NULL, *pkcs8 = NULL;
	int leaf_length, key_length;

	MUST(key && certificate && info && X509_set_pubkey(certificate, key));
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	MUST(X509_sign(certificate, key, EVP_sha256()) > 0);
	leaf_length = i2d_X509(certificate, &leaf);
	key_length = i2d_PKCS8_PRIV_KEY_INFO(info, &pkcs8);
	MUST(ve_tls_context_identity(context, leaf, (size_t)leaf_length, pkcs8, (size_t)key_length) == VE_OK);
	OPENSSL_free(leaf);
	OPENSSL_free(pkcs8);
	PKCS8_PRIV_KEY_INFO_free(info);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* A handshake with certificates; the suites without ephemeral keys let a recorded flight of a server come far. */
static struct ve_dtls *certified(int server, int version)
{
	static struct ve_tls_context *contexts[2];
	char err[256];
	struct ve_dtls_settings settings = {
		.server = server, .mode = VE_DTLS_CERTIFICATE, .version = version,
		.ciphers = version == VE_DTLS_10 ? "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:AES128-SHA"
						 : "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256",
		.mtu = 1200, .retransmit_ms = 250, .retransmit_most_ms = 1000,
		.server_name = server ? NULL : "vpn.test", .verify_name = server ? NULL : "vpn.test",
	};
	struct ve_dtls *dtls;

	if (!contexts[server]) {
		contexts[server] = ve_tls_context_new(server, 1, err, sizeof(err));
		MUST(contexts[server]);
		if (server)
			identify(contexts[server]);
	}
	settings.context = contexts[server];
	dtls = ve_dtls_new(&settings, err, sizeof(err));
	MUST(dtls && ve_dtls_start(dtls) == VE_WANT_READ);
	return dtls;
}

static int judge(struct state *s)
{
	static uint8_t leaf[VE_TLS_CERTIFICATE];
	size_t faults = 0;
	int got;

	MUST(ve_dtls_timeout(s->shaking) == VE_EMPTY && ve_dtls_feed(s->shaking, leaf, 20) == VE_WANT_TRUST);
	MUST(ve_dtls_peer_certificate(s->shaking, leaf, sizeof(leaf)) > 0);
	while (ve_dtls_verify_fault(s->shaking, faults) > 0)
		faults++;
	MUST(faults > 0);		/* nobody is trusted here */
	got = ve_dtls_trust(s->shaking, !s->refuses);
	MUST(!s->refuses || (got == VE_ERROR && ve_dtls_failure(s->shaking) == VE_DTLS_REFUSED));
	MUST(ve_dtls_trust(s->shaking, 1) == VE_ERROR);
	return got;
}

static void feed_handshake(struct state *s, unsigned int what, const uint8_t *data, size_t length)
{
	uint8_t out[2048];
	int got;

	if (!s->shaking) {
		int server = what / 8 % 2 == 0;

		s->refuses = what / 64 % 2 != 0;
		s->shaking = what / 16 % 2 ? certified(server, what / 32 % 2 ? VE_DTLS_10 : VE_DTLS_12) : shaking(server);
	}
	got = ve_dtls_feed(s->shaking, data, length);
	if (got == VE_WANT_TRUST)
		got = judge(s);
	MUST(got == VE_WANT_READ || (got == VE_ERROR && *ve_dtls_error(s->shaking)));
	while (ve_dtls_outgoing(s->shaking, out, sizeof(out)) > 0)
		;
}

static void step(struct state *s, unsigned int what, const uint8_t *data, size_t length)
{
	switch (what % 8) {
	case 0:
		MUST(open_all(s, data, length, NULL, 0) == 0);
		break;
	case 1:
	case 2:
		from_peer(s, what, data, length, what % 8 == 2);
		break;
	case 3:
		MUST(open_all(s, s->last, s->last_length, s->plain, s->plain_length) <= 1);
		MUST(open_all(s, s->last, s->last_length, NULL, 0) == 0);
		break;
	case 4:
		to_peer(s, data, length);
		break;
	case 5:
		speak(s, what);
		break;
	case 6:
		feed_handshake(s, what, data, length);
		break;
	default:
		for (size_t i = 0; i < length && i < 6; i++)
			s->peer->aead.sequence += (uint64_t)data[i] << 8 * i;
	}
}

static struct ve_dtls *end(unsigned int choice, int server)
{
	static const struct {
		int cipher;
		const char *digest;
	} suites[] = {
		{NID_aes_128_gcm, "SHA2-256"}, {NID_aes_256_gcm, "SHA2-384"}, {NID_chacha20_poly1305, "SHA2-256"},
	};
	struct dtls_secrets secrets = {
		.server = server, .cipher = suites[choice % 3].cipher, .digest = suites[choice % 3].digest, .master = {9},
	};
	struct ve_dtls *dtls = dtls_from_secrets(&secrets);

	MUST(dtls);
	dtls->last_word = 1;
	dtls->finished[0] = DTLS_FINISHED;
	dtls->finished_length = sizeof(dtls->finished);
	memcpy(dtls->pipe.ccs, "\x14\xfe\xfd\0\0\0\0\0\0\0\1\0\1\1", 14);
	dtls->pipe.ccs_length = 14;
	return dtls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int choice = size ? data[0] : 0;
	struct state s = {.ours = end(choice, choice / 3 % 2 == 0), .peer = end(choice, choice / 3 % 2 != 0)};

	if (size) {
		data++;
		size--;
	}
	while (size >= 2) {
		size_t n = data[1] < size - 2 ? data[1] : size - 2;

		step(&s, data[0], data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	ve_dtls_free(s.ours);
	ve_dtls_free(s.peer);
	ve_dtls_free(s.shaking);
	return 0;
}
