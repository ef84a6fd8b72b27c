/* SPDX-License-Identifier: Apache-2.0 */
/* v1_changes.c - what a workspace changed: list, journal, original content,
 * discarding; and the workspaces on disk. */
#include "api/gitwork/gitwork.h"
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define CHANGES_TIMEOUT_S 120
#define JOURNAL_WAIT_S 30
#define JOURNAL_WAIT_MAX_S 600
#define JOURNAL_BATCH 10000u  /* entries of one answer */
#define JOURNAL_SLICE_MS 500  /* how soon a stopping daemon is noticed */
#define ORIGINAL_MAX (64 * MiB)

static const char *const change_names[] = {
	[FS_ADDED] = "added",	      [FS_MODIFIED] = "modified",
	[FS_DELETED] = "deleted",     [FS_RENAMED] = "renamed",
	[FS_TYPECHANGE] = "type",     [FS_MODE] = "mode",
};

static json_t *mode_json(uint32_t mode)
{
	return mode ? json_sprintf("%06o", mode) : json_null();
}

/* -- the list ---------------------------------------------------------------------- */

struct changes_list {
	json_t *list;
	const char *below;   /* only what is at or below; NULL = all */
};

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !n || (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

static int add_change(void *ctx, const struct fs_change *c)
{
	struct changes_list *l = ctx;
	json_t *v;

	if (l->below && !is_below(c->path, l->below))
		return 0;
	v = json_object();
	json_object_set_new(v, "kind", json_string(change_names[c->kind]));
	json_object_set_new(v, "path", v1_text(c->path));
	json_object_set_new(v, "from", v1_text(c->from));
	json_object_set_new(v, "mode", mode_json(c->mode));
	if (c->kind == FS_DELETED || c->size == SCORPIO_SIZE_UNKNOWN)
		json_object_set_new(v, "size", json_null());
	else
		v1_set(v, "size", c->size);
	json_object_set_new(v, "modified", json_boolean(c->modified));
	json_array_append_new(l->list, v);
	return 0;
}

/* The path of a query: bytes, without slashes at its ends. */
static char *clean_path(const char *path)
{
	size_t n;

	while (*path == '/')
		path++;
	n = strlen(path);
	while (n && path[n - 1] == '/')
		n--;
	return n == 1 && *path == '.' ? xstrdup("") : xstrndup(path, n);
}

static int get_changes(struct request *r)
{
	cleanup_free char *below = clean_path(request_query(r, "path", ""));
	struct daemon *d = request_ctx(r);
	struct changes_list l = { .list = json_array(), .below = below };
	struct fs_mount_info info;
	int64_t deadline = 0;
	json_t *v;
	int e = v1_deadline(r, NULL, CHANGES_TIMEOUT_S, &deadline);

	if (!e)
		e = fs_find(daemon_fs(d), request_param(r, "id"), &info);
	if (e) {
		json_decref(l.list);
		return e;
	}
	if (gitwork_settle(daemon_gitwork(d), info.id, deadline))
		log_debug("api", "%s: %s", info.dir, error_text(-EIO));
	e = fs_changes(daemon_fs(d), info.id, deadline, add_change, &l);
	if (e) {
		json_decref(l.list);
		fs_mount_info_done(&info);
		return e;
	}
	v = json_pack("{s:s,s:o,s:o}", "id", info.id, "dir",
		      v1_text(info.dir), "workspace", v1_text(info.workspace));
	json_object_set_new(v, "rev", v1_text(info.rev));
	v1_set(v, "count", json_array_size(l.list));
	json_object_set_new(v, "changes", l.list);
	fs_mount_info_done(&info);
	return reply_json(r, 200, v);
}

/* -- original content ---------------------------------------------------------------- */

struct original {
	struct buf text;
	uint64_t size;
	bool count_only;
};

static int take_original(void *ctx, const void *p, size_t n)
{
	struct original *o = ctx;

	o->size += n;
	if (o->count_only)
		return 0;
	if (o->size > ORIGINAL_MAX)
		return -EFBIG;
	buf_put(&o->text, p, n);
	return 0;
}

static int get_original(struct request *r)
{
	cleanup_free char *path = clean_path(request_query(r, "path", ""));
	struct daemon *d = request_ctx(r);
	struct original o = { .text = BUF_INIT,
			      .count_only = request_query_bool(r, "info") };
	int64_t deadline = 0;
	uint32_t mode = 0;
	int e = v1_deadline(r, NULL, CHANGES_TIMEOUT_S, &deadline);

	if (!e)
		e = fs_original(daemon_fs(d), request_param(r, "id"), path,
				deadline, &mode, take_original, &o);
	if (e == -EISDIR && o.count_only)
		e = 0;
	if (e == -EFBIG) {
		e = reply_error(r, 413, "TOO_LARGE", "%s has more than %lld "
				"MiB in the revision", path,
				(long long)(ORIGINAL_MAX / MiB));
	} else if (e == -EISDIR) {
		e = reply_error(r, 409, "IS_A_DIRECTORY", "%s is a directory "
				"in the revision", path);
	} else if (!e && o.count_only) {
		json_t *v = json_pack("{s:o,s:o}", "path", v1_text(path),
				      "mode", mode_json(mode));

		v1_set(v, "size", o.size);
		e = reply_json(r, 200, v);
	} else if (!e) {
		e = reply_text(r, 200, "application/octet-stream", &o.text);
	}
	buf_done(&o.text);
	return e;
}

/* -- reset ------------------------------------------------------------------------------ */

static int do_reset(struct request *r, json_t *body, const char *path)
{
	struct fs *f = daemon_fs(request_ctx(r));
	const char *id = request_param(r, "id");
	struct changes_list l = { .list = json_array(), .below = path };
	int64_t deadline = 0;
	int e = v1_deadline(r, body, CHANGES_TIMEOUT_S, &deadline);

	if (!e)
		e = fs_changes(f, id, deadline, add_change, &l);
	if (!e)
		e = fs_reset(f, id, path, deadline);
	if (e) {
		json_decref(l.list);
		return e;
	}
	return reply_json(r, 200, json_pack("{s:o,s:o}", "path",
					    v1_text(path), "reset", l.list));
}

static int post_reset(struct request *r)
{
	cleanup_free char *bytes = NULL, *path = NULL;
	const char *text;
	json_t *body;
	bool all;
	int e = 0;

	if (request_json(r, false, &body))
		return 0;
	all = json_get_bool(body, "all", false);
	if (request_text(r, body, "path", all, &text))
		return 0;
	if (all && text)
		return fail(-EINVAL, "either a path or \"all\": true");
	if (text)
		e = v1_bytes(text, &bytes);
	if (e)
		return e;
	path = clean_path(bytes ? bytes : "");
	if (!all && !*path)
		return fail(-EINVAL, "to discard every change say \"all\": "
			    "true");
	return do_reset(r, body, path);
}

/* -- journal --------------------------------------------------------------------------- */

static const char *const journal_names[] = {
	[FS_JOURNAL_CREATE] = "create", [FS_JOURNAL_MODIFY] = "modify",
	[FS_JOURNAL_REMOVE] = "remove", [FS_JOURNAL_RENAME] = "rename",
	[FS_JOURNAL_ATTRS] = "attributes", [FS_JOURNAL_RESET] = "reset",
};

static int add_entry(void *ctx, const struct fs_journal_entry *e)
{
	json_t *list = ctx, *v = json_object();

	v1_set(v, "seq", e->seq);
	json_object_set_new(v, "kind", json_string(journal_names[e->kind]));
	json_object_set_new(v, "path", v1_text(e->path));
	json_object_set_new(v, "from", v1_text(e->from));
	json_object_set_new(v, "directory", json_boolean(e->is_dir));
	json_array_append_new(list, v);
	return json_array_size(list) >= JOURNAL_BATCH;
}

static json_t *clock_json(struct fs_clock c)
{
	return json_sprintf("%llx:%llu", (unsigned long long)c.generation,
			    (unsigned long long)c.seq);
}

static bool parse_clock(const char *s, struct fs_clock *ret)
{
	char *end;

	errno = 0;
	if (!strspn(s, "0123456789abcdef"))
		return false;
	ret->generation = strtoull(s, &end, 16);
	if (errno || *end != ':' || !strspn(end + 1, "0123456789"))
		return false;
	ret->seq = strtoull(end + 1, &end, 10);
	return !errno && !*end && ret->generation;
}

static int too_old(struct request *r, struct fs_clock now)
{
	return reply_json(r, 410, json_pack(
		"{s:s,s:s,s:o}", "error", "what happened since then is not "
		"known any more: look at everything again and go on from the "
		"clock given here", "code", "TOO_OLD", "clock",
		clock_json(now)));
}

/* Waits in slices: a daemon that stops does not wait for us. */
static int follow(struct request *r, struct fs_clock *at, int64_t until,
		  json_t *list)
{
	struct fs *f = daemon_fs(request_ctx(r));
	const char *id = request_param(r, "id");
	struct fs_clock next;
	int e;

	do {
		int64_t slice = MIN(until, deadline_in_ms(JOURNAL_SLICE_MS));

		e = fs_journal(f, id, *at, slice, add_entry, list, &next);
		if (!e || e == -ESTALE)
			*at = next;
	} while (!e && !json_array_size(list) && now_ns() < until &&
		 !call_cancelled());
	return e;
}

static int get_journal(struct request *r)
{
	const char *since = request_query(r, "since", "");
	struct fs_clock at = { 0, 0 };
	json_t *list;
	int64_t wait;
	int e = request_query_int(r, "timeout", JOURNAL_WAIT_S, 0,
				  JOURNAL_WAIT_MAX_S, &wait);

	if (e)
		return e;
	if (*since && !parse_clock(since, &at))
		return fail(-EINVAL, "since must be a clock as given by this "
			    "call, not \"%s\"", since);
	list = json_array();
	e = follow(r, &at, *since ? deadline_in_ms(wait * 1000) : 0, list);
	if (e) {
		json_decref(list);
		return e == -ESTALE ? too_old(r, at) : e;
	}
	return reply_json(r, 200, json_pack("{s:o,s:o}", "clock",
					    clock_json(at), "entries", list));
}

/* -- workspaces on disk ---------------------------------------------------------------- */

static int add_workspace(void *ctx, const struct fs_workspace *w)
{
	json_t *v = json_object();
	char url[1024];

	json_object_set_new(v, "name", v1_text(w->name));
	json_object_set_new(v, "source",
			    v1_text(log_redact(w->source, url, sizeof(url))));
	json_object_set_new(v, "subdir", v1_text(w->subdir));
	json_object_set_new(v, "rev", v1_text(w->rev));
	json_object_set_new(v, "dir", w->dir && *w->dir ? v1_text(w->dir)
							: json_null());
	json_object_set_new(v, "state_dir", v1_text(w->state_dir));
	v1_set(v, "created_ms", (uint64_t)(w->created_ns / NS_PER_MS));
	v1_set(v, "disk_bytes", w->disk_bytes);
	json_array_append_new(ctx, v);
	return 0;
}

static int get_workspaces(struct request *r)
{
	json_t *list = json_array();
	int e = fs_workspaces(daemon_fs(request_ctx(r)), add_workspace, list);

	if (e) {
		json_decref(list);
		return e;
	}
	return reply_json(r, 200, json_pack("{s:o}", "workspaces", list));
}

static int delete_workspace(struct request *r)
{
	const char *name = request_param(r, "name");
	int e = fs_workspace_remove(daemon_fs(request_ctx(r)), name);

	return e ? e : reply_json(r, 200, json_pack("{s:o,s:b}", "name",
						    v1_text(name), "removed",
						    1));
}

const struct route v1_changes_routes[] = {
	{ "GET", "/api/v1/mounts/{id}/changes", get_changes, 0 },
	{ "GET", "/api/v1/mounts/{id}/original", get_original, 0 },
	{ "GET", "/api/v1/mounts/{id}/journal", get_journal, 0 },
	{ "POST", "/api/v1/mounts/{id}/reset", post_reset, 0 },
	{ "GET", "/api/v1/workspaces", get_workspaces, 0 },
	{ "DELETE", "/api/v1/workspaces/{name}", delete_workspace, 0 },
	{ NULL, NULL, NULL, 0 },
};
