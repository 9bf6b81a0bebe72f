/*
 * test_sink_tun.c: the TUN sink in front of a device that fails as told; it is compiled in with its write() replaced.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

static int next_errno;		/* of the next write, once; 0: it works */
static int super_errno;		/* of every write of a super-packet; 0: it works */
static size_t supers;		/* super-packets written */
static uint8_t vnet[10];	/* before the last that worked */
static size_t written;		/* bytes of the last that worked */
static uint8_t last[16384];

static ssize_t fake_write(int fd, const void *data, size_t length);
static ssize_t fake_writev(int fd, const struct iovec *iov, int count);
#define write fake_write
#define writev fake_writev
#include "sink_tun.c"
#undef write
#undef writev

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

static ssize_t fake_writev(int fd, const struct iovec *iov, int count)
{
	static uint8_t packet[65535];
	const uint8_t *header = iov[0].iov_base;
	size_t length = 0;
	int i;

	CHECK(count >= 2 && iov[0].iov_len == sizeof(vnet));
	if (header[1] && super_errno) {
		errno = super_errno;
		return -1;
	}
	for (i = 1; i < count; i++) {
		CHECK(iov[i].iov_len <= sizeof(packet) - length);
		memcpy(packet + length, iov[i].iov_base, iov[i].iov_len);
		length += iov[i].iov_len;
	}
	if (header[1]) {
		supers++;
		memcpy(vnet, header, sizeof(vnet));
		return (ssize_t)length;
	}
	return fake_write(fd, packet, length);
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

/* ---- with a virtio header ---- */

/* Segment `index` of a flow, in a packet of 60 bytes. */
static void make_segment(uint8_t *packet, uint32_t index)
{
	make_ipv4(packet, 60, 1);
	packet[6] = 0x40;
	packet[7] = 0;
	packet[9] = VE_TCP;
	memset(packet + 20, 0, 20);
	ve_put32(packet + 24, index * 20);
	packet[32] = 0x50;
	packet[33] = 0x10;
	ve_sum_ipv4(packet, 20);
	ve_sum_store(packet + 36, (uint16_t)~ve_sum_fold(ve_sum(ve_sum_pseudo(packet, VE_TCP, 40), packet + 20, 40)));
}

static struct ve_sink_stats flush_segments(struct ve_sink *sink, uint32_t count)
{
	struct ve_sink_stats stats;
	uint8_t packet[60];

	for (uint32_t i = 0; i < count; i++) {
		make_segment(packet, i);
		CHECK(ve_sink_write(sink, packet, sizeof(packet)) == VE_OK);
	}
	CHECK(ve_sink_flush(sink) == VE_OK);
	ve_sink_stats(sink, &stats);
	return stats;
}

static struct ve_sink *tun_offload(unsigned int offload)
{
	char err[128];
	struct ve_sink *sink = ve_sink_tun_offload(7, 1400, offload, err, sizeof(err));

	CHECK(sink);
	supers = 0;
	super_errno = 0;
	return sink;
}

static void test_a_batch_is_joined_after_a_probe(void)
{
	struct ve_sink *sink = tun_offload(VE_TUN_VNET | VE_TUN_JOIN_TCP | VE_TUN_PROBE);
	struct ve_sink_stats stats = flush_segments(sink, 3);

	CHECK(supers == 3 && stats.writes == 3);	/* two of the probe */
	CHECK(stats.packets == 3 && stats.bytes == 180 && stats.super_packets == 1 && stats.joined == 3);
	CHECK(vnet[0] == 1 && vnet[1] == 1 && vnet[4] == 20);
	stats = flush_segments(sink, 3);
	CHECK(supers == 4 && stats.super_packets == 2);
	ve_sink_free(sink);
}

static void test_a_super_packet_that_is_refused_leaves_singly_and_is_the_last(void)
{
	struct ve_sink *sink = tun_offload(VE_TUN_VNET | VE_TUN_JOIN_TCP);
	struct ve_sink_stats stats;
	uint8_t packet[60];

	super_errno = EINVAL;
	stats = flush_segments(sink, 5);
	CHECK(stats.join_refused == 1 && stats.packets == 5 && stats.bytes == 300 && stats.refused == 0);
	make_segment(packet, 4);
	CHECK(written == sizeof(packet) && !memcmp(last, packet, sizeof(packet)));	/* the header is as it was */
	super_errno = 0;
	stats = flush_segments(sink, 5);
	CHECK(supers == 0 && stats.packets == 10 && stats.super_packets == 0 && stats.join_refused == 1);
	ve_sink_free(sink);
}

static void test_a_probe_that_is_refused_costs_no_packet(void)
{
	struct ve_sink *sink = tun_offload(VE_TUN_VNET | VE_TUN_JOIN_TCP | VE_TUN_PROBE);
	struct ve_sink_stats stats;

	super_errno = EINVAL;
	stats = flush_segments(sink, 5);
	CHECK(stats.join_refused == 1 && stats.packets == 5 && stats.writes == 6);
	ve_sink_free(sink);
}

static void test_a_device_that_is_down_is_probed_again(void)
{
	struct ve_sink *sink = tun_offload(VE_TUN_VNET | VE_TUN_JOIN_TCP | VE_TUN_PROBE);
	struct ve_sink_stats stats;

	super_errno = EIO;
	stats = flush_segments(sink, 5);
	CHECK(stats.refused == 5 && stats.join_refused == 0 && stats.writes == 2);
	super_errno = 0;
	stats = flush_segments(sink, 5);
	CHECK(supers == 3 && stats.packets == 5 && stats.joined == 5);
	ve_sink_free(sink);
}

static void test_without_the_wish_nothing_is_joined(void)
{
	struct ve_sink *sink = tun_offload(VE_TUN_VNET | VE_TUN_PROBE);
	struct ve_sink_stats stats = flush_segments(sink, 5);

	CHECK(supers == 0 && stats.packets == 5 && stats.writes == 5);
	ve_sink_free(sink);
}

static void test_an_open_packet_holds_back_those_behind_it(void)
{
	struct ve_sink *sink = tun_offload(VE_TUN_VNET | VE_TUN_JOIN_TCP);
	struct ve_sink_stats stats;
	uint8_t *open = ve_sink_reserve(sink, 60);

	stats = flush_segments(sink, 3);
	CHECK(open && stats.packets == 0);
	make_ipv4(open, 60, 1);
	CHECK(ve_sink_commit(sink, open, 60) == VE_OK && ve_sink_flush(sink) == VE_OK);
	ve_sink_stats(sink, &stats);
	CHECK(stats.packets == 4 && stats.joined == 3 && supers == 1);
	ve_sink_free(sink);
}

int main(void)
{
	test_a_batch_is_joined_after_a_probe();
	test_a_super_packet_that_is_refused_leaves_singly_and_is_the_last();
	test_a_probe_that_is_refused_costs_no_packet();
	test_a_device_that_is_down_is_probed_again();
	test_without_the_wish_nothing_is_joined();
	test_an_open_packet_holds_back_those_behind_it();
	test_an_error_of_a_packet_costs_that_packet();
	test_a_removed_device_is_gone();
	test_the_arena_goes_round();
	return 0;
}
