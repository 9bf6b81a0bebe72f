/*
 * test_ring.c: the Wintun sink and reader alone, step by step.  Index vectors: Wintun notes, section 16; "inv" numbers:
 * section 10.
 */
#include "ring_check.h"

static uint8_t *reserve(size_t capacity, uint32_t expected)
{
	uint8_t *at = ve_sink_reserve(sink, capacity);

	CHECK(at && at == data + expected + 4);
	check_ring();
	return at;
}

/* A packet as long as the commit, 20 bytes or more. */
static void commit(uint8_t *at, size_t length, unsigned int mark)
{
	make_ipv4(at, length, mark);
	CHECK(ve_sink_commit(sink, at, length) == VE_OK);
	check_ring();
}

static void expect_indices(uint32_t at)
{
	CHECK(w->alloc == at && w->pub == at);
	flush();
	CHECK(TAIL == at);
}

/* ---- vectors -------------------------------------------------------------------------------------------------- */

static void test_in_order(void)
{
	open_ring(0);
	commit(reserve(1500, 0), 1000, 1);
	CHECK(TAIL == 0);
	commit(reserve(1500, 1004), 1500, 2);
	expect_indices(2508);
	CHECK(stats().moved == 0 && stats().in_place == 2 && stats().packets == 2 && stats().bytes == 2500);
	expect_packet(expect_packet(0, 1000, 1), 1500, 2);
	close_ring();
}

static void test_out_of_order(void)
{
	uint8_t *a, *b, *c;

	open_ring(0);
	a = reserve(1500, 0);
	b = reserve(1500, 1504);
	c = reserve(1500, 3008);
	commit(b, 900, 2);
	commit(c, 1500, 3);
	CHECK(w->alloc == 4512);
	flush();
	CHECK(TAIL == 0);		/* a holds them back */
	commit(a, 1000, 1);
	expect_indices(3412);
	CHECK(stats().moved == 2);
	expect_packet(expect_packet(expect_packet(0, 1000, 1), 900, 2), 1500, 3);
	close_ring();
}

static void test_abort(void)
{
	uint8_t *a, *b, *c;

	open_ring(0);			/* the middle one */
	a = reserve(1500, 0);
	b = reserve(1500, 1504);
	c = reserve(600, 3008);
	CHECK(ve_sink_abort(sink, b) == VE_OK);
	commit(c, 600, 3);
	commit(a, 1500, 1);
	expect_indices(2108);
	expect_packet(expect_packet(0, 1500, 1), 600, 3);
	CHECK(stats().moved == 1 && stats().aborted == 1);
	close_ring();
	open_ring(0);			/* the newest */
	a = reserve(1500, 0);
	b = reserve(1500, 1504);
	CHECK(ve_sink_abort(sink, b) == VE_OK && ve_sink_abort(sink, b) == VE_ERROR);
	CHECK(w->alloc == 1504);
	commit(a, 1500, 1);
	expect_indices(1504);
	close_ring();
}

static void test_wrap(void)
{
	open_ring(0x1FFFC);
	commit(reserve(1500, 0x1FFFC), 1500, 9);
	expect_indices(1500);
	expect_packet(0x1FFFC, 1500, 9);
	close_ring();
	open_ring(0x1FFFC);
	commit(reserve(1500, 0x1FFFC), 20, 9);
	expect_indices(20);
	close_ring();
	open_ring(0x1FFFC);		/* the trailing region to its last byte */
	commit(reserve(65535, 0x1FFFC), 65535, 9);
	expect_packet(0x1FFFC, 65535, 9);
	close_ring();
}

static void test_full(void)
{
	uint8_t *a;

	open_ring(0);
	a = reserve(65535, 0);
	CHECK(w->alloc == 65540);
	CHECK(!ve_sink_reserve(sink, 65535) && stats().dropped_full == 1);
	CHECK(yields >= 19 && yields <= 20);	/* 200 us of 10 us each */
	yields = 0;
	CHECK(!ve_sink_reserve(sink, 65535) && yields == 0);	/* once between two flushes */
	reserve(65524, 65540);
	CHECK(w->alloc == 131068);
	CHECK(!ve_sink_reserve(sink, 0));
	CHECK(ve_sink_abort(sink, a) == VE_OK);
	close_ring();
}

