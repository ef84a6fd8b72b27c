/* SPDX-License-Identifier: Apache-2.0 */
/* antares_worktree.c - mounts as worktrees of a version control client: the
 * calls of the newest generation below /antares. */
#include "api/antares/worktree.h"

#include "api/http/antares.h"
#include "api/http/routes.h"

static json_t *hash_or_null(const char *hex)
{
	return *hex ? json_string(hex) : json_null();
}

static json_t *state_of(const struct antares_info *i)
{
	json_t *s = antares_status(i), *v = json_incref(
		json_object_get(s, "state"));

	json_decref(s);
	return v;
}

/* -- what is changed ----------------------------------------------------------------- */

static json_t *changes_json(const char *id, const struct wchanges *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++) {
		const struct wchange *c = &l->c[i];
		json_t *v = json_pack("{s:s,s:o}", "kind",
				      c->removed ? "deleted" : "modified",
				      "path", antares_text(c->path));

		if (c->from)
			json_object_set_new(v, "source_path",
					    antares_text(c->from));
		json_array_append_new(list, v);
	}
	return json_pack("{s:s,s:I,s:o}", "mount_id", id, "generation",
			 (json_int_t)l->generation, "changes", list);
}

static int get_changes(struct request *r)
{
	struct antares_fault f;
	struct wchanges l;
	const char *id;
	int rc;

	if (!antares_id(r, &id))
		return 0;
	rc = worktree_changes(antares_of(r), id, false, &l, &f);
	if (rc)
		return antares_answer(r, rc, NULL, &f);
	rc = reply_json(r, 200, changes_json(id, &l));
	wchanges_done(&l);
	return rc;
}

/* The state of a worktree as the calls of the mount tell it; NULL: refused. */
static json_t *worktree_json(struct antares *a, const char *id,
			     char **ret_base, bool *ret_dirty, int *rc,
			     struct antares_fault *f)
{
	struct antares_info i;
	struct wchanges l;
	json_t *v;

	*rc = antares_find(a, id, &i, f);
	if (*rc)
		return NULL;
	*rc = worktree_changes(a, id, false, &l, f);
	if (*rc) {
		antares_info_done(&i);
		return NULL;
	}
	v = json_pack("{s:s,s:o,s:o,s:o,s:b,s:o}", "mount_id", i.id, "path",
		      antares_text(i.path), "base_revision",
		      antares_text(i.base), "mount_state", state_of(&i),
		      "dirty", l.n > 0, "changes", changes_json(i.id, &l));
	if (ret_base)
		*ret_base = i.base ? xstrdup(i.base) : NULL;
	if (ret_dirty)
		*ret_dirty = l.n > 0;
	wchanges_done(&l);
	antares_info_done(&i);
	return v;
}

static int reply_worktree(struct request *r, const char *id)
{
	struct antares_fault f;
	int rc;
	json_t *v = worktree_json(antares_of(r), id, NULL, NULL, &rc, &f);

	return v ? reply_json(r, 200, v) : antares_answer(r, rc, NULL, &f);
}

static int get_worktree(struct request *r)
{
	const char *id;

	return antares_id(r, &id) ? reply_worktree(r, id) : 0;
}

static int post_base(struct request *r)
{
	const char *id, *base, *dir = NULL, *wid = NULL;
	struct antares_fault f = { 0 };
	json_t *body, *pointer;
	int rc;

	if (!antares_id_body(r, false, &id, &body) ||
	    request_text_plain(r, body, "base_revision", false, &base))
		return 0;
	pointer = json_object_get(body, "vcs_pointer");
	if (pointer && !json_is_null(pointer) &&
	    (request_text_plain(r, pointer, "commondir", false, &dir) ||
	     request_text_plain(r, pointer, "worktree_id", false, &wid)))
		return 0;
	rc = worktree_bind(antares_of(r), id, base, dir, wid, &f);
	return rc ? antares_answer(r, rc, NULL, &f) : reply_worktree(r, id);
}

