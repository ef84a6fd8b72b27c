/* SPDX-License-Identifier: Apache-2.0 */
/* antares.c - what there is, and how it is found. */
#include "api/antares/impl.h"

#include <stdarg.h>

#include "core/clock.h"
#include "core/error.h"

#define WARM_THREADS 8

static const char *const state_names[] = {
	[ANTARES_PROVISIONING] = "Provisioning",
	[ANTARES_MOUNTED] = "Mounted",
	[ANTARES_READY] = "Ready",
	[ANTARES_QUIESCING] = "Quiescing",
	[ANTARES_UNMOUNTING] = "Unmounting",
	[ANTARES_UNMOUNTED] = "Unmounted",
	[ANTARES_FAILED] = "Failed",
};

const char *antares_state_name(enum antares_state s)
{
	return state_names[s];
}

int64_t antares_now_ms(void)
{
	return wall_ns() / NS_PER_MS;
}

/* -- errors ---------------------------------------------------------------------- */

int antares_refuse(struct antares_fault *f, int status, const char *code,
		   int err, const char *fmt, ...)
{
	va_list ap;

	*f = (struct antares_fault){ status, code };
	va_start(ap, fmt);
	vfail(err, fmt, ap);
	va_end(ap);
	return err;
}

int antares_failed(struct antares_fault *f, int err, bool with_cl)
{
	const char *text = error_text(err);

	/* the backend names it in what it says about it */
	if (with_cl && strstr(text, "change list"))
		*f = (struct antares_fault){ 500, "INTERNAL_ERROR" };
	else if (err == -ENOENT)
		*f = (struct antares_fault){ 404, "NOT_FOUND" };
	else if (err == -EINVAL || err == -ENOTEMPTY || err == -EEXIST ||
		 err == -ENOTDIR || err == -EBUSY)
		*f = (struct antares_fault){ 400, "INVALID_REQUEST" };
	else if (err == -ENOTSUP)
		*f = (struct antares_fault){ 501, "UNSUPPORTED" };
	else if (err == -ENOSPC)
		*f = (struct antares_fault){ 500, "INTERNAL_ERROR" };
	else
		*f = (struct antares_fault){ 500, "FUSE_ERROR" };
	return err;
}

/* -- words ----------------------------------------------------------------------- */

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int antares_path(const char *in, char **ret)
{
	size_t n = strlen(in);
	struct buf out = BUF_INIT;

	while (n && blank(*in)) {
		in++;
		n--;
	}
	while (n && blank(in[n - 1]))
		n--;
	if (!n) {
		*ret = NULL;
		return 0;
	}
	for (size_t i = 0; i < n;) {
		size_t len = 0;

		while (i + len < n && in[i + len] != '/')
			len++;
		if (len == 2 && !memcmp(in + i, "..", 2)) {
			buf_done(&out);
			return fail(-EINVAL, "path %.*s leaves the root",
				    (int)n, in);
		}
		if (len && !(len == 1 && in[i] == '.')) {
			buf_putc(&out, '/');
			buf_put(&out, in + i, len);
		}
		i += len + 1;
	}
	if (!out.len)
		buf_putc(&out, '/');
	*ret = buf_steal(&out);
	return 0;
}

bool antares_is_id(const char *s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	for (i = 0; s[i] && form[i]; i++)
		if (form[i] == '-' ? s[i] != '-'
				   : !strchr("0123456789abcdefABCDEF", s[i]))
			return false;
	return !s[i] && !form[i];
}

char *antares_spec(const char *rev, const char *cl, const char *cl_path)
{
	bool below = cl_path && strcmp(cl_path, "/");

	if (!cl)
		return xstrdup(rev ? rev : "");
	return xasprintf("%s@%s%s%s", rev ? rev : "main", cl, below ? ":" : "",
			 below ? cl_path : "");
}

/* -- mounts ---------------------------------------------------------------------- */

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

void antares_info_done(struct antares_info *i)
{
	free(i->job);
	free(i->cl);
	free(i->cl_path);
	free(i->path);
	free(i->dir);
	free(i->upper);
	free(i->cl_dir);
	free(i->base);
	free(i->rev);
	free(i->chain);
	free(i->reason);
	memset(i, 0, sizeof(*i));
}

