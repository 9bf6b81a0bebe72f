/*
 * engine.h: the one public header of the engine; the C compiler and cffi both read it.
 *
 * Keep to plain declarations and integer #defines: cffi parses this file (scripts/build_engine.py strips the
 * preprocessor lines).  C never calls Python.  Nothing here is global state; an object belongs to one thread at a
 * time, but for the functions of ve_pump marked "any thread".  Sizes are bytes, times CLOCK_MONOTONIC nanoseconds.
 * Every constructor returns NULL on failure and writes a text to err.
 */
#ifndef VPN_ENGINE_H
#define VPN_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define VE_API __declspec(dllexport)
#else
#define VE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define VE_ABI 9		/* changes with any change below */

/* What calls return: a count >= 0, or one of these. */
#define VE_OK 0
enum {
	VE_WANT_READ = -1,	/* wait until the descriptor is readable, call again */
	VE_WANT_WRITE = -2,	/* wait until it is writable, call again */
	VE_WANT_TRUST = -3,	/* handshake parked: judge the peer's chain, ve_tls_trust(), call again */
	VE_EOF = -4,		/* orderly end (close_notify) */
	VE_FULL = -5,		/* no room; nothing was taken */
	VE_EMPTY = -6,		/* nothing there */
	VE_ERROR = -7,		/* see the object's error text */
	VE_GONE = -8		/* the device or descriptor is no longer usable */
};

/* Called once at load: what this library was built as. */
struct ve_abi {
	uint32_t abi;			/* VE_ABI */
	uint32_t sink_stats_size;	/* sizeof of the structs that cross the border */
	uint32_t reader_stats_size;
	uint32_t pump_stats_size;
	uint32_t control_size;
	uint32_t tls_info_size;
	uint32_t datagram_stats_size;
	uint32_t dtls_info_size;
	uint32_t dtls_stats_size;
	uint32_t dtls_settings_size;
	char openssl[64];		/* version text of the libssl in use */
};
VE_API void ve_abi(struct ve_abi *out);
/* Memory of this process holds secrets: no core dump, no ptrace by others of this user.  VE_OK or VE_ERROR. */
VE_API int ve_forbid_core_dumps(void);

/* ---- sinks: where decoded packets go ------------------------------------------------------------------------ */

#define VE_MAX_PACKET 16384		/* the largest packet that any link may bring */

struct ve_sink_stats {
	uint64_t packets;	/* handed to the device */
	uint64_t bytes;
	uint64_t in_place;	/* committed from a reservation */
	uint64_t copied;	/* came by write(), or was parked */
	uint64_t expanded;	/* committed from a reservation that had to grow */
	uint64_t moved;		/* reservations closed up by a move, section 9 of the Wintun notes */
	uint64_t parked;	/* reservations that left the order before they were full */
	uint64_t aborted;
	uint64_t dropped_full;	/* the device or queue was full */
	uint64_t dropped_expand;/* no room where a grown packet belongs */
	uint64_t refused;	/* the device refused the packet (EINVAL, EIO while down) */
	uint64_t not_ip;	/* neither IPv4 nor IPv6, or shorter than its header */
	uint64_t oversize;	/* larger than the reservation or VE_MAX_PACKET */
	uint64_t over_mtu;	/* larger than the device's MTU, handed over all the same */
	uint64_t writes;	/* system calls made to hand packets over */
	uint64_t super_packets;	/* of several packets each, handed over */
	uint64_t joined;	/* packets in them */
	uint64_t join_refused;	/* super-packets that the device refused: written packet by packet, and none since */
	uint64_t join_bad_checksum;	/* packets that fitted into one but for their checksum */
};

struct ve_sink;
VE_API struct ve_sink *ve_sink_tun(int fd, size_t mtu, char *err, size_t err_size);	/* borrows fd */
/* What a TUN was opened with, and what may be made of it. */
#define VE_TUN_VNET 1			/* ten bytes of virtio header before every packet, little-endian, both ways */
#define VE_TUN_JOIN_TCP 2		/* packets of a batch are joined per flow into super-packets */
#define VE_TUN_JOIN_UDP 4
#define VE_TUN_PROBE 8			/* before the first one the device is tried with super-packets that go nowhere */
VE_API struct ve_sink *ve_sink_tun_offload(int fd, size_t mtu, unsigned int offload, char *err, size_t err_size);
VE_API struct ve_sink *ve_sink_memory(size_t slots, char *err, size_t err_size);	/* keeps what is flushed, for tests */
VE_API void ve_sink_free(struct ve_sink *sink);
/* Room for capacity bytes, valid until committed or aborted; NULL: full or too large, counted. */
VE_API uint8_t *ve_sink_reserve(struct ve_sink *sink, size_t capacity);
/* The packet is the first `length` bytes.  VE_OK: taken (what is no IP packet is dropped and counted, bytes beyond the IP
 * length are cut); VE_ERROR: longer than the reservation (counted, given back), or no open reservation. */
