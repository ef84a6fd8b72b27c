/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include "pattern.h"
#include "rules_impl.h"

/* -- life -------------------------------------------------------------------- */

struct lfsrules *lfsrules_new(unsigned flags)
{
	struct lfsrules *r = calloc(1, sizeof(*r));

	if (r)
		r->flags = flags;
	return r;
}

void lfsrules_free(struct lfsrules *r)
{
	if (!r)
		return;
	free(r->rules);
	lfsbuf_done(&r->text);
	free(r);
}

unsigned lfsrules_flags(const struct lfsrules *r)
{
	return r->flags;
}

int lfsrules_add(struct lfsrules *r, struct lfsrule rule, const char *pat,
		 size_t n)
{
	if (r->n == RULES_MAX || r->text.n + n > LFSRULES_TEXT_MAX / 2)
		return -EFBIG;
	if (r->n == r->cap) {
		uint32_t cap = r->cap ? 2 * r->cap : 16;
		struct lfsrule *more = realloc(r->rules, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->rules = more;
		r->cap = cap;
	}
	rule.at = (uint32_t)r->text.n;
	rule.len = (uint32_t)n;
	lfsbuf_put(&r->text, pat, n);
	if (r->text.broken)
		return -ENOMEM;
	r->rules[r->n++] = rule;
	return 0;
}

const char *lfsrules_pattern(const struct lfsrules *r, const struct lfsrule *x)
{
	return r->text.p ? r->text.p + x->at : "";
}

static int add_copy(struct lfsrules *r, const struct lfsrules *from,
		    const struct lfsrule *x)
{
	return lfsrules_add(r, *x, lfsrules_pattern(from, x), x->len);
}

struct lfsrules *lfsrules_copy(const struct lfsrules *r)
{
	struct lfsrules *copy = lfsrules_new(r->flags);
	int rc = copy ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < r->n; i++)
		rc = add_copy(copy, r, &r->rules[i]);
	if (rc == 0)
		return copy;
	lfsrules_free(copy);
	return NULL;
}

/* -- include and exclude ------------------------------------------------------- */

static int add_filter(struct lfsrules *r, char kind, const char *p, size_t n)
{
	struct lfsrule x = { .kind = kind };

	while (n && strchr(" \t", p[n - 1]))
		n--;
	while (n && p[n - 1] == '/') {
		x.dirs = true;
		n--;
	}
	x.base = !memchr(p, '/', n);
	while (n && *p == '/') {
		p++;
		n--;
	}
	if (!n)
		return 0;
	if (kind == RULE_INCLUDE)
		r->flags |= LFSRULES_ONLY;
	return lfsrules_add(r, x, p, n);
}

int lfsrules_filter(struct lfsrules *r, char kind, const char *list)
{
	int rc = 0;

	while (rc == 0 && *list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ",");
		rc = add_filter(r, kind, list, n);
		list += n;
	}
	return rc;
}

/* -- what they say --------------------------------------------------------------- */

static bool hits(const struct lfsrules *r, const struct lfsrule *x,
		 const char *name, size_t n)
{
	const char *pat = lfsrules_pattern(r, x);

	if (x->dirs)
		return false;
	return x->base ? lfspat_name(pat, x->len, name, n) :
			 lfspat_file(pat, x->len, name, n);
}

/* The effect of a macro, '+' or '-'. */
static char macro_effect(const struct lfsrules *r, uint8_t macro)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == RULE_MACRO &&
		    r->rules[i].macro == macro)
			return r->rules[i].effect;
	return EFFECT_OFF;
}

static bool positive(const struct lfsrules *r, const struct lfsrule *x)
{
	if (x->kind != RULE_ATTR)
		return false;
	return x->effect == EFFECT_ON ||
	       (x->effect == EFFECT_MACRO &&
		macro_effect(r, x->macro) == EFFECT_ON);
}

