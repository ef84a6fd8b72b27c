/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include "core/clock.h"
#include "core/error.h"

int view_tree(struct mount *m, struct store_reader *r,
	      const struct scorpio_id *tree, struct tree_view *ret)
{
	struct store_key key;
	int rc;

	if (!tree->len) {
		*ret = (struct tree_view){ 0 };
		return 0;
	}
	key = store_key(m->space, tree);
	rc = store_tree(r, &key, ret);
	return rc == -ENOENT ? -EAGAIN : rc;
}

int view_entry(struct mount *m, struct store_reader *r, const struct node *n,
	       struct tree_entry *ret)
{
	struct tree_view v;
	int rc = view_tree(m, r, &n->parent->dir->tree, &v);

	if (rc)
		return rc;
	if (n->index >= v.count)
		return fail(-EIO, "view: entry %u of a tree of %u", n->index,
			    v.count);
	tree_entry_at(&v, n->index, ret);
	return 0;
}

struct scorpio_id view_id(const struct tree_entry *e)
{
	struct scorpio_id id = { .len = e->id_len };

	memcpy(id.bytes, e->id, e->id_len);
	return id;
}

uint64_t view_size(struct mount *m, struct store_reader *r,
		   const struct tree_entry *e)
{
	struct scorpio_id id;
	struct store_key key;
	struct blob_info blob;

	if (e->size != SCORPIO_SIZE_UNKNOWN)
		return e->size;
	id = view_id(e);
	key = store_key(m->space, &id);
	return store_blob(r, &key, &blob) ? SCORPIO_SIZE_UNKNOWN : blob.size;
}

static void stat_common(struct mount *m, uint64_t ino, int64_t mtime_ns,
			struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_uid = m->uid;
	st->st_gid = m->gid;
	st->st_nlink = 1; /* also of directories: "not counted", as on btrfs */
	st->st_blksize = 4096;
	if (mtime_ns == SCORPIO_TIME_UNKNOWN)
		mtime_ns = m->time_ns;
	st->st_mtim = ns_to_timespec(mtime_ns);
	st->st_ctim = st->st_mtim;
	st->st_atim = st->st_mtim;
}

void view_stat_dir(struct mount *m, uint64_t ino, int64_t mtime_ns,
		   uint32_t mode, struct stat *st)
{
	stat_common(m, ino, mtime_ns, st);
	st->st_mode = S_IFDIR | (mode & 07777);
	st->st_size = 4096;
	st->st_blocks = 8;
}

bool view_stat(struct mount *m, struct store_reader *r,
	       const struct tree_entry *e, uint64_t ino, struct stat *st)
{
	uint64_t size;

	if (e->kind == SCORPIO_DIR || e->kind == SCORPIO_SUBMODULE) {
		view_stat_dir(m, ino, e->mtime_ns, e->mode, st);
		return true;
	}
	stat_common(m, ino, e->mtime_ns, st);
	st->st_mode = e->kind == SCORPIO_SYMLINK ? S_IFLNK | 0777
						 : S_IFREG | (e->mode & 07777);
	size = view_size(m, r, e);
	if (size == SCORPIO_SIZE_UNKNOWN)
		return false;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	return true;
}

char *view_path(struct mount *m, const struct node *n)
{
	struct store_reader r;
	struct tree_entry e;
	char *path = NULL, *longer;

	if (store_read_begin(m->store, &r))
		return NULL;
	for (; n->parent; n = n->parent) {
		if (view_entry(m, &r, n, &e)) {
			free(path);
			store_read_end(&r);
			return NULL;
		}
		longer = path ? xasprintf("%.*s/%s", (int)e.name_len, e.name,
					  path)
			      : xstrndup(e.name, e.name_len);
		free(path);
		path = longer;
	}
	store_read_end(&r);
	if (m->subdir && *m->subdir) {
		longer = path ? xasprintf("%s/%s", m->subdir, path)
			      : xstrdup(m->subdir);
		free(path);
		path = longer;
	}
	return path ? path : xstrdup("");
}

/* One component: find `name` in `tree`, fetching the tree if needed. */
static int step(struct mount *m, const struct scorpio_ref *tree,
		const char *name, size_t len, int64_t deadline,
		uint64_t parent_ino, struct view_found *ret)
{
	struct store_reader r;
	struct tree_view v;
	struct tree_entry e;
	int64_t index = -1;
	int rc;

	for (int tries = 0; tries < 4; tries++) {
		rc = store_read_begin(m->store, &r);
		if (rc)
			return rc;
		rc = view_tree(m, &r, &tree->id, &v);
		if (!rc)
			break;
		store_read_end(&r);
		if (rc != -EAGAIN)
			return rc;
		rc = source_need(m->source, WANT_TREE, tree, WANT_DEMAND,
				 deadline);
		if (rc)
			return rc;
	}
	if (rc)
		return fail(-EIO, "the store does not keep what is fetched");
	index = tree_find(&v, name, len);
	if (index >= 0) {
		tree_entry_at(&v, (uint32_t)index, &e);
		*ret = (struct view_found){
			.kind = e.kind, .mode = e.mode, .id = view_id(&e),
			.size = view_size(m, &r, &e),
			.mtime_ns = e.mtime_ns == SCORPIO_TIME_UNKNOWN
					    ? m->time_ns
					    : e.mtime_ns,
			.ino = node_ino(parent_ino, name, len),
		};
	}
	store_read_end(&r);
	return index < 0 ? -ENOENT : 0;
}

int view_walk(struct mount *m, const char *path, int64_t deadline,
	      struct view_found *ret)
{
	struct view_found at = { .kind = SCORPIO_DIR, .mode = 0755,
				 .ino = NODE_ROOT, .id = m->root,
				 .size = 4096, .mtime_ns = m->time_ns };
	bool sub = m->subdir && *m->subdir;
	cleanup_free char *full =
		sub ? xasprintf("%s/%s", m->subdir, path) : xstrdup(path);
	const char *p = full + (sub ? strlen(m->subdir) + 1 : 0);

	while (*p) {
		size_t len = strcspn(p, "/");
		struct scorpio_ref ref = { .id = at.id, .path = full,
					   .path_len = (uint32_t)(p - full),
					   .kind = SCORPIO_DIR };
		int rc;

		if (!len) {
			p++;
			continue;
		}
		while (ref.path_len && full[ref.path_len - 1] == '/')
			ref.path_len--;
		if (at.kind != SCORPIO_DIR && at.kind != SCORPIO_SUBMODULE)
			return fail(-ENOTDIR, "%.*s is not a directory",
				    (int)ref.path_len, full);
		rc = at.id.len && at.kind == SCORPIO_DIR
			     ? step(m, &ref, p, len, deadline, at.ino, &at)
			     : -ENOENT;
		if (rc == -ENOENT)
			return fail(-ENOENT,
				    "%.*s does not exist in this revision",
				    (int)(p + len - full), full);
		if (rc)
			return rc;
		p += len;
	}
	*ret = at;
	return 0;
}
