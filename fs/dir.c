/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.c - looking up a name and reading a directory.
 *
 * Both answer from the parent's tree record in the store's map: a binary
 * search, or a walk in stored order. Directory offsets are positions: 1 is
 * after ".", 2 after "..", i + 3 after the tree's entry i. In a writable mount
 * a directory's own names override those of the tree, at the tree's positions;
 * the names the tree does not have follow by their cookies (changes.h).
 */
#include "core/error.h"
#include "fs/ahead.h"
#include "fs/known.h"
#include "fs/request.h"
#include "fs/view.h"

#define FOR_EVER 1e9 /* seconds; only our own notifications end it */
#define FIRST_ENTRY 2
#define ABSENT_FOR 1.0 /* seconds; a name of an open root may come later */

static bool is_dir(const struct tree_entry *e)
{
	return e->kind == SCORPIO_DIR || e->kind == SCORPIO_SUBMODULE;
}

/* The tree a directory entry shows: none for a submodule. */
static struct scorpio_id tree_of(const struct tree_entry *e)
{
	return e->kind == SCORPIO_DIR ? view_id(e)
				      : (struct scorpio_id){ 0 };
}

/* n, whose entry is e, was looked up. */
static void fill_node(struct mount *m, struct store_reader *r, struct node *n,
		      const struct tree_entry *e, struct fuse_entry_param *ret)
{
	ret->ino = n->ino;
	ret->generation = 0;
	ret->entry_timeout = FOR_EVER;
	ret->attr_timeout = view_stat(m, r, n->parent, e, n->ino, &ret->attr)
				    ? FOR_EVER
				    : 0;
}

/* What the kernel shall remember of an entry; counts a lookup on its node. */
static void fill(struct mount *m, struct store_reader *r, struct node *parent,
		 const struct tree_entry *e, uint32_t index,
		 struct fuse_entry_param *ret)
{
	struct scorpio_id tree = tree_of(e);

	fill_node(m, r,
		  node_enter_locked(m->nodes, parent, e->name, e->name_len,
				    index, is_dir(e) ? &tree : NULL),
		  e, ret);
}

/* The same of a name in a bucket of an open root. */
static void fill_bucket(struct mount *m, struct store_reader *r,
			struct node *root, const struct scorpio_id *bucket,
			const struct tree_entry *e, uint32_t index,
			struct fuse_entry_param *ret)
{
	struct scorpio_id tree = tree_of(e);

	fill_node(m, r,
		  node_enter_bucket_locked(m->nodes, root, bucket, e->name,
					   e->name_len, index,
					   is_dir(e) ? &tree : NULL),
		  e, ret);
}

void dir_fill_changed(struct mount *m, struct store_reader *r,
		      struct cnode *c, struct fuse_entry_param *ret)
{
	ret->ino = node_enter_changed_locked(m->nodes, c)->ino;
	ret->generation = 0;
	ret->entry_timeout = FOR_EVER;
	ret->attr_timeout =
		view_stat_changed(m, r, c, &ret->attr) ? FOR_EVER : 0;
}

/* The name is not in the tree of an open root: in its bucket? View locked. */
static int find_in_bucket(struct request *r, struct store_reader *reader,
			  struct node *root, struct fuse_entry_param *param)
{
	struct mount *m = r->mount;
	struct tree_view v;
	struct tree_entry e;
	int64_t index;
	int rc = view_tree(m, reader, &r->bucket, &v);

	if (rc == -EAGAIN)
		return request_need_bucket(r);
	if (rc)
		return rc;
	index = tree_find(&v, r->name, strlen(r->name));
	if (index < 0)
		return 0;
	tree_entry_at(&v, (uint32_t)index, &e);
	node_lock(m->nodes);
	fill_bucket(m, reader, root, &r->bucket, &e, (uint32_t)index, param);
	node_unlock(m->nodes);
	known_add(m, &r->bucket);
	return 0;
}

/* View locked. 0 with param filled; its ino stays 0 if there is no such name. */
static int find(struct request *r, struct store_reader *reader,
		struct fuse_entry_param *param)
{
	struct mount *m = r->mount;
	struct node *parent = node_find(m->nodes, r->ino);
	size_t len = strlen(r->name);
	struct cname *own = NULL;
	struct tree_view v;
	struct tree_entry e;
	int64_t index;
	int rc;

