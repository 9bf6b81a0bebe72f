/*
 * fuzz_esp.c: whatever datagrams and options come, genuine or not, what leaves is IP, and each datagram is accounted for.
 *
 * The input is a script; offset, size in bytes of a step:
 *     0  1  what     0 a raw datagram; 1, 2 plaintext that is sealed as a genuine one of CBC, of GCM; 3 an option;
 *                    4 a packet to encode and take back, repeated 1 + what / 5 times
 *     1  1  length   of what follows
 *     2  n  bytes    sealed ones begin with the sequence number; an option with its index
 * An input of an odd length goes the way of packets that are done several at once, where the engine has it.
 */
#include "engine.h"
#include "esp_sa.h"

#include <stdlib.h>
#include <string.h>

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

static const uint8_t cbc_sa[8 + 36] = {2, 2, 0, 0, 0x12, 0x34, 0xab, 0xcd, 1, 2, 3};
static const uint8_t gcm_sa[8 + 20] = {32, 0, 0, 0, 0x12, 0x34, 0xab, 0xce, 1, 2, 3};
static const char *const options[] = {
	"esp.in", "esp.out", "esp.echo", "esp.expire-old", "esp.close", "esp.out-sequence", "esp.lzo", "esp.none",
	"esp.together",
};

struct state {
	struct ve_codec *codec;
	struct ve_sink *sink;
	struct ve_esp_sa cbc, gcm;	/* the peer's */
	uint64_t seen;			/* datagrams whose fate is known */
};

/* Every packet, control frame and drop, but for what is counted beside a fate. */
static uint64_t fates(struct state *s)
{
	static struct ve_control control;
	static uint8_t packet[VE_MAX_PACKET];
	static const char *const beside[] = {"esp_authentic", "esp_dummy", "esp_seq_low", "esp_seq_exhausted",
						 "esp_together"};
	uint64_t value, drops = 0;
	const char *name;
	int length;

	ve_sink_flush(s->sink);
	while ((length = ve_sink_memory_take(s->sink, packet, sizeof(packet))) >= 0) {
		MUST(length >= 20 && (packet[0] >> 4 == 4 || packet[0] >> 4 == 6));
		s->seen++;
	}
	while (ve_codec_next_control(s->codec, &control) == VE_OK) {
		MUST(control.length <= sizeof(control.payload));
		MUST(control.kind == 4 || control.kind == 41 || control.kind == 59 || control.kind == 256);
		s->seen += control.kind != 256;
	}
	for (size_t i = 0; ve_codec_counter(s->codec, i, &name, &value) == VE_OK; i++) {
		int fate = 1;

		for (size_t k = 0; k < sizeof(beside) / sizeof(beside[0]); k++)
			fate = fate && strcmp(name, beside[k]) != 0;
		drops += fate ? value : 0;
	}
	return s->seen + drops;
}

static void feed(struct state *s, const uint8_t *data, size_t length)
{
	uint64_t before = fates(s);
	uint8_t *exact = malloc(length ? length : 1);	/* so that a byte too far is seen */
	struct ve_span span = {exact, length};

	MUST(exact);
	memcpy(exact, data, length);
	MUST(ve_codec_datagrams(s->codec, s->sink, &span, 1) == VE_OK);
	free(exact);
	MUST(fates(s) == before + 1);
}

