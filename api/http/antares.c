/* SPDX-License-Identifier: Apache-2.0 */
/* antares.c - /antares: a mount for each build job, as upstream offers it. What
 * is wrong with a request's form is answered in plain text, the rest as
 * {"error", "code"}. */
#include "api/antares/antares.h"

#include "api/http/antares.h"
#include "api/http/routes.h"
#include "core/clock.h"
#include "core/error.h"

#include <scorpio/version.h>

#define PROTOCOL 2

json_t *antares_text(const char *s)
{
	json_t *v = s ? json_string(s) : json_null();

	return v ? v : json_bytes(s, strlen(s));
}

static json_t *state_json(const struct antares_info *i)
{
	if (i->state != ANTARES_FAILED)
		return json_string(antares_state_name(i->state));
	return json_pack("{s:{s:o}}", "Failed", "reason",
			 antares_text(i->reason ? i->reason : ""));
}

json_t *antares_status(const struct antares_info *i)
{
	json_t *v = json_object();

	json_object_set_new(v, "mount_id", json_string(i->id));
	json_object_set_new(v, "job_id", antares_text(i->job));
	json_object_set_new(v, "path", antares_text(i->path));
	json_object_set_new(v, "cl", antares_text(i->cl));
	json_object_set_new(v, "mountpoint", antares_text(i->dir));
	json_object_set_new(v, "layers",
			    json_pack("{s:o,s:o,s:s}", "upper",
				      antares_text(i->upper), "cl",
				      antares_text(i->cl_dir), "dicfuse",
				      "shared"));
	json_object_set_new(v, "state", state_json(i));
	json_object_set_new(v, "created_at_epoch_ms",
			    json_integer(i->created_ms));
	json_object_set_new(v, "last_seen_epoch_ms",
			    json_integer(i->seen_ms));
	json_object_set_new(v, "base_revision", antares_text(i->base));
	return v;
}

int antares_answer(struct request *r, int err, struct antares_info *i,
		   const struct antares_fault *f)
{
	json_t *v;

	if (err || !i)
		return reply_error(r, f->status, f->code, "%s",
				   error_text(err));
	v = antares_status(i);
	antares_info_done(i);
	return reply_json(r, 200, v);
}

bool antares_id(struct request *r, const char **ret)
{
	*ret = request_param(r, "id");
	if (antares_is_id(*ret))
		return true;
	reply_plain(r, 400, "Invalid URL: %s is not a UUID", *ret);
	return false;
}

bool antares_id_body(struct request *r, bool optional, const char **ret_id,
		     json_t **ret)
{
	return antares_id(r, ret_id) && !request_json_plain(r, optional, ret);
}

struct antares *antares_of(struct request *r)
{
	return daemon_antares(request_ctx(r));
}

/* -- health ----------------------------------------------------------------------- */

static int get_health(struct request *r)
{
	static const char *const can[] = {
		"mount.v1", "ready.v1", "cl-live.v1", "changes.v1",
		"worktree-base.v1", "refresh-plan.v1", "worktree.attach.v2",
		"worktree.state.v2", "worktree.commit-finalize.v2",
		"worktree.refresh.v2", "fork.materialize.v1", "fork.chain.v1",
		NULL,
	};
	struct daemon *d = request_ctx(r);
	json_t *v = json_object(), *list = json_array();

	for (size_t i = 0; can[i]; i++)
		json_array_append_new(list, json_string(can[i]));
	json_object_set_new(v, "status", json_string("healthy"));
	json_object_set_new(v, "mount_count",
			    json_integer((json_int_t)antares_count(
				    antares_of(r))));
	json_object_set_new(v, "uptime_secs",
			    json_integer(daemon_uptime_ns(d) / NS_PER_S));
	json_object_set_new(v, "protocol_version", json_integer(PROTOCOL));
	json_object_set_new(v, "service", json_string("scorpio"));
	json_object_set_new(v, "service_version",
			    json_string(SCORPIO_VERSION));
	json_object_set_new(v, "capabilities", list);
	return reply_json(r, 200, v);
}

/* -- mounts ----------------------------------------------------------------------- */

