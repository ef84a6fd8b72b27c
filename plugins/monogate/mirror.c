/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.c - the history of a repository behind Git's smart HTTP: its refs, commits
 * and trees in a bare repository of this daemon, fetched when somebody first asks for
 * what only history can tell, without files where the server can leave them out. The
 * address is told to the one git that fetches and stands in no file, so no other git
 * asks a server for what is missing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gate.h"

#define WAIT_S 60 /* for a fetch of somebody else's */

struct gate_mirror {
	char *dir; /* owned */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running;	/* lock */
	bool made;	/* by who runs */
	uint64_t begun; /* lock: fetches that began */
	uint64_t whole; /* lock: the last one that succeeded, counted so */
};

int gate_mirror_new(struct gate *g)
{
	struct gate_mirror *m;

	if (g->origin.kind != GATE_GIT)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	gate_cond_init(&m->changed);
	g->mirror = m;
	return asprintf(&m->dir, "%s/history.git", g->scratch) < 0 ?
		       (m->dir = NULL, -ENOMEM) : 0;
}

void gate_mirror_free(struct gate *g)
{
	struct gate_mirror *m = g->mirror;

	if (!m)
		return;
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m->dir);
	free(m);
	g->mirror = NULL;
}

/* -- fetching ---------------------------------------------------------------------- */

/* What of the refs: branches, tags, and change lists wherever they are. */
static void refspecs(const struct gate *g, char ret[][2 * GATE_PREFIX_CAP])
{
	char at[GATE_CL_PREFIXES][GATE_PREFIX_CAP];

	snprintf(ret[0], sizeof(*ret), "+refs/heads/*:refs/heads/*");
	snprintf(ret[1], sizeof(*ret), "+refs/tags/*:refs/tags/*");
	gate_cl_prefixes(g, at);
	for (int i = 0; i < GATE_CL_PREFIXES; i++) {
		*strrchr(at[i], '/') = '\0';
		if (!strncmp(at[i], "refs/heads", 10)) /* it is there already */
			snprintf(at[i], sizeof(*at), "refs/heads");
		snprintf(ret[2 + i], sizeof(*ret), "+%.510s/*:%.510s/*",
			 at[i], at[i]);
	}
}

static int run_git(struct gate *g, const char *const *argv,
		   const char *const *env)
{
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .env = env, .timeout_ms = GATE_RELAY_MS };
	int rc = g->host->spawn(g->host, &x);

	if (!rc && x.exit_status) {
		x.error[strcspn(x.error, "\n")] = '\0';
		rc = g->host->fail(g->host, -EIO, "the history cannot be "
				   "fetched: git: %s", x.error);
	}
	return rc;
}

static int fetch(struct gate *g)
{
	struct gate_mirror *m = g->mirror;
	char git_dir[4200], url[4200];
	char specs[2 + GATE_CL_PREFIXES][2 * GATE_PREFIX_CAP];
	const char *const init[] = { "git", "init", "-q", "--bare", m->dir,
				     NULL };
	const char *const argv[] = {
		"git", git_dir, "fetch", "-q", "--prune", "--no-tags",
		"--no-write-fetch-head", "--no-auto-maintenance",
		"--filter=blob:none", "origin", specs[0], specs[1], specs[2],
		specs[3], specs[4], NULL,
	};
	const char *const env[] = {
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
		"GCM_INTERACTIVE=never", "LC_ALL=C", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=remote.origin.url", url, NULL,
	};
	int rc = m->made ? 0 : run_git(g, init, gate_git_env);

	if (rc)
		return rc;
	m->made = true;
	snprintf(git_dir, sizeof(git_dir), "--git-dir=%s", m->dir);
	snprintf(url, sizeof(url), "GIT_CONFIG_VALUE_0=%s", g->origin.at);
	refspecs(g, specs);
	return run_git(g, argv, env);
}

/* With the lock held: until nobody fetches. */
static int wait_for_turn(struct gate *g)
{
	struct gate_mirror *m = g->mirror;
	struct timespec tick;

	for (int s = 0; m->running; s++) {
		if (s == WAIT_S)
			return g->host->fail(g->host, -EAGAIN, "the history of "
					     "the repository is being fetched; "
					     "ask again later");
		if (g->host->cancelled(g->host))
			return -EINTR;
		clock_gettime(CLOCK_MONOTONIC, &tick);
		tick.tv_sec++;
		pthread_cond_timedwait(&m->changed, &m->lock, &tick);
	}
	return 0;
}

/* As it is now: by a fetch that began after this was called, whoever made it. */
static int refresh(struct gate *g)
{
	struct gate_mirror *m = g->mirror;
	uint64_t mine;
	int rc;

	pthread_mutex_lock(&m->lock);
	mine = m->begun + 1;
	rc = wait_for_turn(g);
	if (!rc && m->whole < mine) {
		m->running = true;
		mine = ++m->begun;
		pthread_mutex_unlock(&m->lock);
		rc = fetch(g);
		pthread_mutex_lock(&m->lock);
		if (!rc)
			m->whole = mine;
		m->running = false;
		pthread_cond_broadcast(&m->changed);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* -- who asks ------------------------------------------------------------------------ */

static bool is_ready(struct gate_mirror *m)
{
	bool ready;

	pthread_mutex_lock(&m->lock);
	ready = m->whole;
	pthread_mutex_unlock(&m->lock);
	return ready;
}

static bool has(struct gate *g, const char *commit)
{
	char git_dir[4200], what[300], *said = NULL;
	const char *const argv[] = { "git", git_dir, "rev-parse", "-q",
				     "--verify", what, NULL };
	bool there;

	snprintf(git_dir, sizeof(git_dir), "--git-dir=%s", g->mirror->dir);
	snprintf(what, sizeof(what), "%.255s^{commit}", commit);
	there = is_ready(g->mirror) && !gate_git(g, argv, &said, NULL);
	free(said);
	return there;
}

bool gate_has_history(const struct gate *g)
{
	return g->origin.kind == GATE_LOCAL || g->origin.kind == GATE_GIT;
}

int gate_history_refs(struct gate *g, const char **ret_dir)
{
	int rc = g->mirror ? refresh(g) : 0;

	if (!rc)
		*ret_dir = g->mirror ? g->mirror->dir : g->origin.at;
	return rc;
}

int gate_history_of(struct gate *g, const char *commit, const char **ret_dir)
{
	int rc = !g->mirror || has(g, commit) ? 0 : refresh(g);

	if (!rc && g->mirror && !has(g, commit))
		rc = g->host->fail(g->host, -ENOENT, "no branch, tag or change "
				   "list of the repository has commit %s",
				   commit);
	if (!rc)
		*ret_dir = g->mirror ? g->mirror->dir : g->origin.at;
	return rc;
}

bool gate_history_known(struct gate *g, const char *commit,
			const char **ret_dir)
{
	if (g->origin.kind != GATE_LOCAL && (!g->mirror || !has(g, commit)))
		return false;
	*ret_dir = g->mirror ? g->mirror->dir : g->origin.at;
	return true;
}
