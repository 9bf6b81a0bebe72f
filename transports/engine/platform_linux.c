/*
 * platform_linux.c: events are eventfd descriptors.
 */
#include "platform.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

void ve_event_set(intptr_t event)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write((int)event, &one, sizeof(one));
	while (n < 0 && errno == EINTR);	/* EAGAIN: it is set as high as it goes */
}

int ve_event_wait(intptr_t event, int ms)
{
	struct pollfd entry = {.fd = (int)event, .events = POLLIN};
	uint64_t count;

	return poll(&entry, 1, ms) > 0 && read((int)event, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

uint64_t ve_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ve_yield(void)
{
	sched_yield();
}
