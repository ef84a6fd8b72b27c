/* SPDX-License-Identifier: Apache-2.0 */
/* worktree.c - what is changed, and the revision a mount is bound to. */
#include "api/antares/worktree.h"

#include "api/antares/impl.h"
#include "api/classic/git_impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

#include <dirent.h>
#include <sys/stat.h>

#define CHANGES_MAX 200000u
#define DEPTH_MAX 200
#define OWN WORKTREE_OWN

/* -- the list -------------------------------------------------------------------- */

void wchanges_done(struct wchanges *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->c[i].path);
		free(l->c[i].from);
	}
	free(l->c);
	memset(l, 0, sizeof(*l));
}

static bool is_own(const char *path)
{
	size_t n = strlen(OWN);

	return !strncmp(path, OWN, n) && (!path[n] || path[n] == '/');
}

static struct wchange *add(struct wchanges *l, const char *path)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->c = xrealloc(l->c, l->cap * sizeof(*l->c));
	}
	l->c[l->n] = (struct wchange){ .path = xstrdup(path) };
	return &l->c[l->n++];
}

struct gather {
	struct wchanges *l;
	const char *dir;   /* the mountpoint */
	json_t *moved;     /* [[path, from]]: looked into afterwards */
};

static int on_change(void *ctx, const struct fs_change *c)
{
	struct gather *g = ctx;
	struct wchange *w;

	if (is_own(c->path))
		return 0;
	if (g->l->n >= CHANGES_MAX)
		return -EFBIG;
	if (c->kind == FS_RENAMED) {
		json_array_append_new(
			g->moved, json_pack("[o,o]", json_bytes(c->path,
								strlen(c->path)),
					    json_bytes(c->from,
						       strlen(c->from))));
		add(g->l, c->from)->removed = true;
	} else if (c->kind == FS_DELETED) {
		add(g->l, c->path)->removed = true;
	} else if (!S_ISDIR(c->mode)) {
		w = add(g->l, c->path);
		w->added = c->kind == FS_ADDED;
	}
	return 0;
}