VE_API int ve_sink_commit(struct ve_sink *sink, uint8_t *reservation, size_t length);
VE_API int ve_sink_abort(struct ve_sink *sink, uint8_t *reservation);
/* No decoder is at work on this sink any more: abort what is open.  A link that was lost within a packet leaves that. */
VE_API void ve_sink_abandon(struct ve_sink *sink);
/* More room for an open reservation, of which the first `used` bytes are kept.  Where it is now: the same memory for the
 * newest, where it fits, otherwise scratch memory (then one copy is made when it is its turn).  NULL: no room, counted
 * and given back, or no open reservation. */
VE_API uint8_t *ve_sink_expand(struct ve_sink *sink, uint8_t *reservation, size_t used, size_t capacity);
/* An open reservation, of which the first `used` bytes are kept, must no longer hold back those behind it.  Where it is
 * now: scratch memory.  When it is committed it is copied behind all that was reserved by then; no room: dropped and
 * counted.  The same memory: parked already, or no scratch memory is left, and it holds back on.  NULL: no open
 * reservation, or `used` is more than it has (counted, given back). */
VE_API uint8_t *ve_sink_park(struct ve_sink *sink, uint8_t *reservation, size_t used);
/* Copy a packet in.  VE_OK, VE_FULL: dropped and counted, VE_ERROR: larger than VE_MAX_PACKET, counted. */
VE_API int ve_sink_write(struct ve_sink *sink, const uint8_t *packet, size_t length);
VE_API int ve_sink_flush(struct ve_sink *sink);	/* VE_OK, or VE_GONE: the device is gone */
/* Call before the thread sleeps.  Milliseconds after which to call again at the latest, -1: no need. */
VE_API int ve_sink_idle(struct ve_sink *sink);
VE_API void ve_sink_stats(const struct ve_sink *sink, struct ve_sink_stats *out);
/* Memory sink only: copy out the oldest flushed packet; its length, or VE_EMPTY, or VE_FULL: size is too small. */
VE_API int ve_sink_memory_take(struct ve_sink *sink, uint8_t *out, size_t size);

/* ---- the rings of a Wintun adapter, registered by us -------------------------------------------------------- */

#define VE_RING_OVERHEAD 65548		/* bytes of a ring besides its capacity: three words, and the trailing region */
#define VE_RING_MIN 131072		/* bytes of capacity; a power of two */
#define VE_RING_MAX 67108864

/* A sink that decodes into the driver's Receive ring and shrinks there; it must outlive the sink.  size: capacity +
 * VE_RING_OVERHEAD bytes, 4-byte aligned.  Head must equal Tail: a fresh ring is zero.  event: the one registered with the
 * ring (an eventfd on Linux, a HANDLE on Windows).  Reservations of max(mtu, VE_MAX_PACKET) bytes. */
VE_API struct ve_sink *ve_sink_wintun(uint8_t *ring, size_t size, intptr_t event, size_t mtu, char *err, size_t err_size);
/* After VE_GONE, with the old registration closed: make the ring ready to be registered again.  Open reservations stay;
 * what was committed and not finished is dropped (refused).  VE_ERROR: no Wintun ring. */
VE_API int ve_sink_wintun_restart(struct ve_sink *sink);

/* Functions of wintun.dll and the session they work on.  (Their calling convention is the C one on 64-bit systems.) */
struct ve_wintun_calls {
	void *session;
	uint8_t *(*receive)(void *session, uint32_t *length);
	void (*release)(void *session, const uint8_t *packet);
	uint8_t *(*allocate)(void *session, uint32_t length);
	void (*send)(void *session, const uint8_t *packet);
	int (*shrink)(void *session, const uint8_t *packet, uint32_t length);	/* NULL: the library has none */
	uint32_t (*last_error)(void);
};

/* A sink that sends through a session of the library: by a copy, or in place where it can shrink. */
VE_API struct ve_sink *ve_sink_session(const struct ve_wintun_calls *calls, size_t mtu, char *err, size_t err_size);

struct ve_reader_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t not_ip;	/* zero-filled by the driver, or otherwise no IP packet */
	uint64_t batches;	/* releases that gave the driver room back */
	uint64_t corrupt;	/* a size that cannot be: the registration is dead */
};

/* Reads the driver's Send ring in place.  The same rules as for ve_sink_wintun. */
struct ve_reader;
VE_API struct ve_reader *ve_reader_wintun(uint8_t *ring, size_t size, intptr_t event, char *err, size_t err_size);
/* Reads through a session of the library; event: the session's. */
VE_API struct ve_reader *ve_reader_session(const struct ve_wintun_calls *calls, intptr_t event, char *err,
					   size_t err_size);
VE_API void ve_reader_free(struct ve_reader *reader);
/* The next packet, in the ring, valid (and writable) until released: its length > 0; VE_EMPTY: release, then wait by
 * ve_reader_wait alone, as a session lends so many at most; VE_GONE: the driver ended the registration; VE_ERROR: the
 * ring is corrupt, register again. */
VE_API int ve_reader_next(struct ve_reader *reader, uint8_t **packet);
VE_API void ve_reader_release(struct ve_reader *reader);	/* all that came by next: call once a batch */
VE_API int ve_reader_wait(struct ve_reader *reader, int ms);	/* VE_OK: look again; VE_EMPTY: nothing within ms */
VE_API int ve_reader_restart(struct ve_reader *reader);	/* as ve_sink_wintun_restart; VE_ERROR: no ring of ours */
VE_API void ve_reader_stats(const struct ve_reader *reader, struct ve_reader_stats *out);

