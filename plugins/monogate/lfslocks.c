/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lfslocks.c - the locks API. Locks are kept with the repository or in
 * lfs_directory; those of another LFS server are asked for there. A lock holds
 * on all branches. Who sees a directory as a repository sees its locks by their
 * paths in it.
 *
 * Source: git-lfs docs/api/locking.md.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lfs.h"
#include "locks.h"
#include "relay.h"

#define OWNER_CAP 128

/* A lock as it is told: its path is the one that is seen. */
static json_t *told(const json_t *lock, const char *path)
{
	json_t *v = json_copy((json_t *)(uintptr_t)lock);

	json_object_set_new(v, "path", json_string(path));
	return v;
}

static int say_error(struct gate *g, struct scorpio_request *r, int rc)
{
	int status = rc == -EIO	    ? 500 :
		     rc == -EACCES  ? 403 :
		     rc == -ENOSPC  ? 507 :
		     rc == -EINVAL  ? 422 :
				      gate_status_of(rc);

	return lfs_say(g, r, status, g->host->error_text(g->host, rc));
}

/* Locks at all? If not, it has been answered. */
static bool has_locks(struct gate *g, struct scorpio_request *r, int *ret)
{
	if (g->lfs->locks)
		return true;
	*ret = lfs_say(g, r, 501, "this gateway keeps no locks: its source is "
		       "no repository of its machine, nor is "
		       "monogate.lfs_directory set");
	return false;
}

/* Who asks; if they may not, it has been answered. */
static bool may_lock(struct gate *g, struct scorpio_request *r,
		     char owner[OWNER_CAP], int *ret)
{
	if (!g->push_token)
		*ret = lfs_say(g, r, 403, "this gateway takes no locks: "
			       "monogate.push_token is not set");
	else if (!gate_pusher(g, r, owner, OWNER_CAP))
		*ret = lfs_say(g, r, 401, "locks need the gateway's push token "
			       "as password");
	else
		return true;
	return false;
}

/* To where the objects come from. True: it has been answered. */
static bool passed_on(struct gate *g, struct scorpio_request *r,
		      const char *what, int *ret)
{
	static const char *const keys[] = { "path", "id", "cursor", "limit",
					    "refspec", NULL };
	bool writes = !strcmp(g->http->method(r), "POST");
	char owner[OWNER_CAP], *url;
	int rc;

	if (!g->lfs->upstream)
		return false;
	if (writes && !gate_may_write_far(g, r) && !may_lock(g, r, owner, ret))
		return true;
	url = relay_url(g, r, g->lfs->upstream, what, keys);
	rc = url ? relay_send(g, r, url, RELAY_ONCE | (writes ?
				   RELAY_WRITES : 0u)) : -ENOMEM;
	*ret = rc ? say_error(g, r, rc) : 0;
	free(url);
	return true;
}

/* -- lists -------------------------------------------------------------------- */

struct wanted {
	struct ask_page page;
	const char *path, *id; /* NULL: any */
	char below[GATE_PATH_MAX];
};

static bool fits(const json_t *lock, const struct wanted *w)
{
	const char *path = locks_seen(lock, w->below);
	const char *id = json_string_value(json_object_get(lock, "id"));

	return path && atoll(id) >= w->page.from &&
	       (!w->path || !strcmp(w->path, path)) &&
	       (!w->id || !strcmp(w->id, id));
}

/* A page of them into lists[0], those of others than `owner` into lists[1]. The
 * cursor is the id of the first on the next page. */
static json_t *fill(const json_t *locks, const struct wanted *w,
		    const char *owner, json_t *const lists[2])
{
	const json_t *v;
	size_t i, n = 0;

	json_array_foreach(locks, i, v) {
		const char *whose = json_string_value(json_object_get(
			json_object_get(v, "owner"), "name"));

		if (!fits(v, w))
			continue;
		if (n++ == w->page.n)
			return json_incref(json_object_get(v, "id"));
		json_array_append_new(lists[owner && strcmp(owner, whose)],
				      told(v, locks_seen(v, w->below)));
	}
	return NULL;
}

