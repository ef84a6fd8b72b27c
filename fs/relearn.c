/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relearn.c - the root of a mount, also when the store was lost. Layers make ids
 * of directories whose meaning they keep in the store: they learn it again on
 * the way from a revision down to the directory. A workspace that goes on where
 * it was names such directories without going that way.
 */
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/mount.h"
#include "fs/view.h"
#include "fs/workspace.h"

#define ASK_MS 10000
#define PATHS_MAX 10000

static int root_is_here(struct mount *m)
{
	struct store_key key = store_key(m->space, &m->root);
	struct store_reader reader;
	struct tree_view v;
	int rc = store_read_begin(m->store, &reader);

	if (rc)
		return rc;
	rc = store_tree(&reader, &key, &v);
	store_read_end(&reader);
	return rc;
}

static int fetch_root(struct mount *m, int64_t deadline)
{
	struct scorpio_ref ref = { .id = m->root, .path = m->subdir,
				   .path_len = (uint32_t)strlen(m->subdir),
				   .kind = SCORPIO_DIR };

	return source_need(m->source, WANT_TREE, &ref, WANT_DEMAND, deadline);
}

int mount_need_root(struct mount *m, int64_t deadline)
{
	struct scorpio_revision rev;
	struct view_found at;
	int rc = root_is_here(m);

	if (rc != -ENOENT)
		return rc;
	rc = fetch_root(m, deadline);
	if (!m->workspace || !m->workspace->resumed)
		return rc;
	m->cold = true;
	if (!rc || source_offline(m->source))
		return rc;
	if (source_resolve(m->source, m->rev.text,
			   MIN(deadline, deadline_in_ms(ASK_MS)), &rev))
		return rc;
	if (*m->subdir)
		view_walk_tree(m, &rev.root, m->subdir, deadline, &at);
	return fetch_root(m, deadline);
}

void mount_relearn(struct mount *m, int64_t deadline)
{
	struct changes *c = m->changes;
	struct view_found at;
	char **paths;
	size_t n = 0;

	if (!m->cold || !c)
		return;
	paths = xcalloc(PATHS_MAX, sizeof(*paths));
	changes_read_lock(c);
	for (size_t i = 0; i <= c->mask; i++)
		for (struct cnode *d = c->buckets[i]; d; d = d->next)
			if (d->v.lower_kind == SCORPIO_DIR &&
			    d->v.lower_path && *d->v.lower_path &&
			    n < PATHS_MAX)
				paths[n++] = xstrdup(d->v.lower_path);
	changes_read_unlock(c);
	deadline = MIN(deadline, deadline_in_ms(ASK_MS));
	for (size_t i = 0; i < n; i++) {
		int rc = view_walk_tree(m, &m->root, paths[i], deadline, &at);

		if (rc) /* it may show when it is looked at */
			log_debug("fs", "%s: %s", paths[i], error_text(rc));
		free(paths[i]);
	}
	free(paths);
}
