/*
 * test_datagram.c: datagrams over loopback in every mode, and in front of a kernel that fails as told; the sources are
 * compiled in with their system calls replaced.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/utsname.h>

static int fake_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
static int fake_recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout);
static int fake_uname(struct utsname *name);
#define sendmmsg fake_sendmmsg
#define recvmmsg fake_recvmmsg
#define uname fake_uname
#include "datagram.c"
#include "datagram_receive.c"
#include "datagram_send.c"
#undef sendmmsg
#undef recvmmsg
#undef uname

#include "check.h"

#include <arpa/inet.h>
#include <poll.h>
#include <unistd.h>

enum { ALL = VE_UDP_SEGMENT | VE_UDP_JOINED };

/* What the kernel is made to answer. */
static int send_errno;		/* of the next calls */
static int send_failures;	/* how many */
static int runs_errno;		/* of every call whose first message is a run; 0: it works */
static int send_most;		/* messages taken by a call, at most; 0: all */
static size_t send_largest;	/* larger datagrams get EMSGSIZE; 0: none */
static int receive_errno;	/* of the next call, once */
static int receive_flags;	/* of each message */
static int receive_segment;	/* the UDP_GRO value of each message; 0: the kernel's */
static const char *release = "6.18.44-test";

static int is_run(const struct msghdr *header)
{
	return header->msg_controllen > 0;
}

static size_t largest_of(const struct msghdr *header)
{
	uint16_t segment;

	if (!is_run(header))
		return header->msg_iov->iov_len;
	memcpy(&segment, CMSG_DATA(CMSG_FIRSTHDR(header)), sizeof(segment));
	return segment;
}

static int fails(const struct mmsghdr *message)
{
	if (send_failures > 0) {
		send_failures--;
		return send_errno;
	}
	if (runs_errno && is_run(&message->msg_hdr))
		return runs_errno;
	return send_largest && largest_of(&message->msg_hdr) > send_largest ? EMSGSIZE : 0;
}

/* As the kernel: the error of a message that is not the first shows when it is the first. */
static int fake_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	unsigned int n;
	int error = 0;

	if (send_most && count > (unsigned int)send_most)
		count = (unsigned int)send_most;
	for (n = 0; n < count && !error; n += !error)
		error = fails(&messages[n]);
	if (n)
		return sendmmsg(fd, messages, n, flags);
	errno = error;
	return -1;
}

static int fake_recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
	int i, got;

	if (receive_errno) {
		errno = receive_errno;
		receive_errno = 0;
		return -1;
	}
	got = recvmmsg(fd, messages, count, flags, timeout);
	for (i = 0; i < got; i++) {
		struct msghdr *header = &messages[i].msg_hdr;
		struct cmsghdr *control;

		header->msg_flags |= receive_flags;
		if (!receive_segment)
			continue;
		header->msg_controllen = CMSG_SPACE(sizeof(int));
		control = CMSG_FIRSTHDR(header);
		*control = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_UDP,
					    .cmsg_type = UDP_GRO};
		memcpy(CMSG_DATA(control), &receive_segment, sizeof(int));
	}
	return got;
}

static int fake_uname(struct utsname *name)
{
	snprintf(name->release, sizeof(name->release), "%s", release);
	return 0;
}

/* ---- two connected sockets ------------------------------------------------------------------------------------- */

struct pair {
	int fds[2];
	struct ve_datagrams *from, *to;
	unsigned int sent, received;	/* datagrams so far: their marks */
};

static void reset(void)
{
	send_errno = send_failures = runs_errno = send_most = receive_errno = receive_flags = receive_segment = 0;
	send_largest = 0;
	release = "6.18.44-test";
}

static int bound(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), large = 4 << 20;
	socklen_t size = sizeof(*at);

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)at, size) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)at, &size) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large)) == 0);
	return fd;
}

static struct ve_datagrams *datagrams(int fd, size_t largest, unsigned int offload)
{
	char err[128] = "";
	struct ve_datagrams *d = ve_datagrams_new(fd, largest, err, sizeof(err));

	if (!d)
		fprintf(stderr, "%s\n", err);
	CHECK(d);
	CHECK(ve_datagrams_offload(d, offload) == (d->supported & offload));
	return d;
}

static struct pair open_pair(size_t largest, unsigned int offload)
{
	struct pair pair = {0};
	struct sockaddr_in at[2];

	reset();
	for (int i = 0; i < 2; i++)
		pair.fds[i] = bound(&at[i]);
	for (int i = 0; i < 2; i++)
		CHECK(connect(pair.fds[i], (struct sockaddr *)&at[!i], sizeof(at[0])) == 0);
	pair.from = datagrams(pair.fds[0], largest, offload);
	pair.to = datagrams(pair.fds[1], largest, offload);
	return pair;
}

static void close_pair(struct pair *pair)
{
	ve_datagrams_free(pair->from);
	ve_datagrams_free(pair->to);
	close(pair->fds[0]);
	close(pair->fds[1]);
}

static struct ve_datagram_stats stats_of(const struct ve_datagrams *d)
{
	struct ve_datagram_stats stats;

	ve_datagrams_stats(d, &stats);
	return stats;
}

