/* SPDX-License-Identifier: Apache-2.0 */
/*
 * way.c - what is known of a mount when the store was lost.
 *
 * The ids that a layer makes, and the paths that some backends want, come from
 * what was learned on the way from the root of a revision. When the store was
 * lost (set aside because it was damaged, removed), that is gone, while a mount
 * still names what lies deep below: the kernel its inodes, a workspace its
 * changed directories. So what an id means is learned again from its parent, up
 * to the revision, which is on record: the revision is resolved, and the
 * directories that are missing are brought from the top. Only when somebody
 * asks for what is not known, and nowhere else.
 */
#include "fs/way.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/view.h"
#include "fs/workspace.h"

#define ASK_MS 10000
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

static int bring(struct mount *m, const struct scorpio_id *tree,
		 const char *path, int64_t deadline)
{
	struct scorpio_ref ref = {
		.id = *tree, .path = path, .kind = SCORPIO_DIR,
		.path_len = path ? (uint32_t)strlen(path) : 0,
	};

	return is_here(m, tree) ? 0
				: source_need(m->source, WANT_TREE, &ref,
					      WANT_DEMAND, deadline);
}

/* -- the root --------------------------------------------------------------- */

static int root_again(struct mount *m, int64_t deadline)
{
	cleanup_free struct view_found *at = xmalloc(sizeof(*at));
	struct scorpio_revision was, rev;
	struct scorpio_id root;
	int rc;

	pthread_mutex_lock(&m->fs->lock);
	was = m->rev;
	pthread_mutex_unlock(&m->fs->lock);
	view_lock(m);
	root = m->root;
	view_unlock(m);
	rc = source_resolve(m->source, was.text,
			    MIN(deadline, deadline_in_ms(ASK_MS)), &rev);
	if (!rc && *m->subdir)
		rc = view_walk_tree(m, &rev.root, m->subdir, deadline, at);
	return rc ? rc : bring(m, &root, m->subdir, deadline);
}

int way_root(struct mount *m, int64_t deadline)
{
	bool resumed = m->workspace && m->workspace->resumed;
	int rc = bring(m, &m->root, m->subdir, deadline);

	if (!rc || source_offline(m->source) || (rc != -ESTALE && !resumed))
		return rc;
	return root_again(m, deadline) ? rc : 0;
}

/* -- what lies below it ----------------------------------------------------- */

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

static int go(struct mount *m, const struct step *s, int64_t deadline)
{
	cleanup_free char *path = m->needs_path ? view_path_of(m, s->ino)
						: NULL;

	return bring(m, &s->tree, path, deadline);
}

int way_again(struct mount *m, uint64_t ino, int64_t deadline)
{
	cleanup_free struct way *w = xcalloc(1, sizeof(*w));
	cleanup_free struct view_found *found = xmalloc(sizeof(*found));
	int rc;

	find_way(m, ino, w);
	rc = root_again(m, deadline);
	if (!rc && w->lower)
		rc = view_walk_lower(m, w->lower, deadline, found);
	while (!rc && w->n)
		rc = go(m, &w->steps[--w->n], deadline);
	free(w->lower);
	return rc;
}
