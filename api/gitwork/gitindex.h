/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gitindex.h - write git's index for a workspace that shows a revision as it
 * is, from the tree records of the store alone: no content is read.
 *
 * What git finds in it:
 *	entries  names, modes and ids of the trees, and the stat data the mount
 *	         shows (inode number, the revision's time, size where known), so
 *	         that they are clean also for a program that looks itself. An
 *	         unknown size is 0: git then compares content before it says
 *	         anything
 *	TREE     the id of every directory: comparing with HEAD is one id
 *	UNTR     no directory has untracked files
 *	FSMN     nothing changed since `token`
 *	EOIE and IEOT, so that git reads a large one with several threads
 *
 * A directory whose tree cannot be rebuilt bit by bit from its record (odd
 * modes of old writers, names that are never shown) is left out of TREE; git
 * then computes it when it needs it.
 */
#ifndef API_GITWORK_GITINDEX_H
#define API_GITWORK_GITINDEX_H

#include "cache/store.h"
#include "fs/times.h"

struct gitindex_options {
	struct store *store;
	uint16_t space;         /* of git ids in the store */
	struct scorpio_id root; /* git's, or a layer's of one of git's */
	int64_t time_ns; /* of entries without a time of their own */
	const struct times *times; /* of those that a switch changed, or NULL */
	uint32_t uid, gid, dev;
	const char *worktree; /* absolute, without links */
	const char *token;    /* of the file system monitor */
	const uint8_t *exclude_id; /* of info/exclude as a blob; NULL: none */
	/* What git's own exclude file holds (hashed as git does); NULL none. */
	const uint8_t *excludes_id;
	const struct stat *excludes_stat; /* with excludes_id */
	/* Called with every directory's raw git tree if it is exact; may be
	 * NULL. Nonzero stops and is returned. */
	int (*tree)(void *ctx, const uint8_t id[20], const void *raw,
		    size_t n);
	/* ... and with every file and link; may be NULL. path: of a .gitignore,
	 * else NULL. */
	int (*blob)(void *ctx, const uint8_t id[20], const char *path);
	void *ctx;
	const bool *cancel; /* atomic; may be NULL */
};

struct gitindex_stats {
	uint32_t entries, dirs, inexact, sizes_unknown;
	uint32_t layered; /* files whose content is not that of the id: LFS */
};

/* Write it to `path` (made or replaced, synced). -EAGAIN: the tree *ret_missing
 * is not in the store; -EINTR cancelled; -EINVAL ids are not git's; errors of
 * the disk. Any thread; about 1 us an entry, memory about 200 bytes for each
 * directory. */
int gitindex_write(const struct gitindex_options *o, const char *path,
		   struct gitindex_stats *ret, struct scorpio_id *ret_missing);

#endif
