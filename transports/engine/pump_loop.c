/*
 * pump_loop.c: the thread of a pump.
 *
 *     poll {wake, stream, device, datagrams}
 *     up     each link -> its codec -> its sink       a bounded batch a turn
 *     down   device -> the link in use                a bounded batch a turn, one flush
 *     publish
 *
 * Packets leave by the datagram link while there is one and the owner wants it, else by the stream.  A fatal event ends
 * the flow; the thread then sleeps until it is stopped.  A datagram link that is lost beside a stream is not fatal.
 * Source: linux-tun notes, sections 1.1, 4, 9 and 13.
 */
#define _GNU_SOURCE		/* ppoll */
#include "pump.h"

#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WAKE, STREAM, DEVICE, DATAGRAMS, DESCRIPTORS };

enum {	/* ns */
	PACE_WINDOW = 1000000,
	PACE_PAUSE = 250000		/* the most that a busy link adds to a packet's way */
};

enum {
	PACE_BUSY = 16,			/* packets a window: from here a pause pays ... */
	PACE_FLOOD = 128,		/* ... and from here they come in batches anyway */
	PACE_FEW = 8			/* packets a read, on average: a peer that sends one by one */
};

void ve_pace_read(struct ve_pace *pace, uint64_t now, size_t packets)
{
	uint64_t passed = now - pace->since, rate;

	pace->next = now + PACE_PAUSE;
	pace->packets += packets;
	pace->reads++;
	if (passed < PACE_WINDOW)
		return;
	rate = pace->packets * PACE_WINDOW / passed;
	pace->busy = rate >= PACE_BUSY && rate < PACE_FLOOD &&
		     (pace->busy || pace->packets < PACE_FEW * pace->reads);
	pace->since = now;
	pace->packets = pace->reads = 0;
}

/* On a busy core the peer goes on first, so the next read brings more for the same price (an eighth of the CPU time a
 * gigabyte); on an idle one this returns at once.  A packet by itself is answered before. */
void ve_pump_yield(size_t packets)
{
	if (packets > 1)
		sched_yield();
}

void ve_pump_fail(struct ve_pump *p, int event, const char *text)
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

void ve_pump_fail_device(struct ve_pump *p)
{
	ve_pump_fail(p, VE_EVENT_DEVICE_GONE, "the tunnel interface was removed");
}

/* ---- wishes of the owner -------------------------------------------------------------------------------------- */

static void begin_rekey(struct ve_pump *p)
{
	if (p->rekeying || p->failed || !p->tls)
		return;
	if (ve_tls_rekey(p->tls) == VE_OK) {
		p->rekeying = 1;
		p->rx_dry = 0;		/* reading drives it */
		return;
	}
	ve_pump_post_event(p, VE_EVENT_REKEY_FAILED, ve_tls_error(p->tls));
	if (ve_tls_failure(p->tls) != VE_TLS_NO_FAILURE)
		ve_pump_fail(p, VE_EVENT_LINK_ERROR, ve_tls_error(p->tls));
}

static void serve_export(struct ve_pump *p)
{
	struct ve_export *export = &p->export;

	pthread_mutex_lock(&p->lock);
	if (export->state == VE_EXPORT_WANTED) {
		export->state = ve_tls_export(p->tls, export->label, export->out, export->length) == VE_OK
					? VE_EXPORT_DONE : VE_EXPORT_REFUSED;
		pthread_cond_signal(&p->exported);
	}
	pthread_mutex_unlock(&p->lock);
}

static void on_wake(struct ve_pump *p)
{
	uint64_t count;

	if (read(p->wake_fd, &count, sizeof(count)) < 0)
		return;
	if (p->sink)
		ve_sink_set_mtu(p->sink, p->mtu);
	ve_link_on_wake(p);
	serve_export(p);
	if (atomic_exchange(&p->rekey_wanted, 0))
		begin_rekey(p);
}

/* ---- telling -------------------------------------------------------------------------------------------------- */

static void publish(struct ve_pump *p)
{
	uint64_t words[VE_PUMP_STATS];
	size_t i;

	memset(&p->stats.sink, 0, sizeof(p->stats.sink));
	if (p->sink)
		ve_sink_stats(p->sink, &p->stats.sink);
	ve_link_stats(p);
	p->stats.rx_packets = p->stats.sink.packets;
	p->stats.rx_bytes = p->stats.sink.bytes;
	if (p->tls) {
		p->stats.link_reads = ve_tls_recv_calls(p->tls) - p->recv_base;
		p->stats.link_writes = ve_tls_send_calls(p->tls) - p->send_base;
	}
	memcpy(words, &p->stats, sizeof(words));
	for (i = 0; i < VE_PUMP_STATS; i++)
		atomic_store_explicit(&p->published[i], words[i], memory_order_relaxed);
	if (p->codec)
		for (i = 0; i < VE_CODEC_COUNTERS; i++)
			atomic_store_explicit(&p->counters[i], p->codec->counters[i], memory_order_relaxed);
}

/* ---- a turn --------------------------------------------------------------------------------------------------- */

static int by_datagram(const struct ve_pump *p)
{
	int way = atomic_load_explicit(&p->way, memory_order_relaxed);

	return p->link && (!p->tls || way == VE_BY_DATAGRAMS || (way == VE_BY_FOLLOWING && p->followed));
}

/* Whether the way out is closed for now, so that reading the device would only fill memory. */
static int blocked(const struct ve_pump *p)
{
	if (by_datagram(p))
		return ve_link_blocked(p);
	return !p->tls || p->tx_waits || p->pending || p->stream_full || ve_tls_buffered_out(p->tls);
}

