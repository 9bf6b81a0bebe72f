/*
 * fuzz_tls_record.c: whatever records come, genuine or not, in pieces: only data that was sealed comes out, in order, until an
 * end or an error that stays; and what we sent until then, our alert included, is genuine.
 *
 * The input is a script; offset, size in bytes of a step:
 *     0  1  what     0 raw bytes, which are damage; 1 data; 2 a handshake record; 3 an alert; 4 any type, its first byte; 5 a
 *                    whole plaintext; 6 the peer's keys are updated as after a KeyUpdate; 7 we write, 8 we rekey, 9 we end;
 *                    10 all that was sent arrives
 *     1  1  length   of what follows
 *     2  n  bytes
 */
#include "tls.h"
#include "tls_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

enum { STREAM = 1 << 17 };

struct state {
	struct ve_tls *tls;
	int fds[2];			/* ours, the peer's */
	struct tls_direction out, in;	/* the peer's */
	uint8_t want[STREAM];		/* data that was sealed and not damaged */
	size_t sealed, seen;
	int over;			/* an end or an error was told */
};

static void deliver(struct state *s)
{
	uint8_t got[64];
	int n;

	while ((n = ve_tls_read(s->tls, got, 1 + s->seen % sizeof(got))) > 0) {
		MUST(!s->over && s->seen + (size_t)n <= s->sealed && !memcmp(got, s->want + s->seen, (size_t)n));
		s->seen += (size_t)n;
	}
	MUST(n == VE_WANT_READ || n == VE_EOF || n == VE_ERROR);
	MUST(!s->over || n == s->over || n == VE_ERROR);	/* what we write after our own end fails */
	if (n != VE_WANT_READ)
		s->over = n;
	if (n == VE_ERROR)
		MUST(*ve_tls_error(s->tls) && ve_tls_failure(s->tls) && !ve_tls_has_input(s->tls));
}

static void send_all(struct state *s, const uint8_t *bytes, size_t length)
{
	if (s->over)
		return;
	MUST(send(s->fds[1], bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
	deliver(s);	/* so that nothing piles up in the socket */
}

static void seal(struct state *s, uint8_t type, const uint8_t *data, size_t length)
{
	uint8_t record[256 + TLS_OVERHEAD];
	size_t size = tls_record_seal(&s->out, type, data, length, record), half = size / 2;

	MUST(size == length + TLS_OVERHEAD);
	if (type == TLS_DATA && s->sealed + length <= STREAM) {
		memcpy(s->want + s->sealed, data, length);
		s->sealed += length;
	}
	send_all(s, record, half);
	send_all(s, record + half, size - half);
}

/* The type is the last byte that is not 0. */
static void seal_plaintext(struct state *s, const uint8_t *data, size_t length)
{
	size_t content = length;

	while (content && !data[content - 1])
		content--;
	if (content && data[content - 1] != TLS_DATA)
		seal(s, data[content - 1], data, content - 1);
}

/* Everything that we sent is genuine, and nothing follows an alert. */
static void judge_ours(struct state *s)
{
	static uint8_t bytes[1 << 20];
	size_t end = 0, at = 0;
	int ended = 0, size, length;
	uint8_t type;
	ssize_t n;

	ve_tls_flush(s->tls);
	while (end < sizeof(bytes) && (n = recv(s->fds[1], bytes + end, sizeof(bytes) - end, MSG_DONTWAIT)) > 0)
		end += (size_t)n;
	while ((size = tls_record_look(bytes + at, end - at)) > 0) {
		MUST(!ended && (length = tls_record_open(&s->in, bytes + at, (size_t)size, &type)) >= 0);
		MUST(type == TLS_DATA || type == TLS_ALERT || (type == TLS_HANDSHAKE && length == TLS_KEY_UPDATE_MESSAGE));
		ended = type == TLS_ALERT;
		if (type == TLS_HANDSHAKE)
			MUST(tls_direction_update(&s->in));
		at += (size_t)size;
	}
	MUST(size == 0 && at == end);
}

static void step(struct state *s, unsigned int what, const uint8_t *data, size_t length)
{
	int n;

	switch (what % 11) {
	case 0:
		send_all(s, data, length);
		break;
	case 1:
	case 2:
	case 3:
		seal(s, what % 11 == 1 ? TLS_DATA : what % 11 == 2 ? TLS_HANDSHAKE : TLS_ALERT, data, length);
		break;
	case 4:
		if (length && data[0])
			seal(s, data[0], data + 1, length - 1);
		break;
	case 5:
		seal_plaintext(s, data, length);
		break;
	case 6:
		MUST(tls_direction_update(&s->out));
		break;
	case 7:
		n = length ? ve_tls_write(s->tls, data, length) : VE_ERROR;
		MUST(n == (int)length || n == VE_WANT_WRITE || n == VE_ERROR);
		break;
	case 8:
		ve_tls_rekey(s->tls);
		break;
	case 9:
		ve_tls_shutdown(s->tls);
		break;
	default:
		deliver(s);
	}
}

static void set_up(struct state *s, int server, unsigned int suite)
{
	uint8_t client[TLS13_SECRET], servers[TLS13_SECRET];
	int room = 1 << 20;

	memset(client, 1, sizeof(client));
	memset(servers, 2, sizeof(servers));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s->fds) == 0);
	setsockopt(s->fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	s->tls = tls_from_secrets(s->fds[0], server, suite, client, servers);
	MUST(s->tls && tls_direction_init(&s->out, tls13_suite(suite), server ? client : servers, 0, 1));
	MUST(tls_direction_init(&s->in, tls13_suite(suite), server ? servers : client, 0, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;

	if (!size)
		return 0;
	s.sealed = s.seen = 0;
	s.over = 0;
	set_up(&s, data[0] & 1, 0x1301 + (data[0] >> 1) % 3);
	for (data++, size--; size >= 2;) {
		size_t n = data[1] < size - 2 ? data[1] : size - 2;

		step(&s, data[0], data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	deliver(&s);
	judge_ours(&s);
	ve_tls_free(s.tls);
	tls_direction_clear(&s.out);
	tls_direction_clear(&s.in);
	close(s.fds[0]);
	close(s.fds[1]);
	return 0;
}
