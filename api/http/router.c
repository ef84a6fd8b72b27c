/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/router.h"

#include "core/error.h"

struct router {
	const struct route **routes; /* owned array of borrowed routes */
	size_t n, cap;
};

struct router *router_new(void)
{
	return xcalloc(1, sizeof(struct router));
}

void router_free(struct router *r)
{
	if (!r)
		return;
	free(r->routes);
	free(r);
}

static void add_one(struct router *r, const struct route *route)
{
	for (size_t i = 0; i < r->n; i++)
		assert(strcmp(r->routes[i]->pattern, route->pattern) ||
		       strcmp(r->routes[i]->method, route->method));
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 32;
		r->routes = xrealloc(r->routes,
				     r->cap * sizeof(*r->routes));
	}
	r->routes[r->n++] = route;
}

void router_add(struct router *r, const struct route *table)
{
	for (; table->method; table++)
		add_one(r, table);
}

static bool add_param(struct route_match *m, const char *name, size_t len,
		      const char *value)
{
	if (m->n == ROUTE_PARAMS_MAX)
		return false;
	m->name[m->n] = name;
	m->name_len[m->n] = len;
	m->value[m->n++] = value;
	return true;
}

static size_t segments_of(const char *pattern)
{
	size_t n = 0;

	for (const char *p = pattern; *p; p++)
		n += *p == '/';
	return n;
}

/* The segments that a wide parameter takes: the first `ret` of the path. */
static bool take_wide(const char *pattern, const struct target *u,
		      struct route_match *m, size_t *ret)
{
	size_t n = segments_of(pattern), len = strcspn(pattern + 1, "/");

	*ret = 0;
	if (strncmp(pattern, "/{*", 3))
		return true;
	*ret = u->n - n + 1;
	return u->n >= n && add_param(m, pattern + 3, len - 3, u->segment[0]);
}

/* Does the pattern take this path? *score: literal segments from the left, one
 * bit each, so that literals win over parameters. */
static bool match(const char *pattern, const struct target *u,
		  struct route_match *m, uint64_t *score)
{
	const char *p = pattern + 1;
	size_t i;

	m->n = 0;
	*score = 0;
	if (!take_wide(pattern, u, m, &i))
		return false;
	if (i)
		p += strcspn(p, "/") + 1;
	for (; i < u->n; i++) {
		size_t len = strcspn(p, "/");

		if (!len)
			return false;
		*score <<= 1;
		if (*p == '{') {
			if (!add_param(m, p + 1, len - 2, u->segment[i]))
				return false;
		} else if (strlen(u->segment[i]) == len &&
			   !memcmp(p, u->segment[i], len)) {
			*score |= 1;
		} else {
			return false;
		}
		p += len + (p[len] == '/');
	}
	return !*p && !u->trailing_slash;
}

static bool method_fits(const char *route, const char *asked)
{
	return !strcmp(route, asked) ||
	       (!strcmp(asked, "HEAD") && !strcmp(route, "GET"));
}

static void allow_add(char *allow, size_t cap, const char *method)
{
	size_t len = strlen(allow);

	snprintf(allow + len, cap - len, "%s%s", len ? ", " : "", method);
}

static void join_wide(const struct target *u, struct route_match *m)
{
	size_t n, len = 0;

	if (strncmp(m->route->pattern, "/{*", 3))
		return;
	n = u->n - segments_of(m->route->pattern) + 1;
	for (size_t i = 0; i < n; i++)
		len += strlen(u->segment[i]) + 1;
	m->wide = xmalloc(len);
	len = 0;
	for (size_t i = 0; i < n; i++) {
		size_t part = strlen(u->segment[i]);

		memcpy(m->wide + len, u->segment[i], part);
		len += part;
		m->wide[len++] = i + 1 < n ? '/' : '\0';
	}
	m->value[0] = m->wide;
}

void route_match_done(struct route_match *m)
{
	free(m->wide);
	m->wide = NULL;
}

int router_find(const struct router *r, const char *method,
		const struct target *u, struct route_match *ret, char *allow,
		size_t cap)
{
	struct route_match best = { 0 }, m = { 0 };
	uint64_t score, best_score = 0;

	allow[0] = '\0';
	for (size_t i = 0; i < r->n; i++) {
		const struct route *route = r->routes[i];

		if (!match(route->pattern, u, &m, &score))
			continue;
		if (!method_fits(route->method, method)) {
			allow_add(allow, cap, route->method);
			continue;
		}
		if (best.route && score <= best_score)
			continue;
		best = m;
		best.route = route;
		best_score = score;
	}
	if (best.route) {
		join_wide(u, &best);
		*ret = best;
		return 0;
	}
	if (allow[0])
		return fail(-EPERM, "%s is not offered here", method);
	return fail(-ENOENT, "there is nothing at %s", u->path);
}

const char *route_param(const struct route_match *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strlen(name) == m->name_len[i] &&
		    !memcmp(name, m->name[i], m->name_len[i]))
			return m->value[i];
	}
	return NULL;
}
