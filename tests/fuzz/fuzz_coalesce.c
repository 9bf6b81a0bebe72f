/*
 * fuzz_coalesce.c: libFuzzer target; a batch of packets, a length of two bytes before each.  What is joined comes apart into
 * the same packets again, but for checksums of IPv4 with an identification that means nothing; what is not stays as it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "coalesce.h"
#include "engine.h"
#include "segment.h"
#include "sink.h"

static struct ve_join join = {.tcp = 1, .udp = 1};
static uint8_t *packets[VE_JOIN_PACKETS], *originals[VE_JOIN_PACKETS];
static size_t lengths[VE_JOIN_PACKETS];

static void must(int condition)
{
	if (!condition)
		abort();
}

/* The bytes of payload are the same, and the header but for its checksums and identification. */
static void check_item(size_t number)
{
	static uint8_t whole[VE_SUPER_PACKET], out[VE_SUPER_PACKET];
	static struct iovec iov[VE_JOIN_IOV];
	const struct ve_join_item *item = &join.item[number];
	size_t count, i, length = 0, at = item->first;
	uint8_t vnet[VE_VNET_SIZE];
	struct ve_segments s;

	count = ve_join_gather(&join, number, vnet, iov);
	for (i = 1; i < count; i++) {
		must(iov[i].iov_len <= sizeof(whole) - length);
		memcpy(whole + length, iov[i].iov_base, iov[i].iov_len);
		length += iov[i].iov_len;
	}
	if (item->count == 1) {
		must(length == lengths[at] && !memcmp(whole, originals[at], length));
		return;
	}
	must(ve_segments_begin(&s, vnet, whole, length) == VE_OK && ve_segments_count(&s) == item->count);
	for (i = 0; i < item->count; i++) {
		const uint8_t *original = originals[at];

		must(ve_segments_left(&s) && ve_segments_next(&s, out) == lengths[at]);
		must(!memcmp(out + item->header, original + item->header, lengths[at] - item->header));
		must(!memcmp(out, original, 4));
		must(!memcmp(out + item->transport, original + item->transport, item->protocol == VE_TCP ? 16 : 6));
		at = join.packet[at].next;
	}
	ve_join_restore(&join, number);
	must(!memcmp(packets[item->first], originals[item->first], lengths[item->first]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	size_t count = 0, emitted = 0, i;

	while (length > 2 && count < VE_JOIN_PACKETS) {
		size_t n = (size_t)data[0] << 8 | data[1];

		data += 2;
		length -= 2;
		n = n < length ? n : length;
		lengths[count] = ve_ip_length(data, n);
		if (lengths[count]) {
			packets[count] = malloc(lengths[count]);
			originals[count] = malloc(lengths[count]);
			must(packets[count] && originals[count]);
			memcpy(packets[count], data, lengths[count]);
			memcpy(originals[count], data, lengths[count]);
			ve_join_add(&join, packets[count], lengths[count]);
			count++;
		}
		data += n;
		length -= n;
	}
	for (i = 0; i < join.items; i++) {
		emitted += join.item[i].count;
		check_item(i);
	}
	must(emitted == count);
	ve_join_reset(&join);
	for (i = 0; i < count; i++) {
		free(packets[i]);
		free(originals[i]);
	}
	return 0;
}
