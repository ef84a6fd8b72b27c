/* SPDX-License-Identifier: Apache-2.0 */
/*
 * way.c - a request whose object cannot be asked for by itself any more.
 *
 * The ids that a layer makes, and the paths that some backends want, come from
 * what was learned on the way from the root. When the store was lost under a
 * mount in use (set aside because its disk failed), that is gone, while the
 * kernel still knows inodes deep below. So the way is gone once more: the
 * revision is resolved, and the directories above are brought from the top.
 */
#include "fs/way.h"

#include "core/error.h"
#include "fs/view.h"

#define DEPTH_MAX 512

struct step {
	struct scorpio_id tree;
	uint64_t ino;
};

struct way {
	struct step steps[DEPTH_MAX]; /* nearest first */
	size_t n;
	char *lower; /* owned; of the changed directory it begins at, or NULL */
};

/* The directories from the inode up to the root, or to one that was changed. */
static void find_way(struct mount *m, uint64_t ino, struct way *w)
{
	const struct cnode *c = NULL;
	const struct node *n;

	view_lock(m);
	for (n = node_find(m->nodes, ino); n && w->n < DEPTH_MAX && !c;
	     n = c ? NULL : n->parent) {
		c = node_changed(n);
		if (n->dir && n->dir->tree.len)
			w->steps[w->n++] = (struct step){ n->dir->tree,
							  n->ino };
	}
	if (!n && !c && m->changes)
		c = changes_find(m->changes, ino);
	if (c && c->v.lower_path)
		w->lower = xstrdup(c->v.lower_path);
	view_unlock(m);
}

static bool is_here(struct mount *m, const struct scorpio_id *tree)
{
	struct store_reader r;
	struct tree_view v;
	bool here;

	if (store_read_begin(m->store, &r))
		return false;
	here = !view_tree(m, &r, tree, &v);
	store_read_end(&r);
	return here;
}

static int bring(struct mount *m, const struct step *s, int64_t deadline)
{
	cleanup_free char *path = m->needs_path ? view_path_of(m, s->ino)
						: NULL;
	struct scorpio_ref ref = {
		.id = s->tree, .path = path, .kind = SCORPIO_DIR,
		.path_len = path ? (uint32_t)strlen(path) : 0,
	};

	return is_here(m, &s->tree)
		       ? 0
		       : source_need(m->source, WANT_TREE, &ref, WANT_DEMAND,
				     deadline);
}

int way_again(struct mount *m, uint64_t ino, int64_t deadline)
{
	cleanup_free struct way *w = xcalloc(1, sizeof(*w));
	cleanup_free struct view_found *found = xmalloc(sizeof(*found));
	struct scorpio_revision rev;
	int rc;

	find_way(m, ino, w);
	rc = source_resolve(m->source, m->rev.text, deadline, &rev);
	if (!rc && w->lower)
		rc = view_walk_lower(m, w->lower, deadline, found);
	while (!rc && w->n)
		rc = bring(m, &w->steps[--w->n], deadline);
	free(w->lower);
	return rc;
}
