/*
 * test_wintun.c: the Wintun sink and reader against the double of the driver, with its threads and its faults.
 *
 * The client's side is one thread, as in the pump.  "inv" numbers: Wintun notes, section 10.
 */
#include "engine.h"
#include "check.h"
#include "platform.h"
#include "twd.h"
#include "twd_os.h"

#ifndef PACKETS
#define PACKETS 20000
#endif

enum { SMALL = 0x20000, LARGE = 0x400000, GUARD = 64, OPEN = 40 };

struct side {			/* a ring between guards, and its event */
	uint8_t *memory;
	uint8_t *ring;
	size_t size;
	intptr_t event;
};

struct descriptor {
	struct { uint32_t size; uint8_t *ring; intptr_t event; } send, receive;
};

static struct side send_side, receive_side;
static struct ve_sink *sink;
static struct ve_reader *reader;

static struct side make_side(size_t capacity)
{
	struct side side = {.size = capacity + VE_RING_OVERHEAD, .event = os_event()};

	side.memory = malloc(side.size + 2 * GUARD);
	CHECK(side.memory);
	memset(side.memory, 0xA5, side.size + 2 * GUARD);
	side.ring = side.memory + GUARD;
	memset(side.ring, 0, 12);
	return side;
}

static void free_side(struct side *side)
{
	for (size_t i = 0; i < GUARD; i++)	/* inv 10 */
		CHECK(side->memory[i] == 0xA5 && side->ring[side->size + i] == 0xA5);
	free(side->memory);
	os_event_free(side->event);
}

static uint32_t register_both(void)
{
	struct descriptor both = {
		{(uint32_t)send_side.size, send_side.ring, send_side.event},
		{(uint32_t)receive_side.size, receive_side.ring, receive_side.event},
	};

	return TwdRegisterRings(&both, sizeof(both));
}

static void set_up(size_t capacity, int hold, uint32_t fault)
{
	char err[200];

	send_side = make_side(capacity);
	receive_side = make_side(capacity);
	sink = ve_sink_wintun(receive_side.ring, receive_side.size, receive_side.event, 65535, err, sizeof(err));
	reader = ve_reader_wintun(send_side.ring, send_side.size, send_side.event, err, sizeof(err));
	CHECK(sink && reader);
	TwdSetRunning(1);
	TwdSetFault(fault);
	TwdSetSpin(100);
	CHECK(register_both() == 0);
	TwdSetHold(hold);
}

static struct twd_stats driver(void)
{
	struct twd_stats stats;

	TwdGetStats(&stats);
	return stats;
}

static void tear_down(void)
{
	static uint8_t rest[16];

	TwdSetFault(0);
	TwdSetHold(0);
	TwdUnregister();
	CHECK(driver().spoiled == 0);
	while (TwdTake(rest, sizeof(rest)) >= 0)
		;
	ve_sink_free(sink);
	ve_reader_free(reader);
	free_side(&send_side);
	free_side(&receive_side);
}

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * n >> 32);
}

/* ---- what is expected at the stack's side ----------------------------------------------------------------------- */

struct expected {
	uint32_t length;
	uint32_t mark;
	int maybe;		/* aborted, or there may be no room for it */
};

static struct expected *wanted;
static size_t wanted_count, wanted_at;

static void check_taken(void)
{
	static uint8_t got[65536], want[65536];
	int64_t length;

	while ((length = TwdTake(got, sizeof(got))) >= 0) {
		while (wanted_at < wanted_count && wanted[wanted_at].maybe &&
		       (got[4] != (uint8_t)(wanted[wanted_at].mark >> 8) || got[5] != (uint8_t)wanted[wanted_at].mark))
			wanted_at++;
		CHECK(wanted_at < wanted_count && (uint32_t)length == wanted[wanted_at].length);
		make_ipv4(want, (size_t)length, wanted[wanted_at].mark);
		CHECK(!memcmp(got, want, (size_t)length));
		wanted_at++;
	}
}

