/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt.c - do private changes cover all that differs between two revisions?
 * Then a switch from one to the other shows in no file.
 */
#include "core/error.h"
#include "fs/delta.h"
#include "fs/settle.h"
#include "fs/status.h"

struct covering {
	struct mount *m;
	struct store_reader *reader;
};

static bool same_place(const struct cnode *n, const char *path)
{
	return n->v.lower_path && n->v.lower_kind &&
	       !strcmp(n->v.lower_path, path);
}

static bool whole_dir(struct covering *x, const struct cnode *n);

/* Does nothing of the revision show through at this name? */
static bool hides(struct covering *x, const struct cname *name,
		  const char *path)
{
	const struct cnode *n = name->node;

	if (!n)
		return true;
	if (n->dir)
		return !status_has_lower(n) ||
		       (same_place(n, path) && whole_dir(x, n));
	return n->v.content != CONTENT_LOWER;
}

static bool whole_dir(struct covering *x, const struct cnode *n)
{
	struct scorpio_id tree = changes_tree(n);
	const struct cdir *d = n->dir;
	struct tree_view v;
	uint32_t lower = 0;

	if (view_tree(x->m, x->reader, &tree, &v))
		return false;
	for (uint32_t i = 0; d->buckets && i <= d->mask; i++) {
		for (struct cname *l = d->buckets[i]; l; l = l->next) {
			cleanup_free char *path =
				status_join(n->v.lower_path, l->name);

			if (!l->lower_kind)
				continue;
			if (!hides(x, l, path))
				return false;
			lower++;
		}
	}
	return lower == v.count;
}

/* Permissions nobody changed are those of the revision, also of the next. */
static bool takes_mode(const struct cnode *n, const struct delta_entry *e,
		       const char *path)
{
	return n && !n->dir && same_place(n, path) &&
	       (n->v.mode & 07777) == (n->v.lower_mode & 07777u) &&
	       (e->new_mode & 07777) != (n->v.lower_mode & 07777u);
}

static bool covered(struct covering *x, const struct delta_entry *e)
{
	const struct cnode *dir = x->m->changes->root;
	const char *p = e->path;

	for (;;) {
		size_t len = strcspn(p, "/");
		const struct cname *name = changes_name(dir, p, len);
		cleanup_free char *path = NULL;

		if (!name)
			return false;
		path = xstrndup(e->path, (size_t)(p - e->path) + len);
		p += len;
		if (!*p++)
			return hides(x, name, path) &&
			       !takes_mode(name->node, e, path);
		if (!name->node || !name->node->dir ||
		    !status_has_lower(name->node))
			return true;
		if (!same_place(name->node, path))
			return false;
		dir = name->node;
	}
}

int adopt_check(struct mount *m, const struct delta *d)
{
	struct store_reader r;
	struct covering x = { m, &r };
	int rc = store_read_begin(m->store, &r);

	if (rc)
		return rc;
	for (size_t i = 0; i < d->n && !rc; i++) {
		const struct delta_entry *e = d->all[i];

		if (e->what == DELTA_DIR || covered(&x, e))
			continue;
		rc = fail(-EAGAIN, "%s is not what that revision has there",
			  e->path);
	}
	store_read_end(&r);
	return rc;
}
