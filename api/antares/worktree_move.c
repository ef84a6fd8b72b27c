/* SPDX-License-Identifier: Apache-2.0 */
/* worktree_move.c - worktrees at another revision. */
#include "api/antares/worktree.h"

#include "api/antares/impl.h"
#include "api/classic/git_impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"

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
	m->pinned = true;
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
	struct gitlfs lfs = { .daemon = a->daemon, .top = m->dir };
	size_t i;
	json_t *v;

	json_array_foreach((json_t *)(uintptr_t)committed, i, v) {
		const char *path = json_get_text(v, "path", "");
		char now[41] = "", got[41] = "";
		int rc = git_now_id(&lfs, path, now);

		if (!rc)
			rc = id_in(a, m, rev, path, got);
		if (rc || strcmp(now, got)) /* changed again since */
			continue;
		rc = fs_reset(daemon_fs(a->daemon), m->dir, path,
			      deadline_in_ms(ANTARES_TIMEOUT_MS));
		if (!rc || rc == -ENOENT)
			json_array_append(cleaned, json_object_get(v, "path"));
	}
	gitlfs_done(&lfs);
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
