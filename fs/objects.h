/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - the files of a mount's revision as git's loose objects: a small
 * read-only FUSE filesystem of its own that a repository names as alternate.
 * So git finds that it has them all (it lists the 256 directories once for
 * that) and reads them through the store and the source as anybody does.
 *
 * Which objects there are stands in a table: a file of sorted SHA-1 ids of 20
 * bytes each, which is mapped. Nothing is kept for each object: inode numbers
 * are positions in the table. Objects are given uncompressed; their size is
 * known at the latest when they are opened (OPEN fetches), before that it is
 * shown as 1.
 *
 * Threads: any; own threads serve it.
 */
#ifndef FS_OBJECTS_H
#define FS_OBJECTS_H

#include "fs/fs.h"

struct fs_objects;

/* For the mount of that id; dir is made if missing, and must be empty or a
 * dead mount. -EBADMSG: not a table. Errors as of fs_mount. */
int fs_objects_new(struct fs *f, const char *mount_id, const char *table,
		   const char *dir, struct fs_objects **ret);
/* Where it is. */
const char *fs_objects_dir(const struct fs_objects *o);
/* Unmounts, lazily if busy; the directory is removed. NULL is fine. */
void fs_objects_free(struct fs_objects *o);

#endif