/* ---- codecs: framings, a decoder and an encoder each -------------------------------------------------------- */

struct ve_control {
	uint32_t kind;		/* the framing's own number */
	uint32_t length;	/* bytes of payload used */
	uint8_t payload[16384];
};

struct ve_codec;
VE_API struct ve_codec *ve_codec_new(const char *framing, char *err, size_t err_size);
VE_API void ve_codec_free(struct ve_codec *codec);
/* Decode bytes in any chunking; a call is one read of the link.  VE_OK, or VE_ERROR: the stream cannot go on, see
 * ve_codec_error. */
VE_API int ve_codec_feed(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length);
/* Another link has packets for the same sink: the packet that this one is within must not hold them back, its reservation
 * is parked.  Before a batch of datagrams is decoded; free where nothing is open.  The next bytes of the stream belong
 * elsewhere then. */
VE_API void ve_codec_park(struct ve_codec *codec, struct ve_sink *sink);
/* The stream ended in order.  VE_OK, or VE_ERROR with a text: the framing does not allow an end here. */
VE_API int ve_codec_end(struct ve_codec *codec);
/* A framing whose unit is the datagram: decode one, whole.  What is wrong with it is counted and dropped: VE_OK, or
 * VE_ERROR for a framing of streams. */
VE_API int ve_codec_datagram(struct ve_codec *codec, struct ve_sink *sink, const uint8_t *data, size_t length);
/* Datagrams that came together; to some framings several are cheaper than one by one.  Otherwise the same. */
struct ve_span {
	const uint8_t *at;
	size_t length;
};
VE_API int ve_codec_datagrams(struct ve_codec *codec, struct ve_sink *sink, const struct ve_span *datagrams, size_t count);
/* Set an option of this framing (keys, negotiated maps, ...; named in protocols/framing/NAME.c).  VE_OK, or VE_ERROR
 * with a text in ve_codec_error: no such option, or a bad value; the codec goes on as it was. */
VE_API int ve_codec_set(struct ve_codec *codec, const char *option, const uint8_t *value, size_t length);
VE_API int ve_codec_next_control(struct ve_codec *codec, struct ve_control *out);	/* VE_OK or VE_EMPTY */
/* Frame a packet or a control frame; returns the bytes written to out, or VE_FULL: size is too small, or VE_ERROR: the
 * payload or its kind does not fit a frame.  A payload that lies where it belongs in out already is not copied. */
VE_API int ve_codec_encode(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size);
VE_API int ve_codec_encode_control(struct ve_codec *codec, uint32_t kind, const uint8_t *payload, size_t length,
				   uint8_t *out, size_t size);
/* As ve_codec_encode, of packets that leave together: the frame is one only when ve_codec_finish was called.  Until then
 * it stays where it is, and nobody reads it. */
VE_API int ve_codec_encode_later(struct ve_codec *codec, const uint8_t *packet, size_t length, uint8_t *out, size_t size);
VE_API void ve_codec_finish(struct ve_codec *codec);
VE_API const char *ve_codec_error(const struct ve_codec *codec);	/* "field: got X, want Y (byte N)" */
/* Counters by cause: name and value of counter `index`, VE_OK, or VE_EMPTY past the last. */
VE_API int ve_codec_counter(const struct ve_codec *codec, size_t index, const char **name, uint64_t *value);

/* ---- compression of packets --------------------------------------------------------------------------------- */

struct ve_compression;	/* both directions of one connection */
/* "lzs", "oc-lz4", "deflate" (a stream each way), "lzo" (only expands).  NULL: no such, or built without its library. */
VE_API struct ve_compression *ve_compression_new(const char *name, char *err, size_t err_size);
VE_API void ve_compression_free(struct ve_compression *compression);
/* Bytes written to out, or VE_FULL: it does not fit; the packet can be sent as it is. */
VE_API int ve_compression_shrink(struct ve_compression *compression, const uint8_t *packet, size_t length, uint8_t *out,
				 size_t size);
/* Bytes of packet, or VE_ERROR: damaged or more than size.  A stream is lost then, for good: see ve_compression_error. */
VE_API int ve_compression_expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out,
				 size_t size);
VE_API const char *ve_compression_error(const struct ve_compression *compression);

/* ---- TLS: one connection on libssl over a non-blocking descriptor ------------------------------------------- */

#define VE_TLS_RECORD 16384		/* bytes: the largest record, and so the most that one ve_tls_write takes */
#define VE_TLS_CERTIFICATE 65536	/* bytes: the largest certificate accepted from a peer */
#define VE_TLS_CHAIN 10			/* certificates a peer may send */

enum {	/* why a connection failed: ve_tls_failure */
	VE_TLS_NO_FAILURE = 0,
	VE_TLS_TRUNCATED = 1,		/* TCP ended without close_notify */
	VE_TLS_RESET = 2,		/* TCP was reset */
	VE_TLS_SOCKET = 3,		/* another error of the descriptor: timed out, unreachable, ... */
	VE_TLS_ALERT = 4,		/* the peer sent a fatal alert: ve_tls_alert */
	VE_TLS_BROKEN = 5,		/* what came breaks TLS, or nothing common was found */
	VE_TLS_REFUSED = 6		/* we refused the peer's certificate */
};

