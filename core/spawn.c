/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.c - posix_spawn, then one poll loop over stdin, stdout, stderr and the
 * pidfd until the outputs are at their end and the child is reaped.
 *
 * It may end early: on_output asked to stop, the deadline passed, or the call
 * was cancelled. Then the pipes are closed, the group is terminated and the
 * child reaped before returning.
 */
#include "core/spawn.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/confine.h"
#include "core/error.h"
#include "core/log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TICK_MS 100          /* how soon a cancellation is noticed */
#define AFTER_EXIT_NS (500 * NS_PER_MS) /* for output of left children */
#define TERM_NS (2 * NS_PER_S)
#define CHUNK (64 * KiB)
#define ENV_MAX 4096

extern char **environ;

static uint32_t default_timeout_ms = 600000; /* atomic */

void spawn_set_timeout(uint32_t ms)
{
	__atomic_store_n(&default_timeout_ms, ms ? ms : 600000,
			 __ATOMIC_RELAXED);
}

struct run {
	struct scorpio_spawn *x;
	pid_t pid;
	int in, out, err; /* our ends, -1 when closed */
	int pidfd;        /* -1: not available */
	bool confined;
	uint64_t sent;
	bool reaped;
	int status;        /* of waitpid */
	int64_t deadline;  /* absolute */
	int64_t reaped_at; /* ns */
	uint8_t *buffer;   /* CHUNK */
};

/* -- environment -- */

static bool overridden(const char *entry, const char *const *add)
{
	size_t n = strcspn(entry, "=");

	for (; *add; add++)
		if (!strncmp(*add, entry, n) && (*add)[n] == '=')
			return true;
	return false;
}

/* Ours without what `add` sets, then `add`. Free the array only. */
static char **merge_env(const char *const *add)
{
	static const char *const none[] = { NULL };
	size_t n = 0, m = 0;
	char **env, **e;

	if (!add)
		add = none;
	for (e = environ; n < ENV_MAX && *e; e++)
		n++;
	while (m < ENV_MAX && add[m])
		m++;
	env = xcalloc(n + m + 1, sizeof(*env));
	n = 0;
	for (e = environ; n < ENV_MAX && *e; e++)
		if (!overridden(*e, add))
			env[n++] = *e;
	memcpy(env + n, add, m * sizeof(*env));
	return env;
}

/* -- start -- */

struct pipes {
	int in[2], out[2], err[2];
};

static void close_pair(int p[2])
{
	if (p[0] >= 0)
		close(p[0]);
	if (p[1] >= 0)
		close(p[1]);
}

static void close_pipes(struct pipes *p)
{
	close_pair(p->in);
	close_pair(p->out);
	close_pair(p->err);
}

/* A pipe whose ends are above 2, so that dup2 in the child never lands on
 * another pipe's end even if the daemon runs without a stdin. */
static int make_pipe(int p[2])
{
	int raw[2], i;

	if (pipe2(raw, O_CLOEXEC))
		return -errno;
	for (i = 0; i < 2; i++) {
		p[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
		close(raw[i]);
	}
	return p[0] < 0 || p[1] < 0 ? -EMFILE : 0;
}

static int make_pipes(struct pipes *p)
{
	int r = make_pipe(p->in);

	if (!r)
		r = make_pipe(p->out);
	if (!r)
		r = make_pipe(p->err);
	return r ? fail(r, "cannot make a pipe: %s", strerrordesc_np(-r)) : 0;
}

static void set_attributes(posix_spawnattr_t *a)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(a);
	posix_spawnattr_setpgroup(a, 0);
	posix_spawnattr_setsigmask(a, &none);
	posix_spawnattr_setsigdefault(a, &all);
	posix_spawnattr_setflags(a, POSIX_SPAWN_SETPGROUP |
					    POSIX_SPAWN_SETSIGMASK |
					    POSIX_SPAWN_SETSIGDEF);
}

static int start_error(const struct scorpio_spawn *x, const char *cwd, int r)
{
	struct stat st;

	if (r == ENOENT && (stat(cwd, &st) || !S_ISDIR(st.st_mode)))
		return fail(-ENOENT, "cannot run %s in %s: no such directory",
			    x->argv[0], cwd);
	if (r == ENOENT)
		return fail(-ENOENT, "cannot run %s: no such program; is it "
			    "installed and in PATH?", x->argv[0]);
	return fail(-r, "cannot run %s: %s", x->argv[0], strerrordesc_np(r));
}

