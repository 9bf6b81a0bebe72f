/*
 * compression.c: the table of compression methods, and what all of them do alike.
 */
#include "compression.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ve_method *const methods[] = {&ve_lzs, &ve_lz4, &ve_deflate, &ve_lzo};

struct ve_compression *ve_compression_new(const char *name, char *err, size_t err_size)
{
	const struct ve_method *method = NULL;
	struct ve_compression *compression;
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i]->name, name))
			method = methods[i];
	if (!method) {
		snprintf(err, err_size, "no compression named '%.40s' in this engine", name);
		return NULL;
	}
	if (method->missing) {
		snprintf(err, err_size, "compression %s: this engine was built without %s", name, method->missing);
		return NULL;
	}
	compression = calloc(1, method->size);
	if (compression)
		compression->method = method;
	if (!compression || (method->init && method->init(compression) != VE_OK)) {
		snprintf(err, err_size, "compression %s: out of memory", name);
		ve_compression_free(compression);
		return NULL;
	}
	return compression;
}

void ve_compression_free(struct ve_compression *compression)
{
	if (!compression)
		return;
	if (compression->method->free)
		compression->method->free(compression);
	free(compression);
}

int ve_compression_shrink(struct ve_compression *compression, const uint8_t *packet, size_t length, uint8_t *out,
			  size_t size)
{
	if (!compression->method->shrink || length > VE_MAX_PACKET)
		return VE_FULL;
	return compression->method->shrink(compression, packet, length, out, size);
}

int ve_compression_expand(struct ve_compression *compression, const uint8_t *data, size_t length, uint8_t *out,
			  size_t size)
{
	if (compression->lost)
		return VE_ERROR;
	if (length > VE_MAX_PACKET || size > VE_MAX_PACKET)
		return VE_ERROR;
	return compression->method->expand(compression, data, length, out, size);
}

int ve_compression_lost(struct ve_compression *compression, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(compression->error, sizeof(compression->error), format, args);
	va_end(args);
	compression->lost = 1;
	return VE_ERROR;
}

const char *ve_compression_error(const struct ve_compression *compression)
{
	return compression->error;
}
