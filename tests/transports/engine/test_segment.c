/*
 * test_segment.c: super-packets are cut into what the vectors say; headers that lie are told, whatever they say.
 */
#include <stdint.h>

#include "engine.h"
#include "segment.h"
#include "vnet.h"

#include "check.h"

static size_t from_hex(uint8_t *out, const char *hex)
{
	unsigned int byte;
	size_t n = 0;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

static void check_next(struct ve_segments *s, const char *hex)
{
	uint8_t want[128], got[128];
	size_t length = from_hex(want, hex);

	CHECK(ve_segments_left(s) && ve_segments_largest(s) <= sizeof(got));
	CHECK(ve_segments_next(s, got) == length);
	CHECK(!memcmp(got, want, length));
}

static void test_the_vectors(void)
{
	struct ve_segments s;
	uint8_t vnet[VE_VNET_SIZE], packet[128];
	size_t length;

	from_hex(vnet, "01812800080014001000");		/* T1 */
	length = from_hex(packet, "4500003cfffe4000400626bb0a0000010a00000204010050fffffffc00012fd1509901f414310000"
			  "4142434445464748494a4b4c4d4e4f5051525354");
	CHECK(ve_segments_begin(&s, vnet, packet, length) == VE_OK && ve_segments_count(&s) == 3);
	check_next(&s, "45000030fffe4000400626c70a0000010a00000204010050fffffffc00012fd1509001f4542100004142434445464748");
	check_next(&s, "45000030ffff4000400626c60a0000010a000002040100500000000400012fd1501001f4347a0000494a4b4c4d4e4f50");
	check_next(&s, "4500002c00004000400626ca0a0000010a000002040100500000000c00012fd1501901f4c0fb000051525354");
	CHECK(!ve_segments_left(&s));

	from_hex(vnet, "01053000060028000600");		/* T2 */
	length = from_hex(packet, "6001234500121140fd000000000000000000000000000001fd000000000000000000000000000002"
			  "138800350012fa276162636465666768696a");
	CHECK(ve_segments_begin(&s, vnet, packet, length) == VE_OK && ve_segments_count(&s) == 2);
	check_next(&s, "60012345000e1140fd000000000000000000000000000001fd000000000000000000000000000002"
		       "13880035000ec7e3616263646566");
	check_next(&s, "60012345000c1140fd000000000000000000000000000001fd000000000000000000000000000002"
		       "13880035000c21426768696a");

	from_hex(vnet, "01000000000014000600");		/* T3 */
	length = from_hex(packet, "4500002200014000401126c80a0000010a00000213880035000e142261626364134c");
	CHECK(ve_segments_begin(&s, vnet, packet, length) == VE_EMPTY && !ve_segments_left(&s));
	CHECK(packet[26] == 0xff && packet[27] == 0xff);
}

/* A TCPv4 super-packet of the largest size with a byte each segment, a word behind the buffer to be left alone. */
static void test_the_most_segments(void)
{
	static uint8_t packet[VE_SUPER_PACKET];
	uint8_t out[41], vnet[VE_VNET_SIZE] = {1, 1, 40, 0, 1, 0, 20, 0, 16, 0};
	struct ve_segments s;
	size_t count = 0;

	make_ipv4(packet, sizeof(packet), 0);
	packet[9] = VE_TCP;
	packet[32] = 0x50;
	CHECK(ve_segments_begin(&s, vnet, packet, sizeof(packet)) == VE_OK);
	CHECK(ve_segments_count(&s) == VE_SUPER_PACKET - 40 && ve_segments_largest(&s) == sizeof(out));
	while (ve_segments_left(&s)) {
		CHECK(ve_segments_next(&s, out) == sizeof(out));
		CHECK(ve_get16(out + 4) == (count & 0xffff) && out[40] == packet[40 + count]);
		count++;
	}
	CHECK(count == VE_SUPER_PACKET - 40);
}

/* Each byte of the header and of the packet's beginning set to anything: never beyond the bounds. */
static void test_lies_of_every_byte(void)
{
	static uint8_t out[VE_SUPER_PACKET];
	size_t at, length;
	unsigned int value;

	for (length = 0; length <= 64; length++) {
		for (at = 0; at < VE_VNET_SIZE + 34; at++) {
			for (value = 0; value < 256; value += 3) {
				uint8_t data[VE_VNET_SIZE + 64] = {1, 1, 40, 0, 8, 0, 20, 0, 16, 0, 0x45};
				uint8_t *exact = malloc(length ? length : 1);
				struct ve_segments s;

				CHECK(exact);
				data[VE_VNET_SIZE + 32] = 0x50;
				data[at] = (uint8_t)value;
				memcpy(exact, data + VE_VNET_SIZE, length);
				if (ve_segments_begin(&s, data, exact, length) == VE_OK) {
					while (ve_segments_left(&s))
						CHECK(ve_segments_next(&s, out) <= ve_segments_largest(&s));
				}
				free(exact);
			}
		}
	}
}

int main(void)
{
	test_the_vectors();
	test_the_most_segments();
	test_lies_of_every_byte();
	return 0;
}
