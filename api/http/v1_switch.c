/* SPDX-License-Identifier: Apache-2.0 */
/* v1_switch.c - POST /api/v1/mounts/{id}/switch: another revision. */
#include "api/gitwork/gitwork.h"
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define SWITCH_TIMEOUT_S 120
#define CONFLICTS_MAX 1000

static void conflict(void *ctx, const char *path, const char *why)
{
	json_t *list = ctx;

	if (json_array_size(list) < CONFLICTS_MAX)
		json_array_append_new(list, json_pack("{s:o,s:s}", "path",
						      v1_text(path), "why",
						      why));
}

struct moving {
	struct mounts *mounts;
	const char *id;
	json_t *conflicts; /* of the last call */
};

static int move_files(void *ctx, const struct fs_switch_request *r,
		      struct fs_switch_result *ret)
{
	struct moving *x = ctx;

	json_array_clear(x->conflicts);
	return mounts_switch(x->mounts, x->id, r, ret, conflict, x->conflicts);
}

static json_t *answer(const struct fs_switch_result *x, bool dry_run,
		      json_t *conflicts /* takes */)
{
	json_t *v = json_object();

	json_object_set_new(v, "old_rev", v1_text(x->old_rev));
	json_object_set_new(v, "rev", v1_text(x->new_rev));
	json_object_set_new(v, "label", v1_text(x->label));
	json_object_set_new(v, "dry_run", json_boolean(dry_run));
	v1_set(v, "changed", x->changed);
	v1_set(v, "added", x->added);
	v1_set(v, "removed", x->removed);
	v1_set(v, "kept", x->kept);
	v1_set(v, "requests", x->requests);
	v1_set(v, "notifications", x->notices);
	v1_set(v, "ns", (uint64_t)x->ns);
	v1_set(v, "apply_ns", (uint64_t)x->apply_ns);
	v1_set(v, "conflict_count", x->conflicts);
	json_object_set_new(v, "conflicts", conflicts);
	return v;
}

static int post_switch(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct fs_switch_request q = { 0 };
	struct fs_switch_result x;
	struct moving m = { daemon_mounts(d), request_param(r, "id"), NULL };
	cleanup_free char *rev = NULL, *git = NULL;
	const char *text;
	json_t *body, *v;
	int e;

	if (request_json(r, false, &body))
		return 0;
	if (request_text(r, body, "rev", false, &text))
		return 0;
	e = v1_bytes(text, &rev);
	if (!e)
		e = v1_deadline(r, body, SWITCH_TIMEOUT_S, &q.deadline);
	if (e)
		return e;
	q.rev = rev;
	q.force = json_get_bool(body, "force", false);
	q.dry_run = json_get_bool(body, "dry_run", false);
	m.conflicts = json_array();
	if (gitwork_settle(daemon_gitwork(d), m.id, q.deadline))
		log_debug("api", "%s: %s", m.id, error_text(-EIO));
	e = gitwork_switch(daemon_gitwork(d), m.id, &q, move_files, &m, &x,
			   &git);
	if (e) {
		json_decref(m.conflicts);
		return e;
	}
	v = answer(&x, q.dry_run, m.conflicts);
	json_object_set_new(v, "git", v1_text(git));
	return reply_json(r, 200, v);
}

const struct route v1_switch_routes[] = {
	{ "POST", "/api/v1/mounts/{id}/switch", post_switch, 0 },
	{ NULL, NULL, NULL, 0 },
};
