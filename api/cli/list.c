/* SPDX-License-Identifier: Apache-2.0 */
/* list.c - the mounts, and the daemon as a whole. */
#include "api/cli/commands.h"
#include "core/clock.h"

static const char *short_rev(const json_t *m, char buf[64])
{
	const char *label = cli_text(m, "label");
	const char *rev = cli_text(m, "rev");

	if (!strncmp(label, "refs/", 5) && strchr(label + 5, '/'))
		label = strchr(label + 5, '/') + 1;
	if (!*rev)
		rev = cli_text(m, "rev_spec");
	if (*label && strcmp(label, rev))
		snprintf(buf, 64, "%.40s %.12s", label, rev);
	else
		snprintf(buf, 64, "%.12s", rev);
	return buf;
}

/* "failed: why" is too long for a column. */
static void print_reasons(const json_t *list)
{
	size_t i;
	json_t *m;

	json_array_foreach(list, i, m) {
		const char *state = cli_text(m, "state");

		if (strchr(state, ':'))
			printf("\n%s %s\n", cli_text(m, "dir"), state);
	}
}

static const char *workspace_of(const json_t *m)
{
	return json_get_bool(m, "read_only", false) ? "(view)"
						    : cli_text(m, "workspace");
}

static void print_redirects(const json_t *list)
{
	size_t i, k;
	json_t *m, *x;

	json_array_foreach(list, i, m)
		json_array_foreach(json_object_get(m, "redirects"), k, x)
			printf("%s/%s is redirected to %s\n",
			       cli_text(m, "dir"), cli_text(x, "path"),
			       cli_text(x, "target"));
}

static void print_mounts(const json_t *list)
{
	static const char *const heads[] = { "DIRECTORY", "SOURCE", "REVISION",
					     "STATE", "WORKSPACE", "REQUESTS",
					     "FETCHED", "ID" };
	struct cli_table t = { .columns = ARRAY_SIZE(heads), .heads = heads,
			       .align = "lllllrrl" };
	size_t i;
	json_t *m;

	json_array_foreach(list, i, m) {
		json_t *fetched = json_object_get(m, "fetched");
		const char *state = cli_text(m, "state");
		char rev[64], requests[32], bytes[24], word[32];

		snprintf(requests, sizeof(requests), "%lld",
			 (long long)json_get_int(m, "requests", 0));
		cli_bytes((uint64_t)json_get_int(fetched, "bytes", 0), bytes);
		snprintf(word, sizeof(word), "%.*s",
			 (int)strcspn(state, ":"), state);
		cli_table_add(&t, cli_text(m, "dir"), cli_text(m, "source"),
			      short_rev(m, rev), word, workspace_of(m),
			      requests, fetched ? bytes : "",
			      cli_text(m, "id"));
	}
	cli_table_print(&t);
	print_redirects(list);
	print_reasons(list);
}

static int list_run(struct cli *c)
{
	json_t *v, *list;
	int r = cli_get(c, "GET", "/api/v1/mounts", NULL,
			"cannot list the mounts", &v);

	if (r)
		return r;
	list = json_object_get(v, "mounts");
	if (c->json)
		cli_print_json(v);
	else if (json_array_size(list))
		print_mounts(list);
	else
		printf("nothing is mounted\n");
	json_decref(v);
	return 0;
}

const struct cli_command cmd_list = {
	.name = "list",
	.summary = "the mounts",
	.run = list_run,
};

static void line(const char *name, const char *value)
{
	printf("%-10s %s\n", name, value);
}

static void join(const json_t *list, const char *key, struct buf *out)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
		buf_printf(out, "%s%s", i ? ", " : "",
			   key ? cli_text(v, key) : json_string_value(v));
}

static void print_status(const json_t *v)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_t *store = json_object_get(v, "store");
	json_t *mounts = json_object_get(v, "mounts");
	int64_t up = json_get_int(v, "uptime_s", 0);
	char a[24], b[24];

	buf_printf(&text, "scorpio %s, process %lld", cli_text(v, "version"),
		   (long long)json_get_int(v, "pid", 0));
	if (json_get_int(v, "keeper_pid", 0))
		buf_printf(&text, " (keeper %lld)",
			   (long long)json_get_int(v, "keeper_pid", 0));
	buf_printf(&text, ", running for %s",
		   up ? cli_span(up * NS_PER_S, a) : "a moment");
	if (!json_get_bool(v, "ready", true))
		buf_puts(&text, ", still mounting");
	if (json_get_bool(v, "offline", false))
		buf_puts(&text, ", offline");
	line("daemon", buf_str(&text));
	text.len = 0;
	join(json_object_get(v, "listeners"), NULL, &text);
	line("listens", buf_str(&text));
	text.len = 0;
	buf_printf(&text, "%s: %s of %s used", cli_text(store, "path"),
		   cli_bytes((uint64_t)json_get_int(store, "used_bytes", 0),
			     a),
		   cli_bytes((uint64_t)json_get_int(store, "max_bytes", 0),
			     b));
	line("store", buf_str(&text));
	line("memory", cli_bytes((uint64_t)json_get_int(v, "rss_bytes", 0), a));
	text.len = 0;
	join(json_object_get(v, "backends"), "name", &text);
	line("backends", buf_str(&text));
	line("config", *cli_text(v, "config_path") ? cli_text(v, "config_path")
						   : "no file; defaults");
	printf("\n");
	if (json_array_size(mounts))
		print_mounts(mounts);
	else
		printf("nothing is mounted; scorpio mount SOURCE DIR\n");
}

static int status_run(struct cli *c)
{
	json_t *v;
	int r;

	if (c->n_args)
		return workspace_status(c);
	r = cli_get(c, "GET", "/api/v1/status", NULL, "cannot tell the "
		    "status", &v);
	if (r)
		return r;
	if (c->json)
		cli_print_json(v);
	else
		print_status(v);
	json_decref(v);
	return 0;
}

const struct cli_command cmd_status = {
	.name = "status",
	.args = "[DIR]",
	.summary = "the daemon and its mounts, or what changed in DIR",
	.help = "With a directory of a workspace: its changes, one a line:\n"
		"A added, M modified, D deleted, R renamed, RM renamed and "
		"modified, T of another type,\nmode only permissions or "
		"owner.",
	.max_args = 1,
	.run = status_run,
};
