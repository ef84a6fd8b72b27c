/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.h - private to this folder: one repository being made. */
#ifndef API_GITWORK_PREPARE_H
#define API_GITWORK_PREPARE_H

#include "api/gitwork/gitwork_impl.h"

struct gitprepare {
	struct gitjob *job;
	char *gitdir, *build; /* where it will be, where it is made */
	const char *rev;      /* the commit */
	const char *branch;   /* checked out; NULL: a commit */
	uid_t uid;
	gid_t gid;
	dev_t dev;
	/* from gitprepare_objects */
	char *url;       /* of origin */
	struct buf refs; /* of origin, as lines of packed-refs */
	char *head;      /* origin's own branch, NULL if not known */
	bool promisor;   /* origin gives single objects when needed */
	char *shared;    /* what all workspaces of a server's repository use */
	char *view;      /* where fs/objects.h shows this revision's files */
	struct githarvest *harvest; /* while the index is made */
	struct gitindex_stats stats;
};

int gitprepare_begin(struct gitprepare *p, struct gitjob *j);
void gitprepare_done(struct gitprepare *p);
/* Write the index of the job's revision to this file. */
int gitprepare_index(struct gitprepare *p, const char *path);
/* Give a file, or a directory and all in it, to the owner the mount shows;
 * none is fine. */
int gitprepare_give(const struct gitprepare *p, const char *name);
/* follow.c: the daemon ended in the middle of a switch. */
int gitfollow_recover(struct gitprepare *p);

/* gitlock.c: index.lock. -EBUSY with a text: a program of git's has it. */
int gitlock_take(const char *gitdir);
/* Was it left by a daemon that is no more (or is it the caller's own)? */
bool gitlock_is_ours(const char *gitdir);
/* Take it over, or take it as soon as git has ended. */
int gitlock_wait(const char *gitdir, int64_t deadline, const bool *cancel);
/* If it is ours. */
void gitlock_drop(const char *gitdir);

/* A small file in dir. */
int gitprepare_write(const char *dir, const char *name, const void *p,
		     size_t n);
/* harvest.c: what the index writer comes across on its way and a repository
 * of a server needs besides: the trees as one pack, the table of files, which
 * .gitignore there are. */
struct githarvest *githarvest_new(void);
void githarvest_free(struct githarvest *h);
void githarvest_reset(struct githarvest *h);
int githarvest_tree(void *harvest, const uint8_t id[20], const void *raw,
		    size_t n);
int githarvest_blob(void *harvest, const uint8_t id[20], const char *path);
/* A complete pack; borrowed. */
const struct buf *githarvest_pack(struct githarvest *h);
/* Sorted ids, each once; borrowed. */
const struct buf *githarvest_table(struct githarvest *h);
/* Paths below the root, n of them; borrowed. */
const char *const *githarvest_ignores(struct githarvest *h, size_t *ret_n);

/* server.c: a repository on a server. */
int gitserver_setup(struct gitprepare *p, const char *url);
/* Make ready for another revision: have its commit. */
int gitserver_follow(struct gitprepare *p);
/* When the index is there: trees, table. */
int gitserver_finish(struct gitprepare *p);
/* Show the objects of the revision. Also for one that was made before. */
int gitserver_show(struct gitprepare *p);
/* objects.c: where objects come from. */
int gitprepare_objects(struct gitprepare *p);
/* Branches and tags of a repository of this machine, and its HEAD. */
int gitobjects_refs(struct gitprepare *p, const char *repo);

#endif
