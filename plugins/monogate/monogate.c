/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <errno.h>
#include <scorpio/plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay.h"

#define PULL (SCORPIO_ROUTE_UPLOAD | SCORPIO_ROUTE_READS)
/* of the whole, or of a part of it */
#define BOTH(method, at, run, flags)                                           \
	{ method, at, run, flags, 0 }, { method, "/{*at}" at, run, flags, 0 }
#define LFS(method, at, run, flags)                                            \
	BOTH(method, "/info/lfs" at, run, flags),                              \
	{ method, "/api/v1/lfs" at, run, flags, 0 }

static const struct scorpio_route routes[] = {
	{ "GET", "/api/v1/status", gate_status, 0, 0 },
	{ "GET", "/api/v1/latest-commit", gate_latest_commit, 0, 0 },
	{ "GET", "/api/v1/tree", gate_tree, 0, 0 },
	{ "GET", "/api/v1/tree/content-hash", gate_content_hash, 0, 0 },
	{ "GET", "/api/v1/tree/dir-hash", gate_dir_hash, 0, 0 },
	{ "GET", "/api/v1/tree/path-can-clone", gate_path_can_clone, 0, 0 },
	{ "GET", "/api/v1/blob", gate_blob, 0, 0 },
	{ "GET", "/api/v1/file/blob/{oid}", gate_file_blob, 0, 0 },
	{ "GET", "/api/v1/file/tree", gate_file_tree, 0, 0 },
	{ "GET", "/api/v1/tree/commit-info", gate_commit_info, 0, 0 },
	{ "POST", "/api/v1/cl/list", gate_cl_list, SCORPIO_ROUTE_READS, 0 },
	{ "GET", "/api/v1/cl/{link}/files-list", gate_cl_files, 0, 0 },
	{ "GET", "/api/v1/cl/{link}/detail", gate_cl_detail, 0, 0 },
	BOTH("GET", "/info/refs", gate_info_refs, 0),
	BOTH("POST", "/git-upload-pack", gate_upload_pack, PULL),
	BOTH("POST", "/git-receive-pack", gate_receive_pack,
	     SCORPIO_ROUTE_UPLOAD),
	LFS("POST", "/objects/batch", gate_lfs_batch, PULL),
	LFS("GET", "/objects/{oid}", gate_lfs_get, 0),
	LFS("PUT", "/objects/{oid}", gate_lfs_put, SCORPIO_ROUTE_UPLOAD),
	LFS("GET", "/locks", gate_lfs_locks, 0),
	LFS("POST", "/locks", gate_lfs_lock, SCORPIO_ROUTE_UPLOAD),
	LFS("POST", "/locks/verify", gate_lfs_verify, PULL),
	LFS("POST", "/locks/{id}/unlock", gate_lfs_unlock,
	    SCORPIO_ROUTE_UPLOAD),
	{ NULL, NULL, NULL, 0, 0 },
};

void gate_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

static void gate_stop(void *self)
{
	struct gate *g = self;

	if (!g)
		return;
	if (g->server)
		g->http->close(g->server);
	relay_finish(g);
	gate_lfs_close(g);
	if (g->source)
		g->sources->close(g->source);
	gate_origin_done(g);
	gate_mirror_free(g);
	gate_known_free(g);
	pthread_cond_destroy(&g->relays.ended);
	pthread_mutex_destroy(&g->relays.lock);
	free(g);
}

static int find_services(struct gate *g)
{
	const struct scorpio_host *h = g->host;

	g->http = h->service_get(h, SCORPIO_HTTP_SERVICE, sizeof(*g->http));
	g->sources = h->service_get(h, SCORPIO_SOURCES_SERVICE,
				    sizeof(*g->sources));
	return g->http && g->sources ?
		       0 :
		       h->fail(h, -ENOTSUP, "this daemon does not offer what "
			       "the gateway needs");
}

