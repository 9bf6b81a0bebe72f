/*
 * test_pump.c: the pump's thread against a peer on a TLS socket pair, for the sanitizers.
 *
 * The peer runs in the main thread.  Bulk both ways with control frames between, statistics read all the while, then an
 * orderly stop; and a stream that breaks.
 */
#include "pump_bench.h"

#include <poll.h>

enum {
	PACKETS = 2000,
	LENGTH = 1400,
	FRAME = 8 + LENGTH,
	WINDOW = 50		/* packets on the way to the host: what its side holds without loss */
};

static uint8_t frame[65536], packet[65536];

static void wait_a_moment(const struct bench *b)
{
	struct pollfd fds[] = {
		{.fd = b->link[1], .events = POLLIN},
		{.fd = b->device[1], .events = POLLIN},
		{.fd = ve_pump_event_fd(b->pump), .events = POLLIN},
	};

	poll(fds, 3, 5);
}

/* The peer's reading: every record is one frame, data in order. */
static void read_link(struct bench *b, unsigned int *packets, unsigned int *controls)
{
	int got;

	while ((got = ve_tls_read(b->server, packet, sizeof(packet))) > 0) {
		CHECK(got >= 8 && !memcmp(packet, MAGIC, 4));
		if (packet[6] == 0) {
			CHECK(got == FRAME && packet[12] == (uint8_t)(*packets >> 8) && packet[13] == (uint8_t)*packets);
			++*packets;
		} else {
			++*controls;
		}
	}
	CHECK(got == VE_WANT_READ);
}

static void test_bulk_both_ways(void)
{
	unsigned int sent_up = 0, sent_down = 0, up = 0, down = 0, controls = 0, asked = 0, heard = 0;
	static struct ve_control control;
	struct ve_pump_stats stats;
	struct bench b;

	open_bench(&b);
	while (up < PACKETS || down < PACKETS || controls < asked) {
		for (; sent_down < PACKETS && sent_down - down < WINDOW; sent_down++) {	/* gateway to host */
			make_ipv4(frame + 8, LENGTH, sent_down);
			make_frame(frame, 0, frame + 8, LENGTH);
			if (ve_tls_write(b.server, frame, FRAME) != FRAME)
				break;
			if (sent_down % 100 == 0 && ve_tls_write(b.server, frame, make_frame(frame, 3, "x", 1)) <= 0)
				continue;
		}
		CHECK(ve_tls_flush(b.server) != VE_ERROR);
		for (; sent_up < PACKETS; sent_up++) {		/* host to gateway */
			make_ipv4(packet, LENGTH, sent_up);
			if (write(b.device[1], packet, LENGTH) != LENGTH)
				break;
			if (sent_up % 100 == 0)
				asked += ve_pump_send_control(b.pump, 0, 7, NULL, 0) == VE_OK;
		}
		read_link(&b, &up, &controls);
		for (; read(b.device[1], packet, sizeof(packet)) == LENGTH; down++)
			CHECK(packet[4] == (uint8_t)(down >> 8) && packet[5] == (uint8_t)down);
		while (ve_pump_next_control(b.pump, 0, &control) == VE_OK)
			heard += control.kind == 3;
		ve_pump_stats(b.pump, &stats);
		wait_a_moment(&b);
	}
	ve_pump_set_mtu(b.pump, 1300);
	ve_pump_stop(b.pump, 1000);
	ve_pump_stats(b.pump, &stats);
	CHECK(stats.tx_packets == PACKETS && stats.tx_bytes == (uint64_t)PACKETS * LENGTH);
	CHECK(stats.rx_packets == PACKETS && stats.sink.in_place == PACKETS && stats.sink.dropped_full == 0);
	CHECK(stats.tx_controls == asked && heard > 0);
	close_bench(&b);
}

static void test_a_broken_stream_ends_it(void)
{
	char text[256];
	struct bench b;
	int event = 0;

	open_bench(&b);
	CHECK(ve_tls_write(b.server, (const uint8_t *)"no cstp at all", 14) == 14);
	CHECK(ve_tls_flush(b.server) == VE_OK);
	while (ve_pump_next_event(b.pump, &event, text, sizeof(text)) != VE_OK)
		wait_a_moment(&b);
	CHECK(event == VE_EVENT_STREAM_BROKEN && strstr(text, "cstp magic"));
	close_bench(&b);	/* stops it as well */
}

int main(void)
{
	test_bulk_both_ways();
	test_a_broken_stream_ends_it();
	return 0;
}