struct launch { /* posix_spawnp, and how it ended */
	struct run *r;
	const posix_spawn_file_actions_t *f;
	const posix_spawnattr_t *a;
	char **env;
	int error;
};

static void *launch(void *arg)
{
	struct launch *l = arg;
	const struct scorpio_spawn *x = l->r->x;

	if (l->r->confined && confine_thread() < 0)
		log_debug("spawn", "%s runs unconfined", x->argv[0]);
	l->error = posix_spawnp(&l->r->pid, x->argv[0], l->f, l->a,
				(char *const *)x->argv, l->env);
	return NULL;
}

/* What a thread gave up is given up for what it starts: for a program that is to
 * be confined, a thread of its own. */
static int launched(struct launch *l)
{
	pthread_t thread;
	int e;

	if (!l->r->confined) {
		launch(l);
		return l->error;
	}
	e = pthread_create(&thread, NULL, launch, l);
	if (!e)
		pthread_join(thread, NULL); /* ends when the program runs */
	return e ? e : l->error;
}

static int start(struct run *r, struct pipes *p)
{
	const char *cwd = r->x->cwd ? r->x->cwd : "/";
	cleanup_free char **env = merge_env(r->x->env);
	posix_spawn_file_actions_t f;
	posix_spawnattr_t a;
	int e;

	set_attributes(&a);
	posix_spawn_file_actions_init(&f);
	posix_spawn_file_actions_adddup2(&f, p->in[0], 0);
	posix_spawn_file_actions_adddup2(&f, p->out[1], 1);
	posix_spawn_file_actions_adddup2(&f, p->err[1], 2);
	posix_spawn_file_actions_addclosefrom_np(&f, 3);
	posix_spawn_file_actions_addchdir_np(&f, cwd);
	e = launched(&(struct launch){ .r = r, .f = &f, .a = &a, .env = env });
	posix_spawn_file_actions_destroy(&f);
	posix_spawnattr_destroy(&a);
	return e ? start_error(r->x, cwd, e) : 0;
}

static void take_ends(struct run *r, struct pipes *p)
{
	r->in = p->in[1];
	r->out = p->out[0];
	r->err = p->err[0];
	p->in[1] = p->out[0] = p->err[0] = -1;
	fcntl(r->in, F_SETFL, O_NONBLOCK);
	fcntl(r->out, F_SETFL, O_NONBLOCK);
	fcntl(r->err, F_SETFL, O_NONBLOCK);
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
}

/* -- moving data -- */

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void feed(struct run *r)
{
	const struct scorpio_spawn *x = r->x;
	uint64_t left = x->input ? x->input_len - r->sent : 0;
	ssize_t n;

	if (left) {
		n = write(r->in, (const char *)x->input + r->sent,
			  (size_t)MIN(left, 1024 * KiB));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) /* it does not want more: EPIPE */
			shut(&r->in);
		else
			r->sent += (uint64_t)n;
	}
	if (!x->input || r->sent == x->input_len)
		shut(&r->in);
}

/* 0, or what on_output returned */
static int drain_out(struct run *r)
{
	ssize_t n = read(r->out, r->buffer, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		shut(&r->out);
		return 0;
	}
	call_progress();
	return r->x->on_output ? r->x->on_output(r->x->ctx, r->buffer,
						 (uint64_t)n) : 0;
}

/* Keep the end of stderr in x->error. */
static void drain_err(struct run *r)
{
	char *text = r->x->error;
	size_t cap = sizeof(r->x->error) - 1, len = strlen(text), n, drop;
	ssize_t got = read(r->err, r->buffer, CHUNK), i;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		shut(&r->err);
		return;
	}
	call_progress(); /* git tells here how far it is */
	for (i = 0; i < got; i++)
		if (!r->buffer[i])
			r->buffer[i] = ' ';
	n = MIN((size_t)got, cap);
	drop = len + n > cap ? len + n - cap : 0;
	memmove(text, text + drop, len - drop);
	memcpy(text + len - drop, r->buffer + got - n, n);
	text[len - drop + n] = '\0';
}

static void reap(struct run *r, int flags)
{
	pid_t p;

	if (r->reaped)
		return;
	do {
		p = waitpid(r->pid, &r->status, flags);
	} while (p < 0 && errno == EINTR);
	if (!p)
		return;
	if (p < 0) /* somebody ignores SIGCHLD: the status is lost */
		r->status = 255 << 8;
	r->reaped = true;
	r->reaped_at = now_ns();
}

