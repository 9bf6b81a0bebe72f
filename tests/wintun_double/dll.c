/*
 * dll.c: the fourteen functions of wintun.dll on top of the double, with the session of version 0.14.1.
 *
 * A session allocates and registers the rings, copies nothing and shrinks nothing.  Sizes that the real library does not
 * check end the program here, so that tests catch misuse.  With TWD_SHRINK the library also has the export that no release
 * has yet, WintunShrinkAndSendPacket.  Source: Wintun notes, sections 2 and 8.
 */
#include "twd.h"
#include "twd_os.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#ifdef _WIN32
#define CALL __stdcall
#else
#define CALL
static _Thread_local uint32_t last_error;
static void SetLastError(uint32_t error) { last_error = error; }
#endif

enum { ADAPTERS = 16, NAME = 128, FIRST_INDEX = 0x8001, TYPE = 53, OVERHEAD = 65548, LARGEST = 65535 };
enum { NO_MEMORY = 8, CORRUPT = 13, TERMINATING = 38, FULL = 111, TOO_LONG = 111, NOT_FOUND = 1168, NO_MORE = 259, BAD = 87 };
#define UNSENT 0x80000000u

struct adapter {
	wchar_t name[NAME];
	uint32_t index;			/* 0: free */
	int handles;
};

struct side {
	uint8_t *ring, *data;
	uint32_t at;			/* next allocation, or next packet to read */
	uint32_t release;		/* all before is ready for the other side */
	uint32_t waiting;		/* packets between the two */
	os_lock lock;
};

struct session {
	struct side send, receive;	/* from the system's view: send is read here */
	uint32_t capacity;
	intptr_t send_event, receive_event;
	void *memory;
};

static os_lock lock = OS_LOCK_INIT;
static struct adapter adapters[ADAPTERS];
static uint32_t next_index = FIRST_INDEX;
static void (CALL *logger)(int level, uint64_t time, const wchar_t *text);

uint32_t TwdLastError(void)
{
#ifdef _WIN32
	return GetLastError();
#else
	return last_error;
#endif
}

static void tell(const wchar_t *text)
{
	if (logger)
		logger(0, 132000000000000000u, text);
}

static void misuse(const char *what)
{
	fprintf(stderr, "wintun double: misuse: %s\n", what);
	abort();
}

static _Atomic uint32_t *word(uint8_t *at)
{
	return (_Atomic uint32_t *)(void *)at;
}

static uint32_t slot(uint32_t length)
{
	return 4 + ((length + 3) & ~3u);
}

static int same_name(const wchar_t *a, const wchar_t *b)
{
	for (; *a && *b; a++, b++)
		if ((*a | (*a < 128 ? 32 : 0)) != (*b | (*b < 128 ? 32 : 0)))
			return 0;
	return *a == *b;
}

/* ---- adapters ------------------------------------------------------------------------------------------------- */

/* lock is held */
static struct adapter *find(const wchar_t *name)
{
	size_t i;

	for (i = 0; i < ADAPTERS; i++)
		if (adapters[i].index && same_name(adapters[i].name, name))
			return &adapters[i];
	return NULL;
}

TWD_API void *CALL WintunCreateAdapter(const wchar_t *name, const wchar_t *type, const void *guid)
{
	struct adapter *adapter = NULL, *other;
	size_t i;

	(void)guid;
	if (wcslen(name) >= NAME || wcslen(type) >= NAME) {
		SetLastError(TOO_LONG);
		return NULL;
	}
	os_take(&lock);
	for (i = 0; i < ADAPTERS && !adapter; i++)
		if (!adapters[i].index)
			adapter = &adapters[i];
	other = find(name);		/* Q11: it is the other one that is renamed */
	if (other && wcslen(other->name) < NAME - 2)
		wcscat(other->name, L" 1");
	if (adapter) {
		wcscpy(adapter->name, name);
		adapter->index = next_index++;
		adapter->handles = 1;
		tell(L"Creating adapter");
	} else {
		SetLastError(NO_MEMORY);
	}
	os_give(&lock);
	return adapter;
}