static void test_grow(void)
{
	uint8_t *a, *b, *x, *ext;

	open_ring(0);			/* the newest */
	a = reserve(100, 0);
	make_ipv4(a, 60, 1);
	CHECK(ve_sink_expand(sink, a, 60, 1000) == a && w->alloc == 1004);
	commit(a, 1000, 1);
	expect_indices(1004);
	CHECK(stats().expanded == 1 && stats().in_place == 0);
	close_ring();
	open_ring(0);			/* not the newest, and no gap: dropped at its turn */
	a = reserve(100, 0);
	b = reserve(100, 104);
	ext = ve_sink_expand(sink, a, 20, 300);
	CHECK(ext && ext != a && ve_sink_abort(sink, a) == VE_ERROR);
	commit(b, 100, 2);
	commit(ext, 300, 1);
	expect_indices(104);
	expect_packet(0, 100, 2);
	CHECK(stats().dropped_expand == 1 && stats().moved == 1 && stats().packets == 1);
	close_ring();
	open_ring(0);			/* into a gap */
	x = reserve(1500, 0);
	a = reserve(100, 1504);
	b = reserve(100, 1608);
	commit(x, 1000, 1);
	CHECK(w->pub == 1004);
	ext = ve_sink_expand(sink, a, 0, 300);
	commit(ext, 300, 2);
	CHECK(w->pub == 1308);
	commit(b, 100, 3);
	expect_indices(1412);
	expect_packet(expect_packet(expect_packet(0, 1000, 1), 300, 2), 100, 3);
	close_ring();
}

static void test_expansion_is_bounded(void)
{
	uint8_t *open[VE_SCRATCH + 2];

	open_ring(0);
	for (size_t i = 0; i < VE_SCRATCH + 2; i++)
		open[i] = reserve(100, (uint32_t)i * 104);
	CHECK(ve_sink_expand(sink, open[0], 0, 50) == open[0]);
	for (size_t i = 0; i < VE_SCRATCH; i++)
		CHECK((open[i] = ve_sink_expand(sink, open[i], 100, 65535)));
	CHECK(!ve_sink_expand(sink, open[VE_SCRATCH], 0, 200) && stats().dropped_expand == 1);
	CHECK(ve_sink_abort(sink, open[VE_SCRATCH]) == VE_ERROR);	/* it was given back */
	CHECK(!ve_sink_expand(sink, open[VE_SCRATCH + 1], 0, 65536) && stats().oversize == 1);
	CHECK(ve_sink_abort(sink, open[0]) == VE_OK && sink->scratch_used == 0xfe);
	for (size_t i = 1; i < VE_SCRATCH; i++)
		CHECK(ve_sink_abort(sink, open[i]) == VE_OK);
	expect_indices(0);
	CHECK(sink->scratch_used == 0);
	open[0] = reserve(100, 0);
	open[1] = reserve(65000, 104);		/* full: the newest cannot grow where it is */
	CHECK(ve_sink_write(sink, data, 60000) == VE_OK && !ve_sink_expand(sink, open[1], 100, 65536));
	CHECK(ve_sink_abort(sink, open[0]) == VE_OK);
	close_ring();
}

/* ---- the driver's ways ---------------------------------------------------------------------------------------- */

/* A stalled stream in front of datagrams: its place is given back, and it goes behind them when it is whole. */
static void test_what_is_parked_leaves_the_ring(void)
{
	uint8_t *a, *b, *parked[VE_SCRATCH + 1];

	open_ring(0x1FFFC);
	a = reserve(1500, 0x1FFFC);
	make_ipv4(a, 1400, 1);
	parked[0] = ve_sink_park(sink, a, 700);
	CHECK(parked[0] && parked[0] != a && !memcmp(parked[0], a, 700));
	check_ring();
	CHECK(ve_sink_park(sink, a, 0) == NULL && ve_sink_park(sink, parked[0], 700) == parked[0]);
	commit(reserve(1500, 0x1FFFC), 100, 2);		/* where a was: nothing moves */
	flush();
	CHECK(TAIL == 100);
	b = reserve(200, 100);
	commit(parked[0], 1400, 1);			/* behind b, which is open */
	flush();
	CHECK(TAIL == 100);
	commit(b, 100, 3);
	expect_indices(100 + 104 + 1404);
	expect_packet(expect_packet(expect_packet(0x1FFFC, 100, 2), 100, 3), 1400, 1);
	CHECK(stats().parked == 1 && stats().copied == 1 && stats().in_place == 2 && stats().moved == 1);
	HEAD = TAIL;

	for (size_t i = 0; i < VE_SCRATCH; i++) {
		a = ve_sink_reserve(sink, 65535);
		CHECK(a && (parked[i] = ve_sink_park(sink, a, 65535)) && parked[i] != a);
		CHECK(!sink->count && w->alloc == w->pub);
	}
	a = ve_sink_reserve(sink, 1500);
	CHECK(ve_sink_park(sink, a, 0) == a && sink->count == 1);	/* no scratch memory is left: it holds back on */
	CHECK(ve_sink_abort(sink, parked[3]) == VE_OK && ve_sink_park(sink, a, 1500) == parked[3]);
	CHECK(ve_sink_park(sink, parked[4], 65536) == NULL && stats().oversize == 1);
	for (size_t i = 0; i < 2; i++) {
		make_ipv4(parked[i], 65535, 9);
		CHECK(ve_sink_commit(sink, parked[i], 65535) == VE_OK);	/* one fits, two do not */
	}
	CHECK(stats().dropped_full == 1 && stats().copied == 2);
	ve_sink_abandon(sink);
	CHECK(!sink->scratch_used && stats().aborted == 6);
	flush();
	HEAD = TAIL;
	close_ring();
}

