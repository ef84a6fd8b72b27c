/* SPDX-License-Identifier: Apache-2.0 */
/* keeper.c - the daemon's end. */
#include "fs/keeper_wire.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define BEAT_MS 1000
#define HELLO_S 20

struct keeper {
	int sock, pid, wake;
	bool only_asks, killed;
	uint64_t restarts;
	int64_t lost;
	struct kept *kept; /* only the starting thread */

	pthread_t thread;
	bool beating; /* atomic */
	bool (*alive)(void *ctx);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;    /* lock */
	int answer;   /* lock; type of the last, 0 none yet */
	char *reason; /* lock */
};

void kept_free(struct kept *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < KEEPER_FDS; i++)
		if (k->fd[i] >= 0)
			close(k->fd[i]);
	free(k->text);
	free(k);
}

static void add_kept(struct keeper *k, const struct keeper_message *m)
{
	struct kept *x = xcalloc(1, sizeof(*x)), **at = &k->kept;

	memcpy(x->name, m->head.name, sizeof(x->name));
	memcpy(x->fd, m->fd, sizeof(x->fd));
	x->text = xstrdup(m->text);
	while (*at)
		at = &(*at)->next;
	*at = x;
}

static int hello(struct keeper *k)
{
	struct keeper_message *m = xmalloc(sizeof(*m));
	long long lost = 0;
	int killed = 0, rc;

	while ((rc = keeper_receive(k->sock, m, true)) == 1 &&
	       m->head.type == KEEPER_KEPT)
		add_kept(k, m);
	if (rc != 1 || m->head.type != KEEPER_START ||
	    sscanf(m->text, "%d %lu %lld %d", &k->pid, &k->restarts, &lost,
		   &killed) < 3)
		rc = fail(-EPROTO, "the keeper that started this program does "
			  "not say what it holds: it may be of another "
			  "version");
	k->lost = lost;
	k->killed = killed;
	free(m);
	return rc == 1 ? 0 : rc;
}

