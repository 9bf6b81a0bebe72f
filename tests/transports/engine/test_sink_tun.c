/*
 * test_sink_tun.c: the TUN sink in front of a device that fails as told; it is compiled in with its write() replaced.
 */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

static int next_errno;		/* of the next write, once; 0: it works */
static size_t written;		/* bytes of the last that worked */
static uint8_t last[16384];

static ssize_t fake_write(int fd, const void *data, size_t length);
#define write fake_write
#include "sink_tun.c"
#undef write

#include "check.h"

static ssize_t fake_write(int fd, const void *data, size_t length)
{
	CHECK(fd == 7);
	if (next_errno) {
		errno = next_errno;
		next_errno = 0;
		return -1;
	}
	memcpy(last, data, length);
	written = length;
	return (ssize_t)length;
}

static struct ve_sink *tun(void)
{
	char err[128];
	struct ve_sink *sink = ve_sink_tun(7, 1400, err, sizeof(err));

	CHECK(sink);
	return sink;
}

/* One packet that the device answers with an error, and one that it takes. */
static struct ve_sink_stats flush_with(int error, int wanted)
{
	struct ve_sink *sink = tun();
	struct ve_sink_stats stats;
	uint8_t packet[60];

	make_ipv4(packet, sizeof(packet), 1);
	CHECK(ve_sink_write(sink, packet, sizeof(packet)) == VE_OK);
	CHECK(ve_sink_write(sink, packet, sizeof(packet)) == VE_OK);
	next_errno = error;
	CHECK(ve_sink_flush(sink) == wanted);
	ve_sink_stats(sink, &stats);
	ve_sink_free(sink);
	return stats;
}

static void test_an_error_of_a_packet_costs_that_packet(void)
{
	static const int refused[] = {EINVAL, EIO, ENOBUFS, ENOMEM};
	struct ve_sink_stats stats;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		stats = flush_with(refused[i], VE_OK);
		CHECK(stats.refused == 1 && stats.packets == 1 && stats.bytes == 60);
	}
	stats = flush_with(EAGAIN, VE_OK);
	CHECK(stats.dropped_full == 1 && stats.packets == 1);
	stats = flush_with(EINTR, VE_OK);
	CHECK(stats.packets == 2 && stats.writes == 3);
}

static void test_a_removed_device_is_gone(void)
{
	static const int gone[] = {EBADFD, ENODEV, EBADF, EPIPE};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CHECK(flush_with(gone[i], VE_GONE).refused == 1);
}

/* The arena goes round while one reservation is always open, as when packets cross the borders of records. */
static void test_the_arena_goes_round(void)
{
	struct ve_sink *sink = tun();
	struct ve_sink_stats stats;
	uint8_t *open = ve_sink_reserve(sink, 777);
	uint64_t rounds = 5000;

	make_ipv4(open, 777, 0);
	for (unsigned int i = 1; i <= rounds; i++) {
		size_t length = 20 + i * 7919 % (VE_MAX_PACKET - 20);
		uint8_t *next = ve_sink_reserve(sink, length);

		CHECK(next && (uintptr_t)next % ALIGN == 0);
		make_ipv4(next, length, i);
		CHECK(ve_sink_commit(sink, open, i == 1 ? 777 : 20 + (i - 1) * 7919 % (VE_MAX_PACKET - 20)) == VE_OK);
		CHECK(ve_sink_flush(sink) == VE_OK);
		CHECK(last[4] == (uint8_t)((i - 1) >> 8) && last[5] == (uint8_t)(i - 1));
		CHECK(last[written - 1] == (uint8_t)(written - 1 + i - 1) || written == 20);
		open = next;
	}
	ve_sink_stats(sink, &stats);
	CHECK(stats.packets == rounds && stats.dropped_full == 0);
	ve_sink_free(sink);
}

int main(void)
{
	test_an_error_of_a_packet_costs_that_packet();
	test_a_removed_device_is_gone();
	test_the_arena_goes_round();
	return 0;
}
