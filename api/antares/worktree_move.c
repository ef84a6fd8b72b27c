/* SPDX-License-Identifier: Apache-2.0 */
/* worktree_move.c - worktrees at another revision, and copies of them. */
#include "api/antares/worktree.h"

#include "api/antares/impl.h"
#include "api/classic/git_impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"
#include "core/log.h"
#include "core/path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* Nobody else changes it until amount_settle(). */
static int claim(struct antares *a, const char *id, struct amount **ret,
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
	*ret = amount_claim(m, ANTARES_QUIESCING);
	return 0;
}

static void release(struct antares *a, struct amount *m)
{
	amount_settle(m);
	antares_save(a);
}

static int turn(struct antares *a, struct amount *m, const char *rev)
{
	struct fs_switch_request q = {
		.rev = rev, .force = true,
		.deadline = deadline_in_ms(ANTARES_TIMEOUT_MS),
	};
	struct fs_switch_result x;
	int rc = mounts_switch(daemon_mounts(a->daemon), m->dir, &q, &x, NULL,
			       NULL);

	if (rc)
		return rc;
	lock_take(&a->lock);
	amount_set_rev(m, x.new_rev);
	free(m->base);
	m->base = xstrdup(rev);
	lock_drop(&a->lock);
	return 0;
}

static int end(struct worktree_result *r, const char *state, const char *code,
	       const char *detail)
{
	*r = (struct worktree_result){ state, code,
				       detail ? xstrdup(detail) : NULL };
	return 0;
}

/* -- what the server has ------------------------------------------------------------ */

static int ask(struct antares *a, const char *what, json_t **ret)
{
	struct classic *c = daemon_classic(a->daemon);
	cleanup_free char *base = git_base(c);
	cleanup_free char *url = xasprintf("%s/api/v1%s", base, what);
	cleanup_buf struct buf got = BUF_INIT;
	int status, rc = git_http(c, url, NULL, NULL, &got, &status);

	if (rc)
		return rc;
	if (status != 200)
		return fail(-EIO, "%s: HTTP %d", url, status);
	return json_parse((const char *)got.data, got.len, url, ret);
}

static int latest(struct antares *a, char **ret)
{
	json_t *v;
	int rc = ask(a, "/latest-commit?path=%2F", &v);

	if (rc)
		return rc;
	*ret = xstrdup(json_get_text(v, "oid", ""));
	json_decref(v);
	return **ret ? 0 : fail(-EBADMSG, "the server does not tell its "
				"latest commit");
}

/* The id of a file in a revision; "" if it is not there. */
static int id_in(struct antares *a, const struct amount *m, const char *rev,
		 const char *path, char ret[41])
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	cleanup_free char *dir = xasprintf(
		"%s%s%.*s", strcmp(m->path, "/") ? m->path : "",
		slash || !strcmp(m->path, "/") ? "/" : "",
		slash ? (int)(slash - path) : 0, path);
	cleanup_free char *at = http_escape(dir, strlen(dir));
	cleanup_free char *refs = http_escape(rev, strlen(rev));
	cleanup_free char *what = xasprintf("/tree/content-hash?path=%s&refs=%s",
					    at, refs);
	json_t *v, *e;
	size_t i;
	int rc = ask(a, what, &v);

	ret[0] = '\0';
	if (rc)
		return rc;
	json_array_foreach(json_object_get(v, "data"), i, e)
		if (!strcmp(json_get_text(e, "name", ""), name))
			snprintf(ret, 41, "%s", json_get_text(e, "oid", ""));
	json_decref(v);
	return 0;
}

/* 0 it serves just that; -ESTALE it does not; others: cannot tell. */
static int serves(struct antares *a, const struct amount *m, const char *rev,
		  const json_t *committed)
{
	size_t i;
	json_t *v;

	json_array_foreach((json_t *)(uintptr_t)committed, i, v) {
		const char *path = json_get_text(v, "path", "");
		const char *want = json_get_text(v, "content_hash", NULL);
		bool gone = !strcmp(json_get_text(v, "kind", ""), "deleted");
		char got[41];
		int rc = id_in(a, m, rev, path, got);

		if (rc)
			return rc;
		if (gone ? *got : !*got || (want && strcmp(got, want)))
			return fail(-ESTALE, "%s has not what was committed "
				    "as %s", rev, path);
	}
	return 0;
}

