/*
 * test_ring_random.c: the Wintun sink under any order of calls, against a model that keeps promises; inv 1 to 12, 18, 19.
 */
#include "ring_check.h"

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
static int parking;			/* stalled streams beside the others */

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
	uint64_t full;
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
	if (how == 3 && parking && p->capacity < 30000) {	/* it is promised anew, behind all the others */
		at = ve_sink_park(sink, p->at, p->capacity);
		CHECK(at);
		if (at == p->at)
			return;
		p->state = NOTHING;
		p->length = 20 + random_below(p->capacity - 19);
		make_ipv4(at, p->length, p->mark);
		full = stats().dropped_full;
		CHECK(ve_sink_commit(sink, at, p->length) == VE_OK);
		if (stats().dropped_full == full)
			promises[last++ % EXPECTED] =
				(struct promise){.length = p->length, .mark = p->mark, .state = COMMITTED};
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
	CHECK(stats().parked > 100 || !parking || most_open == 1);
	HEAD = TAIL;
	close_ring();
}

int main(void)
{
	run_random(0, 40000, 1);
	run_random(0x1FFFC, 40000, 1);
	for (uint32_t i = 0; i < 5; i++)
		run_random(i * 26212, 20000, 2 + 2 * i);
	parking = 1;
	for (uint32_t i = 0; i < 3; i++)
		run_random(i * 43692, 20000, 4 + 3 * i);
	stepping = 1;
	run_random(0, 60000, 1);
	run_random(0, 60000, 4);
	return 0;
}