/* True or absent: true. False: a type that is wrong was answered. */
static bool flag(struct request *r, json_t *body, const char *key, bool dflt,
		 bool *ret)
{
	json_t *v = json_object_get(body, key);

	*ret = json_is_boolean(v) ? json_is_true(v) : dflt;
	if (!v || json_is_null(v) || json_is_boolean(v))
		return true;
	reply_plain(r, 422, "\"%s\" must be true or false", key);
	return false;
}

static int post_plan(struct request *r)
{
	const char *id, *expected, *target, *how;
	cleanup_free char *base = NULL;
	struct antares_fault f;
	bool clean, dirty;
	json_t *body, *v;
	int rc;

	if (!antares_id_body(r, false, &id, &body) ||
	    request_text_plain(r, body, "expected_base_revision", false,
			       &expected) ||
	    request_text_plain(r, body, "target_revision", false, &target) ||
	    !flag(r, body, "require_clean", true, &clean))
		return 0;
	v = worktree_json(antares_of(r), id, &base, &dirty, &rc, &f);
	if (!v)
		return antares_answer(r, rc, NULL, &f);
	how = !base			 ? "unbound"
	      : strcmp(base, expected) ? "base_mismatch"
	      : !strcmp(base, target)	 ? "already_at_target"
	      : dirty && clean		 ? "blocked_dirty"
					 : "ready";
	return reply_json(r, 200, json_pack(
		"{s:s,s:o,s:s,s:s,s:o}", "mount_id", id,
		"current_base_revision", antares_text(base),
		"target_revision", target, "disposition", how, "worktree", v));
}

/* -- forks ---------------------------------------------------------------------------- */

static json_t *chain_json(const char *chain)
{
	json_t *list = json_array();
	size_t n;

	for (; chain && *chain; chain += n + (chain[n] == ' ')) {
		n = strcspn(chain, " ");
		json_array_append_new(list, json_stringn(chain, n));
	}
	return list;
}

static json_t *fork_json(const struct antares_info *i, const char *source,
			 const struct worktree_forked *x)
{
	json_int_t files = (json_int_t)x->copied.files;
	json_int_t bytes = (json_int_t)x->copied.bytes;
	json_t *v = json_pack(
		"{s:s,s:o,s:o,s:s,s:s,s:o,s:o,s:o}", "mount_id", i->id,
		"job_id", antares_text(i->job), "path", antares_text(i->dir),
		"source_mount_id", source, "mode",
		x->chain ? "chain" : "materialize", "lower_chain",
		chain_json(i->chain), "base_revision", antares_text(i->base),
		"mount_state", state_of(i));

	if (x->downgraded)
		json_object_set_new(v, "mode_downgraded_from",
				    json_string("chain"));
	if (x->chain) {
		json_object_set_new(v, "source_frozen_layer",
				    json_string(x->layer));
		json_object_set_new(v, "shared_stats",
				    json_pack("{s:I,s:I}", "files", files,
					      "bytes", bytes));
	} else {
		json_object_set_new(v, "copy_stats", json_pack(
			"{s:I,s:I,s:b,s:i}", "files", files, "bytes", bytes,
			"reflink_used", 0, "retries", 0));
	}
	return v;
}

static int post_fork(struct request *r)
{
	const char *id, *mode;
	struct worktree_fork w = { 0 };
	struct worktree_forked x;
	struct antares_fault f;
	struct antares_info i;
	json_t *body, *v;
	int rc;

	if (!antares_id_body(r, true, &id, &body) ||
	    request_text_plain(r, body, "job_id", true, &w.job) ||
	    request_text_plain(r, body, "mountpoint", true, &w.mountpoint) ||
	    request_text_plain(r, body, "mode", true, &mode) ||
	    !flag(r, body, "inherit_cl", false, &w.with_cl))
		return 0;
	if (mode && strcmp(mode, "materialize") && strcmp(mode, "chain"))
		return reply_plain(r, 422, "\"mode\" must be materialize or "
				   "chain");
	w.chain = mode && !strcmp(mode, "chain");
	rc = worktree_fork(antares_of(r), id, &w, &i, &x, &f);
	if (rc)
		return antares_answer(r, rc, NULL, &f);
	v = fork_json(&i, id, &x);
	antares_info_done(&i);
	return reply_json(r, 201, v);
}

