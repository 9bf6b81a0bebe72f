/*
 * sink.c: the contract of a sink (reserve, expand, park, commit, abort, write, flush), and the memory sink.
 *
 * Knows nothing of devices.  No allocation after the constructor.  One thread owns a sink.
 * Twin: transports/sink.py (MemorySink).
 */
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_HEADER = 20, IPV6_HEADER = 40 };	/* bytes, without options */

size_t ve_ip_length(const uint8_t *packet, size_t length)
{
	size_t header, total;

	if (length < IPV4_HEADER)
		return 0;
	if (packet[0] >> 4 == 4) {
		header = (size_t)(packet[0] & 15) * 4;
		total = (size_t)packet[2] << 8 | packet[3];
		return header >= IPV4_HEADER && total >= header && total <= length ? total : 0;
	}
	if (packet[0] >> 4 == 6 && length >= IPV6_HEADER) {
		total = IPV6_HEADER + ((size_t)packet[4] << 8 | packet[5]);
		return total <= length ? total : 0;
	}
	return 0;
}

struct ve_entry *ve_sink_entry(struct ve_sink *sink, size_t index)
{
	size_t at = sink->head + index;

	return &sink->entries[at < sink->slots ? at : at - sink->slots];
}

static size_t scratch_index(const struct ve_sink *sink, const uint8_t *ext)
{
	return (size_t)(ext - sink->scratch) / sink->largest;
}

static void scratch_release(struct ve_sink *sink, struct ve_entry *entry)
{
	if (entry->ext)
		sink->scratch_used &= ~(1u << scratch_index(sink, entry->ext));
	entry->ext = NULL;
}

/* NULL: all are in use. */
static uint8_t *scratch_take(struct ve_sink *sink)
{
	unsigned int i;

	for (i = 0; i < VE_SCRATCH; i++) {
		if (sink->scratch_used & 1u << i)
			continue;
		sink->scratch_used |= 1u << i;
		return sink->scratch + i * sink->largest;
	}
	return NULL;
}

void ve_sink_pop(struct ve_sink *sink)
{
	scratch_release(sink, ve_sink_entry(sink, 0));
	sink->head = sink->head + 1 == sink->slots ? 0 : sink->head + 1;
	sink->count--;
}

void ve_sink_set_mtu(struct ve_sink *sink, size_t mtu)
{
	sink->mtu = mtu;
}

struct ve_sink *ve_sink_create(const struct ve_sink_ops *ops, size_t size, size_t slots, size_t largest, char *err,
			       size_t err_size)
{
	struct ve_sink *sink = calloc(1, size);
	struct ve_entry *entries = calloc(slots, sizeof(*entries));
	uint8_t *scratch = malloc(VE_SCRATCH * largest);	/* touched only when used */

	if (!sink || !entries || !scratch) {
		snprintf(err, err_size, "sink: out of memory");
		free(sink);
		free(entries);
		free(scratch);
		return NULL;
	}
	sink->ops = ops;
	sink->entries = entries;
	sink->slots = slots;
	sink->largest = largest;
	sink->scratch = scratch;
	return sink;
}

void ve_sink_destroy(struct ve_sink *sink)
{
	free(sink->entries);
	free(sink->scratch);
	free(sink);
}

/* ---- the contract -------------------------------------------------------------------------------------------- */

/* The newest is nearly always the one that is meant. */
static struct ve_entry *find_open(struct ve_sink *sink, const uint8_t *reservation)
{
	size_t i;

	for (i = sink->count; i-- > 0;) {
		struct ve_entry *entry = ve_sink_entry(sink, i);

		if (entry->state == VE_ENTRY_OPEN && ve_entry_data(entry) == reservation)
			return entry;
	}
	for (i = 0; i < VE_SCRATCH; i++)
		if (sink->parked[i].ext && sink->parked[i].ext == reservation)
			return &sink->parked[i];
	return NULL;
}

static void settle(struct ve_sink *sink, struct ve_entry *entry, enum ve_entry_state state, size_t length)
{
	entry->state = state;
	entry->length = length;
	if (state == VE_ENTRY_VOID)
		scratch_release(sink, entry);
	if (!entry->at)
		return;			/* it was parked */
	if (sink->ops->shrink && !entry->ext && entry == ve_sink_entry(sink, sink->count - 1))
		sink->ops->shrink(sink, entry);
	if (sink->ops->advance)
		sink->ops->advance(sink);
}

/* The newest entry, open; NULL: no room, counted. */
static struct ve_entry *append(struct ve_sink *sink, size_t capacity)
{
	struct ve_entry *entry;
	size_t span = 0;
	uint8_t *at = sink->ops->place(sink, capacity, &span);

