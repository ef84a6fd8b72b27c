/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - private to fs/: what a node looks like. Everything here only reads
 * the store; -EAGAIN means a tree must come first, and *ret_missing names it.
 */
#ifndef FS_VIEW_H
#define FS_VIEW_H

#include "fs/changes.h"
#include "fs/mount.h"
#include "fs/times.h"

#include <sys/stat.h>

/* Around everything that looks at nodes. Nothing that waits, replies or takes
 * it again in between. About 20 ns. */
static inline void view_lock(struct mount *m)
{
	pthread_rwlock_rdlock(m->view);
}
static inline void view_unlock(struct mount *m)
{
	pthread_rwlock_unlock(m->view);
}

/* The entry of an unchanged node that is not the root. Valid until store_read_end. */
int view_entry(struct mount *m, struct store_reader *r, const struct node *n,
	       struct tree_entry *ret);
/* The tree of a directory node; an empty view for submodules. */
int view_tree(struct mount *m, struct store_reader *r,
	      const struct scorpio_id *tree, struct tree_view *ret);
struct scorpio_id view_id(const struct tree_entry *e);
/* When an entry was last changed, key being node_key of its path. View
 * locked. */
int64_t view_mtime(const struct mount *m, uint64_t key, int64_t mtime_ns);
/* Attributes of an entry of `dir`. False: the size is not known yet (st_size is 0 and
 * must not be cached). */
bool view_stat(struct mount *m, struct store_reader *r,
	       const struct node *dir, const struct tree_entry *e,
	       uint64_t ino, struct stat *ret);
/* mtime_ns as from view_mtime. */
void view_stat_dir(struct mount *m, uint64_t ino, int64_t mtime_ns,
		   uint32_t mode, struct stat *ret);
/* The same of a changed inode. */
bool view_stat_changed(struct mount *m, struct store_reader *r,
		       const struct cnode *c, struct stat *ret);
/* What the kernel shall remember of a changed inode; counts a lookup. View and
 * node table locked. (dir.c) */
void dir_fill_changed(struct mount *m, struct store_reader *r,
		      struct cnode *c, struct fuse_entry_param *ret);
/* Where the content of a file or link is now. -EISDIR; -EAGAIN: the tree it
 * hangs in is missing. */
struct view_content {
	uint8_t kind;    /* SCORPIO_FILE or SCORPIO_SYMLINK; 0 anything else */
	uint8_t content; /* enum content */
	struct scorpio_id id; /* CONTENT_LOWER */
	uint64_t file;        /* CONTENT_UPPER */
	uint64_t size;        /* or SCORPIO_SIZE_UNKNOWN */
	bool privileged;      /* a write must drop suid bits or capabilities */
	struct cnode *changed;
};
int view_content(struct mount *m, struct store_reader *r,
		 const struct node *n, struct view_content *ret);
/* The size of content in the store, or SCORPIO_SIZE_UNKNOWN. */
uint64_t view_blob_size(struct mount *m, struct store_reader *r,
			const struct scorpio_id *id);
/* The exact size of an entry, or SCORPIO_SIZE_UNKNOWN. */
uint64_t view_size(struct mount *m, struct store_reader *r,
		   const struct tree_entry *e);
/* Path in the revision, relative to the source's root (subdir included):
 * allocated, NULL if a tree on the way is not in the store any more or the
 * inode is not of the revision. View locked. */
char *view_path(struct mount *m, const struct node *n);
/* The same by number, also of inodes the kernel does not know. Locks. */
char *view_path_of(struct mount *m, uint64_t ino);
/* Path as the mount shows it now, relative to it. Locks. */
char *view_shown_path(struct mount *m, uint64_t ino);

/* Blocking: walk a path relative to the mount's root, fetching trees on the
 * way. ret_entry's pointers are copied into *ret. */
struct view_found {
	uint8_t kind;
	uint32_t mode;
	uint64_t ino, size;
	int64_t mtime_ns;
	struct scorpio_id id; /* of unchanged content and of lower trees */
	bool changed;         /* content is the workspace's own */
	bool has_cnode;
	bool whole;           /* `lower` is from the source's root */
	char lower[4096];     /* its path in the revision, from the root of the
			       * mount; "" if it has none */
};
/* The same from a root tree of the source, without the workspace's changes. */
int view_walk_tree(struct mount *m, const struct scorpio_id *root,
		   const char *path, int64_t deadline,
		   struct view_found *ret);
int view_walk(struct mount *m, const char *path, int64_t deadline,
	      struct view_found *ret);
/* The same in the revision, whatever the workspace changed. */
int view_walk_lower(struct mount *m, const char *path, int64_t deadline,
		    struct view_found *ret);

#endif
