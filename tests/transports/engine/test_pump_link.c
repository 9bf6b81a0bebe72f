/*
 * test_pump_link.c: a pump whose datagram link comes, goes and is replaced while packets flow, for the sanitizers.
 *
 * Three threads beside the pump's: the owner (main), who attaches, loses and detaches links and reads the mailbox; the host,
 * who sends and takes packets at the device; the gateway, who does so at the newest link, by DTLS with keys of the test's.
 * What is lost is lost, as on a network; what comes must be whole.
 */
#define _GNU_SOURCE	/* mmsghdr */
#include "pump_bench.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../../../transports/engine/dtls_internal.h"
#include "datagram.h"
#include "pump.h"

enum { ROUNDS = 120, LENGTH = 900, LARGEST = 2048, PAUSE = 2 /* ms of traffic between two changes */, PATIENCE = 60000 };

struct gateway {
	pthread_mutex_t lock;		/* of fd and dtls, which the owner replaces */
	int fd;
	struct ve_dtls *dtls;
	atomic_int over;
	atomic_uint to_gateway, to_host;	/* packets that came by datagrams, and at the host by any way */
	int device;
};

static struct gateway gateway = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static struct ve_dtls *association(int server, uint64_t sequence)
{
	struct dtls_secrets secrets = {.server = server, .cipher = NID_aes_128_gcm, .digest = "SHA2-256", .sequence = sequence};
	struct ve_dtls *dtls;

	memset(secrets.master, 0x33, sizeof(secrets.master));
	dtls = dtls_from_secrets(&secrets);
	CHECK(dtls);
	return dtls;
}

static void udp_pair(int fds[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);

	for (int i = 0; i < 2; i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		name.sin_port = 0;
		CHECK(fds[i] >= 0 && bind(fds[i], (struct sockaddr *)&name, sizeof(name)) == 0);
	}
	for (int i = 0; i < 2; i++) {
		CHECK(getsockname(fds[1 - i], (struct sockaddr *)&name, &size) == 0);
		CHECK(connect(fds[i], (struct sockaddr *)&name, sizeof(name)) == 0);
	}
}

/* A link, and its far end in fd. */
static struct ve_link *fresh_link(int *fd, uint64_t sequence)
{
	struct ve_link *link;
	int fds[2];

	udp_pair(fds);
	link = ve_link_new(fds[0], association(0, sequence), "cstp-dtls", LARGEST, err, sizeof(err));
	CHECK(link);
	close(fds[0]);
	*fd = fds[1];
	return link;
}

/* The gateway listens at another socket from now on; < 0: at none, so that its port is closed. */
static void listen_at(int fd)
{
	pthread_mutex_lock(&gateway.lock);
	if (gateway.fd >= 0)
		close(gateway.fd);
	ve_dtls_free(gateway.dtls);
	gateway.fd = fd;
	gateway.dtls = fd >= 0 ? association(1, 1) : NULL;
	pthread_mutex_unlock(&gateway.lock);
}

static void check_packet(const uint8_t *packet, ssize_t length)
{
	uint8_t want[LENGTH];

	CHECK(length == LENGTH);
	make_ipv4(want, LENGTH, (unsigned int)packet[4] << 8 | packet[5]);
	CHECK(!memcmp(packet, want, LENGTH));
}

/* ---- the gateway's thread ---- */

static void take_datagram(uint8_t *datagram, size_t length)
{
	uint8_t *payload;
	size_t used;
	int got;

	for (; length; datagram += used, length -= used) {
		got = ve_dtls_open(gateway.dtls, datagram, length, &used, &payload);
		if (got > 0 && payload[0] == 0) {
			check_packet(payload + 1, got - 1);
			gateway.to_gateway++;
		}
	}
}