/* -- /worktrees ------------------------------------------------------------------------- */

static int post_worktrees(struct request *r)
{
	const char *repo, *dir, *wid, *base, *lower, *job;
	struct antares_request q = { 0 };
	struct antares_fault f;
	struct antares_info i;
	struct wchanges l;
	json_t *body, *v;
	int rc;

	if (request_json_plain(r, false, &body) ||
	    request_text_plain(r, body, "repo_path", false, &repo) ||
	    request_text_plain(r, body, "mountpoint", false, &dir) ||
	    request_text_plain(r, body, "worktree_id", true, &wid) ||
	    request_text_plain(r, body, "base_revision", true, &base) ||
	    request_text_plain(r, body, "lower_revision", true, &lower) ||
	    request_text_plain(r, body, "job_id", true, &job))
		return 0;
	q.path = repo;
	q.mountpoint = dir;
	q.rev = lower;
	q.pinned = q.bound_next = true;
	q.job = job ? job : wid;
	rc = antares_create(antares_of(r), &q, &i, &f);
	if (rc)
		return antares_answer(r, rc, NULL, &f);
	rc = antares_bound(antares_of(r), i.id, base ? base : i.rev);
	if (rc || worktree_changes(antares_of(r), i.id, true, &l, &f))
		l = (struct wchanges){ 0 };
	v = json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:I}", "mount_id", i.id,
		      "worktree_id", antares_text(wid), "mountpoint",
		      antares_text(i.dir), "base_revision",
		      antares_text(base ? base : i.rev), "lower_revision",
		      antares_text(i.rev), "state", state_of(&i), "generation",
		      (json_int_t)l.generation);
	wchanges_done(&l);
	antares_info_done(&i);
	return reply_json(r, 201, v);
}

static json_t *change_json(const struct wchange *c)
{
	return json_pack("{s:o,s:s,s:o,s:o}", "path", antares_text(c->path),
			 "kind", c->removed ? "deleted" : *c->base ? "modified"
								    : "added",
			 "content_hash", hash_or_null(c->now), "base_hash",
			 hash_or_null(c->base));
}

static int get_state(struct request *r)
{
	json_t *list, *v;
	struct antares_fault f;
	struct antares_info i;
	struct wchanges l;
	const char *id;
	int rc;

	if (!antares_id(r, &id))
		return 0;
	rc = antares_find(antares_of(r), id, &i, &f);
	if (rc)
		return antares_answer(r, rc, NULL, &f);
	rc = worktree_changes(antares_of(r), id, true, &l, &f);
	if (rc) {
		antares_info_done(&i);
		return antares_answer(r, rc, NULL, &f);
	}
	list = json_array();
	for (size_t n = 0; n < l.n; n++)
		json_array_append_new(list, change_json(&l.c[n]));
	v = json_pack("{s:s,s:o,s:o,s:o,s:I,s:b,s:o}", "mount_id", i.id,
		      "lower_revision", antares_text(i.rev), "base_revision",
		      antares_text(i.base), "state", state_of(&i),
		      "generation", (json_int_t)l.generation, "dirty", l.n > 0,
		      "changes", list);
	wchanges_done(&l);
	antares_info_done(&i);
	return reply_json(r, 200, v);
}

/* The common end: where it is now, and how it went. */
static int reply_result(struct request *r, const char *id, const char *key,
			struct worktree_result *x, json_t *cleaned)
{
	struct antares *a = antares_of(r);
	struct antares_fault f;
	struct antares_info i;
	struct wchanges l = { 0 };
	json_t *v;
	int rc = antares_find(a, id, &i, &f);

