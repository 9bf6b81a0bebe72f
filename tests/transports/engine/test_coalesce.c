/*
 * test_coalesce.c: what is joined, how it is gathered, and that a refused super-packet leaves its packets as they were.
 * Every condition is in tests/transports/test_offload.py.
 */
#include <stdint.h>

#include "checksum.h"
#include "coalesce.h"
#include "engine.h"

#include "check.h"

static struct ve_join joiner = {.tcp = 1, .udp = 1};
static uint8_t batch[VE_JOIN_PACKETS][1600];
static struct iovec iov[VE_JOIN_IOV];

/* A segment of a flow, right in all its sums. */
static void make_tcp(uint8_t *packet, unsigned int port, uint32_t sequence, size_t payload)
{
	size_t length = 40 + payload;

	make_ipv4(packet, length, 0);
	packet[6] = 0x40;
	packet[9] = VE_TCP;
	ve_put16(packet + 20, port);
	ve_put32(packet + 24, sequence);
	memset(packet + 28, 0, 12);
	packet[32] = 0x50;
	packet[33] = 0x10;
	ve_sum_ipv4(packet, 20);
	ve_sum_store(packet + 36, (uint16_t)~ve_sum_fold(ve_sum(ve_sum_pseudo(packet, VE_TCP, length - 20), packet + 20,
								length - 20)));
}

static size_t gathered(size_t item, uint8_t *out, uint8_t *vnet)
{
	size_t count = ve_join_gather(&joiner, item, vnet, iov), length = 0;

	CHECK(count <= VE_JOIN_IOV && iov[0].iov_base == vnet && iov[0].iov_len == VE_VNET_SIZE);
	for (size_t i = 1; i < count; i++) {
		memcpy(out + length, iov[i].iov_base, iov[i].iov_len);
		length += iov[i].iov_len;
	}
	return length;
}

static void test_the_vector(void)	/* T4 */
{
	static const uint8_t pkt0[] = {
		0x45, 0, 0, 0x30, 0, 7, 0x40, 0, 0x40, 6, 0x26, 0xbf, 10, 0, 0, 1, 10, 0, 0, 2, 4, 1, 0, 0x50, 0, 0, 3,
		0xe8, 0, 1, 0x2f, 0xd1, 0x50, 0x10, 1, 0xf4, 0x50, 0xb6, 0, 0, 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'};
	static const uint8_t pkt1[] = {
		0x45, 0, 0, 0x2c, 0, 8, 0x40, 0, 0x40, 6, 0x26, 0xc2, 10, 0, 0, 1, 10, 0, 0, 2, 4, 1, 0, 0x50, 0, 0, 3,
		0xf0, 0, 1, 0x2f, 0xd1, 0x50, 0x18, 1, 0xf4, 0xcd, 0x28, 0, 0, 'I', 'J', 'K', 'L'};
	static const uint8_t head[] = {
		0x45, 0, 0, 0x34, 0, 7, 0x40, 0, 0x40, 6, 0x26, 0xbb, 10, 0, 0, 1, 10, 0, 0, 2, 4, 1, 0, 0x50, 0, 0, 3,
		0xe8, 0, 1, 0x2f, 0xd1, 0x50, 0x18, 1, 0xf4, 0x14, 0x29, 0, 0};
	static const uint8_t header[] = {1, 1, 0x28, 0, 8, 0, 0x14, 0, 0x10, 0};
	uint8_t a[sizeof(pkt0)], b[sizeof(pkt1)], out[128], vnet[VE_VNET_SIZE];

	memcpy(a, pkt0, sizeof(a));
	memcpy(b, pkt1, sizeof(b));
	ve_join_add(&joiner, a, sizeof(a));
	ve_join_add(&joiner, b, sizeof(b));
	CHECK(joiner.items == 1);
	CHECK(gathered(0, out, vnet) == 52);
	CHECK(!memcmp(vnet, header, sizeof(header)) && !memcmp(out, head, 40) && !memcmp(out + 40, "ABCDEFGHIJKL", 12));
	ve_join_restore(&joiner, 0);
	CHECK(!memcmp(a, pkt0, sizeof(a)) && !memcmp(b, pkt1, sizeof(b)));
	ve_join_reset(&joiner);
}

/* A whole batch of one flow: no item larger than an IP packet can be. */
static void test_the_largest(void)
{
	static uint8_t out[VE_SUPER_PACKET];
	uint8_t vnet[VE_VNET_SIZE];
	size_t i, joined = 0;

	for (i = 0; i < VE_JOIN_PACKETS; i++) {
		make_tcp(batch[i], 7, (uint32_t)(0xffff0000u + i * 1460), 1460);
		ve_join_add(&joiner, batch[i], 1500);
	}
	CHECK(joiner.items == (VE_JOIN_PACKETS + 43) / 44);	/* (65535 - 40) / 1460 = 44 */
	for (i = 0; i < joiner.items; i++) {
		size_t length = gathered(i, out, vnet);

		CHECK(length == joiner.item[i].total && ve_get16(out + 2) == length);
		joined += joiner.item[i].count;
	}
	CHECK(joined == VE_JOIN_PACKETS && joiner.bad_checksums == 0);
	ve_join_reset(&joiner);
}

/* More flows than the table holds: the oldest are closed, nothing is lost. */
static void test_many_flows(void)
{
	size_t i;

	for (i = 0; i < VE_JOIN_PACKETS; i++) {
		make_tcp(batch[i], (unsigned int)(i % (VE_JOIN_FLOWS + 1)), 100, 10);
		ve_join_add(&joiner, batch[i], 50);
	}
	CHECK(joiner.items == VE_JOIN_PACKETS && joiner.flows == VE_JOIN_FLOWS);
	ve_join_reset(&joiner);
	CHECK(joiner.items == 0 && joiner.packets == 0 && joiner.flows == 0);
}

/* Every length of a packet cut off anywhere, every first bytes: nothing is read behind its end. */
static void test_stunted_packets(void)
{
	size_t length;
	unsigned int protocol, version;

	for (version = 4; version <= 6; version += 2) {
		for (protocol = 0; protocol < 256; protocol++) {
			for (length = version == 4 ? 20 : 40; length < 64; length++) {
				uint8_t *exact = calloc(1, length), *again = calloc(1, length);

				CHECK(exact && again);
				exact[0] = (uint8_t)(version << 4 | 5);
				exact[version == 4 ? 9 : 6] = (uint8_t)protocol;
				ve_put16(exact + (version == 4 ? 2 : 4), version == 4 ? length : length - 40);
				if (length > 52)
					exact[52] = 0x50;
				memcpy(again, exact, length);
				ve_join_add(&joiner, exact, length);
				ve_join_add(&joiner, again, length);
				CHECK(joiner.items == 2);
				ve_join_reset(&joiner);
				free(exact);
				free(again);
			}
		}
	}
}

int main(void)
{
	test_the_vector();
	test_the_largest();
	test_many_flows();
	test_stunted_packets();
	return 0;
}
