/* SPDX-License-Identifier: Apache-2.0 */
/* create.c - making mounts: once for each job, however many ask at once. */
#include "api/antares/impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "core/path.h"

#include <sys/stat.h>

struct wish { /* a request, cleaned up; strings owned */
	char *path, *job, *cl, *cl_path, *dir, *rev;
	bool pinned, unbound;
	const char *fork_of; /* borrowed */
	struct fs_forked *forked;
};

static void wish_done(struct wish *w)
{
	free(w->path);
	free(w->job);
	free(w->cl);
	free(w->cl_path);
	free(w->dir);
	free(w->rev);
}

/* Without blanks at its ends; NULL if nothing is left. */
static char *trim(const char *s)
{
	size_t n;

	if (!s)
		return NULL;
	s += strspn(s, " \t\r\n\v\f");
	for (n = strlen(s); n && strchr(" \t\r\n\v\f", s[n - 1]);)
		n--;
	return n ? xstrndup(s, n) : NULL;
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strcmp(top, "/") ||
	       (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

static int understand_cl(const struct antares_request *q, struct wish *w,
			 struct antares_fault *f)
{
	w->cl = trim(q->cl);
	if (w->cl && strpbrk(w->cl, "@:/ \t\r\n"))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "\"%s\" is not the link of a change "
				      "list", w->cl);
	if (q->cl_path && antares_path(q->cl_path, &w->cl_path))
		return antares_failed(f, -EINVAL, false);
	if (!w->cl_path)
		w->cl_path = xstrdup(w->path);
	if (!is_below(w->cl_path, w->path))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "cl_path %s is not at or below the "
				      "mounted path %s", w->cl_path, w->path);
	return 0;
}

static int understand(const struct antares_request *q, struct wish *w,
		      struct antares_fault *f)
{
	if (antares_path(q->path, &w->path))
		return antares_failed(f, -EINVAL, false);
	if (!w->path)
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "path cannot be empty");
	/* a blank job hides the build, as it always did */
	w->job = trim(q->job ? q->job : q->build);
	w->rev = trim(q->rev);
	w->pinned = q->pinned;
	w->unbound = q->bound_next;
	w->fork_of = q->fork_of;
	w->forked = q->forked;
	if (q->mountpoint && q->mountpoint[0] != '/')
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "mountpoint must be an absolute path, "
				      "not \"%s\"", q->mountpoint);
	w->dir = q->mountpoint ? path_absolute(q->mountpoint) : NULL;
	return understand_cl(q, w, f);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_wish(const struct amount *m, const struct wish *w)
{
	return same_text(m->job, w->job) && !strcmp(m->path, w->path) &&
	       same_text(m->cl, w->cl) &&
	       (!m->cl || same_text(m->cl_path, w->cl_path)) &&
	       (!w->dir || !strcmp(m->dir, w->dir));
}

static struct amount *amount_new(struct antares *a, struct wish *w)
{
	struct amount *m = xcalloc(1, sizeof(*m));

	id_uuid(m->id);
	m->antares = a;
	m->refs = 2; /* the list's and the caller's */
	m->own_dir = !w->dir;
	m->dir = w->dir ? steal(&w->dir)
			: xasprintf("%s/%s", a->mount_root, m->id);
	m->upper = xasprintf("%s/%s", a->upper_root, m->id);
	m->cl_dir = w->cl ? xasprintf("%s/%s", a->cl_root, m->id) : NULL;
	m->job = steal(&w->job);
	m->path = steal(&w->path);
	m->cl = steal(&w->cl);
	m->cl_path = steal(&w->cl_path);
	m->rev = steal(&w->rev);
	m->pinned = w->pinned;
	m->unbound = w->unbound;
	m->fork_of = w->fork_of;
	m->forked = w->forked;
	m->created_ms = m->seen_ms = antares_now_ms();
	m->state = ANTARES_PROVISIONING;
	return m;
}

/* The mount of that job, or else one that stands in the way. lock held */
static struct amount *other(struct antares *a, const struct wish *w)
{
	for (struct amount *m = a->first; m; m = m->next) {
		if (w->dir && !strcmp(m->dir, w->dir) &&
		    !same_text(m->job, w->job))
			return m;
		if (w->job ? m->job && !strcmp(m->job, w->job)
			   : !m->job && !w->dir && !strcmp(m->path, w->path) &&
				     same_text(m->cl, w->cl))
			return m;
	}
	return NULL;
}

static int refuse_other(const struct amount *m, const struct wish *w,
			struct antares_fault *f)
{
	if (w->dir && !strcmp(m->dir, w->dir) && !same_text(m->job, w->job))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "%s is a mount already", w->dir);
	if (!w->job)
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "%s%s%s is mounted already, without a "
				      "job, at %s", w->path, w->cl ? " with " :
				      "", w->cl ? w->cl : "", m->dir);
	if (w->fork_of || !same_wish(m, w))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "job %s has a mount already, of path %s "
				      "and cl %s: delete it first", w->job,
				      m->path, m->cl ? m->cl : "(none)");
	return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
			      "the mount of job %s is %s now; try again when "
			      "it is gone", w->job,
			      antares_state_name(m->state));
}

/* 1: there is one already, copied. 0: *ret is in the list, to be made. Who asks
 * for what is being made waits for it. */
