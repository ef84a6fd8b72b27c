/* SPDX-License-Identifier: Apache-2.0 */
/* antares.c - the commands of the program as upstream's scripts call it by the
 * name "antares": mounts of the whole monorepo by job. */
#include "api/cli/commands.h"
#include "core/http.h"

#define BIND "127.0.0.1:2726" /* httpmount.c looks there */

enum { OPT_CL = 1, OPT_BIND };

static const char *cl, *bind_to;

static const struct argp_option mount_options[] = {
	{ "cl", OPT_CL, "CL", 0, "change list", 0 },
	{ 0 },
};

static const struct argp_option serve_options[] = {
	{ "bind", OPT_BIND, "IP:PORT", 0, "default " BIND, 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	if (key == OPT_CL)
		cl = v;
	else if (key == OPT_BIND)
		bind_to = v;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static int print(struct cli *c, json_t *v, const char *key)
{
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		printf("%s\n", cli_text(v, key));
	json_decref(v);
	return 0;
}

static int mount_run(struct cli *c)
{
	json_t *v, *body = json_pack("{s:s,s:s}", "path", "/", "job_id",
				     c->args[0]);
	int r = cli_config(c);

	if (cl)
		json_object_set_new(body, "cl", json_string(cl));
	if (!r)
		r = cli_need_daemon(c);
	if (r) {
		json_decref(body);
		return r;
	}
	r = cli_get(c, "POST", "/antares/mounts", body,
		    "the monorepo is not mounted", &v);
	return r ? r : print(c, v, "mountpoint");
}

static int umount_run(struct cli *c)
{
	cleanup_free char *job = http_escape(c->args[0], strlen(c->args[0]));
	cleanup_free char *path = xasprintf("/antares/mounts/by-job/%s", job);
	json_t *v;
	int r = cli_config(c);

	if (!r)
		r = cli_get(c, "DELETE", path, NULL, "it is not unmounted", &v);
	return r ? r : print(c, v, "state");
}

static int list_run(struct cli *c)
{
	static const char *const heads[] = { "JOB", "PATH", "CL",
					     "MOUNTPOINT" };
	struct cli_table t = { .columns = 4, .heads = heads, .align = "llll" };
	json_t *v, *m;
	size_t i;
	int r = cli_config(c);

	if (!r)
		r = cli_get(c, "GET", "/antares/mounts", NULL,
			    "cannot list mounts", &v);
	if (r)
		return r;
	if (c->json) {
		cli_print_json(v);
		json_decref(v);
		return 0;
	}
	json_array_foreach(json_object_get(v, "mounts"), i, m)
		cli_table_add(&t, cli_text(m, "job_id"), cli_text(m, "path"),
			      cli_text(m, "cl"), cli_text(m, "mountpoint"));
	cli_table_print(&t);
	json_decref(v);
	return 0;
}

static int serve_run(struct cli *c)
{
	cli_override(c, cli_own(c, xasprintf("server.http_addr=%s",
					     bind_to ? bind_to : BIND)));
	return serve_antares(c);
}

static const struct cli_command mount = {
	.name = "mount", .args = "JOB_ID",
	.summary = "mount the monorepo for a job",
	.min_args = 1, .max_args = 1, .options = mount_options,
	.option = option, .run = mount_run,
};
static const struct cli_command umount_ = {
	.name = "umount", .args = "JOB_ID", .summary = "take it away",
	.min_args = 1, .max_args = 1, .run = umount_run,
};
static const struct cli_command list = {
	.name = "list", .summary = "mounts of jobs", .run = list_run,
};
static const struct cli_command serve = {
	.name = "serve", .summary = "run the daemon, these calls at the root",
	.options = serve_options, .option = option, .run = serve_run,
};

const struct cli_command *const antares_commands[] = {
	&mount, &umount_, &list, &serve, &cmd_http_mount, &cmd_version, NULL,
};