/* How long to sleep at most: not at all while TLS holds input, of which poll cannot tell.  NULL: for ever. */
static const struct timespec *patience(const struct ve_pump *p, int stuck, struct timespec *room)
{
	uint64_t now, next = UINT64_MAX;

	*room = (struct timespec){0};
	if (p->failed)
		return NULL;
	if (!p->rx_dry || (!stuck && ve_segments_left(&p->segments)))
		return room;
	if (p->tls && p->stream_pace.busy)
		next = p->stream_pace.next;
	if (p->link && p->link_pace.busy && p->link_pace.next < next)
		next = p->link_pace.next;
	if (next == UINT64_MAX)
		return NULL;
	now = ve_pump_clock();
	room->tv_nsec = next > now ? (long)(next - now) : 0;	/* a pause at most */
	return room;
}

/* Sleeps until something can be done. */
static void wait_for(struct ve_pump *p, struct pollfd *fds)
{
	int stuck = blocked(p);
	struct timespec room;

	fds[WAKE] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
	/* Input is left alone while nothing can be made of it, or a pause gathers more. */
	fds[STREAM] = (struct pollfd){.fd = p->tls ? ve_tls_fd(p->tls) : -1,
				      .events = p->rx_wants_write || p->stream_pace.busy ? 0 : POLLIN};
	fds[DEVICE] = (struct pollfd){.fd = p->tun_fd, .events = stuck ? 0 : POLLIN};
	fds[DATAGRAMS] = (struct pollfd){.fd = -1};
	if (p->tls && (p->stream_full || ve_tls_buffered_out(p->tls)))
		fds[STREAM].events |= POLLOUT;
	ve_link_poll(p, &fds[DATAGRAMS]);
	if (p->failed)
		fds[STREAM].fd = fds[DEVICE].fd = fds[DATAGRAMS].fd = -1;	/* ignored by poll */
	if (ppoll(fds, DESCRIPTORS, patience(p, stuck, &room), NULL) < 0)
		fds[WAKE].revents = fds[STREAM].revents = fds[DEVICE].revents = fds[DATAGRAMS].revents = 0;
	p->stats.wakeups++;
}

static void stream_turn(struct ve_pump *p, short revents, uint64_t now)
{
	if (revents & POLLOUT) {
		p->link_writable = 1;
		p->stream_full = 0;
		if (p->rx_wants_write)
			p->rx_dry = 0;	/* a handshake that waited for room goes on by reading */
	}
	if (revents & ~POLLOUT || (p->stream_pace.busy && now >= p->stream_pace.next))
		p->rx_dry = 0;
	if (!p->rx_dry)
		ve_stream_receive(p);
}

static void stream_turn_end(struct ve_pump *p)
{
	if (p->rx_wants_write && !ve_tls_buffered_out(p->tls))
		p->rx_dry = 0;		/* there is room by now, and no POLLOUT will tell */
	if (p->rekeying && ve_tls_rekey_done(p->tls)) {
		p->rekeying = 0;
		ve_pump_post_event(p, VE_EVENT_REKEYED, "");
	}
}

static void transmit(struct ve_pump *p, int device_ready)
{
	int packets = device_ready || ve_segments_left(&p->segments), datagrams = by_datagram(p);

	if (datagrams && p->pending)
		ve_stream_drop_pending(p);
	if (p->tls)
		ve_stream_transmit(p, packets && !datagrams);
	if (p->link)
		ve_link_transmit(p, packets && datagrams);
}

static void turn(struct ve_pump *p, const struct pollfd *fds)
{
	uint64_t now;

	if (fds[WAKE].revents)
		on_wake(p);
	if (fds[DEVICE].revents & (POLLERR | POLLHUP | POLLNVAL))
		ve_pump_fail_device(p);
	if (p->failed)
		return;
	now = ve_pump_clock();
	if (p->tls)
		stream_turn(p, fds[STREAM].revents, now);
	if (!p->failed && p->link)
		ve_link_turn(p, fds[DATAGRAMS].revents, now);
	if (!p->failed)
		transmit(p, fds[DEVICE].revents & POLLIN);
	if (p->tls)
		stream_turn_end(p);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

/* Stopped: what is queued for the stream still leaves, while there is time. */
static void linger(struct ve_pump *p)
{
	uint64_t stop_at = p->stop_at;

	p->link_writable = 1;
	while (p->tls && !p->link_dead) {
		uint64_t now = ve_pump_clock();
		struct pollfd fd = {.fd = ve_tls_fd(p->tls)};

		if (ve_stream_flush(p))
			return;
		/* With nothing buffered it is a handshake that is waited for. */
		fd.events = ve_tls_buffered_out(p->tls) ? POLLOUT : POLLIN;
		if (p->link_dead || now >= stop_at || (p->failed && fd.events == POLLIN))
			return;
		if (poll(&fd, 1, (int)((stop_at - now + 999999) / 1000000)) > 0 && fd.events == POLLIN)
			ve_stream_receive(p);
		p->link_writable = 1;
	}
}

void *ve_pump_thread(void *arg)
{
	struct ve_pump *p = arg;
	struct pollfd fds[DESCRIPTORS];

	p->stats.last_rx_ns = p->stats.last_tx_ns = ve_pump_clock();
	ve_link_on_wake(p);
	if (p->tls)
		ve_stream_begin(p);
	else
		p->rx_dry = 1;
	publish(p);
	while (!p->stop_at) {
		wait_for(p, fds);
		turn(p, fds);
		publish(p);
	}
	ve_link_end(p);		/* its last frames are on their way before the stream's goodbye */
	linger(p);
	publish(p);
	ve_pump_post_event(p, VE_EVENT_STOPPED, "");
	return NULL;
}
