/*
 * twd.h: the test double of the Wintun driver: the other side of both rings, in user space.  For tests only.
 *
 * It owns no rings; it works on rings that are registered with it, as the driver does, from a thread of its own.  Events
 * are eventfd descriptors on Linux and auto-reset HANDLEs on Windows.  Keep to plain declarations: cffi reads this file.
 * Source: Wintun notes, sections 3, 4, 6 and 11.
 */
#ifndef TWD_H
#define TWD_H

#include <stdint.h>

#ifdef _WIN32
#define TWD_API __declspec(dllexport)
#else
#define TWD_API __attribute__((visibility("default")))
#endif

/* What goes wrong, as TwdSetFault takes it. */
#define TWD_STALE_ALERTABLE 1	/* sleep without reading Tail again: the lost wake-up of 0.14.1 */
#define TWD_ZERO_PACKET 2	/* inject writes zeros */
#define TWD_HEAD_BACK 4		/* after packets come back Head is its previous value for 1 ms */
#define TWD_CORRUPT_SIZE 8	/* a size that cannot be in the Send ring */
#define TWD_SLOW_UNREGISTER 16	/* 500 ms */
#define TWD_LOST_EOF 32		/* die without telling */

struct twd_stats {
	uint64_t indicated, discarded, drain_waits, sleeps, wakes;
	uint32_t dead, dead_reason;	/* 1 start Head, 2 Tail >= C, 3 content < 4, 4 Size, 5 overrun */
	uint32_t active;
	uint32_t spoiled;		/* packets whose bytes changed while the stack held them */
	uint64_t receive_ring;		/* where the registered one begins */
	uint32_t receive_size;		/* its bytes */
};

/* The descriptor of section 4.  0, or the Win32 error: 1247 one is registered, 87 a bad parameter, 6 a bad event. */
TWD_API uint32_t TwdRegisterRings(const void *descriptor, uint32_t size);
TWD_API void TwdUnregister(void);	/* waits until the stack has returned all packets */
/* All or nothing: 0 ok, 1 paused, 2 disconnected, 3 Head invalid, 4 no space. */
TWD_API int TwdInject(const uint8_t *const *packets, const uint32_t *lengths, uint32_t n);
TWD_API int64_t TwdTake(uint8_t *out, uint32_t size);	/* the next packet handed to the stack: its length, or -1 */
/* 0 return packets at once; 1 only on TwdReturn; 2 after 0..2 ms; 3 newest first when 7 are held. */
TWD_API void TwdSetHold(int how);
TWD_API void TwdReturn(int newest_first);
TWD_API void TwdSetRunning(int running);
TWD_API void TwdSetSpin(int us);
TWD_API void TwdSetFault(uint32_t mask);
TWD_API void TwdGetStats(struct twd_stats *out);
TWD_API uint32_t TwdLastError(void);	/* of the Wintun functions, where the system keeps none */

#endif
