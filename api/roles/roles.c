/* SPDX-License-Identifier: Apache-2.0 */
#include "api/roles/roles.h"

#include "api/roles/private.h"
#include "core/error.h"
#include "core/log.h"
#include "core/registry.h"
#include "plugins/loader.h"

struct running {
	const struct scorpio_role *role;
	struct scorpio_host *host;
	struct config_view view;
	void *self;
	struct running *next; /* started before */
};

struct roles {
	struct fs *fs;
	struct config *config;
	char *scratch; /* for all of them */
	struct running *last;
};

int roles_provide(void)
{
	struct host_options o = { .name = "daemon", .in_init = true };
	struct scorpio_host *h = host_new(&o);
	int r = h->service_provide(h, SCORPIO_HTTP_SERVICE, &roles_http,
				   sizeof(roles_http));

	if (!r)
		r = h->service_provide(h, SCORPIO_SOURCES_SERVICE,
				       &roles_sources, sizeof(roles_sources));
	host_free(h);
	return r;
}

static const char *get(void *ctx, const char *key)
{
	struct running *x = ctx;

	return config_view_get(&x->view, key);
}

static void start_one(void *ctx, const struct scorpio_role *role)
{
	struct roles *r = ctx;
	struct running *x = xcalloc(1, sizeof(*x));
	struct host_options o = { .name = role->name, .get = get, .ctx = x,
				  .scratch_parent = r->scratch };
	int e;

	x->role = role;
	x->view.config = r->config;
	x->view.backend = role->name;
	x->host = host_new(&o);
	if (!x->host->config_bool(host_config(x->host), "enabled", 0)) {
		host_free(x->host);
		free(x);
		return;
	}
	error_clear();
	e = role->start(x->host, host_config(x->host), &x->self);
	if (e < 0) {
		log_error("roles", "%s does not start: %s", role->name,
			  error_text(e));
		host_free(x->host);
		free(x);
		return;
	}
	log_info("roles", "%s runs", role->name);
	x->next = r->last;
	r->last = x;
}

struct roles *roles_start(struct fs *fs, struct config *c)
{
	struct roles *r = xcalloc(1, sizeof(*r));

	r->fs = fs;
	r->config = config_get(c);
	r->scratch = xasprintf("%s/scratch",
			       config_string(c, "server.store_path"));
	roles_sources_set(fs);
	loader_each_role(start_one, r);
	return r;
}

void roles_stop(struct roles *r)
{
	struct running *x;

	if (!r)
		return;
	while ((x = r->last)) {
		r->last = x->next;
		x->role->stop(x->self);
		host_free(x->host);
		free(x);
	}
	roles_sources_set(NULL);
	config_put(r->config);
	free(r->scratch);
	free(r);
}

void roles_each(const struct roles *r,
		void (*fn)(void *ctx, const struct scorpio_role *role),
		void *ctx)
{
	for (const struct running *x = r ? r->last : NULL; x; x = x->next)
		fn(ctx, x->role);
}