/* Room, however long the driver takes. */
static uint8_t *reserve(size_t capacity)
{
	uint8_t *at;
	uint64_t end = ve_monotonic() + 60000000000u;

	while (!(at = ve_sink_reserve(sink, capacity))) {
		CHECK(ve_sink_flush(sink) == VE_OK);
		CHECK(ve_monotonic() < end);
		TwdReturn(0);			/* if it waits to be told */
		check_taken();
	}
	return at;
}

/* A batch of reservations, finished in any order. */
static void send_batch(uint32_t n, uint32_t largest, int careless)
{
	struct { uint8_t *at; size_t index; uint32_t capacity; } open[OPEN], last;
	uint32_t i, k, count = 0, capacity;

	for (i = 0; i < n; i++) {
		capacity = 20 + random_below(largest - 19);
		open[count].at = n == 1 ? reserve(capacity) : ve_sink_reserve(sink, capacity);
		if (!open[count].at)
			break;			/* full of what is open: enough for this batch */
		open[count].capacity = capacity;
		open[count].index = wanted_count;
		wanted[wanted_count] = (struct expected){.mark = (uint32_t)wanted_count};
		wanted_count++;
		count++;
	}
	while (count) {
		k = random_below(count);
		last = open[k];
		open[k] = open[--count];
		if (careless && random_below(20) == 0) {
			CHECK(ve_sink_abort(sink, last.at) == VE_OK);
			wanted[last.index].maybe = 1;
			continue;
		}
		if (careless && random_below(20) == 0 && last.capacity < 60000) {
			last.capacity += 1 + random_below(3000);
			last.at = ve_sink_expand(sink, last.at, 0, last.capacity);
			wanted[last.index].maybe = 1;
			if (!last.at)
				continue;
		}
		wanted[last.index].length = 20 + random_below(last.capacity - 19);
		make_ipv4(last.at, wanted[last.index].length, wanted[last.index].mark);
		CHECK(ve_sink_commit(sink, last.at, wanted[last.index].length) == VE_OK);
	}
}

/* All that was published is consumed, without another packet; inv 13.  The time it took, ns. */
static uint64_t settle(void)
{
	uint64_t began = ve_monotonic(), end = began + 60000000000u;
	struct ve_sink_stats stats;
	uint64_t next = 0;

	CHECK(ve_sink_flush(sink) == VE_OK);
	ve_sink_stats(sink, &stats);
	while (driver().indicated < stats.packets) {
		if (ve_monotonic() >= next) {
			int wait = ve_sink_idle(sink);

			next = wait < 0 ? end : ve_monotonic() + (uint64_t)wait * 1000000;
		}
		CHECK(ve_monotonic() < end);
		os_sleep_us(500);
	}
	check_taken();
	return ve_monotonic() - began;
}

static void run(size_t capacity, uint32_t batch, uint32_t largest, int hold, uint32_t fault, size_t packets)
{
	struct ve_sink_stats stats;
	struct twd_stats seen;

	set_up(capacity, hold, fault);
	wanted = calloc(packets + OPEN, sizeof(*wanted));
	CHECK(wanted);
	wanted_count = wanted_at = 0;
	while (wanted_count < packets) {
		send_batch(batch > 1 ? 1 + random_below(batch) : 1, largest, batch > 1);
		if (random_below(2))
			CHECK(ve_sink_flush(sink) == VE_OK);
		check_taken();
		if (hold == 1 && random_below(4) == 0)
			TwdReturn((int)random_below(2));
		if (fault & TWD_STALE_ALERTABLE && random_below(50) == 0)
			os_sleep_us(500);	/* let it fall asleep */
	}
	settle();
	ve_sink_stats(sink, &stats);
	seen = driver();
	CHECK(seen.indicated == stats.packets && seen.discarded == 0 && !seen.dead);	/* inv 5, 6 */
	CHECK(batch > 1 || stats.moved == 0);						/* inv 8 */
	CHECK(stats.in_place + stats.expanded - stats.dropped_expand == stats.packets);	/* inv 19 */
	tear_down();
	free(wanted);
}

/* ---- faults ----------------------------------------------------------------------------------------------------- */