void amount_copy(struct amount *m, struct antares_info *ret)
{
	m->seen_ms = antares_now_ms();
	*ret = (struct antares_info){
		.job = dup_or_null(m->job), .cl = dup_or_null(m->cl),
		.cl_path = dup_or_null(m->cl_path), .path = xstrdup(m->path),
		.dir = xstrdup(m->dir), .upper = xstrdup(m->upper),
		.cl_dir = dup_or_null(m->cl_dir), .base = dup_or_null(m->base),
		.rev = dup_or_null(m->rev), .pinned = m->pinned,
		.chain = dup_or_null(m->chain), .state = m->state,
		.reason = dup_or_null(m->reason),
		.created_ms = m->created_ms, .seen_ms = m->seen_ms,
	};
	memcpy(ret->id, m->id, sizeof(ret->id));
}

void amount_state(struct amount *m, enum antares_state s, const char *reason)
{
	m->state = s;
	free(m->reason);
	m->reason = dup_or_null(reason);
	pthread_cond_broadcast(&m->antares->changed);
}

bool amount_usable(const struct amount *m)
{
	return m->state == ANTARES_MOUNTED || m->state == ANTARES_READY;
}

void amount_set_rev(struct amount *m, const char *rev_text)
{
	free(m->rev);
	m->rev = xstrndup(rev_text, strcspn(rev_text, "@"));
}

struct amount *amount_by_id(struct antares *a, const char *id)
{
	struct amount *m = a->first;

	while (m && strcasecmp(m->id, id))
		m = m->next;
	return m;
}

int amount_to_use(struct antares *a, const char *id, struct amount **ret,
		  struct antares_fault *f)
{
	struct amount *m = amount_by_id(a, id);

	*ret = m;
	if (!m)
		return antares_refuse(f, 404, "NOT_FOUND", -ENOENT,
				      "no mount of this id: %s", id);
	if (!amount_usable(m))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "the mount is %s: try again later",
				      antares_state_name(m->state));
	return 0;
}

enum antares_state amount_resting(const struct amount *m)
{
	return m->warming ? ANTARES_MOUNTED : ANTARES_READY;
}

struct amount *amount_claim(struct amount *m, enum antares_state s)
{
	amount_state(m, s, NULL);
	m->refs++;
	return m;
}

void amount_settle(struct amount *m)
{
	lock_take(&m->antares->lock);
	amount_state(m, amount_resting(m), NULL);
	lock_drop(&m->antares->lock);
	amount_put(m);
}

void amount_unlink(struct amount *m)
{
	struct amount **at = &m->antares->first;

	while (*at && *at != m)
		at = &(*at)->next;
	if (*at)
		*at = m->next;
	pthread_cond_broadcast(&m->antares->changed);
}

void amount_put(struct amount *m)
{
	unsigned left;

	lock_take(&m->antares->lock);
	left = --m->refs;
	lock_drop(&m->antares->lock);
	if (left)
		return;
	free(m->job);
	free(m->path);
	free(m->dir);
	free(m->upper);
	free(m->cl);
	free(m->cl_path);
	free(m->cl_dir);
	free(m->base);
	free(m->rev);
	free(m->chain);
	free(m->reason);
	free(m);
}

void antares_mounted(struct antares *a, const struct fs_mount_info *i)
{
	struct amount *m;
	ranked_scope(&a->lock);

	for (m = a->first; m && strcmp(m->dir, i->dir);)
		m = m->next;
	if (!m)
		return;
	memcpy(m->fs_id, i->id, sizeof(m->fs_id));
	if (!m->recovering)
		return;
	m->recovering = false;
	amount_set_rev(m, i->rev);
	amount_state(m, ANTARES_READY, NULL);
}

void antares_unmounted(struct antares *a, const char *fs_id)
{
	ranked_scope(&a->lock);

	for (struct amount *m = a->first; m; m = m->next)
		if (!strcmp(m->fs_id, fs_id) && amount_usable(m))
			amount_state(m, ANTARES_FAILED,
				     "it was unmounted by somebody else");
}

