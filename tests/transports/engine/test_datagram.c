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

enum {
	ALL = VE_UDP_SEGMENT | VE_UDP_JOINED,
	PORTION = 60000			/* bytes that any system's receive buffer holds */
};

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
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), large = 4 << 20;	/* or what the system allows */
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
		CHECK(poll(&fd, 1, 60000) == 1);
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
	size_t sizes[VE_DATAGRAM_BATCH], count, bytes, length = 0;
	uint32_t seed = (uint32_t)(largest * 4 + sender + receiver);

	ve_datagrams_offload(pair.to, receiver);
	while (total) {
		for (count = bytes = 0; count < VE_DATAGRAM_BATCH && total && bytes < PORTION; count++, total--) {
			length = sizes[count] = size_of(&seed, length, largest);
			CHECK(put(&pair, length));
			bytes += length;
		}
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

/* ---- a batch and its borders ------------------------------------------------------------------------------------- */

static void test_a_batch_is_full(void)
{
	struct pair pair = open_pair(9000, ALL);

	CHECK(!ve_datagrams_room(pair.from, 9001));
	put_many(&pair, VE_DATAGRAM_BATCH, 10);
	CHECK(!ve_datagrams_room(pair.from, 10));
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(stats_of(pair.from).tx_segmented == VE_DATAGRAM_BATCH / VE_DATAGRAM_RUN);
	take_many(&pair, VE_DATAGRAM_BATCH, 10);
	put_many(&pair, VE_DATAGRAM_OUT / 9000, 9000);		/* full by bytes */
	CHECK(!ve_datagrams_room(pair.from, 9000));
	CHECK(put(&pair, 100));					/* which still fits */
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	take_many(&pair, VE_DATAGRAM_OUT / 9000, 9000);
	take(&pair, 100, pair.received);
	nothing_more(&pair);
	close_pair(&pair);
}

/* What is lent may shrink, be given back, or be lent anew; runs have no gaps. */
static void test_room_is_lent(void)
{
	struct pair pair = open_pair(1500, ALL);
	uint8_t *at = ve_datagrams_room(pair.from, 1500);

	CHECK(at && ve_datagrams_room(pair.from, 1200) == at);
	ve_datagrams_put(pair.from, 0);
	CHECK(ve_datagrams_waiting(pair.from) == 0);
	ve_datagrams_put(pair.from, 5);			/* of no room */
	CHECK(ve_datagrams_room(pair.from, 4) == at);
	ve_datagrams_put(pair.from, 5);			/* more than was lent */
	CHECK(ve_datagrams_waiting(pair.from) == 0 && ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(stats_of(pair.from).tx_calls == 0);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK(ve_datagrams_room(pair.from, 1500) == at + i * 700);
		write_mark(at + i * 700, 700, pair.sent++);
		if (i == 2)	/* a flush while it is lent leaves it where it is */
			CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		ve_datagrams_put(pair.from, 700);
	}
	CHECK(ve_datagrams_waiting(pair.from) == 1 && ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(stats_of(pair.from).tx_segmented == 1);
	take_many(&pair, 3, 700);
	CHECK(ve_datagrams_room(pair.from, 1) == at);	/* all left: from the beginning again */
	close_pair(&pair);
}

/* ---- a kernel that takes less than it is given ------------------------------------------------------------------- */

static void test_a_full_socket_keeps_the_rest(void)
{
	struct pair pair = open_pair(1500, 0);

	put_many(&pair, VE_DATAGRAM_BATCH, 100);
	send_most = 100;
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && stats_of(pair.from).tx_calls == 3);
	take_many(&pair, VE_DATAGRAM_BATCH, 100);
	put_many(&pair, VE_DATAGRAM_BATCH, 100);
	send_errno = EAGAIN;
	send_failures = 2;
	CHECK(ve_datagrams_flush(pair.from) == VE_WANT_WRITE);
	CHECK(ve_datagrams_flush(pair.from) == VE_WANT_WRITE);
	CHECK(ve_datagrams_waiting(pair.from) == VE_DATAGRAM_BATCH);
	CHECK(stats_of(pair.from).tx_calls == 5 && stats_of(pair.from).tx_full == 2);	/* a call each, no more */
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	take_many(&pair, VE_DATAGRAM_BATCH, 100);
	close_pair(&pair);
}

/* The kernel takes some, is full, takes some more: new ones are put behind those that wait, wherever these lie. */
static void test_the_batch_closes_up(void)
{
	struct pair pair = open_pair(1500, ALL);
	unsigned int rounds;

	for (rounds = 0; rounds < 50; rounds++) {
		while (put(&pair, 1 + pair.sent * 7 % 1500))
			continue;
		send_most = 1 + (int)rounds % 5;
		while (ve_datagrams_waiting(pair.from) > VE_DATAGRAM_BATCH / 2) {
			int sent = fake_sendmmsg(pair.fds[0], pair.from->tx, build(pair.from), 0);

			CHECK(sent > 0);	/* as a flush that the kernel stops here */
			settle(pair.from, (unsigned int)sent);
		}
		send_most = 0;
		send_errno = EAGAIN;
		send_failures = 1;
		CHECK(ve_datagrams_flush(pair.from) == VE_WANT_WRITE);
		while (pair.received < pair.sent - ve_datagrams_waiting(pair.from))
			take(&pair, 1 + pair.received * 7 % 1500, pair.received);
	}
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	while (pair.received < pair.sent)
		take(&pair, 1 + pair.received * 7 % 1500, pair.received);
	nothing_more(&pair);
	close_pair(&pair);
}

static void test_no_buffers_costs_a_message_at_the_second_try(void)
{
	struct pair pair = open_pair(1500, ALL);

	put_many(&pair, 10, 700);
	put_many(&pair, 10, 800);
	send_errno = ENOBUFS;
	send_failures = 1;
	CHECK(ve_datagrams_flush(pair.from) == VE_WANT_WRITE && ve_datagrams_waiting(pair.from) == 20);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && stats_of(pair.from).no_buffers == 0);
	take_many(&pair, 10, 700);
	take_many(&pair, 10, 800);
	put_many(&pair, 10, 700);
	put_many(&pair, 10, 800);
	send_failures = 3;
	CHECK(ve_datagrams_flush(pair.from) == VE_WANT_WRITE);
	CHECK(ve_datagrams_flush(pair.from) == VE_WANT_WRITE);	/* the first run is given up, the second tried */
	CHECK(stats_of(pair.from).no_buffers == 10 && ve_datagrams_waiting(pair.from) == 10);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	for (unsigned int mark = 30; mark < 40; mark++)
		take(&pair, 800, mark);
	nothing_more(&pair);
	close_pair(&pair);
}

