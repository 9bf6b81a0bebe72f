/*
 * reader.c: the contract of a reader (next, release, wait, restart).
 */
#include "reader.h"
#include "platform.h"
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>

struct ve_reader *ve_reader_create(const struct ve_reader_ops *ops, size_t size, intptr_t event, char *err,
				   size_t err_size)
{
	struct ve_reader *reader = calloc(1, size);

	if (!reader) {
		snprintf(err, err_size, "wintun reader: out of memory");
		return NULL;
	}
	reader->ops = ops;
	reader->event = event;
	return reader;
}

void ve_reader_free(struct ve_reader *reader)
{
	free(reader);
}

int ve_reader_next(struct ve_reader *reader, uint8_t **packet)
{
	size_t size, length;
	int rc;

	if (reader->corrupt)
		return VE_ERROR;
	while ((rc = reader->ops->next(reader, packet, &size)) == VE_OK) {
		length = ve_ip_length(*packet, size);
		if (length) {
			reader->stats.packets++;
			reader->stats.bytes += length;
			return (int)length;
		}
		reader->stats.not_ip++;
	}
	if (rc == VE_ERROR) {
		reader->corrupt = 1;
		reader->stats.corrupt++;
	}
	return rc;
}

void ve_reader_release(struct ve_reader *reader)
{
	if (reader->ops->release(reader))
		reader->stats.batches++;
}

int ve_reader_wait(struct ve_reader *reader, int ms)
{
	if (reader->more) {
		reader->more = 0;
		return VE_OK;
	}
	return ve_event_wait(reader->event, ms) ? VE_OK : VE_EMPTY;
}

int ve_reader_restart(struct ve_reader *reader)
{
	if (!reader->ops->restart)
		return VE_ERROR;
	reader->ops->restart(reader);
	reader->corrupt = 0;
	return VE_OK;
}

void ve_reader_stats(const struct ve_reader *reader, struct ve_reader_stats *out)
{
	*out = reader->stats;
}
