/* SPDX-License-Identifier: Apache-2.0 */
/* v1_status.c - the daemon as a whole: status, stats, plugins, configuration,
 * doctor, log, stop, reload. */
#include <scorpio/version.h>

#include "api/doctor.h"
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "api/process.h"
#include "api/plugins.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/registry.h"
#include "fs/keeper.h"
#include "plugins/loader.h"

/* -- status ----------------------------------------------------------------------- */

static json_t *listeners(struct server *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < server_listeners(s); i++)
		json_array_append_new(
			list, json_sprintf("%s%s",
					   server_is_unix(s, i) ? "unix:"
								: "http://",
					   server_address(s, i)));
	return list;
}

static void add_backend(void *ctx, const struct scorpio_backend *b,
			const char *origin)
{
	json_t *v = json_object();

	json_object_set_new(v, "name", v1_text(b->name));
	json_object_set_new(v, "schemes", v1_text(b->schemes));
	json_object_set_new(v, "summary", v1_text(b->summary));
	json_object_set_new(v, "origin", v1_text(origin));
	json_array_append_new(ctx, v);
}

static json_t *store_json(struct daemon *d, const struct config *c)
{
	struct store_stats s;
	json_t *v = json_object();

	json_object_set_new(v, "path",
			    v1_text(config_string(c, "server.store_path")));
	if (store_stat(daemon_store(d), &s))
		return v;
	v1_set(v, "max_bytes", s.max_bytes);
	v1_set(v, "used_bytes", s.used_bytes);
	v1_set(v, "trees", s.trees);
	v1_set(v, "blobs", s.blobs);
	v1_set(v, "chunks", s.chunks);
	v1_set(v, "damaged_records", s.damaged_records);
	return v;
}

static int get_status(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct config *c = daemon_config(d);
	json_t *v = json_object(), *backends = json_array();
	struct keeper *k = daemon_keeper(d);

	registry_each(add_backend, backends);
	json_object_set_new(v, "version", json_string(SCORPIO_VERSION));
	json_object_set_new(v, "pid", json_integer(getpid()));
	json_object_set_new(v, "daemon_pid", json_integer(getpid()));
	json_object_set_new(v, "keeper_pid",
			    keeper_pid(k) ? json_integer(keeper_pid(k))
					  : json_null());
	v1_set(v, "restarts", keeper_restarts(k));
	json_object_set_new(v, "ready", json_boolean(daemon_ready(d)));
	v1_set(v, "uptime_s", (uint64_t)(daemon_uptime_ns(d) / NS_PER_S));
	v1_set(v, "started_ms", (uint64_t)(daemon_started_ns(d) / NS_PER_MS));
	v1_set(v, "rss_bytes", process_rss());
	json_object_set_new(v, "offline",
			    json_boolean(config_bool(c, "offline")));
	json_object_set_new(v, "config_path", v1_text(config_path(c)));
	json_object_set_new(v, "listeners", listeners(daemon_server(d)));
	json_object_set_new(v, "store", store_json(d, c));
	json_object_set_new(v, "backends", backends);
	json_object_set_new(v, "mounts", v1_mounts(d));
	config_put(c);
	return reply_json(r, 200, v);
}

/* -- stats: counters that only grow, and a few gauges ---------------------------------- */

struct sums {
	uint64_t mounts, requests, bytes_read, inodes, inode_bytes, waiting;
	uint64_t fetch_requests, fetch_objects, fetch_bytes, fetch_failed;
};

static int add_sums(void *ctx, const struct fs_mount_info *i)
{
	struct sums *s = ctx;

	s->mounts++;
	s->requests += i->requests;
	s->bytes_read += i->bytes_read;
	s->inodes += i->inodes;
	s->inode_bytes += i->inode_bytes;
	s->waiting += i->waiting;
	s->fetch_requests += i->stats.requests;
	s->fetch_objects += i->stats.objects;
	s->fetch_bytes += i->stats.bytes;
	s->fetch_failed += i->stats.failed;
	return 0;
}

static int get_stats(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct store_stats store = { 0 };
	struct sums s = { 0 };
	json_t *v = json_object();

	fs_each(daemon_fs(d), add_sums, &s);
	store_stat(daemon_store(d), &store);
	v1_set(v, "time_ms", (uint64_t)(wall_ns() / NS_PER_MS));
	v1_set(v, "mounts", s.mounts);
	v1_set(v, "requests", s.requests);
	v1_set(v, "bytes_read", s.bytes_read);
	v1_set(v, "waiting", s.waiting);
	v1_set(v, "fetch_requests", s.fetch_requests);
	v1_set(v, "fetch_objects", s.fetch_objects);
	v1_set(v, "fetch_bytes", s.fetch_bytes);
	v1_set(v, "fetch_failed", s.fetch_failed);
	v1_set(v, "inodes", s.inodes);
	v1_set(v, "inode_bytes", s.inode_bytes);
	v1_set(v, "store_used_bytes", store.used_bytes);
	v1_set(v, "store_max_bytes", store.max_bytes);
	v1_set(v, "store_chunks", store.chunks);
	v1_set(v, "evicted_chunks", store.evicted_chunks);
	v1_set(v, "rss_bytes", process_rss());
	v1_set(v, "http_requests", server_requests(daemon_server(d)));
	return reply_json(r, 200, v);
}