static void send_datagram(unsigned int mark)
{
	uint8_t datagram[LARGEST];
	size_t head = ve_dtls_head(gateway.dtls), length = 1 + LENGTH;
	int sealed;

	datagram[head] = mark % 16 ? 0 : 3;	/* now and then it asks whether anybody is there */
	make_ipv4(datagram + head + 1, LENGTH, mark);
	sealed = ve_dtls_seal(gateway.dtls, datagram, length, sizeof(datagram));
	if (sealed > 0 && send(gateway.fd, datagram, (size_t)sealed, 0) < 0)
		return;		/* nobody is there now */
}

static void *be_gateway(void *unused)
{
	static uint8_t datagram[65536];
	ssize_t got;

	(void)unused;
	for (unsigned int mark = 0; !gateway.over; mark++) {
		pthread_mutex_lock(&gateway.lock);
		if (gateway.fd >= 0) {
			send_datagram(mark);
			while ((got = recv(gateway.fd, datagram, sizeof(datagram), 0)) > 0)
				take_datagram(datagram, (size_t)got);
		}
		pthread_mutex_unlock(&gateway.lock);
		if (mark % 8 == 0)
			poll(NULL, 0, 1);
	}
	return NULL;
}

/* ---- the host's thread ---- */

static void *be_host(void *unused)
{
	static uint8_t out[LENGTH], in[65536];
	ssize_t got;

	(void)unused;
	for (unsigned int mark = 0; !gateway.over; mark++) {
		make_ipv4(out, LENGTH, mark);
		if (write(gateway.device, out, LENGTH) != LENGTH)
			poll(NULL, 0, 1);
		while ((got = read(gateway.device, in, sizeof(in))) > 0) {
			check_packet(in, got);
			gateway.to_host++;
		}
	}
	return NULL;
}

/* ---- the owner ---- */

/* The stream's peer takes what comes by it, for PAUSE ms. */
static unsigned int serve_stream(struct bench *b)
{
	static uint8_t record[65536];
	unsigned int packets = 0;
	int got;

	for (int i = 0; i < PAUSE; i++) {
		while ((got = ve_tls_read(b->server, record, sizeof(record))) > 0)
			packets++;
		CHECK(got == VE_WANT_READ);
		poll(NULL, 0, 1);
	}
	return packets;
}

/* Losses told; anything else that is told is a fault. */
static unsigned int read_mailbox(struct bench *b)
{
	static struct ve_control control;
	static struct ve_pump_stats stats;
	unsigned int lost = 0;
	char text[256];
	int event;

	while (ve_pump_next_event(b->pump, &event, text, sizeof(text)) == VE_OK) {
		CHECK(event == VE_EVENT_DATAGRAMS_LOST);
		lost++;
	}
	while (ve_pump_next_control(b->pump, 1, &control) == VE_OK)
		CHECK(control.kind == 3);
	ve_pump_stats(b->pump, &stats);
	return lost;
}

static void attach(struct bench *b)
{
	int fd;
	struct ve_link *link = fresh_link(&fd, 1);

	CHECK(ve_pump_attach(b->pump, link, err, sizeof(err)) == VE_OK);
	ve_pump_use_datagrams(b->pump, VE_BY_DATAGRAMS);
	listen_at(fd);
}

static void change(struct bench *b, int round)
{
	switch (round % 6) {
	case 0:
	case 1:
		attach(b);		/* often in the place of another */
		break;
	case 2:
		ve_pump_set_datagrams(b->pump, "cstp.compression", (const uint8_t *)"none", 4);
		ve_pump_send_control(b->pump, 1, 3, (const uint8_t *)"probe", 5);
		ve_pump_set_mtu(b->pump, LENGTH + (size_t)round);
		break;
	case 3:
		listen_at(-1);		/* the link is refused, and lost */
		break;
	case 4:
		attach(b);
		ve_pump_detach(b->pump);	/* perhaps before the thread has seen it */
		break;
	default:
		attach(b);
		ve_pump_use_datagrams(b->pump, round & 1 ? VE_BY_FOLLOWING : VE_BY_STREAM);
	}
}

