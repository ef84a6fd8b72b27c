/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classic.h - the whole monorepo at server.workspace, and the calls of /api/fs
 * which select parts of it.
 *
 * The workspace is one writable mount of the root of the Mono server
 * (server.base_url). It is made at start if server.workspace is configured, else
 * at the first call. Selecting a directory of it ("mounting" it) fetches
 * nothing: it is recorded, so that the git calls know it, and deselecting it
 * discards what was changed below. With a change list, DIR_CL appears beside DIR:
 * a mount of its own, with the list. A directory that does not exist is made,
 * for output.
 *
 * What is selected is recorded in server.config_file, with the keys upstream
 * knows, and comes back after a restart with its changes.
 *
 * Threads: any. One call at a time; the others wait for their turn. Blocking.
 */
#ifndef API_CLASSIC_CLASSIC_H
#define API_CLASSIC_CLASSIC_H

#include "fs/fs.h"

struct classic;
struct daemon;

struct classic_work { /* a copy; strings are owned */
	char *path; /* in the workspace, without slash at its ends */
	char *hash; /* 40 hex digits: of the tree, or of the path */
	uint64_t inode;
	char *cl; /* or NULL */
	char *dir; /* where it is */
	char *top; /* the mount it is in, and its path there: */
	char *below;
};
void classic_work_done(struct classic_work *w);

struct classic *classic_new(struct daemon *d); /* reads the record */
void classic_stop(struct classic *c);          /* before api/mounts ends */
void classic_free(struct classic *c);          /* NULL is fine */

/* Told by api/mounts. */
void classic_mounted(struct classic *c, const struct fs_mount_info *i);
/* False: below the workspace, brought back from here. */
bool classic_keeps(struct classic *c, const char *dir);

#define CLASSIC_PLEASE_UNMOUNT "please unmount" /* what clients look for */

/* *ret_id is the name of the task in any case. -EBUSY with just the text above:
 * it, or something above or below it, is mounted. */
int classic_mount(struct classic *c, const char *path, const char *cl,
		  char ret_id[FS_ID_LEN + 1]);
/* What became of a task, which is then forgotten. -ENOENT no such task; -EIO it
 * failed, for the reason told. */
int classic_select(struct classic *c, const char *id,
		   struct classic_work *ret);
/* By path, or (NULL) by inode. -ENOENT. */
int classic_unmount(struct classic *c, const char *path, uint64_t inode);
/* -ENOENT. */
int classic_find(struct classic *c, const char *path,
		 struct classic_work *ret);
void classic_each(struct classic *c,
		  void (*fn)(void *ctx, const struct classic_work *w),
		  void *ctx);
size_t classic_count(struct classic *c);

#endif
