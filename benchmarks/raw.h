/*
 * raw.h: what libcrypto itself reaches with the cryptography of ESP: the yardstick for the codec.
 *
 * AES-GCM by EVP: nonce, 8 bytes of header, one packet, tag.  AES-CBC by EVP: IV and one packet; and the sum of it with
 * HMAC over header, IV and ciphertext, on libcrypto's plain digest functions with copied states: that is the fastest way
 * it has (EVP_MAC allocates twice a packet, and would flatter us by 10 % with full packets and by half with small ones).
 * Contexts are keyed once.
 */
#ifndef VPN_BENCH_RAW_H
#define VPN_BENCH_RAW_H

#include <stddef.h>
#include <stdint.h>

struct raw;
/* sa: the value of the option esp.out.  Ends the program on failure, as do the others. */
struct raw *raw_new(const uint8_t *sa, size_t length);
void raw_free(struct raw *raw);
/* One packet as it is on the wire, of `length` bytes: checked and decrypted to out. */
void raw_open(struct raw *raw, const uint8_t *wire, size_t length, uint8_t *out);
/* `length` bytes of plaintext, trailer included, to a packet of the same layout. */
void raw_seal(struct raw *raw, const uint8_t *plain, size_t length, uint8_t *wire);
size_t raw_overhead(const struct raw *raw);	/* bytes of a packet that are not ciphertext */

#endif
