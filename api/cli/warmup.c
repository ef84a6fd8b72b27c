/* SPDX-License-Identifier: Apache-2.0 */
/* warmup.c - bring paths before they are read. */
#include "api/cli/commands.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

enum { OPT_METADATA = 1 };
#define LIST_MAX (64 * MiB)

static bool metadata;

static const struct argp_option options[] = {
	{ "metadata", OPT_METADATA, NULL, 0, "only names and sizes", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v UNUSED)
{
	if (key != OPT_METADATA)
		return ARGP_ERR_UNKNOWN;
	metadata = true;
	return 0;
}

struct follow {
	struct cli_bar bar;
	json_t *last;
};

static int progress(void *ctx, const json_t *v)
{
	struct follow *f = ctx;
	char bytes[24], text[160];
	int64_t files = json_get_int(v, "files", 0);
	int64_t total = json_get_int(v, "files_total", 0);

	json_decref(f->last);
	f->last = json_incref((json_t *)(uintptr_t)v);
	snprintf(text, sizeof(text), "%lld of %lld files, %lld directories, %s",
		 (long long)files, (long long)total,
		 (long long)json_get_int(v, "trees", 0),
		 cli_bytes((uint64_t)json_get_int(v, "bytes", 0), bytes));
	cli_bar_set(&f->bar, (uint64_t)files, (uint64_t)total, text);
	return 0;
}

static void summary(const json_t *v, int64_t ns)
{
	char bytes[24], took[24];
	int64_t failed = json_get_int(v, "failed", 0);

	printf("%lld files and %lld directories are in the store (%s) after "
	       "%s", (long long)json_get_int(v, "files", 0),
	       (long long)json_get_int(v, "trees", 0),
	       cli_bytes((uint64_t)json_get_int(v, "bytes", 0), bytes),
	       cli_span(ns, took));
	if (failed)
		printf("; %lld failed", (long long)failed);
	printf("\n");
}

int warmup_follow(struct cli *c, const char *path, json_t *body,
		  const char *what)
{
	struct follow f = { .last = NULL };
	int64_t start = now_ns();
	const char *code;
	int r = cli_config(c);

	if (r) {
		json_decref(body);
		return r;
	}
	cli_bar_init(&f.bar, c);
	r = cli_stream(c, "POST", path, body, progress, &f, &code);
	cli_bar_end(&f.bar);
	if (f.last && c->json)
		cli_print_json(f.last);
	else if (f.last && !c->quiet && (!r || json_get_bool(f.last, "finished",
							     false)))
		summary(f.last, now_ns() - start);
	json_decref(f.last);
	return r ? cli_call_failed(c, r, code, "%s", what) : 0;
}

static void add(json_t *list, const char *path)
{
	cleanup_free char *full = cli_absolute(path);

	json_array_append_new(list, json_bytes(full, strlen(full)));
}

/* @FILE: one path per line, "-" = standard input. */
static int add_list(json_t *list, const char *file)
{
	cleanup_free char *text = NULL;
	char *save = NULL;
	size_t n;
	int r = path_read(strcmp(file, "-") ? file : "/dev/stdin", LIST_MAX,
			  &text, &n);

	if (r)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		add(list, line);
	return 0;
}

static int warmup_run(struct cli *c)
{
	json_t *list = json_array();

	for (int i = 0; i < c->n_args; i++) {
		int r = 0;

		if (c->args[i][0] == '@')
			r = add_list(list, c->args[i] + 1);
		else
			add(list, c->args[i]);
		if (r) {
			json_decref(list);
			return cli_errno(r, EXIT_CONFIG, "@FILE holds one path "
					 "per line", "cannot read the list");
		}
	}
	return warmup_follow(c, "/api/v1/warmup",
			     json_pack("{s:o,s:b}", "paths", list, "metadata",
				       metadata),
			     "cannot bring everything");
}

const struct cli_command cmd_warmup = {
	.name = "warmup",
	.args = "PATH...|@FILE",
	.summary = "bring files or whole directories before they are read",
	.min_args = 1,
	.max_args = -1,
	.options = options,
	.option = option,
	.run = warmup_run,
};

const struct cli_command cmd_prefetch = {
	.name = "prefetch",
	.args = "PATH...|@FILE",
	.summary = "the same as warmup",
	.min_args = 1,
	.max_args = -1,
	.hidden = true,
	.options = options,
	.option = option,
	.run = warmup_run,
};