/* ---- a kernel that does not cut ---------------------------------------------------------------------------------- */

static void test_a_way_out_that_cannot_cut(void)
{
	static const int errors[] = {EIO, EOPNOTSUPP, ENOPROTOOPT};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct pair pair = open_pair(1500, ALL);

		put_many(&pair, 30, 1200);
		put_many(&pair, 30, 1400);
		runs_errno = errors[i];
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		take_many(&pair, 30, 1200);
		take_many(&pair, 30, 1400);
		nothing_more(&pair);
		CHECK(stats_of(pair.from).fallbacks == 1 && stats_of(pair.from).tx_calls == 2);
		CHECK(stats_of(pair.from).tx_datagrams == 60 && stats_of(pair.from).tx_segmented == 0);
		CHECK(pair.from->offload == VE_UDP_JOINED);
		close_pair(&pair);
	}
}

static void test_invalid_runs_go_singly_and_twice_is_enough(void)
{
	struct pair pair = open_pair(1500, ALL);

	runs_errno = EINVAL;
	for (unsigned int round = 1; round <= 2; round++) {
		put_many(&pair, 20, 1200);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		take_many(&pair, 20, 1200);
		CHECK(stats_of(pair.from).fallbacks == round);
		CHECK(pair.from->offload == (round == 1 ? ALL : VE_UDP_JOINED));
	}
	runs_errno = 0;
	put_many(&pair, 20, 1200);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	take_many(&pair, 20, 1200);
	nothing_more(&pair);
	CHECK(stats_of(pair.from).tx_segmented == 0 && stats_of(pair.from).tx_datagrams == 60);
	close_pair(&pair);
}

/* One run is invalid, the next leaves as one again: only that one went singly. */
static void test_one_invalid_run_costs_that_run(void)
{
	struct pair pair = open_pair(1500, ALL);

	put_many(&pair, 20, 1200);
	put_many(&pair, 20, 1400);
	send_errno = EINVAL;
	send_failures = 1;
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	take_many(&pair, 20, 1200);
	take_many(&pair, 20, 1400);
	nothing_more(&pair);
	CHECK(stats_of(pair.from).tx_segmented == 1 && stats_of(pair.from).fallbacks == 1);
	close_pair(&pair);
}

static void test_what_is_invalid_singly_is_told(void)
{
	struct pair pair = open_pair(1500, ALL);

	put_many(&pair, 2, 1200);
	send_errno = EINVAL;
	send_failures = 2;
	CHECK(ve_datagrams_flush(pair.from) == VE_ERROR && ve_datagrams_errno(pair.from) == EINVAL);
	CHECK(ve_datagrams_waiting(pair.from) == 2 && ve_datagrams_flush(pair.from) == VE_OK);
	take_many(&pair, 2, 1200);
	close_pair(&pair);
}

