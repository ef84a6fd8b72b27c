/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/range.h"

#include "core/error.h"

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* Digits only; saturates, so that absurd numbers clip to the size. */
static bool number(const char **s, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = *s;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			v = UINT64_MAX;
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

enum spec_result { SPEC_BAD, SPEC_EMPTY, SPEC_GOOD };

/* "a-b", "a-" or "-n" */
static enum spec_result spec(const char **s, uint64_t size,
			     struct range_part *ret)
{
	uint64_t first = 0, last = UINT64_MAX;
	bool has_first = number(s, &first), has_last;

	if (**s != '-')
		return SPEC_BAD;
	(*s)++;
	has_last = number(s, &last);
	if (!has_first && !has_last)
		return SPEC_BAD;
	if (!has_first) { /* the last n bytes */
		ret->length = MIN(last, size);
		ret->offset = size - ret->length;
		return ret->length ? SPEC_GOOD : SPEC_EMPTY;
	}
	if (has_last && last < first)
		return SPEC_BAD;
	if (first >= size)
		return SPEC_EMPTY;
	ret->offset = first;
	ret->length = last >= size ? size - first : last - first + 1;
	return SPEC_GOOD;
}

/* False: overlaps something that is not its neighbour; not worth serving. */
static bool add(struct range *r, const struct range_part *p)
{
	struct range_part *prev = r->n ? &r->part[r->n - 1] : NULL;

	if (prev && p->offset >= prev->offset &&
	    p->offset <= prev->offset + prev->length) {
		uint64_t end = MAX(prev->offset + prev->length,
				   p->offset + p->length);
		prev->length = end - prev->offset;
		return true;
	}
	for (size_t i = 0; i < r->n; i++) {
		if (p->offset < r->part[i].offset + r->part[i].length &&
		    r->part[i].offset < p->offset + p->length)
			return false;
	}
	if (r->n == RANGE_MAX)
		return false;
	r->part[r->n++] = *p;
	return true;
}

int range_parse(const char *value, uint64_t size, struct range *ret)
{
	struct range r = { 0 };
	bool any = false;

	if (!value || strncasecmp(value, "bytes", 5))
		return 0;
	value = skip_blanks(value + 5);
	if (*value++ != '=')
		return 0;
	for (;;) {
		struct range_part p;
		enum spec_result got;

		value = skip_blanks(value);
		if (*value == ',') { /* empty list elements are allowed */
			value++;
			continue;
		}
		if (!*value)
			break;
		got = spec(&value, size, &p);
		value = skip_blanks(value);
		if (got == SPEC_BAD || (*value && *value != ','))
			return 0;
		any = true;
		if (got == SPEC_GOOD && !add(&r, &p))
			return 0;
	}
	if (!any)
		return 0;
	if (!r.n)
		return fail(-ERANGE, "no such range; the size is %llu",
			    (unsigned long long)size);
	*ret = r;
	return (int)r.n;
}
