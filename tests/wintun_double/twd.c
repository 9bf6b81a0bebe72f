/*
 * twd.c: the double of the driver.  See twd.h.
 *
 * One registration at a time.  Receive ring (the client produces): a thread walks it, judges each packet as the driver
 * does, and "hands it to the stack", which holds the memory until it is returned; Head follows the oldest that is held.
 * Send ring (the client consumes): TwdInject writes to it.  `lock` guards everything but the ring's own words.
 */
#include "twd.h"
#include "twd_os.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENDED = -1,			/* as Head or Tail */
	LARGEST = 65535,		/* bytes of a packet */
	OVERHEAD = 65548,
	SMALLEST_RING = 131072,
	LARGEST_RING = 67108864,
	NEWEST_FIRST_AT = 7,		/* packets held */
	HOLD_US = 2000
};

enum { HOLD_NONE, HOLD_UNTIL_TOLD, HOLD_A_WHILE, HOLD_SEVEN };
enum { ERROR_HANDLE = 6, ERROR_PARAMETER = 87, ERROR_EXISTS = 1247 };

struct ring {
	_Atomic uint32_t *head, *tail, *alertable;
	uint8_t *data;
	uint32_t capacity;
	intptr_t event;
};

struct held {			/* a packet in the stack's hands, in ring order */
	struct held *next;
	uint32_t after;		/* offset behind its slot */
	uint32_t length;
	const uint8_t *at;
	int returned;
	uint64_t due;
	uint8_t copy[];
};

struct packet {			/* for TwdTake */
	struct packet *next;
	uint32_t length;
	uint8_t bytes[];
};

static struct {
	os_lock lock;
	os_cond changed;
	os_thread receiver, stack;
	intptr_t quit;			/* event */
	int registered, disconnected, closing;
	struct ring send, receive;
	uint32_t send_alloc;
	uint32_t head;			/* of the Receive ring, as stored last */
	struct held *oldest, *newest;
	unsigned int held;		/* not returned */
	struct packet *first, *last;
	int hold, running;
	_Atomic int spin_us;
	_Atomic uint32_t fault;
	uint32_t seed;
	struct twd_stats stats;
} twd = {.lock = OS_LOCK_INIT, .changed = OS_COND_INIT, .running = 1, .spin_us = 100, .seed = 1};

static uint32_t slot(uint32_t length)
{
	return 4 + ((length + 3) & ~3u);
}

static int faulty(uint32_t what)
{
	return (atomic_load_explicit(&twd.fault, memory_order_relaxed) & what) != 0;
}

/* ---- the stack: packets it was handed ------------------------------------------------------------------------- */

/* lock is held */
static void store_head(uint32_t head)
{
	uint32_t previous = twd.head;

	twd.head = head;
	atomic_store_explicit(twd.receive.head, head, memory_order_release);
	if (faulty(TWD_HEAD_BACK)) {
		atomic_store_explicit(twd.receive.head, previous, memory_order_release);
		os_sleep_us(1000);
		atomic_store_explicit(twd.receive.head, head, memory_order_release);
	}
}

/* lock is held: forget those at the front that came back. */
static void advance(void)
{
	struct held *gone;
	uint32_t head = twd.head;

	while (twd.oldest && twd.oldest->returned) {
		gone = twd.oldest;
		head = gone->after;
		twd.oldest = gone->next;
		free(gone);
	}
	if (!twd.oldest)
		twd.newest = NULL;
	if (head != twd.head)
		store_head(head);
	if (!twd.oldest)
		os_tell(&twd.changed);
}

static void give_back(struct held *held)
{
	if (held->returned)
		return;
	held->returned = 1;
	twd.held--;
	if (memcmp(held->at, held->copy, held->length))
		twd.stats.spoiled++;
}

/* lock is held; the list is short, or it is a test that asked for it. */
static void return_all(int newest_first)
{
	struct held *held, *last;

	while (twd.held) {
		for (last = NULL, held = twd.oldest; held; held = held->next) {
			if (!held->returned) {
				last = held;
				if (!newest_first)
					break;
			}
		}
		give_back(last);
		if (newest_first)
			advance();
		else
			for (held = twd.oldest; held; held = held->next)
				give_back(held);
	}
	advance();
}

