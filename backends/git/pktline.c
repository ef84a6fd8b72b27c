/* SPDX-License-Identifier: Apache-2.0 */
#include "pktline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pktline_reader_init(struct pktline_reader *r, pktline_fn fn, void *ctx)
{
	memset(r, 0, sizeof(*r));
	r->fn = fn;
	r->ctx = ctx;
}

void pktline_reader_done(struct pktline_reader *r)
{
	free(r->line);
	r->line = NULL;
}

bool pktline_at_boundary(const struct pktline_reader *r)
{
	return r->have == 0 && r->want == 0;
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The four digits are there. */
static int head_done(struct pktline_reader *r)
{
	unsigned n = 0;

	for (int i = 0; i < 4; i++) {
		int d = digit(r->head[i]);

		if (d < 0) {
			r->why = "a packet's length is not hexadecimal";
			return -EBADMSG;
		}
		n = n << 4 | (unsigned)d;
	}
	r->have = 0;
	if (n < 3)
		return r->fn(r->ctx, n == 0 ? PKTLINE_FLUSH :
				     n == 1 ? PKTLINE_DELIM :
					      PKTLINE_END, NULL, 0);
	if (n == 3 || n > PKTLINE_MAX) {
		r->why = "a packet's length is out of range";
		return -EBADMSG;
	}
	if (n == 4)
		return r->fn(r->ctx, PKTLINE_DATA, (const uint8_t *)"", 0);
	r->want = n - 4;
	r->len = 0;
	return 0;
}

static int feed_head(struct pktline_reader *r, const uint8_t **p,
		     const uint8_t *end)
{
	while (r->have < 4 && *p < end)
		r->head[r->have++] = *(*p)++;
	return r->have == 4 ? head_done(r) : 0;
}

static int feed_body(struct pktline_reader *r, const uint8_t **p,
		     const uint8_t *end)
{
	size_t n = (size_t)(end - *p);
	const uint8_t *whole = *p;

	if (r->len == 0 && n >= r->want) {
		n = r->want; /* all of it is here: no copy */
		*p += n;
		r->want = 0;
		return r->fn(r->ctx, PKTLINE_DATA, whole, n);
	}
	if (!r->line)
		r->line = malloc(PKTLINE_MAX);
	if (!r->line)
		return -ENOMEM;
	if (n > r->want - r->len)
		n = r->want - r->len;
	memcpy(r->line + r->len, *p, n);
	r->len += n;
	*p += n;
	if (r->len < r->want)
		return 0;
	n = r->want;
	r->want = 0;
	return r->fn(r->ctx, PKTLINE_DATA, r->line, n);
}

int pktline_feed(struct pktline_reader *r, const void *data, size_t n)
{
	const uint8_t *p = data, *end = p + n;

	while (p < end) {
		int rc = r->want ? feed_body(r, &p, end) :
				   feed_head(r, &p, end);

		if (rc)
			return rc;
	}
	return 0;
}

/* -- writing --------------------------------------------------------------- */

static char *room(struct pktline_buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 1024;
	char *data;

	if (b->failed)
		return NULL;
	while (cap - b->len < n)
		cap *= 2;
	if (cap != b->cap) {
		data = realloc(b->data, cap);
		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	return b->data + b->len;
}

void pktline_add(struct pktline_buf *b, const char *fmt, ...)
{
	char line[4096];
	va_list ap;
	char *out;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line)) {
		b->failed = true;
		return;
	}
	out = room(b, (size_t)n + 6);
	if (!out)
		return;
	snprintf(out, 5, "%04x", (unsigned)n + 5);
	memcpy(out + 4, line, (size_t)n);
	out[4 + n] = '\n';
	b->len += (size_t)n + 5;
}

void pktline_mark(struct pktline_buf *b, enum pktline_kind kind)
{
	char *out = room(b, 5);

	if (!out)
		return;
	snprintf(out, 5, "%04x", kind == PKTLINE_DELIM ? 1u :
				 kind == PKTLINE_END   ? 2u : 0u);
	b->len += 4;
}

void pktline_buf_done(struct pktline_buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}
