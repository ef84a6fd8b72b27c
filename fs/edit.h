/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.h - private to fs/: from a request to the changed inodes it is about.
 *
 * Between edit_begin and edit_end a thread is the workspace's only editor and
 * has a read transaction of the store; nothing in between may wait. An inode
 * that is as in the revision is adopted (changes.h) with all directories on the
 * way to it before anything happens to it. -EAGAIN: a tree on the way is not in
 * the store; the need is noted in the request and nothing was done that matters.
 */
#ifndef FS_EDIT_H
#define FS_EDIT_H

#include "fs/request.h"
#include "fs/view.h"

struct edit {
	struct request *r;
	struct mount *m;
	struct changes *c;
	struct store_reader reader;
};

int edit_begin(struct edit *e, struct request *r);
/* Also lets a checkpoint run when one is due. */
void edit_end(struct edit *e);
/* The cnode of an inode the request names. */
int edit_node(struct edit *e, uint64_t ino, struct cnode **ret);
/* Of a directory that still has a name: else -ENOTDIR, -ENOENT. */
int edit_dir(struct edit *e, uint64_t ino, struct cnode **ret);

struct edit_name { /* a name in a directory */
	struct cnode *dir;
	const char *text;
	struct cname *name;      /* NULL: the workspace has no say about it */
	bool lower;              /* an unchanged entry of the revision */
	struct tree_entry entry; /* valid until edit_end */
	uint32_t index;
	uint8_t lower_kind; /* of the name in the lower tree; 0 none */
};
int edit_find(struct edit *e, struct cnode *dir, const char *name,
	      struct edit_name *ret);
static inline bool edit_exists(const struct edit_name *n)
{
	return n->lower || (n->name && n->name->node);
}
/* Is it a directory? It exists. */
bool edit_is_dir(const struct edit_name *n);
/* Adopt it if it is unchanged: then n->name is there. It exists. */
int edit_adopt(struct edit *e, struct edit_name *n, struct cnode **ret);
/* 0 if a directory shows nothing, else -ENOTEMPTY. */
int edit_check_empty(struct edit *e, const struct edit_name *n);
/* What the kernel shall remember; counts a lookup. */
void edit_entry(struct edit *e, struct cnode *n,
		struct fuse_entry_param *ret);
/* Let the checkpoint of a mount run on a thread of fs.work. */
void edit_checkpoint(struct mount *m);

#endif