/* lock is held: all that came must have been returned. */
static void drain(void)
{
	if (twd.hold == HOLD_NONE || twd.hold == HOLD_SEVEN)
		return_all(twd.hold == HOLD_SEVEN);
	while (twd.oldest)
		os_await(&twd.changed, &twd.lock);
}

static void queue_for_take(const uint8_t *bytes, uint32_t length)
{
	struct packet *packet = malloc(sizeof(*packet) + length);

	if (!packet)
		abort();
	packet->next = NULL;
	packet->length = length;
	memcpy(packet->bytes, bytes, length);
	if (twd.last)
		twd.last->next = packet;
	else
		twd.first = packet;
	twd.last = packet;
}

/* lock is held */
static void indicate(const uint8_t *at, uint32_t length, uint32_t after)
{
	struct held *held = malloc(sizeof(*held) + length);

	if (!held)
		abort();
	*held = (struct held){.at = at, .length = length, .after = after};
	memcpy(held->copy, at, length);
	twd.seed = twd.seed * 1103515245u + 12345u;
	held->due = os_now_us() + (twd.seed >> 16) % HOLD_US;
	if (twd.newest)
		twd.newest->next = held;
	else
		twd.oldest = held;
	twd.newest = held;
	twd.held++;
	twd.stats.indicated++;
	queue_for_take(at, length);
	if (twd.hold == HOLD_NONE || (twd.hold == HOLD_SEVEN && twd.held >= NEWEST_FIRST_AT))
		return_all(twd.hold == HOLD_SEVEN);
	else if (twd.hold == HOLD_A_WHILE)
		os_tell(&twd.changed);
}

/* Returns packets that were held for a while. */
OS_THREAD(stack_run)
{
	struct held *held;

	(void)unused;
	os_take(&twd.lock);
	while (!twd.closing) {
		if (twd.hold != HOLD_A_WHILE || !twd.held) {
			os_await(&twd.changed, &twd.lock);
			continue;
		}
		for (held = twd.oldest; held; held = held->next)
			if (held->due <= os_now_us())
				give_back(held);
		advance();
		os_give(&twd.lock);
		os_sleep_us(200);
		os_take(&twd.lock);
	}
	os_give(&twd.lock);
	OS_THREAD_END;
}

/* ---- the Receive ring ----------------------------------------------------------------------------------------- */

static int disconnected(void)
{
	int is;

	os_take(&twd.lock);
	is = twd.disconnected;
	os_give(&twd.lock);
	return is;
}

