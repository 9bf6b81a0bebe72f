/*
 * ring_check.h: a Wintun ring between guards, with the driver's side played step by step and a clock of our own.  The
 * sink is compiled in with the platform's functions replaced.  "inv" numbers: Wintun notes, section 10.
 */
#ifndef VPN_TEST_RING_CHECK_H
#define VPN_TEST_RING_CHECK_H

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

static void flush(void)
{
	uint32_t before = signals;

	CHECK(ve_sink_flush(sink) == VE_OK);
	CHECK(signals - before <= 1);	/* inv 7 */
	check_ring();
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

#endif
