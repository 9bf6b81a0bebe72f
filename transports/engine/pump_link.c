/*
 * pump_link.c: the datagram link of a pump: datagrams to packets, packets to datagrams.
 *
 *     up     socket -> DTLS -> codec -> sink     a system call brings many datagrams; decrypted where they lie
 *     down   device -> codec -> DTLS -> socket   written where they leave from, equal ones by one call
 *
 * A datagram that is wrong is dropped and counted.  A socket that fails, or a peer that says goodbye, loses the link: beside
 * a stream the owner is told and packets go by the stream again at once; alone it is the end.
 */
#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TX_BATCH = 192,			/* packets read from the device a turn */
	RX_DATAGRAMS = 256,		/* a turn, good ones and others: from there on the device has its turn */
	RX_TOGETHER = VE_PUMP_RX_CONTROLS,	/* datagrams that are decoded at once: the codec has room for what they tell */
	MAX_FRAME_GROWTH = 128		/* bytes that a framing adds at most, its header included */
};

/* ---- life ----------------------------------------------------------------------------------------------------- */

struct ve_link *ve_link_new(int fd, struct ve_dtls *dtls, const char *framing, size_t largest, char *err, size_t err_size)
{
	struct ve_link *link = calloc(1, sizeof(*link));

	if (!link) {
		snprintf(err, err_size, "datagram link: out of memory");
		return NULL;
	}
	link->writable = 1;
	link->largest = largest;
	link->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (link->fd < 0)
		snprintf(err, err_size, "datagram link: %s", strerror(errno));
	else if ((link->codec = ve_codec_new(framing, err, err_size)) && !link->codec->ops->datagram)
		snprintf(err, err_size, "framing %s is one of streams: no datagram carries it", framing);
	else if (link->codec && (link->socket = ve_datagrams_new(link->fd, largest, err, err_size))) {
		link->dtls = dtls;
		link->head = dtls ? ve_dtls_head(dtls) : 0;
		link->tail = dtls ? ve_dtls_tail(dtls) : 0;
		return link;
	}
	ve_link_free(link);
	return NULL;
}

int ve_link_set(struct ve_link *link, const char *option, const uint8_t *value, size_t length, char *err, size_t err_size)
{
	if (ve_codec_set(link->codec, option, value, length) == VE_OK)
		return VE_OK;
	snprintf(err, err_size, "%s", ve_codec_error(link->codec));
	return VE_ERROR;
}

void ve_link_inherit(struct ve_link *link)
{
	link->inherits = 1;
}

void ve_link_free(struct ve_link *link)
{
	if (!link)
		return;
	ve_datagrams_free(link->socket);
	ve_dtls_free(link->dtls);
	ve_codec_free(link->codec);
	ve_sink_free(link->sink);
	if (link->fd >= 0)
		close(link->fd);
	free(link);
}

/* ---- figures -------------------------------------------------------------------------------------------------- */

static void add_words(void *to, const void *from, size_t size)
{
	uint64_t *sum = to;
	const uint64_t *more = from;
	size_t i;

	for (i = 0; i < size / sizeof(*sum); i++)
		sum[i] += more[i];
}

/* What a link did: into the totals of all links that this pump had. */
static void add_stats(const struct ve_link *link, struct ve_link_totals *to)
{
	struct ve_sink_stats sink;
	struct ve_datagram_stats socket;
	struct ve_dtls_stats dtls;

	ve_sink_stats(link->sink, &sink);
	add_words(&to->sink, &sink, sizeof(sink));
	ve_datagrams_stats(link->socket, &socket);
	add_words(&to->socket, &socket, sizeof(socket));
	if (link->dtls) {
		ve_dtls_stats(link->dtls, &dtls);
		add_words(&to->dtls, &dtls, sizeof(dtls));
	}
	add_words(to->codec, link->codec->counters, sizeof(to->codec));
}

void ve_link_stats(struct ve_pump *p)
{
	struct ve_link_totals totals = p->link_totals;

	if (p->link)
		add_stats(p->link, &totals);
	add_words(&p->stats.sink, &totals.sink, sizeof(totals.sink));
	p->stats.datagrams = totals.socket;
	p->stats.dtls = totals.dtls;
	if (p->link)
		p->link_ops = p->link->codec->ops;
	for (size_t i = 0; i < VE_CODEC_COUNTERS; i++)
		atomic_store_explicit(&p->link_counters[i], totals.codec[i], memory_order_relaxed);
}

/* ---- coming and going ----------------------------------------------------------------------------------------- */

