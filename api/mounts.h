/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.h - which mounts should be there: those made through the API and those
 * of the configuration. They are recorded in a state file, so that a daemon that
 * starts again brings them back at the revision they showed. What cannot be
 * mounted at start is tried again, first after 5 s, later every 5 minutes, and
 * is listed as "failed: why" until then.
 *
 * The state file may hold credentials of URLs: mode 0600, in the store.
 *
 * Threads: any. No lock is held while something is mounted or unmounted.
 */
#ifndef API_MOUNTS_H
#define API_MOUNTS_H

#include "core/config.h"
#include "fs/fs.h"

struct mounts;

struct mounts_options {
	struct fs *fs;          /* borrowed */
	const char *state_path; /* NULL: nothing is recorded */
	int64_t timeout_ms;     /* of one attempt at start */
	/* A mount came to be, or is gone; without a lock. May be NULL. */
	void (*mounted)(void *ctx, const struct fs_mount_info *i,
			const char *source);
	void (*unmounted)(void *ctx, const char *id);
	/* Shall a recorded mount come back? May be NULL: yes. */
	bool (*keep)(void *ctx, const char *dir);
	/* How often mounts of the latest revision of this source look for a
	 * newer one; 0 never. May be NULL: never. */
	int64_t (*follow_ms)(void *ctx, const char *source);
	void *ctx;
};

struct mounts *mounts_new(const struct mounts_options *o);
/* Stops retrying. Leaves mounts alone (fs_free unmounts) and the record as it
 * is. NULL is fine. */
void mounts_free(struct mounts *m);

/* Go on with what the keeper holds; first of all. */
void mounts_revive(struct mounts *m);
/* fs_mount, and remember it. -EEXIST something is already wanted at that
 * directory. */
int mounts_add(struct mounts *m, const struct fs_mount_request *r,
	       struct fs_mount_info *ret);
/* fs_unmount, and forget it; also a wanted mount that could not be made. */
int mounts_remove(struct mounts *m, const char *id_or_dir, bool lazy);

/* fs_switch, and remember it. */
int mounts_switch(struct mounts *m, const char *id_or_dir,
		  const struct fs_switch_request *r,
		  struct fs_switch_result *ret,
		  void (*fn)(void *ctx, const char *path, const char *why),
		  void *ctx);

/* What the state file lists (or forget that, if skip_recorded) and what the
 * configuration wants. A damaged state file is set aside with a warning. */
void mounts_load(struct mounts *m, const struct config *c, bool skip_recorded);
/* After that: bring them back, in the background. */
void mounts_restore(struct mounts *m);
/* Every wanted mount was tried once. */
bool mounts_settled(struct mounts *m);
bool mounts_wait_settled(struct mounts *m, int64_t deadline);
/* How many wanted mounts are not there. */
size_t mounts_missing(struct mounts *m);

/* A wanted mount that is not there. */
struct mounts_missing {
	const char *source; /* redacted */
	const char *dir, *rev, *subdir;
	const char *why; /* of the last attempt; NULL: not tried yet */
	int64_t next_try_ns;
};
void mounts_each_missing(struct mounts *m,
			 void (*fn)(void *ctx, const struct mounts_missing *x),
			 void *ctx);
/* The revision as it was first asked for and what it was then: a mount that was
 * brought back asks for the commit itself. False if the id is not known. The
 * caller frees both (NULL possible). */
bool mounts_asked(struct mounts *m, const char *id, char **ret_rev,
		  char **ret_label);
/* Directories of all mounts that are there, for the last resort at exit. The
 * caller frees the array and its members; NULL-ended. */
char **mounts_dirs(struct mounts *m);
/* The same of all whose workspace is in that state_dir of fs_mount_request, also
 * of those that are to come back. */
char **mounts_dirs_in(struct mounts *m, const char *state_dir);

/* A mount of this source is a workspace if nobody says otherwise. */
bool mounts_writable(const char *source);
/* The name of a workspace that was given none: the same for whoever mounts the
 * same source (and subdir, may be NULL) at the same directory. Caller frees. */
char *mounts_workspace(const char *source, const char *dir, const char *subdir);

/* "auto|full|ondemand". False: not understood. */
bool mounts_metadata(const char *text, enum fs_metadata *ret);

#endif