	if (!parent)
		return fail(-ESTALE, "unknown inode");
	if (!parent->dir)
		return -ENOTDIR;
	if (len > SCORPIO_NAME_MAX)
		return -ENAMETOOLONG;
	if (node_changed(parent))
		own = changes_name(parent->changed, r->name, len);
	if (own) {
		node_lock(m->nodes);
		if (own->node)
			dir_fill_changed(m, reader, own->node, param);
		node_unlock(m->nodes);
		return 0;
	}
	rc = view_tree(m, reader, &parent->dir->tree, &v);
	if (rc)
		return rc == -EAGAIN ? request_need(r, WANT_TREE,
						    &parent->dir->tree,
						    parent->ino, SCORPIO_DIR)
				     : rc;
	index = tree_find(&v, r->name, len);
	if (index < 0)
		return r->bucket.len ? find_in_bucket(r, reader, parent, param)
				     : 0;
	tree_entry_at(&v, (uint32_t)index, &e);
	node_lock(m->nodes);
	fill(m, reader, parent, &e, (uint32_t)index, param);
	node_unlock(m->nodes);
	return 0;
}

int dir_lookup(struct request *r)
{
	struct mount *m = r->mount;
	/* ino 0 makes the kernel remember that the name does not exist */
	struct fuse_entry_param param = { .entry_timeout = FOR_EVER };
	struct store_reader reader;
	int rc = 0;

	if (m->known && r->ino == NODE_ROOT && !r->bucket.len)
		rc = source_bucket(m->source, &m->root, r->name,
				   strlen(r->name), &r->bucket);
	if (!rc || rc == -ENOENT) /* it can only be in the root's own tree */
		rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	view_lock(m);
	rc = find(r, &reader, &param);
	view_unlock(m);
	store_read_end(&reader);
	return rc ? rc : request_reply_entry(r, &param);
}

int dir_absent(struct request *r)
{
	struct fuse_entry_param param = { .entry_timeout = ABSENT_FOR };

	return request_reply_entry(r, &param);
}

struct listing { /* the reply being filled */
	struct request *r;
	struct store_reader *reader;
	struct node *dir;
	struct cnode *changed; /* of dir, or NULL */
	struct scorpio_id bucket; /* that is being added; len 0 none */
	char *buf;
	size_t len;
};

static uint64_t parent_ino(const struct listing *l)
{
	if (l->changed)
		return changes_parent(l->changed);
	return l->dir->parent && !l->dir->parent->dir->ghost
		       ? node_parent(l->dir)->ino
		       : l->dir->ino;
}

static bool add_dots(struct listing *l)
{
	static const char *const names[] = { ".", ".." };

	for (; l->r->off < FIRST_ENTRY; l->r->off++) {
		struct fuse_entry_param param = { 0 };
		size_t room = l->r->size - l->len, n;

		param.attr.st_ino = l->r->off ? parent_ino(l) : l->dir->ino;
		param.attr.st_mode = S_IFDIR;
		n = l->r->op == OP_READDIRPLUS
			    ? fuse_add_direntry_plus(l->r->req,
						     l->buf + l->len, room,
						     names[l->r->off], &param,
						     (off_t)l->r->off + 1)
			    : fuse_add_direntry(l->r->req, l->buf + l->len,
						room, names[l->r->off],
						&param.attr,
						(off_t)l->r->off + 1);
		if (n > room)
			return false;
		l->len += n;
	}
	return true;
}

static uint32_t entry_type(const struct tree_entry *e)
{
	return is_dir(e) ? S_IFDIR
	       : e->kind == SCORPIO_SYMLINK ? S_IFLNK
					    : S_IFREG;
}

/* Add a changed inode c, or if that is NULL the tree's entry e. False: the
 * buffer is full. */
