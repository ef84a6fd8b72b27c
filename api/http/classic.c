/* SPDX-License-Identifier: Apache-2.0 */
/* classic.c - /api/fs and /api/config, as upstream's first clients know them.
 * What was understood is answered with 200; "status" says how it went. */
#include "api/classic/classic.h"

#include "api/http/antares.h"
#include "api/http/routes.h"
#include "core/error.h"

static struct classic *classic_of(struct request *r)
{
	request_deprecated(r);
	return daemon_classic(request_ctx(r));
}

static json_t *work_json(const struct classic_work *w)
{
	return json_pack("{s:o,s:o,s:I}", "hash", antares_text(w->hash), "path",
			 antares_text(w->path), "inode",
			 (json_int_t)w->inode);
}

static const char *word(int rc)
{
	return rc ? "Fail" : "Success";
}

/* {"status", "message"} */
static json_t *outcome(int rc, const char *ok)
{
	return json_pack("{s:s,s:o}", "status", word(rc), "message",
			 antares_text(rc ? error_text(rc) : ok));
}

static int post_mount(struct request *r)
{
	struct classic *c = classic_of(r);
	const char *path, *cl, *mr;
	char id[FS_ID_LEN + 1];
	json_t *body, *v;
	int rc;

	if (request_json_plain(r, false, &body) ||
	    request_text_plain(r, body, "path", false, &path) ||
	    request_text_plain(r, body, "cl", true, &cl) ||
	    request_text_plain(r, body, "mr", true, &mr))
		return 0;
	rc = classic_mount(c, path, cl ? cl : mr, id);
	v = outcome(rc, "Directory mounted successfully");
	if (rc && strcmp(error_text(rc), CLASSIC_PLEASE_UNMOUNT))
		json_object_set_new(v, "message",
				    json_sprintf("Mount failed: %s",
						 error_text(rc)));
	json_object_set_new(v, "request_id", json_string(id));
	return reply_json(r, 200, v);
}

static int get_select(struct request *r)
{
	struct classic *c = classic_of(r);
	struct classic_work w;
	int rc = classic_select(c, request_param(r, "id"), &w);
	json_t *v = outcome(rc == -ENOENT ? rc : 0, "Task finished");

	json_object_set_new(v, "task_status",
			    json_string(rc == -ENOENT ? "not_found" :
					rc ? "error" : "finished"));
	json_object_set_new(v, "mount", rc ? json_null() : work_json(&w));
	if (rc)
		json_object_set_new(v, "message",
				    antares_text(error_text(rc)));
	else
		classic_work_done(&w);
	return reply_json(r, 200, v);
}

static void add(void *ctx, const struct classic_work *w)
{
	json_array_append_new(ctx, work_json(w));
}

static int get_mpoint(struct request *r)
{
	json_t *list = json_array();

	classic_each(classic_of(r), add, list);
	return reply_json(r, 200, json_pack("{s:s,s:o}", "status", "Success",
					    "mounts", list));
}

static int post_unmount(struct request *r)
{
	struct classic *c = classic_of(r);
	json_t *body, *inode;
	const char *path;
	int rc;

	if (request_json_plain(r, false, &body) ||
	    request_text_plain(r, body, "path", true, &path))
		return 0;
	inode = json_object_get(body, "inode");
	if (inode && !json_is_null(inode) && !json_is_integer(inode))
		return reply_plain(r, 422, "\"inode\" must be a number");
	if (json_is_integer(inode))
		rc = classic_unmount(c, NULL,
				     (uint64_t)json_integer_value(inode));
	else if (path)
		rc = classic_unmount(c, path, 0);
	else
		rc = fail(-EINVAL, "path or inode is needed");
	return reply_json(r, 200, outcome(rc, "Directory unmounted "
					      "successfully"));
}

/* -- configuration ------------------------------------------------------------------ */

static int get_config(struct request *r)
{
	struct config *c = daemon_config(request_ctx(r));
	char url[1024];
	json_t *v = json_pack(
		"{s:s,s:{s:o,s:o,s:o}}", "status", "Success", "config",
		"mega_url", antares_text(config_shown(c, "server.base_url",
						      url, sizeof(url))),
		"mount_path",
		antares_text(config_string(c, "server.workspace")),
		"store_path",
		antares_text(config_string(c, "server.store_path")));

	request_deprecated(r);
	config_put(c);
	return reply_json(r, 200, v);
}

/* Upstream's answer: what was asked for, and nothing changes. */
static int post_config(struct request *r)
{
	static const char *const keys[] = { "mega_url", "mount_path",
					    "store_path" };
	json_t *body, *echo;
	const char *s;

	request_deprecated(r);
	if (request_json_plain(r, false, &body))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (request_text_plain(r, body, keys[i], true, &s))
			return 0;
	echo = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_object_set_new(echo, keys[i],
				    json_string(json_get_text(body, keys[i],
							      "")));
	return reply_json(r, 200, json_pack("{s:s,s:o}", "status", "Success",
					    "config", echo));
}

const struct route classic_routes[] = {
	{ "POST", "/api/fs/mount", post_mount, ROUTE_PLAIN },
	{ "GET", "/api/fs/select/{id}", get_select, ROUTE_CHANGES },
	{ "GET", "/api/fs/mpoint", get_mpoint, 0 },
	{ "POST", "/api/fs/unmount", post_unmount, ROUTE_PLAIN },
	{ "POST", "/api/fs/umount", post_unmount, ROUTE_PLAIN },
	{ "GET", "/api/config", get_config, 0 },
	{ "POST", "/api/config", post_config, ROUTE_PLAIN },
	{ NULL, NULL, NULL, 0 },
};
