/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - private to fs/: what a node looks like. Everything here only reads
 * the store; -EAGAIN means a tree must come first, and *ret_missing names it.
 */
#ifndef FS_VIEW_H
#define FS_VIEW_H

#include "fs/mount.h"

#include <sys/stat.h>

/* The entry of a node that is not the root. Valid until store_read_end. */
int view_entry(struct mount *m, struct store_reader *r, const struct node *n,
	       struct tree_entry *ret);
/* The tree of a directory node; an empty view for submodules. */
int view_tree(struct mount *m, struct store_reader *r,
	      const struct scorpio_id *tree, struct tree_view *ret);
struct scorpio_id view_id(const struct tree_entry *e);
/* Attributes of an entry. False: the size is not known yet (st_size is 0 and
 * must not be cached). */
bool view_stat(struct mount *m, struct store_reader *r,
	       const struct tree_entry *e, uint64_t ino, struct stat *ret);
void view_stat_dir(struct mount *m, uint64_t ino, int64_t mtime_ns,
		   uint32_t mode, struct stat *ret);
/* The exact size of an entry, or SCORPIO_SIZE_UNKNOWN. */
uint64_t view_size(struct mount *m, struct store_reader *r,
		   const struct tree_entry *e);
/* Path relative to the source's root (subdir included): allocated, NULL if a
 * tree on the way is not in the store any more. */
char *view_path(struct mount *m, const struct node *n);

/* Blocking: walk a path relative to the mount's root, fetching trees on the
 * way. ret_entry's pointers are copied into *ret. */
struct view_found {
	uint8_t kind;
	uint32_t mode;
	uint64_t ino, size;
	int64_t mtime_ns;
	struct scorpio_id id;
};
int view_walk(struct mount *m, const char *path, int64_t deadline,
	      struct view_found *ret);

#endif
