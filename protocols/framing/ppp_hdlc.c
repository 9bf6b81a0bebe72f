/*
 * ppp_hdlc.c: PPP in HDLC-like framing ("ppp-f5-hdlc"), a stream.
 *
 *     7e  PPP packet and its FCS-16, stuffed  7e       one flag may end a frame and begin the next
 *
 * A record is read whole into `record`; the bytes of each frame are un-stuffed from there to where they leave from: the
 * PPP header into `head`, the packet straight into a reservation of the sink.  That one pass is their only move, and it
 * cannot be saved by reading into the reservation: header and escapes make every byte move up.
 *
 *     IN_HEAD  -> IN_BODY            the PPP header is known
 *     any      -> OVERFLOWN          more than MAX_FRAME bytes: eaten up to the next flag
 *     any      -> IN_HEAD            a flag
 *
 * Options besides those of ppp.c (value):
 *     ppp.accm    4 bytes, big-endian: the sending map; LCP is always sent with ffffffff
 *     hdlc.plain  1 byte: 1 to do without what is special of this processor
 * Source: PPP notes, sections 3 and 4.   Twin: protocols/framing/ppp.py, hdlc.py.
 */
#include "hdlc.h"
#include "ppp.h"

#include <string.h>

enum { ABORTED = PPP_COUNTERS, SHORT, BAD_FCS, TOO_LONG };

static const char *const counter_names[] = {
	PPP_COUNTER_NAMES,
	[ABORTED] = "hdlc_aborted",
	[SHORT] = "hdlc_short",
	[BAD_FCS] = "hdlc_bad_fcs",
	[TOO_LONG] = "hdlc_too_long",
	NULL,
};

enum {
	RECORD = 16384,				/* bytes of stream taken at once; also what a frame sent must fit */
	MIN_FRAME = 4,				/* bytes un-stuffed, with the FCS */
	MAX_FRAME = PPP_MAX_HEADER + PPP_MAX_INFORMATION + HDLC_FCS,
	MAX_SENT = (RECORD - 2) / 2 - HDLC_FCS - PPP_MAX_HEADER,	/* every byte may be escaped */
	MAX_TAIL = 8				/* bytes behind the largest packet, rounded up */
};

enum state { IN_HEAD, IN_BODY, OVERFLOWN };

struct hdlc {
	struct ppp ppp;
	const struct hdlc_kernel *kernel;
	uint32_t accm;
	enum state state;
	int escaped;
	uint16_t fcs;			/* of the head and of what is in the body, IN_BODY */
	uint8_t head[PPP_MAX_HEADER];
	size_t head_length;
	struct ppp_header header;
	int parsed;			/* of ppp_parse */
	int passes;			/* data that was allowed when its header came */
	uint8_t *packet;		/* the open reservation, or NULL: the body goes to `other` */
	size_t body;			/* bytes behind the PPP header, with the FCS */
	uint8_t tail[MAX_TAIL];		/* of them, those beyond the reservation */
	uint8_t other[MAX_FRAME];
	uint8_t record[RECORD + HDLC_SLACK];
};

