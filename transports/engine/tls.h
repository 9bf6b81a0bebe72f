/*
 * tls.h: what the pump needs of a TLS connection beyond engine.h.  Internal; not part of the ABI.
 *
 * ve_tls_read never blocks and refills a large receive buffer (>= 128 KiB) with ONE recv per refill.  ve_tls_write makes
 * exactly ONE record per call (length <= 16384) and appends it to the output buffer (>= 256 KiB) without a system call;
 * VE_WANT_WRITE: no room, VE_WANT_READ: a renegotiation is under way; nothing was taken then.  ve_tls_flush makes one
 * send of all that is buffered.  ve_tls_read may leave handshake messages in the output buffer if the kernel takes no
 * more: poll for POLLOUT and flush while ve_tls_buffered_out() > 0.  ve_tls_rekey, ve_tls_rekey_done and
 * ve_tls_buffered_out are in engine.h.
 */
#ifndef VPN_ENGINE_TLS_H
#define VPN_ENGINE_TLS_H

#include "engine.h"

int ve_tls_fd(const struct ve_tls *tls);
int ve_tls_record_read(const struct ve_tls *tls);	/* 1: nothing is left of the record that was read from last */
int ve_tls_has_input(const struct ve_tls *tls);		/* 1: plaintext or undecrypted bytes wait, read before polling */
uint64_t ve_tls_recv_calls(const struct ve_tls *tls);	/* system calls made so far */
uint64_t ve_tls_send_calls(const struct ve_tls *tls);

#endif
