/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"

#define QUIET_MS 300000 /* git that counts objects says nothing */
#define TICK_MS 100
#define END_MS 2000 /* from SIGTERM to SIGKILL */

extern char **environ;

struct gate_child {
	const struct scorpio_host *host;
	pid_t pid; /* 0: reaped */
	int out;
};

static bool is_set(const char *entry, const char *const *add)
{
	size_t n = strcspn(entry, "=");

	for (; *add; add++)
		if (!strncmp(*add, entry, n) && (*add)[n] == '=')
			return true;
	return false;
}

/* The daemon's own without what `add` sets, then `add`. The array is the
 * caller's. */
static char **merge(const char *const *add)
{
	size_t n = 0, at = 0;
	char **env;

	for (char **e = environ; *e; e++)
		n++;
	for (const char *const *a = add; *a; a++)
		n++;
	env = calloc(n + 1, sizeof(*env));
	for (char **e = environ; env && *e; e++)
		if (!is_set(*e, add))
			env[at++] = *e;
	for (; env && *add; add++)
		env[at++] = (char *)(uintptr_t)*add;
	return env;
}

static int spawn(struct gate_child *c, const char *const *argv, char **env,
		 int input, int output)
{
	posix_spawn_file_actions_t f;
	posix_spawnattr_t a;
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&a);
	posix_spawnattr_setpgroup(&a, 0);
	posix_spawnattr_setsigmask(&a, &none);
	posix_spawnattr_setsigdefault(&a, &all);
	posix_spawnattr_setflags(&a, POSIX_SPAWN_SETPGROUP |
					     POSIX_SPAWN_SETSIGMASK |
					     POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&f);
	if (input < 0)
		posix_spawn_file_actions_addopen(&f, 0, "/dev/null", O_RDONLY,
						 0);
	else
		posix_spawn_file_actions_adddup2(&f, input, 0);
	posix_spawn_file_actions_adddup2(&f, output, 1);
	posix_spawn_file_actions_addopen(&f, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&f, 3);
	posix_spawn_file_actions_addchdir_np(&f, "/");
	e = posix_spawnp(&c->pid, argv[0], &f, &a,
			 (char *const *)(uintptr_t)argv, env);
	posix_spawn_file_actions_destroy(&f);
	posix_spawnattr_destroy(&a);
	if (!e)
		return 0;
	c->pid = 0;
	return c->host->fail(c->host, -e, "cannot run %s: %s", argv[0],
			     strerror(e));
}

/* Descriptors above 2, so that dup2 in the child meets none of them. */
static int make_pipe(struct gate_child *c, int *ret_write)
{
	int p[2], w;

	if (pipe2(p, O_CLOEXEC))
		return c->host->fail(c->host, -errno, "a pipe: %s",
				     strerror(errno));
	c->out = fcntl(p[0], F_DUPFD_CLOEXEC, 3);
	w = fcntl(p[1], F_DUPFD_CLOEXEC, 3);
	close(p[0]);
	close(p[1]);
	*ret_write = w;
	return c->out < 0 || w < 0 ? -EMFILE : 0;
}

int gate_child_new(struct gate *g, const char *const *argv,
		   const char *const *env, int input, struct gate_child **ret)
{
	struct gate_child *c = calloc(1, sizeof(*c));
	char **all = merge(env);
	int in = -1, w = -1, rc = c && all ? 0 : -ENOMEM;

	if (!rc) {
		c->host = g->host;
		c->out = -1;
		rc = make_pipe(c, &w);
	}
	if (!rc && input >= 0) {
		in = fcntl(input, F_DUPFD_CLOEXEC, 3);
		rc = in < 0 || lseek(in, 0, SEEK_SET) < 0 ? -errno : 0;
	}
	if (!rc)
		rc = spawn(c, argv, all, in, w);
	if (w >= 0)
		close(w);
	if (in >= 0)
		close(in);
	free(all);
	if (rc)
		gate_child_free(c);
	else
		*ret = c;
	return rc;
}

/* Its end within END_MS; else c->pid stays. */
static int reap(struct gate_child *c)
{
	static const struct timespec tick = { .tv_nsec = 10000000 };
	int status = 0;

	for (int ms = 0; c->pid && ms < END_MS; ms += 10) {
		if (waitpid(c->pid, &status, WNOHANG) > 0)
			c->pid = 0;
		else
			nanosleep(&tick, NULL);
	}
	return status;
}

static void kill_group(struct gate_child *c);

/* It said all it has to say. */
static int ended(struct gate_child *c)
{
	int status = reap(c);

	if (c->pid) {
		kill_group(c);
		return c->host->fail(c->host, -EIO, "git does not end");
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return c->host->fail(c->host, -EIO, "git failed while it answered");
}

int64_t gate_child_read(struct gate_child *c, void *buf, uint64_t n)
{
	struct pollfd p = { c->out, POLLIN, 0 };

	for (int waited = 0; waited < QUIET_MS; waited += TICK_MS) {
		int ready = poll(&p, 1, TICK_MS);
		ssize_t got;

		if (c->host->cancelled(c->host))
			return -EINTR;
		if (ready <= 0)
			continue;
		got = read(c->out, buf, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return c->host->fail(c->host, -errno, "%s",
					     strerror(errno));
		return got ? got : ended(c);
	}
	return c->host->fail(c->host, -ETIMEDOUT, "git says nothing");
}

/* Not reaped yet, so the pid, hence the group, is still this child's. */
static void kill_group(struct gate_child *c)
{
	kill(-c->pid, SIGTERM);
	reap(c);
	if (!c->pid)
		return;
	kill(-c->pid, SIGKILL);
	reap(c);
	c->pid = 0;
}

void gate_child_free(struct gate_child *c)
{
	if (!c)
		return;
	if (c->out >= 0)
		close(c->out);
	if (c->pid)
		kill_group(c);
	free(c);
}
