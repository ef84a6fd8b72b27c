/* SPDX-License-Identifier: Apache-2.0 */
/* classic_git.c - /api/git, as upstream's first clients know it. */
#include "api/classic/git.h"

#include "api/http/antares.h"
#include "api/http/routes.h"
#include "core/error.h"

static struct classic *classic_of(struct request *r)
{
	request_deprecated(r);
	return daemon_classic(request_ctx(r));
}

static int text(struct request *r, int rc, const char *ok)
{
	cleanup_buf struct buf none = BUF_INIT;

	if (rc)
		return reply_plain(r, 500, "Error: %s", error_text(rc));
	if (!*ok)
		return reply_text(r, 200, "text/plain; charset=utf-8", &none);
	return reply_plain(r, 200, "%s", ok);
}

static int get_status(struct request *r)
{
	struct classic *c = classic_of(r);
	const char *path = request_query(r, "path", NULL);
	cleanup_free char *upper = NULL;
	cleanup_buf struct buf says = BUF_INIT;
	struct classic_work w = { 0 };
	struct fs_mount_info info;
	int rc;

	if (!path)
		return reply_plain(r, 400, "the query lacks \"path\"");
	rc = classic_git_status(c, path, &w, &says);
	if (!rc && !fs_find(daemon_fs(request_ctx(r)), w.top, &info)) {
		upper = info.state_dir ? xstrdup(info.state_dir) : NULL;
		fs_mount_info_done(&info);
	}
	rc = reply_json(r, 200, json_pack(
		"{s:s,s:o,s:o,s:o,s:o}", "status", rc ? "Fail" : "Success",
		"mono_path", antares_text(rc ? path : w.path), "upper_path",
		antares_text(upper ? upper : ""), "lower_path",
		antares_text(rc ? "" : w.dir), "message",
		antares_text(rc ? error_text(rc) : buf_str(&says))));
	classic_work_done(&w);
	return rc;
}

static int post(struct request *r, const char *key,
		int (*fn)(struct classic *c, const char *path), const char *ok)
{
	struct classic *c = classic_of(r);
	const char *path;
	json_t *body;

	if (request_json_plain(r, false, &body) ||
	    request_text_plain(r, body, key, false, &path))
		return 0;
	return text(r, fn(c, path), ok);
}

static int post_add(struct request *r)
{
	return post(r, "mono_path", classic_git_add, "");
}

static int post_push(struct request *r)
{
	return post(r, "mono_path", classic_git_push, "Push successful");
}

static int post_reset(struct request *r)
{
	return post(r, "path", classic_git_reset, "");
}

static int post_commit(struct request *r)
{
	struct classic *c = classic_of(r);
	const char *path, *message;
	json_t *body, *commit = NULL;
	int rc;

	if (request_json_plain(r, false, &body) ||
	    request_text_plain(r, body, "mono_path", false, &path) ||
	    request_text_plain(r, body, "message", false, &message))
		return 0;
	rc = classic_git_commit(c, path, message, &commit);
	return reply_json(r, 200, json_pack(
		"{s:s,s:o,s:o}", "status", rc ? "Fail" : "Success", "commit",
		commit ? commit : json_null(), "msg",
		antares_text(rc ? error_text(rc) : "Commit successful")));
}

const struct route classic_git_routes[] = {
	{ "GET", "/api/git/status", get_status, 0 },
	{ "POST", "/api/git/add", post_add, ROUTE_PLAIN },
	{ "POST", "/api/git/commit", post_commit, ROUTE_PLAIN },
	{ "POST", "/api/git/push", post_push, ROUTE_PLAIN },
	{ "POST", "/api/git/reset", post_reset, ROUTE_PLAIN },
	{ NULL, NULL, NULL, 0 },
};