/* Any plaintext in a genuine datagram. */
static void feed_sealed(struct state *s, struct ve_esp_sa *sa, const uint8_t *data, size_t length)
{
	uint8_t datagram[400] = {0}, digest[VE_ESP_DIGEST];
	size_t head = 8u + sa->suite->iv, c;
	int n;

	if (length < 4)
		return;
	c = (length - 4) / sa->suite->align * sa->suite->align;
	if (!c)
		return;
	for (int i = 0; i < 4; i++)
		datagram[i] = (uint8_t)(sa->spi >> (24 - 8 * i));
	memcpy(datagram + 4, data, 4);
	memcpy(sa->nonce + 4, datagram + 8, 8);
	MUST(EVP_CipherInit_ex(sa->cipher, NULL, NULL, NULL, sa->suite->aead ? sa->nonce : datagram + 8, 1));
	if (sa->suite->aead)
		MUST(EVP_CipherUpdate(sa->cipher, NULL, &n, datagram, 8));
	MUST(EVP_CipherUpdate(sa->cipher, datagram + head, &n, data + 4, (int)c));
	if (sa->suite->aead) {
		MUST(EVP_CipherFinal_ex(sa->cipher, datagram + head + c, &n));
		MUST(EVP_CIPHER_CTX_ctrl(sa->cipher, EVP_CTRL_AEAD_GET_TAG, 16, datagram + head + c));
	} else {
		ve_esp_mac(&sa->mac, datagram, head + c, digest);
		memcpy(datagram + head + c, digest, sa->icv);
	}
	feed(s, datagram, head + c + sa->icv);
}

static void set(struct state *s, const uint8_t *data, size_t length)
{
	if (length && ve_codec_set(s->codec, options[data[0] % (sizeof(options) / sizeof(options[0]))], data + 1,
				   length - 1) != VE_OK)
		MUST(*ve_codec_error(s->codec));
}

/* The payload may lie where it belongs in the frame, or elsewhere; long ones are not copied there first. */
static void loop_back(struct state *s, const uint8_t *data, size_t length, size_t times)
{
	static uint8_t packet[256 * 52], frame[sizeof(packet) + 100];
	int n;

	for (size_t i = 0; i < times && length; i++)
		memcpy(packet + i * length, data, length);
	if (length >= 40 && packet[0] >> 4 == 4) {
		packet[2] = (uint8_t)((length * times) >> 8);
		packet[3] = (uint8_t)(length * times);
	}
	n = ve_codec_encode_later(s->codec, packet, length * times, frame, sizeof(frame));
	ve_codec_finish(s->codec);
	MUST(n > 0 || n == VE_ERROR);
	if (n > 0)
		feed(s, frame, (size_t)n);
}

static void step(struct state *s, unsigned int what, const uint8_t *data, size_t length)
{
	switch (what % 5) {
	case 0:
		feed(s, data, length);
		break;
	case 1:
		feed_sealed(s, &s->cbc, data, length);
		break;
	case 2:
		feed_sealed(s, &s->gcm, data, length);
		break;
	case 3:
		set(s, data, length);
		break;
	default:
		loop_back(s, data, length, 1 + what / 5);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state s = {0};
	char err[256];

	s.codec = ve_codec_new("esp", err, sizeof(err));
	s.sink = ve_sink_memory(4, err, sizeof(err));
	MUST(s.codec && s.sink);
	if (size % 2 && ve_codec_set(s.codec, "esp.together", (const uint8_t *)"\1", 1) != VE_OK)
		MUST(*ve_codec_error(s.codec));		/* this engine has no such way */
	MUST(ve_esp_sa_init(&s.cbc, s.codec, "esp.out", cbc_sa, sizeof(cbc_sa)) == VE_OK);
	MUST(ve_esp_sa_init(&s.gcm, s.codec, "esp.out", gcm_sa, sizeof(gcm_sa)) == VE_OK);
	MUST(ve_codec_set(s.codec, "esp.in", cbc_sa, sizeof(cbc_sa)) == VE_OK);
	MUST(ve_codec_set(s.codec, "esp.in", gcm_sa, sizeof(gcm_sa)) == VE_OK);
	MUST(ve_codec_set(s.codec, "esp.out", cbc_sa, sizeof(cbc_sa)) == VE_OK);
	while (size >= 2) {
		size_t n = data[1] < size - 2 ? data[1] : size - 2;

		step(&s, data[0], data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	ve_codec_free(s.codec);
	ve_sink_free(s.sink);
	ve_esp_sa_clear(&s.cbc);
	ve_esp_sa_clear(&s.gcm);
	return 0;
}