/* A datagram of `length` bytes that tells its number. */
static void write_mark(uint8_t *at, size_t length, unsigned int mark)
{
	for (size_t i = 0; i < length; i++)
		at[i] = (uint8_t)(mark * 31 + i);
}

/* 1: there was room. */
static int put(struct pair *pair, size_t length)
{
	uint8_t *at = ve_datagrams_room(pair->from, length);

	if (!at)
		return 0;
	write_mark(at, length, pair->sent++);
	ve_datagrams_put(pair->from, length);
	return 1;
}

static void put_many(struct pair *pair, size_t count, size_t length)
{
	while (count--)
		CHECK(put(pair, length));
}

/* The next one to come is of this length, and number `mark`. */
static void take(struct pair *pair, size_t length, unsigned int mark)
{
	static uint8_t wanted[VE_DATAGRAM_MAX];
	struct pollfd fd = {.fd = pair->fds[1], .events = POLLIN};
	uint8_t *at;
	size_t got;

	if (ve_datagrams_next(pair->to, &at, &got) == VE_EMPTY) {
		CHECK(poll(&fd, 1, 2000) == 1);
		CHECK(ve_datagrams_receive(pair->to) > 0);
		CHECK(ve_datagrams_next(pair->to, &at, &got) == VE_OK);
	}
	CHECK(got == length);
	write_mark(wanted, length, mark);
	CHECK(!memcmp(at, wanted, length));
	at[length - 1] ^= 1;	/* ours to write, as the sanitizer knows */
	pair->received = mark + 1;
}

static void take_many(struct pair *pair, size_t count, size_t length)
{
	while (count--)
		take(pair, length, pair->received);
}

static void nothing_more(struct pair *pair)
{
	uint8_t *at;
	size_t length;

	CHECK(ve_datagrams_next(pair->to, &at, &length) == VE_EMPTY);
	CHECK(ve_datagrams_receive(pair->to) == VE_WANT_READ);
}

/* ---- what goes in comes out -------------------------------------------------------------------------------------- */

static void test_runs_leave_as_one(void)
{
	struct pair pair = open_pair(1500, ALL);
	struct ve_datagram_stats stats;

	put_many(&pair, 40, 1400);
	CHECK(put(&pair, 300));		/* ends the run */
	put_many(&pair, 3, 1500);
	CHECK(ve_datagrams_waiting(pair.from) == 44);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && ve_datagrams_waiting(pair.from) == 0);
	stats = stats_of(pair.from);
	CHECK(stats.tx_calls == 1 && stats.tx_segmented == 2 && stats.tx_datagrams == 44);
	CHECK(stats.tx_bytes == 40 * 1400 + 300 + 3 * 1500);
	take_many(&pair, 40, 1400);
	take(&pair, 300, 40);
	take(&pair, 1500, 41);
	take(&pair, 1500, 42);
	take(&pair, 1500, 43);
	nothing_more(&pair);
	stats = stats_of(pair.to);
	CHECK(stats.rx_datagrams == 44 && stats.rx_bytes == 40 * 1400 + 300 + 3 * 1500 && stats.rx_joined == 2);
	CHECK(stats.rx_calls == 2 && !ve_datagrams_more(pair.to));
	close_pair(&pair);
}

/* A sequence of sizes that is different each time: bursts of equal ones, now and then another. */
static size_t size_of(uint32_t *seed, size_t last, size_t largest)
{
	*seed = *seed * 1664525 + 1013904223;
	if (last && *seed >> 24 < 200)
		return last;
	return 1 + (*seed >> 8) % largest;
}

static void exchange(unsigned int sender, unsigned int receiver, size_t largest, size_t total)
{
	struct pair pair = open_pair(largest, sender);
	size_t sizes[VE_DATAGRAM_BATCH], count, length = 0;
	uint32_t seed = (uint32_t)(largest * 4 + sender + receiver);

	ve_datagrams_offload(pair.to, receiver);
	while (total) {
		for (count = 0; count < VE_DATAGRAM_BATCH && total; count++, total--) {
			length = sizes[count] = size_of(&seed, length, largest);
			if (!put(&pair, length))
				break;
		}
		CHECK(count);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		for (size_t i = 0; i < count; i++)
			take(&pair, sizes[i], pair.received);
	}
	nothing_more(&pair);
	CHECK((stats_of(pair.from).tx_segmented > 0) == (sender == VE_UDP_SEGMENT));
	close_pair(&pair);
}

static void test_every_mode_carries_the_same(void)
{
	static const size_t largest[] = {1, 2, 70, 1500, 9000, 65507};

	for (size_t i = 0; i < sizeof(largest) / sizeof(largest[0]); i++) {
		exchange(VE_UDP_SEGMENT, VE_UDP_JOINED, largest[i], largest[i] == 65507 ? 200 : 3000);
		exchange(VE_UDP_SEGMENT, 0, largest[i], 300);
		exchange(0, VE_UDP_JOINED, largest[i], 300);
		exchange(0, 0, largest[i], 300);
	}
}

int main(void)
{
	test_runs_leave_as_one();
	test_every_mode_carries_the_same();
	return 0;
}
