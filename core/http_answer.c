/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_answer.c - what comes back. Header lines are kept until the end of the
 * headers, then judged: only those of a final answer reach the caller, and only
 * when its first byte arrives or it is complete, so that a broken answer can be
 * asked for again until then.
 */
#include "core/http_private.h"

#include "core/call.h"
#include "core/error.h"

#include <strings.h>

#define HEAD_MAX (256 * KiB)
#define DISCARD_MAX (256 * KiB) /* body of an answer nobody wants */

bool http_name_is(const char *p, size_t n, const char *name)
{
	return strlen(name) == n && !strncasecmp(p, name, n);
}

static uint32_t parse_retry_after(const char *s)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);
	time_t when;

	if (end != s && !*end)
		return (uint32_t)MIN(v, 86400ul);
	when = curl_getdate(s, NULL);
	if (when < 0 || when <= time(NULL))
		return 0;
	return (uint32_t)MIN(when - time(NULL), 86400);
}

static void note_header(struct run *r, const char *name, size_t n,
			const char *value)
{
	char *end;

	if (http_name_is(name, n, "location")) {
		free(r->location);
		r->location = xstrdup(value);
	} else if (http_name_is(name, n, "retry-after")) {
		r->retry_after_s = parse_retry_after(value);
	} else if (http_name_is(name, n, "content-encoding")) {
		r->encoded = true;
	} else if (http_name_is(name, n, "content-length")) {
		r->content_length = strtoull(value, &end, 10);
		if (end == value || *end)
			r->content_length = SCORPIO_SIZE_UNKNOWN;
	}
}

static void keep_header(struct run *r, const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n), *v;
	size_t name, len;

	if (!colon)
		return;
	name = (size_t)(colon - p);
	v = colon + 1;
	while (v < p + n && (*v == ' ' || *v == '\t'))
		v++;
	len = (size_t)(p + n - v);
	while (len && strchr(" \t\r\n", v[len - 1]))
		len--;
	buf_put(&r->head, p, name);
	buf_putc(&r->head, 0);
	buf_put(&r->head, v, len);
	buf_putc(&r->head, 0);
	r->head_lines++;
	note_header(r, p, name,
		    (char *)r->head.data + r->head.len - len - 1);
}

void answer_forget(struct run *r)
{
	r->head.len = 0;
	r->head_lines = 0;
	r->retry_after_s = 0;
	r->content_length = SCORPIO_SIZE_UNKNOWN;
	r->encoded = false;
	free(steal(&r->location));
}

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static int parse_status(const char *p, size_t n)
{
	const char *space = memchr(p, ' ', n);
	int status = 0, i;

	for (i = 1; space && i <= 3 && space + i < p + n; i++)
		if (space[i] >= '0' && space[i] <= '9')
			status = status * 10 + (space[i] - '0');
	return status;
}

static bool too_big(const struct run *r)
{
	return r->verdict == VERDICT_FINAL && r->x->max_response &&
	       !r->encoded && strcmp(r->method, "HEAD") &&
	       r->content_length != SCORPIO_SIZE_UNKNOWN &&
	       r->content_length > r->x->max_response;
}

static int fail_too_big(const struct run *r)
{
	return fail(-EFBIG, "the answer is larger than %llu bytes",
		    (unsigned long long)r->x->max_response);
}

size_t answer_on_header(char *p, size_t size, size_t count, void *ctx)
{
	struct run *r = ctx;
	size_t n = size * count;

	r->active = now_ns();
	if (r->verdict != VERDICT_NONE)
		return n; /* a trailer */
	if (n >= 5 && !strncmp(p, "HTTP/", 5)) {
		answer_forget(r);
		r->status = parse_status(p, n);
	} else if (n && *p != '\r' && *p != '\n') {
		keep_header(r, p, n);
		if (r->head.len > HEAD_MAX)
			r->stop = fail(-EFBIG, "the headers are too large");
	} else if (r->status >= 200) {
		r->verdict = run_judge(r);
		if (too_big(r))
			r->stop = fail_too_big(r);
	}
	return r->stop ? 0 : n;
}

int answer_deliver_head(struct run *r)
{
	const char *p = buf_str(&r->head);
	struct scorpio_http *x = r->x;
	size_t i;
	int e = 0;

	if (r->delivered)
		return 0;
	r->delivered = true;
	x->status = r->status;
	x->retry_after_s = r->retry_after_s;
	for (i = 0; x->on_header && !e && i < r->head_lines; i++) {
		const char *value = p + strlen(p) + 1;

		e = x->on_header(x->ctx, p, value);
		p = value + strlen(value) + 1;
	}
	return e;
}

static int deliver(struct run *r, const void *p, size_t n)
{
	struct scorpio_http *x = r->x;
	int e = answer_deliver_head(r);

	if (e)
		return e;
	if (x->max_response && r->received > x->max_response)
		return fail_too_big(r);
	return x->on_data ? x->on_data(x->ctx, p, n) : 0;
}

size_t answer_on_body(char *p, size_t size, size_t count, void *ctx)
{
	struct run *r = ctx;
	size_t n = size * count;

	if (r->verdict == VERDICT_FINAL) {
		r->received += n;
		call_progress();
		r->stop = deliver(r, p, n);
	} else {
		r->discarded += n;
		r->enough = r->discarded > DISCARD_MAX;
	}
	r->active = now_ns(); /* the caller's own time does not count */
	return r->stop || r->enough ? 0 : n;
}
