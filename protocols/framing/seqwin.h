/*
 * seqwin.h: anti-replay window of a datagram tunnel, 64 numbers wide, exact.
 *
 * Twin: protocols/framing/seqwin.py.
 */
#ifndef VPN_SEQWIN_H
#define VPN_SEQWIN_H

#include <stdint.h>

enum ve_sequence { VE_SEQUENCE_FRESH, VE_SEQUENCE_REPLAY, VE_SEQUENCE_OLD };

struct ve_seqwin {		/* zeroed: nothing was received */
	uint64_t next;		/* the next number expected, 0..2^32 */
	uint64_t map;		/* bit i: number next-1-i was received */
};

/* Judge a number that is known to be genuine, and remember it.  Never call it before the packet is authenticated. */
enum ve_sequence ve_seqwin_take(struct ve_seqwin *window, uint32_t number);

#endif
