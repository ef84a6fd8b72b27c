/* SPDX-License-Identifier: Apache-2.0 */
/*
 * antares.h - one mount of the monorepo for each build job: the life behind the
 * HTTP calls of /antares.
 *
 * A mount is a writable workspace of the Mono server (server.base_url), of the
 * whole tree or of a path of it, with or without a change list on top:
 *
 *	Provisioning -> Mounted -> Ready <-> Quiescing (the list changes)
 *	                              \-> Unmounting -> gone
 *
 * It is Mounted when it can be used, and Ready when the directories of its first
 * levels are here (antares.load_dir_depth, antares.preload_max_ms). A change
 * list is set and taken away by a switch of the live mount. Mounts are recorded
 * in antares.state_file and come back after a restart, with their changes.
 *
 * Threads: any. No lock is held while something is mounted, switched or asked
 * for. Functions marked "blocking" end by their own deadlines.
 */
#ifndef API_ANTARES_ANTARES_H
#define API_ANTARES_ANTARES_H

#include "fs/fs.h"

struct antares;
struct daemon;

enum antares_state {
	ANTARES_PROVISIONING,
	ANTARES_MOUNTED,
	ANTARES_READY,
	ANTARES_QUIESCING,
	ANTARES_UNMOUNTING,
	ANTARES_UNMOUNTED,
	ANTARES_FAILED,
};
const char *antares_state_name(enum antares_state s); /* "Ready" */

/* Why a call failed, in the API's words. */
struct antares_fault {
	int status;       /* of HTTP */
	const char *code; /* "NOT_FOUND"; static */
};

struct antares_info { /* a copy; strings are owned */
	char id[FS_ID_LEN + 1];
	char *job, *cl, *cl_path; /* or NULL */
	char *path;               /* "/" or "/a/b" */
	char *dir, *upper, *cl_dir;
	char *base;               /* what it is bound to, or NULL */
	char *rev;                /* the commit it shows, or NULL */
	bool pinned;              /* that was asked for, not just found */
	char *chain; /* ids of the layers it shares (worktree_fork), nearest
		      * first, with a blank between; or NULL */
	enum antares_state state;
	char *reason;             /* of ANTARES_FAILED */
	int64_t created_ms, seen_ms; /* wall clock */
};
void antares_info_done(struct antares_info *i);

/* Reads the state file. */
struct antares *antares_new(struct daemon *d);
/* Ends what runs in the background; before api/mounts ends. */
void antares_stop(struct antares *a);
/* Stops first. Mounts stay. NULL is fine. */
void antares_free(struct antares *a);
/* Between mounts_load and mounts_restore: mounts that an earlier run made and
 * nobody was told of, being killed before it recorded them, do not stay. */
void antares_forget_strangers(struct antares *a);
/* After mounts_restore: bring back what is recorded, in the background, and
 * remove what an earlier run left behind. */
void antares_recover(struct antares *a);

/* Told by api/mounts: a mount came to be, or is gone. */
void antares_mounted(struct antares *a, const struct fs_mount_info *i);
void antares_unmounted(struct antares *a, const char *fs_id);

struct antares_request { /* members: NULL = not given */
	const char *path, *job, *build, *cl, *cl_path, *mountpoint;
	const char *rev; /* a commit to stay at; NULL: main as it is now */
	bool pinned;     /* it is to stay at that */
	bool bound_next; /* antares_bound follows; not recorded before */
	/* The directory of a mount whose changes it is to begin with; then
	 * there must not be one of this job. *forked: what they share. */
	const char *fork_of;
	struct fs_forked *forked;
};
/* Make a mount, or find the one of the same job. Blocking, at most 120 s.
 * Negative errno and *f. */
int antares_create(struct antares *a, const struct antares_request *q,
		   struct antares_info *ret, struct antares_fault *f);
/* By its id, or by its job's name. -ENOENT. */
int antares_find(struct antares *a, const char *id, struct antares_info *ret,
		 struct antares_fault *f);
int antares_find_job(struct antares *a, const char *job,
		     struct antares_info *ret, struct antares_fault *f);
void antares_each(struct antares *a,
		  void (*fn)(void *ctx, const struct antares_info *i),
		  void *ctx);
size_t antares_count(struct antares *a);
/* Take a mount away with its changes. 0 also if it could not be: then the
 * state in *ret is ANTARES_FAILED, and it stays. Blocking. */
int antares_remove(struct antares *a, const char *id, struct antares_info *ret,
		   struct antares_fault *f);
/* Set (cl) or clear (NULL) the change list of a mount in use. Private changes
 * stay and win. Blocking. */
int antares_set_cl(struct antares *a, const char *id, const char *cl,
		   struct antares_info *ret, struct antares_fault *f);

/* Note that the mount is bound to this revision. -ENOENT. */
int antares_bound(struct antares *a, const char *id, const char *base);

/* "  /a//b/ " -> "/a/b"; "" -> NULL. -EINVAL for what leaves the root. Caller
 * frees *ret. */
int antares_path(const char *in, char **ret);
bool antares_is_id(const char *s); /* any UUID, as text */

#endif
