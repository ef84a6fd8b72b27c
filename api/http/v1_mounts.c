/* SPDX-License-Identifier: Apache-2.0 */
/* v1_mounts.c - /api/v1/mounts: see, make and remove mounts. An {id} may also
 * be the percent-encoded mountpoint. */
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "api/stack.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/registry.h"

#define MOUNT_TIMEOUT_S 120
#define COUNT_MAX 20000 /* changes, for a remark at unmount */
#define COUNT_MS 2000
#define REDIRECTS_MAX 64

static int get_mounts(struct request *r)
{
	return reply_json(r, 200, json_pack("{s:o}", "mounts",
					    v1_mounts(request_ctx(r))));
}

struct asked { /* a request to mount; strings owned */
	char *source, *dir, *rev, *subdir, *job, *workspace;
	char **redirect; /* NULL-terminated, or NULL */
	struct fs_mount_request fs;
};

static void asked_done(struct asked *a)
{
	free(a->source);
	free(a->dir);
	free(a->rev);
	free(a->subdir);
	free(a->job);
	free(a->workspace);
	for (char **p = a->redirect; p && *p; p++)
		free(*p);
	free(a->redirect);
}

/* Fetch a text member into *ret; 0 or an answer was given (r->replied). */
static int member(struct request *r, json_t *body, const char *key,
		  bool optional, char **ret, bool *answered)
{
	const char *text;

	*answered = request_text(r, body, key, optional, &text);
	if (*answered || !text)
		return 0;
	return v1_bytes(text, ret);
}

static int texts(struct request *r, json_t *body, struct asked *a,
		 bool *answered)
{
	struct {
		const char *key;
		bool optional;
		char **to;
	} list[] = {
		{ "source", false, &a->source }, { "dir", false, &a->dir },
		{ "rev", true, &a->rev },	 { "subdir", true, &a->subdir },
		{ "job", true, &a->job },
		{ "workspace", true, &a->workspace },
	};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		int e = member(r, body, list[i].key, list[i].optional,
			       list[i].to, answered);

		if (e || *answered)
			return e;
	}
	return 0;
}

static void configured(struct daemon *d, struct fs_mount_request *f)
{
	struct config *c = daemon_config(d);
	const char *other = config_string(c, "fs.allow_other");

	mounts_metadata(config_string(c, "fs.metadata"), &f->metadata);
	f->uid = config_is_set(c, "fs.uid") ? config_int(c, "fs.uid") : -1;
	f->gid = config_is_set(c, "fs.gid") ? config_int(c, "fs.gid") : -1;
	f->allow_other = !other || !strcmp(other, "auto") ? -1
			 : !strcmp(other, "true");
	config_put(c);
}

/* "redirect": paths, or one. */
static int redirects(struct asked *a, const json_t *body)
{
	json_t *v = json_object_get(body, "redirect");
	size_t n = json_is_array(v) ? json_array_size(v) : 1;
	int e = 0;

	if (!v || json_is_null(v) || !n)
		return 0;
	if (n > REDIRECTS_MAX)
		return fail(-EINVAL, "more than %d redirected directories",
			    REDIRECTS_MAX);
	a->redirect = xcalloc(n + 1, sizeof(*a->redirect));
	for (size_t i = 0; i < n && !e; i++) {
		json_t *x = json_is_array(v) ? json_array_get(v, i) : v;

		if (!json_is_string(x))
			return fail(-EINVAL, "redirect must be a list of "
				    "paths");
		e = v1_bytes(json_string_value(x), &a->redirect[i]);
	}
	return e;
}

static int check(const struct asked *a, const json_t *body,
		 struct fs_mount_request *f)
{
	const char *metadata = json_get_text(body, "metadata", NULL);
	cleanup_free char *address = stack_address(a->source);

	if (a->dir[0] != '/')
		return fail(-EINVAL, "dir must be an absolute path, not \"%s\"",
			    a->dir);
	if (!registry_by_url(address))
		return fail(-EINVAL, "no backend takes \"%s\"; there are: %s",
			    a->source, registry_schemes());
	if (metadata && !mounts_metadata(metadata, &f->metadata))
		return fail(-EINVAL, "metadata must be auto, full or "
			    "ondemand");
	f->read_only = json_get_bool(body, "read_only",
				     !a->workspace &&
					     !mounts_writable(a->source));
	if (f->read_only && a->workspace)
		return fail(-EINVAL, "a read-only view has no workspace");
	if (f->read_only && a->redirect)
		return fail(-EINVAL, "a read-only view has no redirected "
			    "directories");
	f->uid = json_get_int(body, "uid", f->uid);
	f->gid = json_get_int(body, "gid", f->gid);
	if (f->uid < -1 || f->uid >= UINT32_MAX || f->gid < -1 ||
	    f->gid >= UINT32_MAX)
		return fail(-EINVAL, "uid and gid must be numbers from 0 to "
			    "4294967294");
	if (json_is_boolean(json_object_get(body, "allow_other")))
		f->allow_other = json_get_bool(body, "allow_other", false);
	return 0;
}

