/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.h - private to fs/: directories of a workspace that live on the
 * local disk, at full speed and unseen by the workspace: build output.
 *
 *	<workspace>/redirects       their paths, one a line
 *	<workspace>/redirect/PATH   what is in them, bound over PATH in the mount
 *
 * They outlive the mount as changes do and go when the workspace is discarded.
 * Binding takes the privilege to mount. The directory they are bound over is no
 * change: it comes with the mount and goes with it.
 */
#ifndef FS_REDIRECT_H
#define FS_REDIRECT_H

#include "fs/workspace.h"

/* Which there are: those of before, `more` (NULL-terminated or NULL) and those
 * of `text` (with commas between; may be NULL). -EINVAL a bad path, -EPERM no
 * privilege. */
int redirect_load(struct workspace *w, const char *const *more,
		  const char *text);
/* The mount is there. -EEXIST something else is at a path, -EPERM. On failure
 * none is bound. */
int redirect_bind(struct mount *m);
/* -EBUSY: somebody is in one of them; then all are as they were. */
int redirect_unbind(struct mount *m);
/* Is the directory at path one of them, or made on the way to one? Then it is
 * no change, if it is not of the revision. */
bool redirect_is(const struct mount *m, const char *path);
/* The one that path lies in, or NULL. */
const char *redirect_of(const struct mount *m, const char *path);
/* Nothing is in any of them. */
bool redirect_empty(const struct workspace *w);
void redirect_free(struct workspace *w);

#endif
