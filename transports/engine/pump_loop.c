/*
 * pump_loop.c: the thread of a pump.
 *
 *     poll {wake, link, device}
 *     up     link -> codec -> sink     decrypted into the sink's memory; at most RX_STEPS reads a turn
 *     down   device -> codec -> link   at most TX_BATCH packets a turn, a record each, one send for all
 *     publish
 *
 * Back-pressure: while the link holds ciphertext back, or cannot take a record, the device is not read.  Control frames
 * go before packets.  A fatal event ends the flow; the thread then sleeps until it is stopped.
 * Source: linux-tun notes, sections 1.1, 4, 9 and 13.
 */
#include "pump.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	TX_BATCH = 64,			/* packets read from the device before one send */
	RX_STEPS = 256,			/* reads of the link a turn: a header and a payload each packet */
	RX_CONTROLS = VE_CODEC_QUEUE / 2,	/* control frames a turn: they are handed up before the codec's queue is full */
	MAX_DEVICE_FAILURES = 16	/* reads that fail in a row before the device counts as gone */
};

enum { WAKE, LINK, DEVICE, DESCRIPTORS };

static void fail(struct ve_pump *p, int event, const char *text)
{
	if (event == VE_EVENT_LINK_EOF || event == VE_EVENT_LINK_ERROR)
		p->link_dead = 1;
	if (p->failed)
		return;
	p->failed = event;
	if (p->link_dead && p->rekeying)
		ve_pump_post_event(p, VE_EVENT_REKEY_FAILED, text);
	p->rekeying = 0;
	ve_pump_post_event(p, event, text);
}

static void fail_link(struct ve_pump *p)
{
	fail(p, VE_EVENT_LINK_ERROR, ve_tls_error(p->tls));
}

static void fail_device(struct ve_pump *p)
{
	fail(p, VE_EVENT_DEVICE_GONE, "the tunnel interface was removed");
}

/* ---- up: link to device --------------------------------------------------------------------------------------- */

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
		if (ve_queue_count(p->codec->controls) >= RX_CONTROLS || !ve_queue_takes_any(p->codec->controls))
			break;
		if (!ve_tls_has_input(p->tls)) {	/* saves the recv that would find nothing: poll tells */
			p->rx_dry = 1;
			break;
		}
	}
	if (moved) {
		p->stats.last_rx_ns = ve_pump_clock();
		/* On a busy core the peer goes on first, so the next read brings more for the same price (an eighth of the
		 * CPU time a gigabyte); on an idle one this returns at once. */
		sched_yield();
	}
	return rc;
}

/* Control frames first, so that the owner hears a goodbye before the end that follows it. */
static void receive(struct ve_pump *p)
{
	int rc = pull(p);

	if (ve_queue_count(p->codec->controls))
		ve_pump_post_controls(p);
	if (ve_sink_flush(p->sink) != VE_OK)
		fail_device(p);
	if (rc == VE_EOF)
		fail(p, VE_EVENT_LINK_EOF, "the gateway closed the connection");
	else if (rc == VE_GONE)
		fail(p, VE_EVENT_STREAM_BROKEN, ve_codec_error(p->codec));
	else if (rc == VE_ERROR)
		fail_link(p);
}

/* ---- down: device to link ------------------------------------------------------------------------------------- */

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

/* A frame leaves the queue when it is taken.  1: none waits. */
static int push_controls(struct ve_pump *p)
{
	struct ve_control *control = &p->control;
	int rc, length;

	for (;;) {
		pthread_mutex_lock(&p->lock);
		rc = ve_queue_peek(p->down, control);
		pthread_mutex_unlock(&p->lock);
		if (rc != VE_OK)
			return 1;
		length = ve_codec_encode_control(p->codec, control->kind, control->payload, control->length,
						 p->buffer, VE_TLS_RECORD);	/* more would be cut off */
		if (length > 0 && !push(p, p->buffer, (size_t)length))
			return 0;
		p->stats.tx_controls += length > 0;
		pthread_mutex_lock(&p->lock);
		ve_queue_pop(p->down);
		pthread_mutex_unlock(&p->lock);
	}
}

/* One read; what it says, of bytes behind the virtio header. */
static ssize_t read_device(struct ve_pump *p, uint8_t *vnet)
{
	struct iovec iov[2] = {{.iov_base = vnet, .iov_len = VE_VNET_SIZE},
			       {.iov_base = p->device + VE_HEADROOM, .iov_len = VE_SUPER_PACKET + 1}};
	ssize_t got;

	p->stats.device_reads++;
	if (!(p->offload & VE_TUN_VNET))
		return read(p->tun_fd, iov[1].iov_base, iov[1].iov_len);
	got = readv(p->tun_fd, iov, 2);
	if (got <= 0)
		return got;
	if (got > VE_VNET_SIZE)
		return got - VE_VNET_SIZE;
	memset(vnet, 0xff, VE_VNET_SIZE);	/* shorter than it, or nothing behind it: a lie in any case */
	return 1;
}

