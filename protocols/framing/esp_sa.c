/*
 * esp_sa.c: one security association of ESP.
 *
 * Contexts are created and keyed once; a packet sets an IV and allocates nothing.  No I/O, no clock; the CSPRNG is asked
 * once, when an outbound SA begins.  Keys are wiped with the SA.
 * IVs: CBC, AES-ECB(k', counter) under a random k' that is used for nothing else; GCM, 4 random bytes of the SA and the
 * sequence number, as GCM asks for IVs that are never used twice and need not be unpredictable.
 * Source: ESP notes, sections 1 to 3 and 10; RFC 4106.   Twin: protocols/framing/esp_sa.py.
 */
#include "esp_sa.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

enum {	/* bytes */
	AES_BLOCK = 16,
	IV_KEY = 16,
	SHORT = 256		/* to copy a packet up to this costs less than a second call of libcrypto */
};

static const struct ve_esp_suite suites[] = {
	{.code = 2, .name = "AES-128-CBC", .key = 16, .iv = 16, .align = 16},
	{.code = 5, .name = "AES-256-CBC", .key = 32, .iv = 16, .align = 16},
	{.code = 32, .name = "AES-128-GCM", .key = 16, .salt = 4, .iv = 8, .align = 4, .aead = 1},
	{.code = 33, .name = "AES-256-GCM", .key = 32, .salt = 4, .iv = 8, .align = 4, .aead = 1},
};

static void put32(uint8_t *out, uint32_t number)
{
	out[0] = (uint8_t)(number >> 24);
	out[1] = (uint8_t)(number >> 16);
	out[2] = (uint8_t)(number >> 8);
	out[3] = (uint8_t)number;
}

/* ---- its option ------------------------------------------------------------------------------------------------- */

static EVP_CIPHER_CTX *keyed(const char *name, const uint8_t *key, int encrypt)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int done = cipher && context && EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypt) &&
		   EVP_CIPHER_CTX_set_padding(context, 0);

	EVP_CIPHER_free(cipher);	/* the context holds one of its own */
	if (done)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

static int random_iv_key(struct ve_esp_sa *sa)
{
	uint8_t key[IV_KEY];
	int done;

	if (sa->suite->aead)
		return RAND_bytes(sa->nonce + sa->suite->salt, 4) == 1;
	done = RAND_priv_bytes(key, sizeof(key)) == 1;
	if (done)
		sa->iv_cipher = keyed("AES-128-ECB", key, 1);
	OPENSSL_cleanse(key, sizeof(key));
	sa->iv_next = VE_ESP_IVS;
	return done && sa->iv_cipher;
}

static const struct ve_esp_suite *find_suite(uint8_t code)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (suites[i].code == code)
			return &suites[i];
	return NULL;
}

/* All but the cryptography: what the option says, and whether that can be. */
static int check(struct ve_esp_sa *sa, struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	int inbound = !strcmp(option, "esp.in");
	size_t want;

	if (length < VE_ESP_FIXED)
		return ve_codec_refuse(codec, "%s length: got %zu, want at least 8 (byte 0)", option, length);
	sa->suite = find_suite(value[0]);
	if (!sa->suite)
		return ve_codec_refuse(codec, "%s cipher: got %u, want 2, 5, 32 or 33 (byte 0)", option, value[0]);
	if (sa->suite->aead && value[1])
		return ve_codec_refuse(codec, "%s mac: got %u, want 0 (byte 1)", option, value[1]);
	if (!sa->suite->aead && !ve_esp_mac_key(value[1]))
		return ve_codec_refuse(codec, "%s mac: got %u, want 1, 2 or 3 (byte 1)", option, value[1]);
	if (value[2] > inbound)
		return ve_codec_refuse(codec, "%s flags: got %u, want %s (byte 2)", option, value[2],
				       inbound ? "0 or 1" : "0");
	if (value[3])
		return ve_codec_refuse(codec, "%s reserved byte: got %u, want 0 (byte 3)", option, value[3]);
	sa->spi = (uint32_t)value[4] << 24 | (uint32_t)value[5] << 16 | (uint32_t)value[6] << 8 | value[7];
	if (!sa->spi)
		return ve_codec_refuse(codec, "%s spi: got 0, want another (byte 4)", option);
	want = (size_t)sa->suite->key + sa->suite->salt + ve_esp_mac_key(value[1]);
	if (length - VE_ESP_FIXED != want)
		return ve_codec_refuse(codec, "%s keys: got %zu, want %zu (byte 8)", option, length - VE_ESP_FIXED, want);
	sa->lenient = value[2] & 1;
	sa->icv = sa->suite->aead ? VE_ESP_ICV : ve_esp_mac_icv(value[1]);
	return VE_OK;
}

