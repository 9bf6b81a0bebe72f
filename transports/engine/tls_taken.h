/*
 * tls_taken.h: a connection of TLS 1.3 whose records are made without libssl.  Internal to tls*.c.
 */
#ifndef VPN_TLS_TAKEN_H
#define VPN_TLS_TAKEN_H

#include "tls_record.h"

#define TLS_REKEY_AFTER ((uint64_t)1 << 24)	/* records under a key; RFC 8446 section 5.5: 2^24.5 with AES-GCM */

enum {
	TLS_IDLE_RECORDS = 256,			/* records in a row without data, at most */
	TLS_KEY_UPDATES = 32,			/* of the peer in a row, at most; */
	TLS_KEY_UPDATE_PRICE = 16,		/* records of data earn it one more */
	TLS_KEY_UPDATE_MESSAGE = 5,		/* bytes */
	TLS_TICKET = 131337			/* bytes of a NewSessionTicket, at most: what its lengths allow */
};

struct tls_taken {
	int on;
	struct tls_direction in, out;
	const uint8_t *at;			/* content of the record read last, in the receive buffer */
	size_t left;				/* bytes of it that nobody has read */
	int ended;				/* by the peer's close_notify */
	int closed;				/* by ours */
	int update_due;				/* a KeyUpdate of ours, for which there was no room, */
	int ask;				/* and it asks for one of the peer */
	unsigned int idle;			/* records since the last with data */
	unsigned int updates;			/* KeyUpdates, less what data has earned */
	unsigned int earned;			/* records of data towards the next */
	uint8_t message[TLS_KEY_UPDATE_MESSAGE];	/* a handshake message that is not whole */
	size_t message_length;
	size_t skip;				/* bytes of a NewSessionTicket to come */
	uint64_t rekey_after;
};

struct ve_tls;

int tls_taken_begin(struct ve_tls *tls, const struct tls13_suite *suite, const uint8_t *client, const uint8_t *server,
		    const uint64_t sequences[2]);	/* received, sent.  1: done, 0: libcrypto failed */
void tls_taken_clear(struct tls_taken *taken);
/* As ve_tls_read and so on. */
int tls_taken_read(struct ve_tls *tls, uint8_t *out, size_t size);
int tls_taken_write(struct ve_tls *tls, const uint8_t *data, size_t length);	/* there is room for it in the pipe */
int tls_taken_rekey(struct ve_tls *tls);
void tls_taken_shutdown(struct ve_tls *tls);
int tls_taken_has_input(const struct ve_tls *tls);

/* For tests: an established connection with these secrets, that no handshake was made for.  NULL: no memory. */
struct ve_tls *tls_from_secrets(int fd, int server, unsigned int suite, const uint8_t *client, const uint8_t *servers);

#endif
