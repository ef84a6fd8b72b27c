/* SPDX-License-Identifier: Apache-2.0 */
/* v1_git.c - /api/v1/mounts/{id}/git: the repository of a workspace. */
#include "api/gitwork/gitwork.h"
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "core/clock.h"
#include "core/error.h"

#define WAIT_MAX_S 3600

/* ?wait_s= waits while it is being prepared. */
static int get_git(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct fs_mount_info info;
	cleanup_free char *state = NULL;
	int64_t wait;
	json_t *v;
	int e = request_query_int(r, "wait_s", 0, 0, WAIT_MAX_S, &wait);

	if (!e)
		e = fs_find(daemon_fs(d), request_param(r, "id"), &info);
	if (e)
		return e;
	state = gitwork_state(daemon_gitwork(d), info.id,
			      wait ? deadline_in_ms(wait * 1000) : 0);
	v = json_pack("{s:s}", "id", info.id);
	json_object_set_new(v, "state", v1_text(state));
	if (state)
		json_object_set_new(v, "state_dir", v1_text(info.state_dir));
	fs_mount_info_done(&info);
	return reply_json(r, 200, v);
}

static int get_changed(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct buf answer = BUF_INIT;
	int e = gitwork_changed(daemon_gitwork(d), request_param(r, "id"),
				request_query(r, "since", ""), &answer);

	if (!e)
		e = reply_text(r, 200, "application/octet-stream", &answer);
	buf_done(&answer);
	return e;
}

const struct route v1_git_routes[] = {
	{ "GET", "/api/v1/mounts/{id}/git", get_git, 0 },
	{ "GET", "/api/v1/mounts/{id}/git/changed", get_changed, 0 },
	{ NULL, NULL, NULL, 0 },
};
