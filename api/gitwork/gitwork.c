/* SPDX-License-Identifier: Apache-2.0 */
/* gitwork.c - which workspaces have a repository, and what is done for them. */
#include "api/gitwork/gitwork_impl.h"

#include "api/stack.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/objects.h"

#define PREPARE_THREADS 2
#define PREPARE_MS (3600 * 1000)

static char *find_program(void)
{
	char exe[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *path;

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		path = xasprintf("%.*s/scorpio-fsmonitor",
				 (int)(slash - exe), exe);
		if (!access(path, X_OK))
			return path;
		free(path);
	}
	return NULL;
}

struct gitwork *gitwork_new(const struct gitwork_options *o)
{
	struct gitwork *g = xcalloc(1, sizeof(*g));
	int rc;

	g->fs = o->fs;
	g->store = o->store;
	g->socket = xstrdup(o->socket);
	g->program = find_program();
	g->pool = pool_new("gitwork", PREPARE_THREADS);
	lock_init(&g->lock, LOCK_LEAF, "gitwork");
	cond_init(&g->changed);
	rc = githeads_new(g, &g->heads);
	if (rc)
		log_warn("git", "workspaces do not notice what git does: %s",
			 error_text(rc));
	rc = gitipc_new(g, &g->ipc);
	if (rc)
		log_warn("git", "git's own monitor client is not answered: %s",
			 error_text(rc));
	if (!g->program)
		log_warn("git", "scorpio-fsmonitor is not installed beside "
			 "this program: git will look at every file itself");
	return g;
}

static void job_free(struct gitjob *j)
{
	fs_objects_free(j->objects);
	free(j->id);
	free(j->source);
	free(j->dir);
	free(j->state_dir);
	free(j->rev);
	free(j->label);
	free(j->why);
	free(j->not_adopted);
	free(j->excludes);
	free(j);
}

void gitwork_free(struct gitwork *g)
{
	struct gitjob *next;

	if (!g)
		return;
	lock_take(&g->lock);
	for (struct gitjob *j = g->jobs; j; j = j->next)
		__atomic_store_n(&j->cancel, true, __ATOMIC_RELAXED);
	lock_drop(&g->lock);
	pool_free(g->pool); /* its jobs add to the heads */
	githeads_free(g->heads);
	gitipc_free(g->ipc);
	for (struct gitjob *j = g->jobs; j; j = next) {
		next = j->next;
		job_free(j);
	}
	free(g->socket);
	free(g->program);
	pthread_cond_destroy(&g->changed);
	lock_done(&g->lock);
	free(g);
}

/* -- jobs -------------------------------------------------------------------------- */

static void unlink_job(struct gitwork *g, struct gitjob *j)
{
	struct gitjob **p = &g->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
}

static struct gitjob *find_job(struct gitwork *g, const char *id)
{
	for (struct gitjob *j = g->jobs; j; j = j->next)
		if (!j->gone && !strcmp(j->id, id))
			return j;
	return NULL;
}

/* Not used that way any more; freed, if it was the last and it is unmounted. */
static void let_go(struct gitjob *j, bool *use)
{
	struct gitwork *g = j->g;
	bool gone;

	lock_take(&g->lock);
	*use = false;
	gone = j->gone && !j->running && !j->busy;
	if (gone)
		unlink_job(g, j);
	pthread_cond_broadcast(&g->changed);
	lock_drop(&g->lock);
	if (!gone)
		return;
	githeads_forget(g->heads, j->id); /* it may have come after the end */
	gitipc_forget(g->ipc, j->id);
	job_free(j);
}

static void run(struct pool_task *t)
{
	struct gitjob *j = container_of(t, struct gitjob, task);
	struct gitwork *g = j->g;
	int64_t start = now_ns();
	int rc = gitprepare(j);

	if (rc && rc != -EINTR)
		log_error("git", "no .git in %s: %s", j->dir, error_text(rc));
	else if (!rc)
		log_info("git", "%s is a git repository after %lld ms",
			 j->dir, (long long)(now_ns() - start) / NS_PER_MS);
	lock_take(&g->lock);
	j->prepared = true;
	j->state = rc ? "failed" : "ready";
	j->why = rc ? xstrdup(error_text(rc)) : NULL;
	pthread_cond_broadcast(&g->changed);
	lock_drop(&g->lock);
	if (!rc) {
		cleanup_free char *dir = gitprepare_gitdir(j->state_dir);

		githeads_watch(g->heads, j->id, dir);
		gitipc_listen(g->ipc, j->id, dir);
		rc = gitserver_background(j);
	}
	if (rc && rc != -EINTR && !j->why)
		log_warn("git", "%s has no history yet: %s", j->dir,
			 error_text(rc));
	let_go(j, &j->running);
}