static int post_mounts(struct request *r)
{
	struct antares_request q = { 0 };
	const struct {
		const char *key;
		bool optional;
		const char **to;
	} members[] = {
		{ "path", false, &q.path },   { "job_id", true, &q.job },
		{ "build_id", true, &q.build }, { "cl", true, &q.cl },
		{ "cl_path", true, &q.cl_path },
		{ "mountpoint", true, &q.mountpoint },
	};
	struct antares_fault f;
	struct antares_info i;
	json_t *body, *v;
	int e;

	if (request_json_plain(r, false, &body))
		return 0;
	for (size_t n = 0; n < ARRAY_SIZE(members); n++)
		if (request_text_plain(r, body, members[n].key,
				       members[n].optional, members[n].to))
			return 0;
	e = antares_create(antares_of(r), &q, &i, &f);
	if (e)
		return antares_answer(r, e, NULL, &f);
	v = json_pack("{s:s,s:o}", "mount_id", i.id, "mountpoint",
		      antares_text(i.dir));
	antares_info_done(&i);
	return reply_json(r, 200, v);
}

static void add_status(void *ctx, const struct antares_info *i)
{
	json_array_append_new(ctx, antares_status(i));
}

static int get_mounts(struct request *r)
{
	json_t *list = json_array();

	antares_each(antares_of(r), add_status, list);
	return reply_json(r, 200, json_pack("{s:o}", "mounts", list));
}

static int get_mount(struct request *r)
{
	struct antares_fault f;
	struct antares_info i;
	const char *id;

	if (!antares_id(r, &id))
		return 0;
	return antares_answer(r, antares_find(antares_of(r), id, &i, &f), &i,
			      &f);
}

static int delete_mount(struct request *r)
{
	struct antares_fault f;
	struct antares_info i;
	const char *id;

	if (!antares_id(r, &id))
		return 0;
	return antares_answer(r, antares_remove(antares_of(r), id, &i, &f), &i,
			      &f);
}

static int get_job(struct request *r)
{
	struct antares_fault f;
	struct antares_info i;
	int e = antares_find_job(antares_of(r), request_param(r, "job"), &i,
				 &f);

	return antares_answer(r, e, &i, &f);
}

static int delete_job(struct request *r)
{
	struct antares_fault f;
	struct antares_info i, now;
	int e = antares_find_job(antares_of(r), request_param(r, "job"), &i,
				 &f);

	if (e)
		return antares_answer(r, e, NULL, &f);
	e = antares_remove(antares_of(r), i.id, &now, &f);
	antares_info_done(&i);
	return antares_answer(r, e, &now, &f);
}

static int get_mount_ready(struct request *r)
{
	struct antares_fault f;
	struct antares_info i;
	const char *id;
	json_t *v;
	int e;

	if (!antares_id(r, &id))
		return 0;
	e = antares_find(antares_of(r), id, &i, &f);
	if (e)
		return antares_answer(r, e, NULL, &f);
	v = json_pack("{s:s,s:b,s:o}", "mount_id", i.id, "ready",
		      i.state == ANTARES_READY, "state", state_json(&i));
	antares_info_done(&i);
	return reply_json(r, 200, v);
}

/* -- change list ------------------------------------------------------------------- */

static int post_cl(struct request *r)
{
	struct antares_fault f;
	struct antares_info i;
	const char *id, *cl;
	json_t *body;

	if (!antares_id_body(r, false, &id, &body) ||
	    request_text_plain(r, body, "cl", false, &cl))
		return 0;
	return antares_answer(r, antares_set_cl(antares_of(r), id, cl, &i, &f),
			      &i, &f);
}

static int delete_cl(struct request *r)
{
	struct antares_fault f;
	struct antares_info i;
	const char *id;

	if (!antares_id(r, &id))
		return 0;
	return antares_answer(r,
			      antares_set_cl(antares_of(r), id, NULL, &i, &f),
			      &i, &f);
}

/* On the standalone program the same calls are at the root. */
#define ROUTES(at)                                                             \
	{ "GET", at "/health", get_health, ROUTE_PUBLIC },                     \
	{ "POST", at "/mounts", post_mounts, ROUTE_PLAIN },                    \
	{ "GET", at "/mounts", get_mounts, 0 },                                \
	{ "GET", at "/mounts/{id}", get_mount, 0 },                            \
	{ "DELETE", at "/mounts/{id}", delete_mount, 0 },                      \
	{ "GET", at "/mounts/by-job/{job}", get_job, 0 },                      \
	{ "DELETE", at "/mounts/by-job/{job}", delete_job, 0 },                \
	{ "GET", at "/mounts/{id}/ready", get_mount_ready, 0 },                \
	{ "POST", at "/mounts/{id}/cl", post_cl, ROUTE_PLAIN },                \
	{ "DELETE", at "/mounts/{id}/cl", delete_cl, 0 },                      \
	{ NULL, NULL, NULL, 0 }

const struct route antares_routes[] = { ROUTES("/antares") };
const struct route antares_root_routes[] = { ROUTES("") };