/* ---- a path that shrinks ----------------------------------------------------------------------------------------- */

/* The MTU of loopback is large, so what fits is the kernel's word alone. */
static void test_too_large_costs_those_that_are(void)
{
	struct pair pair = open_pair(1500, ALL);
	unsigned int mark;

	put_many(&pair, 3, 1400);
	put_many(&pair, 3, 1000);
	put_many(&pair, 2, 1400);
	CHECK(put(&pair, 500));
	send_largest = 1200;
	CHECK(!ve_datagrams_mtu_changed(pair.from));
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && ve_datagrams_waiting(pair.from) == 0);
	for (mark = 3; mark < 6; mark++)
		take(&pair, 1000, mark);
	take(&pair, 500, 8);
	nothing_more(&pair);
	CHECK(stats_of(pair.from).too_large == 5 && stats_of(pair.from).tx_datagrams == 4);
	CHECK(ve_datagrams_mtu_changed(pair.from) && !ve_datagrams_mtu_changed(pair.from));
	CHECK(pair.from->offload == ALL);	/* which is no reason not to cut */
	close_pair(&pair);
}

/* Before Linux 6.14 a run of what is too large is called invalid. */
static void test_an_old_kernel_calls_it_invalid(void)
{
	struct pair pair = open_pair(1500, ALL);

	for (unsigned int round = 0; round < 3; round++) {
		put_many(&pair, 3, 1400);
		CHECK(put(&pair, 500));
		send_largest = 1200;
		runs_errno = EINVAL;
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		take(&pair, 500, pair.received + 3);
	}
	CHECK(stats_of(pair.from).too_large == 9 && pair.from->offload == ALL);
	close_pair(&pair);
}

/* ICMP came about an earlier one: what waits fits, and is sent as it is. */
static void test_a_late_report_costs_nothing(void)
{
	struct pair pair = open_pair(1500, ALL);

	put_many(&pair, 10, 1400);
	send_errno = EMSGSIZE;
	send_failures = 1;
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && ve_datagrams_mtu_changed(pair.from));
	take_many(&pair, 10, 1400);
	CHECK(stats_of(pair.from).tx_segmented == 1 && stats_of(pair.from).too_large == 0);
	receive_errno = EMSGSIZE;	/* it may come by this way too */
	put_many(&pair, 1, 1400);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	take(&pair, 1400, 10);
	CHECK(ve_datagrams_mtu_changed(pair.to));
	close_pair(&pair);
}

static void test_probing_believes_the_device_alone(void)
{
	struct pair pair = open_pair(1500, ALL);
	int how = 0;
	socklen_t size = sizeof(how);

	CHECK(ve_datagrams_probe(pair.from, 1) == VE_OK);
	CHECK(!getsockopt(pair.fds[0], IPPROTO_IP, IP_MTU_DISCOVER, &how, &size) && how == IP_PMTUDISC_PROBE);
	put_many(&pair, 1, 1400);
	send_largest = 1200;
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && stats_of(pair.from).too_large == 1);
	CHECK(ve_datagrams_probe(pair.from, 0) == VE_OK);
	CHECK(!getsockopt(pair.fds[0], IPPROTO_IP, IP_MTU_DISCOVER, &how, &size) && how == IP_PMTUDISC_DO);
	CHECK(ve_datagrams_mtu(pair.from) >= 1500);
	close_pair(&pair);
}

/* ---- errors that the link decides about -------------------------------------------------------------------------- */

static void test_errors_are_told_once_and_nothing_is_lost(void)
{
	static const int errors[] = {ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct pair pair = open_pair(1500, ALL);

		put_many(&pair, 5, 1400);
		send_errno = errors[i];
		send_failures = 1;
		CHECK(ve_datagrams_flush(pair.from) == VE_ERROR && ve_datagrams_errno(pair.from) == errors[i]);
		CHECK(ve_datagrams_waiting(pair.from) == 5);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		receive_errno = errors[i];
		CHECK(ve_datagrams_receive(pair.to) == VE_ERROR && ve_datagrams_errno(pair.to) == errors[i]);
		take_many(&pair, 5, 1400);
		CHECK(stats_of(pair.from).refused == (errors[i] == ECONNREFUSED));
		CHECK(stats_of(pair.to).refused == (errors[i] == ECONNREFUSED));
		close_pair(&pair);
	}
}

