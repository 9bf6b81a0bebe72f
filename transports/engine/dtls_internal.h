/* dtls_internal.h: what the dtls*.c files and their tests share. */
#ifndef VPN_DTLS_INTERNAL_H
#define VPN_DTLS_INTERNAL_H

#include "dtls.h"
#include "dtls_pipe.h"
#include "dtls_record.h"
#include "tls_internal.h"

#include <openssl/ssl.h>

enum {	/* bytes */
	DTLS_MASTER = 48,
	DTLS_SESSION_ID = 32,		/* at most */
	DTLS_IDENTITY = 128,		/* at most, with the final NUL */
	DTLS_FINISHED_MESSAGE = 24,	/* its header and 12 bytes of verify_data */
	DTLS_SESSION_DER = 128,		/* room for a forged session */
	DTLS_COOKIE = 32		/* of a HelloVerifyRequest */
};

enum dtls_state {
	SHAKING,	/* libssl has the word */
	OPEN,		/* data goes both ways */
	ENDED,		/* by a close_notify, theirs or ours */
	DEAD		/* a failure, see there */
};

struct ve_dtls {
	struct tls_judgement judged;	/* with certificates */
	enum dtls_state state;
	int server, mode, version;
	SSL *ssl;			/* NULL: libssl is not needed any more */
	BIO_METHOD *method;
	SSL_SESSION *forged;
	struct dtls_pipe pipe;
	struct dtls_aead aead;		/* our own record layer; without it libssl makes the records */
	struct dtls_window window;	/* without it: to tell a replay from a forgery, */
	size_t least_body;		/* and bytes of the shortest body that a record may have */
	uint8_t secret[VE_DTLS_SECRET];
	size_t secret_length;
	uint8_t session_id[DTLS_SESSION_ID];
	size_t session_id_length;
	char identity[DTLS_IDENTITY];
	uint32_t retransmit_ms, retransmit_most_ms;
	int listening;			/* a server with certificates: our cookie has not come back */
	uint8_t cookie[DTLS_COOKIE];
	uint8_t *rest;			/* of the datagram with the certificate that is being judged; owned */
	size_t rest_length;
	int not_resumed;		/* a hello with another session id came */
	int last_word;			/* the handshake's last flight was ours */
	uint8_t finished[DTLS_FINISHED_MESSAGE];	/* ours, as it was sent, to be sent again */
	size_t finished_length;
	int reply_due;			/* the peer shows that it lacks our last flight */
	int replays_answered;
	struct ve_dtls_info info;
	struct ve_dtls_stats stats;
	int failure, alert;		/* VE_DTLS_*; a number or VE_EMPTY */
	char error[TLS_TEXT];
};

/* Everything that libssl has to be told before a handshake.  1: done; 0: refused, err says why. */
int dtls_set_up(struct ve_dtls *dtls, const struct ve_dtls_settings *settings, char *err, size_t err_size);
/* The DER of a session that never was, as d2i_SSL_SESSION reads it; its length.  out: DTLS_SESSION_DER bytes. */
size_t dtls_forge(uint8_t *out, int version, unsigned int suite, const uint8_t *session_id, size_t session_id_length,
		  const uint8_t master[DTLS_MASTER]);

/* What certificates need of the connection, before its first step.  1: done. */
int dtls_certificate_set(struct ve_dtls *dtls, struct ve_tls_context *context);
/* A server's hello.  1: the cookie came back, go on; 0: not yet; -1: libssl failed. */
int dtls_listen(struct ve_dtls *dtls);
void dtls_keep_rest(struct ve_dtls *dtls, const uint8_t *rest, size_t length);	/* until the certificate is judged */

int dtls_step(struct ve_dtls *dtls);	/* of the handshake, as ve_dtls_feed */
int dtls_fail(struct ve_dtls *dtls, int failure, const char *text);	/* VE_ERROR */
/* An error of libssl, of which it says no more than that: its cause, and VE_ERROR. */
int dtls_died(struct ve_dtls *dtls, const char *doing);

/* Records by libssl, for the suites that are not ours.  As the functions of the record layer. */
size_t dtls_libssl_least(const SSL_CIPHER *cipher);	/* bytes of the shortest body that libssl can be shown */
int dtls_libssl_seal(struct ve_dtls *dtls, uint8_t *datagram, size_t payload_length, size_t size);
int dtls_libssl_open(struct ve_dtls *dtls, const struct dtls_header *header, uint8_t *record, uint8_t **payload);
int dtls_libssl_reply(struct dtls_pipe *pipe, uint8_t *out, size_t size);
int dtls_libssl_close(struct ve_dtls *dtls, uint8_t *out, size_t size);

/* For tests: an open association with these keys, that no handshake was made for. */
struct ve_dtls *dtls_from_secrets(const struct dtls_secrets *secrets);

#endif
