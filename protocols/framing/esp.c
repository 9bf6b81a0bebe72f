/*
 * esp.c: ESP in UDP, the datagram path of GlobalProtect, Network Connect and Pulse.
 *
 * Offset, size in bytes (big-endian); t: 12 or 16:
 *      0  4  SPI
 *      4  4  sequence number
 *      8  i  IV           16; GCM: 8
 *    8+i  c  ciphertext   payload, padding 1 2 3 ... p, p, next header; a multiple of 16; GCM: of 4
 *  8+i+c  t  ICV
 *
 * Options:
 *     esp.in            a new inbound SA, see esp_sa.h; the one before is taken too, until the next or esp.expire-old
 *     esp.out           a new outbound SA: used from the next packet on
 *     esp.expire-old    empty: the old inbound SA is over (5 s after NEW_SA, or 60 s after esp.in)
 *     esp.close         empty: wipe every SA
 *     esp.out-sequence  4 bytes: the next number sent is at least this; never goes back
 *     esp.echo          4 or 6, an address of that version, 1..64 bytes: an ICMP echo reply from there whose data begins
 *                       with these is the answer to a probe; empty: there is none
 *     esp.lzo           2 bytes: LZO1X packets are expanded to at most this; empty, as at first: they are dropped
 *     esp.together      1 byte, before the keys: packets of CBC are done several at once from so many on, 0: never; for
 *                       tests and benchmarks, as what pays is known (esp_batch.c); refused where this engine cannot
 *
 * Control frames up:  4, 41   the answer to a probe: payload `00`, or the whole echo reply
 *                     59      a dummy packet, no payload
 *                     256     NEW_SA: the first packet of the present inbound SA, while an old one is held
 * Down: the kind is the next header (4, 5, 41, 59), for probes.
 *
 * A datagram is decrypted straight into a reservation of the sink as long as the ciphertext, which then shrinks to the
 * packet.  No I/O, allocation or clock; whatever comes is counted by cause, and nothing ends the stream.
 * Of CBC, the ICVs of datagrams that came together are computed together, and packets that leave together are laid out one
 * by one and sealed together: only so many of them keep a processor busy.  An ICV that was computed lives as long as the one
 * call that is given the datagram, so it can be taken for that of no other.
 * Source: ESP notes, sections 1 to 12.   Twin: protocols/framing/esp.py.
 */
#include "compression.h"
#include "esp_sa.h"
#include "sink.h"

#include <openssl/crypto.h>
#include <string.h>

enum { IPV4 = 4, LZO = 5, IPV6 = 41, DUMMY = 59, NEW_SA = 256 };	/* next headers, and kinds of control frames */

enum {
	KEEPALIVE_BYTE = 0xff,
	MAX_DATAGRAM = VE_ESP_HEADER + VE_MAX_PACKET + VE_ESP_ICV,	/* bytes that are looked at */
	MAX_SENT = VE_MAX_PACKET - 2,	/* bytes of payload */
	LEAST_PACKET = 20,		/* bytes: what is shorter never goes to the sink */
	MAX_PATTERN = 64,		/* bytes of data that tell an echo reply */
	LEAST_TOGETHER = 160,		/* bytes of a datagram: to check shorter ones costs as little one by one */
	ICMP_HEADER = 8
};

#define LAST_NUMBER 0xffffffffu
#define LOW_NUMBER 0xf0000000u		/* from here on new keys are due */

enum {
	SHORT, ALIGN, TRUNC, SPI, ICV, REPLAY, OLD, PAD, NEXTHDR, INNER, LZO_DROP, DUMMIES, KEEPALIVE, SINK_FULL,
	CONTROL_OVERFLOW, AUTHENTIC, SEQ_LOW, SEQ_EXHAUSTED, TOGETHER
};