/* The ring may end and begin again while something is parked. */
static void test_what_is_parked_outlives_the_registration(void)
{
	uint8_t *a;

	open_ring(0);
	a = ve_sink_park(sink, reserve(1500, 0), 0);
	HEAD = 0xFFFFFFFF;
	CHECK(ve_sink_flush(sink) == VE_GONE);
	CHECK(ve_sink_wintun_restart(sink) == VE_OK);
	commit(a, 300, 1);
	expect_indices(304);
	expect_packet(0, 300, 1);
	close_ring();
}

static void test_signals(void)
{
	open_ring(0);
	ALERTABLE = 1;
	flush();
	CHECK(signals == 0 && ve_sink_idle(sink) == -1);	/* nothing to tell */
	commit(reserve(100, 0), 100, 1);
	commit(reserve(100, 104), 100, 2);
	flush();
	CHECK(signals == 1 && stats().writes == 1);
	ALERTABLE = 0;
	commit(reserve(100, 208), 100, 3);
	flush();
	CHECK(signals == 1);
	ALERTABLE = 1;			/* the store was late: section 7.3 */
	flush();
	CHECK(signals == 1);
	CHECK(ve_sink_idle(sink) == 50 && signals == 2);
	CHECK(ve_sink_idle(sink) == 50 && signals == 2);	/* once in 50 ms */
	for (int i = 0; i < 30; i++) {
		now += 50000000;
		ve_sink_idle(sink);
	}
	CHECK(signals == 1 + 20 && ve_sink_idle(sink) == -1);	/* no spinning; Q3 */
	HEAD = 104;
	CHECK(ve_sink_idle(sink) == 50 && signals == 22);	/* progress: again */
	HEAD = 312;
	CHECK(ve_sink_idle(sink) == -1);
	close_ring();
}

static void make_room(void)
{
	HEAD = TAIL;
}

static void test_a_full_ring_wakes_the_driver(void)
{
	open_ring(0);
	while (w->pub < C - 65540)
		commit(ve_sink_reserve(sink, 1500), 1500, 1);
	ALERTABLE = 1;
	CHECK(!ve_sink_reserve(sink, 65535));
	CHECK(signals == 2 && TAIL == w->pub);	/* by the publish, and by the second look */
	signals = 0;
	flush();
	on_yield = make_room;			/* it gives room while we spin */
	CHECK(!ve_sink_reserve(sink, 65535));	/* so much not yet: Head has just moved */
	CHECK(ve_sink_reserve(sink, 60000) && stats().dropped_full == 2);
	close_ring();
}

/* Head goes on, steps back by a packet, and stays there: inv 18. */
static void test_a_head_that_steps_back(void)
{
	uint8_t *at;

	open_ring(0);
	for (int i = 0; i < 8; i++)
		commit(reserve(15996, (uint32_t)i * 16000), 15996, 1);
	flush();
	CHECK(TAIL == 128000 && w->alloc == 128000);
	HEAD = 32000;
	tick = 100000;
	CHECK(!ve_sink_reserve(sink, 20000));	/* what came back is not trusted at once ... */
	HEAD = 16000;				/* ... rightly: this is the truth's past */
	now += 1000000000;
	CHECK(!ve_sink_reserve(sink, 20000) && w->seen == 32000);
	flush();
	CHECK(ve_sink_idle(sink) == 50);
	HEAD = 32000;
	now += SETTLE;
	at = ve_sink_reserve(sink, 20000);	/* it stands still */
	CHECK(at);
	commit(at, 20000, 2);
	flush();
	HEAD = TAIL;
	CHECK(ve_sink_idle(sink) == -1);
	close_ring();
}

