/*
 * pump_stream.c: the stream link of a pump: TLS records to packets, packets to TLS records.
 *
 *     up     link -> codec -> sink     decrypted into the sink's memory; at most RX_STEPS reads a turn
 *     down   device -> codec -> link   at most TX_BATCH packets a turn, a record each, one send for all
 *
 * Back-pressure: while the link holds ciphertext back, or cannot take a record, the device is not read.  Control frames
 * go before packets.
 */
#include "pump.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	TX_BATCH = 64,			/* packets read from the device before one send */
	RX_STEPS = 256,			/* reads of the link a turn: a header and a payload each packet */
	UNSENT = 128 * 1024		/* bytes that TCP holds but has not sent: more would only stand in line */
};

static void fail_link(struct ve_pump *p)
{
	ve_pump_fail(p, VE_EVENT_LINK_ERROR, ve_tls_error(p->tls));
}

/* ---- up ------------------------------------------------------------------------------------------------------- */

/* VE_OK, VE_EOF, VE_ERROR: the link, VE_GONE: the codec cannot go on. */
static int pull(struct ve_pump *p)
{
	uint8_t *at;
	int step, got, moved = 0, rc = VE_OK;

	p->rx_wants_write = 0;
	for (step = 0; step < RX_STEPS; step++) {
		size_t room = ve_codec_room(p->codec, p->sink, &at);

		got = ve_tls_read(p->tls, at, room);
		if (got == VE_WANT_READ || got == VE_WANT_WRITE) {
			p->rx_wants_write = got == VE_WANT_WRITE;
			p->rx_dry = 1;
			break;
		}
		if (got <= 0) {
			rc = got == VE_EOF ? VE_EOF : VE_ERROR;
			break;
		}
		moved = 1;
		if (ve_codec_took(p->codec, p->sink, (size_t)got) != VE_OK) {
			rc = VE_GONE;
			break;
		}
		if (ve_tls_record_read(p->tls))
			ve_codec_read_end(p->codec);
		if (ve_queue_count(p->codec->controls) >= VE_PUMP_RX_CONTROLS || !ve_queue_takes_any(p->codec->controls))
			break;
		if (!ve_tls_has_input(p->tls)) {	/* saves the recv that would find nothing: poll tells */
			p->rx_dry = 1;
			break;
		}
	}
	ve_pace_read(&p->stream_pace, ve_pump_clock(), moved ? p->sink->count : 0);
	if (moved)
		p->stats.last_rx_ns = ve_pump_clock();
	return rc;
}

/* Control frames first, so that the owner hears a goodbye before the end that follows it. */
void ve_stream_receive(struct ve_pump *p)
{
	int rc = pull(p);
	size_t packets = p->sink->count;

	if (ve_queue_count(p->codec->controls))
		ve_pump_post_controls(p, p->codec, 0);
	if (packets)
		p->followed = 0;
	if (ve_sink_flush(p->sink) != VE_OK)
		ve_pump_fail_device(p);
	if (rc == VE_EOF)
		ve_pump_fail(p, VE_EVENT_LINK_EOF, "the gateway closed the connection");
	else if (rc == VE_GONE)
		ve_pump_fail(p, VE_EVENT_STREAM_BROKEN, ve_codec_error(p->codec));
	else if (rc == VE_ERROR)
		fail_link(p);
	ve_pump_yield(packets);
}

/* What came with the HTTP answer, in pieces that cannot fill the codec's queue: a frame takes a byte at least. */
static void feed_first(struct ve_pump *p)
{
	size_t at, piece;
	int rc = VE_OK;

	for (at = 0; at < p->first_length && rc == VE_OK; at += piece) {
		piece = p->first_length - at < VE_PUMP_RX_CONTROLS ? p->first_length - at : VE_PUMP_RX_CONTROLS;
		rc = ve_codec_pour(p->codec, p->sink, p->first + at, piece);
		if (ve_queue_count(p->codec->controls))
			ve_pump_post_controls(p, p->codec, 0);
	}
	ve_codec_read_end(p->codec);
	if (rc != VE_OK) {
		ve_sink_flush(p->sink);
		ve_pump_fail(p, VE_EVENT_STREAM_BROKEN, ve_codec_error(p->codec));
	}
}