	if (rc) {
		json_decref(cleaned);
		free(x->detail);
		return antares_answer(r, rc, NULL, &f);
	}
	if (worktree_changes(a, id, true, &l, &f))
		l = (struct wchanges){ 0 };
	v = json_pack("{s:s,s:o,s:o,s:I}", key, x->state, "base_revision",
		      antares_text(i.base), "lower_revision",
		      antares_text(i.rev), "generation",
		      (json_int_t)l.generation);
	if (x->code)
		json_object_set_new(v, "code", json_string(x->code));
	if (x->detail)
		json_object_set_new(v, "detail", antares_text(x->detail));
	if (cleaned)
		json_object_set_new(v, "cleaned_paths", cleaned);
	free(x->detail);
	wchanges_done(&l);
	antares_info_done(&i);
	return reply_json(r, 200, v);
}

static bool good_paths(const json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_is_array(list))
		return false;
	json_array_foreach((json_t *)(uintptr_t)list, i, v) {
		const char *path = json_get_text(v, "path", NULL);

		if (!path || !*path || *path == '/' || strstr(path, "../") ||
		    !json_get_text(v, "kind", NULL))
			return false;
	}
	return true;
}

static int post_finalize(struct request *r)
{
	const char *id, *expected, *next;
	struct worktree_result x;
	struct antares_fault f;
	json_t *body, *gen, *list, *cleaned;
	uint64_t generation;
	int rc;

	if (!antares_id_body(r, false, &id, &body) ||
	    request_text_plain(r, body, "expected_base_revision", false,
			       &expected) ||
	    request_text_plain(r, body, "new_base_revision", true, &next))
		return 0;
	gen = json_object_get(body, "expected_generation");
	list = json_object_get(body, "committed_paths");
	if ((gen && !json_is_null(gen) && !json_is_integer(gen)) ||
	    !good_paths(list))
		return reply_plain(r, 422, "committed_paths must be a list of "
				   "path and kind, expected_generation a "
				   "number");
	generation = (uint64_t)json_integer_value(gen);
	cleaned = json_array();
	rc = worktree_finalize(antares_of(r), id, expected, next,
			       json_is_integer(gen) ? &generation : NULL, list,
			       cleaned, &x, &f);
	if (!rc)
		return reply_result(r, id, "state", &x, cleaned);
	json_decref(cleaned);
	return antares_answer(r, rc, NULL, &f);
}

static int post_refresh(struct request *r)
{
	const char *id, *expected, *target;
	struct worktree_result x;
	struct antares_fault f;
	json_t *body;
	bool clean;
	int rc;

	if (!antares_id_body(r, false, &id, &body) ||
	    request_text_plain(r, body, "expected_base_revision", false,
			       &expected) ||
	    request_text_plain(r, body, "target_revision", true, &target) ||
	    !flag(r, body, "require_clean", true, &clean))
		return 0;
	rc = worktree_refresh(antares_of(r), id, expected, target, clean, &x,
			      &f);
	return rc ? antares_answer(r, rc, NULL, &f)
		  : reply_result(r, id, "disposition", &x, NULL);
}

#define ROUTES(at)                                                             \
	{ "GET", at "/mounts/{id}/changes", get_changes, 0 },                  \
	{ "GET", at "/mounts/{id}/worktree", get_worktree, 0 },                \
	{ "POST", at "/mounts/{id}/worktree/base", post_base, ROUTE_PLAIN },   \
	{ "POST", at "/mounts/{id}/worktree/refresh-plan", post_plan, ROUTE_PLAIN },\
	{ "POST", at "/mounts/{id}/fork", post_fork, ROUTE_PLAIN },            \
	{ "POST", at "/worktrees", post_worktrees, ROUTE_PLAIN },              \
	{ "GET", at "/worktrees/{id}/state", get_state, 0 },                   \
	{ "POST", at "/worktrees/{id}/commit-finalize", post_finalize, ROUTE_PLAIN },\
	{ "POST", at "/worktrees/{id}/refresh", post_refresh, ROUTE_PLAIN },   \
	{ NULL, NULL, NULL, 0 }

const struct route antares_worktree_routes[] = { ROUTES("/antares") };
const struct route antares_worktree_root_routes[] = { ROUTES("") };