static void test_nobody_listens(void)
{
	struct pair pair = open_pair(1500, ALL);

	close(pair.fds[1]);
	CHECK(put(&pair, 100));
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(put(&pair, 100));
	CHECK(ve_datagrams_flush(pair.from) == VE_ERROR && ve_datagrams_errno(pair.from) == ECONNREFUSED);
	CHECK(ve_datagrams_waiting(pair.from) == 1 && ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(ve_datagrams_receive(pair.from) == VE_ERROR && ve_datagrams_errno(pair.from) == ECONNREFUSED);
	CHECK(ve_datagrams_receive(pair.from) == VE_WANT_READ && stats_of(pair.from).refused == 2);
	pair.fds[1] = bound(&(struct sockaddr_in){0});
	close_pair(&pair);
}

static void test_a_firewall_costs_what_it_refuses(void)
{
	struct pair pair = open_pair(1500, ALL);

	put_many(&pair, 5, 1400);
	put_many(&pair, 5, 1450);
	send_errno = EPERM;
	send_failures = 1;
	CHECK(ve_datagrams_flush(pair.from) == VE_OK && stats_of(pair.from).firewalled == 5);
	for (unsigned int mark = 5; mark < 10; mark++)
		take(&pair, 1450, mark);
	nothing_more(&pair);
	close_pair(&pair);
}

static void test_interrupted_calls_are_made_again(void)
{
	struct pair pair = open_pair(1500, ALL);

	put_many(&pair, 5, 1400);
	send_errno = receive_errno = EINTR;
	send_failures = 3;
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	take_many(&pair, 5, 1400);
	close_pair(&pair);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

static void test_what_was_cut_is_dropped(void)
{
	static const int flags[] = {MSG_TRUNC, MSG_CTRUNC};

	for (size_t i = 0; i < 2; i++) {
		struct pair pair = open_pair(1500, ALL);

		receive_flags = flags[i];
		put_many(&pair, 5, 1400);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		nothing_more(&pair);
		CHECK(stats_of(pair.to).truncated == 1 && stats_of(pair.to).rx_datagrams == 0);
		receive_flags = 0;
		put_many(&pair, 1, 1400);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		take(&pair, 1400, 5);
		close_pair(&pair);
	}
}

/* In every mode what is larger than agreed is dropped, not what comes with it. */
static void test_larger_than_agreed_is_dropped(void)
{
	for (unsigned int offload = 0; offload <= ALL; offload++) {
		struct pair pair = open_pair(1500, offload);

		ve_datagrams_free(pair.to);
		pair.to = datagrams(pair.fds[1], 1000, offload);
		put_many(&pair, 3, 900);
		put_many(&pair, 3, 1001);
		put_many(&pair, 3, 1000);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		take_many(&pair, 3, 900);
		for (unsigned int mark = 6; mark < 9; mark++)
			take(&pair, 1000, mark);
		nothing_more(&pair);
		CHECK(stats_of(pair.to).truncated == 3 && stats_of(pair.to).rx_datagrams == 6);
		CHECK(stats_of(pair.to).rx_bytes == 5700);
		close_pair(&pair);
	}
}

static void test_a_length_that_lies_means_one_datagram(void)
{
	static const int lies[] = {-1, 1400, 1401, 0x7fffffff};
	uint8_t *at;
	size_t length;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct pair pair = open_pair(1500, ALL);

		receive_segment = lies[i];
		put_many(&pair, 1, 1400);
		CHECK(ve_datagrams_flush(pair.from) == VE_OK);
		take(&pair, 1400, 0);
		nothing_more(&pair);
		close_pair(&pair);
	}
	/* One that may be true: nothing beyond what came is given out. */
	struct pair pair = open_pair(1500, ALL);

	receive_segment = 999;
	put_many(&pair, 1, 1400);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(ve_datagrams_receive(pair.to) == 2);
	CHECK(ve_datagrams_next(pair.to, &at, &length) == VE_OK && length == 999);
	CHECK(ve_datagrams_next(pair.to, &at, &length) == VE_OK && length == 401);
	CHECK(ve_datagrams_next(pair.to, &at, &length) == VE_EMPTY);
	close_pair(&pair);
}

static void test_an_empty_datagram_is_one(void)
{
	struct pair pair = open_pair(1500, ALL);
	uint8_t *at;
	size_t length = 1;

	CHECK(send(pair.fds[0], "", 0, 0) == 0);
	CHECK(ve_datagrams_receive(pair.to) == 1);
	CHECK(ve_datagrams_next(pair.to, &at, &length) == VE_OK && length == 0);
	nothing_more(&pair);
	close_pair(&pair);
}

/* What was not yet given out stays, and no call is made for more. */
static void test_a_batch_is_given_out_before_the_next(void)
{
	struct pair pair = open_pair(1500, 0);
	uint8_t *at;
	size_t length;

	put_many(&pair, VE_DATAGRAM_IN + 10, 1000);
	CHECK(ve_datagrams_flush(pair.from) == VE_OK);
	CHECK(ve_datagrams_receive(pair.to) == VE_DATAGRAM_IN && ve_datagrams_more(pair.to));
	CHECK(ve_datagrams_next(pair.to, &at, &length) == VE_OK);
	CHECK(ve_datagrams_receive(pair.to) == VE_DATAGRAM_IN - 1 && stats_of(pair.to).rx_calls == 1);
	CHECK(ve_datagrams_offload(pair.to, ALL) == VE_UDP_SEGMENT);	/* not now: it would move the buffers */
	pair.received = 1;
	take_many(&pair, VE_DATAGRAM_IN - 1, 1000);
	take_many(&pair, 10, 1000);
	CHECK(!ve_datagrams_more(pair.to));
	nothing_more(&pair);
	close_pair(&pair);
}

/* ---- what it is made on ------------------------------------------------------------------------------------------ */

static void test_kernels_that_cut_badly(void)
{
	static const struct {
		const char *release;
		int cuts;
	} kernels[] = {{"6.18.44", 1}, {"7.0.0", 0}, {"7.0.12-1-generic", 0}, {"7.1", 0}, {"7.1.4", 0},
		       {"7.1.5", 1}, {"7.2-rc1", 1}, {"odd", 1}};

	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		struct pair pair = open_pair(1500, ALL);
		char err[128];
		struct ve_datagrams *d;

		release = kernels[i].release;
		d = ve_datagrams_new(pair.fds[0], 1500, err, sizeof(err));
		CHECK(d && (ve_datagrams_offload(d, ALL) & VE_UDP_SEGMENT) == (unsigned int)kernels[i].cuts);
		ve_datagrams_free(d);
		close_pair(&pair);
	}
}

