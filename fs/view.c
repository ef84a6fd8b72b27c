/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/way.h"

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

uint64_t view_blob_size(struct mount *m, struct store_reader *r,
			const struct scorpio_id *id)
{
	struct store_key key = store_key(m->space, id);
	struct blob_info blob;

	return store_blob(r, &key, &blob) ? SCORPIO_SIZE_UNKNOWN : blob.size;
}

uint64_t view_size(struct mount *m, struct store_reader *r,
		   const struct tree_entry *e)
{
	struct scorpio_id id;

	if (e->size != SCORPIO_SIZE_UNKNOWN)
		return e->size;
	id = view_id(e);
	return view_blob_size(m, r, &id);
}

int64_t view_mtime(const struct mount *m, uint64_t key, int64_t mtime_ns)
{
	return times_get(m->times, key, mtime_ns == SCORPIO_TIME_UNKNOWN
						? m->time_ns
						: mtime_ns);
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
	       const struct node *dir, const struct tree_entry *e,
	       uint64_t ino, struct stat *st)
{
	uint64_t key = node_ino(dir->dir->key, e->name, e->name_len), size;
	int64_t mtime_ns = view_mtime(m, key, e->mtime_ns);

	if (e->kind == SCORPIO_DIR || e->kind == SCORPIO_SUBMODULE) {
		view_stat_dir(m, ino, mtime_ns, e->mode, st);
		return true;
	}
	stat_common(m, ino, mtime_ns, st);
	st->st_mode = e->kind == SCORPIO_SYMLINK ? S_IFLNK | 0777
						 : S_IFREG | (e->mode & 07777);
	size = view_size(m, r, e);
	if (size == SCORPIO_SIZE_UNKNOWN)
		return false;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	return true;
}

bool view_stat_changed(struct mount *m, struct store_reader *r,
		       const struct cnode *c, struct stat *st)
{
	uint64_t size;

	changes_stat(c, m->uid, m->gid, st);
	if (c->v.content != CONTENT_LOWER || changes_is_dir(c) ||
	    c->v.size != SCORPIO_SIZE_UNKNOWN)
		return true;
	size = view_blob_size(m, r, &c->v.id);
	if (size == SCORPIO_SIZE_UNKNOWN)
		return false;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	return true;
}

static void content_changed(struct mount *m, struct store_reader *r,
			    struct cnode *c, struct view_content *ret)
{
	*ret = (struct view_content){
		.kind = S_ISREG(c->v.mode)   ? SCORPIO_FILE
			: S_ISLNK(c->v.mode) ? SCORPIO_SYMLINK
					     : 0,
		.content = c->v.content, .id = c->v.id, .file = c->v.file,
		.size = __atomic_load_n(&c->v.size, __ATOMIC_RELAXED),
		.privileged = c->xattrs || (c->v.mode & (S_ISUID | S_ISGID)),
		.changed = c,
	};
	if (ret->content == CONTENT_LOWER && ret->size == SCORPIO_SIZE_UNKNOWN)
		ret->size = view_blob_size(m, r, &ret->id);
}

int view_content(struct mount *m, struct store_reader *r,
		 const struct node *n, struct view_content *ret)
{
	struct cnode *c = node_changed(n);
	struct tree_entry e;
	int rc;

	if (n->dir)
		return -EISDIR;
	if (c) {
		content_changed(m, r, c, ret);
		return 0;
	}
	rc = view_entry(m, r, n, &e);
	if (!rc)
		*ret = (struct view_content){
			.kind = e.kind, .content = CONTENT_LOWER,
			.id = view_id(&e), .size = view_size(m, r, &e),
			.privileged = e.mode & (S_ISUID | S_ISGID),
		};
	return rc;
}

/* -- paths ---------------------------------------------------------------------- */

static char *join(char *dir /* takes */, char *rest /* takes */)
{
	char *path;

	if (!dir || !rest || !*dir || !*rest) {
		path = dir && (!rest || !*rest) ? dir : rest;
		free(path == dir ? rest : dir);
		return path;
	}
	path = xasprintf("%s/%s", dir, rest);
	free(dir);
	free(rest);
	return path;
}