/* Private changes that the revision has now. */
static void clean(struct antares *a, struct amount *m, const char *rev,
		  const json_t *committed, json_t *cleaned)
{
	size_t i;
	json_t *v;

	json_array_foreach((json_t *)(uintptr_t)committed, i, v) {
		const char *path = json_get_text(v, "path", "");
		char now[41] = "", got[41] = "";
		int rc = worktree_hash_now(m->dir, path, now);

		if (!rc)
			rc = id_in(a, m, rev, path, got);
		if (rc || strcmp(now, got)) /* changed again since */
			continue;
		rc = fs_reset(daemon_fs(a->daemon), m->dir, path,
			      deadline_in_ms(ANTARES_TIMEOUT_MS));
		if (!rc || rc == -ENOENT)
			json_array_append(cleaned, json_object_get(v, "path"));
	}
}

static bool is_base(struct antares *a, struct amount *m, const char *rev)
{
	ranked_scope(&a->lock);

	return m->base && !strcmp(m->base, rev);
}

static int finalize(struct antares *a, struct amount *m, const char *expected,
		    const char *next, const json_t *committed,
		    json_t *cleaned, struct worktree_result *ret)
{
	int rc;

	if (!is_base(a, m, expected) && !is_base(a, m, next))
		return end(ret, "conflict", "BASE_MISMATCH",
			   "the worktree is bound to another revision");
	rc = serves(a, m, next, committed);
	if (rc == -ESTALE)
		return end(ret, "conflict", "TREE_MISMATCH", error_text(rc));
	if (!rc && !is_base(a, m, next))
		rc = turn(a, m, next);
	if (rc)
		return end(ret, "failed", "SWITCH_FAILED", error_text(rc));
	clean(a, m, next, committed, cleaned);
	return end(ret, "ready", NULL, NULL);
}

int worktree_finalize(struct antares *a, const char *id, const char *expected,
		      const char *next, const uint64_t *generation,
		      const json_t *committed, json_t *cleaned,
		      struct worktree_result *ret, struct antares_fault *f)
{
	cleanup_free char *newest = NULL;
	struct amount *m = NULL;
	struct wchanges l = { 0 };
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	if (generation)
		rc = worktree_changes(a, id, true, &l, f);
	if (!rc)
		rc = claim(a, id, &m, f);
	if (rc) {
		wchanges_done(&l);
		return rc;
	}
	if (!next)
		rc = latest(a, &newest);
	if (rc)
		rc = end(ret, "failed", "SWITCH_FAILED", error_text(rc));
	else if (generation && l.generation != *generation &&
		 !is_base(a, m, next ? next : newest))
		rc = end(ret, "conflict", "GENERATION_CHANGED",
			 "there are other changes than expected");
	else
		rc = finalize(a, m, expected, next ? next : newest, committed,
			      cleaned, ret);
	wchanges_done(&l);
	release(a, m);
	return rc;
}

int worktree_refresh(struct antares *a, const char *id, const char *expected,
		     const char *target, bool clean_only,
		     struct worktree_result *ret, struct antares_fault *f)
{
	cleanup_free char *newest = NULL;
	struct amount *m = NULL;
	struct wchanges l;
	bool dirty;
	int rc = worktree_changes(a, id, true, &l, f);

	memset(ret, 0, sizeof(*ret));
	dirty = !rc && l.n;
	wchanges_done(&l);
	if (!rc)
		rc = claim(a, id, &m, f);
	if (rc)
		return rc;
	if (!target)
		rc = latest(a, &newest);
	if (!target)
		target = newest;
	if (rc) {
		antares_failed(f, rc, false);
	} else if (!is_base(a, m, expected)) {
		end(ret, "base_mismatch", "BASE_MISMATCH",
		    "the worktree is bound to another revision");
	} else if (is_base(a, m, target)) {
		end(ret, "already_at_target", NULL, NULL);
	} else if (dirty && clean_only) {
		end(ret, "blocked_dirty", NULL, "there are private changes");
	} else {
		rc = turn(a, m, target);
		if (rc)
			antares_failed(f, rc, false);
		else
			end(ret, "switched", NULL, NULL);
	}
	release(a, m);
	return rc;
}

