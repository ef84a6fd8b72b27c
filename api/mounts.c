/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.c - wanted mounts and their attempts.
 *
 * A wanted mount is "busy" while a thread mounts or unmounts it; only that
 * thread touches its changing members besides list walkers under the lock. One
 * that is removed meanwhile is marked gone and freed by that thread.
 */
#include "api/mounts_private.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define MOUNTS_THREADS 8
#define RETRY_FIRST_MS 5000
#define RETRY_LAST_MS 300000
#define LAST_MS 20000 /* for a server that may be away, of several ways */

void wanted_free(struct wanted *w)
{
	if (!w)
		return;
	free(w->source);
	free(w->rev);
	free(w->subdir);
	free(w->dir);
	free(w->job);
	free(w->state_dir);
	free(w->workspace);
	free(w->rev_text);
	free(w->label);
	free(w->last);
	free(w->why);
	free(w);
}

void wanted_link(struct mounts *m, struct wanted *w)
{
	struct wanted **at = &m->first;

	while (*at)
		at = &(*at)->next;
	w->mounts = m;
	w->next = NULL;
	*at = w;
}

static void wanted_unlink(struct wanted *w)
{
	struct wanted **at = &w->mounts->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

struct wanted *wanted_at(struct mounts *m, const char *dir)
{
	for (struct wanted *w = m->first; w; w = w->next) {
		if (!w->gone && (!strcmp(w->dir, dir) ||
				 (*w->id && !strcmp(w->id, dir))))
			return w;
	}
	return NULL;
}

static void tell_mounted(struct mounts *m, const struct fs_mount_info *i,
			 const char *source)
{
	if (m->options.mounted)
		m->options.mounted(m->options.ctx, i, source);
}

static void tell_unmounted(struct mounts *m, const char *id)
{
	if (m->options.unmounted && *id)
		m->options.unmounted(m->options.ctx, id);
}

/* Take the entry out of the list; a busy one is freed by its thread. */
static bool forget(struct mounts *m, const char *id_or_dir)
{
	char id[FS_ID_LEN + 1] = "";
	struct wanted *w, *mine = NULL;

	lock_take(&m->lock);
	w = wanted_at(m, id_or_dir);
	if (w)
		memcpy(id, w->id, sizeof(id));
	if (w && w->busy) {
		w->gone = true;
	} else if (w) {
		wanted_unlink(w);
		mine = w;
	}
	lock_drop(&m->lock);
	wanted_free(mine);
	tell_unmounted(m, id);
	return w;
}

static char *dup_or_null(const char *s)
{
	return s && *s ? xstrdup(s) : NULL;
}

/* -- attempts ------------------------------------------------------------------- */

static void succeeded(struct wanted *w, const struct fs_mount_info *info)
{
	free(w->rev_text);
	w->rev_text = dup_or_null(info->rev);
	if (!w->label)
		w->label = dup_or_null(info->label);
	if (!w->workspace) /* by which it is found again */
		w->workspace = dup_or_null(info->workspace);
	memcpy(w->id, info->id, sizeof(w->id));
	w->there = true;
	free(w->why);
	w->why = NULL;
	log_info("mounts", "%s at %s (%.12s)", info->source, w->dir,
		 info->rev);
}

static void failed(struct wanted *w, int err)
{
	unsigned shift = MIN(w->attempts, 6u);
	int64_t wait = MIN((int64_t)RETRY_FIRST_MS << shift, RETRY_LAST_MS);

	free(w->why);
	w->why = xstrdup(error_text(err));
	w->attempts++;
	w->next_try = deadline_in_ms(wait);
	log_error("mounts", "cannot mount %s: %s (next attempt in %lld s)",
		  w->dir, w->why, (long long)wait / 1000);
}

/* The lock is held at the end only. */
static void attempt(struct wanted *w)
{
	struct mounts *m = w->mounts;
	int64_t deadline = deadline_in_ms(m->options.timeout_ms);
	struct fs_mount_request r = {
		.source = w->source, .subdir = w->subdir, .dir = w->dir,
		.rev = w->rev_text ? w->rev_text : w->rev, .job = w->job,
		.read_only = !w->writable, .workspace = w->workspace,
		.state_dir = w->state_dir,
		.transient = w->transient, .restored = true,
		.allow_other = w->allow_other,
		.uid = w->uid, .gid = w->gid, .metadata = w->metadata,
		.deadline = deadline,
	};
	struct fs_mount_info info;
	struct call call;
	bool behind = false;
	int err;

	call_enter(&call, deadline, &m->ending);
	if (w->last && !w->rev_text) /* there is a second choice */
		r.deadline = MIN(deadline, deadline_in_ms(LAST_MS));
	err = fs_mount(m->options.fs, &r, &info);
	if (w->last && !w->rev_text && (err == -EIO || err == -ETIMEDOUT)) {
		log_warn("mounts", "%s: %s; it shows what it did when the "
			 "daemon ended", w->dir, error_text(err));
		r.rev = w->last;
		r.deadline = deadline;
		err = fs_mount(m->options.fs, &r, &info);
		behind = true;
	}
	call_leave(&call);
	if (!err)
		tell_mounted(m, &info, w->source);
	lock_take(&m->lock);
	/* one that a killed daemon left behind would have ended without a change,
	 * and begun anew, at the latest */
	w->behind = !err && (behind || (w->from_config && info.idle));
	if (err)
		failed(w, err);
	else
		succeeded(w, &info);
	if (!err)
		fs_mount_info_done(&info);
}

void wanted_done(struct wanted *w)
{
	struct mounts *m = w->mounts;
	bool gone = w->gone;

	w->busy = false;
	if (gone)
		wanted_unlink(w);
	pthread_cond_broadcast(&m->changed);
	lock_drop(&m->lock);
	if (gone && w->there) {
		tell_unmounted(m, w->id);
		fs_unmount(m->options.fs, w->id, true);
	}
	if (gone)
		wanted_free(w);
}

static void run(struct pool_task *t)
{
	struct wanted *w = container_of(t, struct wanted, task);

	struct mounts *m = w->mounts;
	bool save;

	if (!__atomic_load_n(&m->ending, __ATOMIC_RELAXED))
		attempt(w);
	else
		lock_take(&m->lock);
	w->tried = true;
	save = w->from_config && w->there;
	wanted_done(w);
	if (save && mounts_state_save(m))
		log_warn("mounts", "the record of mounts is not up to date: "
			 "%s", error_text(-EIO));
}

static void start(struct wanted *w, void (*fn)(struct pool_task *t))
{
	w->busy = true;
	w->task.run = fn;
	pool_add(w->mounts->pool, &w->task);
}

/* The id of the skip-th mount that should be there. */
static bool next_there(struct mounts *m, size_t skip, char id[FS_ID_LEN + 1])
{
	ranked_scope(&m->lock);

	for (struct wanted *w = m->first; w; w = w->next) {
		if (!w->there || w->busy || skip-- > 0)
			continue;
		memcpy(id, w->id, FS_ID_LEN + 1);
		return true;
	}
	return false;
}

/* Who unmounts with umount(8) or fusermount3 does not want it back either. */
static void forget_unmounted(struct mounts *m)
{
	struct fs_mount_info info;
	char id[FS_ID_LEN + 1];
	bool any = false;
	size_t i = 0;

	while (next_there(m, i, id)) {
		if (!fs_find(m->options.fs, id, &info)) {
			fs_mount_info_done(&info);
			i++;
		} else if (forget(m, id)) {
			any = true;
		} else {
			i++;
		}
	}
	if (any)
		mounts_state_save(m);
}

static void *retry(void *arg)
{
	struct mounts *m = arg;

	pthread_setname_np(pthread_self(), "mount-retry");
	ranked_scope(&m->lock);
	while (!m->ending) {
		int64_t now = now_ns();

		for (struct wanted *w = m->first; w; w = w->next) {
			if (!w->there && !w->busy && !w->gone &&
			    w->next_try <= now)
				start(w, run);
			else if (mounts_follow_due(w, now))
				start(w, mounts_follow);
		}
		lock_wait(&m->changed, &m->lock, now + NS_PER_S);
		lock_drop(&m->lock);
		forget_unmounted(m);
		lock_take(&m->lock);
	}
	return NULL;
}

/* -- life ------------------------------------------------------------------------ */

struct mounts *mounts_new(const struct mounts_options *o)
{
	struct mounts *m = xcalloc(1, sizeof(*m));

	m->options = *o;
	m->state_path = dup_or_null(o->state_path);
	m->options.state_path = m->state_path;
	lock_init(&m->lock, LOCK_MOUNTS, "mounts");
	cond_init(&m->changed);
	statefile_init(&m->saving);
	m->pool = pool_new("mount", MOUNTS_THREADS);
	return m;
}

void mounts_free(struct mounts *m)
{
	struct wanted *w, *next;

	if (!m)
		return;
	lock_take(&m->lock);
	__atomic_store_n(&m->ending, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&m->changed);
	lock_drop(&m->lock);
	if (m->retrying)
		pthread_join(m->retrier, NULL);
	pool_free(m->pool);
	for (w = m->first; w; w = next) {
		next = w->next;
		wanted_free(w);
	}
	free(m->state_path);
	json_decref(m->last);
	statefile_done(&m->saving);
	pthread_cond_destroy(&m->changed);
	lock_done(&m->lock);
	free(m);
}

/* -- through the API ---------------------------------------------------------------- */

static int reserve(struct mounts *m, const struct fs_mount_request *r,
		   struct wanted **ret)
{
	struct wanted *w = xcalloc(1, sizeof(*w));

	w->source = xstrdup(r->source);
	w->dir = xstrdup(r->dir);
	w->rev = dup_or_null(r->rev);
	w->subdir = dup_or_null(r->subdir);
	w->job = dup_or_null(r->job);
	w->workspace = dup_or_null(r->workspace);
	w->state_dir = dup_or_null(r->state_dir);
	w->writable = !r->read_only;
	w->transient = r->transient || !r->workspace;
	w->metadata = r->metadata;
	w->allow_other = r->allow_other;
	w->uid = r->uid;
	w->gid = r->gid;
	w->busy = w->fresh = true;
	ranked_scope(&m->lock);
	if (wanted_at(m, r->dir)) {
		wanted_free(w);
		return fail(-EEXIST, "%s is already a mount of this daemon",
			    r->dir);
	}
	wanted_link(m, w);
	*ret = w;
	return 0;
}

/* It was unmounted before it was quite there. */
static int undo(struct mounts *m, struct fs_mount_info *info)
{
	tell_unmounted(m, info->id);
	fs_unmount(m->options.fs, info->id, true);
	fs_mount_info_done(info);
	return fail(-EINTR, "unmounted while it was being mounted");
}

int mounts_add(struct mounts *m, const struct fs_mount_request *r,
	       struct fs_mount_info *ret)
{
	struct wanted *w = NULL;
	int saved, err;
	bool gone;

	forget_unmounted(m);
	err = reserve(m, r, &w);
	if (err)
		return err;
	err = fs_mount(m->options.fs, r, ret);
	if (!err)
		tell_mounted(m, ret, r->source);
	lock_take(&m->lock);
	w->busy = w->fresh = false;
	w->tried = true;
	gone = err || w->gone;
	if (gone)
		wanted_unlink(w);
	else
		succeeded(w, ret);
	lock_drop(&m->lock);
	if (gone)
		wanted_free(w);
	if (gone && !err)
		err = undo(m, ret);
	if (err)
		return err;
	saved = mounts_state_save(m);
	if (saved)
		log_warn("mounts", "not recorded, will not come back after a "
			 "restart: %s", error_text(saved));
	return 0;
}

/* What works in the mount on our behalf ends first, and goes on if the mount
 * stays. */
static int unmount(struct mounts *m, const char *id_or_dir, bool lazy)
{
	cleanup_free char *source = NULL;
	struct fs_mount_info info;
	struct wanted *w;
	int err;

	if (fs_find(m->options.fs, id_or_dir, &info))
		return fs_unmount(m->options.fs, id_or_dir, lazy);
	tell_unmounted(m, info.id);
	err = fs_unmount(m->options.fs, info.id, lazy);
	if (err && err != -ENOENT) {
		lock_take(&m->lock);
		w = wanted_at(m, info.id);
		source = xstrdup(w ? w->source : info.source);
		lock_drop(&m->lock);
		tell_mounted(m, &info, source);
	}
	fs_mount_info_done(&info);
	return err;
}

int mounts_remove(struct mounts *m, const char *id_or_dir, bool lazy)
{
	int saved, err = unmount(m, id_or_dir, lazy);
	bool known;

	if (err && err != -ENOENT)
		return err;
	known = forget(m, id_or_dir);
	if (err && !known)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	saved = mounts_state_save(m);
	if (saved)
		log_warn("mounts", "the record of mounts is not up to date: "
			 "%s", error_text(saved));
	return 0;
}

/* -- at start --------------------------------------------------------------------- */

void mounts_load(struct mounts *m, const struct config *c, bool skip_recorded)
{
	if (skip_recorded)
		mounts_state_save(m); /* forgotten */
	else
		mounts_state_load(m);
	mounts_configured(m, c);
}

void mounts_restore(struct mounts *m)
{
	/* the first round of the thread tries them all at once */
	m->retrying = !pthread_create(&m->retrier, NULL, retry, m);
	if (!m->retrying)
		log_error("mounts", "cannot start a thread; recorded mounts "
			  "are not brought back");
}

/* -- asking ------------------------------------------------------------------------- */

static bool settled(const struct mounts *m)
{
	for (struct wanted *w = m->first; w; w = w->next) {
		if (!w->tried && !w->there && !w->gone && !w->fresh)
			return false;
	}
	return true;
}

bool mounts_settled(struct mounts *m)
{
	ranked_scope(&m->lock);

	return settled(m);
}

bool mounts_wait_settled(struct mounts *m, int64_t deadline)
{
	ranked_scope(&m->lock);

	while (!settled(m) && now_ns() < deadline)
		lock_wait(&m->changed, &m->lock, deadline);
	return settled(m);
}

size_t mounts_missing(struct mounts *m)
{
	size_t n = 0;
	ranked_scope(&m->lock);

	for (struct wanted *w = m->first; w; w = w->next)
		n += !w->there && !w->gone && !w->fresh;
	return n;
}

void mounts_each_missing(struct mounts *m,
			 void (*fn)(void *ctx, const struct mounts_missing *x),
			 void *ctx)
{
	ranked_scope(&m->lock);

	for (struct wanted *w = m->first; w; w = w->next) {
		char url[1024];
		struct mounts_missing x = {
			.source = log_redact(w->source, url, sizeof(url)),
			.dir = w->dir, .rev = w->rev, .subdir = w->subdir,
			.why = w->why, .next_try_ns = w->next_try,
		};

		if (!w->there && !w->gone)
			fn(ctx, &x);
	}
}

int mounts_switch(struct mounts *m, const char *id_or_dir,
		  const struct fs_switch_request *r,
		  struct fs_switch_result *ret,
		  void (*fn)(void *ctx, const char *path, const char *why),
		  void *ctx)
{
	int err = fs_switch(m->options.fs, id_or_dir, r, ret, fn, ctx);
	struct wanted *w;

	if (err || r->dry_run)
		return err;
	lock_take(&m->lock);
	w = wanted_at(m, id_or_dir);
	if (w) {
		free(w->rev);
		free(w->rev_text);
		free(w->label);
		w->rev = dup_or_null(r->rev);
		w->rev_text = dup_or_null(ret->new_rev);
		w->label = dup_or_null(ret->label);
	}
	lock_drop(&m->lock);
	err = mounts_state_save(m);
	if (err)
		log_warn("mounts", "the record of mounts is not up to date: "
			 "%s", error_text(err));
	return 0;
}

bool mounts_asked(struct mounts *m, const char *id, char **ret_rev,
		  char **ret_label)
{
	struct wanted *w;
	ranked_scope(&m->lock);

	w = wanted_at(m, id);
	*ret_rev = w ? dup_or_null(w->rev) : NULL;
	*ret_label = w ? dup_or_null(w->label) : NULL;
	return w;
}

char **mounts_dirs(struct mounts *m)
{
	char **dirs;
	size_t n = 0, i = 0;
	ranked_scope(&m->lock);

	for (struct wanted *w = m->first; w; w = w->next)
		n += w->there;
	dirs = xcalloc(n + 1, sizeof(*dirs));
	for (struct wanted *w = m->first; w; w = w->next) {
		if (w->there)
			dirs[i++] = xstrdup(w->dir);
	}
	return dirs;
}

char **mounts_dirs_in(struct mounts *m, const char *state_dir)
{
	char **dirs;
	size_t n = 0, i = 0;
	ranked_scope(&m->lock);

	for (struct wanted *w = m->first; w; w = w->next)
		n++;
	dirs = xcalloc(n + 1, sizeof(*dirs));
	for (struct wanted *w = m->first; w; w = w->next) {
		if (w->state_dir && !strcmp(w->state_dir, state_dir))
			dirs[i++] = xstrdup(w->dir);
	}
	return dirs;
}
