/*
 * pump.c: a pump as other threads see it: its life, its mailbox, its statistics.  The thread is in pump_loop.c and what
 * that names.
 *
 * A lock guards the mailbox alone.  Statistics are the thread's own and are published once a turn, word by word, relaxed:
 * a reader sees each count whole, though not all of the same instant.
 */
#include "pump.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	QUEUE_BYTES = 262144,	/* of control frames, each way */
	MIN_MTU = 68,		/* bytes; the least IPv4 allows */
	EXPORT_PATIENCE = 10	/* seconds; the thread looks after every turn, once it gets a core */
};

uint64_t ve_pump_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A full counter is readable just as well, so a failed write loses nothing. */
static void ring(int fd)
{
	uint64_t one = 1;
	ssize_t rc = write(fd, &one, sizeof(one));

	(void)rc;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

/* Bytes of the largest packet that can leave. */
static size_t largest_packet(const struct ve_pump *pump)
{
	return pump->codec ? ve_codec_max_payload(pump->codec) : VE_MAX_PACKET;
}

static int open_stream(struct ve_pump *pump, const char *framing, size_t mtu, char *err, size_t err_size)
{
	pump->codec = ve_codec_new(framing, err, err_size);
	if (!pump->codec)
		return VE_ERROR;
	if (!ve_codec_streams(pump->codec)) {
		snprintf(err, err_size, "framing %s is one of datagrams: no stream carries it", framing);
		return VE_ERROR;
	}
	pump->sink = ve_sink_tun(pump->tun_fd, mtu, err, err_size);
	return pump->sink ? VE_OK : VE_ERROR;
}

static int open_parts(struct ve_pump *pump, const char *framing, size_t mtu, char *err, size_t err_size)
{
	if (pump->tls && open_stream(pump, framing, mtu, err, err_size) != VE_OK)
		return VE_ERROR;
	if (mtu < MIN_MTU || mtu > largest_packet(pump)) {
		snprintf(err, err_size, "mtu: got %zu, want %d..%zu", mtu, MIN_MTU, largest_packet(pump));
		return VE_ERROR;
	}
	pump->up = ve_queue_new(VE_PUMP_QUEUE, QUEUE_BYTES);
	pump->down = ve_queue_new(VE_PUMP_QUEUE, QUEUE_BYTES);
	pump->up_datagrams = ve_queue_new(VE_PUMP_QUEUE, QUEUE_BYTES);
	pump->down_datagrams = ve_queue_new(VE_PUMP_QUEUE, QUEUE_BYTES);
	pump->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pump->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!pump->up || !pump->down || !pump->up_datagrams || !pump->down_datagrams || pump->wake_fd < 0 ||
	    pump->event_fd < 0) {
		snprintf(err, err_size, "pump: out of memory or descriptors");
		return VE_ERROR;
	}
	return VE_OK;
}

/* Waited for by a clock that nobody sets. */
static void init_exported(struct ve_pump *pump)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pump->exported, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct ve_pump *ve_pump_new(int tun_fd, struct ve_tls *tls, const char *framing, size_t mtu,
			    const uint8_t *first, size_t first_length, char *err, size_t err_size)
{
	struct ve_pump *pump = calloc(1, sizeof(*pump));

	if (!pump) {
		snprintf(err, err_size, "pump: out of memory");
		return NULL;
	}
	pthread_mutex_init(&pump->lock, NULL);
	init_exported(pump);
	pump->tun_fd = tun_fd;
	pump->tls = tls;
	pump->wake_fd = pump->event_fd = -1;
	pump->mtu = mtu;
	pump->link_writable = 1;
	if (first_length) {
		pump->first = malloc(first_length);
		if (pump->first)
			memcpy(pump->first, first, first_length);
		else
			snprintf(err, err_size, "pump: out of memory");
	}
	pump->first_length = first_length;
	if ((first_length && !pump->first) || open_parts(pump, framing, mtu, err, err_size) != VE_OK) {
		ve_pump_free(pump);
		return NULL;
	}
	return pump;
}