/* owner NULL: all are `locks`. */
static int send_list(struct gate *g, struct scorpio_request *r,
		     const struct wanted *w, const char *owner)
{
	json_t *lists[2] = { json_array(), json_array() }, *locks, *next, *v;
	int rc = locks_read(g->host, g->lfs->locks, &locks);

	v = json_object();
	if (!rc) {
		next = fill(locks, w, owner, lists);
		json_decref(locks);
		json_object_set(v, owner ? "ours" : "locks", lists[0]);
		if (owner)
			json_object_set(v, "theirs", lists[1]);
		if (next)
			json_object_set_new(v, "next_cursor", next);
		json_incref(v);
		rc = lfs_json(g, r, 200, v);
	} else {
		rc = say_error(g, r, rc);
	}
	json_decref(v);
	json_decref(lists[0]);
	json_decref(lists[1]);
	return rc;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

int gate_lfs_locks(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct wanted w = {
		.path = or_null(g->http->query(r, "path", NULL)),
		.id = or_null(g->http->query(r, "id", NULL)),
	};
	int rc;

	if (passed_on(g, r, "locks", &rc) || !has_locks(g, r, &rc))
		return rc;
	gate_repo_path(g->http->param(r, "at"), w.below);
	if (!ask_page(g->http->query(r, "cursor", NULL),
		      g->http->query(r, "limit", NULL), &w.page))
		return lfs_say(g, r, 422, "cursor: one of ours; limit: a "
			       "number above 0");
	return send_list(g, r, &w, NULL);
}

int gate_lfs_verify(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	char owner[OWNER_CAP], number[32];
	struct wanted w = { 0 };
	const json_t *limit;
	json_t *v = NULL;
	int rc;
	bool ok;

	if (passed_on(g, r, "locks/verify", &rc) || !has_locks(g, r, &rc) ||
	    !may_lock(g, r, owner, &rc))
		return rc;
	rc = lfs_body(g, r, &v);
	if (rc)
		return lfs_say(g, r, 400, g->host->error_text(g->host, rc));
	gate_repo_path(g->http->param(r, "at"), w.below);
	limit = json_object_get(v, "limit");
	snprintf(number, sizeof(number), "%lld",
		 (long long)json_integer_value(limit));
	/* git-lfs sends 0 where it has no wish */
	ok = ask_page(json_string_value(json_object_get(v, "cursor")),
		      json_integer_value(limit) ? number : NULL, &w.page);
	rc = ok ? send_list(g, r, &w, owner) :
		  lfs_say(g, r, 422, "cursor: one of ours; limit: a number "
			  "above 0");
	json_decref(v);
	return rc;
}

/* -- changes ------------------------------------------------------------------ */

static int send_lock(struct gate *g, struct scorpio_request *r, int status,
		     json_t *lock, const char *below, const char *text)
{
	const char *path = locks_seen(lock, below);
	json_t *v = json_pack("{s:o}", "lock", told(lock, path ? path : ""));

	if (text)
		json_object_set_new(v, "message", json_string(text));
	json_decref(lock);
	return lfs_json(g, r, status, v);
}

/* The path in the whole repository. */
static int make_lock(struct gate *g, struct scorpio_request *r,
		     const char *path, const char *owner)
{
	char full[GATE_PATH_MAX + ASK_PATH_MAX + 2], below[GATE_PATH_MAX];
	json_t *lock = NULL;
	int rc;

	gate_repo_path(g->http->param(r, "at"), below);
	snprintf(full, sizeof(full), "%s%s%s", below, *below ? "/" : "", path);
	if (!ask_path_ok(full))
		return lfs_say(g, r, 422, "path: not a file's path");
	rc = locks_add(g->host, g->lfs->locks, full, owner, &lock);
	if (rc == -EEXIST)
		return send_lock(g, r, 409, lock, below,
				 "already created lock");
	return rc ? say_error(g, r, rc) :
		    send_lock(g, r, 201, lock, below, NULL);
}

int gate_lfs_lock(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	char owner[OWNER_CAP];
	const char *why;
	json_t *v = NULL;
	char *text;
	size_t n;
	int rc, status;

	if (passed_on(g, r, "locks", &rc) || !has_locks(g, r, &rc) ||
	    !may_lock(g, r, owner, &rc))
		return rc;
	rc = lfs_text(g, r, &text, &n);
	if (rc)
		return lfs_say(g, r, 400, g->host->error_text(g->host, rc));
	why = ask_lock(text, n, &v, &status);
	free(text);
	if (why)
		return lfs_say(g, r, status, why);
	rc = make_lock(g, r, json_string_value(json_object_get(v, "path")),
		       owner);
	json_decref(v);
	return rc;
}

int gate_lfs_unlock(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *id = g->http->param(r, "id");
	char owner[OWNER_CAP], what[128], below[GATE_PATH_MAX];
	struct ask_page at;
	json_t *v = NULL, *lock = NULL;
	bool force;
	int rc;

	if (!ask_page(id, NULL, &at) && !g->lfs->upstream)
		return lfs_say(g, r, 404, "there is no such lock");
	if (strlen(id) > 64 || strpbrk(id, "/?#%"))
		return lfs_say(g, r, 404, "there is no such lock");
	snprintf(what, sizeof(what), "locks/%s/unlock", id);
	if (passed_on(g, r, what, &rc) || !has_locks(g, r, &rc) ||
	    !may_lock(g, r, owner, &rc))
		return rc;
	rc = lfs_body(g, r, &v);
	if (rc)
		return lfs_say(g, r, 400, g->host->error_text(g->host, rc));
	force = json_is_true(json_object_get(v, "force"));
	json_decref(v);
	gate_repo_path(g->http->param(r, "at"), below);
	rc = locks_drop(g->host, g->lfs->locks, at.from, below,
			force ? NULL : owner, &lock);
	return rc ? say_error(g, r, rc) :
		    send_lock(g, r, 200, lock, below, NULL);
}
