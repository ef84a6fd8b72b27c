/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worktree.h - mounts as worktrees of a version control client: what was changed
 * in them, the revision they are bound to, and moving them on once a commit has
 * arrived at the server. The calls of the newest generation of clients.
 *
 * A path is relative to the mount; what is below .libra at its top is the
 * client's own and no change. Ids of content are Git blob ids. A generation is a
 * number that differs when the changes differ.
 *
 * Threads: any. Blocking, up to minutes.
 */
#ifndef API_ANTARES_WORKTREE_H
#define API_ANTARES_WORKTREE_H

#include "api/antares/antares.h"
#include "core/json.h"

#define WORKTREE_OWN ".libra"

struct wchange { /* strings owned */
	char *path, *from;    /* from: it was moved; or NULL */
	bool removed, added;
	char now[41], base[41]; /* "" = none, or not asked for */
};
struct wchanges {
	struct wchange *c; /* sorted by path */
	size_t n, cap;
	uint64_t generation; /* below 2^63 */
};
void wchanges_done(struct wchanges *l);

/* Private changes, file by file. With `ids` those of content now and in the
 * revision, and files that are as in the revision left out. */
int worktree_changes(struct antares *a, const char *id, bool ids,
		     struct wchanges *ret, struct antares_fault *f);
/* Bind a clean mount without change list to a revision; again the same is fine.
 * pointer: commondir and worktree_id for the client's files, or NULL. */
int worktree_bind(struct antares *a, const char *id, const char *base,
		  const char *commondir, const char *worktree_id,
		  struct antares_fault *f);

struct worktree_result {
	const char *state; /* "ready", "switched", "conflict", ...: static */
	const char *code;  /* "BASE_MISMATCH"; NULL if all is well */
	char *detail;      /* owned; or NULL */
};
/* The server has the commit: show it, and forget the private changes that are
 * in it. committed: [{"path", "kind", "content_hash"}]; cleaned (an array) gets
 * the paths. next NULL: the latest. */
int worktree_finalize(struct antares *a, const char *id, const char *expected,
		      const char *next, const uint64_t *generation,
		      const json_t *committed, json_t *cleaned,
		      struct worktree_result *ret, struct antares_fault *f);
/* Show another revision; private changes stay. */
int worktree_refresh(struct antares *a, const char *id, const char *expected,
		     const char *target, bool clean,
		     struct worktree_result *ret, struct antares_fault *f);

struct worktree_copied {
	uint64_t files, bytes;
};
struct worktree_fork {
	const char *job, *mountpoint; /* or NULL */
	bool with_cl;
	bool chain; /* share the changes instead of copying them */
};
struct worktree_forked {
	bool chain, downgraded; /* what was done; not what was asked for */
	char layer[FS_ID_LEN + 1]; /* of a chain: what both share now */
	struct worktree_copied copied; /* or shared */
};
/* Another mount at the same revision with the same changes. They are copied
 * where the source is not pinned to its revision, or the disk cannot share.
 * (fork.c) */
int worktree_fork(struct antares *a, const char *id,
		  const struct worktree_fork *w, struct antares_info *ret,
		  struct worktree_forked *x, struct antares_fault *f);

#endif
