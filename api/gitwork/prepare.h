/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.h - private to this folder: one repository being made. */
#ifndef API_GITWORK_PREPARE_H
#define API_GITWORK_PREPARE_H

#include "api/gitwork/gitwork_impl.h"

struct gitprepare {
	struct gitjob *job;
	char *gitdir, *build; /* where it will be, where it is made */
	const char *branch;   /* checked out; NULL: a commit */
	uid_t uid;
	gid_t gid;
	dev_t dev;
	/* from gitprepare_objects */
	char *url;       /* of origin */
	struct buf refs; /* of origin, as lines of packed-refs */
	char *head;      /* origin's own branch, NULL if not known */
	bool promisor;   /* origin gives single objects when needed */
	struct gitindex_stats stats;
};

/* A small file in dir. */
int gitprepare_write(const char *dir, const char *name, const void *p,
		     size_t n);
/* objects.c: where objects come from. */
int gitprepare_objects(struct gitprepare *p);

#endif
