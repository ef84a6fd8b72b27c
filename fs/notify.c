/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/notify.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/lock.h"
#include "core/log.h"
#include "fs/mount.h"
#include "fs/session.h"

struct job {
	struct job *next;
	struct notices notices;
	bool done; /* lock: notifier */
	unsigned refs; /* lock: notifier */
};

struct notifier {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	struct job *first, **last; /* lock */
	bool stop;                 /* lock */
};

/* -- lists ---------------------------------------------------------------------- */

static void add(struct notices *n, uint64_t ino, char *name /* takes */,
		bool pages)
{
	if (n->n == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 64;
		n->list = xrealloc(n->list, n->cap * sizeof(*n->list));
	}
	n->list[n->n++] = (struct notice){ ino, name, pages };
}

void notices_inode(struct notices *n, uint64_t ino)
{
	add(n, ino, NULL, true);
}

void notices_attributes(struct notices *n, uint64_t ino)
{
	add(n, ino, NULL, false);
}

void notices_name(struct notices *n, uint64_t dir, const char *name)
{
	add(n, dir, xstrdup(name), false);
}

void notices_done(struct notices *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->list[i].name);
	free(n->list);
	*n = (struct notices){ 0 };
}

/* -- the thread -------------------------------------------------------------------- */

static void send_all(struct mount *m, const struct notices *n)
{
	int rc, worst = 0;

	for (size_t i = 0; i < n->n; i++) {
		const struct notice *x = &n->list[i];

		if (__atomic_load_n(&m->dead, __ATOMIC_ACQUIRE))
			return;
		rc = x->name ? fuse_lowlevel_notify_inval_entry(
				       m->session, x->ino, x->name,
				       strlen(x->name))
			     : fuse_lowlevel_notify_inval_inode(
				       m->session, x->ino,
				       x->pages ? 0 : -1, 0);
		if (rc && rc != -ENOENT && rc != -ENOTDIR && rc != -ENODEV)
			worst = rc;
	}
	if (worst)
		log_warn("fs", "%s: the kernel did not take a notification: "
			 "%s", m->dir, strerror(-worst));
}

/* lock held */
static void put(struct job *j)
{
	if (--j->refs)
		return;
	notices_done(&j->notices);
	free(j);
}

static void *notify_main(void *arg)
{
	struct mount *m = arg;
	struct notifier *t = m->notifier;
	struct job *j;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (!t->first && !t->stop)
			pthread_cond_wait(&t->changed, &t->lock);
		j = t->first;
		if (!j)
			break;
		t->first = j->next;
		if (!t->first)
			t->last = &t->first;
		pthread_mutex_unlock(&t->lock);
		send_all(m, &j->notices);
		pthread_mutex_lock(&t->lock);
		j->done = true;
		put(j);
		pthread_cond_broadcast(&t->changed);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* The mount's notifier; made at the first use. */
static int notifier_of(struct mount *m, struct notifier **ret)
{
	static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
	struct notifier *t;
	int rc;

	lock_scope(&making);
	if (m->notifier) {
		*ret = m->notifier;
		return 0;
	}
	t = xcalloc(1, sizeof(*t));
	t->last = &t->first;
	pthread_mutex_init(&t->lock, NULL);
	cond_init(&t->changed);
	m->notifier = t;
	rc = pthread_create(&t->thread, NULL, notify_main, m);
	if (rc) {
		m->notifier = NULL;
		pthread_cond_destroy(&t->changed);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return fail(-rc, "cannot start a thread: %s", strerror(rc));
	}
	pthread_setname_np(t->thread, "fs-notify");
	*ret = t;
	return 0;
}

int notify_send(struct mount *m, struct notices *n, int64_t deadline)
{
	struct notifier *t = NULL;
	struct job *j;
	int rc;

	lock_assert_none_held("a kernel notification");
	assert(!session_serves()); /* it could wait for its own answer */
	if (!n->n)
		return 0;
	rc = notifier_of(m, &t);
	if (rc)
		return rc;
	j = xcalloc(1, sizeof(*j));
	j->notices = *n;
	j->refs = 2;
	*n = (struct notices){ 0 };
	pthread_mutex_lock(&t->lock);
	*t->last = j;
	t->last = &j->next;
	pthread_cond_broadcast(&t->changed);
	while (!j->done && now_ns() < deadline)
		cond_wait_until(&t->changed, &t->lock, deadline);
	rc = j->done ? 0 : fail(-ETIMEDOUT, "the kernel has not taken all "
				"notifications yet");
	put(j);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void notify_stop(struct mount *m)
{
	struct notifier *t = m->notifier;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	m->notifier = NULL;
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
