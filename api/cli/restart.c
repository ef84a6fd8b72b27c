/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart.c - a new process for the daemon, of the program and the
 * configuration that are there now. The keeper asks the new one first whether
 * it could go on; if not, nothing happens.
 */
#include "api/cli/commands.h"
#include "core/clock.h"
#include "core/error.h"

#define WAIT_MS 150000
#define NAP_MS 20

struct seen {
	int64_t daemon, keeper;
	char version[64];
};

static int look(struct cli *c, struct seen *ret)
{
	json_t *v;
	int rc = cli_call(c, "GET", "/api/v1/status", NULL, &v, NULL);

	if (rc)
		return rc;
	ret->daemon = json_get_int(v, "daemon_pid", 0);
	ret->keeper = json_get_int(v, "keeper_pid", 0);
	snprintf(ret->version, sizeof(ret->version), "%s",
		 cli_text(v, "version"));
	json_decref(v);
	return 0;
}

/* Clients that come meanwhile wait: the keeper holds the sockets. */
static int wait_for_other(struct cli *c, const struct seen *before,
			  struct seen *ret)
{
	int64_t deadline = deadline_in_ms(WAIT_MS);
	struct timespec nap = { 0, NAP_MS * NS_PER_MS };

	do {
		if (!look(c, ret) && ret->daemon != before->daemon)
			return 0;
		nanosleep(&nap, NULL);
	} while (now_ns() < deadline);
	return fail(-ETIMEDOUT, "the new process does not answer");
}

static int restart_run(struct cli *c)
{
	struct seen before, after;
	json_t *v;
	int r = cli_config(c);

	if (r)
		return r;
	r = look(c, &before);
	if (!r && !before.keeper)
		return cli_error(EXIT_INTERNAL, "it runs without a keeper",
				 "scorpio stop, then scorpio serve "
				 "without --no-keeper: then this works",
				 "the daemon cannot be replaced");
	r = cli_get(c, "POST", "/api/v1/restart", NULL,
		    "the daemon is not replaced", &v);
	if (r)
		return r;
	json_decref(v);
	r = wait_for_other(c, &before, &after);
	if (r)
		return cli_errno(r, EXIT_INTERNAL, "scorpio doctor",
				 "the daemon was replaced");
	v = json_pack("{s:I,s:I,s:s}", "daemon_pid", (json_int_t)after.daemon,
		      "keeper_pid", (json_int_t)after.keeper, "version",
		      after.version);
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		printf("the daemon is process %lld now (scorpio %s); its "
		       "mounts went on\n", (long long)after.daemon,
		       after.version);
	json_decref(v);
	return 0;
}

const struct cli_command cmd_restart = {
	.name = "restart",
	.summary = "replace the daemon; mounts go on",
	.help = "The new process is of the program and the configuration that "
		"are there now. It\nis asked first whether it could go on "
		"with every mount; if not, nothing happens.\nNeeds a keeper "
		"(not serve --no-keeper).",
	.run = restart_run,
};
