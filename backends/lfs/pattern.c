/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <ctype.h>

/* -- one segment ------------------------------------------------------------- */

struct class_name {
	const char *name;
	int (*is)(int c);
};


static const struct class_name classes[] = {
	{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank },
	{ "cntrl", iscntrl }, { "digit", isdigit }, { "graph", isgraph },
	{ "lower", islower }, { "print", isprint }, { "punct", ispunct },
	{ "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
};

/* "[:name:]" at p; 0 if it is none, else its length. */
static size_t named_class(const char *p, const char *end, uint8_t c, bool *hit)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		size_t n = strlen(classes[i].name);

		if ((size_t)(end - p) < n + 4 || p[0] != '[' || p[1] != ':' ||
		    memcmp(p + 2, classes[i].name, n) || p[n + 2] != ':' ||
		    p[n + 3] != ']')
			continue;
		*hit |= classes[i].is(c) && c < 128;
		return n + 4;
	}
	return 0;
}

/* One member of a bracket: where the next begins, or NULL if it does not end.
 */
static const char *member(const char *p, const char *end, uint8_t c, bool *hit)
{
	size_t named = named_class(p, end, c, hit);
	uint8_t low, high;

	if (named)
		return p + named;
	if (*p == '\\' && ++p == end)
		return NULL;
	low = (uint8_t)*p++;
	high = low;
	if (end - p >= 2 && p[0] == '-' && p[1] != ']') {
		p++;
		if (*p == '\\' && ++p == end)
			return NULL;
		high = (uint8_t)*p++;
	}
	*hit |= c >= low && c <= high;
	return p;
}

/* A bracket at p ('['); NULL if it does not end: then nothing matches. */
static const char *bracket(const char *p, const char *end, uint8_t c,
			   bool *ret_hit)
{
	bool not = ++p < end && (*p == '!' || *p == '^'), hit = false;
	const char *first = p + not;

	for (p = first; p < end && (*p != ']' || p == first);) {
		p = member(p, end, c, &hit);
		if (!p)
			return NULL;
	}
	*ret_hit = hit != not;
	return p < end ? p + 1 : NULL;
}

/* One element of the pattern against one character: what follows, or NULL. */
static const char *one(const char *p, const char *end, uint8_t c)
{
	bool hit = false;

	switch (*p) {
	case '?':
		return p + 1;
	case '[':
		p = bracket(p, end, c, &hit);
		return p && hit ? p : NULL;
	case '\\':
		if (++p == end)
			return NULL;
		/* fallthrough */
	default:
		return (uint8_t)*p == c ? p + 1 : NULL;
	}
}

bool lfspat_name(const char *pat, size_t n_pat, const char *name, size_t n_name)
{
	const char *p = pat, *end = pat + n_pat, *star = NULL;
	size_t at = 0, star_at = 0;

	while (at < n_name || p < end) {
		const char *next = NULL;

		if (p < end && *p == '*') {
			star = ++p;
			star_at = at;
			continue;
		}
		if (p < end && at < n_name)
			next = one(p, end, (uint8_t)name[at]);
		if (next) {
			p = next;
			at++;
		} else if (star && star_at < n_name) {
			p = star; /* the star takes one more */
			at = ++star_at;
		} else {
			return false;
		}
	}
	return true;
}

/* -- whole patterns ---------------------------------------------------------- */

static size_t segment(const char *pat, size_t n)
{
	const char *slash = memchr(pat, '/', n);

	return slash ? (size_t)(slash - pat) : n;
}

static bool is_any(const char *pat, size_t len)
{
	return len == 2 && pat[0] == '*' && pat[1] == '*';
}

bool lfspat_file(const char *pat, size_t n, const char *name, size_t n_name)
{
	size_t len = segment(pat, n);

	while (is_any(pat, len)) {
		if (len == n)
			return true;
		pat += len + 1;
		n -= len + 1;
		len = segment(pat, n);
	}
	return len == n && lfspat_name(pat, n, name, n_name);
}

void lfspat_step(const char *pat, size_t n, const char *name, size_t n_name,
		 void (*fn)(void *ctx, const char *rest, size_t n_rest),
		 void *ctx, bool *ret_whole)
{
	size_t len = segment(pat, n);

	while (is_any(pat, len)) {
		fn(ctx, pat, n);
		if (len == n) { /* at the end: it matches all directories too */
			*ret_whole = true;
			return;
		}
		pat += len + 1;
		n -= len + 1;
		len = segment(pat, n);
	}
	if (!lfspat_name(pat, len, name, n_name))
		return;
	if (len == n)
		*ret_whole = true;
	else
		fn(ctx, pat + len + 1, n - len - 1);
}
