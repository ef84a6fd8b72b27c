/* SPDX-License-Identifier: Apache-2.0 */
/* wsfind.c - which workspace a directory belongs to, and its changes. */
#include "api/cli/workspace.h"

#include "core/error.h"
#include "core/http.h"

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) && (!path[n] || path[n] == '/');
}

char *workspace_bytes(const json_t *v, const char *key)
{
	struct buf b = BUF_INIT;

	json_bytes_decode(cli_text(v, key), &b);
	return buf_steal(&b);
}

/* The mount with the longest directory above path. */
static bool choose(const json_t *list, const char *path,
		   struct workspace_at *ret)
{
	json_t *m;
	size_t i;

	json_array_foreach(list, i, m) {
		char *dir = workspace_bytes(m, "dir");

		if (!*cli_text(m, "id") || !is_below(path, dir) ||
		    (ret->dir && strlen(dir) <= strlen(ret->dir))) {
			free(dir);
			continue;
		}
		workspace_at_done(ret);
		ret->dir = dir;
		ret->id = xstrdup(cli_text(m, "id"));
		ret->source = xstrdup(cli_text(m, "source"));
		ret->label = xstrdup(cli_text(m, "label"));
		ret->read_only = json_get_bool(m, "read_only", true);
	}
	return ret->dir;
}

int workspace_find(struct cli *c, const char *arg, struct workspace_at *ret)
{
	cleanup_free char *path = cli_mountpoint(arg);
	cleanup_free char *what = xasprintf("cannot look at %s", arg);
	json_t *v;
	bool found;
	int r = cli_get(c, "GET", "/api/v1/mounts", NULL, what, &v);

	if (r)
		return r;
	*ret = (struct workspace_at){ 0 };
	found = choose(json_object_get(v, "mounts"), path, ret);
	json_decref(v);
	if (!found)
		return cli_error(EXIT_MOUNT, "it is not in a mount of this "
				 "daemon", "scorpio list shows the mounts",
				 "cannot look at %s", arg);
	ret->rel = xstrdup(path + strlen(ret->dir) +
			   strspn(path + strlen(ret->dir), "/"));
	if (ret->read_only) {
		r = cli_error(EXIT_MOUNT, "it is a read-only view: nothing "
			      "changes in it", "mount it without --ro for a "
			      "workspace", "%s is no workspace", ret->dir);
		workspace_at_done(ret);
	}
	return r;
}

void workspace_at_done(struct workspace_at *w)
{
	free(w->id);
	free(w->dir);
	free(w->source);
	free(w->label);
	free(w->rel);
	*w = (struct workspace_at){ 0 };
}

int workspace_find_path(struct cli *c, struct workspace_at *ret)
{
	cleanup_free char *path = NULL, *joined = NULL;
	const char *arg = c->n_args > 1 ? c->args[1] : NULL;
	int r = workspace_find(c, c->args[0], ret);

	if (r || !arg)
		return r;
	joined = *arg == '/' ? xstrdup(arg)
			     : xasprintf("%s%s%s/%s", ret->dir,
					 *ret->rel ? "/" : "", ret->rel, arg);
	path = cli_absolute(joined);
	if (is_below(path, ret->dir)) {
		free(ret->rel);
		ret->rel = xstrdup(path + strlen(ret->dir) +
				   strspn(path + strlen(ret->dir), "/"));
		return 0;
	}
	r = cli_error(EXIT_CONFIG, "it is not below that directory",
		      "a path inside of the workspace",
		      "%s is not in %s", arg, ret->dir);
	workspace_at_done(ret);
	return r;
}

char *workspace_url(const struct workspace_at *w, const char *call,
		    const char *path)
{
	cleanup_free char *escaped = http_escape(path, strlen(path));

	return xasprintf("/api/v1/mounts/%s/%s?path=%s", w->id, call, escaped);
}

int workspace_changes(struct cli *c, const struct workspace_at *w,
		      json_t **ret)
{
	cleanup_free char *url = workspace_url(w, "changes", w->rel);

	return cli_get(c, "GET", url, NULL, "cannot tell the changes", ret);
}

static const char *letter(const char *kind)
{
	static const char *const words[][2] = {
		{ "added", "A" },   { "modified", "M" }, { "deleted", "D" },
		{ "renamed", "R" }, { "type", "T" },	 { "mode", "mode" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i][0], kind))
			return words[i][1];
	return "?";
}

void workspace_print(const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		const char *kind = cli_text(v, "kind");
		const char *from = cli_text(v, "from");
		bool dir = !strncmp(cli_text(v, "mode"), "04", 2);
		bool both = !strcmp(kind, "renamed") &&
			    json_get_bool(v, "modified", false);

		printf("%-4s %s%s%s%s\n", both ? "RM" : letter(kind), from,
		       *from ? " -> " : "", cli_text(v, "path"),
		       dir ? "/" : "");
	}
}