/* -- copies --------------------------------------------------------------------------- */

static int copy_file(const char *from, const char *to, const struct stat *st,
		     struct worktree_copied *copied)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				  0600);
	cleanup_free char *room = xmalloc(256 * KiB);
	struct timespec times[] = { st->st_atim, st->st_mtim };
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, room, 256 * KiB)) > 0) {
		if (write(out, room, (size_t)n) != n)
			return fail(-EIO, "%s: %s", to, strerror(errno));
		copied->bytes += (uint64_t)n;
	}
	if (n < 0 || fchmod(out, st->st_mode & 07777) || futimens(out, times))
		return fail(-EIO, "%s is not copied: %s", from,
			    strerror(errno));
	copied->files++;
	return 0;
}

static void make_room(const char *to)
{
	cleanup_free char *dir = xstrdup(to);
	char *slash = strrchr(dir, '/');
	struct stat st;

	if (!lstat(to, &st) && S_ISDIR(st.st_mode)) {
		path_empty_dir(to);
		rmdir(to);
	}
	*slash = '\0';
	if (!lstat(dir, &st) && !S_ISDIR(st.st_mode))
		unlink(dir);
	if (path_make_dirs(dir, 0755))
		log_debug("antares", "%s is not made", dir);
}

static int copy_one(const char *src, const char *dst, const struct wchange *c,
		    struct worktree_copied *copied)
{
	cleanup_free char *from = xasprintf("%s/%s", src, c->path);
	cleanup_free char *to = xasprintf("%s/%s", dst, c->path);
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (c->removed && !lstat(to, &st)) {
		if (S_ISDIR(st.st_mode))
			path_empty_dir(to);
		return remove(to) ? fail(-errno, "%s: %s", to, strerror(errno))
				  : 0;
	}
	if (c->removed || lstat(from, &st))
		return 0;
	make_room(to);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, &st, copied);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlink(from, target, sizeof(target) - 1);
	if (n < 0)
		return fail(-errno, "%s: %s", from, strerror(errno));
	target[n] = '\0';
	unlink(to);
	copied->files++;
	return symlink(target, to) ? fail(-errno, "%s: %s", to,
					  strerror(errno)) : 0;
}

/* What is gone first: a directory may be where a file was. */
static int copy_all(const char *src, const char *dst, const struct wchanges *l,
		    struct worktree_copied *copied)
{
	int rc = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; !rc && i < l->n; i++)
			if (l->c[i].removed == !pass)
				rc = copy_one(src, dst, &l->c[i], copied);
	return rc;
}

int worktree_fork(struct antares *a, const char *id, const char *job,
		  const char *mountpoint, bool with_cl,
		  struct antares_info *ret, struct worktree_copied *copied,
		  struct antares_fault *f)
{
	struct antares_info src, dead;
	struct antares_request q = { .job = job, .mountpoint = mountpoint };
	struct antares_fault ignored;
	cleanup_free char *name = NULL;
	char uuid[FS_ID_LEN + 1];
	struct wchanges l;
	int rc = antares_find(a, id, &src, f);

	memset(copied, 0, sizeof(*copied));
	if (rc)
		return rc;
	if (!src.base)
		rc = antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				    "the mount is not bound to a revision");
	id_uuid(uuid);
	name = xasprintf("fork-%s", uuid);
	q.job = job ? job : name;
	q.path = src.path;
	q.rev = src.rev;
	q.cl = with_cl ? src.cl : NULL;
	q.cl_path = q.cl ? src.cl_path : NULL;
	if (!rc)
		rc = worktree_changes(a, id, false, &l, f);
	if (rc) {
		antares_info_done(&src);
		return rc;
	}
	rc = antares_create(a, &q, ret, f);
	if (!rc) {
		rc = copy_all(src.dir, ret->dir, &l, copied);
		if (!rc)
			rc = antares_bound(a, ret->id, src.base);
		if (!rc) {
			free(ret->base);
			ret->base = xstrdup(src.base);
		}
		if (rc) {
			antares_failed(f, rc, false);
			if (!antares_remove(a, ret->id, &dead, &ignored))
				antares_info_done(&dead);
			antares_info_done(ret);
		}
	}
	wchanges_done(&l);
	antares_info_done(&src);
	return rc;
}
