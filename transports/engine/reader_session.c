/*
 * reader_session.c: reads what the system sends through a session of wintun.dll, in place.
 *
 * At most HELD packets are out at once; the next waits for a release, and ve_reader_wait then does not wait.  Source: Wintun notes, section 2.
 */
#include "reader.h"

enum { HELD = 256 };
enum { CORRUPT = 13, TERMINATING = 38 };	/* ERROR_INVALID_DATA, ERROR_HANDLE_EOF */

struct session_reader {
	struct ve_reader base;
	struct ve_wintun_calls calls;
	const uint8_t *held[HELD];
	size_t count;
};

static int session_next(struct ve_reader *reader, uint8_t **packet, size_t *length)
{
	struct session_reader *r = (struct session_reader *)reader;
	uint32_t size, error;

	if (r->count == HELD) {
		reader->more = 1;
		return VE_EMPTY;
	}
	*packet = r->calls.receive(r->calls.session, &size);
	if (!*packet) {
		error = r->calls.last_error();
		return error == TERMINATING ? VE_GONE : error == CORRUPT ? VE_ERROR : VE_EMPTY;
	}
	*length = size;
	r->held[r->count++] = *packet;
	return VE_OK;
}

static int session_release(struct ve_reader *reader)
{
	struct session_reader *r = (struct session_reader *)reader;
	size_t i, count = r->count;

	for (i = 0; i < count; i++)
		r->calls.release(r->calls.session, r->held[i]);
	r->count = 0;
	return count > 0;
}

static const struct ve_reader_ops session_ops = {
	.next = session_next,
	.release = session_release,
};

struct ve_reader *ve_reader_session(const struct ve_wintun_calls *calls, intptr_t event, char *err, size_t err_size)
{
	struct session_reader *r;

	r = (struct session_reader *)ve_reader_create(&session_ops, sizeof(*r), event, err, err_size);
	if (!r)
		return NULL;
	r->calls = *calls;
	return &r->base;
}
