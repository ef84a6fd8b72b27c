/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/edit.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

struct checkpoint_task {
	struct pool_task task;
	struct mount *mount;
};

static void run_checkpoint(struct pool_task *t)
{
	struct checkpoint_task *x = container_of(t, struct checkpoint_task,
						 task);
	struct mount *m = x->mount;

	if (changes_checkpoint(m->changes))
		log_warn("fs", "%s: %s", m->dir, error_text(-EIO));
	free(x);
	__atomic_fetch_sub(&m->waiting, 1, __ATOMIC_RELEASE);
}

void edit_checkpoint(struct mount *m)
{
	struct checkpoint_task *x;

	if (__atomic_load_n(&m->changes->checkpointing, __ATOMIC_ACQUIRE))
		return;
	x = xcalloc(1, sizeof(*x));
	x->mount = m;
	x->task.run = run_checkpoint;
	/* as if parked: the mount does not go away under it */
	__atomic_fetch_add(&m->waiting, 1, __ATOMIC_RELAXED);
	pool_add(m->fs->work, &x->task);
}

int edit_begin(struct edit *e, struct request *r)
{
	int rc;

	*e = (struct edit){ .r = r, .m = r->mount,
			    .c = r->mount->changes };
	rc = store_read_begin(e->m->store, &e->reader);
	if (rc)
		return rc;
	changes_edit(e->c);
	e->c->unique = r->unique;
	return 0;
}

void edit_end(struct edit *e)
{
	bool due;

	e->c->unique = 0;
	due = changes_edit_end(e->c);
	store_read_end(&e->reader);
	if (due)
		edit_checkpoint(e->m);
}

/* -- adopting ------------------------------------------------------------------ */

static uint32_t full_mode(const struct tree_entry *e)
{
	switch (e->kind) {
	case SCORPIO_FILE:
		return S_IFREG | (e->mode & 07777u);
	case SCORPIO_SYMLINK:
		return S_IFLNK | 0777;
	default:
		return S_IFDIR | (e->mode & 07777u);
	}
}

/* Give the entry of a lower tree a cnode in dir. known may be NULL. */
static int adopt_entry(struct edit *e, struct cnode *dir,
		       const struct tree_entry *entry, uint32_t index,
		       struct node *known, struct cnode **ret)
{
	const char *above = dir->v.lower_path;
	cleanup_free char *path = NULL;
	cleanup_free char *name = xstrndup(entry->name, entry->name_len);
	bool is_dir = entry->kind == SCORPIO_DIR ||
		      entry->kind == SCORPIO_SUBMODULE;
	struct cvalue v = {
		.id = view_id(entry), .mode = full_mode(entry),
		.uid = CHANGES_OWNER, .gid = CHANGES_OWNER,
		.lower_mode = entry->mode, .lower_kind = entry->kind,
		.content = is_dir ? CONTENT_EMPTY : CONTENT_LOWER,
		.size = is_dir ? 0 : entry->size,
	};

	if (!known)
		known = node_peek(e->m->nodes, dir->known, dir->v.ino,
				  entry->name, entry->name_len, index,
				  &v.ino);
	if (known)
		v.ino = known->ino;
	path = above && *above ? xasprintf("%s/%s", above, name)
			       : xstrdup(name);
	v.lower_path = path;
	v.mtim = view_mtime(e->m, node_key(path), entry->mtime_ns);
	v.atim = v.ctim = v.mtim;
	return changes_adopt(e->c, dir, name, &v, known, ret);
}

/* n is unchanged, so its parent is a directory of the revision. */
static int adopt_node(struct edit *e, struct node *n, struct cnode **ret)
{
	struct node *parent = n->parent;
	struct cnode *dir = node_changed(parent);
	struct tree_entry entry;
	int rc = 0;

	if (parent->dir->ghost)
		return fail(-ESTALE, "it is not in the revision the workspace "
			    "was switched to");
	if (!dir)
		rc = adopt_node(e, parent, &dir);
	if (!rc)
		rc = view_entry(e->m, &e->reader, n, &entry);
	if (rc == -EAGAIN)
		return request_need(e->r, WANT_TREE, &parent->dir->tree,
				    parent->ino, SCORPIO_DIR);
	return rc ? rc : adopt_entry(e, dir, &entry, n->index, n, ret);
}