struct ve_tls_context;
struct ve_tls;

struct ve_tls_info {
	char version[16];		/* "TLSv1.3" */
	char cipher[64];		/* "TLS_AES_256_GCM_SHA384" */
	uint32_t peer_chain;		/* certificates the peer sent */
	int32_t verify_error;		/* X509_V_ERR_* of the first fault, 0 = chain and name verified */
	int32_t verify_depth;
	uint32_t client_certificate_asked;	/* 1: the peer asked for one */
	uint32_t client_certificate_sent;
	uint32_t reused;
};

/* datagrams: for DTLS, ve_dtls_settings.context; the versions and the suites are those of each association then. */
VE_API struct ve_tls_context *ve_tls_context_new(int server, int datagrams, char *err, size_t err_size);
VE_API void ve_tls_context_free(struct ve_tls_context *context);	/* its connections may outlive it */
/* min, max: 0x0303 = TLS 1.2, 0x0304 = TLS 1.3, 0 = the library's. */
VE_API int ve_tls_context_versions(struct ve_tls_context *context, int min, int max);
VE_API int ve_tls_context_ciphers(struct ve_tls_context *context, const char *list);	/* TLS <= 1.2 */
VE_API int ve_tls_context_system_trust(struct ve_tls_context *context);
VE_API int ve_tls_context_add_ca(struct ve_tls_context *context, const uint8_t *der, size_t length);
/* Own certificate (leaf first, DER), its unencrypted PKCS#8 key (DER), and the rest of the chain. */
VE_API int ve_tls_context_identity(struct ve_tls_context *context, const uint8_t *certificate, size_t certificate_length,
				   const uint8_t *key, size_t key_length);
VE_API int ve_tls_context_add_chain(struct ve_tls_context *context, const uint8_t *der, size_t length);
/* Server: ask clients for a certificate issued by one of the CAs added (required: refuse those without).  With no CA
 * added any certificate is taken: the caller judges it. */
VE_API int ve_tls_context_ask_client(struct ve_tls_context *context, int required);
VE_API const char *ve_tls_context_error(const struct ve_tls_context *context);

/* server_name: SNI, NULL for none.  verify_name: host name or numeric address the certificate must match, NULL for
 * servers.  Borrows fd; the caller closes it after ve_tls_free. */
VE_API struct ve_tls *ve_tls_new(struct ve_tls_context *context, int fd, const char *server_name,
				 const char *verify_name, char *err, size_t err_size);
VE_API void ve_tls_free(struct ve_tls *tls);
/* VE_OK, VE_WANT_READ, VE_WANT_WRITE, VE_WANT_TRUST (clients, always once, before anything secret is sent), VE_ERROR. */
VE_API int ve_tls_handshake(struct ve_tls *tls);
VE_API int ve_tls_trust(struct ve_tls *tls, int accept);
/* X509_V_ERR_* of fault `index` that verification found, in the order found, or VE_EMPTY past the last. */
VE_API int ve_tls_verify_fault(const struct ve_tls *tls, size_t index);
/* DER of certificate `index` of the peer's chain (0 = leaf); its length, VE_EMPTY, or VE_FULL. */
VE_API int ve_tls_peer_certificate(struct ve_tls *tls, size_t index, uint8_t *out, size_t size);
VE_API void ve_tls_info(struct ve_tls *tls, struct ve_tls_info *out);
/* From here on records are made without libssl, for a fraction of its cost: TLS 1.3 with AES-GCM or ChaCha20-Poly1305.
 * VE_OK: so it is; VE_EMPTY: not yet, as libssl has begun with a record, ve_tls_read sees to it; VE_ERROR: libssl goes on
 * making them.  Nothing else changes. */
VE_API int ve_tls_take_over(struct ve_tls *tls);
VE_API int ve_tls_read(struct ve_tls *tls, uint8_t *out, size_t size);		/* > 0, VE_WANT_*, VE_EOF, VE_ERROR */
/* One record of at most VE_TLS_RECORD bytes.  Bytes taken > 0, VE_WANT_WRITE: flush first, VE_WANT_READ: a handshake is
 * under way, read first, VE_ERROR. */
VE_API int ve_tls_write(struct ve_tls *tls, const uint8_t *data, size_t length);
VE_API int ve_tls_flush(struct ve_tls *tls);	/* VE_OK: all handed to the kernel; VE_WANT_WRITE; VE_ERROR */
VE_API int ve_tls_shutdown(struct ve_tls *tls);	/* queue close_notify; then flush */
/* Renew the keys: TLS 1.2 renegotiates, TLS 1.3 sends a KeyUpdate and asks for the peer's.  VE_OK: begun; VE_ERROR: the
 * peer cannot, the connection goes on unless ve_tls_failure says otherwise.  Drive it with ve_tls_read. */