static int look_into(struct gather *g, const char *path, const char *from,
		     unsigned depth)
{
	cleanup_free char *at = xasprintf("%s/%s", g->dir, path);
	struct wchange *w;
	struct dirent *e;
	struct stat st;
	int rc = 0;
	DIR *d;

	if (depth > DEPTH_MAX || g->l->n >= CHANGES_MAX)
		return fail(-EFBIG, "%s: too much was moved", path);
	if (lstat(at, &st))
		return errno == ENOENT ? 0 : fail(-errno, "%s: %s", at,
						  strerror(errno));
	if (!S_ISDIR(st.st_mode)) {
		w = add(g->l, path);
		w->added = true;
		w->from = xstrdup(from);
		return 0;
	}
	d = opendir(at);
	if (!d)
		return fail(-errno, "%s: %s", at, strerror(errno));
	while (!rc && (e = readdir(d))) {
		cleanup_free char *sub = xasprintf("%s/%s", path, e->d_name);
		cleanup_free char *was = xasprintf("%s/%s", from, e->d_name);

		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = look_into(g, sub, was, depth + 1);
	}
	closedir(d);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	const struct wchange *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void drop(struct wchanges *l, size_t i)
{
	free(l->c[i].path);
	free(l->c[i].from);
	memmove(&l->c[i], &l->c[i + 1], (--l->n - i) * sizeof(*l->c));
}

/* Sorted, each path once: what is there wins over what was. */
static void tidy(struct wchanges *l)
{
	uint64_t h = 0xcbf29ce484222325ull;

	if (l->n)
		qsort(l->c, l->n, sizeof(*l->c), by_path);
	for (size_t i = 0; i + 1 < l->n;)
		if (!strcmp(l->c[i].path, l->c[i + 1].path))
			drop(l, l->c[i].removed ? i : i + 1);
		else
			i++;
	for (size_t i = 0; i < l->n; i++) {
		const unsigned char *p = (const void *)l->c[i].path;

		h = (h ^ (l->c[i].removed ? 'd' : 'm')) * 0x100000001b3ull;
		do
			h = (h ^ *p) * 0x100000001b3ull;
		while (*p++);
		for (p = (const void *)l->c[i].now; *p; p++)
			h = (h ^ *p) * 0x100000001b3ull;
	}
	l->generation = h & INT64_MAX;
}

/* -- ids --------------------------------------------------------------------------- */

static int hash_base(struct antares *a, const char *dir, const char *path,
		     char ret[41])
{
	int rc = git_base_id(daemon_fs(a->daemon), dir, path, ret);

	if (rc)
		ret[0] = '\0';
	return rc == -ENOENT || rc == -EISDIR ? 0 : rc;
}

static int fill_ids(struct antares *a, const char *dir, struct wchanges *l)
{
	struct gitlfs lfs = { .daemon = a->daemon, .top = dir };
	int rc = 0;

	for (size_t i = 0; !rc && i < l->n; i++) {
		struct wchange *c = &l->c[i];

		if (!c->removed)
			rc = git_now_id(&lfs, c->path, c->now);
		if (!rc && !c->added)
			rc = hash_base(a, dir, c->path, c->base);
	}
	gitlfs_done(&lfs);
	if (rc)
		return rc;
	for (size_t i = 0; i < l->n;)
		if (!l->c[i].removed && !strcmp(l->c[i].now, l->c[i].base))
			drop(l, i);
		else
			i++;
	return 0;
}

int worktree_changes(struct antares *a, const char *id, bool ids,
		     struct wchanges *ret, struct antares_fault *f)
{
	struct antares_info info;
	struct gather g = { .l = ret };
	json_t *v;
	size_t i;
	int rc = antares_find(a, id, &info, f);

	memset(ret, 0, sizeof(*ret));
	if (rc)
		return rc;
	g.dir = info.dir;
	g.moved = json_array();
	rc = fs_changes(daemon_fs(a->daemon), info.dir,
			deadline_in_ms(ANTARES_TIMEOUT_MS), on_change, &g);
	json_array_foreach(g.moved, i, v) {
		cleanup_buf struct buf path = BUF_INIT, from = BUF_INIT;

		json_bytes_decode(json_string_value(json_array_get(v, 0)),
				  &path);
		json_bytes_decode(json_string_value(json_array_get(v, 1)),
				  &from);
		if (!rc)
			rc = look_into(&g, buf_str(&path), buf_str(&from), 0);
	}
	json_decref(g.moved);
	if (!rc && ids)
		rc = fill_ids(a, info.dir, ret);
	antares_info_done(&info);
	if (rc) {
		wchanges_done(ret);
		return antares_failed(f, rc, false);
	}
	tidy(ret);
	return 0;
}

/* -- binding ------------------------------------------------------------------------ */

static int write_pointer(const char *dir, const char *name, const char *value)
{
	cleanup_free char *own = xasprintf("%s/" OWN, dir);
	cleanup_free char *path = xasprintf("%s/%s", own, name);
	cleanup_free char *text = xasprintf("%s\n", value);
	int rc = path_make_dirs(own, 0755);

	return rc ? rc : path_write(path, text, strlen(text), 0644, false);
}

/* lock held by this */
static int bind(struct antares *a, const char *id, const char *base,
		struct antares_fault *f)
{
	struct amount *m;
	int rc;
	ranked_scope(&a->lock);

	rc = amount_to_use(a, id, &m, f);
	if (rc)
		return rc;
	if (m->cl)
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "the mount has change list %s", m->cl);
	if (m->base && strcmp(m->base, base))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "the mount is bound to %s", m->base);
	if (!m->base)
		m->base = xstrdup(base);
	return 0;
}

int worktree_bind(struct antares *a, const char *id, const char *base,
		  const char *commondir, const char *worktree_id,
		  struct antares_fault *f)
{
	struct antares_info info;
	struct wchanges l;
	bool dirty;
	int rc = antares_find(a, id, &info, f);

	if (rc)
		return rc;
	rc = worktree_changes(a, id, false, &l, f);
	dirty = !rc && l.n;
	wchanges_done(&l);
	if (!rc && dirty && !info.base)
		rc = antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				    "the mount has changes");
	if (!rc && commondir && *commondir != '/')
		rc = antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				    "commondir must be an absolute path");
	if (!rc)
		rc = bind(a, id, base, f);
	if (!rc && commondir)
		rc = write_pointer(info.dir, "commondir", commondir);
	if (!rc && worktree_id)
		rc = write_pointer(info.dir, "worktree_id", worktree_id);
	if (rc && !f->code)
		antares_failed(f, rc, false);
	antares_info_done(&info);
	if (!rc)
		antares_save(a);
	return rc;
}

int antares_bound(struct antares *a, const char *id, const char *base)
{
	struct amount *m;

	lock_take(&a->lock);
	m = amount_by_id(a, id);
	if (m) {
		free(m->base);
		m->base = xstrdup(base);
		m->unbound = false;
	}
	lock_drop(&a->lock);
	if (!m)
		return fail(-ENOENT, "the mount is gone");
	antares_save(a);
	return 0;
}
