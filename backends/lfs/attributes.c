/* SPDX-License-Identifier: Apache-2.0 */
/* attributes.c - reading .gitattributes, as far as `filter` goes. */
#include "rules_impl.h"

#define LINE_MAX 2048u /* git ignores longer ones */
#define BLANKS " \t\r"

struct line {
	const char *pat; /* of the file or of quoted */
	size_t n_pat;
	const char *attrs, *end;
	char *quoted; /* owned */
	bool macro;
};

struct attr {
	const char *name, *value; /* value NULL: none */
	size_t n_name, n_value;
	char state; /* '+' set, '-' false or unspecified, '=' a value */
};

static size_t skip(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && strchr(BLANKS, *p) && *p)
		p++;
	return (size_t)(p - from);
}

static size_t word(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && !(strchr(BLANKS, *p) && *p))
		p++;
	return (size_t)(p - from);
}

/* -- patterns in quotes --------------------------------------------------------- */

static int octal(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 3)
		return -1;
	for (int i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '7')
			return -1;
		v = v * 8 + p[i] - '0';
	}
	return v > 255 ? -1 : v;
}

/* The character after a backslash; how many letters it took, 0 if wrong. */
static size_t escaped(const char *p, const char *end, char *out)
{
	static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
	const char *at = p < end && *p ? strchr(from, *p) : NULL;
	int v = at ? -1 : octal(p, end);

	if (at)
		*out = to[at - from];
	else if (v >= 0)
		*out = (char)v;
	return at ? 1 : v >= 0 ? 3 : 0;
}

/* From behind the opening quote; NULL if it does not end well. */
static const char *unquote(const char *p, const char *end, struct line *l)
{
	char *out = malloc((size_t)(end - p) + 1);
	size_t n = 0, took;

	l->quoted = out;
	while (out && p < end && *p != '"') {
		if (*p != '\\') {
			out[n++] = *p++;
			continue;
		}
		took = escaped(p + 1, end, &out[n++]);
		if (!took)
			return NULL;
		p += 1 + took;
	}
	l->pat = out;
	l->n_pat = n;
	return out && p < end ? p + 1 : NULL;
}

/* -- lines ------------------------------------------------------------------------ */

/* False: a line that says nothing. l->quoted is to be freed anyway. */
static bool split(const char *p, const char *end, struct line *l)
{
	memset(l, 0, sizeof(*l));
	l->end = end;
	p += skip(p, end);
	if (p == end || *p == '#' || (size_t)(end - p) > LINE_MAX)
		return false;
	if (end - p > 6 && !memcmp(p, "[attr]", 6)) {
		l->macro = true;
		p += 6;
		p += skip(p, end);
		if (p == end)
			return false;
	}
	if (*p == '"' && !l->macro) {
		p = unquote(p + 1, end, l);
		if (!p)
			return false;
	} else {
		l->pat = p;
		l->n_pat = word(p, end);
		p += l->n_pat;
	}
	l->attrs = p;
	return l->n_pat > 0;
}

static bool next_attr(struct line *l, struct attr *a)
{
	const char *p = l->attrs + skip(l->attrs, l->end), *eq;
	size_t n = word(p, l->end);

	if (!n)
		return false;
	l->attrs = p + n;
	memset(a, 0, sizeof(*a));
	a->state = '+';
	if (*p == '-' || *p == '!') {
		a->state = '-';
		p++;
		n--;
	}
	eq = memchr(p, '=', n);
	a->name = p;
	a->n_name = eq ? (size_t)(eq - p) : n;
	if (eq && a->state == '+') {
		a->state = '=';
		a->value = eq + 1;
		a->n_value = n - a->n_name - 1;
	}
	return true;
}

static bool is(const char *p, size_t n, const char *text)
{
	return n == strlen(text) && !memcmp(p, text, n);
}

static struct lfsrule *find_macro(struct lfsrules *r, const char *name,
				  size_t n)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == RULE_MACRO && r->rules[i].len == n &&
		    !memcmp(lfsrules_pattern(r, &r->rules[i]), name, n))
			return &r->rules[i];
	return NULL;
}

/* What the attribute does to `filter`; 0: nothing. */
static char effect_of(struct lfsrules *r, const struct attr *a, uint8_t *macro)
{
	struct lfsrule *m;

	if (is(a->name, a->n_name, "filter"))
		return a->state == '=' && is(a->value, a->n_value, "lfs") ?
			       EFFECT_ON :
			       EFFECT_OFF;
	m = find_macro(r, a->name, a->n_name);
	if (!m)
		return 0;
	*macro = m->macro;
	return a->state == '+' ? EFFECT_MACRO : EFFECT_UNSET;
}

static int define(struct lfsrules *r, struct line *l)
{
	struct lfsrule *old = find_macro(r, l->pat, l->n_pat), *inner;
	struct lfsrule x = { .kind = RULE_MACRO };
	struct attr a;
	uint8_t other = 0;

	while (next_attr(l, &a)) {
		char e = effect_of(r, &a, &other);

		if (e == EFFECT_ON || e == EFFECT_OFF)
			x.effect = e;
		else if (e == EFFECT_MACRO &&
			 (inner = find_macro(r, a.name, a.n_name)))
			x.effect = inner->effect;
	}
	if (old && x.effect)
		old->effect = x.effect;
	if (old || !x.effect)
		return 0;
	for (uint32_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == RULE_MACRO)
			x.macro = (uint8_t)(r->rules[i].macro + 1);
	if (x.macro >= MACROS_MAX)
		return -EFBIG;
	return lfsrules_add(r, x, l->pat, l->n_pat);
}

static int apply(struct lfsrules *r, struct line *l)
{
	struct lfsrule x = { .kind = RULE_ATTR };
	const char *pat = l->pat;
	size_t n = l->n_pat;
	struct attr a;
	int rc = 0;

	/* "!x" is not allowed, "x/" would match directories */
	if (*pat == '!' || pat[n - 1] == '/')
		return 0;
	x.base = !memchr(pat, '/', n);
	if (*pat == '/') {
		pat++;
		n--;
	}
	while (rc == 0 && next_attr(l, &a)) {
		x.macro = 0;
		x.effect = effect_of(r, &a, &x.macro);
		if (x.effect)
			rc = lfsrules_add(r, x, pat, n);
	}
	return rc;
}

static int each_line(struct lfsrules *r, const char *p, const char *end,
		     bool macros)
{
	int rc = 0;

	while (rc == 0 && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;
		struct line l;

		if (split(p, stop, &l) && l.macro == macros)
			rc = macros ? define(r, &l) : apply(r, &l);
		free(l.quoted);
		p = nl ? nl + 1 : end;
	}
	return rc;
}

int lfsrules_attributes(struct lfsrules *r, const char *text, size_t n)
{
	int rc = 0;

	if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		n -= 3;
	}
	if (r->flags & LFSRULES_ROOT)
		rc = each_line(r, text, text + n, true);
	return rc ? rc : each_line(r, text, text + n, false);
}