/* The names from n up to its first changed ancestor, or the root. */
static char *names_above(struct mount *m, const struct node *n,
			 const struct cnode **ret_top)
{
	char *path = xstrdup("");
	struct store_reader r;
	struct tree_entry e;

	*ret_top = NULL;
	if (store_read_begin(m->store, &r)) {
		free(path);
		return NULL;
	}
	for (;; n = n->parent) {
		*ret_top = node_changed(n);
		if (*ret_top || !n->parent)
			break;
		if (n->dir && n->dir->bucket)
			continue;
		if (n->parent->dir->ghost) { /* it has no path any more */
			free(path);
			path = NULL;
			break;
		}
		if (view_entry(m, &r, n, &e)) {
			free(path);
			path = NULL;
			break;
		}
		path = join(xstrndup(e.name, e.name_len), path);
	}
	store_read_end(&r);
	return path;
}

static char *below_subdir(struct mount *m, char *path /* takes */)
{
	return path && m->subdir && *m->subdir
		       ? join(xstrdup(m->subdir), path)
		       : path;
}

char *view_path(struct mount *m, const struct node *n)
{
	const struct cnode *top;
	char *path = names_above(m, n, &top);

	if (path && top) {
		if (!top->v.lower_path) {
			free(path);
			return NULL;
		}
		path = join(xstrdup(top->v.lower_path), path);
	}
	return below_subdir(m, path);
}

char *view_path_of(struct mount *m, uint64_t ino)
{
	const struct cnode *c;
	struct node *n;
	char *path = NULL;

	view_lock(m);
	n = node_find(m->nodes, ino);
	c = !n && m->changes ? changes_find(m->changes, ino) : NULL;
	if (n)
		path = view_path(m, n);
	else if (c && c->v.lower_path)
		path = below_subdir(m, xstrdup(c->v.lower_path));
	view_unlock(m);
	return path;
}

char *view_shown_path(struct mount *m, uint64_t ino)
{
	const struct cnode *top = NULL;
	struct node *n;
	char *path;

	view_lock(m);
	n = node_find(m->nodes, ino);
	path = n ? names_above(m, n, &top) : NULL;
	if (path && top)
		path = join(changes_path(top, NULL), path);
	view_unlock(m);
	return path;
}

/* -- walking ---------------------------------------------------------------------- */

/* What is at `name` in a lower tree, which is fetched if needed. */
static int step_lower(struct mount *m, const char *path, const char *name,
		      size_t len, int64_t deadline, struct view_found *at)
{
	cleanup_free char *lower =
		at->whole ? xstrdup(at->lower)
			  : below_subdir(m, xstrdup(at->lower));
	struct scorpio_ref ref = { .id = at->id, .path = lower,
				   .path_len = (uint32_t)strlen(lower),
				   .kind = SCORPIO_DIR };
	struct store_reader r;
	struct tree_view v;
	struct tree_entry e;
	size_t used = strlen(at->lower);
	struct scorpio_id bucket;
	int64_t index;
	int rc;

again:
	for (int tries = 0; tries < 4; tries++) {
		rc = store_read_begin(m->store, &r);
		if (rc)
			return rc;
		rc = view_tree(m, &r, &ref.id, &v);
		if (!rc)
			break;
		store_read_end(&r);
		if (rc != -EAGAIN)
			return rc;
		rc = source_need(m->source, WANT_TREE, &ref, WANT_DEMAND,
				 deadline);
		if (rc == -ESTALE && at->ino == NODE_ROOT && !at->whole)
			rc = way_root(m, deadline);
		if (rc)
			return rc;
	}
	if (rc)
		return fail(-EIO, "the store does not keep what is fetched");
	index = tree_find(&v, name, len);
	if (index < 0 && m->open_root && at->ino == NODE_ROOT &&
	    !source_bucket(m->source, &at->id, name, len, &bucket) &&
	    memcmp(&bucket, &ref.id, sizeof(bucket)) != 0) {
		store_read_end(&r);
		ref.id = bucket;
		goto again;
	}
	if (index >= 0 && used + len + 2 <= sizeof(at->lower)) {
		tree_entry_at(&v, (uint32_t)index, &e);
		at->kind = e.kind;
		at->mode = e.mode;
		at->id = view_id(&e);
		at->size = view_size(m, &r, &e);
		at->ino = node_ino(at->ino, name, len);
		at->changed = at->has_cnode = false;
		snprintf(at->lower + used, sizeof(at->lower) - used,
			 "%s%.*s", used ? "/" : "", (int)len, name);
		view_lock(m);
		at->mtime_ns = view_mtime(m, node_key(at->lower), e.mtime_ns);
		view_unlock(m);
	}
	store_read_end(&r);
	return index < 0 ? fail(-ENOENT, "%.*s does not exist in this "
				"revision", (int)(name + len - path), path)
			 : 0;
}

