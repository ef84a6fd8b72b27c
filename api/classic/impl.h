/* SPDX-License-Identifier: Apache-2.0 */
/* impl.h - shared by the files of api/classic only. */
#ifndef API_CLASSIC_IMPL_H
#define API_CLASSIC_IMPL_H

#include "api/classic/classic.h"
#include "api/daemon.h"
#include "core/lock.h"
#include "core/pool.h"

#define CLASSIC_TIMEOUT_MS 120000
#define CLASSIC_TASKS_MAX 1000u
#define CLASSIC_WORKS_MAX 10000u

struct cwork { /* lock */
	struct cwork *next;
	char *path, *hash, *cl;
	char *upper; /* name of the workspace of one with a list; or NULL */
	uint64_t inode;
};

struct ctask { /* lock */
	struct ctask *next;
	char id[FS_ID_LEN + 1];
	char *path; /* of a finished one */
	char *why;  /* of a failed one */
};

struct classic {
	struct daemon *daemon;
	struct pool *pool;
	struct pool_task back;
	char *source, *workspace, *file, *state_dir;
	struct lock lock;
	pthread_cond_t turn;
	bool busy, ending;     /* lock; ending is read atomically too */
	bool coming_back;      /* lock: back is in the pool */
	struct cwork *first;   /* lock */
	struct ctask *tasks;   /* lock; newest first */
	bool foreign;          /* the file is somebody else's; constant */
};

/* lock held */
struct cwork *cwork_find(struct classic *c, const char *path);
void cwork_add(struct classic *c, struct cwork *w /* takes */);
void cwork_free(struct cwork *w);

char *classic_dir(const struct classic *c, const char *path);
/* One call at a time: -EAGAIN, or classic_end. */
int classic_begin(struct classic *c);
void classic_end(struct classic *c);
/* Mount DIR_CL. */
int classic_mount_list(struct classic *c, const struct cwork *w);

/* state.c */
void classic_save(struct classic *c);
void classic_load(struct classic *c);

#endif
