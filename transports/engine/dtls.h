/*
 * dtls.h: what a pump does with an established DTLS association.  Internal; the functions are in engine.h.
 *
 * Sending: place the payload at datagram + ve_dtls_head(), then ve_dtls_seal: one record, one datagram.  Receiving: call
 * ve_dtls_open on what is left of a datagram until all of it is used; it decrypts in place.  After a batch of opened
 * datagrams send what ve_dtls_reply gives (usually nothing).  At the end send what ve_dtls_close gives.
 * With own_records (ve_dtls_info) a packet costs two calls of libcrypto; without, libssl makes the records, slower.
 */
#ifndef VPN_ENGINE_DTLS_H
#define VPN_ENGINE_DTLS_H

#include "engine.h"

#endif
