/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/dispatch.h"

#include <fcntl.h>
#include <netinet/in.h>

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/http.h"
#include "core/log.h"
#include "core/metrics.h"

/* what a refused body may still bring before the connection is cut */
#define DISPATCH_DISCARD_MAX (16u * MiB)
#define CLIENT_ADDRESS	     (1ull << 63) /* no process has such a number */

static METRIC(requests_2xx, "scorpio_http_requests_total", METRIC_COUNTER,
	      "code=\"2xx\"", "HTTP requests answered, by status class.");
static METRIC(requests_4xx, "scorpio_http_requests_total", METRIC_COUNTER,
	      "code=\"4xx\"", "HTTP requests answered, by status class.");
static METRIC(requests_5xx, "scorpio_http_requests_total", METRIC_COUNTER,
	      "code=\"5xx\"", "HTTP requests answered, by status class.");
static struct histogram latency = {
	.name = "scorpio_http_request_seconds",
	.help = "From the first handler call to the end of the answer.",
};

static void conn_deadline(struct MHD_Connection *mhd, int64_t seconds)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct conn *c = info ? info->socket_context : NULL;

	if (!c)
		return;
	ranked_scope(&c->listener->server->lock);
	c->deadline = seconds ? deadline_in_ms(seconds * 1000) : 0;
}

void *dispatch_begin(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->listener = cls;
	r->server = r->listener->server;
	r->mhd = mhd;
	r->upload = -1;
	r->start_ns = now_ns();
	r->target_error = target_parse(uri, strlen(uri), &r->target);
	if (r->target_error)
		r->target_text = xstrdup(error_text(r->target_error));
	return r;
}

/* -- checks before the handler ------------------------------------------------ */

struct framing {
	unsigned lengths, encodings, hosts, authorizations, types;
	bool bad_name;
};

/* A token of RFC 9110; "Content-Length " and folded names are none. */
static bool is_token(const char *s)
{
	return *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789!#$%&'*+-.^_`|~")];
}

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind UNUSED,
				    const char *name,
				    const char *value UNUSED)
{
	struct framing *f = cls;

	f->bad_name = f->bad_name || !is_token(name);
	f->lengths += !strcasecmp(name, "Content-Length");
	f->encodings += !strcasecmp(name, "Transfer-Encoding");
	f->hosts += !strcasecmp(name, "Host");
	f->authorizations += !strcasecmp(name, "Authorization");
	f->types += !strcasecmp(name, "Content-Type");
	return MHD_YES;
}

/* Two readings of where a request ends are how requests are smuggled. */
static const char *framing_fault(struct request *r, bool *ret_body)
{
	const char *te = request_header(r, "Transfer-Encoding");
	const char *cl = request_header(r, "Content-Length");
	struct framing f = { 0 };

	MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, count_header, &f);
	*ret_body = te || (cl && strcmp(cl, "0"));
	if (f.bad_name)
		return "a header name with odd characters";
	if (f.lengths && f.encodings)
		return "Transfer-Encoding together with Content-Length";
	if (f.lengths > 1)
		return "more than one Content-Length";
	if (f.encodings > 1 || (te && strcasecmp(te, "chunked")))
		return "a Transfer-Encoding other than chunked";
	if (cl && (!*cl || cl[strspn(cl, "0123456789")]))
		return "a Content-Length that is not a number";
	if (f.hosts > 1)
		return "more than one Host";
	if (f.authorizations > 1)
		return "more than one Authorization";
	if (f.types > 1)
		return "more than one Content-Type";
	return NULL;
}

/* The process at the other end of a unix socket. */
static bool peer_process(struct request *r, struct ucred *ret)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		r->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	socklen_t len = sizeof(*ret);

	return info && !getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED,
				   ret, &len);
}

static bool peer_is_us(struct request *r)
{
	struct ucred who;

	return peer_process(r, &who) && (who.uid == 0 || who.uid == geteuid());
}

/* Who shares servers with others (struct want): a process here, or an address. */
static uint64_t client_key(struct request *r)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		r->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = info ? info->client_addr : NULL;
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;
	struct ucred who;

	if (a && a->sa_family == AF_INET)
		return hash_xxh3(&in->sin_addr, sizeof(in->sin_addr), 0) |
		       CLIENT_ADDRESS;
	if (a && a->sa_family == AF_INET6)
		return hash_xxh3(&in6->sin6_addr, sizeof(in6->sin6_addr), 0) |
		       CLIENT_ADDRESS;
	return peer_process(r, &who) ? (uint64_t)who.pid : 0;
}

static bool route_changes(const struct request *r)
{
	const struct route *route = r->match.route;

	if (!route) /* 404 or 405: nothing happens */
		return false;
	if (!strcmp(route->method, "GET"))
		return route->flags & ROUTE_CHANGES;
	return !(route->flags & ROUTE_READS);
}

