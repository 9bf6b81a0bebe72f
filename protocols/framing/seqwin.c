/*
 * seqwin.c: anti-replay window of a datagram tunnel, 64 numbers wide, exact.
 *
 * Any number may come first, lower ones may follow, and there is no wrap: after 0xffffffff nothing newer exists.
 * No I/O, allocation or clock.  One thread owns a window.
 * Source: ESP notes, section 5.1 and Q18.   Twin: protocols/framing/seqwin.py.
 */
#include "seqwin.h"

enum { WIDTH = 64 };		/* bits of the map; shifts by that many are undefined in C */

enum ve_sequence ve_seqwin_take(struct ve_seqwin *window, uint32_t number)
{
	uint64_t step, age, bit;

	if (number >= window->next) {
		step = number - window->next + 1;
		window->map = (step >= WIDTH ? 0 : window->map << step) | 1;
		window->next = (uint64_t)number + 1;
		return VE_SEQUENCE_FRESH;
	}
	age = window->next - 1 - number;
	if (age >= WIDTH)
		return VE_SEQUENCE_OLD;
	bit = (uint64_t)1 << age;
	if (window->map & bit)
		return VE_SEQUENCE_REPLAY;
	window->map |= bit;
	return VE_SEQUENCE_FRESH;
}
