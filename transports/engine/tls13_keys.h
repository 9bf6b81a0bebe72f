/*
 * tls13_keys.h: from a traffic secret of TLS 1.3 to keys, and on to the next secret.  Internal to tls*.c.
 */
#ifndef VPN_TLS13_KEYS_H
#define VPN_TLS13_KEYS_H

#include "aead.h"

enum { TLS13_SECRET = 48 };		/* bytes, at most: a digest */

struct tls13_suite {
	unsigned int id;		/* as on the wire, 0x1301 and up */
	int cipher;			/* NID, as in aead.h */
	const char *digest;
	size_t secret;			/* bytes: of the digest */
};

const struct tls13_suite *tls13_suite(unsigned int id);		/* NULL: none of ours */
/* RFC 8446 section 7.1: HKDF-Expand-Label(secret, label, "", length).  1: done, 0: libcrypto failed. */
int tls13_expand(const struct tls13_suite *suite, const uint8_t *secret, const char *label, uint8_t *out, size_t length);

#endif