	if (!at) {
		sink->stats.dropped_full++;
		return NULL;
	}
	entry = ve_sink_entry(sink, sink->count++);
	*entry = (struct ve_entry){.at = at, .span = span, .length = capacity, .state = VE_ENTRY_OPEN};
	return entry;
}

uint8_t *ve_sink_reserve(struct ve_sink *sink, size_t capacity)
{
	struct ve_entry *entry;

	if (capacity > sink->largest) {
		sink->stats.oversize++;
		return NULL;
	}
	entry = append(sink, capacity);
	return entry ? entry->at : NULL;
}

/* Give a reservation back for which there is no room to grow. */
static uint8_t *give_up(struct ve_sink *sink, struct ve_entry *entry, uint64_t *counter)
{
	++*counter;
	settle(sink, entry, VE_ENTRY_VOID, 0);
	return NULL;
}

uint8_t *ve_sink_expand(struct ve_sink *sink, uint8_t *reservation, size_t used, size_t capacity)
{
	struct ve_entry *entry = find_open(sink, reservation);
	uint8_t *ext;

	if (!entry)
		return NULL;
	if (capacity > sink->largest || used > entry->length)
		return give_up(sink, entry, &sink->stats.oversize);
	if (capacity <= entry->length)
		return reservation;
	entry->grown = 1;
	if (!entry->ext && !sink->ops->grow(sink, entry, capacity)) {
		ext = scratch_take(sink);
		if (!ext)
			return give_up(sink, entry, &sink->stats.dropped_expand);
		memcpy(ext, entry->at, used);
		entry->ext = ext;
	}
	entry->length = capacity;
	return ve_entry_data(entry);
}

uint8_t *ve_sink_park(struct ve_sink *sink, uint8_t *reservation, size_t used)
{
	struct ve_entry *entry = find_open(sink, reservation);
	uint8_t *ext;

	if (!entry)
		return NULL;
	if (used > entry->length)
		return give_up(sink, entry, &sink->stats.oversize);
	if (!entry->at)
		return reservation;
	ext = entry->ext ? entry->ext : scratch_take(sink);
	if (!ext)
		return reservation;
	if (!entry->ext)
		memcpy(ext, entry->at, used);
	entry->ext = NULL;
	sink->parked[scratch_index(sink, ext)] =
		(struct ve_entry){.ext = ext, .length = entry->length, .state = VE_ENTRY_OPEN, .grown = entry->grown};
	sink->stats.parked++;
	settle(sink, entry, VE_ENTRY_VOID, 0);
	return ext;
}

/* What was parked is a packet now: it goes behind all that was reserved meanwhile, if there is room. */
static void come_back(struct ve_sink *sink, struct ve_entry *parked, size_t packet)
{
	struct ve_entry *entry = append(sink, packet);

	if (entry) {
		memcpy(entry->at, parked->ext, packet);
		++*(parked->grown ? &sink->stats.expanded : &sink->stats.copied);
		settle(sink, entry, VE_ENTRY_READY, packet);
	}
	scratch_release(sink, parked);
}

/* VE_OK, or VE_ERROR: the packet is longer than its reservation. */
static int finish(struct ve_sink *sink, struct ve_entry *entry, size_t length, uint64_t *counter)
{
	size_t packet;

	if (length > entry->length) {
		sink->stats.oversize++;
		settle(sink, entry, VE_ENTRY_VOID, 0);
		return VE_ERROR;
	}
	packet = ve_ip_length(ve_entry_data(entry), length);
	if (!packet) {
		sink->stats.not_ip++;
		settle(sink, entry, VE_ENTRY_VOID, 0);
		return VE_OK;
	}
	if (sink->mtu && packet > sink->mtu)
		sink->stats.over_mtu++;
	if (!entry->at) {
		come_back(sink, entry, packet);
		return VE_OK;
	}
	++*(entry->grown ? &sink->stats.expanded : counter);
	settle(sink, entry, VE_ENTRY_READY, packet);
	return VE_OK;
}

int ve_sink_commit(struct ve_sink *sink, uint8_t *reservation, size_t length)
{
	struct ve_entry *entry = find_open(sink, reservation);

	return entry ? finish(sink, entry, length, &sink->stats.in_place) : VE_ERROR;
}

int ve_sink_abort(struct ve_sink *sink, uint8_t *reservation)
{
	struct ve_entry *entry = find_open(sink, reservation);

	if (!entry)
		return VE_ERROR;
	sink->stats.aborted++;
	settle(sink, entry, VE_ENTRY_VOID, 0);
	return VE_OK;
}