int ve_esp_sa_init(struct ve_esp_sa *sa, struct ve_codec *codec, const char *option, const uint8_t *value,
		   size_t length)
{
	int outbound = !strcmp(option, "esp.out");
	const uint8_t *key = value + VE_ESP_FIXED, *rest;

	memset(sa, 0, sizeof(*sa));
	if (check(sa, codec, option, value, length) != VE_OK)
		return VE_ERROR;
	rest = key + sa->suite->key;
	if (sa->suite->aead)
		memcpy(sa->nonce, rest, sa->suite->salt);
	else
		ve_esp_mac_init(&sa->mac, (enum ve_esp_mac_kind)value[1], rest);
	sa->cipher = keyed(sa->suite->name, key, outbound);
	if (sa->cipher && (!outbound || random_iv_key(sa)))
		return VE_OK;
	ve_esp_sa_clear(sa);
	return ve_codec_refuse(codec, "%s: libcrypto cannot do %s, or has no random bytes", option,
			       find_suite(value[0])->name);
}

void ve_esp_sa_together(struct ve_esp_sa *sa, struct ve_esp_batch *batch, const uint8_t *value)
{
	const uint8_t *key = value + VE_ESP_FIXED;

	if (!sa->suite->aead)
		ve_esp_batch_key(batch, &sa->together, key, sa->suite->key, sa->mac.kind, key + sa->suite->key);
}

