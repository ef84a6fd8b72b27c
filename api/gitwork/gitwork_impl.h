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
	struct githeads *heads; /* NULL: nobody tells when HEAD moves */
	struct gitipc *ipc;     /* NULL: only the hook answers */
};

struct gitjob { /* the repository of one mounted workspace */
	struct pool_task task;
	struct gitwork *g;
	/* constant */
	char *id, *source, *dir, *state_dir;
	char *excludes; /* lines for info/exclude: redirected directories */
	/* of who prepares, then of who has `busy` */
	char *rev, *label;
	struct scorpio_id root;
	uint16_t space;
	int64_t time_ns;
	char *not_adopted; /* a commit of git's the files are not at */
	int64_t follow_ns; /* gitfollow_again does nothing before */
	char token[GITWORK_TOKEN_MAX]; /* where the index begins */
	int64_t deadline;
	bool cancel; /* atomic */
	struct fs_objects *objects; /* of the thread that prepares, then of
				     * whoever frees the job */
	/* lock: gitwork.lock */
	struct gitjob *next;
	bool running, gone;
	bool busy; /* somebody switches */
	bool prepared;
	const char *state; /* static */
	char *why;
};

/* gitwork.c: learn rev, label, root and token from the mount. A workspace that
 * was changed already has its changes named by the first answer. */
int gitjob_look(struct gitjob *j, const struct fs_mount_info *i);

/* prepare.c: bring the repository of a workspace into being, or up to date. */
int gitprepare(struct gitjob *j);
char *gitprepare_gitdir(const char *state_dir);

/* run.c: git, without a shell, as the daemon. Output (may be NULL) without the
 * last newline. -EIO with what git said if it failed. */
int gitrun(struct gitjob *j, const char *const *argv, struct buf *out);
/* The same for a program whose exit code is an answer. */
int gitrun_code(struct gitjob *j, const char *const *argv, struct buf *out,
		int *ret_code);
int gitrun_input(struct gitjob *j, const char *const *argv, const void *p,
		 size_t n);

/* history.c: when all is ready, what may take long. */
int gitserver_background(struct gitjob *j);

/* monitor.c: with `changes`, every private change is named on top of what
 * happened since. */
void gitmonitor_token(struct fs_clock clock, bool changes,
		      char out[GITWORK_TOKEN_MAX]);

/* gitwork.c: the job of a mount, for whoever needs it alone; NULL: none that is
 * ready. Given back with job_give. */
struct gitjob *gitjob_take(struct gitwork *g, const char *id_or_dir,
			   int64_t deadline);
void gitjob_give(struct gitjob *j);

/* heads.c: a thread that calls gitwork_settle some time after git wrote to a
 * repository. */
struct githeads;
int githeads_new(struct gitwork *g, struct githeads **ret);
void githeads_free(struct githeads *h); /* NULL is fine */
void githeads_watch(struct githeads *h, const char *id, const char *gitdir);
void githeads_forget(struct githeads *h, const char *id);

/* ipc.c: threads that answer git's own client of a file system monitor. */
struct gitipc;
int gitipc_new(struct gitwork *g, struct gitipc **ret);
void gitipc_free(struct gitipc *i); /* NULL is fine, also below */
void gitipc_listen(struct gitipc *i, const char *id, const char *gitdir);
void gitipc_forget(struct gitipc *i, const char *id);

/* follow.c: the files moved, or shall move, to another revision. */
int gitfollow_switch(struct gitjob *j, const struct fs_switch_request *r,
		     gitwork_move_fn move, void *ctx,
		     struct fs_switch_result *ret, char **ret_git);
/* Is there a switch that git has not followed? It is tried again. */
bool gitfollow_pending(const char *gitdir);
void gitfollow_again(struct gitjob *j);

#endif
