/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - for plugins that want an answer whole: bytes which come in pieces, from
 * scorpio_http.on_data or scorpio_spawn.on_output. Inline, nothing of the daemon is
 * linked. One thread at a time.
 */
#ifndef SCORPIO_BYTES_H
#define SCORPIO_BYTES_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Set max, zero the rest. */
struct scorpio_bytes {
	char *p; /* malloc'ed, a NUL behind the bytes; NULL: nothing came */
	size_t n, cap;
	size_t max; /* bytes */
};

/* ctx is a struct scorpio_bytes. -EFBIG: more than max, -ENOMEM. */
static inline int scorpio_bytes_take(void *ctx, const void *data, uint64_t n)
{
	struct scorpio_bytes *b = (struct scorpio_bytes *)ctx;
	size_t cap = b->cap ? b->cap : 4096;
	char *more;

	if (n > b->max - b->n || b->max > SIZE_MAX / 4)
		return -EFBIG;
	while (cap <= b->n + (size_t)n)
		cap *= 2;
	if (cap != b->cap) {
		more = (char *)realloc(b->p, cap);
		if (!more)
			return -ENOMEM;
		b->p = more;
		b->cap = cap;
	}
	memcpy(b->p + b->n, data, (size_t)n);
	b->n += (size_t)n;
	b->p[b->n] = 0;
	return 0;
}

#endif
