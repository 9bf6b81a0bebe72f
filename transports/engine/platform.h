/*
 * platform.h: the few things of the operating system that the rings need.  Internal; a file a system.
 */
#ifndef VPN_ENGINE_PLATFORM_H
#define VPN_ENGINE_PLATFORM_H

#include <stdint.h>

/* An event that one waiter takes: an eventfd, non-blocking, on Linux; an auto-reset HANDLE on Windows. */
void ve_event_set(intptr_t event);
int ve_event_wait(intptr_t event, int ms);	/* 1: it was set, and is no more; 0: not within ms (-1: no limit) */
uint64_t ve_monotonic(void);			/* nanoseconds */
void ve_yield(void);				/* let another thread run, without sleeping */

#endif
