/* SPDX-License-Identifier: Apache-2.0 */
/* switch.c - show another revision in a mount that is in use. */
#include "api/cli/commands.h"
#include "core/http.h"
#include "core/clock.h"
#include "core/error.h"

enum { OPT_DRY_RUN = 1, OPT_FORCE };

static struct {
	bool dry_run, force;
} own;

static const struct argp_option options[] = {
	{ "dry-run", OPT_DRY_RUN, NULL, 0, "only tell what would happen", 0 },
	{ "force", OPT_FORCE, NULL, 0,
	  "keep private changes where the revisions differ, too", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v UNUSED)
{
	if (key == OPT_DRY_RUN)
		own.dry_run = true;
	else if (key == OPT_FORCE)
		own.force = true;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static json_t *body(const char *rev, bool dry_run)
{
	return json_pack("{s:o,s:b,s:b}", "rev", json_bytes(rev, strlen(rev)),
			 "force", own.force, "dry_run", dry_run);
}

static void print_conflicts(FILE *to, const json_t *v)
{
	json_t *list = json_object_get(v, "conflicts"), *x;
	size_t i;

	json_array_foreach(list, i, x)
		fprintf(to, "  %s: %s\n", cli_text(x, "path"),
			cli_text(x, "why"));
}

static void print(const json_t *v)
{
	char took[24];

	printf("%s %.12s -> %.12s: %lld files changed, %lld added, %lld "
	       "removed; %lld private changes kept (%s)\n",
	       own.dry_run ? "would switch" : "switched",
	       cli_text(v, "old_rev"), cli_text(v, "rev"),
	       (long long)json_get_int(v, "changed", 0),
	       (long long)json_get_int(v, "added", 0),
	       (long long)json_get_int(v, "removed", 0),
	       (long long)json_get_int(v, "kept", 0),
	       cli_span(json_get_int(v, "ns", 0), took));
	if (*cli_text(v, "git"))
		printf("git: %s\n", cli_text(v, "git"));
	if (json_get_int(v, "conflict_count", 0))
		printf("%lld conflicts%s:\n",
		       (long long)json_get_int(v, "conflict_count", 0),
		       own.force ? ", yours win" : "");
	print_conflicts(stdout, v);
}

static int switch_run(struct cli *c)
{
	cleanup_free char *target = cli_mountpoint(c->args[0]);
	cleanup_free char *escaped = http_escape(target, strlen(target));
	cleanup_free char *path = xasprintf("/api/v1/mounts/%s/switch",
					    escaped);
	const char *code, *code2;
	json_t *v;
	int r = cli_config(c);

	if (r)
		return r;
	r = cli_call(c, "POST", path, body(c->args[1], own.dry_run), &v,
		     &code);
	if (r) {
		bool conflicts = code && !strcmp(code, "EXISTS");
		int e = cli_call_failed(c, r, code, "cannot switch %s to %s",
					c->args[0], c->args[1]);

		if (conflicts && !cli_call(c, "POST", path,
					   body(c->args[1], true), &v,
					   &code2)) {
			print_conflicts(stderr, v);
			json_decref(v);
		}
		return e;
	}
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		print(v);
	json_decref(v);
	return 0;
}

const struct cli_command cmd_switch = {
	.name = "switch",
	.args = "DIR REV",
	.summary = "show another revision, keeping private changes",
	.min_args = 2,
	.max_args = 2,
	.options = options,
	.option = option,
	.run = switch_run,
};