static bool by_attributes(const struct lfsrules *r, const char *name, size_t n)
{
	uint64_t settled = 0; /* macros that a stronger line spoke of */

	for (uint32_t i = r->n; i-- > 0;) {
		const struct lfsrule *x = &r->rules[i];
		uint64_t bit = 1ull << (x->macro & 63);

		if (x->kind != RULE_ATTR || !hits(r, x, name, n))
			continue;
		if (x->effect == EFFECT_ON || x->effect == EFFECT_OFF)
			return x->effect == EFFECT_ON;
		if (x->effect == EFFECT_MACRO && !(settled & bit))
			return macro_effect(r, x->macro) == EFFECT_ON;
		settled |= bit;
	}
	return false;
}

static bool listed(const struct lfsrules *r, char kind, const char *name,
		   size_t n)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == kind && hits(r, &r->rules[i], name, n))
			return true;
	return false;
}

bool lfsrules_match(const struct lfsrules *r, const char *name, size_t n)
{
	if (r->flags & LFSRULES_DEAD || !by_attributes(r, name, n))
		return false;
	if (r->flags & LFSRULES_ONLY && !listed(r, RULE_INCLUDE, name, n))
		return false;
	return !listed(r, RULE_EXCLUDE, name, n);
}

bool lfsrules_any(const struct lfsrules *r)
{
	if (r->flags & LFSRULES_DEAD)
		return false;
	for (uint32_t i = 0; i < r->n; i++)
		if (positive(r, &r->rules[i]))
			return true;
	return false;
}

bool lfsrules_none(const struct lfsrules *r)
{
	return !r->flags && !r->n;
}

/* -- one directory down ------------------------------------------------------------ */

struct step {
	struct lfsrules *to;
	struct lfsrule rule;
	uint32_t first; /* rules of `to` that came of this one */
	int rc;
};

static void add_rest(void *ctx, const char *rest, size_t n)
{
	struct step *s = ctx;

	for (uint32_t i = s->first; i < s->to->n; i++) {
		const struct lfsrule *x = &s->to->rules[i];

		if (x->len == n &&
		    !memcmp(lfsrules_pattern(s->to, x), rest, n))
			return;
	}
	if (s->rc == 0)
		s->rc = lfsrules_add(s->to, s->rule, rest, n);
}

/* An include or exclude pattern that names the directory takes all of it. */
static int step_rule(struct lfsrules *to, const struct lfsrules *r,
		     const struct lfsrule *x, const char *name, size_t n)
{
	struct step s = { .to = to, .rule = *x, .first = to->n };
	const char *pat = lfsrules_pattern(r, x);
	bool whole = false;

	if (x->kind == RULE_MACRO)
		return add_copy(to, r, x);
	if (x->base) {
		s.rc = add_copy(to, r, x);
		whole = x->kind != RULE_ATTR &&
			lfspat_name(pat, x->len, name, n);
	} else {
		lfspat_step(pat, x->len, name, n, add_rest, &s, &whole);
	}
	if (!whole || x->kind == RULE_ATTR)
		return s.rc;
	s.rule.base = s.rule.dirs = false;
	s.first = to->n;
	add_rest(&s, "**", 2);
	return s.rc;
}

static bool all_of(const struct lfsrules *r, char kind)
{
	for (uint32_t i = 0; i < r->n; i++) {
		const struct lfsrule *x = &r->rules[i];

		if (x->kind == kind && !x->base && !x->dirs && x->len == 2 &&
		    !memcmp(lfsrules_pattern(r, x), "**", 2))
			return true;
	}
	return false;
}

static bool has(const struct lfsrules *r, char kind)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == kind)
			return true;
	return false;
}

static void drop_all(struct lfsrules *r)
{
	r->n = 0;
	r->text.n = 0;
}

/* Leave out what changes nothing, so that equal meaning is equal text. */
static int settle(struct lfsrules *from, struct lfsrules *to)
{
	bool all = all_of(from, RULE_INCLUDE), some = false;
	int rc = 0;

	to->flags = from->flags;
	if (all)
		to->flags &= ~LFSRULES_ONLY;
	if (all_of(from, RULE_EXCLUDE) ||
	    (to->flags & LFSRULES_ONLY && !has(from, RULE_INCLUDE)))
		to->flags |= LFSRULES_DEAD;
	if (to->flags & LFSRULES_DEAD) {
		to->flags = LFSRULES_DEAD;
		drop_all(to);
		return 0;
	}
	for (uint32_t i = 0; rc == 0 && i < from->n; i++) {
		const struct lfsrule *x = &from->rules[i];

		some |= positive(from, x);
		if ((x->kind == RULE_ATTR && !some) ||
		    (x->kind == RULE_INCLUDE && all))
			continue;
		rc = add_copy(to, from, x);
	}
	return rc;
}