/* Nothing is between H and Tail: spin, then sleep. */
static void wait_for_more(uint32_t h)
{
	const struct ring *ring = &twd.receive;
	uint64_t start = os_now_us();
	int stale = faulty(TWD_STALE_ALERTABLE);

	do {
		if (atomic_load_explicit(ring->tail, memory_order_acquire) != h)
			return;
		os_yield();
	} while (os_now_us() - start < (uint64_t)atomic_load_explicit(&twd.spin_us, memory_order_relaxed));
	if (stale) {
		if (atomic_load_explicit(ring->tail, memory_order_acquire) != h)
			return;
		os_sleep_us(2000);
	}
	atomic_store_explicit(ring->alertable, 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (!stale && atomic_load_explicit(ring->tail, memory_order_acquire) != h) {
		atomic_store_explicit(ring->alertable, 0, memory_order_release);
		os_event_reset(ring->event);
		return;
	}
	os_take(&twd.lock);
	twd.stats.sleeps++;
	os_give(&twd.lock);
	os_event_wait_either(ring->event, twd.quit);
	os_take(&twd.lock);
	twd.stats.wakes++;
	os_give(&twd.lock);
	atomic_store_explicit(ring->alertable, 0, memory_order_release);
}

/* Why the packet at h kills the driver's thread, or 0. */
static uint32_t deadly(uint32_t h, uint32_t tail, uint32_t *size)
{
	const struct ring *ring = &twd.receive;
	uint32_t content = (tail - h) & (ring->capacity - 1);

	if (tail >= ring->capacity)
		return 2;
	if (content < 4)
		return 3;
	*size = atomic_load_explicit((_Atomic uint32_t *)(void *)(ring->data + h), memory_order_relaxed);
	if (*size > LARGEST)
		return 4;
	return slot(*size) > content ? 5 : 0;
}

static uint32_t step(uint32_t h, uint32_t size)
{
	uint32_t after = (h + slot(size)) & (twd.receive.capacity - 1);
	const uint8_t *at = twd.receive.data + h + 4;

	os_take(&twd.lock);
	if (twd.running && ((size >= 20 && at[0] >> 4 == 4) || (size >= 40 && at[0] >> 4 == 6))) {
		indicate(at, size, after);
	} else {
		twd.stats.discarded++;
		twd.stats.drain_waits++;
		drain();
		store_head(after);
	}
	os_give(&twd.lock);
	return after;
}

static void die(uint32_t reason)
{
	os_take(&twd.lock);
	drain();
	twd.stats.dead = 1;
	twd.stats.dead_reason = reason;
	if (!faulty(TWD_LOST_EOF))
		atomic_store_explicit(twd.receive.head, (uint32_t)ENDED, memory_order_release);
	os_give(&twd.lock);
}

OS_THREAD(receive_run)
{
	uint32_t h = atomic_load_explicit(twd.receive.head, memory_order_acquire), tail, size = 0, reason = 0;

	(void)unused;
	if (h >= twd.receive.capacity)
		reason = 1;
	while (!reason && !disconnected()) {
		tail = atomic_load_explicit(twd.receive.tail, memory_order_acquire);
		if (tail == h) {
			wait_for_more(h);
			continue;
		}
		reason = deadly(h, tail, &size);
		if (!reason)
			h = step(h, size);
	}
	if (reason)
		die(reason);
	OS_THREAD_END;
}

/* ---- registration --------------------------------------------------------------------------------------------- */

struct half {			/* of the descriptor, as the compiler lays it out for this machine */
	uint32_t size;
	uint8_t *memory;
	intptr_t event;
};

static uint32_t attach(struct ring *ring, const struct half *half)
{
	uint32_t capacity = half->size - OVERHEAD;

	if (half->size < OVERHEAD || capacity < SMALLEST_RING || capacity > LARGEST_RING || (capacity & (capacity - 1)) ||
	    !half->memory || !half->event)
		return ERROR_PARAMETER;
	if (!os_event_valid(half->event))
		return ERROR_HANDLE;
	*ring = (struct ring){
		.head = (_Atomic uint32_t *)(void *)half->memory,
		.tail = (_Atomic uint32_t *)(void *)(half->memory + 4),
		.alertable = (_Atomic uint32_t *)(void *)(half->memory + 8),
		.data = half->memory + 12,
		.capacity = capacity,
		.event = half->event,
	};
	return 0;
}

/* lock is held */
static uint32_t register_rings(const struct half *send, const struct half *receive)
{
	struct ring sending, receiving;
	uint32_t error = attach(&sending, send);

	if (!error && atomic_load(sending.tail) >= sending.capacity)
		error = ERROR_PARAMETER;
	if (!error)
		error = attach(&receiving, receive);
	if (error)
		return error;
	twd.send = sending;
	twd.receive = receiving;
	twd.send_alloc = atomic_load(sending.tail);
	twd.head = atomic_load(receiving.head);
	twd.disconnected = twd.closing = 0;
	twd.stats = (struct twd_stats){
		.active = 1, .receive_ring = (uintptr_t)receive->memory, .receive_size = receive->size
	};
	twd.quit = os_event();
	if (!os_start(&twd.stack, stack_run) || !os_start(&twd.receiver, receive_run))
		abort();
	twd.registered = 1;
	return 0;
}

uint32_t TwdRegisterRings(const void *descriptor, uint32_t size)
{
	struct half halves[2];
	uint32_t error;

	os_take(&twd.lock);
	if (twd.registered) {
		error = ERROR_EXISTS;
	} else if (size != sizeof(halves) || !descriptor) {
		error = ERROR_PARAMETER;
	} else {
		memcpy(halves, descriptor, sizeof(halves));
		error = register_rings(&halves[0], &halves[1]);
	}
	os_give(&twd.lock);
	return error;
}

void TwdUnregister(void)
{
	os_take(&twd.lock);
	if (!twd.registered || twd.disconnected) {
		os_give(&twd.lock);
		return;
	}
	twd.disconnected = 1;
	os_event_set(twd.quit);
	os_give(&twd.lock);
	os_join(twd.receiver);
	os_take(&twd.lock);
	drain();
	twd.closing = 1;
	os_tell(&twd.changed);
	os_give(&twd.lock);
	os_join(twd.stack);
	if (faulty(TWD_SLOW_UNREGISTER))
		os_sleep_us(500000);
	os_take(&twd.lock);
	atomic_store_explicit(twd.receive.head, (uint32_t)ENDED, memory_order_release);
	atomic_store_explicit(twd.send.tail, (uint32_t)ENDED, memory_order_release);
	os_event_set(twd.send.event);
	os_event_free(twd.quit);
	twd.stats.active = 0;
	twd.registered = 0;
	os_give(&twd.lock);
}

/* ---- the Send ring -------------------------------------------------------------------------------------------- */

static void put(const uint8_t *packet, uint32_t length)
{
	uint8_t *at = twd.send.data + twd.send_alloc;
	uint32_t size = faulty(TWD_CORRUPT_SIZE) ? 0x10000u + length : length;

	atomic_store_explicit((_Atomic uint32_t *)(void *)at, size, memory_order_relaxed);
	if (faulty(TWD_ZERO_PACKET))
		memset(at + 4, 0, length);
	else
		memcpy(at + 4, packet, length);
	twd.send_alloc = (twd.send_alloc + slot(length)) & (twd.send.capacity - 1);
}

/* lock is held */
static int inject(const uint8_t *const *packets, const uint32_t *lengths, uint32_t n)
{
	uint64_t needed = 0;
	uint32_t head, i;

	if (!twd.running)
		return 1;
	if (!twd.registered || twd.disconnected)
		return 2;
	head = atomic_load_explicit(twd.send.head, memory_order_acquire);
	if (head >= twd.send.capacity)
		return 3;
	for (i = 0; i < n; i++)
		needed += lengths[i] <= LARGEST ? slot(lengths[i]) : 0;
	if (needed > ((head - twd.send_alloc - 4) & (twd.send.capacity - 1)))
		return 4;
	for (i = 0; i < n; i++)
		if (lengths[i] <= LARGEST)
			put(packets[i], lengths[i]);
	atomic_store_explicit(twd.send.tail, twd.send_alloc, memory_order_release);
	os_event_set(twd.send.event);
	return 0;
}

int TwdInject(const uint8_t *const *packets, const uint32_t *lengths, uint32_t n)
{
	int rc;

	os_take(&twd.lock);
	rc = inject(packets, lengths, n);
	os_give(&twd.lock);
	return rc;
}

/* ---- what tests ask and tell ---------------------------------------------------------------------------------- */

int64_t TwdTake(uint8_t *out, uint32_t size)
{
	struct packet *packet;
	int64_t length = -1;

	os_take(&twd.lock);
	packet = twd.first;
	if (packet) {
		twd.first = packet->next;
		if (!twd.first)
			twd.last = NULL;
		length = packet->length;
		memcpy(out, packet->bytes, packet->length < size ? packet->length : size);
		free(packet);
	}
	os_give(&twd.lock);
	return length;
}

void TwdSetHold(int how)
{
	os_take(&twd.lock);
	twd.hold = how;
	if (how == HOLD_NONE && twd.registered)
		return_all(0);
	os_tell(&twd.changed);
	os_give(&twd.lock);
}

void TwdReturn(int newest_first)
{
	os_take(&twd.lock);
	if (twd.registered)
		return_all(newest_first);
	os_give(&twd.lock);
}

void TwdSetRunning(int running)
{
	os_take(&twd.lock);
	twd.running = running;
	os_give(&twd.lock);
}

void TwdSetSpin(int us)
{
	atomic_store(&twd.spin_us, us);
}

void TwdSetFault(uint32_t mask)
{
	atomic_store(&twd.fault, mask);
}

void TwdGetStats(struct twd_stats *out)
{
	os_take(&twd.lock);
	*out = twd.stats;
	os_give(&twd.lock);
}