static int make(struct request *r, struct asked *a, json_t *body)
{
	struct daemon *d = request_ctx(r);
	struct fs_mount_info info;
	json_t *v;
	int e;

	configured(d, &a->fs);
	e = redirects(a, body);
	if (!e)
		e = check(a, body, &a->fs);
	if (!e)
		e = v1_deadline(r, body, MOUNT_TIMEOUT_S, &a->fs.deadline);
	if (e)
		return e;
	a->fs.source = a->source;
	a->fs.dir = a->dir;
	a->fs.rev = a->rev;
	a->fs.subdir = a->subdir;
	a->fs.job = a->job;
	a->fs.redirect = (const char *const *)a->redirect;
	a->fs.transient = !a->fs.read_only && !a->workspace;
	if (a->fs.transient)
		a->workspace = mounts_workspace(a->source, a->dir, a->subdir);
	a->fs.workspace = a->workspace;
	e = mounts_add(daemon_mounts(d), &a->fs, &info);
	if (e)
		return e;
	v = v1_mount(d, &info);
	fs_mount_info_done(&info);
	return reply_json(r, 201, v);
}

static int post_mounts(struct request *r)
{
	struct asked a = { 0 };
	bool answered;
	json_t *body;
	int e;

	if (request_json(r, false, &body))
		return 0;
	e = texts(r, body, &a, &answered);
	if (!e && !answered)
		e = make(r, &a, body);
	asked_done(&a);
	return e;
}

static int get_mount(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct fs_mount_info info;
	json_t *v;
	int e = fs_find(daemon_fs(d), request_param(r, "id"), &info);

	if (e)
		return e;
	v = v1_mount(d, &info);
	fs_mount_info_done(&info);
	return reply_json(r, 200, v);
}

static int count_one(void *ctx, const struct fs_change *c UNUSED)
{
	++*(int64_t *)ctx;
	return 0;
}

/* How many changes there are; -1: too many to count for a remark. */
static int64_t count_changes(struct daemon *d, const struct fs_mount_info *i)
{
	int64_t n = 0;

	if (!i->workspace || i->changed > COUNT_MAX ||
	    fs_changes(daemon_fs(d), i->id, deadline_in_ms(COUNT_MS),
		       count_one, &n))
		return -1;
	return n;
}

/* What an unmounted workspace leaves. */
static void tell_kept(json_t *v, const char *state_dir, int64_t changes)
{
	if (!state_dir)
		return;
	json_object_set_new(v, "kept", json_boolean(!access(state_dir, F_OK)));
	if (changes >= 0)
		v1_set(v, "changes", (uint64_t)changes);
}

static int delete_mount(struct request *r)
{
	struct daemon *d = request_ctx(r);
	const char *id = request_param(r, "id");
	cleanup_free char *state_dir = NULL;
	struct fs_mount_info info;
	int64_t changes = -1;
	json_t *v;
	int e;

	if (fs_find(daemon_fs(d), id, &info)) {
		v = json_pack("{s:n,s:o}", "id", "dir", v1_text(id));
	} else {
		v = v1_mount(d, &info);
		state_dir = info.state_dir ? xstrdup(info.state_dir) : NULL;
		changes = count_changes(d, &info);
		fs_mount_info_done(&info);
	}
	e = mounts_remove(daemon_mounts(d), id, request_query_bool(r, "lazy"));
	if (e) {
		json_decref(v);
		return e;
	}
	json_object_set_new(v, "state", json_string("unmounted"));
	tell_kept(v, state_dir, changes);
	return reply_json(r, 200, v);
}

const struct route v1_mounts_routes[] = {
	{ "GET", "/api/v1/mounts", get_mounts, 0 },
	{ "POST", "/api/v1/mounts", post_mounts, 0 },
	{ "GET", "/api/v1/mounts/{id}", get_mount, 0 },
	{ "DELETE", "/api/v1/mounts/{id}", delete_mount, 0 },
	{ NULL, NULL, NULL, 0 },
};
