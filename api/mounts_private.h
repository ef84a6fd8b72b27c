/* SPDX-License-Identifier: Apache-2.0 */
/* mounts_private.h - shared by mounts*.c only. */
#ifndef API_MOUNTS_PRIVATE_H
#define API_MOUNTS_PRIVATE_H

#include "api/mounts.h"
#include "api/statefile.h"
#include "core/json.h"
#include "core/lock.h"
#include "core/pool.h"

struct wanted { /* one mount that should be there; lock: mounts.lock */
	struct pool_task task;
	struct mounts *mounts;
	struct wanted *next;
	/* constant once in the list */
	char *source, *subdir, *dir, *job, *state_dir;
	enum fs_metadata metadata;
	int allow_other;
	int64_t uid, gid;
	bool writable, transient;
	bool from_config; /* not recorded */
	bool revived;     /* from a daemon that died; until found in a record */
	bool fresh;       /* being made for the first time: not recorded yet */
	/* changing */
	char *rev;       /* as asked for, last by a switch */
	char *workspace; /* once known; NULL: a read-only view */
	char *rev_text; /* resolved; what a restart asks for */
	char *label;    /* what it was when first asked for */
	char id[FS_ID_LEN + 1];
	bool there, busy, tried;
	bool gone; /* to be freed by the attempt under way */
	char *why;
	unsigned attempts;
	int64_t next_try;
	int64_t next_look; /* for a newer revision; 0: not yet decided */
	int look_error;    /* of the last look */
	char *last;  /* of the configuration: shown by an earlier daemon */
	bool behind; /* it shows that, for want of a server or time: look again */
};

struct mounts {
	struct mounts_options options;
	char *state_path;
	struct pool *pool;
	pthread_t retrier;
	bool retrying; /* the thread runs */

	struct lock lock;
	pthread_cond_t changed;
	struct wanted *first; /* lock */
	json_t *last;         /* what earlier daemons showed; at start */
	bool ending;          /* lock; read atomically as a cancel flag */
	struct statefile saving;
};

void wanted_free(struct wanted *w);
void wanted_link(struct mounts *m, struct wanted *w); /* lock held */
struct wanted *wanted_at(struct mounts *m, const char *dir); /* lock held */

/* The attempt or look of a busy one is over: it is not busy any more, or freed if
 * it was removed meanwhile. Lock held, dropped. */
void wanted_done(struct wanted *w);

/* mounts_follow.c: is it time to look for a newer revision (lock held)? Then in the
 * pool, with w->busy. */
bool mounts_follow_due(struct wanted *w, int64_t now);
void mounts_follow(struct pool_task *t);

/* mounts_config.c: add what the configuration wants */
void mounts_configured(struct mounts *m, const struct config *c);

/* mounts_revive.c: take from the record what only that knows. Lock held. */
void mounts_same(struct wanted *revived, struct wanted *recorded);

/* mounts_state.c */
/* The revision an earlier daemon showed there: allocated, or NULL. At start. */
char *mounts_state_last(struct mounts *m, const char *dir, const char *source);
int mounts_state_load(struct mounts *m);
int mounts_state_save(struct mounts *m);

#endif