/* The datagram that was made in the newest room; <= 0: none was. */
static void put(struct ve_link *link, int length)
{
	ve_datagrams_put(link->socket, length > 0 ? (size_t)length : 0);
}

/* Its codec waits for the next link; what it counted is in the totals. */
static void keep(struct ve_pump *p, struct ve_link *link)
{
	memset(link->codec->counters, 0, sizeof(link->codec->counters));
	ve_codec_free(p->kept);
	p->kept = link->codec;
	link->codec = NULL;
}

static void inherit(struct ve_pump *p, struct ve_link *fresh)
{
	if (!fresh->inherits || !p->kept || p->kept->ops != fresh->codec->ops)
		return;
	ve_codec_free(fresh->codec);
	fresh->codec = p->kept;
	p->kept = NULL;
}

/* Gone for good; goodbye: tell the peer. */
static void retire(struct ve_pump *p, int goodbye)
{
	struct ve_link *link = p->link;
	uint8_t *room;

	if (!link)
		return;
	if (goodbye && link->dtls && (room = ve_datagrams_room(link->socket, link->largest)))
		put(link, ve_dtls_close(link->dtls, room, link->largest));
	if (goodbye)
		ve_datagrams_flush(link->socket);
	ve_sink_flush(link->sink);
	add_stats(link, &p->link_totals);
	if (link->inherits)
		keep(p, link);
	p->link = NULL;
	ve_link_free(link);
}

static void lose(struct ve_pump *p, const char *text)
{
	char copy[sizeof(((struct ve_pump_event *)0)->text)];

	snprintf(copy, sizeof(copy), "%s", text);	/* it may lie in the link */
	retire(p, 0);
	if (p->tls)
		ve_pump_post_lost(p, copy);
	else
		ve_pump_fail(p, VE_EVENT_LINK_ERROR, copy);
}

static void lose_socket(struct ve_pump *p)
{
	char text[160];
	int error = ve_datagrams_errno(p->link->socket);

	snprintf(text, sizeof(text), "UDP: %s", error == ECONNREFUSED ? "no one listens at the gateway's port"
								       : strerror(error));
	lose(p, text);
}

/* What the owner left in the mailbox: a new link, none, options. */
void ve_link_on_wake(struct ve_pump *p)
{
	struct ve_link *fresh;
	struct ve_link_options options;
	struct ve_codec *codec;
	int detach, i;

	pthread_mutex_lock(&p->lock);
	fresh = p->offered;
	detach = p->detach_wanted;
	options = p->options;
	p->offered = NULL;
	p->detach_wanted = 0;
	OPENSSL_cleanse(&p->options, sizeof(p->options));
	pthread_mutex_unlock(&p->lock);
	if (detach || fresh)
		retire(p, 1);
	if (fresh) {
		inherit(p, fresh);
		p->link = fresh;
		p->stats.last_rx_datagram_ns = p->stats.last_tx_datagram_ns = ve_pump_clock();
		p->stats.links++;
	}
	codec = p->link ? p->link->codec : p->kept;
	for (i = 0; i < options.count && codec; i++)	/* checked when they were given, as far as it can be */
		if (ve_codec_set(codec, options.of[i].name, options.of[i].value, options.of[i].length) != VE_OK)
			ve_pump_post_event(p, VE_EVENT_OPTION_REFUSED, ve_codec_error(codec));
	OPENSSL_cleanse(&options, sizeof(options));
	if (p->link)
		ve_sink_set_mtu(p->link->sink, p->mtu);
}

/* The pump stops: frames that wait still leave, then the goodbye. */
void ve_link_end(struct ve_pump *p)
{
	if (!p->link)
		return;
	if (!p->failed)
		ve_link_transmit(p, 0);
	retire(p, 1);
}

/* ---- up ------------------------------------------------------------------------------------------------------- */

/* The records of one datagram.  VE_OK, or VE_EOF, VE_ERROR: the association ended. */
static int open_records(struct ve_pump *p, uint8_t *at, size_t length)
{
	struct ve_link *link = p->link;
	uint8_t *payload;
	size_t used;
	int got;

	while (length) {
		got = ve_dtls_open(link->dtls, at, length, &used, &payload);
		if (got == VE_EOF || got == VE_ERROR)
			return got;
		if (got >= 0) {
			p->genuine = 1;
			ve_codec_datagram(link->codec, link->sink, payload, (size_t)got);
		}
		at += used;
		length -= used;
	}
	return VE_OK;
}

