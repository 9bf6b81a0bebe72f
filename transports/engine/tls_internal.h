/* tls_internal.h: what the tls_*.c files share. */
#ifndef VPN_TLS_INTERNAL_H
#define VPN_TLS_INTERNAL_H

#include "engine.h"
#include "tls_pipe.h"
#include "tls_taken.h"
#include "tls_watch.h"

#include <openssl/ssl.h>

#define TLS_TEXT 256			/* bytes of an error text, with the final NUL */
#define TLS_FAULTS 16			/* verification faults kept */

struct ve_tls_context {
	SSL_CTX *ssl;
	int server;
	int datagrams;			/* for DTLS */
	int any_client;			/* server without CAs: client certificates are not verified */
	char error[TLS_TEXT];
};

enum tls_trust { NEW, PARKED, ACCEPTED, REFUSED };

/* What becomes of the peer's certificate.  The first member of ve_tls and of ve_dtls: the app_data of an SSL points to
 * either, and so to this. */
struct tls_judgement {
	enum tls_trust trust;		/* clients */
	int any_client;			/* as in the context */
	int faults[TLS_FAULTS];		/* X509_V_ERR_*, in the order found */
	int fault_count, fault_depth;
	uint8_t *leaf;			/* DER of the peer's certificate; owned */
	size_t leaf_length;
	const char *refusal;		/* why it was refused without asking, or once more */
};

struct ve_tls {
	struct tls_judgement judged;
	SSL *ssl;
	BIO_METHOD *method;
	struct tls_pipe pipe;
	int server;
	int established;		/* the first handshake is done */
	int dead;			/* a fatal error: hands off libssl */
	int rekeying;			/* a renegotiation is under way, ours or the peer's */
	int asked;			/* the peer asked for a client certificate */
	int wanted;			/* ve_tls_take_over goes on in ve_tls_read */
	struct tls_watch watch;		/* of libssl, until */
	struct tls_taken taken;		/* our own records */
	int failure;			/* VE_TLS_* */
	int alert;			/* fatal alert received, or VE_EMPTY */
	char error[TLS_TEXT];
};

/* Empties libssl's error queue into one line "doing: cause; cause". */
void tls_error_text(char *out, size_t size, const char *doing);

/* Each ends the connection, and returns VE_ERROR. */
int tls_broken(struct ve_tls *tls, const char *text);			/* what came breaks TLS */
int tls_alerted(struct ve_tls *tls, const char *doing, int alert);	/* by the peer's alert */
int tls_lost(struct ve_tls *tls, const char *doing);			/* by what ended the receiving side of the pipe */

/* libssl's question: is this chain good?  Asked anew when a parked handshake goes on, and by a renegotiation. */
int tls_verify(X509_STORE_CTX *store, void *unused);
/* A client's: whom it wants, as ve_tls_new has it.  1: done; 0: err says why not. */
int tls_names(SSL *ssl, const char *server_name, const char *verify_name, char *err, size_t err_size);
int tls_judge(struct tls_judgement *judged, int accept);	/* as ve_tls_trust */
int tls_fault(const struct tls_judgement *judged, size_t index);	/* as ve_tls_verify_fault */
void tls_judgement_clear(struct tls_judgement *judged);

#endif