static const char *const counter_names[] = {
	[SHORT] = "esp_short",
	[ALIGN] = "esp_align",
	[TRUNC] = "esp_trunc",		/* longer than MAX_DATAGRAM; none of it is read, so a link may tell the length that was cut */
	[SPI] = "esp_spi",
	[ICV] = "esp_icv",
	[REPLAY] = "esp_replay",
	[OLD] = "esp_old",
	[PAD] = "esp_pad",
	[NEXTHDR] = "esp_nexthdr",
	[INNER] = "esp_inner",
	[LZO_DROP] = "esp_lzo",
	[DUMMIES] = "esp_dummy",
	[KEEPALIVE] = "esp_keepalive",
	[SINK_FULL] = "esp_sink_full",
	[CONTROL_OVERFLOW] = "esp_control_overflow",
	[AUTHENTIC] = "esp_authentic",		/* signs of life: genuine, and not replayed */
	[SEQ_LOW] = "esp_seq_low",		/* sent with a number of LOW_NUMBER or more */
	[SEQ_EXHAUSTED] = "esp_seq_exhausted",	/* not sent: no number is left */
	[TOGETHER] = "esp_together",		/* either way: done several at once */
	NULL,
};

struct esp {
	struct ve_codec base;
	struct ve_esp_sa in, old, out;
	uint8_t echo_version;			/* 0: no echo is looked for */
	uint8_t echo_address[16];
	uint8_t echo_pattern[MAX_PATTERN];
	size_t echo_length;
	size_t lzo_room;			/* bytes of an expanded packet, at most; 0: none is expected */
	struct ve_esp_batch *batch;		/* NULL: packets are done one by one */
	int least;				/* of packets that are done together; 0: as it pays, < 0: none are */
	struct ve_esp_job laid[VE_ESP_TOGETHER];	/* frames that were handed out, yet to be sealed with `out` */
	size_t laid_count;
	uint8_t scratch[VE_MAX_PACKET];		/* plaintext that has no reservation */
};

struct arrival {				/* a datagram for one of our SAs */
	const uint8_t *data;
	size_t length;
	struct ve_esp_sa *sa;		/* that takes it */
	size_t c;			/* bytes of ciphertext */
	const struct ve_esp_job *job;	/* that computes its ICV with others', to icv; NULL: none does */
	uint8_t icv[VE_ESP_ICV];
};

static void count(struct esp *e, int counter)
{
	e->base.counters[counter]++;
}

