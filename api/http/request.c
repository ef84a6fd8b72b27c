/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/request.h"

#include "api/http/server_private.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

void *request_ctx(const struct request *r)
{
	return r->server->ctx;
}

const char *request_method(const struct request *r)
{
	return r->method;
}

const char *request_param(const struct request *r, const char *name)
{
	const char *value = route_param(&r->match, name);

	assert(value);
	return value;
}

const char *request_query(const struct request *r, const char *name,
			  const char *dflt)
{
	return target_query(&r->target, name, dflt);
}

int request_query_int(const struct request *r, const char *name, int64_t dflt,
		      int64_t min, int64_t max, int64_t *ret)
{
	const char *text = target_query(&r->target, name, NULL);
	char *end;
	long long v;

	if (!text) {
		*ret = dflt;
		return 0;
	}
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max)
		return fail(-EINVAL,
			    "%s must be a whole number from %lld to %lld",
			    name, (long long)min, (long long)max);
	*ret = v;
	return 0;
}

bool request_query_bool(const struct request *r, const char *name)
{
	const char *text = target_query(&r->target, name, NULL);

	return text && (!*text || !strcmp(text, "1") ||
			!strcmp(text, "true") || !strcmp(text, "yes"));
}

const char *request_header(const struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

const void *request_body(const struct request *r, size_t *ret_n)
{
	*ret_n = r->body.len;
	return r->body.len ? r->body.data : NULL;
}

int request_upload(const struct request *r, uint64_t *ret_n)
{
	*ret_n = r->uploaded;
	return r->upload;
}

static int bad_body(struct request *r, bool plain, int status,
		    const char *code, const char *text)
{
	if (plain)
		reply_plain(r, status, "%s", text);
	else
		reply_error(r, status, code, "%s", text);
	return status;
}

static int read_json(struct request *r, bool optional, bool plain,
		     json_t **ret)
{
	int e;

	if (!r->body.len && optional) {
		r->json = json_object();
		*ret = r->json;
		return 0;
	}
	if (!auth_is_json(request_header(r, "Content-Type")))
		return bad_body(r, plain, 415, "UNSUPPORTED_MEDIA_TYPE",
				"send the body as application/json");
	e = json_parse((const char *)r->body.data, r->body.len,
		       "request body", &r->json);
	if (e)
		return bad_body(r, plain, 400, "BAD_PAYLOAD", error_text(e));
	if (!json_is_object(r->json))
		return bad_body(r, plain, 422, "BAD_PAYLOAD",
				"the body must be a JSON object");
	*ret = r->json;
	return 0;
}

int request_json(struct request *r, bool optional, json_t **ret)
{
	return read_json(r, optional, false, ret);
}

int request_json_plain(struct request *r, bool optional, json_t **ret)
{
	return read_json(r, optional, true, ret);
}

int request_text_plain(struct request *r, json_t *obj, const char *key,
		       bool optional, const char **ret)
{
	json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if ((!v || json_is_null(v)) && optional)
		return 0;
	if (!v) {
		reply_plain(r, 422, "the body lacks \"%s\"", key);
		return 422;
	}
	if (!json_is_string(v)) {
		reply_plain(r, 422, "\"%s\" must be a text", key);
		return 422;
	}
	*ret = json_string_value(v);
	return 0;
}

int request_text(struct request *r, json_t *obj, const char *key,
		 bool optional, const char **ret)
{
	json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if ((!v || json_is_null(v)) && optional)
		return 0;
	if (!v || json_is_null(v)) {
		reply_error(r, 422, "MISSING_FIELD",
			    "the body lacks \"%s\"", key);
		return 422;
	}
	if (!json_is_string(v) || !json_string_length(v)) {
		reply_error(r, 422, "BAD_FIELD",
			    "\"%s\" must be a text that is not empty", key);
		return 422;
	}
	*ret = json_string_value(v);
	return 0;
}

void request_at_end(struct request *r, void (*fn)(void *ctx), void *ctx)
{
	assert(!r->at_end);
	r->at_end = fn;
	r->at_end_ctx = ctx;
}

void request_deprecated(struct request *r)
{
	r->deprecated = true;
}

#define LOGIN_HEADER "WWW-Authenticate"

int request_queue(struct request *r, int status, struct MHD_Response *resp)
{
	assert(!r->replied);
	r->replied = true;
	r->status = status;
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	if (status == 401 && !MHD_get_response_header(resp, LOGIN_HEADER))
		MHD_add_response_header(resp, LOGIN_HEADER,
					"Basic realm=\"scorpio\"");
	if (r->deprecated)
		MHD_add_response_header(resp, "Deprecation", "true");
	if (r->close)
		MHD_add_response_header(resp, "Connection", "close");
	r->queued = MHD_queue_response(r->mhd, (unsigned)status, resp);
	MHD_destroy_response(resp);
	return 0;
}

static int reply_bytes(struct request *r, int status, const char *type,
		       void *data /* takes */, size_t n)
{
	struct MHD_Response *resp =
		MHD_create_response_from_buffer(n, data, MHD_RESPMEM_MUST_FREE);

	if (!resp) {
		free(data);
		r->replied = true;
		r->queued = MHD_NO;
		return 0;
	}
	MHD_add_response_header(resp, "Content-Type", type);
	MHD_add_response_header(resp, "Cache-Control", "no-store");
	return request_queue(r, status, resp);
}

int reply_text(struct request *r, int status, const char *type,
	       struct buf *text)
{
	size_t n = text->len;

	return reply_bytes(r, status, type, buf_steal(text), n);
}

int reply_plain(struct request *r, int status, const char *fmt, ...)
{
	cleanup_buf struct buf text = BUF_INIT;
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = xstrdup("out of memory");
	va_end(ap);
	buf_puts(&text, s);
	free(s);
	return reply_text(r, status, "text/plain; charset=utf-8", &text);
}

int reply_json(struct request *r, int status, json_t *v)
{
	cleanup_buf struct buf text = BUF_INIT;

	json_print(v, &text);
	json_decref(v);
	buf_putc(&text, '\n');
	return reply_text(r, status, "application/json", &text);
}

static void add_headers(struct MHD_Response *resp,
			const char *const headers[])
{
	for (; headers && *headers; headers++) {
		const char *colon = strchr(*headers, ':');
		cleanup_free char *name = NULL;

		assert(colon);
		name = xstrndup(*headers, (size_t)(colon - *headers));
		MHD_add_response_header(resp, name,
					colon + 1 + strspn(colon + 1, " "));
	}
}

int reply_static(struct request *r, const char *type, const void *p, size_t n,
		 const char *const headers[])
{
	struct MHD_Response *resp = MHD_create_response_from_buffer(
		n, (void *)(uintptr_t)p, MHD_RESPMEM_PERSISTENT);

	if (!resp)
		return fail(-ENOMEM, "out of memory");
	MHD_add_response_header(resp, "Content-Type", type);
	add_headers(resp, headers);
	return request_queue(r, 200, resp);
}

int reply_raw(struct request *r, int status, const char *const headers[],
	      const void *p, size_t n)
{
	struct MHD_Response *resp = MHD_create_response_from_buffer(
		n, (void *)(uintptr_t)p, MHD_RESPMEM_MUST_COPY);

	if (!resp)
		return fail(-ENOMEM, "out of memory");
	add_headers(resp, headers);
	return request_queue(r, status, resp);
}

int reply_file(struct request *r, int status, const char *const headers[],
	       int fd, uint64_t offset, uint64_t n)
{
	struct MHD_Response *resp =
		MHD_create_response_from_fd_at_offset64(n, fd, offset);

	if (!resp) {
		close(fd);
		return fail(-ENOMEM, "out of memory");
	}
	add_headers(resp, headers);
	return request_queue(r, status, resp);
}

struct content {
	struct scorpio_body body;
	const bool *stopping;
	uint64_t asker;
};

static ssize_t read_content(void *arg, uint64_t pos, char *p, size_t max)
{
	struct content *c = arg;
	struct call call;
	int64_t n;

	call_enter(&call, DEADLINE_NONE, c->stopping);
	call_asks(&call, c->asker);
	n = c->body.read(c->body.ctx, c->body.from + pos, p, max);
	call_leave(&call);
	if (n < 0)
		log_warn("http", "an answer is cut: %s", error_text((int)n));
	return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR :
	       n     ? (ssize_t)n :
		       MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_content(void *arg)
{
	struct content *c = arg;

	if (c->body.done)
		c->body.done(c->body.ctx);
	free(c);
}

int reply_content(struct request *r, int status, const char *const headers[],
		  const struct scorpio_body *body)
{
	struct content *c = xmalloc(sizeof(*c));
	struct MHD_Response *resp;

	*c = (struct content){ .body = *body,
			       .stopping = &r->server->stopping,
			       .asker = call_asker() };
	resp = MHD_create_response_from_callback(
		body->size == SCORPIO_SIZE_UNKNOWN ? MHD_SIZE_UNKNOWN :
						     body->size,
		256 * KiB, read_content, c, free_content);
	if (!resp) {
		free_content(c);
		return fail(-ENOMEM, "out of memory");
	}
	add_headers(resp, headers);
	return request_queue(r, status, resp);
}

int reply_error(struct request *r, int status, const char *code,
		const char *fmt, ...)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_t *v = json_object();
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = xstrdup("out of memory");
	va_end(ap);
	json_object_set_new(v, "error", json_bytes(s, strlen(s)));
	json_object_set_new(v, "code", json_string(code));
	free(s);
	return reply_json(r, status, v);
}

static const struct {
	int err, status;
	const char *code;
} errors[] = {
	{ EINVAL, 400, "INVALID_REQUEST" },
	{ ENOENT, 404, "NOT_FOUND" },
	{ ENAMETOOLONG, 400, "INVALID_REQUEST" },
	{ EACCES, 403, "ACCESS_DENIED" },
	{ EPERM, 403, "ACCESS_DENIED" },
	{ EEXIST, 409, "EXISTS" },
	{ EBUSY, 409, "BUSY" },
	{ ENOTEMPTY, 409, "NOT_EMPTY" },
	{ ENOTDIR, 409, "NOT_A_DIRECTORY" },
	{ EXDEV, 409, "NOT_A_MOUNT" },
	{ EROFS, 409, "READ_ONLY" },
	{ ERANGE, 416, "RANGE_NOT_SATISFIABLE" },
	{ ENOSPC, 507, "NO_SPACE" },
	{ ENOTSUP, 501, "UNSUPPORTED" },
	{ EIO, 502, "SOURCE_ERROR" },
	{ EBADMSG, 502, "SOURCE_ERROR" },
	{ ETIMEDOUT, 504, "TIMEOUT" },
	{ EAGAIN, 503, "UNAVAILABLE" },
	{ EINTR, 503, "UNAVAILABLE" },
};

const char *reply_code(int err, int *ret_status)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (errors[i].err != -err)
			continue;
		*ret_status = errors[i].status;
		return errors[i].code;
	}
	*ret_status = 500;
	return "INTERNAL_ERROR";
}

int reply_errno(struct request *r, int err)
{
	int status;
	const char *code = reply_code(err, &status);

	return reply_error(r, status, code, "%s", error_text(err));
}