static int open_source(struct gate *g, const char *url)
{
	const struct scorpio_host *h = g->host;
	int rc;

	if (!url || !*url)
		return h->fail(h, -EINVAL, "monogate.source is not set: the "
			       "URL or path of what to serve");
	rc = g->sources->open(h, url, &g->source);
	if (rc < 0)
		return rc;
	if (g->sources->id_kind(g->source) != SCORPIO_ID_GIT)
		return h->fail(h, -ENOTSUP, "monogate: %s has no Git object "
			       "ids, which the clients of a Mono server check",
			       g->sources->shown(g->source));
	return gate_origin_find(g, url);
}

static int set_writing(struct gate *g, const struct scorpio_config *c)
{
	const struct scorpio_host *h = g->host;
	const char *token = h->config_string(c, "token", NULL);
	int rc;

	g->has_token = token && *token;
	g->push_token = h->config_string(c, "push_token", NULL);
	if (g->push_token && !*g->push_token)
		g->push_token = NULL;
	g->scratch = h->scratch(h);
	if (!g->scratch)
		return -EIO;
	rc = gate_mirror_new(g);
	if (rc)
		return rc;
	return gate_lfs_open(g, h->config_string(c, "lfs_directory", NULL),
			     h->config_string(c, "lfs_url", NULL));
}

static int set_cls(struct gate *g, const struct scorpio_config *c)
{
	const struct scorpio_host *h = g->host;
	const char *base = h->config_string(c, "cl_base", "parent");

	g->cl_prefix = h->config_string(c, "cl_prefix", "");
	g->cl_from_parent = strcmp(base, "parent") == 0;
	if (!g->cl_from_parent && strcmp(base, "main") != 0)
		return h->fail(h, -EINVAL, "monogate.cl_base is \"%s\"; it is "
			       "\"parent\" or \"main\"", base);
	return 0;
}

static int serve(struct gate *g, const struct scorpio_config *c)
{
	const struct scorpio_host *h = g->host;
	struct scorpio_serve x = {
		.struct_size = sizeof(x),
		.address = h->config_string(c, "listen", "127.0.0.1:8000"),
		.token = h->config_string(c, "token", NULL),
		.routes = routes,
		.ctx = g,
		.upload_dir = g->scratch,
		.upload_max = (uint64_t)h->config_int(c, "upload_max",
						      GATE_UPLOAD_MAX),
	};
	int rc;

	if (h->config_bool(c, "allow_insecure", 0))
		x.flags |= SCORPIO_SERVE_INSECURE;
	rc = g->http->open(h, &x, &g->server);
	if (rc == 0)
		h->log(h, SCORPIO_LOG_INFO, "%s is served as a Mono server on "
		       "http://%s", g->sources->shown(g->source),
		       g->http->address(g->server));
	return rc;
}

static int gate_start(const struct scorpio_host *h,
		      const struct scorpio_config *c, void **ret)
{
	struct gate *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	pthread_mutex_init(&g->relays.lock, NULL);
	pthread_cond_init(&g->relays.ended, NULL);
	g->host = h;
	rc = find_services(g);
	if (rc == 0)
		rc = gate_known_new(g);
	if (rc == 0)
		rc = open_source(g, h->config_string(c, "source", NULL));
	if (rc == 0)
		rc = set_cls(g, c);
	if (rc == 0)
		rc = set_writing(g, c);
	if (rc == 0)
		rc = serve(g, c);
	if (rc < 0)
		gate_stop(g);
	else
		*ret = g;
	return rc;
}

static const struct scorpio_role role = {
	SCORPIO_ROLE_HEAD,
	.name = "monogate",
	.summary = "serves a source over the API of a Mono server",
	.start = gate_start,
	.stop = gate_stop,
};

static const struct scorpio_role *const roles[] = { &role, NULL };

static const struct scorpio_plugin plugin = {
	SCORPIO_PLUGIN_HEAD,
	.name = "monogate",
	.version = SCORPIO_VERSION,
	.summary = "a Mono-compatible gateway to any Git source",
	.roles = roles,
};
SCORPIO_PLUGIN(plugin)
