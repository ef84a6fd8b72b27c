/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v1_profiles.c - which files a build read, kept under a name and brought again
 * later. One file per profile in the store: paths below the mountpoint, each
 * ended by NUL, in the order of the first read.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "api/http/routes.h"
#include "api/http/v1.h"
#include "api/http/warm.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

#define PROFILE_MAX (256 * MiB)
#define PROFILE_TIMEOUT_S 3600
#define PROFILE_SUFFIX ".profile"

static char *profiles_dir(struct daemon *d)
{
	struct config *c = daemon_config(d);
	char *dir = xasprintf("%s/profiles",
			      config_string(c, "server.store_path"));

	config_put(c);
	return dir;
}

static int profile_file(struct request *r, char **ret)
{
	const char *name = request_param(r, "name");
	cleanup_free char *dir = NULL;
	size_t n = strlen(name);

	if (n > 64 || *name == '.' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789._-") != n)
		return fail(-EINVAL, "a profile's name has 1 to 64 letters, "
			    "digits, dots, dashes or underscores");
	dir = profiles_dir(request_ctx(r));
	*ret = xasprintf("%s/%s" PROFILE_SUFFIX, dir, name);
	return 0;
}

/* The body's "mount": an id or mountpoint. *ret NULL: already answered. */
static int body_mount(struct request *r, json_t **ret_body, char **ret)
{
	const char *text;

	*ret = NULL;
	if (request_json(r, false, ret_body) ||
	    request_text(r, *ret_body, "mount", false, &text))
		return 0;
	return v1_bytes(text, ret);
}

static int post_record(struct request *r)
{
	cleanup_free char *mount = NULL, *file = NULL;
	json_t *body;
	int e = profile_file(r, &file);

	if (!e)
		e = body_mount(r, &body, &mount);
	if (e || !mount)
		return e;
	e = fs_record_start(daemon_fs(request_ctx(r)), mount);
	if (e == -EALREADY)
		return fail(-EBUSY, "%s is being recorded already", mount);
	if (e)
		return e;
	return reply_json(r, 200, json_pack("{s:b}", "recording", 1));
}

struct saved {
	struct buf text;
	int64_t n;
};

static int save_path(void *ctx, const char *path)
{
	struct saved *s = ctx;

	buf_put(&s->text, path, strlen(path) + 1);
	s->n++;
	return 0;
}

static int post_save(struct request *r)
{
	cleanup_free char *mount = NULL, *file = NULL, *dir = NULL;
	struct saved s = { .n = 0 };
	json_t *body;
	int e = profile_file(r, &file);

	if (!e)
		e = body_mount(r, &body, &mount);
	if (e || !mount)
		return e;
	dir = profiles_dir(request_ctx(r));
	e = fs_record_stop(daemon_fs(request_ctx(r)), mount, save_path, &s);
	if (!e)
		e = path_make_dirs(dir, 0700);
	if (!e)
		e = path_write(file, s.text.data, s.text.len, 0600, true);
	buf_done(&s.text);
	if (e)
		return e;
	return reply_json(r, 200,
			  json_pack("{s:s,s:I}", "name",
				    request_param(r, "name"), "files",
				    (json_int_t)s.n));
}

/* Absolute paths of what the profile lists. */
static size_t below(const char *dir, const char *text, size_t len,
		    char ***ret)
{
	size_t n = 0, i = 0;
	char **paths;

	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		n++;
	paths = xcalloc(n + 1, sizeof(*paths));
	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		paths[i++] = xasprintf("%s/%s", dir, text + at);
	*ret = paths;
	return n;
}

static int no_profile(struct request *r)
{
	return fail(-ENOENT, "no profile %s: scorpio profile list shows them",
		    request_param(r, "name"));
}

static int post_apply(struct request *r)
{
	cleanup_free char *mount = NULL, *file = NULL, *text = NULL;
	struct fs_mount_info info;
	int64_t deadline;
	size_t len, n;
	json_t *body;
	char **paths;
	int e = profile_file(r, &file);

	if (!e)
		e = body_mount(r, &body, &mount);
	if (e || !mount)
		return e;
	e = v1_deadline(r, body, PROFILE_TIMEOUT_S, &deadline);
	if (!e)
		e = path_read(file, PROFILE_MAX, &text, &len);
	if (e == -ENOENT)
		return no_profile(r);
	if (!e)
		e = fs_find(daemon_fs(request_ctx(r)), mount, &info);
	if (e)
		return e;
	n = below(info.dir, text, len, &paths);
	fs_mount_info_done(&info);
	return warm_reply(r, paths, n, json_get_bool(body, "metadata", false),
			  true, deadline);
}

static void add_profile(json_t *list, const char *dir, const char *name)
{
	cleanup_free char *file = xasprintf("%s/%s", dir, name);
	size_t n = strlen(name), suffix = strlen(PROFILE_SUFFIX);
	struct stat st;
	json_t *v;

	if (n <= suffix || strcmp(name + n - suffix, PROFILE_SUFFIX) ||
	    stat(file, &st))
		return;
	v = json_object();
	json_object_set_new(v, "name", json_stringn(name, n - suffix));
	v1_set(v, "bytes", (uint64_t)st.st_size);
	v1_set(v, "recorded_ms", (uint64_t)st.st_mtim.tv_sec * 1000);
	json_array_append_new(list, v);
}

static int get_profiles(struct request *r)
{
	cleanup_free char *dir = profiles_dir(request_ctx(r));
	json_t *list = json_array();
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		add_profile(list, dir, e->d_name);
	if (d)
		closedir(d);
	return reply_json(r, 200, json_pack("{s:o}", "profiles", list));
}

static int delete_profile(struct request *r)
{
	cleanup_free char *file = NULL;
	int e = profile_file(r, &file);

	if (e)
		return e;
	if (unlink(file))
		return errno == ENOENT ? no_profile(r)
				       : fail(-errno, "%s: %s", file,
					      strerror(errno));
	return reply_json(r, 200, json_pack("{s:b}", "removed", 1));
}

const struct route v1_profiles_routes[] = {
	{ "GET", "/api/v1/profiles", get_profiles, 0 },
	{ "DELETE", "/api/v1/profiles/{name}", delete_profile, 0 },
	{ "POST", "/api/v1/profiles/{name}/record", post_record, 0 },
	{ "POST", "/api/v1/profiles/{name}/save", post_save, 0 },
	{ "POST", "/api/v1/profiles/{name}/apply", post_apply, 0 },
	{ NULL, NULL, NULL, 0 },
};