static void wait_for_both_ways(struct bench *b)
{
	unsigned int up = gateway.to_gateway, down = gateway.to_host;

	for (int i = 0; i < PATIENCE && (gateway.to_gateway == up || gateway.to_host == down); i += PAUSE)
		serve_stream(b);
	CHECK(gateway.to_gateway != up && gateway.to_host != down);
}

static void test_links_come_and_go_while_packets_flow(void)
{
	pthread_t threads[2];
	unsigned int lost = 0, by_stream = 0;
	struct ve_pump_stats stats;
	struct bench b;

	open_bench(&b);
	gateway.device = b.device[1];
	CHECK(!pthread_create(&threads[0], NULL, be_gateway, NULL) && !pthread_create(&threads[1], NULL, be_host, NULL));
	for (int round = 0; round < ROUNDS; round++) {
		change(&b, round);
		by_stream += serve_stream(&b);
		lost += read_mailbox(&b);
	}
	attach(&b);
	wait_for_both_ways(&b);
	gateway.over = 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ve_pump_stats(b.pump, &stats);
	CHECK(by_stream && lost && lost <= ROUNDS / 6 && stats.datagrams.refused >= lost);
	CHECK(stats.links > ROUNDS / 6 && stats.dtls.bad_mac == 0);
	listen_at(-1);
	close_bench(&b);
}

/* ---- in one thread: what the thread does of itself ---- */

static void open_alone(struct bench *b, uint64_t sequence, int *far)
{
	pairs(SOCK_SEQPACKET, b->device);
	b->pump = ve_pump_new(b->device[0], NULL, "", 1400, NULL, 0, err, sizeof(err));
	CHECK(b->pump);
	CHECK(ve_pump_attach(b->pump, fresh_link(far, sequence), err, sizeof(err)) == VE_OK);
	ve_link_on_wake(b->pump);
	CHECK(b->pump->link);
}

static void close_alone(struct bench *b, int far)
{
	ve_pump_free(b->pump);
	close(b->device[0]);
	close(b->device[1]);
	close(far);
}

static int next_event(struct bench *b, char *text, size_t size)
{
	int event = 0;

	return ve_pump_next_event(b->pump, &event, text, size) == VE_OK ? event : 0;
}

static void test_a_path_mtu_is_told_once(void)
{
	char text[256];
	struct bench b;
	int far;

	open_alone(&b, 1, &far);
	for (int i = 0; i < 3; i++) {
		b.pump->link->socket->mtu_changed = 1;
		ve_link_transmit(b.pump, 0);
	}
	CHECK(next_event(&b, text, sizeof(text)) == VE_EVENT_PATH_MTU && atoi(text) >= 576);
	CHECK(next_event(&b, text, sizeof(text)) == 0);
	b.pump->link->told_mtu = 1400;	/* it was another */
	b.pump->link->socket->mtu_changed = 1;
	ve_link_transmit(b.pump, 0);
	CHECK(next_event(&b, text, sizeof(text)) == VE_EVENT_PATH_MTU);
	close_alone(&b, far);
}

static void test_an_association_that_can_seal_no_more_is_lost(void)
{
	uint8_t packet[LENGTH];
	char text[256];
	struct bench b;
	int far;

	open_alone(&b, DTLS_LAST_SEQUENCE, &far);
	make_ipv4(packet, LENGTH, 1);
	for (int i = 0; i < 2; i++)
		CHECK(write(b.device[1], packet, LENGTH) == LENGTH);
	ve_link_transmit(b.pump, 1);
	CHECK(!b.pump->link && b.pump->stats.tx_packets == 1);
	CHECK(next_event(&b, text, sizeof(text)) == VE_EVENT_LINK_ERROR && strstr(text, "sequence numbers"));
	close_alone(&b, far);
}

int main(void)
{
	test_a_path_mtu_is_told_once();
	test_an_association_that_can_seal_no_more_is_lost();
	test_links_come_and_go_while_packets_flow();
	return 0;
}
