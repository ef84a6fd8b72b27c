/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - live operations. */
#include "api/cli/commands.h"
#include "core/clock.h"
#include "core/http.h"

#include <time.h>

enum { OPT_PATH = 1, OPT_SLOWER, OPT_COUNT, OPT_DURATION };

static struct {
	const char *path, *slower, *count, *duration;
} own;

static const struct argp_option options[] = {
	{ "path", OPT_PATH, "GLOB", 0, "only paths that match", 0 },
	{ "slower", OPT_SLOWER, "MS", 0, "only what took longer", 0 },
	{ "count", OPT_COUNT, "N", 0, "end after N lines", 0 },
	{ "duration", OPT_DURATION, "SEC", 0, "end after SEC seconds", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	const char **to[] = { NULL, &own.path, &own.slower, &own.count,
			      &own.duration };

	if (key < OPT_PATH || key > OPT_DURATION)
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

static int trace_run(struct cli *c)
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

const struct cli_command cmd_trace = {
	.name = "trace",
	.summary = "live operations: when, how long, from where, by whom",
	.help = "Columns: time, latency, where it came from (memory, store, "
		"source), operation,\nprocess, path, offset+bytes, error.",
	.options = options,
	.option = option,
	.run = trace_run,
};