struct lfsrules *lfsrules_step(const struct lfsrules *r, const char *name,
			       size_t n)
{
	struct lfsrules *raw = lfsrules_new(r->flags & ~LFSRULES_ROOT);
	struct lfsrules *out = lfsrules_new(0);
	int rc = raw && out ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < r->n; i++)
		rc = step_rule(raw, r, &r->rules[i], name, n);
	if (rc == 0)
		rc = settle(raw, out);
	lfsrules_free(raw);
	if (rc == 0)
		return out;
	lfsrules_free(out);
	return NULL;
}

bool lfsrules_uniform(const struct lfsrules *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		const struct lfsrule *x = &r->rules[i];

		if (x->kind != RULE_MACRO && (x->kind != RULE_ATTR || !x->base))
			return false;
	}
	return true;
}

/* -- as text ----------------------------------------------------------------------- */

/* "flags N" then a line for each: KIND EFFECT MACRO BASE DIRS LEN:PATTERN */
int lfsrules_write(const struct lfsrules *r, struct lfsbuf *out)
{
	lfsbuf_printf(out, "lfs1 %u\n", r->flags);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct lfsrule *x = &r->rules[i];

		lfsbuf_printf(out, "%c%c%u %d%d %u:", x->kind,
			      x->effect ? x->effect : '.', x->macro, x->base,
			      x->dirs, x->len);
		lfsbuf_put(out, lfsrules_pattern(r, x), x->len);
		lfsbuf_put(out, "\n", 1);
	}
	if (out->broken)
		return -ENOMEM;
	return out->n > LFSRULES_TEXT_MAX ? -EFBIG : 0;
}

static const char *number(const char *p, const char *end, unsigned max,
			  unsigned *ret)
{
	unsigned v = 0;
	const char *from = p;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (unsigned)(*p - '0');
		if (v > max)
			return NULL;
	}
	*ret = v;
	return p == from ? NULL : p;
}

/* One line; what follows, or NULL. */
static const char *read_rule(struct lfsrules *r, const char *p, const char *end)
{
	struct lfsrule x = { 0 };
	unsigned macro, len;

	if (end - p < 8 || !strchr("aixm", p[0]) || !strchr(".+-MC", p[1]))
		return NULL;
	x.kind = p[0];
	x.effect = p[1] == '.' ? 0 : p[1];
	p = number(p + 2, end, MACROS_MAX - 1, &macro);
	if (!p || end - p < 5 || p[0] != ' ' || p[3] != ' ')
		return NULL;
	x.macro = (uint8_t)macro;
	x.base = p[1] == '1';
	x.dirs = p[2] == '1';
	p = number(p + 4, end, LFSRULES_TEXT_MAX, &len);
	if (!p || p == end || *p++ != ':' || (size_t)(end - p) < len + 1u ||
	    p[len] != '\n' || lfsrules_add(r, x, p, len))
		return NULL;
	return p + len + 1;
}

int lfsrules_read(const char *text, size_t n, struct lfsrules **ret)
{
	const char *p = text, *end = text + n;
	struct lfsrules *r;
	unsigned flags;

	if (n < 7 || memcmp(p, "lfs1 ", 5))
		return -EBADMSG;
	p = number(p + 5, end, 7, &flags);
	if (!p || p == end || *p++ != '\n')
		return -EBADMSG;
	r = lfsrules_new(flags);
	if (!r)
		return -ENOMEM;
	while (p && p < end)
		p = read_rule(r, p, end);
	if (!p) {
		lfsrules_free(r);
		return -EBADMSG;
	}
	*ret = r;
	return 0;
}
