/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upper.h - private to fs/: the content files of changed inodes, plain files
 * upper/<2 hex>/<16 hex> of a workspace, named by a number that is never used
 * again. Descriptors are kept open in a cache shared by all workspaces, bounded
 * so that RLIMIT_NOFILE is left alone.
 *
 * Threads: any. The cache's lock is a leaf; files are opened without it.
 */
#ifndef FS_UPPER_H
#define FS_UPPER_H

#include "core/base.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

struct fd_cache;
struct upper;

/* max 0: a quarter of RLIMIT_NOFILE, 16 to 4096. */
struct fd_cache *fd_cache_new(unsigned max);
void fd_cache_free(struct fd_cache *f); /* no upper uses it any more */

/* dir/upper is made if `make`, else must exist: -ENOENT with a text. */
int upper_open(const char *dir, bool make, struct fd_cache *f,
	       struct upper **ret);
void upper_close(struct upper *u); /* NULL is fine */

/* A descriptor of the file, read and write, shared: only pread, pwrite and the
 * like. Held until put. -EIO with a text if the file is gone. */
struct upper_fd {
	int fd;
	void *slot;
};
int upper_get(struct upper *u, uint64_t file, struct upper_fd *ret);
/* May another workspace have the same file (upper_share)? Then it is not to be
 * changed. Asked by who writes, between changes_writer_begin and its end. */
bool upper_shared(struct upper_fd *fd);
/* Give the file, as it is, a name below another workspace's upper directory
 * `to` too. Nobody may be writing to it; both sides see upper_shared until one
 * name is gone. *ret_size: its size. -ENOENT it is gone; -EXDEV, -EMLINK,
 * -EPERM, -EOPNOTSUPP: the disk cannot do that. */
int upper_share(struct upper *u, uint64_t file, int to, uint64_t *ret_size);
/* A new, empty one. */
int upper_create(struct upper *u, uint64_t file, struct upper_fd *ret);
int upper_stat(struct upper *u, uint64_t file, struct stat *ret); /* -errno */
void upper_put(struct upper *u, struct upper_fd *fd);
void upper_remove(struct upper *u, uint64_t file);
/* Make the file's name survive power loss. */
int upper_sync_name(struct upper *u, uint64_t file);
/* Remove every file that keep() does not want. */
void upper_sweep(struct upper *u, bool (*keep)(void *ctx, uint64_t file),
		 void *ctx);
int upper_statfs(struct upper *u, struct statvfs *ret);

#endif
