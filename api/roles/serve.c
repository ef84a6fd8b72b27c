/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c - the HTTP servers of roles: our server and router, with handlers
 * that live in a plugin. */
#include "api/roles/private.h"

#include <fcntl.h>
#include <inttypes.h>

#include "api/http/range.h"
#include "api/http/request.h"
#include "api/http/server.h"
#include "api/http/server_private.h"
#include "core/clock.h"
#include "core/error.h"

#define CLOSE_MS 20000
#define ROUTES_MAX 256u

struct role_route {
	struct route route; /* first: what the router finds */
	const struct scorpio_route *theirs;
};

struct scorpio_server {
	struct router *router;
	struct server *server;
	struct role_route *routes;
	struct route *table; /* what the router borrows; ended by NULL */
	void *ctx;
};

static struct request *ours(const struct scorpio_request *r)
{
	return (struct request *)(uintptr_t)r;
}

static int run(struct request *r)
{
	struct scorpio_server *s = request_ctx(r);
	size_t i = (size_t)(r->match.route - s->table);

	return s->routes[i].theirs->run(s->ctx, (struct scorpio_request *)r);
}

static int check_route(const struct scorpio_route *r)
{
	if (!r->pattern || r->pattern[0] != '/' || !r->run)
		return fail(-EINVAL, "a route without pattern or function");
	return 0;
}

static unsigned route_flags(uint32_t theirs)
{
	return (theirs & SCORPIO_ROUTE_READS ? ROUTE_READS : 0) |
	       (theirs & SCORPIO_ROUTE_OPEN ? ROUTE_OPEN : 0) |
	       (theirs & SCORPIO_ROUTE_UPLOAD ? ROUTE_UPLOAD : 0);
}

static int make_routes(struct scorpio_server *s,
		       const struct scorpio_route *r)
{
	size_t n = 0;
	int e = 0;

	while (n < ROUTES_MAX && r[n].method && !e)
		e = check_route(&r[n++]);
	if (e || n == ROUTES_MAX)
		return e ? e : fail(-E2BIG, "more than %u routes", ROUTES_MAX);
	s->routes = xcalloc(n, sizeof(*s->routes));
	s->table = xcalloc(n + 1, sizeof(*s->table));
	for (size_t i = 0; i < n; i++) {
		s->routes[i].theirs = &r[i];
		s->table[i] = (struct route){
			.method = r[i].method, .pattern = r[i].pattern,
			.run = run,
			.flags = route_flags(r[i].flags),
		};
	}
	router_add(s->router, s->table);
	return 0;
}

static void server_close(struct scorpio_server *s)
{
	if (!s)
		return;
	if (s->server)
		server_stop(s->server, deadline_in_ms(CLOSE_MS));
	server_free(s->server);
	router_free(s->router);
	free(s->routes);
	free(s->table);
	free(s);
}

static int server_open(const struct scorpio_host *h UNUSED,
		       const struct scorpio_serve *x,
		       struct scorpio_server **ret)
{
	struct scorpio_server *s = xcalloc(1, sizeof(*s));
	struct auth_policy policy = {
		.token = x->token,
		.allow_insecure = x->flags & SCORPIO_SERVE_INSECURE,
	};
	int r;

	s->ctx = x->ctx;
	s->router = router_new();
	r = make_routes(s, x->routes);
	if (!r) {
		s->server = server_new(s->router, s);
		server_set_policy(s->server, &policy);
		if (x->struct_size >= offsetof(struct scorpio_serve,
					       upload_max) +
					      sizeof(x->upload_max) &&
		    x->upload_dir)
			server_set_uploads(s->server, x->upload_dir,
					   x->upload_max);
		r = server_listen_tcp(s->server, x->address);
	}
	if (!r)
		r = server_start(s->server);
	if (r)
		server_close(s);
	else
		*ret = s;
	return r;
}

static const char *server_shown(const struct scorpio_server *s)
{
	return server_address(s->server, 0);
}

static const char *get_method(const struct scorpio_request *r)
{
	return request_method(ours(r));
}

static const char *get_param(const struct scorpio_request *r, const char *name)
{
	return route_param(&ours(r)->match, name);
}

static const char *get_query(const struct scorpio_request *r, const char *name,
			     const char *dflt)
{
	return request_query(ours(r), name, dflt);
}

static const char *get_header(const struct scorpio_request *r,
			      const char *name)
{
	return request_header(ours(r), name);
}

static const void *get_body(const struct scorpio_request *r, uint64_t *ret_n)
{
	size_t n;
	const void *p = request_body(ours(r), &n);

	*ret_n = n;
	return p;
}

static int reply(struct scorpio_request *r, int status,
		 const char *const *headers, const void *data, uint64_t n)
{
	return reply_raw(ours(r), status, headers, data, n);
}

static int reply_body(struct scorpio_request *r, int status,
		      const char *const *headers, const struct scorpio_body *b)
{
	struct scorpio_body mine = { 0 };

	memcpy(&mine, b, MIN((size_t)b->struct_size, sizeof(mine)));
	return reply_content(ours(r), status, headers, &mine);
}

static int body_fd(const struct scorpio_request *r, uint64_t *ret_n)
{
	return request_upload(ours(r), ret_n);
}

static int reply_part(struct scorpio_request *r, int status,
		      const char *const *headers, int fd, uint64_t offset,
		      uint64_t n)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (own < 0)
		return fail(-errno, "a file to send: %s", strerror(errno));
	return reply_file(ours(r), status, headers, own, offset, n);
}

static void range(const struct scorpio_request *r, uint64_t size,
		  struct scorpio_range *ret)
{
	const char *h = get_header(r, "If-Range") ? NULL
						  : get_header(r, "Range");
	struct range got;
	int n = range_parse(h, size, &got);

	*ret = (struct scorpio_range){ .n = size, .status = 200 };
	if (n < 0) {
		ret->status = 416;
		ret->n = 0;
		snprintf(ret->line, sizeof(ret->line),
			 "Content-Range: bytes */%" PRIu64, size);
	}
	if (n != 1)
		return;
	ret->from = got.part[0].offset;
	ret->n = got.part[0].length;
	ret->status = 206;
	snprintf(ret->line, sizeof(ret->line),
		 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
		 ret->from, ret->from + ret->n - 1, size);
}

const struct scorpio_http_service roles_http = {
	.struct_size = sizeof(struct scorpio_http_service),
	.open = server_open,
	.address = server_shown,
	.close = server_close,
	.method = get_method,
	.param = get_param,
	.query = get_query,
	.header = get_header,
	.body = get_body,
	.reply = reply,
	.reply_body = reply_body,
	.body_fd = body_fd,
	.reply_file = reply_part,
	.range = range,
};