static void write_one(uint32_t length, uint32_t mark)
{
	static uint8_t packet[65536];

	make_ipv4(packet, length, mark);
	CHECK(ve_sink_write(sink, packet, length) == VE_OK);
}

/* The driver sleeps on a stale Alertable; then one packet, and silence: inv 13. */
static void test_a_lost_wake_up_is_found(void)
{
	uint64_t took, fastest = UINT64_MAX;

	wanted = calloc(64, sizeof(*wanted));
	CHECK(wanted);
	for (int i = 0; i < 8; i++) {
		wanted_count = wanted_at = 0;
		set_up(SMALL, 0, TWD_STALE_ALERTABLE);
		TwdSetSpin(0);
		os_sleep_us(1000);		/* it has read Tail, and will not again */
		wanted[wanted_count] = (struct expected){.length = 100, .mark = 0};
		wanted_count++;
		write_one(100, 0);
		CHECK(ve_sink_flush(sink) == VE_OK);
		took = settle();
		fastest = took < fastest ? took : fastest;
		CHECK(wanted_at == 1);
		tear_down();
	}
	CHECK(fastest < 100000000);		/* the machine may have slowed down the others */
	free(wanted);
}

/* As before, but the client goes on until the ring is full: inv 14. */
static void test_a_full_ring_and_a_lost_wake_up_do_not_deadlock(void)
{
	wanted = calloc(5000, sizeof(*wanted));
	CHECK(wanted);
	wanted_count = wanted_at = 0;
	set_up(SMALL, 0, TWD_STALE_ALERTABLE);
	TwdSetSpin(0);
	for (uint32_t i = 0; i < 2000; i++) {
		uint8_t *at = reserve(1500);

		wanted[wanted_count++] = (struct expected){.length = 1400, .mark = i};
		make_ipv4(at, 1400, i);
		CHECK(ve_sink_commit(sink, at, 1400) == VE_OK);
		CHECK(ve_sink_flush(sink) == VE_OK);
	}
	CHECK(settle() < 30000000000u);
	CHECK(wanted_at == wanted_count);
	tear_down();
	free(wanted);
}

/* A full ring of held packets drops, and goes on when they come back. */
static void test_held_packets_fill_the_ring(void)
{
	struct ve_sink_stats stats;
	uint32_t sent = 0;

	set_up(SMALL, 1, 0);
	for (uint32_t i = 0; i < 200; i++) {
		uint8_t *at = ve_sink_reserve(sink, 1500);

		if (!at)
			continue;
		make_ipv4(at, 1500, i);
		CHECK(ve_sink_commit(sink, at, 1500) == VE_OK);
		sent++;
	}
	CHECK(ve_sink_flush(sink) == VE_OK);
	ve_sink_stats(sink, &stats);
	CHECK(sent == 131068 / 1504 && stats.packets == sent && stats.dropped_full == 200 - sent);
	while (driver().indicated < sent)
		os_sleep_us(100);
	TwdReturn(1);
	write_one(1500, 1);
	CHECK(ve_sink_flush(sink) == VE_OK);
	while (driver().indicated < sent + 1)
		os_sleep_us(100);
	TwdReturn(0);
	tear_down();
}

static void register_again(void)
{
	uint32_t rc;
	uint64_t end = ve_monotonic() + 60000000000u;

	CHECK(ve_sink_wintun_restart(sink) == VE_OK);
	CHECK(ve_reader_restart(reader) == VE_OK);
	while ((rc = register_both()) == 1247 && ve_monotonic() < end)
		os_sleep_us(10000);
	CHECK(rc == 0);
}

OS_THREAD(unregister_run)
{
	(void)unused;
	TwdUnregister();
	OS_THREAD_END;
}

