/*
 * link.h: the datagram link of a pump: a UDP socket, perhaps DTLS on it, and a framing of datagrams.  Internal.
 *
 * It comes and goes while the pump runs: the owner makes one and hands it over, the pump's thread uses, loses and frees
 * it.  pump_link.c; what the owner calls is in engine.h.
 */
#ifndef VPN_ENGINE_LINK_H
#define VPN_ENGINE_LINK_H

#include "codec.h"
#include "engine.h"

struct ve_link {
	int fd;				/* its own duplicate */
	struct ve_datagrams *socket;
	struct ve_dtls *dtls;		/* owned; NULL: the framing protects its packets by itself */
	struct ve_codec *codec;
	struct ve_sink *sink;		/* of the device it is attached to; NULL: of none */
	size_t largest;			/* bytes of the largest datagram */
	size_t head, tail;		/* bytes that DTLS adds before and behind */
	int later;			/* frames of packets may be unfinished until the batch leaves */
	int writable;			/* 0: wait for POLLOUT before the next send */
	int told_mtu;			/* the path MTU that the owner knows of; 0: none */
	int inherits;			/* the codec of the link before goes on in this one, and this one's in the next */
};

#endif
