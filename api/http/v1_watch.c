/* SPDX-License-Identifier: Apache-2.0 */
/* v1_watch.c - who reads what: live operations and an account per process. */
#include <fnmatch.h>

#include "api/http/routes.h"
#include "api/http/v1.h"
#include "core/clock.h"
#include "core/error.h"

#define TOP_MAX 1024
#define TRACE_BATCH 512
#define TRACE_POLL_MS 100

static int get_top(struct request *r)
{
	struct fs_account *a = xcalloc(TOP_MAX, sizeof(*a));
	size_t n = fs_top(daemon_fs(request_ctx(r)), a, TOP_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *v = json_object();

		v1_set(v, "pid", a[i].pid);
		json_object_set_new(v, "command",
				    json_bytes(a[i].comm,
					       strnlen(a[i].comm,
						       sizeof(a[i].comm))));
		v1_set(v, "requests", a[i].requests);
		v1_set(v, "bytes_read", a[i].bytes_read);
		v1_set(v, "misses", a[i].misses);
		v1_set(v, "fetched_objects", a[i].fetched_objects);
		v1_set(v, "fetched_bytes", a[i].fetched_bytes);
		v1_set(v, "wait_us", (uint64_t)(a[i].wait_ns / 1000));
		v1_set(v, "idle_ms",
		       (uint64_t)(MAX(now_ns() - a[i].last_ns, 0) /
				  NS_PER_MS));
		json_array_append_new(list, v);
	}
	free(a);
	return reply_json(r, 200, json_pack("{s:o}", "processes", list));
}

/* -- trace ----------------------------------------------------------------------- */

struct trace {
	struct fs *fs;
	char *glob;      /* of the path; NULL = all */
	int64_t max;     /* events; 0 = no limit */
	int64_t until;   /* deadline */
	int64_t min_ns;  /* only slower ones */
	int64_t started; /* wall clock: older events are somebody else's */
	int64_t sent;
};

static json_t *event_json(const struct fs_event *e)
{
	json_t *v = json_object();

	v1_set(v, "seq", e->seq);
	v1_set(v, "time_us", (uint64_t)(e->wall_ns / 1000));
	v1_set(v, "latency_us", (uint64_t)(e->latency_ns / 1000));
	json_object_set_new(v, "mount", json_string(e->mount_id));
	json_object_set_new(v, "op", v1_text(e->op));
	json_object_set_new(v, "path",
			    json_bytes(e->path,
				       strnlen(e->path, sizeof(e->path))));
	v1_set(v, "offset", e->offset);
	v1_set(v, "bytes", e->bytes);
	v1_set(v, "pid", e->pid);
	json_object_set_new(v, "error",
			    e->error ? json_string(strerrorname_np(-e->error))
				     : json_null());
	json_object_set_new(v, "tier", v1_text(e->tier));
	return v;
}

static bool wanted(const struct trace *t, const struct fs_event *e)
{
	return e->wall_ns >= t->started && e->latency_ns >= t->min_ns &&
	       (!t->glob || !fnmatch(t->glob, e->path, 0));
}

static int send_batch(struct stream *s, struct trace *t,
		      const struct fs_event *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!wanted(t, &e[i]))
			continue;
		if (stream_line(s, event_json(&e[i])))
			return -EPIPE;
		if (t->max && ++t->sent >= t->max)
			return 1;
	}
	return 0;
}

static int follow(struct stream *s, struct trace *t, struct fs_event *e)
{
	uint64_t since = 0;
	int r = 0;

	while (!r && now_ns() < t->until) {
		bool lost = false;
		size_t n = fs_trace_poll(t->fs, since, e, TRACE_BATCH, &lost);

		if (lost && since)
			r = stream_line(s, json_pack("{s:b}", "lost", 1));
		if (n)
			since = e[n - 1].seq;
		if (!r)
			r = send_batch(s, t, e, n);
		if (!r && n < TRACE_BATCH && !stream_sleep(s, TRACE_POLL_MS))
			r = -EPIPE;
	}
	return MIN(r, 0);
}

static int trace_run(struct stream *s, void *ctx)
{
	struct fs_event *e = xcalloc(TRACE_BATCH, sizeof(*e));
	struct trace *t = ctx;
	int r;

	t->started = wall_ns();
	fs_trace_start(t->fs);
	/* whoever reads this knows that recording has begun */
	r = stream_line(s, json_pack("{s:b}", "tracing", 1));
	if (!r)
		r = follow(s, t, e);
	fs_trace_stop(t->fs);
	free(e);
	return r;
}

static void trace_free(void *ctx)
{
	struct trace *t = ctx;

	free(t->glob);
	free(t);
}

static int get_trace(struct request *r)
{
	const char *glob = request_query(r, "path", NULL);
	int64_t max, duration, slower;
	struct trace *t;
	int e = request_query_int(r, "max", 0, 0, INT32_MAX, &max);

	if (!e)
		e = request_query_int(r, "duration_s", 3600, 1, 86400,
				      &duration);
	if (!e)
		e = request_query_int(r, "slower_us", 0, 0, INT32_MAX,
				      &slower);
	if (e)
		return e;
	t = xcalloc(1, sizeof(*t));
	t->fs = daemon_fs(request_ctx(r));
	t->glob = glob && *glob ? xstrdup(glob) : NULL;
	t->max = max;
	t->min_ns = slower * 1000;
	t->until = deadline_in_ms(duration * 1000);
	return reply_stream(r, trace_run, t, trace_free);
}

const struct route v1_watch_routes[] = {
	{ "GET", "/api/v1/top", get_top, 0 },
	{ "GET", "/api/v1/trace", get_trace, 0 },
	{ NULL, NULL, NULL, 0 },
};