static bool is_plain(const struct request *r)
{
	return r->match.route && (r->match.route->flags & ROUTE_PLAIN);
}

static bool authorize(struct request *r)
{
	struct auth_facts f = {
		.place = r->listener->place,
		.is_public = r->match.route &&
			     (r->match.route->flags &
			      (ROUTE_PUBLIC | ROUTE_OPEN)),
		.changes = route_changes(r),
		.has_body = r->has_body,
		.authorization = request_header(r, "Authorization"),
		.host = request_header(r, "Host"),
		.origin = request_header(r, "Origin"),
		.sec_fetch_site = request_header(r, "Sec-Fetch-Site"),
		.content_type = request_header(r, "Content-Type"),
	};
	cleanup_free char *token = NULL;
	struct auth_policy p;
	const char *code;
	int status;

	if (r->match.route) {
		f.any_host = r->match.route->flags & ROUTE_OPEN;
		f.any_type = r->match.route->flags & ROUTE_UPLOAD;
	}
	f.peer_ok = f.place == AUTH_UNIX && peer_is_us(r);
	lock_take(&r->server->lock);
	token = r->server->token ? xstrdup(r->server->token) : NULL;
	p.allow_insecure = r->server->allow_insecure;
	lock_drop(&r->server->lock);
	p.token = token;
	status = auth_check(&p, &f, &code);
	if (status == 415 && is_plain(r))
		reply_plain(r, status, "%s", error_text(-EPERM));
	else if (status)
		reply_error(r, status, code, "%s", error_text(-EPERM));
	return !status;
}

static bool is_upload(const struct request *r)
{
	return r->match.route && (r->match.route->flags & ROUTE_UPLOAD);
}

static uint64_t body_max(const struct request *r)
{
	return is_upload(r) ? r->server->upload_max : SERVER_BODY_MAX;
}

static void refuse_length(struct request *r)
{
	static const char text[] = "a body may have %llu bytes at most";
	unsigned long long max = body_max(r);

	if (is_plain(r))
		reply_plain(r, 413, text, max);
	else
		reply_error(r, 413, "TOO_LARGE", text, max);
}

/* Below upstream's addresses an unknown one is answered as upstream does. */
static void refuse_path(struct request *r, int err)
{
	static const char *const tops[] = { "/antares/", "/api/fs/",
					    "/api/git/" };
	struct buf none = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++) {
		if (err == -ENOENT &&
		    !strncmp(r->target.path, tops[i], strlen(tops[i]))) {
			reply_text(r, 404, "text/plain; charset=utf-8", &none);
			return;
		}
	}
	reply_errno(r, err);
}

static bool length_ok(struct request *r)
{
	const char *cl = request_header(r, "Content-Length");

	if (!cl || strtoull(cl, NULL, 10) <= body_max(r))
		return true;
	refuse_length(r);
	return false;
}

static int refuse_method(struct request *r, const char *allow)
{
	static const char text[] = "{\"error\":\"this method is not offered "
				   "here\",\"code\":\"METHOD_NOT_ALLOWED\"}\n";
	struct MHD_Response *resp = MHD_create_response_from_buffer(
		sizeof(text) - 1, (void *)(uintptr_t)text,
		MHD_RESPMEM_PERSISTENT);

	if (!resp)
		return fail(-ENOMEM, "out of memory");
	MHD_add_response_header(resp, "Content-Type", "application/json");
	MHD_add_response_header(resp, "Allow", allow);
	return request_queue(r, 405, resp);
}

/* Answers and returns false if the request goes no further. */
static bool check(struct request *r)
{
	const char *fault = framing_fault(r, &r->has_body);
	char allow[128];
	int e;

	/* whatever of the body is still to come is not read */
	r->close = r->has_body || fault;
	if (fault) {
		reply_error(r, 400, "BAD_REQUEST", "refused: %s", fault);
		return false;
	}
	if (r->target_error) {
		reply_error(r, 400, "BAD_REQUEST", "%s", r->target_text);
		return false;
	}
	e = router_find(r->server->router, r->method, &r->target, &r->match,
			allow, sizeof(allow));
	if (!authorize(r))
		return false;
	if (e == -EPERM)
		refuse_method(r, allow);
	else if (e)
		refuse_path(r, e);
	if (e || !length_ok(r))
		return false;
	r->close = false;
	return true;
}

static bool ending(struct request *r)
{
	if (!__atomic_load_n(&r->server->stopping, __ATOMIC_RELAXED))
		return false;
	r->close = true;
	reply_error(r, 503, "UNAVAILABLE", "the daemon is ending");
	return true;
}

/* -- the handler --------------------------------------------------------------- */

/* A handler may take longer than the inactivity timeout; MHD starts counting
 * anew when the timeout changes from 0. */
static void inactivity(struct request *r, unsigned seconds)
{
	MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
				  seconds);
}