int ve_pump_set(struct ve_pump *pump, const char *option, const uint8_t *value, size_t length, char *err,
		size_t err_size)
{
	if (pump->running || pump->stop_at) {
		snprintf(err, err_size, "pump: option %s comes after the start", option);
		return VE_ERROR;
	}
	if (pump->codec && ve_codec_set(pump->codec, option, value, length) == VE_OK)
		return VE_OK;
	snprintf(err, err_size, "%s", pump->codec ? ve_codec_error(pump->codec) : "pump: it has no stream");
	return VE_ERROR;
}

int ve_pump_offload(struct ve_pump *pump, unsigned int offload)
{
	char err[64];
	struct ve_sink *sink;

	if (pump->running || pump->stop_at)
		return VE_ERROR;
	pump->offload = offload;
	if (!pump->codec)
		return VE_OK;		/* a datagram link brings its own sink */
	sink = ve_sink_tun_offload(pump->tun_fd, pump->mtu, offload, err, sizeof(err));
	if (!sink)
		return VE_ERROR;
	ve_sink_free(pump->sink);
	pump->sink = sink;
	return VE_OK;
}

void ve_pump_use_datagrams(struct ve_pump *pump, int way)
{
	pump->way = way;
	ring(pump->wake_fd);
}

int ve_pump_set_datagrams(struct ve_pump *pump, const char *option, const uint8_t *value, size_t length)
{
	struct ve_link_options *options = &pump->options;
	int rc = VE_FULL;

	if (strlen(option) >= VE_LINK_OPTION_NAME || length > VE_LINK_OPTION_VALUE)
		return VE_ERROR;
	pthread_mutex_lock(&pump->lock);
	if (options->count < VE_LINK_OPTIONS) {
		snprintf(options->of[options->count].name, VE_LINK_OPTION_NAME, "%s", option);
		memcpy(options->of[options->count].value, value, length);
		options->of[options->count++].length = length;
		rc = VE_OK;
	}
	pthread_mutex_unlock(&pump->lock);
	ring(pump->wake_fd);
	return rc;
}

/* Signals are for the program's other threads. */
int ve_pump_start(struct ve_pump *pump)
{
	sigset_t all, before;
	int rc;

	if (pump->running || pump->stop_at)
		return VE_ERROR;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&pump->thread, NULL, ve_pump_thread, pump);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pump->running = rc == 0;
	return rc == 0 ? VE_OK : VE_ERROR;
}

void ve_pump_stop(struct ve_pump *pump, int linger_ms)
{
	if (!pump->running)
		return;
	pump->stop_at = ve_pump_clock() + (uint64_t)(linger_ms > 0 ? linger_ms : 0) * 1000000u;
	ring(pump->wake_fd);
	pthread_join(pump->thread, NULL);
	pump->running = 0;
}

void ve_pump_free(struct ve_pump *pump)
{
	if (!pump)
		return;
	ve_pump_stop(pump, 0);
	ve_queue_free(pump->up);
	ve_queue_free(pump->down);
	ve_queue_free(pump->up_datagrams);
	ve_queue_free(pump->down_datagrams);
	ve_link_free(pump->offered);
	ve_link_free(pump->link);
	ve_codec_free(pump->kept);
	OPENSSL_cleanse(&pump->options, sizeof(pump->options));
	ve_sink_free(pump->sink);
	ve_codec_free(pump->codec);
	if (pump->wake_fd >= 0)
		close(pump->wake_fd);
	if (pump->event_fd >= 0)
		close(pump->event_fd);
	pthread_cond_destroy(&pump->exported);
	pthread_mutex_destroy(&pump->lock);
	free(pump->first);
	free(pump);
}

/* ---- the mailbox ---------------------------------------------------------------------------------------------- */

int ve_pump_event_fd(const struct ve_pump *pump)
{
	return pump->event_fd;
}

/* With the lock held: event_fd is readable exactly while something waits. */
static void signal_owner(struct ve_pump *pump)
{
	int waiting = pump->event_count || ve_queue_count(pump->up) || ve_queue_count(pump->up_datagrams);
	uint64_t count;

	if (waiting && !pump->signalled)
		ring(pump->event_fd);
	if (!waiting && pump->signalled && read(pump->event_fd, &count, sizeof(count)) < 0)
		return;
	pump->signalled = waiting;
}

static struct ve_pump_event *event_at(struct ve_pump *pump, size_t number)
{
	return &pump->events[(pump->event_head + number) % VE_PUMP_EVENTS];
}

