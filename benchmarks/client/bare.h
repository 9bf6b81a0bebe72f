/*
 * bare.h: the bare pump, the limit of this machine: what a tunnel costs when there is no protocol in it.
 *
 * A TUN device with offloads on one side, a link on the other.  The engine's own cutting and joining stands between them;
 * a link carries packets to the same program in another network namespace, one packet a datagram or a TLS record.
 *
 *     bare.c       device, loop, command line
 *     bare_udp.c   datagrams in the clear, by UDP_SEGMENT and UDP_GRO
 *     bare_tls.c   one TLS stream, libssl on memory BIOs
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define BARE_PACKET 65535	/* bytes, at most */

struct bare_link {
	int fd;
	/* Room for one packet of at most `length` bytes; NULL: the link is full, wait for POLLOUT. */
	uint8_t *(*room)(struct bare_link *link, size_t length);
	void (*put)(struct bare_link *link, size_t length);	/* a packet lies in the room */
	int (*flush)(struct bare_link *link);			/* 1: all is with the kernel */
	/* Hands what came to bare_take, in order.  0: nothing came; the packets stay where they are until the next call. */
	int (*receive)(struct bare_link *link);
	const char *about;
};

/* Connected and ready, or the program ends.  address, port: to listen on, or to connect to. */
struct bare_link *bare_udp(int listening, const char *address, int port);
struct bare_link *bare_tls(int listening, const char *address, int port);

int bare_take(uint8_t *packet, size_t length);	/* 1: no more fit, bare_deliver first */
void bare_deliver(void);			/* what was taken leaves for the device */

noreturn void bare_die(const char *what);
int bare_socket(int type, int listening, const char *address, int port);	/* bound, or connected */
void bare_wait(int fd, short events);

#endif