VE_API int ve_tls_rekey(struct ve_tls *tls);
VE_API int ve_tls_rekey_done(struct ve_tls *tls);	/* 0: a renegotiation is under way, ours or the peer's */
VE_API int ve_tls_export(struct ve_tls *tls, const char *label, uint8_t *out, size_t length);
VE_API int ve_tls_finished(struct ve_tls *tls, uint8_t *out, size_t size);	/* own Finished, for channel binding */
VE_API const char *ve_tls_error(const struct ve_tls *tls);	/* what came, what was wanted */
VE_API int ve_tls_failure(const struct ve_tls *tls);		/* VE_TLS_*: what ended the connection */
VE_API int ve_tls_alert(const struct ve_tls *tls);		/* number of the fatal alert received, or VE_EMPTY */
VE_API size_t ve_tls_buffered_out(const struct ve_tls *tls);	/* ciphertext bytes not yet taken by the kernel */

/* ---- datagrams: one connected UDP socket, in batches both ways (Linux) -------------------------------------- */

#define VE_DATAGRAM_MAX 65535		/* bytes of the largest datagram */
#define VE_DATAGRAM_BATCH 256		/* datagrams that wait to be sent, at most */

/* What the kernel does of a batch: ve_datagrams_offload. */
#define VE_UDP_SEGMENT 1		/* a run of equally long ones is handed over as one (UDP_SEGMENT) */
#define VE_UDP_JOINED 2			/* several of the peer may come as one (UDP_GRO) */

struct ve_datagram_stats {
	uint64_t tx_datagrams, tx_bytes;/* handed to the kernel */
	uint64_t tx_calls;		/* system calls that sent */
	uint64_t tx_segmented;		/* runs handed over as one */
	uint64_t tx_full;		/* EAGAIN, ENOBUFS: the kernel took none for now */
	uint64_t rx_datagrams, rx_bytes;/* given out or waiting for ve_datagrams_next */
	uint64_t rx_calls;
	uint64_t rx_joined;		/* receives of several datagrams as one */
	uint64_t too_large;		/* dropped: EMSGSIZE, larger than the path takes */
	uint64_t no_buffers;		/* dropped: ENOBUFS, again at the second try */
	uint64_t firewalled;		/* dropped: EPERM, refused by this host */
	uint64_t truncated;		/* came and were dropped: larger than `largest`, or cut by the kernel */
	uint64_t refused;		/* ECONNREFUSED reported: nobody listens there */
	uint64_t fallbacks;		/* runs that were refused as one, and sent singly */
};

struct ve_datagrams;
/* Borrows fd: connected, IPv4 or IPv6.  largest: bytes of the largest datagram either way.  Sets path MTU discovery (DF),
 * and uses what the kernel has of the offloads. */
VE_API struct ve_datagrams *ve_datagrams_new(int fd, size_t largest, char *err, size_t err_size);
VE_API void ve_datagrams_free(struct ve_datagrams *datagrams);
/* Use no more than these VE_UDP_* flags (the user's switch), before anything is received; what is in use now. */
VE_API unsigned int ve_datagrams_offload(struct ve_datagrams *datagrams, unsigned int allowed);

/* Where the next datagram of at most size bytes is written, valid until put or the next room; NULL: the batch is full,
 * flush first, or size is more than largest. */
VE_API uint8_t *ve_datagrams_room(struct ve_datagrams *datagrams, size_t size);
/* The datagram is the first `length` bytes of the newest room; 0: given back.  It stays where it is until a flush; of a
 * batch that a flush left in part, what waits may be moved to make room. */
VE_API void ve_datagrams_put(struct ve_datagrams *datagrams, size_t length);
/* VE_OK: the kernel has all (or they were dropped, counted); VE_WANT_WRITE: wait until the socket is writable, the rest
 * stays; VE_ERROR: see ve_datagrams_errno, the rest stays too: an ICMP error is reported once, then sending goes on. */
VE_API int ve_datagrams_flush(struct ve_datagrams *datagrams);
VE_API size_t ve_datagrams_waiting(const struct ve_datagrams *datagrams);	/* datagrams not yet taken by the kernel */

/* One system call's worth: the datagrams that wait for ve_datagrams_next, > 0 (no call is made while there are some);
 * VE_WANT_READ; VE_ERROR: see ve_datagrams_errno, as for flush. */
VE_API int ve_datagrams_receive(struct ve_datagrams *datagrams);
/* VE_OK: the next one, in writable memory that is valid until a receive that makes a call; VE_EMPTY. */
VE_API int ve_datagrams_next(struct ve_datagrams *datagrams, uint8_t **at, size_t *length);
/* 1: the last receive filled every buffer, so more may wait; 0: wait until the socket is readable. */
VE_API int ve_datagrams_more(const struct ve_datagrams *datagrams);

/* Bytes of the largest IP packet that the kernel believes the path takes, never below 576 (IPv4) or 1280 (IPv6); or
 * VE_ERROR. */