static int found(struct amount *m, struct antares_info *ret,
		 struct antares_fault *f, const char *what, const char *name)
{
	if (!m)
		return antares_refuse(f, 404, "NOT_FOUND", -ENOENT,
				      "no mount of this %s: %s", what, name);
	amount_copy(m, ret);
	return 0;
}

int antares_find(struct antares *a, const char *id, struct antares_info *ret,
		 struct antares_fault *f)
{
	ranked_scope(&a->lock);

	return found(amount_by_id(a, id), ret, f, "id", id);
}

int antares_find_job(struct antares *a, const char *job,
		     struct antares_info *ret, struct antares_fault *f)
{
	struct amount *m;
	ranked_scope(&a->lock);

	for (m = a->first; m && (!m->job || strcmp(m->job, job));)
		m = m->next;
	return found(m, ret, f, "job", job);
}

size_t antares_count(struct antares *a)
{
	size_t n = 0;
	ranked_scope(&a->lock);

	for (struct amount *m = a->first; m; m = m->next)
		n++;
	return n;
}

void antares_each(struct antares *a,
		  void (*fn)(void *ctx, const struct antares_info *i),
		  void *ctx)
{
	struct antares_info *all;
	size_t n = antares_count(a), used = 0;

	all = xcalloc(n + 1, sizeof(*all));
	lock_take(&a->lock);
	for (struct amount *m = a->first; m && used < n; m = m->next)
		amount_copy(m, &all[used++]);
	lock_drop(&a->lock);
	for (size_t i = 0; i < used; i++) {
		fn(ctx, &all[i]);
		antares_info_done(&all[i]);
	}
	free(all);
}

/* -- life ------------------------------------------------------------------------ */

struct antares *antares_new(struct daemon *d)
{
	struct antares *a = xcalloc(1, sizeof(*a));
	struct config *c = daemon_config(d);
	int64_t depth = config_int(c, "antares.load_dir_depth");

	a->daemon = d;
	lock_init(&a->lock, LOCK_MOUNTS, "antares");
	cond_init(&a->changed);
	statefile_init(&a->saving);
	a->pool = pool_new("antares", WARM_THREADS);
	a->mount_root = xstrdup(config_string(c, "antares.mount_root"));
	a->upper_root = xstrdup(config_string(c, "antares.upper_root"));
	a->cl_root = xstrdup(config_string(c, "antares.cl_root"));
	a->state_file = xstrdup(config_string(c, "antares.state_file"));
	a->source = xasprintf("mono+%s", config_string(c, "server.base_url"));
	a->depth = (unsigned)MAX(depth, 0);
	a->sizes = !strcmp(config_string(c, "antares.stat_mode"), "accurate");
	a->preload_ms = config_int(c, "antares.preload_max_ms");
	a->slots_max = (unsigned)config_int(c, "antares.warm_slots");
	config_put(c);
	antares_load(a);
	return a;
}

void antares_stop(struct antares *a)
{
	if (!a || !a->pool)
		return;
	lock_take(&a->lock);
	__atomic_store_n(&a->ending, true, __ATOMIC_RELAXED);
	for (struct amount *m = a->first; m; m = m->next)
		__atomic_store_n(&m->stop_warming, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&a->changed);
	lock_drop(&a->lock);
	pool_free(a->pool);
	a->pool = NULL;
}

void antares_free(struct antares *a)
{
	struct amount *m;

	if (!a)
		return;
	antares_stop(a);
	while ((m = a->first)) {
		amount_unlink(m);
		amount_put(m);
	}
	for (struct aslot *s; (s = a->slots);) {
		a->slots = s->next;
		aslot_free(s);
	}
	free(a->mount_root);
	free(a->upper_root);
	free(a->cl_root);
	free(a->state_file);
	free(a->warmed);
	free(a->source);
	statefile_done(&a->saving);
	pthread_cond_destroy(&a->changed);
	lock_done(&a->lock);
	free(a);
}