static void run(struct request *r)
{
	struct call call;
	int e;

	conn_deadline(r->mhd, 0);
	inactivity(r, 0);
	call_enter(&call, DEADLINE_NONE, &r->server->stopping);
	call_asks(&call, client_key(r));
	http_set_traceparent(request_header(r, "traceparent"));
	error_clear();
	e = r->match.route->run(r);
	if (e < 0 && !r->replied)
		reply_errno(r, e);
	assert(r->replied);
	http_set_traceparent(NULL);
	call_leave(&call);
	inactivity(r, SERVER_IDLE_S);
}

/* A file without a name, so that nothing is left behind. */
static int open_upload(struct request *r)
{
	const char *dir = r->server->upload_dir;

	r->upload = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644) : -1;
	if (r->upload >= 0)
		return 0;
	return fail(dir ? -errno : -ENOTSUP, "%s: %s",
		    dir ? dir : "no place for uploads",
		    strerror(dir ? errno : ENOTSUP));
}

static int put_upload(struct request *r, const char *p, size_t n)
{
	int e = r->upload < 0 ? open_upload(r) : 0;

	while (n && !e) {
		ssize_t put = write(r->upload, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			e = fail(put ? -errno : -EIO, "%s: %s",
				 r->server->upload_dir, strerror(errno));
		if (put <= 0)
			break;
		p += put;
		n -= (size_t)put;
		r->uploaded += (size_t)put;
	}
	return e;
}

/* The client has until now + SERVER_BODY_S for its next bytes. What cannot be
 * kept is read on, within a limit, so that the client reads the answer. */
static enum MHD_Result upload(struct request *r, const char *data,
			      size_t *data_size)
{
	size_t n = *data_size;

	conn_deadline(r->mhd, SERVER_BODY_S);
	*data_size = 0;
	if (!r->too_big && n > body_max(r) - r->uploaded)
		r->too_big = true;
	if (!r->too_big && !r->upload_error)
		r->upload_error = put_upload(r, data, n);
	if (!r->too_big && !r->upload_error)
		return MHD_YES;
	r->body.len += n; /* counted only */
	return r->body.len > DISPATCH_DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result body(struct request *r, const char *data,
			    size_t *data_size)
{
	if (is_upload(r))
		return upload(r, data, data_size);
	if (!r->too_big && *data_size > SERVER_BODY_MAX - r->body.len) {
		r->too_big = true;
		buf_done(&r->body);
	}
	if (!r->too_big) {
		buf_put(&r->body, data, *data_size);
	} else {
		r->body.len += *data_size; /* counted only */
		if (r->body.len > DISPATCH_DISCARD_MAX)
			return MHD_NO;
	}
	*data_size = 0;
	return MHD_YES;
}

enum MHD_Result dispatch_request(void *cls UNUSED, struct MHD_Connection *mhd,
				 const char *url UNUSED, const char *method,
				 const char *version UNUSED, const char *data,
				 size_t *data_size, void **con_cls)
{
	struct request *r = *con_cls;

	if (!r)
		return MHD_NO;
	if (!r->checked) {
		r->checked = true;
		r->method = method;
		server_busy(r->server, 1);
		conn_deadline(mhd, SERVER_BODY_S);
		return check(r) && !ending(r) ? MHD_YES : r->queued;
	}
	if (*data_size)
		return body(r, data, data_size);
	if (r->too_big || r->upload_error) {
		r->body.len = 0;
		r->close = true;
		if (r->too_big)
			refuse_length(r);
		else
			reply_errno(r, r->upload_error);
	} else {
		run(r);
	}
	return r->queued;
}

static void account(const struct request *r)
{
	metric_register(&requests_2xx);
	metric_register(&requests_4xx);
	metric_register(&requests_5xx);
	histogram_register(&latency);
	metric_add(r->status >= 500   ? &requests_5xx
		   : r->status >= 400 ? &requests_4xx
				      : &requests_2xx,
		   1);
	histogram_add(&latency, now_ns() - r->start_ns);
	__atomic_fetch_add(&r->server->requests, 1, __ATOMIC_RELAXED);
	log_debug("http", "%s %s %d %lld us", r->method,
		  r->target.path ? r->target.path : "?", r->status,
		  (long long)(now_ns() - r->start_ns) / 1000);
}

void dispatch_end(void *cls UNUSED, struct MHD_Connection *mhd, void **con_cls,
		  enum MHD_RequestTerminationCode why UNUSED)
{
	struct request *r = *con_cls;

	if (!r)
		return;
	if (r->status)
		account(r);
	if (r->checked)
		server_busy(r->server, -1);
	conn_deadline(mhd, SERVER_HEADER_S);
	if (r->at_end)
		r->at_end(r->at_end_ctx);
	route_match_done(&r->match);
	target_done(&r->target);
	if (r->upload >= 0)
		close(r->upload);
	buf_done(&r->body);
	json_decref(r->json);
	free(r->target_text);
	free(r);
	*con_cls = NULL;
}
