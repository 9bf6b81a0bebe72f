/*
 * bare.c: see bare.h.
 *
 *     bench_bare udp|tls listen|connect ADDRESS PORT DEVICE MTU
 *
 * Says "ready ..." when the link is there; ends when its standard input does.  Addresses are set from outside.
 */
#include "bare.h"

#include "coalesce.h"
#include "engine.h"
#include "segment.h"
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	OFFLOADS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | 0x60,	/* and USO4, USO6, which older headers lack */
	READS = 256,						/* of the device a turn */
	READ_BYTES = 512 << 10,					/* the same: super-packets are large */
	RECEIVES = 4						/* of the link a turn */
};

static int tun;
static size_t mtu;
static uint8_t super[BARE_PACKET + 1];
static struct ve_segments segments;
static size_t ordinary;		/* bytes in super */
static struct ve_join join = {.tcp = 1, .udp = 1};

noreturn void bare_die(const char *what)
{
	fprintf(stderr, "bench_bare: %s: %s\n", what, strerror(errno));
	exit(1);
}

void bare_wait(int fd, short events)
{
	struct pollfd wanted = {.fd = fd, .events = events};

	poll(&wanted, 1, -1);
}

int bare_socket(int type, int listening, const char *address, int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1)
		bare_die(address);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (listening ? bind(fd, (struct sockaddr *)&at, sizeof(at)) : connect(fd, (struct sockaddr *)&at, sizeof(at)))
		bare_die(address);
	return fd;
}

static void open_device(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int size = VE_VNET_SIZE;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &request) || ioctl(tun, TUNSETVNETHDRSZ, &size) ||
	    ioctl(tun, TUNSETOFFLOAD, OFFLOADS))
		bare_die(name);
}

/* ---- link to device ---------------------------------------------------------------------------------------------- */

int bare_take(uint8_t *packet, size_t length)
{
	length = ve_ip_length(packet, length);
	if (length)
		ve_join_add(&join, packet, length);
	return join.packets == VE_JOIN_PACKETS - 1;
}

void bare_deliver(void)
{
	struct iovec iov[VE_JOIN_IOV];
	uint8_t vnet[VE_VNET_SIZE];
	size_t i;

	for (i = 0; i < join.items; i++) {
		int count = (int)ve_join_gather(&join, i, vnet, iov);

		/* A refusal of the device is a packet lost; a super-packet that it refuses must not pass for a slow one. */
		if (writev(tun, iov, count) < 0 && (errno == EINVAL || errno == EBADFD))
			bare_die("write to the device");
	}
	ve_join_reset(&join);
}

/* ---- device to link ---------------------------------------------------------------------------------------------- */

/* Into `super`: a super-packet in `segments`, or an ordinary one in `ordinary`; neither: nothing usable.  0: nothing waits. */
static int read_device(void)
{
	uint8_t vnet[VE_VNET_SIZE];
	struct iovec iov[2] = {{vnet, sizeof(vnet)}, {super, sizeof(super)}};
	ssize_t got = readv(tun, iov, 2);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got < 0)
		bare_die("read of the device");
	if (got <= VE_VNET_SIZE)
		return 1;
	got -= VE_VNET_SIZE;
	if (ve_segments_begin(&segments, vnet, super, (size_t)got) == VE_EMPTY && (size_t)got <= mtu)
		ordinary = (size_t)got;
	return 1;
}

/* What was read goes to the link.  1: all of it; 0: the link is full. */
static int cut(struct bare_link *link)
{
	uint8_t *room;

	while (ve_segments_left(&segments)) {
		if (!(room = link->room(link, ve_segments_largest(&segments))))
			return 0;
		link->put(link, ve_segments_next(&segments, room));
	}
	if (ordinary) {
		if (!(room = link->room(link, ordinary)))
			return 0;
		memcpy(room, super, ordinary);
		link->put(link, ordinary);
		ordinary = 0;
	}
	return 1;
}

/* 0: the link is full. */
static int send_packets(struct bare_link *link)
{
	size_t moved = 0;
	int i;

	for (i = 0; cut(link); i++) {
		if (i == READS || moved >= READ_BYTES || !read_device())
			return link->flush(link);
		moved += segments.payload;
	}
	return 0;
}

static void pump(struct bare_link *link)
{
	int full = 0, i;

	for (;;) {
		struct pollfd fds[3] = {{.fd = 0, .events = POLLIN},
					{.fd = link->fd, .events = (short)(POLLIN | (full ? POLLOUT : 0))},
					{.fd = tun, .events = full ? 0 : POLLIN}};

		if (poll(fds, 3, -1) < 0)
			bare_die("poll");
		if (fds[0].revents || fds[1].revents & POLLHUP)
			return;
		if (fds[1].revents & (POLLIN | POLLERR)) {
			for (i = 0; i < RECEIVES && link->receive(link); i++)
				bare_deliver();
		}
		if ((full && fds[1].revents & POLLOUT) || fds[2].revents & POLLIN)
			full = !(link->flush(link) && send_packets(link));
	}
}

int main(int argc, char **argv)
{
	int listening, port;
	struct bare_link *link;

	if (argc != 7) {
		fprintf(stderr, "usage: bench_bare udp|tls listen|connect ADDRESS PORT DEVICE MTU\n");
		return 2;
	}
	listening = !strcmp(argv[2], "listen");
	port = atoi(argv[4]);
	mtu = (size_t)atoi(argv[6]);
	open_device(argv[5]);
	link = !strcmp(argv[1], "udp") ? bare_udp(listening, argv[3], port) : bare_tls(listening, argv[3], port);
	printf("ready %s\n", link->about);
	fflush(stdout);
	pump(link);
	return 0;
}