int edit_node(struct edit *e, uint64_t ino, struct cnode **ret)
{
	struct node *n = node_find(e->m->nodes, ino);

	if (!n)
		return fail(-ESTALE, "unknown inode");
	*ret = node_changed(n);
	return *ret ? 0 : adopt_node(e, n, ret);
}

int edit_dir(struct edit *e, uint64_t ino, struct cnode **ret)
{
	int rc = edit_node(e, ino, ret);

	if (rc)
		return rc;
	if (!changes_is_dir(*ret))
		return -ENOTDIR;
	return (*ret)->nlink ? 0 : -ENOENT; /* removed while in use */
}

/* -- names ------------------------------------------------------------------------ */

static int lower_view(struct edit *e, const struct cnode *dir,
		      struct tree_view *ret)
{
	struct scorpio_id tree = changes_tree(dir);
	int rc = view_tree(e->m, &e->reader, &tree, ret);

	return rc == -EAGAIN ? request_need(e->r, WANT_TREE, &tree,
					    dir->v.ino, SCORPIO_DIR)
			     : rc;
}

int edit_find(struct edit *e, struct cnode *dir, const char *name,
	      struct edit_name *ret)
{
	size_t len = strlen(name);
	struct tree_view v;
	int64_t index;
	int rc;

	*ret = (struct edit_name){ .dir = dir, .text = name };
	if (len > SCORPIO_NAME_MAX)
		return -ENAMETOOLONG;
	ret->name = changes_name(dir, name, len);
	if (ret->name) {
		ret->lower_kind = ret->name->lower_kind;
		return 0;
	}
	rc = lower_view(e, dir, &v);
	if (rc)
		return rc;
	index = tree_find(&v, name, len);
	if (index < 0)
		return 0;
	tree_entry_at(&v, (uint32_t)index, &ret->entry);
	ret->index = (uint32_t)index;
	ret->lower_kind = ret->entry.kind;
	ret->lower = true;
	return 0;
}

bool edit_is_dir(const struct edit_name *n)
{
	if (n->lower)
		return n->lower_kind == SCORPIO_DIR ||
		       n->lower_kind == SCORPIO_SUBMODULE;
	return changes_is_dir(n->name->node);
}

int edit_adopt(struct edit *e, struct edit_name *n, struct cnode **ret)
{
	int rc;

	if (!n->lower) {
		*ret = n->name->node;
		return 0;
	}
	rc = adopt_entry(e, n->dir, &n->entry, n->index, NULL, ret);
	if (rc)
		return rc;
	n->lower = false;
	n->name = (*ret)->links;
	return 0;
}

int edit_check_empty(struct edit *e, const struct edit_name *n)
{
	const struct cnode *c;
	struct scorpio_id tree;
	struct tree_view v;
	int rc;

	if (n->lower) {
		if (n->lower_kind == SCORPIO_SUBMODULE)
			return 0;
		tree = view_id(&n->entry);
		rc = view_tree(e->m, &e->reader, &tree, &v);
		if (rc == -EAGAIN)
			return request_need(e->r, WANT_TREE, &tree, 0,
					    SCORPIO_DIR);
		return rc ? rc : v.count ? -ENOTEMPTY : 0;
	}
	c = n->name->node;
	if (c->dir->live)
		return -ENOTEMPTY;
	rc = lower_view(e, c, &v);
	/* only lower names leave tombstones */
	return rc ? rc : v.count > c->dir->hidden ? -ENOTEMPTY : 0;
}

void edit_entry(struct edit *e, struct cnode *n, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){ 0 };
	node_lock(e->m->nodes);
	dir_fill_changed(e->m, &e->reader, n, ret);
	node_unlock(e->m->nodes);
}