int keeper_connect(struct keeper **ret)
{
	const char *fd = getenv(KEEPER_ENV_FD);
	struct timeval limit = { HELLO_S, 0 };
	struct keeper *k;
	int rc;

	*ret = NULL;
	if (!fd || atoi(fd) < 3)
		return 0;
	k = xcalloc(1, sizeof(*k));
	k->sock = atoi(fd);
	k->only_asks = getenv(KEEPER_ENV_CHECK) != NULL;
	unsetenv(KEEPER_ENV_FD);
	unsetenv(KEEPER_ENV_CHECK);
	fcntl(k->sock, F_SETFD, FD_CLOEXEC);
	setsockopt(k->sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(k->sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	pthread_mutex_init(&k->lock, NULL);
	cond_init(&k->changed);
	k->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = hello(k);
	if (rc) {
		keeper_free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

static void stop_beating(struct keeper *k)
{
	if (!__atomic_load_n(&k->beating, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_mutex_unlock(&k->lock);
	eventfd_write(k->wake, 1);
	pthread_join(k->thread, NULL);
	__atomic_store_n(&k->beating, false, __ATOMIC_RELEASE);
}

void keeper_free(struct keeper *k)
{
	struct kept *next;

	if (!k)
		return;
	stop_beating(k);
	for (struct kept *x = k->kept; x; x = next) {
		next = x->next;
		kept_free(x);
	}
	close(k->sock);
	if (k->wake >= 0)
		close(k->wake);
	free(k->reason);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

int keeper_pid(const struct keeper *k)
{
	return k ? k->pid : 0;
}

uint64_t keeper_restarts(const struct keeper *k)
{
	return k ? k->restarts : 0;
}

int64_t keeper_lost_ns(const struct keeper *k)
{
	return k ? k->lost : 0;
}

bool keeper_was_killed(const struct keeper *k)
{
	return k && k->killed;
}

bool keeper_only_asks(const struct keeper *k)
{
	return k && k->only_asks;
}

int keeper_put(struct keeper *k, const char *name, const int *fds, size_t n,
	       const char *text)
{
	int rc = k ? keeper_send(k->sock, KEEPER_PUT, name, fds, n, text) : 0;

	return rc ? fail(rc, "the keeper does not take %s: %s", name,
			 strerror(-rc))
		  : 0;
}

void keeper_drop(struct keeper *k, const char *name)
{
	if (k)
		keeper_send(k->sock, KEEPER_DROP, name, NULL, 0, NULL);
}

struct kept *keeper_take(struct keeper *k, const char *prefix)
{
	struct kept **at = k ? &k->kept : NULL, *x;

	while (at && *at && strncmp((*at)->name, prefix, strlen(prefix)))
		at = &(*at)->next;
	if (!at || !*at)
		return NULL;
	x = *at;
	*at = x->next;
	x->next = NULL;
	return x;
}

void keeper_drop_rest(struct keeper *k)
{
	struct kept *x;

	while ((x = keeper_take(k, ""))) {
		keeper_drop(k, x->name);
		kept_free(x);
	}
}

/* -- the heartbeat -------------------------------------------------------------- */

static void take_answer(struct keeper *k, struct keeper_message *m)
{
	lock_scope(&k->lock);

	k->answer = (int)m->head.type;
	free(k->reason);
	k->reason = xstrdup(m->text);
	pthread_cond_broadcast(&k->changed);
}

static bool stopped(struct keeper *k)
{
	lock_scope(&k->lock);

	return k->stop;
}

static void *beat(void *arg)
{
	struct keeper *k = arg;
	struct keeper_message *m = xmalloc(sizeof(*m));
	struct pollfd p[] = { { .fd = k->sock, .events = POLLIN },
			      { .fd = k->wake, .events = POLLIN } };
	int rc;

	while (!stopped(k)) {
		if (k->alive(k->ctx))
			keeper_send(k->sock, KEEPER_BEAT, NULL, NULL, 0, NULL);
		poll(p, ARRAY_SIZE(p), BEAT_MS);
		while ((rc = keeper_receive(k->sock, m, false)) == 1)
			take_answer(k, m);
		if (!rc) /* it died, and with it we do */
			p[0].fd = -1;
	}
	free(m);
	return NULL;
}

/* It was started before others (SPAWN_AGAIN); that is over. */
static void calm_down(const struct keeper *k)
{
	int nice = getpriority(PRIO_PROCESS, (id_t)k->pid);
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		id_t tid = (id_t)atoi(e->d_name);

		if (tid && getpriority(PRIO_PROCESS, tid) < nice)
			setpriority(PRIO_PROCESS, tid, nice);
	}
	if (d)
		closedir(d);
}

int keeper_serve(struct keeper *k, bool (*alive)(void *ctx), void *ctx)
{
	sigset_t all, before;
	int rc;

	if (!k)
		return 0;
	k->alive = alive;
	k->ctx = ctx;
	calm_down(k);
	keeper_send(k->sock, KEEPER_READY, NULL, NULL, 0, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&k->thread, NULL, beat, k);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	__atomic_store_n(&k->beating, !rc, __ATOMIC_RELEASE);
	return rc ? fail(rc, "cannot start a thread: %s", strerror(-rc)) : 0;
}

void keeper_stopping(struct keeper *k)
{
	if (!k)
		return;
	keeper_send(k->sock, KEEPER_STOPPING, NULL, NULL, 0, NULL);
	stop_beating(k);
}

void keeper_tell(struct keeper *k, const char *text)
{
	if (k)
		keeper_send(k->sock, KEEPER_TELL, NULL, NULL, 0, text);
}

int keeper_replace(struct keeper *k, const char *program, int64_t deadline)
{
	int rc;

	if (!k || !__atomic_load_n(&k->beating, __ATOMIC_ACQUIRE))
		return fail(-ENOTCONN, "this daemon runs without a keeper");
	lock_scope(&k->lock);
	k->answer = 0;
	rc = keeper_send(k->sock, KEEPER_REPLACE, NULL, NULL, 0,
			 program ? program : "");
	if (rc)
		return fail(rc, "the keeper: %s", strerror(-rc));
	while (!k->answer && now_ns() < deadline)
		cond_wait_until(&k->changed, &k->lock, deadline);
	if (!k->answer)
		return fail(-ETIMEDOUT, "the new process does not say whether "
			    "it could go on from here");
	return k->answer == KEEPER_ACCEPTED ? 0 : fail(-EPERM, "%s",
						       k->reason);
}