/* With the lock held. */
static void add_event(struct ve_pump *pump, int event, const char *text)
{
	struct ve_pump_event *slot;

	if (pump->event_count == VE_PUMP_EVENTS) {
		pump->event_head = (pump->event_head + 1) % VE_PUMP_EVENTS;
		pump->event_count--;
	}
	slot = event_at(pump, pump->event_count++);
	slot->event = event;
	snprintf(slot->text, sizeof(slot->text), "%s", text);
	signal_owner(pump);
}

void ve_pump_post_event(struct ve_pump *pump, int event, const char *text)
{
	pthread_mutex_lock(&pump->lock);
	add_event(pump, event, text);
	pthread_mutex_unlock(&pump->lock);
}

/* A link whose owner has put another in its place, or wants none, is not told of: it would be taken for the other's loss.
 * The next one carries packets once the owner says so. */
void ve_pump_post_lost(struct ve_pump *pump, const char *text)
{
	int by_datagrams = VE_BY_DATAGRAMS;

	pthread_mutex_lock(&pump->lock);
	if (!pump->offered && !pump->detach_wanted) {
		atomic_compare_exchange_strong(&pump->way, &by_datagrams, VE_BY_STREAM);
		add_event(pump, VE_EVENT_DATAGRAMS_LOST, text);
	}
	pthread_mutex_unlock(&pump->lock);
}

/* With the lock held: the same for a loss that waits to be heard of. */
static void forget_lost(struct ve_pump *pump)
{
	size_t i, kept = 0;

	for (i = 0; i < pump->event_count; i++)
		if (event_at(pump, i)->event != VE_EVENT_DATAGRAMS_LOST)
			*event_at(pump, kept++) = *event_at(pump, i);
	pump->event_count = kept;
	signal_owner(pump);
}

/* Its sink is made here: the thread does not allocate. */
int ve_pump_attach(struct ve_pump *pump, struct ve_link *link, char *err, size_t err_size)
{
	struct ve_link *before;

	if (link->sink) {
		snprintf(err, err_size, "datagram link: it is attached already");
		return VE_ERROR;
	}
	link->sink = ve_sink_tun_offload(pump->tun_fd, pump->mtu, pump->offload, err, err_size);
	if (!link->sink)
		return VE_ERROR;
	pthread_mutex_lock(&pump->lock);
	before = pump->offered;
	pump->offered = link;
	forget_lost(pump);
	pthread_mutex_unlock(&pump->lock);
	ve_link_free(before);
	ring(pump->wake_fd);
	return VE_OK;
}

void ve_pump_detach(struct ve_pump *pump)
{
	struct ve_link *before;

	pthread_mutex_lock(&pump->lock);
	before = pump->offered;
	pump->offered = NULL;
	pump->detach_wanted = 1;
	forget_lost(pump);
	pthread_mutex_unlock(&pump->lock);
	ve_link_free(before);
	ring(pump->wake_fd);
}

/* What a codec decoded goes up. */
void ve_pump_post_controls(struct ve_pump *pump, struct ve_codec *codec, int datagrams)
{
	struct ve_control *control = &pump->control;
	struct ve_queue *up = datagrams ? pump->up_datagrams : pump->up;

	pthread_mutex_lock(&pump->lock);
	while (ve_codec_next_control(codec, control) == VE_OK) {
		pump->stats.rx_controls++;
		if (ve_queue_push(up, control->kind, control->payload, control->length) != VE_OK)
			pump->stats.dropped_controls_up++;
	}
	signal_owner(pump);
	pthread_mutex_unlock(&pump->lock);
}

int ve_pump_take_control(struct ve_pump *pump, struct ve_queue *down, struct ve_control *control)
{
	int rc;

	pthread_mutex_lock(&pump->lock);
	rc = ve_queue_peek(down, control);
	ve_queue_pop(down);
	pthread_mutex_unlock(&pump->lock);
	return rc;
}

int ve_pump_next_control(struct ve_pump *pump, int datagrams, struct ve_control *out)
{
	struct ve_queue *up = datagrams ? pump->up_datagrams : pump->up;
	int rc;

	pthread_mutex_lock(&pump->lock);
	rc = ve_queue_peek(up, out);
	ve_queue_pop(up);
	signal_owner(pump);
	pthread_mutex_unlock(&pump->lock);
	return rc;
}