static void test_a_driver_that_ends(void)
{
	static const uint32_t ends[] = {0xFFFFFFFF, C, C + 4, 2};
	uint8_t *open, *later;
	uint8_t before[64];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		open_ring(0);
		commit(reserve(100, 0), 100, 1);
		open = reserve(1500, 104);
		later = reserve(1500, 1608);
		commit(later, 700, 3);
		HEAD = ends[i];
		CHECK(ve_sink_flush(sink) == VE_GONE && stats().refused == 1);
		memcpy(before, ring, sizeof(before));
		CHECK(!ve_sink_reserve(sink, 100) && ve_sink_flush(sink) == VE_GONE && ve_sink_idle(sink) == -1);
		CHECK(TAIL == 0 && !memcmp(before, ring, sizeof(before)));	/* inv 15 */
		CHECK(ve_sink_wintun_restart(sink) == VE_OK);
		CHECK(HEAD == 104 && TAIL == 104 && ALERTABLE == 0);	/* the open one stays where it is */
		commit(open, 1400, 2);
		flush();
		CHECK(HEAD == 104);
		CHECK(expect_packet(expect_packet(104, 1400, 2), 700, 3) == TAIL);
		close_ring();
	}
	open_ring(0);			/* what is finished while it is dead is lost, and said so */
	open = reserve(1500, 0);
	HEAD = 0xFFFFFFFF;
	CHECK(ve_sink_flush(sink) == VE_GONE);
	commit(open, 100, 1);
	CHECK(stats().refused == 1 && ve_sink_wintun_restart(sink) == VE_OK);
	expect_indices(0);
	close_ring();
}

/* A driver that died without a word (Q4): full, and Head does not move for 10 s. */
static void test_the_watchdog(void)
{
	open_ring(0);
	while (ve_sink_write(sink, memory, 0) == VE_OK && w->alloc < 100000) {
		uint8_t *at = ve_sink_reserve(sink, 50000);

		if (!at)
			break;
		commit(at, 50000, 1);
	}
	CHECK(!ve_sink_reserve(sink, 65535));
	now += WATCHDOG - 1000000;
	flush();
	CHECK(!ve_sink_reserve(sink, 65535));
	CHECK(ve_sink_flush(sink) == VE_OK);
	HEAD = 50004;			/* progress: the time starts anew */
	CHECK(!ve_sink_reserve(sink, 65535) || 1);
	now += 2000000;
	flush();
	while (ve_sink_reserve(sink, 65535))
		;
	now += WATCHDOG + 1;
	CHECK(!ve_sink_reserve(sink, 65535));
	CHECK(ve_sink_flush(sink) == VE_GONE);
	ve_sink_free(sink);
}

static void refused(uint8_t *at, size_t size, size_t mtu, const char *text)
{
	char err[200] = "";

	CHECK(!ve_sink_wintun(at, size, EVENT, mtu, err, sizeof(err)));
	if (!strstr(err, text))
		fprintf(stderr, "%s\n", err);
	CHECK(strstr(err, text));
}

static void test_rings_that_are_none(void)
{
	char err[100];
	struct ve_sink *other = ve_sink_memory(4, err, sizeof(err));

	HEAD = TAIL = 0;
	refused(ring, 0, 1400, "got a capacity of 0 bytes, want a power of two in 131072..67108864");
	refused(ring, C + VE_RING_OVERHEAD - 1, 1400, "got a capacity of 131071");
	refused(ring, C / 2 + VE_RING_OVERHEAD, 1400, "got a capacity of 65536");
	refused(ring, (size_t)VE_RING_MAX * 2 + VE_RING_OVERHEAD, 1400, "got a capacity of 134217728");
	refused(ring + 2, C + VE_RING_OVERHEAD, 1400, "not aligned");
	refused(ring, C + VE_RING_OVERHEAD, 65536, "got an MTU of 65536 bytes, want at most 65535");
	TAIL = 4;
	refused(ring, C + VE_RING_OVERHEAD, 1400, "head 0 and tail 0x4, want a fresh ring");
	HEAD = TAIL = 0xFFFFFFFF;
	refused(ring, C + VE_RING_OVERHEAD, 1400, "want a fresh ring");
	CHECK(ve_sink_wintun_restart(other) == VE_ERROR && ve_sink_idle(other) == -1);
	ve_sink_free(other);
}