/* A super-packet is left to be cut, an ordinary packet is made whole.  1: the latter. */
static int on_vnet(struct ve_pump *p, const uint8_t *vnet, size_t length, size_t mtu)
{
	int rc = ve_segments_begin(&p->segments, vnet, p->device + VE_HEADROOM, length);

	p->stats.tun_bad_vnet += rc == VE_ERROR;
	if (rc != VE_OK)
		return rc == VE_EMPTY;
	p->stats.super_packets++;
	if (ve_segments_largest(&p->segments) > mtu) {
		p->stats.dropped_tx_oversize += ve_segments_count(&p->segments);
		p->segments = (struct ve_segments){0};
	}
	return 0;
}

/* Bytes of packet in device, 0: nothing usable came, or a super-packet, or VE_EMPTY. */
static int read_packet(struct ve_pump *p, size_t mtu)
{
	uint8_t vnet[VE_VNET_SIZE];
	ssize_t got = read_device(p, vnet);
	size_t length;

	if (got > 0) {
		p->device_failures = 0;
		if (p->offload & VE_TUN_VNET && !on_vnet(p, vnet, (size_t)got, mtu))
			return 0;
		length = ve_ip_length(p->device + VE_HEADROOM, (size_t)got);
		p->stats.dropped_tx_oversize += (size_t)got > mtu;
		p->stats.dropped_tx_not_ip += (size_t)got <= mtu && !length;
		return (size_t)got > mtu ? 0 : (int)length;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EAGAIN ? VE_EMPTY : 0;
	p->stats.device_read_errors++;
	if (got == 0 || errno == EBADFD || errno == EBADF || errno == ENODEV ||
	    ++p->device_failures >= MAX_DEVICE_FAILURES)
		fail_device(p);
	return VE_EMPTY;
}

/* The next segment, or the next packet from the device; as read_packet. */
static int next_packet(struct ve_pump *p, size_t mtu, uint8_t **packet)
{
	if (!ve_segments_left(&p->segments)) {
		int length = read_packet(p, mtu);

		*packet = p->device + VE_HEADROOM;
		if (length || !ve_segments_left(&p->segments))
			return length;
	}
	*packet = p->buffer + VE_HEADROOM;
	return (int)ve_segments_next(&p->segments, *packet);
}

static void push_packets(struct ve_pump *p)
{
	size_t mtu = atomic_load_explicit(&p->mtu, memory_order_relaxed);
	uint8_t *packet, *frame;
	int i, length, framed;

	for (i = 0; i < TX_BATCH; i++) {
		length = next_packet(p, mtu, &packet);
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

static void transmit(struct ve_pump *p, int device_ready)
{
	p->tx_waits = !(drain(p) && push_pending(p) && push_controls(p));
	if (!p->tx_waits && (device_ready || ve_segments_left(&p->segments)) && !p->failed)
		push_packets(p);
	if (!p->link_dead)
		drain(p);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void begin_rekey(struct ve_pump *p)
{
	if (p->rekeying || p->failed)
		return;
	if (ve_tls_rekey(p->tls) == VE_OK) {
		p->rekeying = 1;
		p->rx_dry = 0;		/* reading drives it */
		return;
	}
	ve_pump_post_event(p, VE_EVENT_REKEY_FAILED, ve_tls_error(p->tls));
	if (ve_tls_failure(p->tls) != VE_TLS_NO_FAILURE)
		fail_link(p);
}

static void on_wake(struct ve_pump *p)
{
	uint64_t count;

	if (read(p->wake_fd, &count, sizeof(count)) < 0)
		return;
	ve_sink_set_mtu(p->sink, p->mtu);
	if (atomic_exchange(&p->rekey_wanted, 0))
		begin_rekey(p);
}

static void publish(struct ve_pump *p)
{
	uint64_t words[VE_PUMP_STATS];
	size_t i;

	ve_sink_stats(p->sink, &p->stats.sink);
	p->stats.rx_packets = p->stats.sink.packets;
	p->stats.rx_bytes = p->stats.sink.bytes;
	p->stats.link_reads = ve_tls_recv_calls(p->tls) - p->recv_base;
	p->stats.link_writes = ve_tls_send_calls(p->tls) - p->send_base;
	memcpy(words, &p->stats, sizeof(words));
	for (i = 0; i < VE_PUMP_STATS; i++)
		atomic_store_explicit(&p->published[i], words[i], memory_order_relaxed);
	for (i = 0; i < VE_CODEC_COUNTERS; i++)
		atomic_store_explicit(&p->counters[i], p->codec->counters[i], memory_order_relaxed);
}

/* Sleeps until something can be done; not at all while TLS holds input, of which poll cannot tell. */
static void wait_for(struct ve_pump *p, struct pollfd *fds)
{
	int blocked = p->tx_waits || p->pending || ve_tls_buffered_out(p->tls);
	int timeout = p->rx_dry && (blocked || !ve_segments_left(&p->segments)) ? -1 : 0;

	fds[WAKE] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
	/* Input is left alone while nothing can be made of it. */
	fds[LINK] = (struct pollfd){.fd = ve_tls_fd(p->tls), .events = p->rx_wants_write ? 0 : POLLIN};
	fds[DEVICE] = (struct pollfd){.fd = p->tun_fd, .events = blocked ? 0 : POLLIN};
	if (ve_tls_buffered_out(p->tls))
		fds[LINK].events |= POLLOUT;
	if (p->failed) {
		fds[LINK].fd = fds[DEVICE].fd = -1;	/* ignored by poll */
		timeout = -1;
	}
	if (poll(fds, DESCRIPTORS, timeout) < 0)
		fds[WAKE].revents = fds[LINK].revents = fds[DEVICE].revents = 0;
	p->stats.wakeups++;
}

static void turn(struct ve_pump *p, const struct pollfd *fds)
{
	if (fds[WAKE].revents)
		on_wake(p);
	if (fds[DEVICE].revents & (POLLERR | POLLHUP | POLLNVAL))
		fail_device(p);
	if (p->failed)
		return;
	if (fds[LINK].revents & POLLOUT) {
		p->link_writable = 1;
		if (p->rx_wants_write)
			p->rx_dry = 0;	/* a handshake that waited for room goes on by reading */
	}
	if (fds[LINK].revents & ~POLLOUT)
		p->rx_dry = 0;
	if (!p->rx_dry)
		receive(p);
	if (!p->failed)
		transmit(p, fds[DEVICE].revents & POLLIN);
	if (p->rx_wants_write && !ve_tls_buffered_out(p->tls))
		p->rx_dry = 0;		/* there is room by now, and no POLLOUT will tell */
	if (p->rekeying && ve_tls_rekey_done(p->tls)) {
		p->rekeying = 0;
		ve_pump_post_event(p, VE_EVENT_REKEYED, "");
	}
}

/* Stopped: what is queued for the link still leaves, while there is time. */
static void linger(struct ve_pump *p)
{
	uint64_t stop_at = p->stop_at;

	p->link_writable = 1;
	while (!p->link_dead) {
		uint64_t now = ve_pump_clock();
		struct pollfd fd = {.fd = ve_tls_fd(p->tls)};

		if (drain(p) && push_pending(p) && push_controls(p) && drain(p))
			return;
		/* With nothing buffered it is a handshake that is waited for. */
		fd.events = ve_tls_buffered_out(p->tls) ? POLLOUT : POLLIN;
		if (p->link_dead || now >= stop_at || (p->failed && fd.events == POLLIN))
			return;
		if (poll(&fd, 1, (int)((stop_at - now + 999999) / 1000000)) > 0 && fd.events == POLLIN)
			receive(p);
		p->link_writable = 1;
	}
}

/* What came with the HTTP answer, in pieces that cannot fill the codec's queue: a frame takes a byte at least. */
static void feed_first(struct ve_pump *p)
{
	size_t at, piece;
	int rc = VE_OK;

	for (at = 0; at < p->first_length && rc == VE_OK; at += piece) {
		piece = p->first_length - at < RX_CONTROLS ? p->first_length - at : RX_CONTROLS;
		rc = ve_codec_pour(p->codec, p->sink, p->first + at, piece);
		if (ve_queue_count(p->codec->controls))
			ve_pump_post_controls(p);
	}
	ve_codec_read_end(p->codec);
	if (rc != VE_OK) {
		ve_sink_flush(p->sink);
		fail(p, VE_EVENT_STREAM_BROKEN, ve_codec_error(p->codec));
	}
}

static void begin(struct ve_pump *p)
{
	p->recv_base = ve_tls_recv_calls(p->tls);
	p->send_base = ve_tls_send_calls(p->tls);
	p->stats.last_rx_ns = p->stats.last_tx_ns = ve_pump_clock();
	feed_first(p);
	if (!p->failed)
		receive(p);		/* also what TLS holds already, of which poll cannot tell */
}

void *ve_pump_thread(void *arg)
{
	struct ve_pump *p = arg;
	struct pollfd fds[DESCRIPTORS];

	begin(p);
	publish(p);
	while (!p->stop_at) {
		wait_for(p, fds);
		turn(p, fds);
		publish(p);
	}
	linger(p);
	publish(p);
	ve_pump_post_event(p, VE_EVENT_STOPPED, "");
	return NULL;
}
