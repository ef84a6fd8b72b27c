/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.c - looking up a name and reading a directory.
 *
 * Both answer from the parent's tree record in the store's map: a binary
 * search, or a walk in stored order. Directory offsets are positions: 1 is
 * after ".", 2 after "..", i + 3 after the tree's entry i.
 */
#include "core/error.h"
#include "fs/ahead.h"
#include "fs/request.h"
#include "fs/view.h"

#define FOR_EVER 1e9 /* seconds; only our own notifications end it */
#define FIRST_ENTRY 2

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

/* What the kernel shall remember of an entry; counts a lookup on its node. */
static void fill(struct mount *m, struct store_reader *r, struct node *parent,
		 const struct tree_entry *e, uint32_t index,
		 struct fuse_entry_param *ret)
{
	struct scorpio_id tree = tree_of(e);
	struct node *n = node_enter_locked(m->nodes, parent, e->name,
					   e->name_len, index,
					   is_dir(e) ? &tree : NULL);

	ret->ino = n->ino;
	ret->generation = 0;
	ret->entry_timeout = FOR_EVER;
	ret->attr_timeout =
		view_stat(m, r, e, n->ino, &ret->attr) ? FOR_EVER : 0;
}

int dir_lookup(struct request *r)
{
	struct mount *m = r->mount;
	struct node *parent = node_find(m->nodes, r->ino);
	struct fuse_entry_param param = { .entry_timeout = FOR_EVER };
	struct store_reader reader;
	struct tree_view v;
	struct tree_entry e;
	int64_t index;
	int rc;

	if (!parent)
		return fail(-ESTALE, "unknown inode");
	if (!parent->dir)
		return -ENOTDIR;
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	rc = view_tree(m, &reader, &parent->dir->tree, &v);
	if (rc) {
		store_read_end(&reader);
		return rc == -EAGAIN ? request_need(r, WANT_TREE,
						    &parent->dir->tree,
						    parent->ino, SCORPIO_DIR)
				     : rc;
	}
	index = tree_find(&v, r->name, strlen(r->name));
	if (index >= 0) {
		tree_entry_at(&v, (uint32_t)index, &e);
		node_lock(m->nodes);
		fill(m, &reader, parent, &e, (uint32_t)index, &param);
		node_unlock(m->nodes);
	}
	store_read_end(&reader);
	watch_request(r, index < 0 ? -ENOENT : 0, 0);
	/* ino 0 makes the kernel remember that the name does not exist */
	if (fuse_reply_entry(r->req, &param) == -ENOENT && param.ino)
		node_forget(m->nodes, param.ino, 1);
	return 0;
}

struct listing { /* the reply being filled */
	struct request *r;
	struct store_reader *reader;
	struct node *dir;
	char *buf;
	size_t len;
};

static bool add_dots(struct listing *l)
{
	static const char *const names[] = { ".", ".." };
	const struct node *up = l->dir->parent ? l->dir->parent : l->dir;

	for (; l->r->off < FIRST_ENTRY; l->r->off++) {
		struct fuse_entry_param param = { 0 };
		size_t room = l->r->size - l->len, n;

		param.attr.st_ino = l->r->off ? up->ino : l->dir->ino;
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

/* False: the buffer is full. */
static bool add_entry(struct listing *l, const struct tree_entry *e,
		      uint32_t index)
{
	struct mount *m = l->r->mount;
	struct fuse_entry_param param;
	char name[SCORPIO_NAME_MAX + 1];
	size_t room = l->r->size - l->len, n;

	memcpy(name, e->name, e->name_len);
	name[e->name_len] = '\0';
	if (l->r->op == OP_READDIR) {
		struct stat st = {
			.st_ino = node_ino(l->dir->ino, e->name, e->name_len),
			.st_mode = is_dir(e) ? S_IFDIR
				   : e->kind == SCORPIO_SYMLINK ? S_IFLNK
								: S_IFREG,
		};
		n = fuse_add_direntry(l->r->req, l->buf + l->len, room, name,
				      &st, (off_t)index + FIRST_ENTRY + 1);
	} else {
		/* ask for the length first: a lookup is counted only for
		 * what really goes to the kernel */
		n = fuse_add_direntry_plus(l->r->req, NULL, 0, name, NULL, 0);
		if (n > room)
			return false;
		fill(m, l->reader, l->dir, e, index, &param);
		n = fuse_add_direntry_plus(l->r->req, l->buf + l->len, room,
					   name, &param,
					   (off_t)index + FIRST_ENTRY + 1);
	}
	if (n > room)
		return false;
	l->len += n;
	return true;
}

int dir_read(struct request *r)
{
	struct mount *m = r->mount;
	struct node *dir = node_find(m->nodes, r->ino);
	struct store_reader reader;
	struct listing l = { .r = r, .reader = &reader, .dir = dir };
	struct tree_view v;
	struct tree_entry e;
	bool ahead = !r->off;
	int rc;

	if (!dir)
		return fail(-ESTALE, "unknown inode");
	if (!dir->dir)
		return -ENOTDIR;
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	rc = view_tree(m, &reader, &dir->dir->tree, &v);
	if (rc) {
		store_read_end(&reader);
		return rc == -EAGAIN
			       ? request_need(r, WANT_TREE, &dir->dir->tree,
					      dir->ino, SCORPIO_DIR)
			       : rc;
	}
	l.buf = request_scratch(r->size);
	if (add_dots(&l)) {
		node_lock(m->nodes);
		for (uint64_t i = r->off - FIRST_ENTRY; i < v.count; i++) {
			tree_entry_at(&v, (uint32_t)i, &e);
			if (!add_entry(&l, &e, (uint32_t)i))
				break;
		}
		node_unlock(m->nodes);
	}
	store_read_end(&reader);
	ahead = ahead && ahead_directory_due(m, dir);
	if (ahead)
		node_hold(m->nodes, dir);
	request_reply_buf(r, l.buf, l.len);
	if (ahead) {
		ahead_directory(m, dir);
		node_forget(m->nodes, dir->ino, 1);
	}
	return 0;
}