void ve_stream_begin(struct ve_pump *p)
{
	int unsent = UNSENT;

	/* Poll calls it writable below that; elsewhere than on TCP this is refused, and nothing is lost. */
	setsockopt(ve_tls_fd(p->tls), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	p->recv_base = ve_tls_recv_calls(p->tls);
	p->send_base = ve_tls_send_calls(p->tls);
	ve_tls_take_over(p->tls);
	feed_first(p);
	if (!p->failed)
		ve_stream_receive(p);	/* also what TLS holds already, of which poll cannot tell */
}

/* ---- down ----------------------------------------------------------------------------------------------------- */

/* 1: the kernel has everything; 0: wait for POLLOUT, or failed. */
static int drain(struct ve_pump *p)
{
	size_t before = ve_tls_buffered_out(p->tls);
	int rc;

	if (!before)
		return 1;
	if (!p->link_writable)
		return 0;
	rc = ve_tls_flush(p->tls);
	if (ve_tls_buffered_out(p->tls) < before)
		p->stats.last_tx_ns = ve_pump_clock();
	if (rc == VE_OK)
		return 1;
	p->link_writable = 0;
	if (rc != VE_WANT_WRITE)
		fail_link(p);
	return 0;
}

/* One record.  1: taken; 0: try again later, or failed. */
static int push(struct ve_pump *p, const uint8_t *frame, size_t length)
{
	int rc = ve_tls_write(p->tls, frame, length);

	if ((rc == VE_WANT_WRITE || rc == VE_FULL) && drain(p))
		rc = ve_tls_write(p->tls, frame, length);
	if (rc == VE_ERROR || rc == VE_EOF)
		fail_link(p);
	return rc > 0;
}

/* Where a packet's frame begins: before the packet, in its headroom, where only a header is added. */
static uint8_t *frame_of(struct ve_pump *p, uint8_t *packet)
{
	return p->codec->ops->header ? packet - ve_codec_headroom(p->codec) : p->frame;
}

/* The packet that was read from the device but not taken. */
static int push_pending(struct ve_pump *p)
{
	if (!p->pending)
		return 1;
	if (!push(p, p->pending_frame, p->pending))
		return 0;
	p->stats.tx_packets++;
	p->stats.tx_bytes += p->pending_packet;
	p->pending = 0;
	return 1;
}

/* The control frame that was encoded but not taken: never encoded twice, as some framings number their frames. */
static int push_control_frame(struct ve_pump *p)
{
	if (!p->control_frame_length)
		return 1;
	if (!push(p, p->control_frame, p->control_frame_length))
		return 0;
	p->control_frame_length = 0;
	p->stats.tx_controls++;
	return 1;
}

/* 1: none waits. */
static int push_controls(struct ve_pump *p)
{
	struct ve_control *control = &p->control;
	int length;

	while (push_control_frame(p)) {
		if (ve_pump_take_control(p, p->down, control) != VE_OK)
			return 1;
		length = ve_codec_encode_control(p->codec, control->kind, control->payload, control->length,
						 p->control_frame, VE_TLS_RECORD);	/* more would be cut off */
		p->control_frame_length = length > 0 ? (size_t)length : 0;
	}
	return 0;
}

static void push_packets(struct ve_pump *p)
{
	size_t mtu = atomic_load_explicit(&p->mtu, memory_order_relaxed);
	uint8_t *packet, *frame;
	int i, length, framed;

	for (i = 0; i < TX_BATCH; i++) {
		length = ve_pump_next_packet(p, mtu, p->buffer + VE_HEADROOM, &packet);
		if (length == VE_EMPTY)
			return;
		if (length == 0)
			continue;
		frame = frame_of(p, packet);
		framed = ve_codec_encode(p->codec, packet, (size_t)length, frame, VE_TLS_RECORD);
		if (framed <= 0) {
			p->stats.dropped_tx_not_ip++;
			continue;
		}
		p->pending_frame = frame;
		p->pending = (size_t)framed;
		p->pending_packet = (size_t)length;
		if (!push_pending(p))
			return;
	}
}

int ve_stream_flush(struct ve_pump *p)
{
	p->tx_waits = !(drain(p) && push_pending(p) && push_controls(p));
	return !p->tx_waits && drain(p);
}

/* Packets wait in the device, where their senders notice, rather than in TCP's buffer. */
static void measure_queue(struct ve_pump *p)
{
	int unsent;

	p->stream_full = ioctl(ve_tls_fd(p->tls), SIOCOUTQNSD, &unsent) == 0 && unsent > UNSENT;
}

/* packets: those of the device go this way, and some may be there. */
void ve_stream_transmit(struct ve_pump *p, int packets)
{
	int pushed = 0;

	p->tx_waits = !(drain(p) && push_pending(p) && push_controls(p));
	if (!p->tx_waits && packets && !p->stream_full && !p->failed) {
		push_packets(p);
		pushed = 1;
	}
	if (!p->link_dead)
		drain(p);
	if (pushed && !p->link_dead)
		measure_queue(p);
}

/* A packet that is no longer to go this way gives its place to those that go another. */
void ve_stream_drop_pending(struct ve_pump *p)
{
	p->stats.dropped_tx_switched += p->pending != 0;
	p->pending = 0;
}
