/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - live operations. */
#include "api/cli/workspace.h"
#include "core/clock.h"
#include "core/http.h"

#include <fnmatch.h>
#include <time.h>

enum { OPT_PATH = 1, OPT_SLOWER, OPT_COUNT, OPT_DURATION, OPT_CHANGES };

static struct {
	const char *path, *slower, *count, *duration, *changes;
} own;

static const struct argp_option options[] = {
	{ "path", OPT_PATH, "GLOB", 0, "only paths that match", 0 },
	{ "slower", OPT_SLOWER, "MS", 0, "only what took longer", 0 },
	{ "count", OPT_COUNT, "N", 0, "end after N lines", 0 },
	{ "duration", OPT_DURATION, "SEC", 0, "end after SEC seconds", 0 },
	{ "changes", OPT_CHANGES, "DIR", 0,
	  "instead: what changes in a workspace, as it happens", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	const char **to[] = { NULL, &own.path, &own.slower, &own.count,
			      &own.duration, &own.changes };

	if (key < OPT_PATH || key > OPT_CHANGES)
		return ARGP_ERR_UNKNOWN;
	*to[key] = v;
	return 0;
}

static void print_event(const json_t *v)
{
	int64_t us = json_get_int(v, "time_us", 0);
	time_t t = (time_t)(us / 1000000);
	char clock[16], took[24];
	const char *error = cli_text(v, "error");
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s.%06lld %9s %-6s %-12s", clock, (long long)(us % 1000000),
	       cli_span(json_get_int(v, "latency_us", 0) * 1000, took),
	       cli_text(v, "tier"), cli_text(v, "op"));
	printf(" %7lld  %s", (long long)json_get_int(v, "pid", 0),
	       cli_text(v, "path"));
	if (json_get_int(v, "bytes", 0))
		printf("  %lld+%lld", (long long)json_get_int(v, "offset", 0),
		       (long long)json_get_int(v, "bytes", 0));
	if (*error)
		printf("  %s", error);
	printf("\n");
}

static int event(void *ctx, const json_t *v)
{
	struct cli *c = ctx;

	if (json_object_get(v, "tracing")) {
		if (!c->quiet)
			fprintf(stderr, "tracing; Ctrl-C ends\n");
		return 0;
	}
	if (c->json) {
		cleanup_buf struct buf b = BUF_INIT;

		json_print(v, &b);
		printf("%s\n", buf_str(&b));
	} else if (json_object_get(v, "lost")) {
		fprintf(stderr, "(some operations were too fast to be kept)\n");
	} else {
		print_event(v);
	}
	/* who reads the pipe may have left */
	return fflush(stdout) ? -EPIPE : 0;
}

/* -- changes of a workspace --------------------------------------------------------- */

#define JOURNAL_WAIT_S 30

static int print_entry(struct cli *c, const json_t *v)
{
	const char *from = cli_text(v, "from");
	cleanup_buf struct buf b = BUF_INIT;
	time_t now = time(NULL);
	char clock[16];
	struct tm tm;

	if (own.path && fnmatch(own.path, cli_text(v, "path"), 0))
		return 0;
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	json_print(v, &b);
	if (c->json)
		printf("%s\n", buf_str(&b));
	else
		printf("%s %-10s %s%s%s%s\n", clock, cli_text(v, "kind"), from,
		       *from ? " -> " : "", cli_text(v, "path"),
		       json_get_bool(v, "directory", false) ? "/" : "");
	return 1;
}

struct following {
	struct cli *cli;
	char *id, *clock; /* "": where it stands now */
	int64_t left;     /* entries */
	int64_t until;
};

/* One answer of the journal. 0, or the exit code. */
static int follow_once(struct following *f)
{
	int64_t wait = MIN((f->until - now_ns()) / NS_PER_S + 1,
			   JOURNAL_WAIT_S);
	cleanup_free char *url = xasprintf(
		"/api/v1/mounts/%s/journal?since=%s&timeout=%lld", f->id,
		f->clock, (long long)wait);
	const char *code;
	json_t *v, *entry;
	size_t i;
	int r = cli_call(f->cli, "GET", url, NULL, &v, &code);

	if (r && !strcmp(code, "TOO_OLD")) {
		fprintf(stderr, "(what happened is not known any more: look "
			"at everything again)\n");
		f->clock[0] = '\0';
		return 0;
	}
	if (r)
		return cli_call_failed(f->cli, r, code, "cannot follow the "
				       "changes");
	free(f->clock);
	f->clock = xstrdup(cli_text(v, "clock"));
	json_array_foreach(json_object_get(v, "entries"), i, entry)
		if (f->left > 0)
			f->left -= print_entry(f->cli, entry);
	json_decref(v);
	return 0;
}

static int trace_changes(struct cli *c)
{
	int64_t seconds = own.duration ? atoll(own.duration) : 86400;
	struct following f = { .cli = c, .clock = xstrdup(""),
			       .left = own.count ? atoll(own.count)
						 : INT64_MAX };
	struct workspace_at w;
	int r = workspace_find(c, own.changes, &w);

	f.until = deadline_in_ms(seconds * 1000);
	if (!r) {
		f.id = w.id;
		r = follow_once(&f);
		if (!r && !c->quiet)
			fprintf(stderr, "following; Ctrl-C ends\n");
		while (!r && f.left > 0 && now_ns() < f.until &&
		       !fflush(stdout))
			r = follow_once(&f);
		workspace_at_done(&w);
	}
	free(f.clock);
	return r;
}

static int trace_all(struct cli *c)
{
	cleanup_free char *glob = http_escape(own.path ? own.path : "",
					      own.path ? strlen(own.path) : 0);
	cleanup_free char *url = xasprintf(
		"/api/v1/trace?path=%s&max=%lld&slower_us=%lld"
		"&duration_s=%lld", glob,
		own.count ? atoll(own.count) : 0,
		own.slower ? (long long)(atof(own.slower) * 1000) : 0,
		own.duration ? atoll(own.duration) : 86400);
	const char *code;
	int r = cli_config(c);

	if (r)
		return r;
	r = cli_stream(c, "GET", url, NULL, event, c, &code);
	if (r == -EPIPE)
		return 0;
	return r ? cli_call_failed(c, r, code, "cannot trace") : 0;
}

static int trace_run(struct cli *c)
{
	return own.changes ? trace_changes(c) : trace_all(c);
}

const struct cli_command cmd_trace = {
	.name = "trace",
	.summary = "live operations: when, how long, from where, by whom",
	.help = "Columns: time, latency, where it came from (memory, store, "
		"source), operation,\nprocess, path, offset+bytes, error.",
	.options = options,
	.option = option,
	.run = trace_run,
};