VE_API int ve_datagrams_mtu(struct ve_datagrams *datagrams);
/* 1, once: the kernel said that a datagram is too large for the path; ask for the MTU. */
VE_API int ve_datagrams_mtu_changed(struct ve_datagrams *datagrams);
/* 1: sizes are being probed, send what the device takes whatever ICMP has said; 0: believe it.  VE_OK or VE_ERROR. */
VE_API int ve_datagrams_probe(struct ve_datagrams *datagrams, int on);
VE_API int ve_datagrams_errno(const struct ve_datagrams *datagrams);	/* of the last VE_ERROR */
VE_API void ve_datagrams_stats(const struct ve_datagrams *datagrams, struct ve_datagram_stats *out);
/* ---- DTLS: one association; datagrams go in and out as bytes, the socket is the caller's ---------------------- */

#define VE_DTLS_12 0xfefd		/* versions, as on the wire; no other than the one wanted is agreed on */
#define VE_DTLS_10 0xfeff		/* with certificates alone; its handshake has libssl's security level 0, they do not */
#define VE_DTLS_CISCO 0x0100		/* "0.9", before RFC 4347; clients alone */
#define VE_DTLS_PAYLOAD 16384		/* bytes: the most in a record */
#define VE_DTLS_SECRET 256		/* bytes: the longest pre-shared key */

enum {	/* how the peers know each other: ve_dtls_settings.mode */
	VE_DTLS_PSK = 1,		/* a full handshake with a pre-shared key */
	VE_DTLS_RESUME = 2,		/* an abbreviated one: both have the master secret of a session that never was */
	VE_DTLS_CERTIFICATE = 3		/* a full one with certificates: the server's, and the client's if it is asked */
};

enum {	/* why an association failed: ve_dtls_failure */
	VE_DTLS_NO_FAILURE = 0,
	VE_DTLS_ALERT = 1,		/* the peer sent a fatal alert: ve_dtls_alert */
	VE_DTLS_BROKEN = 2,		/* what came breaks DTLS, or nothing common was found */
	VE_DTLS_NOT_RESUMED = 3,	/* the peer wants a full handshake where it should resume: not who it should be */
	VE_DTLS_TIMED_OUT = 4,		/* no answer to the last of the retransmissions */
	VE_DTLS_USED_UP = 5,		/* no sequence number is left, or too many forgeries came */
	VE_DTLS_REFUSED = 6		/* we refused the peer's certificate */
};

struct ve_dtls_settings {
	int server;
	int mode;			/* VE_DTLS_PSK, VE_DTLS_RESUME, VE_DTLS_CERTIFICATE */
	int version;			/* VE_DTLS_12, VE_DTLS_10, VE_DTLS_CISCO */
	const char *ciphers;		/* OpenSSL's names, joined by ':', best first; one to resume */
	const char *identity;		/* client with a key: what it calls itself; a server takes any */
	const uint8_t *secret;		/* pre-shared key, or the 48 bytes of master secret */
	size_t secret_length;
	const uint8_t *session_id;	/* of the ClientHello, at most 32 bytes; a server with a key needs none */
	size_t session_id_length;
	size_t mtu;			/* the largest datagram of a handshake, bytes */
	uint32_t retransmit_ms;		/* the first wait for an answer; it doubles up to ... */
	uint32_t retransmit_most_ms;
	/* With certificates, no secret and no session id: */
	struct ve_tls_context *context;	/* made for datagrams; not needed any more after ve_dtls_new */
	const char *server_name, *verify_name;	/* as for ve_tls_new; NULL for servers */
};

struct ve_dtls_info {
	char version[16];		/* "DTLSv1.2", "DTLSv1", "DTLSv0.9" */
	char cipher[64];		/* "PSK-AES128-GCM-SHA256" */
	uint32_t resumed;
	uint32_t own_records;		/* 1: records are sealed and opened without libssl */
};

struct ve_dtls_stats {
	uint64_t records_in, records_out;	/* of data */
	uint64_t bad_mac;		/* of libssl's records also: a handshake message again that needs no answer */
	uint64_t replayed;		/* or too old to tell */
	uint64_t bad_version, bad_type, bad_length;
	uint64_t old_epoch;		/* neither this one nor the one without keys */
	uint64_t unauthenticated;	/* without keys, after the handshake */
	uint64_t early;			/* data, and forgeries, before the end of the handshake: dropped */
	uint64_t alerts;		/* genuine ones */
	uint64_t handshakes;		/* genuine messages after the handshake: the peer's last flight again */
	uint64_t retransmitted_flights;	/* ours */
	uint64_t dropped_out;		/* datagrams of a handshake that found no room: nobody took them */
};

struct ve_dtls;
VE_API struct ve_dtls *ve_dtls_new(const struct ve_dtls_settings *settings, char *err, size_t err_size);
VE_API void ve_dtls_free(struct ve_dtls *dtls);		/* wipes the keys */
/* Begins: a client's first flight waits then.  VE_WANT_READ, VE_ERROR. */
VE_API int ve_dtls_start(struct ve_dtls *dtls);
/* A datagram that came before the end of the handshake.  VE_OK: that was the end; VE_WANT_READ; VE_ERROR; VE_WANT_TRUST
 * (clients with certificates, always once, before anything secret is sent): judge the peer's certificate, ve_tls_trust's
 * twin; what is fed before that is dropped, and counted as early. */