/* ---- the reader ------------------------------------------------------------------------------------------------ */

static uint32_t driver_puts(uint32_t at, const uint8_t *packet, uint32_t length)
{
	*(uint32_t *)(void *)(data + at) = length;
	memcpy(data + at + 4, packet, length);
	return (at + ve_ring_slot(length)) % C;
}

static void test_the_reader(void)
{
	uint8_t one[1500], zeros[100] = {0}, *packet;
	struct ve_reader_stats seen;
	struct ve_reader *reader;
	char err[200];
	uint32_t tail = 0x1FFFC;

	HEAD = TAIL = tail;
	reader = ve_reader_wintun(ring, C + VE_RING_OVERHEAD, EVENT, err, sizeof(err));
	CHECK(reader && ve_reader_next(reader, &packet) == VE_EMPTY);
	ve_reader_release(reader);
	make_ipv4(one, sizeof(one), 1);
	tail = driver_puts(tail, one, 1500);	/* across the end */
	tail = driver_puts(tail, zeros, 100);	/* Q16 */
	make_ipv4(one, 85, 2);
	tail = driver_puts(tail, one, 85);
	TAIL = tail;
	CHECK(ve_reader_next(reader, &packet) == 1500 && packet == data + 0x1FFFC + 4);
	CHECK(HEAD == 0x1FFFC);			/* inv 16: not before the release */
	CHECK(ve_reader_next(reader, &packet) == 85 && packet[5] == 2);
	CHECK(ve_reader_next(reader, &packet) == VE_EMPTY);
	ve_reader_release(reader);
	CHECK(HEAD == tail && TAIL == tail);
	ve_reader_stats(reader, &seen);
	CHECK(seen.packets == 2 && seen.bytes == 1585 && seen.not_ip == 1 && seen.batches == 1);
	driver_puts(tail, one, 85);
	TAIL = 0xFFFFFFFF;
	CHECK(ve_reader_next(reader, &packet) == VE_GONE);
	ve_reader_restart(reader);
	CHECK(HEAD == 0 && TAIL == 0 && ve_reader_next(reader, &packet) == VE_EMPTY);
	ve_reader_free(reader);
	HEAD = 4;
	CHECK(!ve_reader_wintun(ring, C + VE_RING_OVERHEAD, EVENT, err, sizeof(err)) && strstr(err, "want a fresh ring"));
}

static void test_a_corrupt_ring_is_read_no_further(void)
{
	static const struct { uint32_t size, tail; } bad[] = {
		{65536, 131064}, {0xFFFFFFFF, 131064}, {0x80000014, 24}, {21, 24}, {20, 20}, {20, 2}, {1, 4},
	};
	struct ve_reader_stats seen;
	struct ve_reader *reader;
	uint8_t *packet;
	char err[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		HEAD = TAIL = 0;
		reader = ve_reader_wintun(ring, C + VE_RING_OVERHEAD, EVENT, err, sizeof(err));
		*(uint32_t *)(void *)data = bad[i].size;
		TAIL = bad[i].tail;
		CHECK(ve_reader_next(reader, &packet) == VE_ERROR && ve_reader_next(reader, &packet) == VE_ERROR);
		ve_reader_stats(reader, &seen);
		CHECK(seen.corrupt == 1 && seen.packets == 0);
		ve_reader_restart(reader);
		CHECK(ve_reader_next(reader, &packet) == VE_EMPTY);
		ve_reader_free(reader);
	}
}

int main(void)
{
	test_in_order();
	test_out_of_order();
	test_abort();
	test_wrap();
	test_full();
	test_grow();
	test_expansion_is_bounded();
	test_what_is_parked_leaves_the_ring();
	test_what_is_parked_outlives_the_registration();
	test_signals();
	test_a_full_ring_wakes_the_driver();
	test_a_head_that_steps_back();
	test_a_driver_that_ends();
	test_the_watchdog();
	test_rings_that_are_none();
	test_the_reader();
	test_a_corrupt_ring_is_read_no_further();
	return 0;
}