static int reserve(struct antares *a, struct wish *w, struct amount **ret,
		   struct antares_info *info, struct antares_fault *f)
{
	int64_t deadline = deadline_in_ms(ANTARES_TIMEOUT_MS);
	struct amount *m;
	ranked_scope(&a->lock);

	while ((m = other(a, w))) {
		if (w->job && !w->fork_of && same_wish(m, w) &&
		    amount_usable(m)) {
			amount_copy(m, info);
			return 1;
		}
		if (!w->job || w->fork_of || !same_wish(m, w) || m->recovering ||
		    m->state != ANTARES_PROVISIONING || a->ending ||
		    now_ns() > deadline)
			return refuse_other(m, w, f);
		lock_wait(&a->changed, &a->lock, deadline);
	}
	m = amount_new(a, w);
	m->next = a->first;
	a->first = m;
	*ret = m;
	return 0;
}

/* -- mounting -------------------------------------------------------------------- */

/* A mount that is warm, moved to what is asked for. */
static int reuse(struct antares *a, struct amount *m, const char *spec)
{
	struct aslot *s = m->own_dir ? antares_slot(a, m->path) : NULL;
	struct fs_switch_request q = {
		.rev = spec, .force = true,
		.deadline = deadline_in_ms(ANTARES_TIMEOUT_MS),
	};
	struct fs_switch_result x;
	int rc;

	if (!s)
		return -ENOENT;
	rc = mounts_switch(daemon_mounts(a->daemon), s->dir, &q, &x, NULL,
			   NULL);
	if (rc == -ENOENT || rc == -EINVAL) { /* the mount, or what is asked */
		if (mounts_remove(daemon_mounts(a->daemon), s->dir, true))
			log_debug("antares", "%s is gone already", s->dir);
		antares_clean(s->dir, s->upper, NULL);
		aslot_free(s);
		return rc;
	}
	if (rc) {
		antares_slot_back(a, s);
		return rc;
	}
	lock_take(&a->lock);
	free(m->dir);
	free(m->upper);
	m->dir = steal(&s->dir);
	m->upper = steal(&s->upper);
	amount_set_rev(m, x.new_rev);
	lock_drop(&a->lock);
	aslot_free(s);
	return 0;
}

static int mount_fresh(struct antares *a, struct amount *m, const char *spec)
{
	struct fs_mount_request r = {
		.source = a->source, .rev = spec, .subdir = m->path + 1,
		.dir = m->dir, .job = m->job, .workspace = m->id,
		.state_dir = a->upper_root,
		.metadata = FS_METADATA_ONDEMAND, .restored = m->fork_of,
		.deadline = deadline_in_ms(ANTARES_TIMEOUT_MS),
	};
	struct fs_mount_info info;
	int rc;

	daemon_owner(a->daemon, &r);
	rc = mounts_add(daemon_mounts(a->daemon), &r, &info);
	if (rc)
		return rc;
	lock_take(&a->lock);
	amount_set_rev(m, info.rev);
	lock_drop(&a->lock);
	fs_mount_info_done(&info);
	return 0;
}

static int make_roots(struct antares *a, struct amount *m)
{
	int rc = path_make_dirs(a->upper_root, 0755);

	if (!rc && m->own_dir)
		rc = path_make_dirs(a->mount_root, 0755);
	if (!rc && m->cl_dir)
		rc = path_make_dirs(m->cl_dir, 0755);
	return rc;
}

static int fork_changes(struct antares *a, struct amount *m)
{
	struct fs_fork_request r = {
		.state_dir = a->upper_root, .workspace = m->id,
		.deadline = deadline_in_ms(ANTARES_TIMEOUT_MS),
	};

	return fs_fork(daemon_fs(a->daemon), m->fork_of, &r, m->forked);
}

static int provide(struct antares *a, struct amount *m)
{
	cleanup_free char *spec = antares_spec(m->rev, m->cl, m->cl_path);
	int rc = make_roots(a, m);

	if (rc)
		return rc;
	if (m->fork_of)
		rc = fork_changes(a, m);
	else if (!reuse(a, m, spec))
		return 0;
	if (!rc)
		rc = mount_fresh(a, m, spec);
	if (rc)
		antares_clean(NULL, m->upper, m->cl_dir);
	return rc;
}

static int make(struct antares *a, struct amount *m, struct antares_info *ret,
		struct antares_fault *f)
{
	bool unbound = m->unbound; /* nobody binds it before this returns */
	int rc = provide(a, m);

	m->fork_of = NULL;
	m->forked = NULL;
	lock_take(&a->lock);
	if (rc)
		amount_unlink(m);
	else
		amount_state(m, ANTARES_MOUNTED, NULL);
	lock_drop(&a->lock);
	if (rc) {
		antares_failed(f, rc, m->cl);
		amount_put(m); /* the list's */
		return rc;
	}
	amount_warm(m);
	if (!unbound) /* else antares_bound does */
		antares_save(a);
	lock_take(&a->lock);
	amount_copy(m, ret);
	lock_drop(&a->lock);
	return 0;
}

int antares_create(struct antares *a, const struct antares_request *q,
		   struct antares_info *ret, struct antares_fault *f)
{
	struct wish w = { 0 };
	struct amount *m = NULL;
	int rc = understand(q, &w, f);

	if (!rc)
		rc = reserve(a, &w, &m, ret, f);
	wish_done(&w);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = make(a, m, ret, f);
	amount_put(m);
	return rc;
}