static bool add(struct listing *l, const char *name, size_t name_len,
		struct cnode *c, const struct tree_entry *e, uint32_t index,
		uint64_t next_off)
{
	struct mount *m = l->r->mount;
	struct fuse_entry_param param;
	char text[SCORPIO_NAME_MAX + 1];
	size_t room = l->r->size - l->len, n;

	memcpy(text, name, name_len);
	text[name_len] = '\0';
	if (l->r->op == OP_READDIR) {
		struct stat st = {
			.st_ino = c ? c->v.ino
				    : node_ino(l->dir->ino, name, name_len),
			.st_mode = c ? c->v.mode : entry_type(e),
		};
		n = fuse_add_direntry(l->r->req, l->buf + l->len, room, text,
				      &st, (off_t)next_off);
	} else {
		/* ask for the length first: a lookup is counted only for
		 * what really goes to the kernel */
		n = fuse_add_direntry_plus(l->r->req, NULL, 0, text, NULL, 0);
		if (n > room)
			return false;
		if (c)
			dir_fill_changed(m, l->reader, c, &param);
		else if (l->bucket.len)
			fill_bucket(m, l->reader, l->dir, &l->bucket, e, index,
				    &param);
		else
			fill(m, l->reader, l->dir, e, index, &param);
		n = fuse_add_direntry_plus(l->r->req, l->buf + l->len, room,
					   text, &param, (off_t)next_off);
	}
	if (n > room)
		return false;
	l->len += n;
	return true;
}

/* The tree's entries from the request's offset on. */
static bool add_lower(struct listing *l, const struct tree_view *v)
{
	struct tree_entry e;
	struct cname *own;

	for (uint64_t i = l->r->off - FIRST_ENTRY; i < v->count; i++) {
		tree_entry_at(v, (uint32_t)i, &e);
		own = l->changed ? changes_name(l->changed, e.name, e.name_len)
				 : NULL;
		if (own && (!own->node || own->cookie))
			continue;
		if (!add(l, e.name, e.name_len, own ? own->node : NULL, &e,
			 (uint32_t)i, i + FIRST_ENTRY + 1))
			return false;
	}
	return true;
}

static void add_upper(struct listing *l)
{
	uint64_t at = MAX(l->r->off, CHANGES_COOKIE);
	struct cname *own;

	while ((own = changes_next(l->changed, at))) {
		at = own->cookie;
		if (!add(l, own->name, own->len, own->node, NULL, 0, at))
			return;
	}
}

/* What was found in an open root beside its own tree, by position in the
 * mount's list. View and node table locked. */
static void add_known(struct listing *l)
{
	struct mount *m = l->r->mount;
	uint64_t at = MAX(l->r->off, CHANGES_COOKIE) - CHANGES_COOKIE;
	struct tree_view v;
	struct tree_entry e;

	for (; known_at(m, at, &l->bucket); at++) {
		/* evicted ones come back when they are looked up */
		if (view_tree(m, l->reader, &l->bucket, &v) || !v.count)
			continue;
		tree_entry_at(&v, 0, &e);
		if (!add(l, e.name, e.name_len, NULL, &e, 0,
			 CHANGES_COOKIE + at + 1))
			return;
	}
}

/* View locked. */
static int list(struct listing *l)
{
	struct request *r = l->r;
	struct mount *m = r->mount;
	struct tree_view v;
	int rc = view_tree(m, l->reader, &l->dir->dir->tree, &v);

	if (rc)
		return rc == -EAGAIN ? request_need(r, WANT_TREE,
						    &l->dir->dir->tree,
						    l->dir->ino, SCORPIO_DIR)
				     : rc;
	l->buf = request_scratch(r->size);
	if (!add_dots(l))
		return 0;
	node_lock(m->nodes);
	if (r->off >= CHANGES_COOKIE || add_lower(l, &v)) {
		if (l->changed)
			add_upper(l);
		else if (m->known && l->dir->ino == NODE_ROOT)
			add_known(l);
	}
	node_unlock(m->nodes);
	return 0;
}

int dir_read(struct request *r)
{
	struct mount *m = r->mount;
	struct store_reader reader;
	struct listing l = { .r = r, .reader = &reader };
	bool ahead = !r->off;
	int rc = store_read_begin(m->store, &reader);

	if (rc)
		return rc;
	view_lock(m);
	l.dir = node_find(m->nodes, r->ino);
	if (!l.dir)
		rc = fail(-ESTALE, "unknown inode");
	else if (!l.dir->dir)
		rc = -ENOTDIR;
	l.changed = l.dir ? node_changed(l.dir) : NULL;
	if (!rc)
		rc = list(&l);
	view_unlock(m);
	store_read_end(&reader);
	if (rc)
		return rc;
	ahead = ahead && ahead_directory_due(m, l.dir);
	if (ahead)
		node_hold(m->nodes, l.dir);
	request_reply_buf(r, l.buf, l.len);
	if (ahead) {
		ahead_directory(m, l.dir);
		mount_forget(m, l.dir->ino, 1);
	}
	return 0;
}
