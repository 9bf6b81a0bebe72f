/*
 * test_ring.c: the Wintun sink and reader alone, with the driver's side played step by step and a clock of our own; the
 * platform is compiled in with its functions replaced.  Index vectors: Wintun notes, section 16; "inv" numbers: section 10.
 */
#include <stdint.h>

static void fake_event_set(intptr_t event);
static uint64_t fake_monotonic(void);
static void fake_yield(void);
#define ve_event_set fake_event_set
#define ve_monotonic fake_monotonic
#define ve_yield fake_yield
#include "sink_wintun.c"
#undef ve_event_set
#undef ve_monotonic
#undef ve_yield

#include "check.h"

enum { C = 0x20000, GUARD = 64, EVENT = 7, END = -1 };

static uint64_t now = 1;
static uint64_t tick;			/* nanoseconds that pass with each look at the clock */
static unsigned int signals, yields;
static void (*on_yield)(void);

static void fake_event_set(intptr_t event)
{
	CHECK(event == EVENT);
	signals++;
}

static uint64_t fake_monotonic(void)
{
	now += tick;
	return now;
}

static void fake_yield(void)
{
	yields++;
	now += 10000;
	if (on_yield)
		on_yield();
}

/* ---- a ring with guards, and both sides of it ----------------------------------------------------------------- */

static _Alignas(64) uint8_t memory[GUARD + C + VE_RING_OVERHEAD + GUARD];
static uint8_t *const ring = memory + GUARD;
static uint8_t *const data = memory + GUARD + 12;
static struct ve_sink *sink;
static struct wintun_sink *w;

static _Atomic uint32_t *word(size_t at)
{
	return (_Atomic uint32_t *)(void *)(ring + at);
}

#define HEAD (*word(0))
#define TAIL (*word(4))
#define ALERTABLE (*word(8))

static void open_ring(uint32_t at)
{
	char err[200];

	memset(memory, 0xA5, sizeof(memory));
	HEAD = TAIL = at;
	ALERTABLE = 0;
	signals = yields = 0;
	tick = 0;
	on_yield = NULL;
	sink = ve_sink_wintun(ring, C + VE_RING_OVERHEAD, EVENT, 65535, err, sizeof(err));
	CHECK(sink);
	w = (struct wintun_sink *)sink;
}

static struct ve_sink_stats stats(void)
{
	struct ve_sink_stats out;

	ve_sink_stats(sink, &out);
	return out;
}

/* inv 1, 2, 3, 9, 10 (the guards) */
static void check_ring(void)
{
	uint32_t previous = w->pub, off;

	for (size_t i = 0; i < GUARD; i++)
		CHECK(memory[i] == 0xA5 && memory[sizeof(memory) - 1 - i] == 0xA5);
	CHECK(ve_ring_valid(&w->ring, w->alloc) && ve_ring_valid(&w->ring, w->pub));
	if (w->gone)
		return;
	CHECK(ve_ring_valid(&w->ring, HEAD) && ve_ring_valid(&w->ring, TAIL) && TAIL == w->tail);
	CHECK((w->alloc - w->seen) % C <= C - 4);
	CHECK((w->tail - w->seen) % C <= (w->pub - w->seen) % C && (w->pub - w->seen) % C <= (w->alloc - w->seen) % C);
	for (size_t i = 0; i < sink->count; i++) {
		off = offset_of(w, ve_sink_entry(sink, i));
		CHECK((previous - w->seen) % C <= (off - w->seen) % C);
		CHECK((off - w->seen) % C + ve_sink_entry(sink, i)->span <= (w->alloc - w->seen) % C);
		previous = off + (uint32_t)ve_sink_entry(sink, i)->span;
	}
	if (!sink->count)
		CHECK(w->alloc == w->pub);
}

static void close_ring(void)
{
	check_ring();
	ve_sink_free(sink);
}

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

static void flush(void)
{
	uint32_t before = signals;

	CHECK(ve_sink_flush(sink) == VE_OK);
	CHECK(signals - before <= 1);	/* inv 7 */
	check_ring();
}

static void expect_indices(uint32_t at)
{
	CHECK(w->alloc == at && w->pub == at);
	flush();
	CHECK(TAIL == at);
}

/* The packet at the driver's offset is this one; the offset behind it. */
static uint32_t expect_packet(uint32_t at, uint32_t length, unsigned int mark)
{
	uint8_t want[65535];

	CHECK(*(uint32_t *)(void *)(data + at) == length);
	make_ipv4(want, length, mark);
	CHECK(!memcmp(data + at + 4, want, length));
	return (at + ve_ring_slot(length)) % C;
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

/* ---- any order of calls against a model: inv 1 to 12 and 19 ---------------------------------------------------- */

enum { OPEN_MAX = 12, EXPECTED = 4096 };

static uint32_t seed = 20260222;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * n >> 32);
}

/* A model: packets in order of reservation, until the driver has taken them. */
static struct promise {
	uint8_t *at;
	uint32_t capacity, length;
	unsigned int mark;
	enum { OPENED, COMMITTED, NOTHING, MAYBE } state;	/* MAYBE: expanded, there may be no room for it */
} promises[EXPECTED];
static uint32_t first, last;		/* of the promises */
static uint32_t drivers_head;		/* what it has read */
static uint32_t given_back, previous;	/* what it said by Head, and the packet before */
static int stepping;			/* Head goes back now and then, for a while: inv 18 */
static uint64_t attempts, taken;

