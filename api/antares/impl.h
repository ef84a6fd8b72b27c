/* SPDX-License-Identifier: Apache-2.0 */
/* impl.h - shared by the files of api/antares only. */
#ifndef API_ANTARES_IMPL_H
#define API_ANTARES_IMPL_H

#include "api/antares/antares.h"
#include "api/daemon.h"
#include "api/statefile.h"
#include "core/lock.h"
#include "core/pool.h"

#define ANTARES_TIMEOUT_MS 120000

struct amount { /* one mount; lock: antares.lock unless it says otherwise */
	struct amount *next;
	struct antares *antares;
	unsigned refs;
	/* immutable once in the list */
	char id[FS_ID_LEN + 1];
	char *job, *path, *dir, *upper;
	bool own_dir; /* dir is ours to make and to remove */
	int64_t created_ms;
	/* changing; by who moved the state away from Mounted or Ready */
	char *cl, *cl_path, *cl_dir;
	char fs_id[FS_ID_LEN + 1];
	char *base; /* bound to this commit, or NULL */
	char *rev;  /* the commit shown, without the change list */
	char *chain; /* see antares_info; or NULL */
	bool pinned;
	enum antares_state state;
	char *reason;
	int64_t seen_ms;
	bool recovering;   /* comes back by api/mounts */
	bool unbound;      /* antares_bound follows; not recorded before */
	bool stop_warming; /* atomic */
	bool warming;
	struct pool_task warm;
	/* while it is made; by who makes it */
	const char *fork_of;
	struct fs_forked *forked;
};

struct aslot { /* the mount of a finished job, for the next one */
	struct aslot *next;
	char *dir, *upper, *path;
};

struct antares {
	struct daemon *daemon;
	struct pool *pool;
	char *mount_root, *upper_root, *cl_root, *state_file, *source;
	unsigned depth;
	bool sizes;
	int64_t preload_ms;
	unsigned slots_max;
	struct lock lock;
	pthread_cond_t changed;
	struct amount *first; /* lock */
	struct aslot *slots;  /* lock */
	unsigned n_slots;     /* lock; with those being parked */
	bool ending;          /* lock; read atomically as a cancel flag */
	struct statefile saving;
	char *warmed;	   /* lock: what was gone through last, see warm.c */
	int64_t warmed_ns; /* lock: when; monotonic */
};

/* Sets *f and the error text; returns err. */
int antares_refuse(struct antares_fault *f, int status, const char *code,
		   int err, const char *fmt, ...) PRINTF(5, 6);
/* The same from an error of the filesystem, whose text is kept. */
int antares_failed(struct antares_fault *f, int err, bool with_cl);
int64_t antares_now_ms(void);

/* lock held */
struct amount *amount_by_id(struct antares *a, const char *id);
/* The same into *ret (NULL if there is none); an error and *f if there is none, or
 * it is not Mounted or Ready. */
int amount_to_use(struct antares *a, const char *id, struct amount **ret,
		  struct antares_fault *f);
void amount_copy(struct amount *m, struct antares_info *ret);
void amount_state(struct amount *m, enum antares_state s, const char *reason);
bool amount_usable(const struct amount *m); /* Mounted or Ready */
void amount_unlink(struct amount *m);
void amount_put(struct amount *m); /* lock not held */
/* Nobody else changes it until amount_settle(), which puts it, lock not held. */
struct amount *amount_claim(struct amount *m, enum antares_state s);
enum antares_state amount_resting(const struct amount *m); /* after that */
void amount_settle(struct amount *m);
void amount_set_rev(struct amount *m, const char *rev_text);

/* What to ask the mono backend for: "main@LINK:/root". Caller frees. */
char *antares_spec(const char *rev, const char *cl, const char *cl_path);

/* warm.c: Mounted -> Ready in the background; ends it and waits. */
void amount_warm(struct amount *m);
void amount_warm_end(struct amount *m);

/* state.c */
void antares_save(struct antares *a);
void antares_load(struct antares *a);

/* remove.c */
/* Directories of a mount that is not there any more. */
void antares_clean(const char *dir, const char *upper, const char *cl_dir);
/* A slot for this path, or NULL; the caller owns it. */
struct aslot *antares_slot(struct antares *a, const char *path);
void antares_slot_back(struct antares *a, struct aslot *s /* takes */);
void aslot_free(struct aslot *s);

#endif
