/* SPDX-License-Identifier: Apache-2.0 */
/* v1_cache.c - the store: how full, making room, checking, pins. */
#include "api/cachejson.h"
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"

#define PIN_TIMEOUT_S 60

static int get_cache(struct request *r)
{
	struct store_stats s;
	int e = store_stat(daemon_store(request_ctx(r)), &s);

	if (e)
		return e;
	return reply_json(r, 200, cachejson_stats(&s));
}

static int post_gc(struct request *r)
{
	json_t *body;
	uint64_t freed;
	int64_t target;
	bool dry;
	int e;

	if (request_json(r, true, &body))
		return 0;
	target = json_get_int(body, "target_bytes", 0);
	dry = json_get_bool(body, "dry_run", false);
	if (target < 0)
		return fail(-EINVAL, "target_bytes must not be negative");
	e = store_gc(daemon_store(request_ctx(r)), (uint64_t)target, dry,
		     &freed);
	if (e)
		return e;
	return reply_json(r, 200, cachejson_gc(freed, dry));
}

/* -- verify ------------------------------------------------------------------------ */

struct verify {
	struct store *store;
	struct stream *stream;
	bool repair;
	int64_t next_report;
};

static void verify_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct verify *v = ctx;
	json_t *line;

	if (now_ns() < v->next_report)
		return;
	v->next_report = deadline_in_ms(200);
	line = json_object();
	v1_set(line, "done", done);
	v1_set(line, "total", total);
	stream_line(v->stream, line);
}

static int verify_run(struct stream *s, void *ctx)
{
	struct verify *v = ctx;
	struct store_verify result;
	int e;

	v->stream = s;
	e = store_verify(v->store, v->repair, verify_progress, v, &result);
	if (e)
		return e;
	return stream_line(s, cachejson_verify(&result));
}

static int post_verify(struct request *r)
{
	struct verify *v;
	json_t *body;

	if (request_json(r, true, &body))
		return 0;
	v = xcalloc(1, sizeof(*v));
	v->store = daemon_store(request_ctx(r));
	v->repair = json_get_bool(body, "repair", false);
	return reply_stream(r, verify_run, v, free);
}

/* -- pins --------------------------------------------------------------------------- */

static int get_pins(struct request *r)
{
	json_t *v;
	int e = cachejson_pins(daemon_store(request_ctx(r)), &v);

	return e ? e : reply_json(r, 200, v);
}

static int pin(struct request *r, const char *name, const char *path)
{
	struct daemon *d = request_ctx(r);
	struct fs_path_info info;
	bool is_tree;
	int e = fs_path(daemon_fs(d), path,
			deadline_in_ms(PIN_TIMEOUT_S * 1000), &info);

	if (e)
		return e;
	is_tree = info.kind == SCORPIO_DIR;
	if (info.kind == SCORPIO_SUBMODULE)
		e = fail(-EINVAL, "%s is a submodule: nothing to pin", path);
	else if (!info.resident)
		e = fail(-EINVAL, "%s is not in the store yet: warm it up "
			 "first", path);
	else
		e = store_pin(daemon_store(d), name, &info.key, is_tree);
	fs_path_info_done(&info);
	if (e)
		return e;
	return reply_json(r, 200, json_pack("{s:s,s:o}", "name", name, "path",
					    v1_text(path)));
}

static int post_pin(struct request *r)
{
	cleanup_free char *path = NULL;
	const char *name, *text;
	json_t *body;
	int e;

	if (request_json(r, false, &body) ||
	    request_text(r, body, "name", false, &name) ||
	    request_text(r, body, "path", false, &text))
		return 0;
	if (strlen(name) > 200)
		return fail(-EINVAL, "a pin's name has 200 bytes at most");
	e = v1_bytes(text, &path);
	return e ? e : pin(r, name, path);
}

static int delete_pin(struct request *r)
{
	int e = store_unpin(daemon_store(request_ctx(r)),
			    request_param(r, "name"));

	if (e)
		return e;
	return reply_json(r, 200, json_pack("{s:s,s:b}", "name",
					    request_param(r, "name"),
					    "unpinned", 1));
}

const struct route v1_cache_routes[] = {
	{ "GET", "/api/v1/cache", get_cache, 0 },
	{ "POST", "/api/v1/cache/gc", post_gc, 0 },
	{ "POST", "/api/v1/cache/verify", post_verify, 0 },
	{ "GET", "/api/v1/cache/pins", get_pins, 0 },
	{ "POST", "/api/v1/cache/pins", post_pin, 0 },
	{ "DELETE", "/api/v1/cache/pins/{name}", delete_pin, 0 },
	{ NULL, NULL, NULL, 0 },
};