static void refused_by_new(int fd, size_t largest, const char *why)
{
	char err[128] = "";

	CHECK(!ve_datagrams_new(fd, largest, err, sizeof(err)));
	CHECK(strstr(err, why));
}

static void test_what_is_no_udp_socket(void)
{
	int fds[4] = {socket(AF_UNIX, SOCK_DGRAM, 0), socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0),
		      socket(AF_INET6, SOCK_DGRAM, 0)};
	char err[128];
	struct ve_datagrams *d;

	reset();
	refused_by_new(fds[0], 1500, "no IP socket");
	refused_by_new(fds[1], 1500, "not UDP's");
	refused_by_new(-1, 1500, "no IP socket");
	refused_by_new(fds[2], 0, "want 1 to 65535");
	refused_by_new(fds[2], 65536, "want 1 to 65535");
	d = ve_datagrams_new(fds[2], 65535, err, sizeof(err));
	CHECK(d && ve_datagrams_mtu(d) == VE_ERROR && ve_datagrams_errno(d) == ENOTCONN);
	ve_datagrams_free(d);
	d = ve_datagrams_new(fds[3], 65535, err, sizeof(err));
	CHECK(d && ve_datagrams_probe(d, 1) == VE_OK && ve_datagrams_mtu(d) == VE_ERROR);
	ve_datagrams_free(d);
	ve_datagrams_free(NULL);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
}

int main(void)
{
	test_runs_leave_as_one();
	test_every_mode_carries_the_same();
	test_a_batch_is_full();
	test_room_is_lent();
	test_a_full_socket_keeps_the_rest();
	test_the_batch_closes_up();
	test_no_buffers_costs_a_message_at_the_second_try();
	test_a_way_out_that_cannot_cut();
	test_invalid_runs_go_singly_and_twice_is_enough();
	test_one_invalid_run_costs_that_run();
	test_what_is_invalid_singly_is_told();
	test_too_large_costs_those_that_are();
	test_an_old_kernel_calls_it_invalid();
	test_a_late_report_costs_nothing();
	test_probing_believes_the_device_alone();
	test_errors_are_told_once_and_nothing_is_lost();
	test_nobody_listens();
	test_a_firewall_costs_what_it_refuses();
	test_interrupted_calls_are_made_again();
	test_what_was_cut_is_dropped();
	test_larger_than_agreed_is_dropped();
	test_a_length_that_lies_means_one_datagram();
	test_an_empty_datagram_is_one();
	test_a_batch_is_given_out_before_the_next();
	test_kernels_that_cut_badly();
	test_what_is_no_udp_socket();
	return 0;
}
