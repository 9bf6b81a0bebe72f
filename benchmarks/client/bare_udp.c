/*
 * bare_udp.c: packets as datagrams in the clear.  See bare.h.
 *
 * Out, packets are cut one behind the other; those of one size share a message, which the kernel cuts again (UDP_SEGMENT),
 * and messages share a sendmmsg.  In, recvmmsg brings what the kernel joined (UDP_GRO).
 * Source: linux-tun notes, sections 6 and 7.
 */
#define _GNU_SOURCE
#include "bare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MESSAGES = 16,		/* a sendmmsg */
	DATAGRAMS = 64,		/* a message */
	LARGEST = 65000,	/* bytes of a message */
	BUFFER = 65536,		/* bytes */
	RECEIVED = 4,		/* buffers a recvmmsg; 64 datagrams each are a batch of the joiner */
	QUEUE = 8 << 20		/* bytes; of the socket */
};

struct control {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))];
};

struct message {
	size_t size, total;	/* bytes: of each datagram but the last, of all */
	unsigned int count;
	int closed;		/* its last datagram was a shorter one */
};

static struct {
	struct bare_link link;
	struct message message[MESSAGES];
	size_t messages;
	uint8_t out[MESSAGES][BUFFER], in[RECEIVED][BUFFER];
	struct mmsghdr in_header[RECEIVED];
	struct iovec in_iov[RECEIVED];
	struct control in_control[RECEIVED];
	size_t received, at;	/* messages of the last recvmmsg, and the next of them */
	size_t offset;		/* of its next datagram */
} udp;

/* ---- out --------------------------------------------------------------------------------------------------------- */

static void describe(struct mmsghdr *header, struct iovec *iov, struct control *control, size_t index)
{
	const struct message *message = &udp.message[index];
	uint16_t size = (uint16_t)message->size;
	struct cmsghdr *cmsg;

	*iov = (struct iovec){udp.out[index], message->total};
	header->msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
	if (message->count == 1)
		return;
	header->msg_hdr.msg_control = control->space;
	header->msg_hdr.msg_controllen = CMSG_SPACE(sizeof(size));
	cmsg = CMSG_FIRSTHDR(&header->msg_hdr);
	cmsg->cmsg_level = SOL_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(cmsg), &size, sizeof(size));
}

/* Waits while the socket is full: a datagram link has no better place to wait than this one. */
static int udp_flush(struct bare_link *link)
{
	struct mmsghdr headers[MESSAGES] = {0};
	struct iovec iov[MESSAGES];
	struct control controls[MESSAGES];
	size_t i, done = 0;

	for (i = 0; i < udp.messages; i++)
		describe(&headers[i], &iov[i], &controls[i], i);
	while (done < udp.messages) {
		int sent = sendmmsg(link->fd, headers + done, (unsigned int)(udp.messages - done), 0);

		if (sent > 0)
			done += (size_t)sent;
		else if (errno == EAGAIN || errno == ENOBUFS)
			bare_wait(link->fd, POLLOUT);
		else if (errno != ECONNREFUSED)
			bare_die("sendmmsg");
	}
	udp.messages = 0;
	return 1;
}

static int fits(const struct message *message, size_t length)
{
	return !message->closed && length <= message->size && message->count < DATAGRAMS &&
	       message->total + length <= LARGEST;
}

static uint8_t *udp_room(struct bare_link *link, size_t length)
{
	if (!udp.messages || !fits(&udp.message[udp.messages - 1], length)) {
		if (udp.messages == MESSAGES)
			udp_flush(link);
		udp.message[udp.messages++] = (struct message){.size = length};
	}
	return udp.out[udp.messages - 1] + udp.message[udp.messages - 1].total;
}

static void udp_put(struct bare_link *link, size_t length)
{
	struct message *message = &udp.message[udp.messages - 1];

	(void)link;
	if (!message->count)
		message->size = length;
	message->closed = length < message->size;
	message->total += length;
	message->count++;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static size_t datagram_size(struct msghdr *header, size_t length)
{
	struct cmsghdr *cmsg;
	int size;

	for (cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_GRO) {
			memcpy(&size, CMSG_DATA(cmsg), sizeof(size));
			return size > 0 ? (size_t)size : length;
		}
	}
	return length;
}

/* 1: more of this batch is left than fits a delivery. */
static int take_all(void)
{
	for (; udp.at < udp.received; udp.at++, udp.offset = 0) {
		struct mmsghdr *header = &udp.in_header[udp.at];
		size_t length = header->msg_len, size = datagram_size(&header->msg_hdr, length);

		while (udp.offset < length) {
			size_t here = length - udp.offset < size ? length - udp.offset : size;
			uint8_t *packet = udp.in[udp.at] + udp.offset;

			udp.offset += here;
			if (bare_take(packet, here))
				return 1;
		}
	}
	return 0;
}

static int udp_receive(struct bare_link *link)
{
	size_t i;
	int got;

	for (i = 0; i < RECEIVED; i++) {
		udp.in_iov[i] = (struct iovec){udp.in[i], BUFFER};
		udp.in_header[i].msg_hdr = (struct msghdr){.msg_iov = &udp.in_iov[i],
							   .msg_iovlen = 1,
							   .msg_control = udp.in_control[i].space,
							   .msg_controllen = sizeof(udp.in_control[i].space)};
	}
	got = recvmmsg(link->fd, udp.in_header, RECEIVED, MSG_DONTWAIT, NULL);
	if (got < 0 && errno != EAGAIN && errno != ECONNREFUSED)
		bare_die("recvmmsg");
	if (got <= 0)
		return 0;
	udp.received = (size_t)got;
	udp.at = udp.offset = 0;
	while (take_all())
		bare_deliver();
	return 1;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Each end hears of the other by an empty datagram. */
static void greet(int fd, int listening)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	struct pollfd wanted = {.fd = fd, .events = POLLIN};

	if (listening) {
		if (recvfrom(fd, NULL, 0, 0, (struct sockaddr *)&peer, &length) < 0 ||
		    connect(fd, (struct sockaddr *)&peer, length) || send(fd, NULL, 0, 0) < 0)
			bare_die("greeting");
		return;
	}
	do {
		(void)!send(fd, NULL, 0, 0);
	} while (poll(&wanted, 1, 50) == 0);
	(void)!recv(fd, NULL, 0, 0);
}

struct bare_link *bare_udp(int listening, const char *address, int port)
{
	int on = 1, queue = QUEUE, discover = IP_PMTUDISC_DO;
	int fd = bare_socket(SOCK_DGRAM, listening, address, port);

	greet(fd, listening);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &queue, sizeof(queue));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue));
	if (setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover)) || fcntl(fd, F_SETFL, O_NONBLOCK))
		bare_die("socket options");
	udp.link = (struct bare_link){.fd = fd,
				      .room = udp_room,
				      .put = udp_put,
				      .flush = udp_flush,
				      .receive = udp_receive,
				      .about = "UDP_SEGMENT and UDP_GRO, no encryption"};
	return &udp.link;
}
