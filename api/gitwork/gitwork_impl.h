/* SPDX-License-Identifier: Apache-2.0 */
/* gitwork_impl.h - shared by the files of this folder only. */
#ifndef API_GITWORK_GITWORK_IMPL_H
#define API_GITWORK_GITWORK_IMPL_H

#include "api/gitwork/gitindex.h"
#include "api/gitwork/gitwork.h"
#include "core/lock.h"
#include "core/pool.h"

#define GITWORK_TOKEN_MAX 64

struct gitwork {
	struct fs *fs;
	struct store *store;
	char *socket, *program; /* scorpio-fsmonitor; NULL: not installed */
	struct pool *pool;
	struct lock lock;
	pthread_cond_t changed; /* with lock: some state */
	struct gitjob *jobs;    /* lock */
};

struct gitjob { /* the repository of one mounted workspace */
	struct pool_task task;
	struct gitwork *g;
	/* constant */
	char *id, *source, *dir, *state_dir, *rev, *label;
	struct scorpio_id root;
	uint16_t space;
	int64_t time_ns;
	char token[GITWORK_TOKEN_MAX]; /* where the index begins */
	int64_t deadline;
	bool cancel; /* atomic */
	struct fs_objects *objects; /* of the thread that prepares, then of
				     * whoever frees the job */
	/* lock: gitwork.lock */
	struct gitjob *next;
	bool running, gone;
	bool prepared;
	const char *state; /* static */
	char *why;
};

/* prepare.c: bring the repository of a workspace into being, or up to date. */
int gitprepare(struct gitjob *j);
char *gitprepare_gitdir(const char *state_dir);

/* run.c: git, without a shell, as the daemon. Output (may be NULL) without the
 * last newline. -EIO with what git said if it failed. */
int gitrun(struct gitjob *j, const char *const *argv, struct buf *out);
int gitrun_input(struct gitjob *j, const char *const *argv, const void *p,
		 size_t n);

/* history.c: when all is ready, what may take long. */
int gitserver_background(struct gitjob *j);

/* monitor.c */
void gitmonitor_token(struct fs_clock clock, char out[GITWORK_TOKEN_MAX]);

#endif
