/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.c - the life of a mount.
 *
 * Up: open (or share) the source, resolve the revision, walk to the subdir,
 * bring its tree, mount, hand the session to the workers, wait for the
 * kernel's INIT. Nothing here is proportional to the size of the repository.
 * Down: the kernel lets go first (or says busy), then the workers, then what
 * is parked is cancelled, then the memory goes.
 */
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "fs/ahead.h"
#include "fs/crawl.h"
#include "fs/guard.h"
#include "fs/keep.h"
#include "fs/known.h"
#include "fs/mountpoint.h"
#include "fs/notify.h"
#include "fs/redirect.h"
#include "fs/request.h"
#include "fs/times.h"
#include "fs/upper.h"
#include "fs/view.h"
#include "fs/way.h"
#include "fs/workspace.h"

#include <poll.h>

#define REQUEST_TIMEOUT_MS 60000
#define RESUME_ASK_MS 3000
#define INIT_TIMEOUT_MS 10000
#define WORK_THREADS 8 /* copies, flushes, digests */

static void *reaper_main(void *arg);

int fs_new(const struct fs_options *o, struct fs **ret)
{
	struct fs *f = xcalloc(1, sizeof(*f));
	int rc;

	f->options = *o;
	f->options.state_dir = o->state_dir ? xstrdup(o->state_dir) : NULL;
	f->options.digest_xattr =
		o->digest_xattr ? xstrdup(o->digest_xattr) : NULL;
	f->keeper = o->keeper;
	f->fds = fd_cache_new(0);
	f->work = pool_new("fs-work", WORK_THREADS);
	f->guard = guard_new(o->crawl_programs, o->crawl_budget,
			     o->crawl_slow);
	f->request_timeout_ns =
		(o->request_timeout_ms ? o->request_timeout_ms
				       : REQUEST_TIMEOUT_MS) * NS_PER_MS;
	pthread_mutex_init(&f->lock, NULL);
	cond_init(&f->changed);
	watch_init(&f->watch);
	if (f->options.state_dir)
		fs_sweep(f->options.state_dir);
	rc = workers_start(f);
	if (!rc) {
		rc = -pthread_create(&f->reaper, NULL, reaper_main, f);
		f->reaping = !rc;
	}
	if (rc) {
		fs_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

/* -- up ------------------------------------------------------------------------ */

static void mount_free(struct mount *m)
{
	if (!m)
		return;
	session_end(m);
	crawl_free(m->crawl);
	crawl_free(m->size_crawl);
	if (m->changes && m->view != &m->own_view)
		m->times = NULL; /* theirs */
	watch_recording_free(m);
	workspace_end(m);
	known_free(m->known);
	node_table_free(m->nodes);
	ahead_state_put(m->ahead);
	if (m->source)
		sources_release(m->fs, m->source);
	times_free(m->times);
	pthread_rwlock_destroy(&m->own_view);
	pthread_mutex_destroy(&m->switching);
	alarm_remove(&m->signals);
	pthread_mutex_destroy(&m->parked_lock);
	free(m->rev_spec);
	free(m->url);
	free(m->subdir);
	free(m->dir);
	free(m->job);
	free(m);
}

/* "a//b/" -> "a/b"; refuses "..". */
static int clean_subdir(const char *in, char **ret)
{
	char *out = xstrdup(in ? in : ""), *p = out;
	const char *s = out;

	while (*s) {
		size_t len = strcspn(s, "/");

		if (len == 2 && !strncmp(s, "..", 2)) {
			free(out);
			return fail(-EINVAL, "subdir %s leaves the root", in);
		}
		if (len && !(len == 1 && *s == '.')) {
			if (p != out)
				*p++ = '/';
			memmove(p, s, len);
			p += len;
		}
		s += len + (s[len] == '/');
	}
	*p = '\0';
	*ret = out;
	return 0;
}

static struct mount *mount_new(struct fs *f, const struct fs_mount_request *r)
{
	struct mount *m = xcalloc(1, sizeof(*m));

	m->fs = f;
	m->fd = -1;
	id_uuid(m->id);
	pthread_mutex_init(&m->parked_lock, NULL);
	pthread_mutex_init(&m->switching, NULL);
	pthread_rwlock_init(&m->own_view, NULL);
	m->view = &m->own_view;
	m->times = times_new();
	alarm_add(&m->signals, request_signals);
	m->store = f->options.store;
	m->rev_spec = xstrdup(r->rev ? r->rev : "");
	m->url = xstrdup(r->source);
	m->dir = xstrdup(r->dir);
	m->job = r->job ? xstrdup(r->job) : NULL;
	m->read_only = r->read_only;
	m->allow_other = r->allow_other < 0 ? !geteuid() : r->allow_other;
	m->uid = r->uid < 0 ? geteuid() : (uint32_t)r->uid;
	m->gid = r->gid < 0 ? getegid() : (uint32_t)r->gid;
	m->metadata_wish = r->metadata;
	m->created_ns = wall_ns();
	m->ahead = ahead_state_new(r->dir);
	m->crawl = crawl_new(m, WANT_BLOB);
	m->size_crawl = crawl_new(m, WANT_SIZE);
	return m;
}

/* A workspace goes on with the revision it was made from, whatever the name of
 * the revision means now. */
static int resume_root(struct mount *m, char *subdir /* takes */,
		       int64_t deadline)
{
	const struct workspace *w = m->workspace;
	struct scorpio_revision known;

	m->subdir = subdir;
	if (strcmp(subdir, w->subdir))
		return fail(-EINVAL, "workspace %s shows subdir \"%s\", not "
			    "\"%s\"", w->name, w->subdir, subdir);
	free(m->rev_spec);
	m->rev_spec = xstrdup(w->rev_spec);
	m->rev = w->rev;
	m->root = w->root;
	m->time_ns = w->time_ns;
	/* A backend that looks for directories by path has to know in which
	 * state; without an answer it still finds what has not changed since. */
	if (m->needs_path && !source_offline(m->source))
		source_resolve(m->source, m->rev.text,
			       MIN(deadline, deadline_in_ms(RESUME_ASK_MS)),
			       &known);
	return way_root(m, deadline);
}

/* Revision, subdir and root tree. */
static int find_root(struct mount *m, const struct fs_mount_request *r)
{
	struct view_found at;
	cleanup_free char *subdir = NULL;
	int rc = clean_subdir(r->subdir, &subdir);

	if (rc)
		return rc;
	if (m->workspace && m->workspace->resumed)
		return resume_root(m, steal(&subdir), r->deadline);
	rc = source_resolve(m->source, m->rev_spec, r->deadline, &m->rev);
	if (rc)
		return rc;
	m->time_ns = m->rev.time_ns == SCORPIO_TIME_UNKNOWN ? m->created_ns
							    : m->rev.time_ns;
	m->root = m->rev.root;
	if (m->rev.kind != SCORPIO_DIR)
		return fail(-ENOTDIR, "%s is a file, not a directory",
			    m->rev_spec);
	rc = view_walk(m, subdir, r->deadline, &at);
	if (rc)
		return rc;
	if (at.kind != SCORPIO_DIR)
		return fail(-ENOTDIR, "subdir %s is not a directory", subdir);
	m->open_root = m->open_root && !*subdir;
	if (m->open_root)
		m->known = known_new();
	m->subdir = steal(&subdir);
	m->root = at.id;
	return way_root(m, r->deadline);
}

static int wait_for_init(struct mount *m)
{
	int64_t end = deadline_in_ms(INIT_TIMEOUT_MS);

	while (!__atomic_load_n(&m->initialised, __ATOMIC_ACQUIRE)) {
		if (now_ns() > end || __atomic_load_n(&m->dead,
						      __ATOMIC_ACQUIRE))
			return fail(-EIO, "the kernel did not start the mount "
				    "at %s", m->dir);
		poll(NULL, 0, 1);
	}
	return 0;
}

static bool claim(struct fs *f, struct mount *m)
{
	lock_scope(&f->lock);
	for (struct mount *o = f->mounts; o; o = o->next)
		if (!strcmp(o->dir, m->dir))
			return false;
	m->state = MOUNT_STARTING;
	m->next = f->mounts;
	f->mounts = m;
	return true;
}

static void unclaim(struct fs *f, struct mount *m)
{
	struct mount **p = &f->mounts;

	lock_scope(&f->lock);
	while (*p && *p != m)
		p = &(*p)->next;
	if (*p)
		*p = m->next;
	/* nobody finds it any more; wait for those who have */
	while (m->users)
		pthread_cond_wait(&f->changed, &f->lock);
}

/* The kernel has let go, or never had it. */
static void take_down(struct mount *m)
{
	if (m->session)
		workers_remove(m->fs, m);
	request_cancel_all(m);
	known_stop(m);
	notify_stop(m);
	mount_unkeep(m);
	/* who still works for it will answer, and must not find another file */
	if (!__atomic_load_n(&m->waiting, __ATOMIC_ACQUIRE))
		session_end(m);
	if (m->made_dir && rmdir(m->dir))
		log_debug("fs", "%s: %s", m->dir, strerror(errno));
}

static int bring_up(struct mount *m, const struct fs_mount_request *r)
{
	int rc = find_root(m, r);

	if (rc)
		return rc;
	rc = mountpoint_prepare(m->dir, &m->made_dir);
	if (rc)
		return rc;
	m->nodes = node_table_new(&m->root, m->fs->keeper);
	if (m->workspace)
		rc = workspace_begin(m->workspace, m);
	if (!rc && m->workspace && m->workspace->resumed)
		m->workspace->idle = workspace_holds_nothing(m);
	if (!rc && m->changes && m->changes->base)
		rc = way_root(m, r->deadline);
	if (rc)
		return rc;
	rc = session_start(m);
	if (!rc) {
		rc = workers_add(m->fs, m);
		if (!rc)
			rc = wait_for_init(m);
		if (!rc)
			rc = redirect_bind(m);
		if (rc)
			mountpoint_detach(m->dir, true);
	}
	if (rc) {
		take_down(m);
		return rc;
	}
	mount_keep(m);
	mountpoint_read_ahead(m->dir, m->fs->options.read_ahead);
	if (m->metadata_wish == FS_METADATA_FULL)
		ahead_metadata(m);
	return 0;
}

static int open_workspace(struct mount *m, const struct fs_mount_request *r)
{
	const struct fs_options *o = &m->fs->options;
	struct fs_mount_request asked = *r;
	struct source_config config;
	struct workspace *w;
	int rc;

	if (!r->redirect_text && o->config) {
		config = o->config(o->ctx, r->source);
		asked.redirect_text = config.get(&config, "redirect");
	}
	rc = workspace_open(m->fs, &asked, m->id, source_url(m->source), &w);
	if (rc)
		return rc;
	lock_scope(&m->fs->lock); /* lists look */
	m->workspace = w;
	return 0;
}

int fs_mount(struct fs *f, const struct fs_mount_request *r,
	     struct fs_mount_info *ret)
{
	return mount_up(f, r, NULL, ret);
}

int mount_up(struct fs *f, const struct fs_mount_request *r,
	     struct kept_mount *k, struct fs_mount_info *ret)
{
	int64_t start = now_ns();
	struct mount *m;
	int rc;

	m = mount_new(f, r);
	if (k)
		memcpy(m->id, k->id, sizeof(m->id));
	rc = sources_take(f, r->source, &m->source);
	if (!rc && !claim(f, m))
		rc = fail(-EBUSY, "%s is a mount of this daemon already",
			  m->dir);
	else if (!rc) {
		m->space = source_space(m->source);
		m->needs_path = source_needs_path(m->source);
		rc = known_prepare(m, r);
		if (!rc && !m->read_only)
			rc = open_workspace(m, r);
		if (!rc)
			rc = k ? mount_revive(m, k) : bring_up(m, r);
		if (rc)
			unclaim(f, m);
	}
	if (rc) {
		mount_free(m);
		return rc;
	}
	m->mount_ns = now_ns() - start;
	pthread_mutex_lock(&f->lock);
	m->state = MOUNT_LIVE;
	pthread_cond_broadcast(&f->changed); /* it may be dead already */
	if (ret)
		info_fill(m, ret);
	pthread_mutex_unlock(&f->lock);
	log_info("fs", "%s: %s %s at %.12s in %lld ms", m->dir,
		 k ? "goes on with" : "mounted", source_url(m->source),
		 m->rev.text,
		 (long long)(m->mount_ns / NS_PER_MS));
	return 0;
}

/* -- finding -------------------------------------------------------------------- */

static struct mount *find_locked(struct fs *f, const char *id_or_dir)
{
	struct mount *m = f->mounts;

	while (m && strcmp(m->id, id_or_dir) && strcmp(m->dir, id_or_dir))
		m = m->next;
	return m;
}

struct mount *mount_acquire(struct fs *f, const char *id_or_dir)
{
	lock_scope(&f->lock);
	struct mount *m = find_locked(f, id_or_dir);

	if (!m || m->state != MOUNT_LIVE)
		return NULL;
	m->users++;
	return m;
}

struct mount *mount_of_path(struct fs *f, const char *path,
			    const char **ret_rel)
{
	struct mount *best = NULL;
	size_t best_len = 0;

	lock_scope(&f->lock);
	for (struct mount *m = f->mounts; m; m = m->next) {
		size_t len = strlen(m->dir);

		if (m->state == MOUNT_LIVE && len >= best_len &&
		    !strncmp(path, m->dir, len) &&
		    (path[len] == '/' || !path[len])) {
			best = m;
			best_len = len;
		}
	}
	if (!best)
		return NULL;
	best->users++;
	*ret_rel = path + best_len + strspn(path + best_len, "/");
	return best;
}

void mount_release(struct mount *m)
{
	struct fs *f = m->fs;

	lock_scope(&f->lock);
	m->users--;
	pthread_cond_broadcast(&f->changed);
}

void mount_forget(struct mount *m, uint64_t ino, uint64_t n)
{
	bool bury;

	view_lock(m);
	bury = node_forget(m->nodes, ino, n);
	view_unlock(m);
	if (bury)
		changes_bury(m->changes);
}

/* -- down ------------------------------------------------------------------------ */

/* The mount belongs to the caller alone; the kernel has let go. */
static void bury(struct fs *f, struct mount *m)
{
	request_cancel_all(m);
	unclaim(f, m);
	take_down(m);
	if (__atomic_load_n(&m->waiting, __ATOMIC_ACQUIRE)) {
		log_error("fs", "%s: something still works for this mount "
			  "after it ended; its memory is not freed", m->dir);
		return;
	}
	mount_free(m);
}

/* Clears away mounts that ended from outside (umount, fusermount3 -u). */
static void *reaper_main(void *arg)
{
	struct fs *f = arg;
	struct mount *m;

	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		for (m = f->mounts; m; m = m->next)
			if (m->state == MOUNT_LIVE &&
			    __atomic_load_n(&m->dead, __ATOMIC_ACQUIRE))
				break;
		if (!m) {
			pthread_cond_wait(&f->changed, &f->lock);
			continue;
		}
		m->state = MOUNT_ENDING;
		pthread_mutex_unlock(&f->lock);
		log_info("fs", "%s: unmounted from outside", m->dir);
		bury(f, m);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

void mount_ended(struct mount *m)
{
	struct fs *f = m->fs;

	lock_scope(&f->lock);
	pthread_cond_broadcast(&f->changed);
}

static struct mount *begin_end(struct fs *f, const char *id_or_dir)
{
	lock_scope(&f->lock);
	struct mount *m = find_locked(f, id_or_dir);

	if (!m || m->state != MOUNT_LIVE)
		return NULL;
	m->state = MOUNT_ENDING;
	return m;
}

int fs_unmount(struct fs *f, const char *id_or_dir, bool lazy)
{
	struct mount *m = begin_end(f, id_or_dir);
	int rc = 0;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	/* its session may have ended from outside: then only we are left */
	if (!__atomic_load_n(&m->dead, __ATOMIC_ACQUIRE)) {
		if (lazy)
			request_cancel_all(m); /* what is below goes along */
		else
			rc = redirect_unbind(m);
		if (!rc)
			rc = mountpoint_detach(m->dir, lazy);
	}
	if (rc) {
		cleanup_free char *why = xstrdup(error_text(rc));

		if (redirect_bind(m))
			log_warn("fs", "%s: %s", m->dir, error_text(-EIO));
		fail(rc, "%s", why);
		pthread_mutex_lock(&f->lock);
		m->state = MOUNT_LIVE;
		pthread_mutex_unlock(&f->lock);
		return rc;
	}
	bury(f, m);
	return 0;
}

void fs_free(struct fs *f)
{
	struct mount *m;
	char id[FS_ID_LEN + 1];

	if (!f)
		return;
	for (;;) {
		pthread_mutex_lock(&f->lock);
		for (m = f->mounts; m && m->state != MOUNT_LIVE;)
			m = m->next;
		if (m)
			memcpy(id, m->id, sizeof(id));
		pthread_mutex_unlock(&f->lock);
		if (!m)
			break;
		if (fs_unmount(f, id, false) && fs_unmount(f, id, true))
			break;
	}
	if (f->reaping) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_broadcast(&f->changed);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->reaper, NULL);
	}
	workers_stop(f);
	pool_free(f->work);
	fd_cache_free(f->fds);
	guard_free(f->guard);
	free((char *)(uintptr_t)f->options.state_dir);
	free((char *)(uintptr_t)f->options.digest_xattr);
	watch_done(&f->watch);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
