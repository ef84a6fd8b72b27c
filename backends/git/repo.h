/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo.h - repositories on the local disk, opened several times: libgit2 locks
 * inside a handle, so a shared one does not scale (measured: two threads on
 * one are no faster than one). A call takes a handle, uses it alone and gives
 * it back; up to GITREPO_IDLE stay open.
 *
 * Packs are read in place. libgit2 looks for new packs when an object is
 * missing; packs that vanished (after a repack) are noticed by opening the
 * repository afresh, once per call and only if the directory of packs changed:
 * opening is not free, and libgit2 1.5 loses memory at it (regexp.c).
 */
#ifndef BACKENDS_GIT_REPO_H
#define BACKENDS_GIT_REPO_H

#include "common.h"

#define GITREPO_IDLE 8u

struct githandle {
	git_repository *repo;
	git_odb *odb;
	int64_t packs; /* when the directory of packs changed, as of opening */
	bool reopened; /* in this call already */
};

/* Once per process; cheap afterwards. 0 or -EIO. */
int gitlib_init(const struct scorpio_host *host);
/* errno for a libgit2 result, with its text set: "what: reason". */
int gitlib_fail(const struct gitsource *s, int rc, const char *what);

/* Find the repository that is exactly `path` (work tree, bare, or path.git),
 * and keep one handle. -ENOENT nothing there, -EINVAL not a repository,
 * -ENOTSUP a format libgit2 cannot read (SHA-256). */
int gitrepo_open(struct gitsource *s, const char *path, struct gitrepo **ret);
void gitrepo_close(struct gitrepo *r);
const char *gitrepo_dir(const struct gitrepo *r); /* the .git directory */
bool gitrepo_is_partial(struct gitsource *s, struct gitrepo *r);

int gitrepo_take(struct gitsource *s, struct gitrepo *r,
		 struct githandle *ret);
void gitrepo_give(struct gitrepo *r, struct githandle *h);
/* Read an object, or only its header. -ESTALE missing, -EBADMSG damaged. */
int gitrepo_read(struct gitsource *s, struct gitrepo *r, struct githandle *h,
		 const git_oid *oid, git_odb_object **ret);
int gitrepo_header(struct gitsource *s, struct gitrepo *r,
		   struct githandle *h, const git_oid *oid, size_t *ret_size,
		   git_object_t *ret_type);

#endif