void ve_sink_abandon(struct ve_sink *sink)
{
	size_t i = 0;

	while (i < sink->count) {
		struct ve_entry *entry = ve_sink_entry(sink, i++);

		if (entry->state != VE_ENTRY_OPEN)
			continue;
		sink->stats.aborted++;
		settle(sink, entry, VE_ENTRY_VOID, 0);
		i = 0;		/* those at the front may be gone */
	}
	for (i = 0; i < VE_SCRATCH; i++) {
		if (!sink->parked[i].ext)
			continue;
		sink->stats.aborted++;
		settle(sink, &sink->parked[i], VE_ENTRY_VOID, 0);
	}
}

int ve_sink_write(struct ve_sink *sink, const uint8_t *packet, size_t length)
{
	uint8_t *at = ve_sink_reserve(sink, length);

	if (!at)
		return length > sink->largest ? VE_ERROR : VE_FULL;
	if (length)
		memcpy(at, packet, length);
	return finish(sink, find_open(sink, at), length, &sink->stats.copied);
}

int ve_sink_flush(struct ve_sink *sink)
{
	return sink->ops->flush(sink);
}

int ve_sink_idle(struct ve_sink *sink)
{
	return sink->ops->idle ? sink->ops->idle(sink) : -1;
}

void ve_sink_stats(const struct ve_sink *sink, struct ve_sink_stats *out)
{
	*out = sink->stats;
}

void ve_sink_free(struct ve_sink *sink)
{
	if (sink)
		sink->ops->free(sink);
}

/* ---- the memory sink: slots of the largest size, for tests ---------------------------------------------------- */

struct memory_sink {
	struct ve_sink base;
	uint8_t *memory;
	size_t flushed;		/* entries at the front that may be taken */
};

static uint8_t *memory_place(struct ve_sink *sink, size_t capacity, size_t *span)
{
	struct memory_sink *memory = (struct memory_sink *)sink;
	size_t slot = sink->head + sink->count;

	(void)capacity;
	if (sink->count == sink->slots)
		return NULL;
	*span = VE_MAX_PACKET;
	return memory->memory + (slot < sink->slots ? slot : slot - sink->slots) * VE_MAX_PACKET;
}

static int memory_grow(struct ve_sink *sink, struct ve_entry *entry, size_t capacity)
{
	(void)sink;
	return capacity <= entry->span;
}

/* Void entries in front of nothing that waits are forgotten at once; the others when they are passed by take(). */
static int memory_flush(struct ve_sink *sink)
{
	struct memory_sink *memory = (struct memory_sink *)sink;

	for (; memory->flushed < sink->count; memory->flushed++) {
		struct ve_entry *entry = ve_sink_entry(sink, memory->flushed);

		if (entry->state == VE_ENTRY_OPEN)
			break;
		if (entry->state == VE_ENTRY_READY) {
			sink->stats.packets++;
			sink->stats.bytes += entry->length;
		}
	}
	while (memory->flushed && ve_sink_entry(sink, 0)->state == VE_ENTRY_VOID) {
		ve_sink_pop(sink);
		memory->flushed--;
	}
	return VE_OK;
}

static void memory_free(struct ve_sink *sink)
{
	free(((struct memory_sink *)sink)->memory);
	ve_sink_destroy(sink);
}

static const struct ve_sink_ops memory_ops = {
	.place = memory_place,
	.grow = memory_grow,
	.flush = memory_flush,
	.free = memory_free,
};

struct ve_sink *ve_sink_memory(size_t slots, char *err, size_t err_size)
{
	struct memory_sink *memory;

	if (slots < 1 || slots > 65536) {
		snprintf(err, err_size, "memory sink: got %zu slots, want 1..65536", slots);
		return NULL;
	}
	memory = (struct memory_sink *)ve_sink_create(&memory_ops, sizeof(*memory), slots, VE_MAX_PACKET, err,
							      err_size);
	if (!memory)
		return NULL;
	memory->memory = malloc(slots * VE_MAX_PACKET);
	if (!memory->memory) {
		snprintf(err, err_size, "memory sink: out of memory for %zu slots", slots);
		ve_sink_destroy(&memory->base);
		return NULL;
	}
	return &memory->base;
}

int ve_sink_memory_take(struct ve_sink *sink, uint8_t *out, size_t size)
{
	struct memory_sink *memory = (struct memory_sink *)sink;

	if (sink->ops != &memory_ops)
		return VE_ERROR;
	while (memory->flushed) {
		const struct ve_entry *entry = ve_sink_entry(sink, 0);
		size_t length = entry->length;

		if (entry->state == VE_ENTRY_READY && length > size)
			return VE_FULL;
		if (entry->state == VE_ENTRY_READY)
			memcpy(out, entry->at, length);
		memory->flushed--;
		ve_sink_pop(sink);
		if (length)
			return (int)length;
	}
	return VE_EMPTY;
}