static int is_next(const struct promise *p)
{
	const uint8_t *packet = data + drivers_head + 4;

	return packet[4] == (uint8_t)(p->mark >> 8) && packet[5] == (uint8_t)p->mark;
}

/* Packets that came to nothing before it are passed over.  0: nothing is published. */
static int driver_takes_one(void)
{
	const struct promise *p;

	while (drivers_head != TAIL) {
		CHECK(first != last);
		p = &promises[first++ % EXPECTED];
		if (p->state == NOTHING || (p->state == MAYBE && !is_next(p)))
			continue;
		CHECK(p->state != OPENED);
		previous = drivers_head;
		drivers_head = expect_packet(drivers_head, p->length, p->mark);
		taken++;
		return 1;
	}
	while (first != last && promises[first % EXPECTED].state == NOTHING)
		first++;
	return 0;
}

static struct promise *pick_open(void)
{
	struct promise *open[OPEN_MAX];
	uint32_t n = 0;

	for (uint32_t i = first; i != last; i++)
		if (promises[i % EXPECTED].state == OPENED && n < OPEN_MAX)
			open[n++] = &promises[i % EXPECTED];
	return n ? open[random_below(n)] : NULL;
}

static void random_reserve(void)
{
	uint32_t capacity = random_below(10) ? 20 + random_below(3000) : random_below(65536);
	uint32_t space;
	uint8_t *at;

	now += stepping ? SETTLE / 50 : SETTLE;
	look(w);
	if (!stepping && !w->still_since)
		w->still_since = 1;	/* it has stood still for long: so inv 11 holds to the byte */
	space = (given_back - w->alloc - 4) % C;
	at = ve_sink_reserve(sink, capacity);
	attempts++;
	CHECK(!at || ve_ring_slot(capacity) <= space);
	CHECK(at || stepping || ve_ring_slot(capacity) > space);
	if (at && capacity < 20) {
		CHECK(ve_sink_abort(sink, at) == VE_OK);
		return;
	}
	if (at)
		promises[last++ % EXPECTED] = (struct promise){.at = at, .capacity = capacity, .mark = (unsigned int)attempts};
}

static void random_finish(struct promise *p)
{
	uint32_t how = random_below(20), need;
	uint8_t *at;

	if (how == 0) {
		CHECK(ve_sink_abort(sink, p->at) == VE_OK);
		p->state = NOTHING;
		return;
	}
	if (how == 1) {		/* no IP packet */
		memset(p->at, 0, p->capacity);
		CHECK(ve_sink_commit(sink, p->at, p->capacity) == VE_OK);
		p->state = NOTHING;
		return;
	}
	p->state = COMMITTED;
	if (how == 2 && p->capacity < 30000) {
		need = p->capacity + 1 + random_below(2000);
		at = ve_sink_expand(sink, p->at, 0, need);
		p->state = at ? MAYBE : NOTHING;
		if (!at)
			return;
		p->at = at;
		p->capacity = need;
	}
	p->length = 20 + random_below(p->capacity - 19);
	make_ipv4(p->at, p->length, p->mark);
	CHECK(ve_sink_commit(sink, p->at, p->length) == VE_OK);
}

static void driver_moves(void)
{
	for (uint32_t n = random_below(4); n && driver_takes_one(); n--)
		;
	if (stepping && HEAD != given_back && random_below(3))
		return;
	if (random_below(3) == 0)
		given_back = drivers_head;
	HEAD = given_back;
	if (stepping && given_back == drivers_head && random_below(3) == 0) {
		look(w);		/* it was seen, or not */
		HEAD = previous;
	}
}

static void run_random(uint32_t start, int rounds, uint32_t most_open)
{
	struct promise *p;

	open_ring(start);
	first = last = 0;
	attempts = taken = 0;
	drivers_head = given_back = previous = start;
	for (int i = 0; i < rounds; i++) {
		uint32_t open = 0;

		for (uint32_t k = first; k != last; k++)
			open += promises[k % EXPECTED].state == OPENED;
		if (random_below(2) && open < most_open && last - first < EXPECTED - 1)
			random_reserve();
		else if ((p = pick_open()))
			random_finish(p);
		check_ring();
		if (random_below(4) == 0)
			flush();
		driver_moves();
	}
	HEAD = given_back;
	while ((p = pick_open()))
		random_finish(p);
	flush();
	while (driver_takes_one())
		;
	CHECK(drivers_head == TAIL);
	check_ring();
	CHECK(stats().packets == taken);
	CHECK(stats().dropped_full + stats().dropped_expand + stats().aborted + stats().not_ip + stats().packets == attempts);
	if (most_open == 1)
		CHECK(stats().moved == 0 && stats().dropped_expand == 0);	/* inv 8 */
	else
		CHECK(stats().moved > 0 && stats().expanded > 0);
	CHECK(stats().dropped_full > 0 || most_open == 1);
	HEAD = TAIL;
	close_ring();
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
	test_signals();
	test_a_full_ring_wakes_the_driver();
	test_a_head_that_steps_back();
	test_a_driver_that_ends();
	test_the_watchdog();
	test_rings_that_are_none();
	run_random(0, 40000, 1);
	run_random(0x1FFFC, 40000, 1);
	for (uint32_t i = 0; i < 5; i++)
		run_random(i * 26212, 20000, 2 + 2 * i);
	stepping = 1;
	run_random(0, 60000, 1);
	run_random(0, 60000, 4);
	test_the_reader();
	test_a_corrupt_ring_is_read_no_further();
	return 0;
}
