/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FOUND 1 /* an emit function's way to stop */

struct wanted {
	const char *name;
	size_t len;
	struct scorpio_entry *ret;
};

static int compare(void *ctx, const struct scorpio_entry *e)
{
	struct wanted *w = ctx;

	if (e->name_len != w->len || memcmp(e->name, w->name, w->len) != 0)
		return 0;
	*w->ret = *e;
	w->ret->name = w->name;
	return FOUND;
}

int gate_child(struct gate *g, const struct scorpio_ref *dir, const char *name,
	       size_t len, struct scorpio_entry *ret)
{
	struct wanted w = { .name = name, .len = len, .ret = ret };
	int rc = g->sources->list(g->source, dir, 0, GATE_TIMEOUT_MS, compare,
				  &w);

	if (rc == 0)
		return g->host->fail(g->host, -ENOENT, "no %.*s in /%.*s",
				     (int)len, name, (int)dir->path_len,
				     dir->path);
	return rc < 0 ? rc : 0;
}

static int keep(void *ctx, const struct scorpio_entry *e)
{
	struct gate_children *l = ctx;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct gate_entry *p = reallocarray(l->at, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->at = p;
		l->cap = cap;
	}
	l->at[l->n].e = *e;
	l->at[l->n].name = strndup(e->name, e->name_len);
	l->at[l->n].e.name = l->at[l->n].name;
	return l->at[l->n++].name ? 0 : -ENOMEM;
}

int gate_children_get(struct gate *g, const struct scorpio_ref *dir,
		      struct gate_children *ret)
{
	return g->sources->list(g->source, dir, 0, GATE_TIMEOUT_MS, keep, ret);
}

void gate_children_done(struct gate_children *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i].name);
	free(l->at);
}

const char *gate_mode(const struct scorpio_entry *e)
{
	switch (e->kind) {
	case SCORPIO_DIR:
		return "40000";
	case SCORPIO_SYMLINK:
		return "120000";
	case SCORPIO_SUBMODULE:
		return "160000";
	default:
		return e->mode & 0100 ? "100755" : "100644";
	}
}

/* "/a/b" -> "a/b": no empty, "." or ".." segments. */
static int take_path(struct gate *g, const char *path, char *ret)
{
	const struct scorpio_host *h = g->host;
	size_t len = strlen(path), n;

	if (*path != '/' || len >= GATE_PATH_MAX)
		return h->fail(h, -EINVAL, "a path starts with / and has less "
			       "than %u bytes", GATE_PATH_MAX);
	if (len > 1 && path[len - 1] == '/')
		len--;
	memcpy(ret, path + 1, len - 1);
	ret[len - 1] = '\0';
	for (const char *p = ret; *p; p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		if (!n || (n == 1 && *p == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return h->fail(h, -EINVAL, "%s: not a path from the "
				       "root", path);
	}
	return 0;
}

static int step(struct gate *g, struct gate_place *at, const char *name,
		size_t n)
{
	struct scorpio_entry e;
	int rc = gate_child(g, &at->dir, name, n, &e);

	if (rc < 0)
		return rc;
	if (e.kind != SCORPIO_DIR)
		return g->host->fail(g->host, -ENOENT, "/%s is not a "
				     "directory", at->path);
	at->dir.id = e.id;
	at->dir.path_len = (uint32_t)(name + n - at->path);
	return 0;
}

int gate_walk(struct gate *g, const char *path, const char *refs,
	      struct gate_place *ret, bool *ret_rev_ok)
{
	int rc = take_path(g, path, ret->path);
	size_t n;

	*ret_rev_ok = false;
	if (rc == 0)
		rc = gate_resolve(g, refs, &ret->rev);
	if (rc < 0)
		return rc;
	*ret_rev_ok = true;
	memset(&ret->dir, 0, sizeof(ret->dir));
	ret->dir.id = ret->rev.root;
	ret->dir.kind = SCORPIO_DIR;
	ret->dir.path = ret->path;
	for (const char *p = ret->path; *p && rc == 0;
	     p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		rc = step(g, ret, p, n);
	}
	return rc;
}

int gate_find(struct gate *g, const struct scorpio_request *r,
	      struct gate_place *ret, bool *ret_rev_ok)
{
	return gate_walk(g, g->http->query(r, "path", "/"),
			 g->http->query(r, "refs", ""), ret, ret_rev_ok);
}