/* -- plugins, configuration, log ----------------------------------------------------------- */

static void add_plugin(void *ctx, const struct loader_info *i)
{
	json_array_append_new(ctx, plugins_json(i));
}

static int get_plugins(struct request *r)
{
	json_t *plugins = json_array(), *backends = json_array();

	loader_each(add_plugin, plugins);
	registry_each(add_backend, backends);
	return reply_json(r, 200, json_pack("{s:o,s:o}", "plugins", plugins,
					    "backends", backends));
}

static int get_config(struct request *r)
{
	struct config *c = daemon_config(request_ctx(r));
	json_t *keys = json_array(), *v = json_object();

	for (size_t i = 0; i < config_keys_count; i++) {
		const char *key = config_keys[i].name;
		char buf[1024];
		json_t *one = json_object();

		json_object_set_new(one, "key", json_string(key));
		json_object_set_new(one, "value",
				    v1_text(config_shown(c, key, buf,
							 sizeof(buf))));
		json_object_set_new(one, "origin",
				    v1_text(config_origin_text(c, key)));
		json_array_append_new(keys, one);
	}
	json_object_set_new(v, "file", v1_text(config_path(c)));
	json_object_set_new(v, "keys", keys);
	config_put(c);
	return reply_json(r, 200, v);
}

static int get_log(struct request *r)
{
	cleanup_free char *text = NULL;
	json_t *lines = json_array();
	int64_t n;
	char *save = NULL;
	int e = request_query_int(r, "lines", 100, 1, 10000, &n);

	if (e) {
		json_decref(lines);
		return e;
	}
	text = log_recent((size_t)n);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		json_array_append_new(lines, v1_text(line));
	return reply_json(r, 200, json_pack("{s:o}", "lines", lines));
}

/* -- doctor --------------------------------------------------------------------------------- */

static void add_check(void *ctx, const struct doctor_check *c)
{
	json_t *v = json_object();

	json_object_set_new(v, "name", v1_text(c->name));
	json_object_set_new(v, "result", json_string(doctor_word(c->result)));
	json_object_set_new(v, "text", v1_text(c->text));
	json_object_set_new(v, "advice", v1_text(c->advice));
	json_array_append_new(ctx, v);
}

static int get_doctor(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct config *c = daemon_config(d);
	json_t *checks = json_array();

	doctor_machine(c, add_check, checks);
	doctor_daemon(d, add_check, checks);
	config_put(c);
	return reply_json(r, 200, json_pack("{s:o}", "checks", checks));
}

/* -- stop, reload ------------------------------------------------------------------------------ */

static void stop(void *ctx)
{
	daemon_stop(ctx);
}

static int post_stop(struct request *r)
{
	struct daemon *d = request_ctx(r);
	json_t *mounts = v1_mounts(d);

	/* not before the client has its answer */
	request_at_end(r, stop, d);
	return reply_json(r, 202, json_pack("{s:b,s:i,s:o}", "stopping", 1,
					    "pid", (int)getpid(), "mounts",
					    mounts));
}

static int post_reload(struct request *r)
{
	int e = daemon_reload(request_ctx(r));

	if (e)
		return e;
	return reply_json(r, 200, json_pack("{s:b}", "reloaded", 1));
}

#define REPLACE_MS 40000 /* the new process has 30 s to say what it thinks */

static int post_restart(struct request *r)
{
	struct daemon *d = request_ctx(r);
	struct keeper *k = daemon_keeper(d);
	int e = k ? fs_can_be_replaced(daemon_fs(d)) : 0;

	if (!e)
		e = keeper_replace(k, NULL, deadline_in_ms(REPLACE_MS));
	cleanup_free char *why = e ? xstrdup(error_text(e)) : NULL;

	if (e == -ENOTCONN || e == -EPERM) /* nothing has happened */
		return fail(-EBUSY, "%s", why);
	if (e)
		return e;
	return reply_json(r, 202, json_pack("{s:b,s:i,s:i}", "restarting", 1,
					    "pid", (int)getpid(), "keeper_pid",
					    keeper_pid(k)));
}

const struct route v1_status_routes[] = {
	{ "GET", "/api/v1/status", get_status, 0 },
	{ "GET", "/api/v1/stats", get_stats, 0 },
	{ "GET", "/api/v1/plugins", get_plugins, 0 },
	{ "GET", "/api/v1/config", get_config, 0 },
	{ "GET", "/api/v1/log", get_log, 0 },
	{ "GET", "/api/v1/doctor", get_doctor, 0 },
	{ "POST", "/api/v1/stop", post_stop, 0 },
	{ "POST", "/api/v1/restart", post_restart, 0 },
	{ "POST", "/api/v1/reload", post_reload, 0 },
	{ NULL, NULL, NULL, 0 },
};
