/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - figures over time, and who causes them. */
#include <signal.h>

#include "api/cli/commands.h"
#include "core/clock.h"
#include "core/error.h"

enum { OPT_COUNT = 1 };

static struct {
	const char *interval, *count;
} own;

static const struct argp_option options[] = {
	{ "interval", 'i', "SEC", 0, "a line every SEC seconds", 0 },
	{ "count", OPT_COUNT, "N", 0, "end after N lines", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	if (key == 'i')
		own.interval = v;
	else if (key == OPT_COUNT)
		own.count = v;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static void nap(double seconds)
{
	struct timespec t = ns_to_timespec((int64_t)(seconds * 1e9));

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static bool number(const char *text, double min, double max, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return end != text && !*end && *ret >= min && *ret <= max;
}

/* -- stats ------------------------------------------------------------------------- */

static void print_all(const json_t *v)
{
	const char *key;
	json_t *n;

	json_object_foreach((json_t *)(uintptr_t)v, key, n) {
		const char *unit = strstr(key, "bytes");
		char text[24];

		printf("%-18s %lld", key, (long long)json_integer_value(n));
		if (unit)
			printf("  (%s)",
			       cli_bytes((uint64_t)json_integer_value(n),
					 text));
		printf("\n");
	}
}

static double per_second(const json_t *now, const json_t *before,
			 const char *key)
{
	double ms = (double)(json_get_int(now, "time_ms", 0) -
			     json_get_int(before, "time_ms", 0));

	return ms > 0 ? (double)(json_get_int(now, key, 0) -
				 json_get_int(before, key, 0)) * 1000 / ms
		      : 0;
}

static void print_line(const json_t *now, const json_t *before, unsigned n)
{
	char read[24], fetched[24], rss[24];
	double r = per_second(now, before, "bytes_read");
	double f = per_second(now, before, "fetch_bytes");

	if (n % 20 == 0)
		printf("requests/s      read/s  fetches/s   fetched/s  waiting "
		       "     inodes    memory\n");
	printf("%10.0f %11s %10.1f %11s %8lld %11lld %9s\n",
	       per_second(now, before, "requests"),
	       cli_bytes((uint64_t)MAX(r, 0), read),
	       per_second(now, before, "fetch_requests"),
	       cli_bytes((uint64_t)MAX(f, 0), fetched),
	       (long long)json_get_int(now, "waiting", 0),
	       (long long)json_get_int(now, "inodes", 0),
	       cli_bytes((uint64_t)json_get_int(now, "rss_bytes", 0), rss));
	fflush(stdout);
}

static void print_json_line(const json_t *v)
{
	cleanup_buf struct buf b = BUF_INIT;

	json_print(v, &b);
	printf("%s\n", buf_str(&b));
	fflush(stdout);
}

static int stats_lines(struct cli *c, double interval, double count)
{
	json_t *before = NULL, *now = NULL;
	int r = 0;

	for (unsigned n = 0; !r && n <= count && !ferror(stdout); n++) {
		r = cli_get(c, "GET", "/api/v1/stats", NULL,
			    "cannot tell the figures", &now);
		if (!r && before && c->json)
			print_json_line(now);
		else if (!r && before)
			print_line(now, before, n - 1);
		json_decref(before);
		before = r ? NULL : now;
		if (!r && n < count)
			nap(interval);
	}
	json_decref(before);
	return r;
}

static int stats_run(struct cli *c)
{
	double interval, count = 1e9;
	json_t *v;
	int r;

	if (own.count && !number(own.count, 1, 1e9, &count))
		return cli_usage(c, "--count wants a number from 1");
	if (own.interval) {
		if (!number(own.interval, 0.1, 86400, &interval))
			return cli_usage(c, "-i wants seconds, 0.1 to 86400");
		return stats_lines(c, interval, count);
	}
	r = cli_get(c, "GET", "/api/v1/stats", NULL, "cannot tell the figures",
		    &v);
	if (r)
		return r;
	if (c->json)
		cli_print_json(v);
	else
		print_all(v);
	json_decref(v);
	return 0;
}

const struct cli_command cmd_stats = {
	.name = "stats",
	.summary = "figures; with -i SEC a line per interval",
	.options = options,
	.option = option,
	.run = stats_run,
};

/* -- top --------------------------------------------------------------------------------- */

static int by_requests(const void *a, const void *b)
{
	int64_t x = json_get_int(*(json_t *const *)a, "requests", 0);
	int64_t y = json_get_int(*(json_t *const *)b, "requests", 0);

	return x < y ? 1 : x > y ? -1 : 0;
}

static void print_top(const json_t *list, size_t max)
{
	static const char *const heads[] = { "PID", "COMMAND", "REQUESTS",
					     "READ", "FETCHED", "WAITED",
					     "WAIT TIME" };
	struct cli_table t = { .columns = ARRAY_SIZE(heads), .heads = heads,
			       .align = "rlrrrrr" };
	size_t n = json_array_size(list);
	json_t **v = xcalloc(n + 1, sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = json_array_get(list, i);
	qsort(v, n, sizeof(*v), by_requests);
	for (size_t i = 0; i < MIN(n, max); i++) {
		char pid[24], requests[24], misses[24], wait[24];
		char bytes[24], fetched[24];

		snprintf(pid, sizeof(pid), "%lld",
			 (long long)json_get_int(v[i], "pid", 0));
		snprintf(requests, sizeof(requests), "%lld",
			 (long long)json_get_int(v[i], "requests", 0));
		snprintf(misses, sizeof(misses), "%lld",
			 (long long)json_get_int(v[i], "misses", 0));
		cli_table_add(&t, pid, cli_text(v[i], "command"), requests,
			      cli_bytes((uint64_t)json_get_int(
						v[i], "bytes_read", 0), bytes),
			      cli_bytes((uint64_t)json_get_int(
						v[i], "fetched_bytes", 0),
					fetched),
			      misses,
			      cli_span(json_get_int(v[i], "wait_us", 0) * 1000,
				       wait));
	}
	free(v);
	cli_table_print(&t);
	if (!n)
		printf("no process has asked for anything yet\n");
}

static int top_once(struct cli *c, bool clear)
{
	json_t *v;
	int r = cli_get(c, "GET", "/api/v1/top", NULL,
			"cannot tell who reads", &v);

	if (r)
		return r;
	if (clear)
		printf("\033[H\033[J");
	if (c->json)
		cli_print_json(v);
	else
		print_top(json_object_get(v, "processes"), clear ? 20 : 1024);
	fflush(stdout);
	json_decref(v);
	return 0;
}

static int top_run(struct cli *c)
{
	bool live = isatty(STDOUT_FILENO) && !c->json;
	double interval = 2, count = live ? 1e9 : 1;
	int r = 0;

	if (own.interval && !number(own.interval, 0.1, 86400, &interval))
		return cli_usage(c, "-i wants seconds, 0.1 to 86400");
	if (own.count && !number(own.count, 1, 1e9, &count))
		return cli_usage(c, "--count wants a number from 1");
	for (double n = 0; n < count && !r; n++) {
		if (n > 0)
			nap(interval);
		r = top_once(c, live);
	}
	return r;
}

const struct cli_command cmd_top = {
	.name = "top",
	.summary = "which processes read, and how long they wait",
	.options = options,
	.option = option,
	.run = top_run,
};
