/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include <stdarg.h>

static bool reserve(struct lfsbuf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;
	char *p;

	if (b->broken || n > SIZE_MAX / 4 - b->n) {
		b->broken = true;
		return false;
	}
	while (cap < b->n + n + 1)
		cap *= 2;
	if (cap == b->cap)
		return true;
	p = realloc(b->p, cap);
	if (!p) {
		b->broken = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void lfsbuf_put(struct lfsbuf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = 0;
}

void lfsbuf_printf(struct lfsbuf *b, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->broken = true;
		return;
	}
	lfsbuf_put(b, text, (size_t)n);
	free(text);
}

void lfs_hex(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 :
				      -1;
}

bool lfs_unhex(const char *s, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i++) {
		int a = digit(s[2 * i]), b = a < 0 ? -1 : digit(s[2 * i + 1]);

		if (b < 0)
			return false;
		out[i] = (uint8_t)(a << 4 | b);
	}
	return true;
}

uint64_t lfs_hash_id(const struct scorpio_id *id)
{
	uint64_t h = 1469598103934665603u;

	for (unsigned i = 0; i < id->len; i++)
		h = (h ^ id->bytes[i]) * 1099511628211u;
	return h ^ h >> 29;
}
