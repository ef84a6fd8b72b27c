/* SPDX-License-Identifier: Apache-2.0 */
/* workspace.c - status of a workspace, reset, and the workspaces on disk. */
#include "api/cli/workspace.h"

#include "core/error.h"
#include "core/http.h"

int workspace_status(struct cli *c)
{
	struct workspace_at w;
	json_t *v, *list;
	int r = workspace_find(c, c->args[0], &w);

	if (r)
		return r;
	r = workspace_changes(c, &w, &v);
	workspace_at_done(&w);
	if (r)
		return r;
	list = json_object_get(v, "changes");
	if (c->json)
		cli_print_json(v);
	else
		workspace_print(list);
	if (!c->json && !c->quiet && !json_array_size(list))
		fprintf(stderr, "no changes\n");
	json_decref(v);
	return 0;
}

/* -- reset ------------------------------------------------------------------------ */

static bool yes;

static const struct argp_option reset_options[] = {
	{ "yes", 'y', NULL, 0, "do not ask", 0 },
	{ 0 },
};

static int reset_option(struct cli *c UNUSED, int key, const char *v UNUSED)
{
	if (key != 'y')
		return ARGP_ERR_UNKNOWN;
	yes = true;
	return 0;
}

/* 0: go on; -1: no; else the exit code. */
static int ask(struct cli *c, const json_t *list)
{
	char answer[16] = "";

	if (yes)
		return 0;
	if (!isatty(STDIN_FILENO))
		return cli_usage(c, "without a terminal to ask on, reset wants "
				 "--yes");
	workspace_print(list);
	fprintf(stderr, "Discard these %zu changes for good? [y/N] ",
		json_array_size(list));
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		return -1;
	return answer[0] == 'y' || answer[0] == 'Y' ? 0 : -1;
}

static json_t *reset_body(const struct workspace_at *w)
{
	json_t *body = json_object();

	if (*w->rel)
		json_object_set_new(body, "path",
				    json_bytes(w->rel, strlen(w->rel)));
	else
		json_object_set_new(body, "all", json_true());
	return body;
}

static int do_reset(struct cli *c, const struct workspace_at *w)
{
	cleanup_free char *url = xasprintf("/api/v1/mounts/%s/reset", w->id);
	json_t *v, *list;
	int r = cli_get(c, "POST", url, reset_body(w), "cannot reset", &v);

	if (r)
		return r;
	list = json_object_get(v, "reset");
	if (c->json) {
		cli_print_json(v);
	} else if (!c->quiet) {
		workspace_print(list);
		fprintf(stderr, json_array_size(list) == 1
					? "%zu change discarded\n"
					: "%zu changes discarded\n",
			json_array_size(list));
	}
	json_decref(v);
	return 0;
}

static int reset_run(struct cli *c)
{
	struct workspace_at w;
	json_t *v;
	int r = workspace_find_path(c, &w);

	if (r)
		return r;
	if (!yes) {
		v = NULL;
		r = workspace_changes(c, &w, &v);
		if (!r && json_array_size(json_object_get(v, "changes")))
			r = ask(c, json_object_get(v, "changes"));
		json_decref(v);
	}
	if (!r)
		r = do_reset(c, &w);
	else if (r < 0)
		fprintf(stderr, "nothing was discarded\n");
	workspace_at_done(&w);
	return MAX(r, 0);
}

const struct cli_command cmd_reset = {
	.name = "reset",
	.args = "DIR [PATH]",
	.summary = "discard the changes of a workspace, or those at PATH",
	.help = "Modified and deleted entries come back as they are in the "
		"revision, added ones go.\nThere is no way back. A renamed "
		"entry goes to its old place.",
	.min_args = 1,
	.max_args = 2,
	.options = reset_options,
	.option = reset_option,
	.run = reset_run,
};

/* -- workspaces on disk --------------------------------------------------------------- */

static void print_workspaces(const json_t *list)
{
	static const char *const heads[] = { "NAME", "SOURCE", "REVISION",
					     "ON DISK", "MOUNTED AT" };
	struct cli_table t = { .columns = ARRAY_SIZE(heads), .heads = heads,
			       .align = "lllrl" };
	json_t *w;
	size_t i;

	json_array_foreach(list, i, w) {
		char rev[16], bytes[24];

		snprintf(rev, sizeof(rev), "%.12s", cli_text(w, "rev"));
		cli_bytes((uint64_t)json_get_int(w, "disk_bytes", 0), bytes);
		cli_table_add(&t, cli_text(w, "name"), cli_text(w, "source"),
			      rev, bytes,
			      *cli_text(w, "dir") ? cli_text(w, "dir") : "-");
	}
	cli_table_print(&t);
}

static int list_workspaces(struct cli *c)
{
	json_t *v, *list;
	int r = cli_get(c, "GET", "/api/v1/workspaces", NULL,
			"cannot list the workspaces", &v);

	if (r)
		return r;
	list = json_object_get(v, "workspaces");
	if (c->json)
		cli_print_json(v);
	else if (json_array_size(list))
		print_workspaces(list);
	else
		printf("there is no workspace\n");
	json_decref(v);
	return 0;
}

static int remove_workspace(struct cli *c, const char *name)
{
	cleanup_free char *escaped = http_escape(name, strlen(name));
	cleanup_free char *url = xasprintf("/api/v1/workspaces/%s", escaped);
	const char *code;
	json_t *v;
	int r = cli_config(c);

	if (r)
		return r;
	r = cli_call(c, "DELETE", url, NULL, &v, &code);
	if (r && !strcmp(code, "BUSY"))
		return cli_errno(r, EXIT_MOUNT, "umount it first",
				 "cannot remove %s", name);
	if (r && !strcmp(code, "NOT_FOUND"))
		return cli_errno(r, EXIT_MOUNT, "scorpio workspace list shows "
				 "them", "cannot remove %s", name);
	if (r)
		return cli_call_failed(c, r, code, "cannot remove %s", name);
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		printf("workspace %s is removed\n", name);
	json_decref(v);
	return 0;
}

static int workspace_run(struct cli *c)
{
	if (!strcmp(c->args[0], "list") && c->n_args == 1)
		return list_workspaces(c);
	if (!strcmp(c->args[0], "remove") && c->n_args == 2)
		return remove_workspace(c, c->args[1]);
	return cli_usage(c, "workspace wants list or remove NAME");
}

const struct cli_command cmd_workspace = {
	.name = "workspace",
	.args = "list|remove [NAME]",
	.verbs = "list remove",
	.summary = "the workspaces on disk, mounted or not",
	.help = "list            with their size\n"
		"remove NAME     with all its changes; it must not be mounted",
	.min_args = 1,
	.max_args = 2,
	.run = workspace_run,
};