void ve_esp_sa_clear(struct ve_esp_sa *sa)
{
	EVP_CIPHER_CTX_free(sa->cipher);	/* libcrypto wipes the key schedules */
	EVP_CIPHER_CTX_free(sa->iv_cipher);
	OPENSSL_cleanse(sa, sizeof(*sa));
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

int ve_esp_sa_genuine(const struct ve_esp_sa *sa, const uint8_t *packet, size_t length)
{
	uint8_t digest[VE_ESP_DIGEST];

	ve_esp_mac(&sa->mac, packet, length - sa->icv, digest);
	return !CRYPTO_memcmp(digest, packet + length - sa->icv, sa->icv);
}

struct ve_esp_job ve_esp_sa_icv_job(const struct ve_esp_sa *sa, const uint8_t *packet, size_t length, uint8_t *icv)
{
	return (struct ve_esp_job){.keys = &sa->together, .packet = packet, .length = length - sa->icv, .icv = icv};
}

static int decrypt_gcm(struct ve_esp_sa *sa, const uint8_t *packet, size_t length, uint8_t *out)
{
	const uint8_t *ciphertext = packet + VE_ESP_FIXED + sa->suite->iv;
	uint8_t icv[VE_ESP_ICV];
	int n;

	memcpy(sa->nonce + sa->suite->salt, packet + VE_ESP_FIXED, sa->suite->iv);
	memcpy(icv, ciphertext + length, sizeof(icv));	/* libcrypto's pointer is not to const */
	return EVP_CipherInit_ex(sa->cipher, NULL, NULL, NULL, sa->nonce, -1) &&
	       EVP_CipherUpdate(sa->cipher, NULL, &n, packet, VE_ESP_FIXED) &&
	       EVP_CipherUpdate(sa->cipher, out, &n, ciphertext, (int)length) &&
	       EVP_CIPHER_CTX_ctrl(sa->cipher, EVP_CTRL_AEAD_SET_TAG, sizeof(icv), icv) &&
	       EVP_CipherFinal_ex(sa->cipher, out + length, &n);	/* writes nothing: GCM is a stream */
}

int ve_esp_sa_decrypt(struct ve_esp_sa *sa, const uint8_t *packet, size_t length, uint8_t *out)
{
	int n;

	if (sa->suite->aead)
		return decrypt_gcm(sa, packet, length, out);
	return EVP_CipherInit_ex(sa->cipher, NULL, NULL, NULL, packet + VE_ESP_FIXED, -1) &&
	       EVP_CipherUpdate(sa->cipher, out, &n, packet + VE_ESP_FIXED + sa->suite->iv, (int)length);
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

size_t ve_esp_sa_padding(const struct ve_esp_sa *sa, size_t length)
{
	size_t over = (length + 2) % sa->suite->align;

	return over ? sa->suite->align - over : 0;
}

static int make_ivs(struct ve_esp_sa *sa)
{
	int n;

	memset(sa->ivs, 0, sizeof(sa->ivs));
	for (size_t i = 0; i < VE_ESP_IVS; i++, sa->iv_counter++) {
		put32(sa->ivs[i], (uint32_t)(sa->iv_counter >> 32));
		put32(sa->ivs[i] + 4, (uint32_t)sa->iv_counter);
	}
	sa->iv_next = 0;
	return EVP_CipherUpdate(sa->iv_cipher, sa->ivs[0], &n, sa->ivs[0], sizeof(sa->ivs));
}

/* SPI, the next number, an IV. */
static int put_head(struct ve_esp_sa *sa, uint8_t *out)
{
	uint32_t number = (uint32_t)sa->sequence++;

	put32(out, sa->spi);
	put32(out + 4, number);
	if (sa->suite->aead) {
		put32(sa->nonce + sa->suite->salt + 4, number);
		memcpy(out + VE_ESP_FIXED, sa->nonce + sa->suite->salt, sa->suite->iv);
		return 1;
	}
	if (sa->iv_next == VE_ESP_IVS && !make_ivs(sa))
		return 0;
	memcpy(out + VE_ESP_FIXED, sa->ivs[sa->iv_next++], sa->suite->iv);
	return 1;
}

/* The cipher, to begin with the packet that has this head. */
static int begin(struct ve_esp_sa *sa, const uint8_t *out)
{
	const uint8_t *nonce = sa->suite->aead ? sa->nonce : out + VE_ESP_FIXED;
	int n;

	return EVP_CipherInit_ex(sa->cipher, NULL, NULL, NULL, nonce, -1) &&
	       (!sa->suite->aead || EVP_CipherUpdate(sa->cipher, NULL, &n, out, VE_ESP_FIXED));
}

/* The ICV over a packet whose last byte of ciphertext lies before `end`. */
static int finish(struct ve_esp_sa *sa, const uint8_t *packet, uint8_t *end)
{
	uint8_t digest[VE_ESP_DIGEST];
	int n;

	if (sa->suite->aead)
		return EVP_CipherFinal_ex(sa->cipher, end, &n) &&
		       EVP_CIPHER_CTX_ctrl(sa->cipher, EVP_CTRL_AEAD_GET_TAG, VE_ESP_ICV, end);
	ve_esp_mac(&sa->mac, packet, (size_t)(end - packet), digest);
	memcpy(end, digest, sa->icv);
	return 1;
}

static uint8_t *put_trailer(const struct ve_esp_sa *sa, size_t length, uint8_t next_header, uint8_t *end)
{
	size_t padding = ve_esp_sa_padding(sa, length);

	for (size_t i = 1; i <= padding; i++)
		*end++ = (uint8_t)i;
	*end++ = (uint8_t)padding;
	*end++ = next_header;
	return end;
}

/* Payload and trailer to ciphertext; its end, or NULL. */
static uint8_t *encrypt(struct ve_esp_sa *sa, uint8_t next_header, const uint8_t *payload, size_t length, uint8_t *at)
{
	size_t whole = length - length % AES_BLOCK, rest;
	uint8_t tail[2 * AES_BLOCK];
	int n;

	if (payload != at && length <= SHORT)
		payload = memcpy(at, payload, length);
	if (payload == at) {
		rest = (size_t)(put_trailer(sa, length, next_header, at + length) - at);
		return EVP_CipherUpdate(sa->cipher, at, &n, at, (int)rest) ? at + rest : NULL;
	}
	memcpy(tail, payload + whole, length - whole);	/* what shares a block with the trailer */
	rest = (size_t)(put_trailer(sa, length, next_header, tail + (length - whole)) - tail);
	return EVP_CipherUpdate(sa->cipher, at, &n, payload, (int)whole) &&
	       EVP_CipherUpdate(sa->cipher, at + whole, &n, tail, (int)rest) ? at + whole + rest : NULL;
}

int ve_esp_sa_seal(struct ve_esp_sa *sa, uint8_t next_header, const uint8_t *payload, size_t length, uint8_t *out)
{
	uint8_t *end;

	if (!put_head(sa, out) || !begin(sa, out))
		return 0;
	end = encrypt(sa, next_header, payload, length, out + VE_ESP_FIXED + sa->suite->iv);
	return end && finish(sa, out, end);
}

size_t ve_esp_sa_lay(struct ve_esp_sa *sa, uint8_t next_header, const uint8_t *payload, size_t length, uint8_t *out)
{
	uint8_t *at = out + VE_ESP_HEADER;

	if (!put_head(sa, out))
		return 0;
	if (payload != at)
		memcpy(at, payload, length);
	return (size_t)(put_trailer(sa, length, next_header, at + length) - out);
}

int ve_esp_sa_seal_laid(struct ve_esp_sa *sa, uint8_t *packet, size_t length)
{
	uint8_t *at = packet + VE_ESP_HEADER;
	int n;

	return begin(sa, packet) && EVP_CipherUpdate(sa->cipher, at, &n, at, (int)(length - VE_ESP_HEADER)) &&
	       finish(sa, packet, packet + length);
}

struct ve_esp_job ve_esp_sa_seal_job(const struct ve_esp_sa *sa, uint8_t *packet, size_t length)
{
	return (struct ve_esp_job){
		.keys = &sa->together, .packet = packet, .length = length, .icv = packet + length,
		.frame = packet, .head = VE_ESP_HEADER,
	};
}
