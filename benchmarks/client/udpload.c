/*
 * udpload.c: a load of UDP at a given rate, and what of it arrives.
 *
 *     bench_udpload sink PORT
 *         a line "RUN" on standard input is answered by how many datagrams of that run have come
 *     bench_udpload send ADDRESS PORT BYTES RATE SECONDS RUN
 *         sends datagrams of so many bytes of payload, RATE a second; prints how many, and in how many seconds
 *
 * Many packets a system call, in bursts of a quarter millisecond, and sleep between them: the load shares the machine with
 * what it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 128,			/* packets a system call */
	PAYLOAD = 65536,		/* bytes, at most */
	TICK = 250000,			/* nanoseconds between two bursts */
	LAG = 4000000,			/* nanoseconds behind the plan that are made up for; the rest is not sent */
	RUNS = 65536,
	QUEUE = 32 << 20		/* bytes of the sink's socket: it must not be what loses */
};

static uint8_t payload[PAYLOAD];
static struct mmsghdr headers[BATCH];
static struct iovec vectors[BATCH];

static void die(const char *what)
{
	fprintf(stderr, "bench_udpload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* ---- sink -------------------------------------------------------------------------------------------------------- */

static uint64_t came[RUNS];

static void collect(int fd)
{
	static uint32_t runs[BATCH];
	int i, got;

	for (i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){&runs[i], sizeof(runs[i])};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	while ((got = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL)) > 0) {
		for (i = 0; i < got; i++)
			came[runs[i] % RUNS]++;
	}
}

static int answer(void)
{
	char line[32];
	ssize_t got = read(0, line, sizeof(line) - 1);

	if (got <= 0)
		return 0;
	line[got] = 0;
	printf("%llu\n", (unsigned long long)came[strtoul(line, NULL, 10) % RUNS]);
	fflush(stdout);
	return 1;
}

static int sink(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), queue = QUEUE;
	struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	printf("ready\n");
	fflush(stdout);
	while (poll(fds, 2, -1) >= 0) {
		if (fds[1].revents)
			collect(fd);
		if (fds[0].revents && !answer())
			return 0;
	}
	return 1;
}

/* ---- sender ------------------------------------------------------------------------------------------------------ */

static uint64_t burst(int fd, uint64_t count)
{
	uint64_t done = 0;

	while (done < count) {
		unsigned int now = count - done < BATCH ? (unsigned int)(count - done) : BATCH;
		int sent = sendmmsg(fd, headers, now, 0);

		if (sent > 0)
			done += (uint64_t)sent;
		else if (errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS)
			die("sendmmsg");
	}
	return done;
}

static int send_load(const char *address, int port, size_t bytes, double rate, double seconds, uint32_t run)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), i;
	uint64_t began, now, next, skipped = 0, sent = 0;

	if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		die(address);
	memcpy(payload, &run, sizeof(run));
	for (i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){payload, bytes};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	for (began = next = clock_ns(); (now = clock_ns()) - began < (uint64_t)(seconds * 1e9); sleep_until(next)) {
		uint64_t due = (uint64_t)((double)(now - began) / 1e9 * rate) - skipped;
		uint64_t most = (uint64_t)(rate * LAG / 1e9) + 1;

		if (due > sent + most) {
			skipped += due - sent - most;
			due = sent + most;
		}
		if (due > sent)
			sent += burst(fd, due - sent);
		next = now + TICK;
	}
	printf("%llu %.6f\n", (unsigned long long)sent, (double)(clock_ns() - began) / 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "sink"))
		return sink(atoi(argv[2]));
	if (argc == 8 && !strcmp(argv[1], "send") && (size_t)atoi(argv[4]) <= PAYLOAD)
		return send_load(argv[2], atoi(argv[3]), (size_t)atoi(argv[4]), atof(argv[5]), atof(argv[6]),
				 (uint32_t)atoi(argv[7]));
	fprintf(stderr, "usage: bench_udpload sink PORT | send ADDRESS PORT BYTES RATE SECONDS RUN\n");
	return 2;
}