/* The next datagram, by DTLS; or the next few, which the framing protects by itself.  VE_EMPTY: there is none. */
static int open_some(struct ve_pump *p)
{
	struct ve_span together[RX_TOGETHER];
	struct ve_link *link = p->link;
	size_t length, count = 0;
	uint8_t *at;

	if (link->dtls)
		return ve_datagrams_next(link->socket, &at, &length) == VE_OK ? open_records(p, at, length) : VE_EMPTY;
	while (count < RX_TOGETHER && ve_datagrams_next(link->socket, &at, &length) == VE_OK)
		together[count++] = (struct ve_span){at, length};
	return count ? ve_codec_datagrams(link->codec, link->sink, together, count) : VE_EMPTY;
}

static int open_datagrams(struct ve_pump *p, size_t *packets)
{
	struct ve_link *link = p->link;
	int rc;

	while ((rc = open_some(p)) == VE_OK) {
		if (ve_queue_count(link->codec->controls) >= VE_PUMP_RX_CONTROLS) {
			p->genuine = 1;
			ve_pump_post_controls(p, link->codec, 1);
		}
	}
	*packets += link->sink->count;
	p->genuine |= ve_queue_count(link->codec->controls) || link->sink->count;	/* made of what was authenticated */
	if (ve_queue_count(link->codec->controls))
		ve_pump_post_controls(p, link->codec, 1);
	if (ve_sink_flush(link->sink) != VE_OK)
		ve_pump_fail_device(p);
	return rc == VE_EMPTY ? VE_OK : rc;
}

/* A flight that the peer seems to have missed. */
static void reply(struct ve_link *link)
{
	uint8_t *room = ve_datagrams_room(link->socket, link->largest);

	if (room)
		put(link, ve_dtls_reply(link->dtls, room, link->largest));
}

static void receive(struct ve_pump *p)
{
	size_t packets = 0;
	int more = 1, seen = 0, got = 0, rc = VE_OK;

	while (more && seen < RX_DATAGRAMS && rc == VE_OK && !p->failed) {
		got = ve_datagrams_receive(p->link->socket);
		if (got <= 0)
			break;
		seen += got;
		p->genuine = 0;
		more = ve_datagrams_more(p->link->socket);	/* a peer that sends singly fills few buffers a call */
		rc = open_datagrams(p, &packets);
		if (p->genuine) {	/* what anybody can forge is no sign of life */
			p->stats.last_rx_datagram_ns = ve_pump_clock();
			p->followed = 1;
		}
	}
	ve_pace_read(&p->link_pace, ve_pump_clock(), packets);
	if (got > 0 && more)
		p->link_pace.next = 0;		/* no pause before what waits already */
	if (rc == VE_EOF)
		lose(p, "the gateway closed the DTLS association");
	else if (rc == VE_ERROR)
		lose(p, ve_dtls_error(p->link->dtls));
	else if (got == VE_ERROR)
		lose_socket(p);
	else if (p->link->dtls)
		reply(p->link);
	ve_pump_yield(packets);
}

/* ---- down ----------------------------------------------------------------------------------------------------- */

/* 1: the kernel has everything; 0: wait for POLLOUT, or the link is lost. */
static int flush(struct ve_pump *p)
{
	struct ve_link *link = p->link;
	size_t before = ve_datagrams_waiting(link->socket);
	int rc;

	if (!before)
		return 1;
	if (!link->writable)
		return 0;
	ve_codec_finish(link->codec);
	rc = ve_datagrams_flush(link->socket);
	if (ve_datagrams_waiting(link->socket) < before)
		p->stats.last_tx_datagram_ns = ve_pump_clock();
	if (rc == VE_OK)
		return 1;
	link->writable = 0;
	if (rc != VE_WANT_WRITE)
		lose_socket(p);
	return 0;
}

/* The path takes less than it did: the owner lowers the MTU.  Told once, however many packets find it out. */
static void tell_mtu(struct ve_pump *p)
{
	int mtu = ve_datagrams_mtu(p->link->socket);
	char text[16];

	if (mtu == VE_ERROR || mtu == p->link->told_mtu)
		return;
	p->link->told_mtu = mtu;
	snprintf(text, sizeof(text), "%d", mtu);
	ve_pump_post_event(p, VE_EVENT_PATH_MTU, text);
}

/* Where the next datagram is made; NULL: not now. */
static uint8_t *room_for(struct ve_pump *p, size_t size)
{
	uint8_t *room = ve_datagrams_room(p->link->socket, size);

	if (!room && flush(p))
		room = ve_datagrams_room(p->link->socket, size);
	return room;
}

