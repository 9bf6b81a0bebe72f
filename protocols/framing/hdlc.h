/*
 * hdlc.h: octet stuffing and the FCS-16 of HDLC-like framing (RFC 1662), for ppp_hdlc.c.  Internal.
 *
 * A kernel is one way to do it: plain C, or what this processor is best at.  Kernels are constant and hold no state.
 */
#ifndef VPN_FRAMING_HDLC_H
#define VPN_FRAMING_HDLC_H

#include <stddef.h>
#include <stdint.h>

enum {
	HDLC_FLAG = 0x7e,
	HDLC_ESCAPE = 0x7d,
	HDLC_FLIP = 0x20,		/* an escaped byte is sent with this bit turned */
	HDLC_FCS_START = 0xffff,
	HDLC_FCS_GOOD = 0xf0b8,		/* the register after a frame and its FCS */
	HDLC_FCS = 2,			/* bytes */
	HDLC_SLACK = 16			/* bytes that a kernel may read beyond its input, and write beyond what it
					 * escapes */
};

#define HDLC_ACCM_ALL 0xffffffffu	/* every control character is escaped */

struct hdlc_run {
	const uint8_t *in;
	size_t left;		/* bytes of input; HDLC_SLACK more are readable */
	uint8_t *out;		/* may be `in` or before it: it never overtakes */
	size_t room;		/* bytes of output, and not one more is written */
	int escaped;		/* an escape was read, its partner was not */
};

struct hdlc_kernel {
	const char *name;
	uint16_t (*fcs)(uint16_t fcs, const uint8_t *data, size_t length);
	/* Moves the run on to a flag (which stays), the end of the input, or a byte that finds no room. */
	void (*unescape)(struct hdlc_run *run);
	/* Bytes written; out has room for 2 * length + HDLC_SLACK and does not overlap. */
	size_t (*escape)(uint32_t accm, const uint8_t *in, size_t length, uint8_t *out);
};

extern const struct hdlc_kernel hdlc_plain;
const struct hdlc_kernel *hdlc_best(void);	/* for the processor at hand */
const struct hdlc_kernel *hdlc_x86(void);	/* NULL: not this processor */

static inline int hdlc_needs_escape(uint32_t accm, uint8_t byte)
{
	return byte == HDLC_FLAG || byte == HDLC_ESCAPE || (byte < 0x20 && (accm >> byte & 1));
}

#endif