static void tell(struct esp *e, uint32_t kind, const uint8_t *payload, size_t length)
{
	if (ve_queue_push(e->base.controls, kind, payload, length) != VE_OK)
		count(e, CONTROL_OVERFLOW);
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

/* The packet is genuine: is it a new one? */
static int admit(struct esp *e, struct ve_esp_sa *sa, const uint8_t *packet)
{
	uint32_t number = (uint32_t)packet[4] << 24 | (uint32_t)packet[5] << 16 | (uint32_t)packet[6] << 8 | packet[7];
	enum ve_sequence verdict = ve_seqwin_take(&sa->window, number);

	if (verdict != VE_SEQUENCE_FRESH) {
		count(e, verdict == VE_SEQUENCE_OLD ? OLD : REPLAY);
		if (!sa->lenient)
			return 0;
	}
	count(e, AUTHENTIC);
	if (!sa->used && sa == &e->in && e->old.suite)
		tell(e, NEW_SA, NULL, 0);
	sa->used = 1;
	return 1;
}

/* Is this whole IP packet the echo reply that answers a probe? */
static int is_echo(const struct esp *e, const uint8_t *packet, size_t length)
{
	size_t header = packet[0] >> 4 == 4 ? (size_t)(packet[0] & 15) * 4 : 40;
	const uint8_t *icmp = packet + header;

	if (packet[0] >> 4 != e->echo_version || length - header < ICMP_HEADER + e->echo_length)
		return 0;
	if (e->echo_version == 4) {
		if (packet[9] != 1 || icmp[0] != 0 || memcmp(packet + 12, e->echo_address, 4))
			return 0;
	} else if (packet[6] != 58 || icmp[0] != 129 || memcmp(packet + 8, e->echo_address, 16)) {
		return 0;
	}
	return !memcmp(icmp + ICMP_HEADER, e->echo_pattern, e->echo_length);
}

static size_t on_ip(struct esp *e, uint8_t next_header, const uint8_t *packet, size_t n)
{
	size_t length;

	if (n == 1 && !packet[0]) {
		tell(e, next_header, packet, 1);
		return 0;
	}
	length = packet[0] >> 4 == (next_header == IPV4 ? 4 : 6) ? ve_ip_length(packet, n) : 0;
	if (!length)
		count(e, INNER);
	else if (is_echo(e, packet, length))
		tell(e, next_header, packet, length);
	else
		return length;
	return 0;
}

/* Plaintext of c bytes.  Bytes of packet that are to be delivered, or 0; *lzo: bytes of stream that are to be expanded. */
static size_t on_plaintext(struct esp *e, const uint8_t *plain, size_t c, size_t *lzo)
{
	size_t padding = plain[c - 2], n = c - 2 - padding;
	uint8_t next_header = plain[c - 1];

	if (padding + 2 >= c) {
		count(e, PAD);
		return 0;
	}
	for (size_t i = 0; i < padding; i++) {
		if (plain[n + i] != i + 1) {
			count(e, PAD);
			return 0;
		}
	}
	switch (next_header) {
	case IPV4:
	case IPV6:
		return on_ip(e, next_header, plain, n);
	case LZO:
		*lzo = e->lzo_room ? n : 0;
		if (!*lzo)
			count(e, LZO_DROP);
		return 0;
	case DUMMY:
		count(e, DUMMIES);
		tell(e, DUMMY, NULL, 0);
		return 0;
	default:
		count(e, NEXTHDR);
		return 0;
	}
}

/* The one packet that grows: n bytes of stream in scratch, into the reservation that held them, or a new one.
 * ESP notes, section 11. */
static void expand(struct esp *e, struct ve_sink *sink, uint8_t *reserved, size_t n)
{
	uint8_t *at = reserved ? ve_sink_expand(sink, reserved, 0, e->lzo_room) : ve_sink_reserve(sink, e->lzo_room);
	size_t packet = 0;
	int length;

	if (!at) {
		count(e, SINK_FULL);
		return;
	}
	length = ve_lzo1x_expand(e->scratch, n, at, e->lzo_room);
	if (length > 0 && at[0] >> 4 == 4)
		packet = ve_ip_length(at, (size_t)length);
	if (packet) {
		ve_sink_commit(sink, at, packet);
		return;
	}
	count(e, length < 0 ? LZO_DROP : INNER);
	ve_sink_abort(sink, at);
}

/* 1: a datagram for one of the SAs; 0: dropped. */
static int classify(struct esp *e, const uint8_t *data, size_t length, struct arrival *a)
{
	struct ve_esp_sa *sa;
	size_t around, c;
	uint32_t spi;

	if (length == 1 && data[0] == KEEPALIVE_BYTE) {
		count(e, KEEPALIVE);
		return 0;
	}
	if (length < VE_ESP_FIXED || length > MAX_DATAGRAM) {
		count(e, length < VE_ESP_FIXED ? SHORT : TRUNC);
		return 0;
	}
	spi = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
	sa = spi == e->in.spi ? &e->in : &e->old;
	if (!sa->suite || spi != sa->spi) {
		count(e, SPI);
		return 0;
	}
	around = VE_ESP_FIXED + sa->suite->iv + sa->icv;
	if (length < around + sa->suite->align) {
		count(e, SHORT);
		return 0;
	}
	c = length - around;
	if (c % sa->suite->align || c > VE_MAX_PACKET) {
		count(e, c > VE_MAX_PACKET ? TRUNC : ALIGN);
		return 0;
	}
	*a = (struct arrival){.data = data, .length = length, .sa = sa, .c = c};
	return 1;
}

/* GCM finds out while it decrypts. */
static int may_be_genuine(const struct arrival *a)
{
	if (a->sa->suite->aead)
		return 1;
	if (a->job && a->job->done)
		return !CRYPTO_memcmp(a->icv, a->data + a->length - a->sa->icv, a->sa->icv);
	return ve_esp_sa_genuine(a->sa, a->data, a->length);
}

/* CBC: ICV, window, decryption.  GCM: into the reservation, which is given back if it is not genuine. */
static void take(struct esp *e, struct ve_sink *sink, const struct arrival *a)
{
	uint8_t *reserved = NULL, *plain;
	size_t packet = 0, lzo = 0;
	int aead = a->sa->suite->aead;

	if (!may_be_genuine(a)) {
		count(e, ICV);
		return;
	}
	if (!aead && !admit(e, a->sa, a->data))
		return;
	if (a->c >= LEAST_PACKET + 2)
		reserved = ve_sink_reserve(sink, a->c);
	plain = reserved ? reserved : e->scratch;	/* a full sink loses packets, not signs of life */
	if (!ve_esp_sa_decrypt(a->sa, a->data, a->c, plain))
		count(e, ICV);
	else if (!aead || admit(e, a->sa, a->data))
		packet = on_plaintext(e, plain, a->c, &lzo);
	if (lzo && reserved)
		memcpy(e->scratch, plain, lzo);
	if (lzo)
		expand(e, sink, reserved, lzo);
	else if (packet && reserved)
		ve_sink_commit(sink, reserved, packet);
	else if (reserved)
		ve_sink_abort(sink, reserved);
	else if (packet)
		count(e, SINK_FULL);
}

static void esp_datagram(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length)
{
	struct arrival arrival;

	if (classify((struct esp *)codec, data, length, &arrival))
		take((struct esp *)codec, sink, &arrival);
}

/* VE_ESP_TOGETHER at most. */
static void take_together(struct esp *e, struct ve_sink *sink, const struct ve_span *datagrams, size_t given)
{
	struct arrival arrivals[VE_ESP_TOGETHER], *a = arrivals, *end;
	struct ve_esp_job jobs[VE_ESP_TOGETHER];
	size_t n = 0;

	for (size_t i = 0; i < given; i++) {
		size_t length = datagrams[i].length;

		if (!classify(e, datagrams[i].at, length, a))
			continue;
		if (a->sa->together.key && (length >= LEAST_TOGETHER || e->least)) {
			jobs[n] = ve_esp_sa_icv_job(a->sa, a->data, length, a->icv);
			a->job = &jobs[n++];
		}
		a++;
	}
	e->base.counters[TOGETHER] += ve_esp_batch_run(e->batch, jobs, n);
	end = a;
	for (a = arrivals; a < end; a++)
		take(e, sink, a);
}

static void esp_datagrams(struct ve_codec *codec, struct ve_sink *sink, const struct ve_span *datagrams, size_t count)
{
	size_t n;

	for (; count; count -= n, datagrams += n) {
		n = count < VE_ESP_TOGETHER ? count : VE_ESP_TOGETHER;
		take_together((struct esp *)codec, sink, datagrams, n);
	}
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* The next header of a packet. */
static uint32_t kind_of(const uint8_t *packet, size_t length)
{
	if (!length)
		return VE_ANY_PACKET;
	return packet[0] >> 4 == 4 ? IPV4 : packet[0] >> 4 == 6 ? IPV6 : VE_ANY_PACKET;
}

/* Whether a frame of this can be made now: its length, or VE_FULL or VE_ERROR. */
static int begin_frame(struct esp *e, uint32_t kind, size_t length, size_t size)
{
	struct ve_esp_sa *sa = &e->out;
	size_t whole;

	if (!length || (kind != IPV4 && kind != LZO && kind != IPV6 && kind != DUMMY))
		return ve_codec_refuse(&e->base, "esp packet: neither IPv4 nor IPv6");
	if (!sa->suite)
		return ve_codec_refuse(&e->base, "esp packet: no outbound sa");
	if (sa->sequence > LAST_NUMBER) {
		count(e, SEQ_EXHAUSTED);
		return ve_codec_refuse(&e->base, "esp-seq-exhausted: all 2^32 sequence numbers of the sa are used");
	}
	whole = VE_ESP_FIXED + sa->suite->iv + length + ve_esp_sa_padding(sa, length) + 2 + sa->icv;
	if (size < whole)
		return VE_FULL;
	if (sa->sequence >= LOW_NUMBER)
		count(e, SEQ_LOW);
	return (int)whole;
}

static int esp_encode(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length, uint8_t *out,
		      size_t size)
{
	struct esp *e = (struct esp *)codec;
	int whole;

	if (kind == VE_ANY_PACKET)
		kind = kind_of(payload, length);
	whole = begin_frame(e, kind, length, size);
	if (whole > 0 && !ve_esp_sa_seal(&e->out, (uint8_t)kind, payload, length, out))
		return ve_codec_refuse(codec, "esp packet: libcrypto failed");
	return whole;
}

/* Where a packet begins in its frame. */
static size_t esp_header_size(const struct ve_codec *codec, uint32_t kind)
{
	const struct ve_esp_sa *sa = &((const struct esp *)codec)->out;

	(void)kind;
	return sa->suite ? (size_t)VE_ESP_FIXED + sa->suite->iv : VE_ESP_HEADER;
}

static void esp_finish(struct ve_codec *codec)
{
	struct esp *e = (struct esp *)codec;

	e->base.counters[TOGETHER] += ve_esp_batch_run(e->batch, e->laid, e->laid_count);
	for (struct ve_esp_job *job = e->laid; job < e->laid + e->laid_count; job++)
		if (!job->done && !ve_esp_sa_seal_laid(&e->out, job->frame, job->length))
			OPENSSL_cleanse(job->frame, job->length + e->out.icv);	/* it leaves as zeros, not as it was */
	e->laid_count = 0;
}

static int esp_encode_later(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size)
{
	struct esp *e = (struct esp *)codec;
	uint32_t kind = kind_of(packet, length);
	size_t laid;
	int whole;

	if (!e->batch || !e->out.together.key)
		return esp_encode(codec, kind, packet, length, out, size);
	whole = begin_frame(e, kind, length, size);
	if (whole <= 0)
		return whole;
	laid = ve_esp_sa_lay(&e->out, (uint8_t)kind, packet, length, out);
	if (!laid)
		return ve_codec_refuse(codec, "esp packet: libcrypto failed");
	if (e->laid_count == VE_ESP_TOGETHER)
		esp_finish(codec);
	e->laid[e->laid_count++] = ve_esp_sa_seal_job(&e->out, out, laid);
	return whole;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static int set_sa(struct esp *e, const char *option, const uint8_t *value, size_t length)
{
	struct ve_esp_sa fresh;

	if (ve_esp_sa_init(&fresh, &e->base, option, value, length) != VE_OK)
		return VE_ERROR;
	if (!fresh.suite->aead && !e->batch && e->least >= 0)
		e->batch = ve_esp_batch_new((size_t)e->least);
	if (e->batch)
		ve_esp_sa_together(&fresh, e->batch, value);
	if (!strcmp(option, "esp.out")) {
		ve_esp_sa_clear(&e->out);
		e->out = fresh;
	} else {
		ve_esp_sa_clear(&e->old);
		e->old = e->in;
		e->in = fresh;
	}
	OPENSSL_cleanse(&fresh, sizeof(fresh));
	return VE_OK;
}

static int set_sequence(struct esp *e, const uint8_t *value, size_t length)
{
	uint32_t number;

	if (length != 4)
		return ve_codec_refuse(&e->base, "esp.out-sequence length: got %zu, want 4 (byte 0)", length);
	if (!e->out.suite)
		return ve_codec_refuse(&e->base, "esp.out-sequence: no outbound sa");
	number = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
	if (number > e->out.sequence)
		e->out.sequence = number;
	return VE_OK;
}

static int set_echo(struct esp *e, const uint8_t *value, size_t length)
{
	size_t address, pattern;

	if (!length) {
		e->echo_version = 0;
		return VE_OK;
	}
	if (value[0] != 4 && value[0] != 6)
		return ve_codec_refuse(&e->base, "esp.echo version: got %u, want 4 or 6 (byte 0)", value[0]);
	address = value[0] == 4 ? 4 : 16;
	if (length < 1 + address + 1 || length > 1 + address + MAX_PATTERN)
		return ve_codec_refuse(&e->base, "esp.echo length: got %zu, want %zu..%zu (byte 0)", length,
				       address + 2, address + 1 + MAX_PATTERN);
	pattern = length - 1 - address;
	e->echo_version = value[0];
	memcpy(e->echo_address, value + 1, address);
	memcpy(e->echo_pattern, value + 1 + address, pattern);
	e->echo_length = pattern;
	return VE_OK;
}

static int set_lzo(struct esp *e, const uint8_t *value, size_t length)
{
	size_t room = length == 2 ? (size_t)value[0] << 8 | value[1] : 0;

	if (length && length != 2)
		return ve_codec_refuse(&e->base, "esp.lzo length: got %zu, want 0 or 2 (byte 0)", length);
	if (length && (!room || room > VE_MAX_PACKET))
		return ve_codec_refuse(&e->base, "esp.lzo room: got %zu, want 1..%d (byte 0)", room, VE_MAX_PACKET);
	e->lzo_room = room;
	return VE_OK;
}

static int set_together(struct esp *e, const uint8_t *value, size_t length)
{
	struct ve_esp_batch *fresh;

	if (length != 1)
		return ve_codec_refuse(&e->base, "esp.together length: got %zu, want 1 (byte 0)", length);
	if (e->in.suite || e->out.suite)
		return ve_codec_refuse(&e->base, "esp.together: there are keys already");
	fresh = value[0] ? ve_esp_batch_new(value[0]) : NULL;
	if (value[0] && !fresh)
		return ve_codec_refuse(&e->base, "esp.together: this engine or processor cannot do it");
	ve_esp_batch_free(e->batch);
	e->batch = fresh;
	e->least = value[0] ? value[0] : -1;
	return VE_OK;
}

static void wipe(struct esp *e)
{
	ve_esp_sa_clear(&e->in);
	ve_esp_sa_clear(&e->old);
	ve_esp_sa_clear(&e->out);
	ve_esp_batch_free(e->batch);
	e->batch = NULL;
	OPENSSL_cleanse(e->scratch, sizeof(e->scratch));
}

static void esp_free(struct ve_codec *codec)
{
	wipe((struct esp *)codec);
}

static int esp_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	struct esp *e = (struct esp *)codec;

	esp_finish(codec);	/* with the keys that it was begun with */
	if (!strcmp(option, "esp.in") || !strcmp(option, "esp.out"))
		return set_sa(e, option, value, length);
	if (!strcmp(option, "esp.out-sequence"))
		return set_sequence(e, value, length);
	if (!strcmp(option, "esp.echo"))
		return set_echo(e, value, length);
	if (!strcmp(option, "esp.lzo"))
		return set_lzo(e, value, length);
	if (!strcmp(option, "esp.together"))
		return set_together(e, value, length);
	if (strcmp(option, "esp.expire-old") && strcmp(option, "esp.close"))
		return ve_codec_refuse(codec, "framing esp has no option '%s'", option);
	if (length)
		return ve_codec_refuse(codec, "%s length: got %zu, want 0 (byte 0)", option, length);
	if (!strcmp(option, "esp.close"))
		wipe(e);
	else
		ve_esp_sa_clear(&e->old);
	return VE_OK;
}

const struct ve_codec_ops ve_esp = {
	.framing = "esp",
	.size = sizeof(struct esp),
	.headroom = VE_ESP_HEADER,
	.header_size = esp_header_size,
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.packet_kind = VE_ANY_PACKET,
	.free = esp_free,
	.set = esp_set,
	.datagram = esp_datagram,
	.datagrams = esp_datagrams,
	.encode = esp_encode,
	.encode_later = esp_encode_later,
	.finish = esp_finish,
};
