/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git.h - add, commit and push for directories selected by classic_mount, as the
 * calls of /api/git have it: no repository is there, only what was changed.
 *
 * `add` copies what differs from the revision into the stage, `commit` sets the
 * stage aside with a message, `push` sends one commit on top of what the server
 * has now, to its smart HTTP, where it becomes a change list. Several commits
 * before a push become one. A file that somebody else changed on the server
 * since is refused, not overwritten.
 *
 * Stage and commit are files in the store and outlive the daemon.
 *
 * Threads: any; one call at a time is at work. Blocking, up to minutes.
 */
#ifndef API_CLASSIC_GIT_H
#define API_CLASSIC_GIT_H

#include "api/classic/classic.h"
#include "core/buf.h"
#include "core/json.h"

/* The path must be a selected one. *text gets the state as people read it. */
int classic_git_status(struct classic *c, const char *path,
		       struct classic_work *ret, struct buf *text);
/* Of a selected path, or of one below. */
int classic_git_add(struct classic *c, const char *path);
/* *ret: {"id", "tree_id", "parent_commit_ids", "author", "committer",
 * "message"}; the caller's. -ENODATA nothing is staged. */
int classic_git_commit(struct classic *c, const char *path,
		       const char *message, json_t **ret);
/* -ENODATA nothing is committed; -EACCES the server wants a token. */
int classic_git_push(struct classic *c, const char *path);
/* Forget stage and commit, and discard what was changed. */
int classic_git_reset(struct classic *c, const char *path);
/* Forget stage and commit only; within a call. */
void classic_git_forget(struct classic *c, const char *path);

#endif