static int wait_ms(const struct run *r)
{
	int64_t left = r->deadline == DEADLINE_NONE ?
			       TICK_MS * NS_PER_MS :
			       r->deadline - now_ns();
	int ms = (int)(MIN(left, TICK_MS * NS_PER_MS) / NS_PER_MS);

	return MAX(ms, 1);
}

static int step(struct run *r)
{
	struct pollfd p[] = {
		{ r->in, POLLOUT, 0 },
		{ r->out, POLLIN, 0 },
		{ r->err, POLLIN, 0 },
		{ r->reaped ? -1 : r->pidfd, POLLIN, 0 },
	};
	int e = 0;

	poll(p, ARRAY_SIZE(p), wait_ms(r));
	if (p[0].revents)
		feed(r);
	if (p[2].revents)
		drain_err(r);
	if (p[1].revents)
		e = drain_out(r);
	reap(r, WNOHANG);
	return e;
}

static int check(const struct run *r)
{
	int e = call_check();

	if (e)
		return e;
	if (now_ns() > r->deadline)
		return fail(-ETIMEDOUT, "%s did not end in time and was killed",
			    r->x->argv[0]);
	return 0;
}

static bool finished(struct run *r)
{
	if (!r->reaped)
		return false;
	if (r->out < 0 && r->err < 0)
		return true;
	return now_ns() - r->reaped_at > AFTER_EXIT_NS;
}

static int move(struct run *r)
{
	int e = 0;

	while (!e && !finished(r)) {
		e = check(r);
		if (!e)
			e = step(r);
	}
	return e;
}

/* -- end -- */

static void wait_until(struct run *r, int64_t until)
{
	while (!r->reaped && now_ns() < until) {
		struct pollfd p = { r->pidfd, POLLIN, 0 };

		poll(&p, 1, r->pidfd < 0 ? 10 : 100);
		reap(r, WNOHANG);
	}
}

static void terminate(struct run *r)
{
	if (r->reaped)
		return;
	kill(-r->pid, SIGTERM);
	wait_until(r, now_ns() + TERM_NS);
	/* not reaped: the pid, hence the group, is still this child's */
	if (!r->reaped)
		kill(-r->pid, SIGKILL);
	reap(r, 0);
}

/* SIGPIPE of writing to a child that closed its stdin must not reach the
 * process, whose handlers are not ours: block it here and take it away. */
static void pipe_signal_block(sigset_t *old, bool *was_pending)
{
	sigset_t pending, s;

	sigemptyset(&s);
	sigaddset(&s, SIGPIPE);
	sigpending(&pending);
	*was_pending = sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &s, old);
}

static void pipe_signal_restore(const sigset_t *old, bool was_pending)
{
	static const struct timespec zero;
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGPIPE);
	if (!was_pending)
		while (sigtimedwait(&s, NULL, &zero) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

static int run(struct run *r)
{
	bool was_pending;
	sigset_t old;
	int e;

	r->buffer = xmalloc(CHUNK);
	pipe_signal_block(&old, &was_pending);
	e = move(r);
	shut(&r->in);
	shut(&r->out);
	shut(&r->err);
	if (e) {
		cleanup_free char *why = xstrdup(error_text(e));

		terminate(r);
		fail(e, "%s", why);
	}
	pipe_signal_restore(&old, was_pending);
	shut(&r->pidfd);
	free(r->buffer);
	r->x->exit_status = WIFSIGNALED(r->status) ?
				    128 + WTERMSIG(r->status) :
				    WEXITSTATUS(r->status);
	return e;
}

static int run_program(struct scorpio_spawn *x, bool confined)
{
	struct pipes p = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct run r = { .x = x, .in = -1, .out = -1, .err = -1, .pidfd = -1,
			 .confined = confined };
	uint32_t ms = x->timeout_ms;
	int e;

	if (!x->argv || !x->argv[0])
		return fail(-EINVAL, "spawn: no program given");
	e = call_check();
	if (e)
		return e;
	if (!ms)
		ms = __atomic_load_n(&default_timeout_ms, __ATOMIC_RELAXED);
	x->exit_status = -1;
	x->error[0] = '\0';
	r.deadline = MIN(deadline_in_ms(ms), call_deadline());
	e = make_pipes(&p);
	if (!e)
		e = start(&r, &p);
	if (!e)
		take_ends(&r, &p);
	close_pipes(&p);
	if (e)
		return e;
	log_debug("spawn", "%s started as %d", x->argv[0], (int)r.pid);
	return run(&r);
}

int spawn_run(struct scorpio_spawn *x)
{
	return run_program(x, false);
}

int spawn_run_confined(struct scorpio_spawn *x)
{
	return run_program(x, true);
}
