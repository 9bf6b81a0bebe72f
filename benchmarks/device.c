/*
 * device.c: the sinks that the decoders are measured into.  See device.h.
 */
#include "device.h"

#include "twd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CAPACITY = 4 << 20, WAIT_US = 20, MAX_WAITS = 500000 };	/* bytes of a ring; 10 s */

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static void open_wintun(struct device *device, char *err, size_t err_size)
{
	struct {
		uint32_t size;
		uint8_t *memory;
		intptr_t event;
	} halves[2];
	uint32_t error;

	memset(halves, 0, sizeof(halves));
	for (int i = 0; i < 2; i++) {
		device->rings[i] = aligned_alloc(4096, CAPACITY + (VE_RING_OVERHEAD + 4095) / 4096 * 4096);
		device->events[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (!device->rings[i] || device->events[i] < 0)
			fail("wintun double: no memory or no eventfd");
		memset(device->rings[i], 0, CAPACITY + VE_RING_OVERHEAD);
		halves[i].size = CAPACITY + VE_RING_OVERHEAD;
		halves[i].memory = device->rings[i];
		halves[i].event = device->events[i];
	}
	error = TwdRegisterRings(halves, sizeof(halves));
	if (error)
		fail("wintun double: error %u", error);
	device->sink = ve_sink_wintun(device->rings[1], CAPACITY + VE_RING_OVERHEAD, device->events[1], BENCH_MTU, err,
				      err_size);
}

void device_open(struct device *device, const char *kind, int fd)
{
	char err[200] = "no such sink";

	memset(device, 0, sizeof(*device));
	device->kind = kind;
	if (!strcmp(kind, "wintun"))
		open_wintun(device, err, sizeof(err));
	else if (!strcmp(kind, "tun"))
		device->sink = ve_sink_tun(fd, BENCH_MTU, err, sizeof(err));
	else if (!strcmp(kind, "memory"))
		device->sink = ve_sink_memory(BENCH_SLOTS, err, sizeof(err));
	if (!device->sink)
		fail("sink %s: %s", kind, err);
}

void device_close(struct device *device)
{
	if (device->rings[0])
		TwdUnregister();
	ve_sink_free(device->sink);
	for (int i = 0; i < 2 && device->rings[i]; i++) {
		close((int)device->events[i]);
		free(device->rings[i]);
	}
}

void device_drain(struct device *device)
{
	static uint8_t out[VE_MAX_PACKET];

	if (!strcmp(device->kind, "memory"))
		while (ve_sink_memory_take(device->sink, out, sizeof(out)) > 0)
			;
}

void device_settle(struct device *device)
{
	static uint8_t out[VE_MAX_PACKET];
	struct ve_sink_stats stats;
	struct twd_stats seen;

	if (!device->rings[0])
		return;
	ve_sink_stats(device->sink, &stats);
	for (int i = 0;; i++) {
		TwdGetStats(&seen);
		if (seen.indicated + seen.discarded >= stats.packets)
			break;
		if (i == MAX_WAITS || seen.dead)
			fail("wintun double: it has stopped");
		ve_sink_idle(device->sink);
		usleep(WAIT_US);
	}
	while (TwdTake(out, sizeof(out)) >= 0)
		;
}
