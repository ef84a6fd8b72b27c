/* SPDX-License-Identifier: Apache-2.0 */
#include "range.h"

#include <stdio.h>
#include <string.h>

/* "A-B", "A-" or "-N"; false if it is none of them. */
static bool parse(const char *s, uint64_t size, unsigned long long *a,
		  unsigned long long *b)
{
	int used = 0;

	*b = UINT64_MAX;
	if (*s == '-') {
		if (sscanf(s + 1, "%19llu%n", a, &used) != 1 || s[1 + used])
			return false;
		*a = *a < size ? size - *a : 0;
		return true;
	}
	if (*s < '0' || *s > '9' || sscanf(s, "%19llu-%n", a, &used) != 1 ||
	    !used)
		return false;
	s += used;
	if (!*s)
		return true;
	used = 0;
	return *s >= '0' && *s <= '9' && sscanf(s, "%19llu%n", b, &used) == 1 &&
	       !s[used] && *b >= *a;
}

bool gate_range_take(struct gate *g, const struct scorpio_request *r,
		     uint64_t size, struct gate_range *ret)
{
	const char *h = g->http->header(r, "Range");
	unsigned long long a, b;

	memset(ret, 0, sizeof(*ret));
	ret->n = size;
	ret->status = 200;
	/* with If-Range a client may hold something else: all of it is right */
	if (!h || strncmp(h, "bytes=", 6) != 0 ||
	    g->http->header(r, "If-Range") || !parse(h + 6, size, &a, &b))
		return true;
	if (a >= size)
		return false;
	ret->from = a;
	ret->n = (b < size - 1 ? b + 1 : size) - a;
	ret->status = 206;
	snprintf(ret->line, sizeof(ret->line),
		 "Content-Range: bytes %llu-%llu/%llu", a, a + ret->n - 1,
		 (unsigned long long)size);
	return true;
}

int gate_range_refuse(struct gate *g, struct scorpio_request *r, uint64_t size)
{
	char line[64];
	const char *const headers[] = { line, NULL };

	snprintf(line, sizeof(line), "Content-Range: bytes */%llu",
		 (unsigned long long)size);
	return g->http->reply(r, 416, headers, "", 0);
}

const char *gate_tag(struct gate_range *x, const char *id)
{
	snprintf(x->tag, sizeof(x->tag), "ETag: \"%.70s\"", id);
	return x->tag;
}

bool gate_known(struct gate *g, struct scorpio_request *r, const char *id,
		int *ret)
{
	const char *h = g->http->header(r, "If-None-Match");
	struct gate_range x;
	const char *const headers[] = { gate_tag(&x, id), NULL };

	/* the id with its quotes, in whatever list */
	if (!h || !strstr(h, x.tag + 6))
		return false;
	*ret = g->http->reply(r, 304, headers, "", 0);
	return true;
}
