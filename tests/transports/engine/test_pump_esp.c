/*
 * test_pump_esp.c: a batch of ESP that waits, for the sanitizers: whatever the socket does, no unfinished frame is in it.
 *
 * The functions of the pump's thread are called by the test, and the socket's batch is looked at between two calls.
 */
#include "datagram.h"

#include "check.h"
#include "pump.h"

#include <arpa/inet.h>
#include <unistd.h>

enum { LENGTH = 200, LARGEST = 2048, A_TURN = 100 };

static char err[256];
static const uint8_t keys[8 + 36] = {2, 2, 0, 0, 0x12, 0x34, 0xab, 0xcd, 1, 2, 3};	/* AES-128-CBC, HMAC-SHA1-96 */

struct waiting {
	struct ve_pump *pump;
	int device[2], fds[2];
	unsigned int sent;		/* packets that the device was given */
};

static void open_udp(int fds[2])
{
	struct sockaddr_in name[2];
	socklen_t size = sizeof(name[0]);

	for (int i = 0; i < 2; i++) {
		name[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		CHECK(fds[i] >= 0 && bind(fds[i], (struct sockaddr *)&name[i], size) == 0);
		CHECK(getsockname(fds[i], (struct sockaddr *)&name[i], &size) == 0);
	}
	CHECK(connect(fds[0], (struct sockaddr *)&name[1], size) == 0);
}

static void open_waiting(struct waiting *w)
{
	struct ve_link *link;

	open_udp(w->fds);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, w->device) == 0);
	link = ve_link_new(w->fds[0], NULL, "esp", LARGEST, err, sizeof(err));
	CHECK(link && ve_link_set(link, "esp.out", keys, sizeof(keys), err, sizeof(err)) == VE_OK);
	w->pump = ve_pump_new(w->device[0], NULL, "", 1400, NULL, 0, err, sizeof(err));
	CHECK(w->pump && ve_pump_attach(w->pump, link, err, sizeof(err)) == VE_OK);
	ve_link_on_wake(w->pump);
	CHECK(w->pump->link == link);
}

static void close_waiting(struct waiting *w)
{
	ve_link_end(w->pump);
	ve_pump_free(w->pump);
	for (int i = 0; i < 2; i++) {
		close(w->fds[i]);
		close(w->device[i]);
	}
}

static void a_turn(struct waiting *w, unsigned int packets)
{
	uint8_t packet[LENGTH];

	for (; packets; packets--) {
		make_ipv4(packet, LENGTH, w->sent++);
		CHECK(send(w->device[1], packet, LENGTH, 0) == LENGTH);
	}
	ve_link_transmit(w->pump, 1);
}

/* The batch is of these packets, from the first on, each a whole frame. */
static void check_batch(const struct waiting *w, unsigned int first, unsigned int end)
{
	static struct ve_span frames[VE_DATAGRAM_BATCH];
	const struct ve_datagrams *d = w->pump->link->socket;
	struct ve_sink *sink = ve_sink_memory(VE_DATAGRAM_BATCH, err, sizeof(err));
	struct ve_codec *peer = ve_codec_new("esp", err, sizeof(err));
	const uint8_t *at = d->out + d->out_at;
	uint8_t packet[LENGTH], out[VE_MAX_PACKET];

	CHECK(sink && peer && ve_codec_set(peer, "esp.in", keys, sizeof(keys)) == VE_OK);
	CHECK(ve_datagrams_waiting(d) == end - first);
	for (size_t i = d->first; i < d->end; at += d->lengths[i++])
		frames[i - d->first] = (struct ve_span){at, d->lengths[i]};
	CHECK(at == d->out + d->out_end);
	CHECK(ve_codec_datagrams(peer, sink, frames, end - first) == VE_OK && ve_sink_flush(sink) == VE_OK);
	for (; first < end; first++) {
		make_ipv4(packet, LENGTH, first);
		CHECK(ve_sink_memory_take(sink, out, sizeof(out)) == LENGTH && !memcmp(out, packet, LENGTH));
	}
	ve_codec_free(peer);
	ve_sink_free(sink);
}

/* As if the kernel had taken so many of the oldest. */
static void leave(struct ve_datagrams *d, size_t count)
{
	for (; count; count--, d->serial++)
		d->out_at += d->lengths[d->first++];
}

static void test_a_socket_that_takes_nothing(void)
{
	struct waiting w = {0};
	struct ve_link *link;

	open_waiting(&w);
	link = w.pump->link;
	link->writable = 0;
	a_turn(&w, A_TURN);
	check_batch(&w, 0, A_TURN);
	a_turn(&w, A_TURN);
	check_batch(&w, 0, 2 * A_TURN);
	a_turn(&w, A_TURN);			/* more than a batch holds: the rest stays in the device */
	check_batch(&w, 0, VE_DATAGRAM_BATCH);
	leave(link->socket, 50);
	CHECK(link->socket->out_at > 0);
	a_turn(&w, 0);				/* which moves the batch, to make room */
	CHECK(link->socket->out_at == 0);
	check_batch(&w, 50, 3 * A_TURN);
	link->writable = 1;
	ve_link_transmit(w.pump, 0);
	CHECK(ve_datagrams_waiting(link->socket) == 0);
	link->writable = 0;
	a_turn(&w, 1);
	check_batch(&w, 3 * A_TURN, 3 * A_TURN + 1);
	close_waiting(&w);
}

/* Many of them, so that a turn begins anywhere in the batch. */
static void test_a_socket_that_takes_a_few(void)
{
	struct waiting w = {0};
	struct ve_link *link;
	unsigned int left = 0;

	open_waiting(&w);
	link = w.pump->link;
	link->writable = 0;
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int room = VE_DATAGRAM_BATCH - (w.sent - left), some = (7 * i) % 60;
		size_t leaving;

		a_turn(&w, some < room ? some : room);
		check_batch(&w, left, w.sent);
		leaving = ve_datagrams_waiting(link->socket) < (11 * i) % 70 ? 0 : (11 * i) % 70;
		leave(link->socket, leaving);
		left += (unsigned int)leaving;
	}
	close_waiting(&w);
}

int main(void)
{
	test_a_socket_that_takes_nothing();
	test_a_socket_that_takes_a_few();
	return 0;
}