static void found_changed(struct mount *m, const struct cnode *c,
			  struct view_found *ret)
{
	const struct cvalue *v = &c->v;
	struct stat st;

	changes_stat(c, m->uid, m->gid, &st);
	*ret = (struct view_found){
		.kind = S_ISDIR(v->mode)   ? SCORPIO_DIR
			: S_ISLNK(v->mode) ? SCORPIO_SYMLINK
					   : SCORPIO_FILE,
		.mode = v->mode & 07777, .ino = v->ino,
		.size = v->content == CONTENT_LOWER ? v->size
						    : (uint64_t)st.st_size,
		.mtime_ns = timespec_to_ns(st.st_mtim),
		.changed = !changes_is_dir(c) && v->content != CONTENT_LOWER,
		.has_cnode = true,
	};
	if (changes_is_dir(c))
		ret->id = changes_tree(c);
	else if (!ret->changed)
		ret->id = v->id;
	snprintf(ret->lower, sizeof(ret->lower), "%s",
		 v->lower_path ? v->lower_path : "");
}

/* True if the workspace itself has a say about that name: then *ret_rc. */
static bool step_changed(struct mount *m, const char *name, size_t len,
			 struct view_found *at, int *ret_rc)
{
	struct cname *found = NULL;
	struct cnode *dir;

	/* all that is above a changed inode is changed as well */
	if (!m->changes || !at->has_cnode)
		return false;
	view_lock(m);
	dir = changes_find(m->changes, at->ino);
	if (dir && dir->dir)
		found = changes_name(dir, name, len);
	*ret_rc = -ENOENT;
	if (found && found->node) {
		found_changed(m, found->node, at);
		*ret_rc = 0;
	}
	view_unlock(m);
	return found;
}

static int step(struct mount *m, const char *path, const char *name,
		size_t len, int64_t deadline, struct view_found *at)
{
	int rc;

	if (at->kind != SCORPIO_DIR && at->kind != SCORPIO_SUBMODULE)
		return fail(-ENOTDIR, "%.*s is not a directory",
			    (int)(name - path - 1), path);
	if (step_changed(m, name, len, at, &rc))
		return rc ? fail(rc, "%.*s does not exist",
				 (int)(name + len - path), path)
			  : 0;
	if (at->id.len && at->kind == SCORPIO_DIR)
		return step_lower(m, path, name, len, deadline, at);
	return fail(-ENOENT, "%.*s does not exist", (int)(name + len - path),
		    path);
}

static int walk(struct mount *m, const char *path, int64_t deadline,
		struct view_found *at)
{
	const char *p = path;

	while (*p) {
		size_t len = strcspn(p, "/");
		int rc = len ? step(m, path, p, len, deadline, at) : 0;

		if (rc)
			return rc;
		p += len + (p[len] == '/');
	}
	return 0;
}

static struct view_found top(bool has_cnode)
{
	return (struct view_found){ .kind = SCORPIO_DIR, .mode = 0755,
				    .ino = NODE_ROOT, .size = 4096,
				    .has_cnode = has_cnode };
}

static int walk_shown(struct mount *m, const char *path, bool lower,
		      int64_t deadline, struct view_found *ret)
{
	struct view_found at = top(!lower);
	int rc;

	view_lock(m);
	at.id = m->root;
	at.mtime_ns = view_mtime(m, NODE_ROOT, SCORPIO_TIME_UNKNOWN);
	view_unlock(m);
	rc = walk(m, path, deadline, &at);
	if (!rc)
		*ret = at;
	return rc;
}

int view_walk(struct mount *m, const char *path, int64_t deadline,
	      struct view_found *ret)
{
	return walk_shown(m, path, false, deadline, ret);
}

int view_walk_lower(struct mount *m, const char *path, int64_t deadline,
		    struct view_found *ret)
{
	return walk_shown(m, path, true, deadline, ret);
}

int view_walk_tree(struct mount *m, const struct scorpio_id *root,
		   const char *path, int64_t deadline, struct view_found *ret)
{
	struct view_found at = top(false);
	int rc;

	at.id = *root;
	at.whole = true;
	rc = walk(m, path, deadline, &at);
	if (!rc)
		*ret = at;
	return rc;
}