VE_API int ve_dtls_feed(struct ve_dtls *dtls, const uint8_t *datagram, size_t length);
/* The handshake goes on, or ends: as ve_dtls_feed; VE_ERROR also if no certificate waits to be judged. */
VE_API int ve_dtls_trust(struct ve_dtls *dtls, int accept);
VE_API int ve_dtls_verify_fault(const struct ve_dtls *dtls, size_t index);	/* as ve_tls_verify_fault */
/* DER of the peer's own certificate, as long as the association lives; its length, VE_EMPTY, or VE_FULL. */
VE_API int ve_dtls_peer_certificate(const struct ve_dtls *dtls, uint8_t *out, size_t size);
/* The next datagram that is to be sent, after each call above or below; its length, VE_EMPTY, or VE_FULL. */
VE_API int ve_dtls_outgoing(struct ve_dtls *dtls, uint8_t *out, size_t size);
VE_API int ve_dtls_timeout(struct ve_dtls *dtls);	/* milliseconds until ve_dtls_expired is due, or VE_EMPTY: never */
VE_API int ve_dtls_expired(struct ve_dtls *dtls);	/* the flight again, if it is due.  VE_WANT_READ, VE_ERROR */
VE_API void ve_dtls_info(const struct ve_dtls *dtls, struct ve_dtls_info *out);
VE_API void ve_dtls_stats(const struct ve_dtls *dtls, struct ve_dtls_stats *out);
VE_API const char *ve_dtls_error(const struct ve_dtls *dtls);
VE_API int ve_dtls_failure(const struct ve_dtls *dtls);		/* VE_DTLS_* */
VE_API int ve_dtls_alert(const struct ve_dtls *dtls);		/* number of the fatal alert received, or VE_EMPTY */
/* The record layer, after the handshake; no allocation, no system call.  Room before and after the payload of a record: */
VE_API size_t ve_dtls_head(const struct ve_dtls *dtls);
VE_API size_t ve_dtls_tail(const struct ve_dtls *dtls);
/* The payload lies at datagram + head; the record is made around it.  Its length > 0; VE_FULL: size is less than head +
 * payload + tail, or the payload is too long; VE_ERROR: closed, dead, or no sequence number is left. */
VE_API int ve_dtls_seal(struct ve_dtls *dtls, uint8_t *datagram, size_t payload_length, size_t size);
/* The first record of what is left of a datagram, decrypted in place; *used: the bytes that it takes, go on behind them.
 * The length of its payload >= 0; VE_EMPTY: nothing for the caller, counted; VE_EOF: the peer ended the association;
 * VE_ERROR: it is dead. */
VE_API int ve_dtls_open(struct ve_dtls *dtls, uint8_t *datagram, size_t length, size_t *used, uint8_t **payload);
/* Ask after datagrams were opened: what the association itself has to send, as its last flight got lost.  Length, or 0. */
VE_API int ve_dtls_reply(struct ve_dtls *dtls, uint8_t *out, size_t size);
/* A close_notify to send; its length, or 0: there is none, or no room.  Nothing is sealed after it. */
VE_API int ve_dtls_close(struct ve_dtls *dtls, uint8_t *out, size_t size);

/* ---- the pump: one device, one link, one thread ------------------------------------------------------------- */

#define VE_PUMP_QUEUE 256		/* control frames waiting, each way */

enum {	/* why a pump stopped by itself, or what it tells besides control frames */
	VE_EVENT_LINK_EOF = 1,		/* the peer closed the stream in order */
	VE_EVENT_LINK_ERROR = 2,	/* the stream failed; text says how */
	VE_EVENT_STREAM_BROKEN = 3,	/* the decoder cannot go on; text says why */
	VE_EVENT_DEVICE_GONE = 4,
	VE_EVENT_REKEYED = 5,
	VE_EVENT_REKEY_FAILED = 6,
	VE_EVENT_STOPPED = 7,		/* asked for by ve_pump_stop */
	VE_EVENT_DATAGRAMS_LOST = 8,	/* the datagram link failed, text says why; packets go by the stream until
					 * ve_pump_use_datagrams is called again; not told of a link that was replaced */
	VE_EVENT_OPTION_REFUSED = 9,	/* ve_pump_set_datagrams was in vain; text says why */
	VE_EVENT_PATH_MTU = 10		/* the way to the gateway takes less; text: bytes of the largest IP packet */
};

struct ve_pump_stats {	/* published once a turn of the thread, at least before it sleeps */
	uint64_t rx_packets, rx_bytes;	/* from the link to the device, inner IP */
	uint64_t tx_packets, tx_bytes;	/* to the link, inner IP */
	uint64_t rx_controls, tx_controls;
	uint64_t last_rx_ns, last_tx_ns;/* last bytes received, last bytes sent on the link */
	uint64_t device_reads, device_read_errors;
	uint64_t link_reads, link_writes;	/* recv and send system calls */
	uint64_t wakeups;
	uint64_t dropped_tx_oversize;	/* from the device, larger than the tunnel MTU */
	uint64_t dropped_tx_not_ip;	/* or nothing that the framing carries: IPv6 over oNCP */
	uint64_t dropped_controls_up;	/* the queue to Python was full */
	uint64_t super_packets;		/* read from the device, and cut */
	uint64_t tun_bad_vnet;		/* reads dropped: their virtio header lies */
	uint64_t dropped_tx_switched;	/* waited for the stream when packets went over to datagrams */
	uint64_t links;			/* datagram links that were attached */
	uint64_t last_rx_datagram_ns, last_tx_datagram_ns;
	struct ve_sink_stats sink;	/* of all links, as the next two are of all datagram links */
	struct ve_datagram_stats datagrams;
	struct ve_dtls_stats dtls;
};

