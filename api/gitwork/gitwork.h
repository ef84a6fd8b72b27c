/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gitwork.h - makes stock git feel at home in the writable workspaces of Git
 * sources.
 *
 * The repository of a workspace is an ordinary one on the local disk,
 * <state_dir>/git; the workspace's root holds a file .git that names it, so
 * git's own files never pass through FUSE. Where its objects come from:
 *
 *	a repository of this machine   objects/info/alternates names it, as
 *	                               `git clone --shared` does
 *	a server                       see server.c
 *
 * The index is made from the store (gitindex.h). From then on git asks the
 * daemon what changed: core.fsmonitor is the program scorpio-fsmonitor, which
 * asks gitwork_changed over the control socket.
 *
 * Preparing runs in the background and takes time by the number of
 * directories and files; until it is done git says that there is no
 * repository. What is there already when a workspace is mounted again stays.
 *
 * Threads: any.
 */
#ifndef API_GITWORK_GITWORK_H
#define API_GITWORK_GITWORK_H

#include "core/buf.h"
#include "fs/fs.h"

struct gitwork;

typedef int (*gitwork_move_fn)(void *ctx, const struct fs_switch_request *r,
			       struct fs_switch_result *ret);

struct gitwork_options {
	struct fs *fs;       /* borrowed */
	struct store *store; /* borrowed */
	const char *socket;  /* the control socket; copied */
};

struct gitwork *gitwork_new(const struct gitwork_options *o);
/* Stops preparing. NULL is fine. */
void gitwork_free(struct gitwork *g);

/* A mount was made; source as it was asked for. Starts preparing if it is a
 * workspace of a Git source; microseconds. */
void gitwork_mounted(struct gitwork *g, const struct fs_mount_info *i,
		     const char *source);
/* It is gone: preparing stops. */
void gitwork_unmounted(struct gitwork *g, const char *mount_id);
/* "preparing", "ready", "failed: why", or NULL: not a workspace of a Git
 * source. Waits until the deadline while preparing (0: not at all). Caller
 * frees. */
char *gitwork_state(struct gitwork *g, const char *mount_id,
		    int64_t deadline);

/* Show another revision in files and repository. `move` moves the files (as
 * fs_switch does; r may be a dry run, or name the revision otherwise) and is
 * called with ctx, not always once. git follows:
 *
 *	a branch   HEAD stands on the local branch of that name, which is made,
 *	           or moved if it has nothing of its own; else HEAD is detached
 *	otherwise  HEAD is detached at the commit
 *	index      that of the revision; private changes are changes
 *
 * A merge or rebase under way, staged entries, and commits that the revision
 * shown does not have are refused (-EBUSY, nothing moved) unless forced: then
 * staged entries are dropped, their files stay changed.
 * If the daemon dies in between, the next mount brings git after the files.
 * *ret_git: where HEAD is, or why not; NULL without a repository. Caller frees.
 * Blocking; a second for a million files. Other errors as of fs_switch. */
int gitwork_switch(struct gitwork *g, const char *id_or_dir,
		   const struct fs_switch_request *r, gitwork_move_fn move,
		   void *ctx, struct fs_switch_result *ret, char **ret_git);

/* git moved HEAD to a commit that the source has, and wrote the files: let the
 * workspace show that revision, if no file changes by it, and let go of private
 * changes that equal the revision, git or not. Happens by itself when git is
 * done; asked for where it counts. Blocking. Errors may be ignored: then there
 * are changes that would not have to be. */
int gitwork_settle(struct gitwork *g, const char *id_or_dir, int64_t deadline);

/* Does the repository of this workspace hold nothing that is not elsewhere? */
bool gitwork_pristine(const char *state_dir);

/* The answer to git's question what changed since `token`: the token for the
 * next question, NUL, then paths with a NUL each. "/" stands for everything, a
 * path that ends in '/' for what is below and for every directory there as it
 * is now. -ENOENT no such mount. */
int gitwork_changed(struct gitwork *g, const char *id_or_dir,
		    const char *token, struct buf *ret);

#endif