static size_t hdlc_room(struct ve_codec *codec, struct ve_sink *sink, uint8_t **at)
{
	(void)sink;
	*at = ((struct hdlc *)codec)->record;
	return RECORD;
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static void reset(struct hdlc *h, struct ve_sink *sink)
{
	if (h->packet)
		ve_sink_abort(sink, h->packet);
	h->packet = NULL;
	h->state = IN_HEAD;
	h->escaped = 0;
	h->head_length = h->body = 0;
}

/* A frame whose FCS is right. */
static void deliver(struct hdlc *h, struct ve_sink *sink)
{
	struct ppp *ppp = &h->ppp;
	size_t information = h->body - HDLC_FCS;

	/* The header may have reached into the FCS; then the packet had no whole one. */
	switch (ppp_judge(ppp, h->body < HDLC_FCS ? VE_EMPTY : h->parsed, &h->header, information)) {
	case PPP_PACKET:
		if (h->packet)
			ve_sink_commit(sink, h->packet, information);
		else
			ppp->base.counters[h->passes ? PPP_SINK_FULL : PPP_RX_EARLY]++;
		h->packet = NULL;
		return;
	case PPP_CONTROL:
		if (ve_queue_push(ppp->base.controls, h->header.protocol, h->other, information) != VE_OK)
			ppp->base.counters[PPP_CONTROL_OVERFLOW]++;
		return;
	default:
		return;
	}
}

static void on_flag(struct hdlc *h, struct ve_sink *sink)
{
	uint64_t *counters = h->ppp.base.counters;
	size_t length = h->head_length + h->body;

	if (h->state == OVERFLOWN || !length)
		;			/* counted; or idle fill, or a shared flag */
	else if (h->escaped)
		counters[ABORTED]++;
	else if (length < MIN_FRAME)
		counters[SHORT]++;
	else if (h->fcs != HDLC_FCS_GOOD)
		counters[BAD_FCS]++;
	else
		deliver(h, sink);
	reset(h, sink);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

/* The header is known. */
static void on_head(struct hdlc *h, struct ve_sink *sink)
{
	h->state = IN_BODY;
	h->fcs = h->kernel->fcs(HDLC_FCS_START, h->head, h->head_length);
	h->body = h->parsed == VE_OK ? h->head_length - h->header.length : 0;	/* 1 if it took ff and what is no 03 */
	h->head_length -= h->body;
	memcpy(h->other, h->head + h->head_length, h->body);	/* ff is no data */
	h->passes = h->parsed == VE_OK && ppp_is_data(h->header.protocol) && ppp_may_pass(&h->ppp, h->header.protocol);
	if (h->passes)
		h->packet = ve_sink_reserve(sink, PPP_MAX_INFORMATION);
}

static int is_special(const uint8_t *bytes, size_t n)
{
	int special = 0;

	for (size_t i = 0; i < n; i++)
		special |= bytes[i] == HDLC_FLAG || bytes[i] == HDLC_ESCAPE;
	return special;
}

/* A whole header at once, where nothing in it is escaped: nearly always.  1: it was. */
static int whole_head(struct hdlc *h, struct hdlc_run *run)
{
	if (h->head_length || run->escaped || run->left < PPP_MAX_HEADER || is_special(run->in, PPP_MAX_HEADER))
		return 0;
	h->parsed = ppp_parse(run->in, PPP_MAX_HEADER, &h->header);
	h->head_length = h->header.length;
	memcpy(h->head, run->in, PPP_MAX_HEADER);
	run->in += h->head_length;
	run->left -= h->head_length;
	return 1;
}

/* The PPP header byte by byte, as it says itself where it ends. */
static void in_head(struct hdlc *h, struct ve_sink *sink, struct hdlc_run *run)
{
	uint8_t byte;

	if (whole_head(h, run)) {
		on_head(h, sink);
		return;
	}
	byte = *run->in++;
	run->left--;
	if (byte == HDLC_ESCAPE && !run->escaped) {
		run->escaped = 1;
		return;
	}
	h->head[h->head_length++] = run->escaped ? byte ^ HDLC_FLIP : byte;
	run->escaped = 0;
	h->parsed = ppp_parse(h->head, h->head_length, &h->header);
	if (h->parsed != VE_EMPTY)
		on_head(h, sink);
}

/* Where the next byte of the body goes; no room: the frame is too long. */
static void place(struct hdlc *h, struct hdlc_run *run)
{
	size_t left = MAX_FRAME - h->head_length - h->body;

	if (!h->packet) {
		run->out = h->other + h->body;
		run->room = left;
	} else if (h->body < PPP_MAX_INFORMATION) {
		run->out = h->packet + h->body;
		run->room = PPP_MAX_INFORMATION - h->body;
	} else {
		run->out = h->tail + (h->body - PPP_MAX_INFORMATION);
		run->room = left;
	}
}

static void in_body(struct hdlc *h, struct ve_sink *sink, struct hdlc_run *run)
{
	uint8_t *out;
	size_t n;

	place(h, run);
	if (!run->room) {		/* and what comes is no flag */
		h->ppp.base.counters[TOO_LONG]++;
		reset(h, sink);
		h->state = OVERFLOWN;
		run->escaped = 0;
		return;
	}
	out = run->out;
	h->kernel->unescape(run);
	n = (size_t)(run->out - out);
	h->fcs = h->kernel->fcs(h->fcs, out, n);
	h->body += n;
}

static void overflown(struct hdlc_run *run)
{
	const uint8_t *flag = memchr(run->in, HDLC_FLAG, run->left);
	size_t n = flag ? (size_t)(flag - run->in) : run->left;

	run->in += n;
	run->left -= n;
}

static uint8_t **hdlc_open(struct ve_codec *codec, size_t *used)
{
	struct hdlc *h = (struct hdlc *)codec;

	*used = h->body < PPP_MAX_INFORMATION ? h->body : PPP_MAX_INFORMATION;
	return h->packet ? &h->packet : NULL;
}

static int hdlc_took(struct ve_codec *codec, struct ve_sink *sink, size_t n)
{
	struct hdlc *h = (struct hdlc *)codec;
	struct hdlc_run run = {.in = h->record, .left = n, .escaped = h->escaped};

	while (run.left) {
		if (*run.in == HDLC_FLAG) {
			h->escaped = run.escaped;
			on_flag(h, sink);
			run.escaped = 0;
			run.in++;
			run.left--;
		} else if (h->state == IN_HEAD) {
			in_head(h, sink, &run);
		} else if (h->state == IN_BODY) {
			in_body(h, sink, &run);
		} else {
			overflown(&run);
		}
	}
	h->escaped = run.escaped;
	return VE_OK;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Stuffs byte by byte into what room there is; NULL: too little. */
static uint8_t *stuff(uint32_t accm, const uint8_t *in, size_t length, uint8_t *out, const uint8_t *end)
{
	for (; length; length--, in++) {
		int special = hdlc_needs_escape(accm, *in);

		if (end - out < 1 + special)
			return NULL;
		if (special)
			*out++ = HDLC_ESCAPE;
		*out++ = special ? *in ^ HDLC_FLIP : *in;
	}
	return out;
}

static int hdlc_encode(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length, uint8_t *out,
		       size_t size)
{
	struct hdlc *h = (struct hdlc *)codec;
	uint32_t protocol = ppp_protocol(&h->ppp, kind, payload, length);
	uint32_t accm = protocol == PPP_LCP ? HDLC_ACCM_ALL : h->accm;
	uint8_t head[PPP_MAX_HEADER], check[HDLC_FCS], *at, *end;
	size_t head_length;
	uint16_t fcs;

	if (!protocol)
		return VE_ERROR;
	if (size < 2)
		return VE_FULL;
	head_length = ppp_header_size(&h->ppp, protocol);
	ppp_build(&h->ppp, protocol, head);
	fcs = h->kernel->fcs(HDLC_FCS_START, head, head_length);
	fcs = (uint16_t)~h->kernel->fcs(fcs, payload, length);
	check[0] = (uint8_t)fcs;
	check[1] = (uint8_t)(fcs >> 8);
	end = out + size - 1;		/* of the bytes before the closing flag */
	*out = HDLC_FLAG;
	at = stuff(accm, head, head_length, out + 1, end);
	if (at && (size_t)(end - at) >= 2 * length + HDLC_SLACK)
		at += h->kernel->escape(accm, payload, length, at);
	else if (at)
		at = stuff(accm, payload, length, at, end);
	if (at)
		at = stuff(accm, check, sizeof(check), at, end);
	if (!at)
		return VE_FULL;
	*at++ = HDLC_FLAG;
	return (int)(at - out);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static int hdlc_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length)
{
	struct hdlc *h = (struct hdlc *)codec;
	uint8_t plain;
	int rc;

	if (!strcmp(option, "ppp.accm")) {
		if (length != 4)
			return ve_codec_refuse(codec, "%s length: got %zu, want 4 (byte 0)", option, length);
		h->accm = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
		return VE_OK;
	}
	if (!strcmp(option, "hdlc.plain")) {
		rc = ppp_set_byte(&h->ppp, option, value, length, 1, &plain);
		if (rc == VE_OK)
			h->kernel = plain ? &hdlc_plain : hdlc_best();
		return rc;
	}
	rc = ppp_set(&h->ppp, option, value, length);
	return rc == VE_EMPTY ? ppp_no_option(&h->ppp, option) : rc;
}

static int hdlc_init(struct ve_codec *codec)
{
	struct hdlc *h = (struct hdlc *)codec;

	h->kernel = hdlc_best();
	h->accm = HDLC_ACCM_ALL;
	return VE_OK;
}

const struct ve_codec_ops ve_ppp_f5_hdlc = {
	.framing = "ppp-f5-hdlc",
	.size = sizeof(struct hdlc),
	.max_payload = MAX_SENT,
	.counters = counter_names,
	.room = hdlc_room,
	.took = hdlc_took,
	.open = hdlc_open,
	.packet_kind = VE_ANY_PACKET,
	.init = hdlc_init,
	.set = hdlc_set,
	.encode = hdlc_encode,
};