/* The driver ends the registration slowly: 1247 until it is done; then both directions work again.  Section 7.5. */
static void test_ending_and_registering_again(void)
{
	uint8_t got[2000], ping[84], *packet;
	const uint8_t *one = ping;
	uint32_t length = sizeof(ping);
	os_thread helper;

	set_up(SMALL, 0, TWD_SLOW_UNREGISTER);
	make_ipv4(ping, sizeof(ping), 7);
	CHECK(register_both() == 1247);
	CHECK(os_start(&helper, unregister_run));
	os_sleep_us(100000);
	CHECK(register_both() == 1247);
	CHECK(ve_reader_wait(reader, 60000) == VE_OK);
	while (ve_reader_next(reader, &packet) != VE_GONE)
		os_sleep_us(1000);
	CHECK(ve_sink_flush(sink) == VE_GONE && !ve_sink_reserve(sink, 100));
	CHECK(TwdInject(&one, &length, 1) == 2);
	register_again();
	os_join(helper);
	write_one(100, 3);
	CHECK(ve_sink_flush(sink) == VE_OK);
	while (TwdTake(got, sizeof(got)) != 100)
		os_sleep_us(100);
	CHECK(TwdInject(&one, &length, 1) == 0);
	CHECK(ve_reader_wait(reader, 60000) == VE_OK && ve_reader_next(reader, &packet) == 84);
	CHECK(!memcmp(packet, ping, 84));
	ve_reader_release(reader);
	tear_down();
}

/* Death by a bad size: the sink sees it, the other ring goes on (Q5); vector "driver death". */
static void test_death_of_the_receive_side(void)
{
	uint8_t ping[84], *packet;
	const uint8_t *one = ping;
	uint32_t length = sizeof(ping);

	set_up(SMALL, 0, 0);
	make_ipv4(ping, sizeof(ping), 7);
	*(uint32_t *)(void *)(receive_side.ring + 12) = 0x80000014;	/* a client that went mad */
	__atomic_store_n((uint32_t *)(void *)(receive_side.ring + 4), 24, __ATOMIC_RELEASE);
	os_event_set(receive_side.event);
	while (!driver().dead)
		os_sleep_us(100);
	CHECK(driver().dead_reason == 4 && ve_sink_flush(sink) == VE_GONE);
	CHECK(TwdInject(&one, &length, 1) == 0 && ve_reader_next(reader, &packet) == 84);
	TwdUnregister();
	register_again();
	write_one(100, 3);
	CHECK(ve_sink_flush(sink) == VE_OK);
	while (driver().indicated != 1)
		os_sleep_us(100);
	tear_down();
}

/* Death without a word (Q4): packets pile up until the ring is full; the watchdog is in test_ring.c. */
static void test_a_lost_end(void)
{
	set_up(SMALL, 0, TWD_LOST_EOF);
	*(uint32_t *)(void *)(receive_side.ring + 12) = 65536;
	__atomic_store_n((uint32_t *)(void *)(receive_side.ring + 4), 24, __ATOMIC_RELEASE);
	os_event_set(receive_side.event);
	while (!driver().dead)
		os_sleep_us(100);
	for (uint32_t i = 0; i < 200; i++) {
		uint8_t *at = ve_sink_reserve(sink, 1500);

		CHECK((at != NULL) == (i < 131068 / 1504));
		if (at) {
			make_ipv4(at, 1500, i);
			CHECK(ve_sink_commit(sink, at, 1500) == VE_OK);
		}
		CHECK(ve_sink_flush(sink) == VE_OK);
	}
	TwdSetFault(0);
	TwdUnregister();
	CHECK(ve_sink_flush(sink) == VE_GONE);
	register_again();
	write_one(100, 3);
	CHECK(ve_sink_flush(sink) == VE_OK);
	while (driver().indicated != 1)
		os_sleep_us(100);
	tear_down();
}

