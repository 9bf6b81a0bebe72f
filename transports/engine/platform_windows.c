/*
 * platform_windows.c: events are auto-reset HANDLEs.
 */
#include "platform.h"

#include <windows.h>

void ve_event_set(intptr_t event)
{
	SetEvent((HANDLE)event);
}

int ve_event_wait(intptr_t event, int ms)
{
	return WaitForSingleObject((HANDLE)event, ms < 0 ? INFINITE : (DWORD)ms) == WAIT_OBJECT_0;
}

uint64_t ve_monotonic(void)
{
	LARGE_INTEGER count, frequency;

	QueryPerformanceFrequency(&frequency);
	QueryPerformanceCounter(&count);
	return (uint64_t)(count.QuadPart / frequency.QuadPart) * 1000000000u +
	       (uint64_t)(count.QuadPart % frequency.QuadPart) * 1000000000u / (uint64_t)frequency.QuadPart;
}

void ve_yield(void)
{
	SwitchToThread();
}
