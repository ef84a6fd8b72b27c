/* SPDX-License-Identifier: Apache-2.0 */
/* v1_paths.c - what is known about a path, and bringing paths before they are
 * read. */
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "api/http/warm.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"

#define INFO_TIMEOUT_S 60
#define WARM_TIMEOUT_S 3600
#define WARM_PATHS_MAX 10000u

static const char *kind_word(uint8_t kind)
{
	switch (kind) {
	case SCORPIO_FILE:
		return "file";
	case SCORPIO_DIR:
		return "directory";
	case SCORPIO_SYMLINK:
		return "symlink";
	case SCORPIO_SUBMODULE:
		return "submodule";
	default:
		return "unknown";
	}
}

static json_t *path_json(const struct fs_path_info *i)
{
	char hex[ID_HEX_MAX], sha256[2 * SHA256_LEN + 1],
		sha1[2 * SHA1_LEN + 1];
	json_t *v = json_object();

	json_object_set_new(v, "mount", json_string(i->mount_id));
	json_object_set_new(v, "path", v1_text(i->path));
	json_object_set_new(v, "kind", json_string(kind_word(i->kind)));
	json_object_set_new(v, "mode", json_sprintf("%04o", i->mode & 07777));
	v1_set(v, "inode", i->ino);
	json_object_set_new(v, "id", json_string(id_hex(&i->id, hex)));
	json_object_set_new(v, "size",
			    i->size == SCORPIO_SIZE_UNKNOWN
				    ? json_null()
				    : json_integer((json_int_t)i->size));
	json_object_set_new(v, "mtime_ms",
			    i->mtime_ns == SCORPIO_TIME_UNKNOWN
				    ? json_null()
				    : json_integer(i->mtime_ns / NS_PER_MS));
	json_object_set_new(v, "resident", json_boolean(i->resident));
	v1_set(v, "chunks", i->chunks);
	json_object_set_new(v, "sha256",
			    !i->has_digests
				    ? json_null()
				    : json_string(hex_encode(i->sha256,
							     SHA256_LEN,
							     sha256)));
	json_object_set_new(v, "sha1",
			    !i->has_digests
				    ? json_null()
				    : json_string(hex_encode(i->sha1, SHA1_LEN,
							     sha1)));
	return v;
}

/* What the source itself tells, if it tells anything. */
static void add_source(struct daemon *d, const char *path, int64_t deadline,
		       json_t *v)
{
	cleanup_free char *text = NULL;
	json_t *told = NULL;
	int e = fs_ask(daemon_fs(d), path, "describe", deadline, &text);

	if (!e)
		e = json_parse(text, strlen(text), "the source", &told);
	if (!e)
		json_object_set_new(v, "source", told);
	else if (e != -ENODATA && e != -ENOTSUP)
		json_object_set_new(v, "source_error",
				    v1_text(error_text(e)));
}

static int get_info(struct request *r)
{
	const char *path = request_query(r, "path", NULL);
	struct fs_path_info info;
	int64_t deadline;
	json_t *v;
	int e;

	if (!path || *path != '/')
		return fail(-EINVAL, "say ?path=/absolute/path");
	e = v1_deadline(r, NULL, INFO_TIMEOUT_S, &deadline);
	if (!e)
		e = fs_path(daemon_fs(request_ctx(r)), path, deadline, &info);
	if (e)
		return e;
	v = path_json(&info);
	fs_path_info_done(&info);
	add_source(request_ctx(r), path, deadline, v);
	return reply_json(r, 200, v);
}

static void paths_free(char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
}

/* The "paths" of the body. -EINVAL. */
static int body_paths(const json_t *body, char ***ret, size_t *ret_n)
{
	json_t *list = json_object_get(body, "paths"), *one;
	size_t i, n = json_array_size(list);
	char **paths;
	int e = 0;

	if (!n || n > WARM_PATHS_MAX)
		return fail(-EINVAL, "\"paths\" must be an array of 1 to %u "
			    "absolute paths", WARM_PATHS_MAX);
	paths = xcalloc(n, sizeof(*paths));
	json_array_foreach(list, i, one) {
		const char *text = json_string_value(one);

		if (!text || *text != '/')
			e = fail(-EINVAL, "path %zu is not an absolute path",
				 i + 1);
		else
			e = v1_bytes(text, &paths[i]);
		if (e)
			break;
	}
	if (e) {
		paths_free(paths, n);
		return e;
	}
	*ret = paths;
	*ret_n = n;
	return 0;
}

static int post_warmup(struct request *r)
{
	int64_t deadline;
	json_t *body;
	char **paths = NULL;
	size_t n = 0;
	int e;

	if (request_json(r, false, &body))
		return 0;
	e = v1_deadline(r, body, WARM_TIMEOUT_S, &deadline);
	if (!e)
		e = body_paths(body, &paths, &n);
	if (e)
		return e;
	return warm_reply(r, paths, n,
			  json_get_bool(body, "metadata", false), false,
			  deadline);
}

const struct route v1_paths_routes[] = {
	{ "GET", "/api/v1/info", get_info, 0 },
	{ "POST", "/api/v1/warmup", post_warmup, 0 },
	{ NULL, NULL, NULL, 0 },
};
