/*
 * twd_os.h: threads, locks, time and events, on Linux and on Windows, as little as the double needs.
 */
#ifndef TWD_OS_H
#define TWD_OS_H

#include <stdint.h>

#ifdef _WIN32

#include <windows.h>

typedef SRWLOCK os_lock;
typedef CONDITION_VARIABLE os_cond;
typedef HANDLE os_thread;
#define OS_LOCK_INIT SRWLOCK_INIT
#define OS_COND_INIT CONDITION_VARIABLE_INIT
#define OS_THREAD(name) static DWORD WINAPI name(void *unused)
#define OS_THREAD_END return 0

static inline void os_take(os_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline void os_give(os_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void os_await(os_cond *cond, os_lock *lock) { SleepConditionVariableSRW(cond, lock, INFINITE, 0); }
static inline void os_tell(os_cond *cond) { WakeAllConditionVariable(cond); }
static inline int os_start(os_thread *thread, DWORD (WINAPI *run)(void *))
{
	*thread = CreateThread(NULL, 0, run, NULL, 0, NULL);
	return *thread != NULL;
}
static inline void os_join(os_thread thread)
{
	WaitForSingleObject(thread, INFINITE);
	CloseHandle(thread);
}
static inline void os_yield(void) { SwitchToThread(); }
static inline void os_sleep_us(unsigned int us) { Sleep((us + 999) / 1000); }
static inline uint64_t os_now_us(void)
{
	LARGE_INTEGER count, frequency;

	QueryPerformanceFrequency(&frequency);
	QueryPerformanceCounter(&count);
	return (uint64_t)(count.QuadPart / frequency.QuadPart) * 1000000u +
	       (uint64_t)(count.QuadPart % frequency.QuadPart) * 1000000u / (uint64_t)frequency.QuadPart;
}
static inline intptr_t os_event(void) { return (intptr_t)CreateEventW(NULL, FALSE, FALSE, NULL); }
static inline void os_event_free(intptr_t event) { CloseHandle((HANDLE)event); }
static inline int os_event_valid(intptr_t event)
{
	DWORD flags;

	return GetHandleInformation((HANDLE)event, &flags);
}
static inline void os_event_set(intptr_t event) { SetEvent((HANDLE)event); }
static inline void os_event_reset(intptr_t event) { ResetEvent((HANDLE)event); }
static inline void os_event_wait_either(intptr_t first, intptr_t second)
{
	HANDLE both[2] = {(HANDLE)first, (HANDLE)second};

	WaitForMultipleObjects(2, both, FALSE, INFINITE);
}

#else

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

typedef pthread_mutex_t os_lock;
typedef pthread_cond_t os_cond;
typedef pthread_t os_thread;
#define OS_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define OS_COND_INIT PTHREAD_COND_INITIALIZER
#define OS_THREAD(name) static void *name(void *unused)
#define OS_THREAD_END return NULL

static inline void os_take(os_lock *lock) { pthread_mutex_lock(lock); }
static inline void os_give(os_lock *lock) { pthread_mutex_unlock(lock); }
static inline void os_await(os_cond *cond, os_lock *lock) { pthread_cond_wait(cond, lock); }
static inline void os_tell(os_cond *cond) { pthread_cond_broadcast(cond); }
static inline int os_start(os_thread *thread, void *(*run)(void *)) { return !pthread_create(thread, NULL, run, NULL); }
static inline void os_join(os_thread thread) { pthread_join(thread, NULL); }
static inline void os_yield(void) { sched_yield(); }
static inline void os_sleep_us(unsigned int us)
{
	struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

	nanosleep(&time, NULL);
}
static inline uint64_t os_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
static inline intptr_t os_event(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
static inline void os_event_free(intptr_t event) { close((int)event); }
static inline int os_event_valid(intptr_t event) { return fcntl((int)event, F_GETFD) >= 0; }
static inline void os_event_set(intptr_t event)
{
	uint64_t one = 1;
	ssize_t n = write((int)event, &one, sizeof(one));

	(void)n;
}
static inline void os_event_reset(intptr_t event)
{
	uint64_t count;
	ssize_t n = read((int)event, &count, sizeof(count));

	(void)n;
}
static inline void os_event_wait_either(intptr_t first, intptr_t second)
{
	struct pollfd both[2] = {{.fd = (int)first, .events = POLLIN}, {.fd = (int)second, .events = POLLIN}};

	poll(both, 2, -1);
	if (both[0].revents)
		os_event_reset(first);
	else
		os_event_reset(second);
}

#endif
#endif