struct gitjob *gitjob_take(struct gitwork *g, const char *id_or_dir,
			   int64_t deadline)
{
	struct fs_mount_info i;
	struct gitjob *j;

	if (fs_find(g->fs, id_or_dir, &i))
		return NULL;
	lock_take(&g->lock);
	while ((j = find_job(g, i.id)) && (!j->prepared || j->busy) &&
	       now_ns() < deadline)
		lock_wait(&g->changed, &g->lock, deadline);
	if (j && j->prepared && !j->busy && !strcmp(j->state, "ready"))
		j->busy = true;
	else
		j = NULL;
	lock_drop(&g->lock);
	fs_mount_info_done(&i);
	return j;
}

void gitjob_give(struct gitjob *j)
{
	let_go(j, &j->busy);
}

int gitwork_switch(struct gitwork *g, const char *id_or_dir,
		   const struct fs_switch_request *r, gitwork_move_fn move,
		   void *ctx, struct fs_switch_result *ret, char **ret_git)
{
	struct gitjob *j = gitjob_take(g, id_or_dir, r->deadline);
	int rc;

	*ret_git = NULL;
	if (!j) /* no repository, or none that could be made */
		return move(ctx, r, ret);
	rc = gitfollow_switch(j, r, move, ctx, ret, ret_git);
	gitjob_give(j);
	return rc;
}

static bool is_commit(const char *rev)
{
	return strlen(rev) == 40 && strspn(rev, "0123456789abcdef") == 40;
}

static struct gitjob *job_new(struct gitwork *g, const struct fs_mount_info *i,
			      const char *source)
{
	struct gitjob *j = xcalloc(1, sizeof(*j));
	struct buf b = BUF_INIT;

	j->g = g;
	j->id = xstrdup(i->id);
	j->source = stack_address(source);
	j->dir = xstrdup(i->dir);
	j->state_dir = xstrdup(i->state_dir);
	for (char **p = i->redirects; p && *p; p++)
		buf_printf(&b, "/%s\n", *p);
	j->excludes = b.len ? xstrdup(buf_str(&b)) : NULL;
	buf_done(&b);
	j->state = "preparing";
	j->deadline = deadline_in_ms(PREPARE_MS);
	j->task.run = run;
	return j;
}

/* What the index will be made of. */
int gitjob_look(struct gitjob *j, const struct fs_mount_info *i)
{
	struct fs_path_info root;
	struct fs_clock clock = { 0 };
	int rc = fs_path(j->g->fs, j->dir, deadline_in_ms(1000), &root);

	if (rc)
		return rc;
	free(j->rev);
	free(j->label);
	j->rev = xstrdup(i->rev);
	j->label = xstrdup(i->label ? i->label : "");
	j->root = root.shown;
	j->time_ns = root.mtime_ns;
	j->space = (uint16_t)(root.key.bytes[0] << 8 | root.key.bytes[1]);
	fs_path_info_done(&root);
	rc = fs_journal(j->g->fs, j->id, (struct fs_clock){ 0 }, 0, NULL,
			NULL, &clock);
	gitmonitor_token(clock, i->changed, j->token);
	return rc;
}

void gitwork_mounted(struct gitwork *g, const struct fs_mount_info *i,
		     const char *source)
{
	struct gitjob *j;
	int rc;

	if (i->read_only || strcmp(i->backend, "git"))
		return;
	j = job_new(g, i, source);
	if (*i->subdir)
		rc = fail(-ENOTSUP, "git works in whole repositories, and "
			  "this is the directory %s of one", i->subdir);
	else if (!is_commit(i->rev))
		rc = fail(-ENOTSUP, "%s is not a commit", i->rev);
	else
		rc = gitjob_look(j, i);
	if (rc) {
		j->state = "failed";
		j->why = xstrdup(error_text(rc));
	}
	j->running = !rc;
	j->prepared = rc;
	lock_take(&g->lock);
	j->next = g->jobs;
	g->jobs = j;
	lock_drop(&g->lock);
	if (!rc)
		pool_add(g->pool, &j->task);
}

void gitwork_unmounted(struct gitwork *g, const char *mount_id)
{
	struct gitjob *j, *mine = NULL;

	githeads_forget(g->heads, mount_id);
	gitipc_forget(g->ipc, mount_id);
	lock_take(&g->lock);
	j = find_job(g, mount_id);
	if (j && (j->running || j->busy)) {
		j->gone = true;
		__atomic_store_n(&j->cancel, true, __ATOMIC_RELAXED);
	} else if (j) {
		unlink_job(g, j);
		mine = j;
	}
	lock_drop(&g->lock);
	if (mine)
		job_free(mine);
}

char *gitwork_state(struct gitwork *g, const char *mount_id, int64_t deadline)
{
	struct gitjob *j;
	ranked_scope(&g->lock);

	while ((j = find_job(g, mount_id)) && !j->prepared &&
	       now_ns() < deadline)
		lock_wait(&g->changed, &g->lock, deadline);
	if (!j)
		return NULL;
	return j->why ? xasprintf("%s: %s", j->state, j->why)
		      : xstrdup(j->state);
}