int ve_pump_next_event(struct ve_pump *pump, int *event, char *text, size_t text_size)
{
	int rc = VE_EMPTY;

	pthread_mutex_lock(&pump->lock);
	if (pump->event_count) {
		const struct ve_pump_event *slot = &pump->events[pump->event_head];

		*event = slot->event;
		snprintf(text, text_size, "%s", slot->text);
		pump->event_head = (pump->event_head + 1) % VE_PUMP_EVENTS;
		pump->event_count--;
		rc = VE_OK;
	}
	signal_owner(pump);
	pthread_mutex_unlock(&pump->lock);
	return rc;
}

int ve_pump_send_control(struct ve_pump *pump, int datagrams, uint32_t kind, const uint8_t *payload, size_t length)
{
	int rc;

	if (length > (datagrams ? VE_MAX_PACKET : largest_packet(pump)))
		return VE_ERROR;
	pthread_mutex_lock(&pump->lock);
	rc = ve_queue_push(datagrams ? pump->down_datagrams : pump->down, kind, payload, length);
	pthread_mutex_unlock(&pump->lock);
	if (rc == VE_OK)
		ring(pump->wake_fd);
	return rc;
}

/* ---- wishes and statistics ------------------------------------------------------------------------------------ */

int ve_pump_set_mtu(struct ve_pump *pump, size_t mtu)
{
	if (mtu < MIN_MTU || mtu > largest_packet(pump))
		return VE_ERROR;
	pump->mtu = mtu;
	ring(pump->wake_fd);
	return VE_OK;
}

int ve_pump_rekey(struct ve_pump *pump)
{
	pump->rekey_wanted = 1;
	ring(pump->wake_fd);
	return VE_OK;
}

/* With the lock held: wait until the thread has answered.  VE_OK or VE_ERROR. */
static int exported(struct ve_pump *pump, uint8_t *out)
{
	struct ve_export *export = &pump->export;
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += EXPORT_PATIENCE;
	while (export->state == VE_EXPORT_WANTED && rc == 0)
		rc = pthread_cond_timedwait(&pump->exported, &pump->lock, &until);
	rc = export->state == VE_EXPORT_DONE ? VE_OK : VE_ERROR;
	if (rc == VE_OK)
		memcpy(out, export->out, export->length);
	OPENSSL_cleanse(export, sizeof(*export));
	return rc;
}

int ve_pump_export(struct ve_pump *pump, const char *label, uint8_t *out, size_t length)
{
	struct ve_export *export = &pump->export;
	int rc = VE_ERROR;

	if (!pump->tls || strlen(label) >= sizeof(export->label) || length > sizeof(export->out))
		return VE_ERROR;
	if (!pump->running)
		return ve_tls_export(pump->tls, label, out, length);
	pthread_mutex_lock(&pump->lock);
	if (export->state == VE_EXPORT_NONE) {
		snprintf(export->label, sizeof(export->label), "%s", label);
		export->length = length;
		export->state = VE_EXPORT_WANTED;
		ring(pump->wake_fd);
		rc = exported(pump, out);
	}
	pthread_mutex_unlock(&pump->lock);
	return rc;
}

void ve_pump_stats(struct ve_pump *pump, struct ve_pump_stats *out)
{
	uint64_t words[VE_PUMP_STATS];
	size_t i;

	for (i = 0; i < VE_PUMP_STATS; i++)
		words[i] = atomic_load_explicit(&pump->published[i], memory_order_relaxed);
	memcpy(out, words, sizeof(*out));
}

static int counter(const struct ve_codec_ops *ops, const _Atomic uint64_t *values, size_t index, const char **name,
		   uint64_t *value)
{
	size_t i;

	for (i = 0; ops && ops->counters[i]; i++) {
		if (i == index) {
			*name = ops->counters[i];
			*value = atomic_load_explicit(&values[i], memory_order_relaxed);
			return VE_OK;
		}
	}
	return VE_EMPTY;
}

int ve_pump_counter(struct ve_pump *pump, int datagrams, size_t index, const char **name, uint64_t *value)
{
	if (datagrams)
		return counter(pump->link_ops, pump->link_counters, index, name, value);
	return counter(pump->codec ? pump->codec->ops : NULL, pump->counters, index, name, value);
}
