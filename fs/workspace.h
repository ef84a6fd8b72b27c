/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace.h - private to fs/: the directory of a writable mount's changes.
 *
 *	<state_dir>/<name>/meta        source, revision, root (JSON)
 *	                   lock        held while mounted
 *	                   log.*, checkpoint   the changes (wal.h)
 *	                   upper/      their contents (upper.h)
 *	                   redirects, redirect/   (redirect.h)
 */
#ifndef FS_WORKSPACE_H
#define FS_WORKSPACE_H

#include "fs/mount.h"

struct workspace {
	char *name, *dir;
	int lock;
	bool named;   /* by the user: kept even if empty */
	bool resumed; /* it was there: what follows is from its meta */
	bool idle;    /* and held nothing, when it was mounted */
	bool synced;  /* atomic; meta is on the disk */
	char *source, *subdir, *rev_spec;
	struct scorpio_revision rev;
	struct scorpio_id root; /* of subdir */
	int64_t time_ns, created_ns;
	/* redirect.h; constant while mounted, but for `bound` and `made`,
	 * which belong to who mounts and unmounts */
	char **redirects; /* NULL-terminated; NULL: none */
	size_t n_redirects, bound;
	bool *redirect_made;
};

/* Make or find and lock it. -EBUSY mounted already, -EINVAL a bad name or
 * another source than before, -EEXIST it has changes to another revision,
 * -ENOTSUP no state_dir. */
int workspace_open(struct fs *f, const struct fs_mount_request *r,
		   const char *id, const char *source,
		   struct workspace **ret);
/* What begins so is no workspace: half made, or half removed (sweep.c). */
#define WORKSPACE_GONE ".gone-"
/* The mount knows its root: write meta if it is new, open the changes. */
int workspace_begin(struct workspace *w, struct mount *m);
/* What meta would say with this revision. Allocated. */
char *workspace_base(const struct workspace *w, const struct mount *m,
		     const char *rev_spec, const struct scorpio_revision *rev,
		     const struct scorpio_id *root);
/* That is what counts now; it is in the log already. */
int workspace_rebased(struct workspace *w, const char *base);
/* For the first fsync: without meta the changes could not be found again. */
int workspace_sync(struct workspace *w);
/* Would its end remove it: no change in it, and nobody named it? Of a mount with
 * its changes open. */
bool workspace_holds_nothing(struct mount *m);
/* The mount is over: close its changes, remove a workspace that holds none if
 * nobody gave it a name. */
void workspace_end(struct mount *m);

#endif