/* Vector "skip", and a paused stack. */
static void test_what_the_driver_skips(void)
{
	uint8_t *data;

	set_up(SMALL, 0, 0);
	data = receive_side.ring + 12;
	for (uint32_t i = 0, at = 0; i < 4; i++) {
		static const uint32_t lengths[] = {28, 61, 100, 20};

		*(uint32_t *)(void *)(data + at) = lengths[i];
		memset(data + at + 4, 0, lengths[i]);
		data[at + 4] = i == 1 ? 0x60 : i == 2 ? 0 : 0x45;
		at += 4 + ((lengths[i] + 3) & ~3u);
		if (i == 3)
			__atomic_store_n((uint32_t *)(void *)(receive_side.ring + 4), at, __ATOMIC_RELEASE);
	}
	os_event_set(receive_side.event);
	while (driver().indicated + driver().discarded < 4)
		os_sleep_us(100);
	CHECK(driver().indicated == 3 && driver().discarded == 1);
	CHECK(__atomic_load_n((uint32_t *)(void *)receive_side.ring, __ATOMIC_ACQUIRE) == 228);
	tear_down();
	set_up(SMALL, 0, 0);
	TwdSetRunning(0);
	write_one(100, 1);
	CHECK(ve_sink_flush(sink) == VE_OK);
	while (!driver().discarded)
		os_sleep_us(100);
	CHECK(ve_sink_idle(sink) == -1);
	tear_down();
}

static void test_what_is_injected_is_read(void)
{
	static uint8_t packet[65535];
	const uint8_t *burst[8];
	uint32_t lengths[8], mark = 0;
	uint8_t *got;
	struct ve_reader_stats seen;

	set_up(SMALL, 0, 0);
	for (int round = 0; round < 500; round++) {
		uint32_t n = 1 + random_below(8), i;

		for (i = 0; i < n; i++) {
			burst[i] = packet;
			lengths[i] = 20 + random_below(8000);
		}
		for (i = 0; i < n; i++) {	/* one at a time, so that one buffer does */
			make_ipv4(packet, lengths[i], mark + i);
			CHECK(TwdInject(&burst[i], &lengths[i], 1) == 0);
		}
		for (i = 0; i < n; i++) {
			CHECK(ve_reader_next(reader, &got) == (int)lengths[i]);
			make_ipv4(packet, lengths[i], mark++);
			CHECK(!memcmp(got, packet, lengths[i]));
		}
		CHECK(ve_reader_next(reader, &got) == VE_EMPTY);
		ve_reader_release(reader);
	}
	lengths[0] = 65535;
	make_ipv4(packet, 65535, 1);
	burst[0] = packet;
	CHECK(TwdInject(burst, lengths, 1) == 0 && TwdInject(burst, lengths, 1) == 4);	/* all or nothing */
	CHECK(ve_reader_next(reader, &got) == 65535);
	ve_reader_release(reader);
	TwdSetFault(TWD_ZERO_PACKET);
	lengths[0] = 100;
	make_ipv4(packet, 100, 1);
	CHECK(TwdInject(burst, lengths, 1) == 0 && ve_reader_next(reader, &got) == VE_EMPTY);
	TwdSetFault(TWD_CORRUPT_SIZE);
	CHECK(TwdInject(burst, lengths, 1) == 0 && ve_reader_next(reader, &got) == VE_ERROR);	/* inv 17 */
	ve_reader_stats(reader, &seen);
	CHECK(seen.not_ip == 1 && seen.corrupt == 1);
	TwdSetFault(0);
	TwdUnregister();
	register_again();
	CHECK(TwdInject(burst, lengths, 1) == 0 && ve_reader_next(reader, &got) == 100);
	tear_down();
}

int main(void)
{
	test_a_lost_wake_up_is_found();
	test_a_full_ring_and_a_lost_wake_up_do_not_deadlock();
	test_held_packets_fill_the_ring();
	test_ending_and_registering_again();
	test_death_of_the_receive_side();
	test_a_lost_end();
	test_what_the_driver_skips();
	test_what_is_injected_is_read();
	run(LARGE, 1, 1500, 0, 0, PACKETS);
	run(SMALL, 1, 1500, 0, 0, PACKETS);
	run(LARGE, OPEN, 1500, 0, 0, PACKETS);
	run(SMALL, OPEN, 1500, 3, 0, PACKETS);
	run(LARGE, OPEN, 65535, 2, 0, PACKETS / 10);
	run(SMALL, 4, 9000, 1, 0, PACKETS / 10);
	run(LARGE, 8, 1500, 0, TWD_STALE_ALERTABLE, PACKETS / 10);
	run(SMALL, 8, 1500, 0, TWD_HEAD_BACK, 300);
	return 0;
}
