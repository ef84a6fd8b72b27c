/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heads.c - notices that git did something, by inotify on the repositories,
 * which are plain directories. git renames index.lock and HEAD.lock when it is
 * done; some time after the last of that the workspace is settled. Events that
 * are missed cost nothing but a later settling.
 */
#include "api/gitwork/gitwork_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#define QUIET_MS 250
#define SETTLE_MS 120000

struct head { /* of one repository */
	struct head *next;
	char *id, *gitdir;
	int wd;
	int64_t due; /* 0: nothing to do */
};

struct githeads {
	struct gitwork *g;
	pthread_t thread;
	int fd, stop_fd;
	struct lock lock;
	struct head *all; /* lock */
	bool stop;        /* atomic */
};

static void head_free(struct head *x)
{
	free(x->id);
	free(x->gitdir);
	free(x);
}

static bool is_sign(const struct inotify_event *e)
{
	return e->len && (!strcmp(e->name, "HEAD") ||
			  !strcmp(e->name, "index") ||
			  !strcmp(e->name, "ORIG_HEAD"));
}

static void note(struct githeads *h, const struct inotify_event *e)
{
	ranked_scope(&h->lock);

	for (struct head *x = h->all; x; x = x->next)
		if (x->wd == e->wd && is_sign(e))
			x->due = deadline_in_ms(QUIET_MS);
}

static void read_events(struct githeads *h)
{
	char buf[8192] __attribute__((aligned(__alignof__(
		struct inotify_event))));
	ssize_t n = read(h->fd, buf, sizeof(buf));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e =
			(const struct inotify_event *)(buf + at);

		note(h, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

/* The mount whose time has come: allocated, or NULL and when to look again. */
static char *next_due(struct githeads *h, int *ret_wait_ms)
{
	int64_t now = now_ns(), first = 0;
	ranked_scope(&h->lock);

	for (struct head *x = h->all; x; x = x->next) {
		if (!x->due)
			continue;
		if (x->due <= now) {
			cleanup_free char *lock = xasprintf("%s/index.lock",
							    x->gitdir);

			if (access(lock, F_OK)) {
				x->due = 0;
				return xstrdup(x->id);
			}
			x->due = deadline_in_ms(QUIET_MS); /* at work */
		}
		first = first ? MIN(first, x->due) : x->due;
	}
	*ret_wait_ms = first ? (int)((first - now) / NS_PER_MS) + 1 : -1;
	return NULL;
}

static void *run(void *arg)
{
	struct githeads *h = arg;

	while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE)) {
		struct pollfd fds[] = { { h->fd, POLLIN, 0 },
					{ h->stop_fd, POLLIN, 0 } };
		int wait_ms = -1, rc;
		cleanup_free char *id = next_due(h, &wait_ms);

		if (id) {
			rc = gitwork_settle(h->g, id,
					    deadline_in_ms(SETTLE_MS));
			if (rc)
				log_debug("git", "%s: %s", id, error_text(rc));
			continue;
		}
		if (poll(fds, 2, wait_ms) > 0 && fds[0].revents)
			read_events(h);
	}
	return NULL;
}

int githeads_new(struct gitwork *g, struct githeads **ret)
{
	struct githeads *h = xcalloc(1, sizeof(*h));
	int rc;

	h->g = g;
	lock_init(&h->lock, LOCK_LEAF, "githeads");
	h->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	h->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = h->fd < 0 || h->stop_fd < 0 ? -errno
					 : -pthread_create(&h->thread, NULL,
							   run, h);
	if (rc) {
		base_close(&h->fd);
		base_close(&h->stop_fd);
		lock_done(&h->lock);
		free(h);
		return fail(rc, "inotify: %s", strerror(-rc));
	}
	*ret = h;
	return 0;
}

void githeads_free(struct githeads *h)
{
	uint64_t one = 1;

	if (!h)
		return;
	__atomic_store_n(&h->stop, true, __ATOMIC_RELEASE);
	while (write(h->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(h->thread, NULL);
	for (struct head *x = h->all, *next; x; x = next) {
		next = x->next;
		head_free(x);
	}
	close(h->fd);
	close(h->stop_fd);
	lock_done(&h->lock);
	free(h);
}

void githeads_watch(struct githeads *h, const char *id, const char *gitdir)
{
	struct head *x;
	int wd;

	if (!h)
		return;
	wd = inotify_add_watch(h->fd, gitdir, IN_MOVED_TO | IN_ONLYDIR);
	if (wd < 0) {
		log_info("git", "%s is not watched: %s", gitdir,
			 strerror(errno));
		return;
	}
	x = xcalloc(1, sizeof(*x));
	x->id = xstrdup(id);
	x->gitdir = xstrdup(gitdir);
	x->wd = wd;
	lock_take(&h->lock);
	x->next = h->all;
	h->all = x;
	lock_drop(&h->lock);
}

void githeads_forget(struct githeads *h, const char *id)
{
	struct head **p, *x;

	if (!h)
		return;
	lock_take(&h->lock);
	for (p = &h->all; *p && strcmp((*p)->id, id) != 0;)
		p = &(*p)->next;
	x = *p;
	if (x)
		*p = x->next;
	lock_drop(&h->lock);
	if (!x)
		return;
	inotify_rm_watch(h->fd, x->wd);
	head_free(x);
}