/* A frame of `framed` bytes lies behind the head: the datagram is complete.  1: it leaves. */
static int seal(struct ve_pump *p, uint8_t *room, int framed, size_t size)
{
	struct ve_link *link = p->link;
	int length = framed;

	if (framed > 0 && link->dtls)
		length = ve_dtls_seal(link->dtls, room, (size_t)framed, size);
	put(link, length);
	return length > 0;
}

/* 1: none waits. */
static int push_controls(struct ve_pump *p)
{
	struct ve_control *control = &p->control;
	struct ve_link *link = p->link;
	uint8_t *room;

	for (;;) {
		if (!(room = room_for(p, link->largest)))
			return 0;
		if (ve_pump_take_control(p, p->down_datagrams, control) != VE_OK) {
			ve_datagrams_put(link->socket, 0);
			return 1;
		}
		p->stats.tx_controls += (uint64_t)seal(p, room, ve_codec_encode_control(
			link->codec, control->kind, control->payload, control->length, room + link->head,
			link->largest - link->head - link->tail), link->largest);
	}
}

/* One packet of the device into the batch.  VE_OK, VE_EMPTY: there is none, VE_FULL: no room now. */
static int push_packet(struct ve_pump *p, size_t mtu, size_t size)
{
	struct ve_link *link = p->link;
	const struct ve_codec_ops *ops = link->codec->ops;
	size_t before = link->head + ve_codec_headroom(link->codec);
	uint8_t *room = room_for(p, size), *packet, *segment;
	int length, framed;

	if (!room)
		return VE_FULL;
	/* Where a frame is made around its packet, a segment is cut to where it leaves from. */
	segment = (ops->header || ops->encode_later) && before + mtu <= size ? room + before : p->buffer + VE_HEADROOM;
	length = ve_pump_next_packet(p, mtu, segment, &packet);
	if (length <= 0) {
		ve_datagrams_put(link->socket, 0);
		return length == VE_EMPTY ? VE_EMPTY : VE_OK;
	}
	framed = (link->later ? ve_codec_encode_later : ve_codec_encode)(
		link->codec, packet, (size_t)length, room + link->head, size - link->head - link->tail);
	p->stats.dropped_tx_not_ip += framed <= 0;
	if (seal(p, room, framed, size)) {
		p->stats.tx_packets++;
		p->stats.tx_bytes += (uint64_t)length;
	}
	return VE_OK;
}

/* Those of the device, a bounded batch.  Their frames are finished together; where datagrams of earlier turns wait, one by
 * one: to make room such a batch is moved, which no unfinished frame may be. */
static void push_packets(struct ve_pump *p)
{
	struct ve_link *link = p->link;
	size_t mtu = atomic_load_explicit(&p->mtu, memory_order_relaxed);
	size_t size = mtu + MAX_FRAME_GROWTH + link->head + link->tail;
	int i, rc = VE_OK;

	if (size > link->largest)
		size = link->largest;
	link->later = !link->dtls && !ve_datagrams_waiting(link->socket);
	for (i = 0; i < TX_BATCH && rc == VE_OK && !p->failed; i++)
		rc = push_packet(p, mtu, size);
	if (p->link)
		ve_codec_finish(p->link->codec);
}

void ve_link_transmit(struct ve_pump *p, int packets)
{
	if (!push_controls(p))
		return;			/* perhaps without a link by now */
	if (packets)
		push_packets(p);
	if (p->link)
		flush(p);
	if (p->link && ve_datagrams_mtu_changed(p->link->socket))
		tell_mtu(p);
	if (p->link && p->link->dtls && ve_dtls_failure(p->link->dtls) != VE_DTLS_NO_FAILURE)
		lose(p, ve_dtls_error(p->link->dtls));	/* nothing can be sealed any more */
}

/* ---- a turn --------------------------------------------------------------------------------------------------- */

int ve_link_blocked(const struct ve_pump *p)
{
	return ve_datagrams_waiting(p->link->socket) != 0;
}

void ve_link_poll(const struct ve_pump *p, struct pollfd *fd)
{
	if (!p->link)
		return;
	fd->fd = p->link->fd;
	fd->events = p->link_pace.busy ? 0 : POLLIN;
	if (ve_link_blocked(p))
		fd->events |= POLLOUT;
}

void ve_link_turn(struct ve_pump *p, short revents, uint64_t now)
{
	if (revents & POLLOUT)
		p->link->writable = 1;
	if (revents & ~POLLOUT || (p->link_pace.busy && now >= p->link_pace.next))
		receive(p);
}