TWD_API void *CALL WintunOpenAdapter(const wchar_t *name)
{
	struct adapter *adapter;

	os_take(&lock);
	adapter = find(name);
	if (adapter)
		adapter->handles++;
	else
		SetLastError(NOT_FOUND);
	os_give(&lock);
	return adapter;
}

TWD_API void CALL WintunCloseAdapter(void *handle)
{
	struct adapter *adapter = handle;

	os_take(&lock);
	if (adapter && --adapter->handles == 0)
		adapter->index = 0;
	os_give(&lock);
}

TWD_API int CALL WintunDeleteDriver(void)
{
	return 1;
}

TWD_API void CALL WintunGetAdapterLUID(void *handle, uint64_t *luid)
{
	*luid = (uint64_t)TYPE << 48 | (uint64_t)((struct adapter *)handle)->index << 24;
}

TWD_API uint32_t CALL WintunGetRunningDriverVersion(void)
{
	return 0x0000000E;
}

TWD_API void CALL WintunSetLogger(void (CALL *callback)(int level, uint64_t time, const wchar_t *text))
{
	logger = callback;
}

/* ---- the session ---------------------------------------------------------------------------------------------- */

static void begin_side(struct side *side, uint8_t *ring)
{
	static const os_lock fresh = OS_LOCK_INIT;

	*side = (struct side){.ring = ring, .data = ring + 12, .lock = fresh};
}

TWD_API void *CALL WintunStartSession(void *adapter, uint32_t capacity)
{
	struct { uint32_t size; uint8_t *ring; intptr_t event; } descriptor[2];
	struct session *session = calloc(1, sizeof(*session));
	uint32_t size = capacity + OVERHEAD, error;

	if (!adapter || !session || capacity > 67108864)
		misuse("StartSession without an adapter, or with a capacity that was not checked");
	session->memory = calloc(2, size);
	if (!session->memory)
		abort();
	session->capacity = capacity;
	begin_side(&session->send, session->memory);
	begin_side(&session->receive, session->send.ring + size);
	session->send_event = os_event();
	session->receive_event = os_event();
	memset(descriptor, 0, sizeof(descriptor));
	descriptor[0].size = descriptor[1].size = size;
	descriptor[0].ring = session->send.ring;
	descriptor[0].event = session->send_event;
	descriptor[1].ring = session->receive.ring;
	descriptor[1].event = session->receive_event;
	error = TwdRegisterRings(descriptor, sizeof(descriptor));
	if (!error)
		return session;
	os_event_free(session->send_event);
	os_event_free(session->receive_event);
	free(session->memory);
	free(session);
	SetLastError(error);
	return NULL;
}

TWD_API void CALL WintunEndSession(void *handle)
{
	struct session *session = handle;

	TwdUnregister();
	os_event_free(session->send_event);
	os_event_free(session->receive_event);
	free(session->memory);
	free(session);
}

TWD_API void *CALL WintunGetReadWaitEvent(void *session)
{
	return (void *)((struct session *)session)->send_event;
}

/* lock is held: pass what is ready, in order. */
static void walk(const struct session *session, struct side *side)
{
	uint32_t size;

	while (side->waiting) {
		size = atomic_load_explicit(word(side->data + side->release), memory_order_relaxed);
		if (size & UNSENT)
			break;
		side->release = (side->release + slot(size)) & (session->capacity - 1);
		side->waiting--;
	}
}