/* The datagram link of a pump: a UDP socket, perhaps DTLS on it, and a framing of datagrams. */
struct ve_link;
/* fd: a connected, non-blocking UDP socket, of which it keeps a duplicate.  dtls: established, taken over unless NULL is
 * returned; NULL: the framing protects its packets by itself.  largest: bytes of the largest datagram. */
VE_API struct ve_link *ve_link_new(int fd, struct ve_dtls *dtls, const char *framing, size_t largest, char *err,
				   size_t err_size);
VE_API void ve_link_free(struct ve_link *link);		/* one that was not attached */
/* An option of its framing, as ve_codec_set, before it is attached. */
VE_API int ve_link_set(struct ve_link *link, const char *option, const uint8_t *value, size_t length, char *err,
		       size_t err_size);
/* Before it is attached: it goes on with the framing of the pump's link before it, keys and numbers and all, if that one
 * inherited too and was of the same framing, whether it was lost or is replaced.  Options of its own are void then. */
VE_API void ve_link_inherit(struct ve_link *link);

struct ve_pump;
/* Joins an attached TUN descriptor and an established TLS connection, its stream; owns neither.  first: bytes of framing
 * that were read with the HTTP answer.  mtu: the largest packet taken from the device.  tls NULL: a datagram link, attached
 * before the start, is all it has. */
VE_API struct ve_pump *ve_pump_new(int tun_fd, struct ve_tls *tls, const char *framing, size_t mtu,
				   const uint8_t *first, size_t first_length, char *err, size_t err_size);
/* Before the start: an option of the pump's framing, as ve_codec_set.  VE_OK, or VE_ERROR with a text in err. */
VE_API int ve_pump_set(struct ve_pump *pump, const char *option, const uint8_t *value, size_t length, char *err,
		       size_t err_size);
/* Before the start: the device was opened with these VE_TUN_* flags.  VE_OK, or VE_ERROR: too late, or no memory. */
VE_API int ve_pump_offload(struct ve_pump *pump, unsigned int offload);
VE_API int ve_pump_start(struct ve_pump *pump);	/* once */
VE_API int ve_pump_event_fd(const struct ve_pump *pump);	/* readable: controls or events wait */
/* Any thread: */
/* Take over a datagram link, in the place of the one before, which says goodbye.  Both links receive; packets leave by it
 * once ve_pump_use_datagrams says so.  VE_ERROR with a text in err: the link is still the caller's. */
VE_API int ve_pump_attach(struct ve_pump *pump, struct ve_link *link, char *err, size_t err_size);
VE_API void ve_pump_detach(struct ve_pump *pump);	/* say goodbye on the datagram link, if there is one */
/* Which way packets leave while there is a datagram link.  FOLLOW: by that from which packets came last, as a gateway
 * does it that lets its client choose. */
enum { VE_BY_STREAM = 0, VE_BY_DATAGRAMS = 1, VE_BY_FOLLOWING = 2 };
VE_API void ve_pump_use_datagrams(struct ve_pump *pump, int way);
/* An option of the datagram link's framing while it runs; a refusal is an event.  VE_FULL: too many wait. */
VE_API int ve_pump_set_datagrams(struct ve_pump *pump, const char *option, const uint8_t *value, size_t length);
/* datagrams: 1 of the datagram link, 0 of the stream. */
VE_API int ve_pump_send_control(struct ve_pump *pump, int datagrams, uint32_t kind, const uint8_t *payload, size_t length);
VE_API int ve_pump_next_control(struct ve_pump *pump, int datagrams, struct ve_control *out);	/* VE_OK or VE_EMPTY */
VE_API int ve_pump_next_event(struct ve_pump *pump, int *event, char *text, size_t text_size);
VE_API int ve_pump_set_mtu(struct ve_pump *pump, size_t mtu);
VE_API int ve_pump_rekey(struct ve_pump *pump);
/* As ve_tls_export, of the stream that the pump has.  VE_OK, or VE_ERROR: no stream, refused, or no answer in time. */
VE_API int ve_pump_export(struct ve_pump *pump, const char *label, uint8_t *out, size_t length);
VE_API void ve_pump_stats(struct ve_pump *pump, struct ve_pump_stats *out);
VE_API int ve_pump_counter(struct ve_pump *pump, int datagrams, size_t index, const char **name, uint64_t *value);	/* the codec's */
/* Flush what is queued (waiting at most linger_ms), end the thread and join it.  Then the TLS object is the caller's again. */
VE_API void ve_pump_stop(struct ve_pump *pump, int linger_ms);
VE_API void ve_pump_free(struct ve_pump *pump);

#ifdef __cplusplus
}
#endif
#endif
