/*
 * tls_watch.h: what is noted of libssl's TLS 1.3, so that its records can be made without it.  Internal to tls*.c.
 */
#ifndef VPN_TLS_WATCH_H
#define VPN_TLS_WATCH_H

#include "tls_record.h"

#include <openssl/ssl.h>

/* Indices: 0 received, 1 sent; of secrets 0 the client's, 1 the server's. */
struct tls_watch {
	int finished[2];			/* this direction has its application keys */
	uint64_t records[2];			/* under these keys */
	size_t last_length;			/* bytes behind the header of the record received last */
	size_t handshake;			/* bytes received of a message that is not whole, at least */
	int foul;				/* something happened that only libssl can go on from */
	uint8_t secrets[2][TLS13_SECRET];
	size_t secret_length[2];		/* 0: has not come */
};

void tls_watch_set(SSL_CTX *context);		/* every connection of it has a struct ve_tls as application data */
void tls_watch_wipe(struct tls_watch *watch);	/* the secrets */

#endif
