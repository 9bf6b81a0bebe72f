/*
 * device.h: the sinks that the decoders are measured into, each with what takes the packets out of it.
 */
#ifndef VPN_BENCH_DEVICE_H
#define VPN_BENCH_DEVICE_H

#include "engine.h"

enum {
	BENCH_SLOTS = 64,	/* of the memory sink: packets between two drains */
	BENCH_MTU = 16384	/* bytes */
};

struct device {
	struct ve_sink *sink;
	const char *kind;
	uint8_t *rings[2];	/* Wintun: send, receive */
	intptr_t events[2];
};

/* kind: memory, wintun (the double of the driver, in a thread of its own) or tun (fd: attached, up).  Ends the program on
 * failure, as does all that is here. */
void device_open(struct device *device, const char *kind, int fd);
void device_close(struct device *device);
/* After a flush: make room for the next batch. */
void device_drain(struct device *device);
/* After a round: nothing of it is under way any more. */
void device_settle(struct device *device);

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