TWD_API uint8_t *CALL WintunReceivePacket(void *handle, uint32_t *length)
{
	struct session *session = handle;
	struct side *side = &session->send;
	uint32_t tail, content, size, error = 0;
	uint8_t *packet = NULL;

	os_take(&side->lock);
	tail = atomic_load_explicit(word(side->ring + 4), memory_order_acquire);
	content = (tail - side->at) & (session->capacity - 1);
	if (tail >= session->capacity) {
		error = TERMINATING;
	} else if (!content) {
		error = NO_MORE;
	} else {
		size = atomic_load_explicit(word(side->data + side->at), memory_order_relaxed);
		if (content < 4 || size > LARGEST || slot(size) > content) {
			error = CORRUPT;
		} else {
			packet = side->data + side->at + 4;
			*length = size;
			atomic_store_explicit(word(packet - 4), size | UNSENT, memory_order_relaxed);
			side->at = (side->at + slot(size)) & (session->capacity - 1);
			side->waiting++;
		}
	}
	os_give(&side->lock);
	if (error)
		SetLastError(error);
	return packet;
}

TWD_API void CALL WintunReleaseReceivePacket(void *handle, const uint8_t *packet)
{
	struct session *session = handle;
	struct side *side = &session->send;
	_Atomic uint32_t *size = word(side->data + (packet - side->data) - 4);

	os_take(&side->lock);
	if (!(atomic_load(size) & UNSENT))
		misuse("a packet was released twice");
	atomic_fetch_and(size, ~UNSENT);
	walk(session, side);
	atomic_store_explicit(word(side->ring), side->release, memory_order_release);
	os_give(&side->lock);
}

TWD_API uint8_t *CALL WintunAllocateSendPacket(void *handle, uint32_t length)
{
	struct session *session = handle;
	struct side *side = &session->receive;
	uint32_t head, error = 0;
	uint8_t *packet = NULL;

	if (length > LARGEST)
		misuse("AllocateSendPacket of more than 65535 bytes");
	os_take(&side->lock);
	head = atomic_load_explicit(word(side->ring), memory_order_acquire);
	if (head >= session->capacity) {
		error = TERMINATING;
	} else if (slot(length) > ((head - side->at - 4) & (session->capacity - 1))) {
		error = FULL;
	} else {
		packet = side->data + side->at + 4;
		atomic_store_explicit(word(packet - 4), length | UNSENT, memory_order_relaxed);
		side->at = (side->at + slot(length)) & (session->capacity - 1);
		side->waiting++;
	}
	os_give(&side->lock);
	if (error)
		SetLastError(error);
	return packet;
}

/* lock is held */
static void send_packet(struct session *session, struct side *side, _Atomic uint32_t *size)
{
	if (!(atomic_load(size) & UNSENT))
		misuse("a packet was sent twice, or never allocated");
	atomic_fetch_and(size, ~UNSENT);
	walk(session, side);
	if (atomic_load(word(side->ring + 4)) == side->release)
		return;
	atomic_store_explicit(word(side->ring + 4), side->release, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(word(side->ring + 8), memory_order_acquire))
		os_event_set(session->receive_event);
}

TWD_API void CALL WintunSendPacket(void *handle, const uint8_t *packet)
{
	struct session *session = handle;
	struct side *side = &session->receive;

	os_take(&side->lock);
	send_packet(session, side, word(side->data + (packet - side->data) - 4));
	os_give(&side->lock);
}

#ifdef TWD_SHRINK
/* 0: refused, 87: longer than it was, or not the newest. */
TWD_API int CALL WintunShrinkAndSendPacket(void *handle, const uint8_t *packet, uint32_t length)
{
	struct session *session = handle;
	struct side *side = &session->receive;
	uint32_t offset = (uint32_t)(packet - side->data) - 4, old;
	_Atomic uint32_t *size = word(side->data + offset);
	int ok;

	os_take(&side->lock);
	old = atomic_load(size) & ~UNSENT;
	ok = length <= old && (slot(length) == slot(old) ||
			       ((offset + slot(old)) & (session->capacity - 1)) == side->at);
	if (ok) {
		if (slot(length) != slot(old))
			side->at = (offset + slot(length)) & (session->capacity - 1);
		atomic_store(size, length | UNSENT);
		send_packet(session, side, size);
	}
	os_give(&side->lock);
	if (!ok)
		SetLastError(BAD);
	return ok;
}
#endif
