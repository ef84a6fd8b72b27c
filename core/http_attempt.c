/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_attempt.c - one request on one curl handle, driven by a curl_multi of
 * its own so that deadlines, stalls and cancellation are ours and exact.
 *
 * Header lines are kept until the end of the headers, then judged: only those
 * of a final answer reach the caller, and only when its first byte arrives or
 * it is complete, so that a broken answer can be asked for again until then.
 */
#include "core/http_private.h"

#include "core/call.h"
#include "core/error.h"
#include "core/metrics.h"

#include <strings.h>

#define TICK_NS (100 * NS_PER_MS) /* how soon a cancellation is noticed */
#define HEAD_MAX (256 * KiB)
#define DISCARD_MAX (256 * KiB) /* body of an answer nobody wants */
#define BUFFER_BYTES (128 * 1024l)

static METRIC(bytes_in, "scorpio_http_received_bytes_total", METRIC_COUNTER,
	      NULL, "Body bytes received by the HTTP client.");
static METRIC(bytes_out, "scorpio_http_sent_bytes_total", METRIC_COUNTER, NULL,
	      "Body bytes sent by the HTTP client.");

/* -- response headers -- */

static bool name_is(const char *p, size_t n, const char *name)
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

	if (name_is(name, n, "location")) {
		free(r->location);
		r->location = xstrdup(value);
	} else if (name_is(name, n, "retry-after")) {
		r->retry_after_s = parse_retry_after(value);
	} else if (name_is(name, n, "content-encoding")) {
		r->encoded = true;
	} else if (name_is(name, n, "content-length")) {
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

static void forget_head(struct run *r)
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

static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
	struct run *r = ctx;
	size_t n = size * count;

	r->active = now_ns();
	if (r->verdict != VERDICT_NONE)
		return n; /* a trailer */
	if (n >= 5 && !strncmp(p, "HTTP/", 5)) {
		forget_head(r);
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

/* -- to the caller -- */

static int deliver_head(struct run *r)
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
	int e = deliver_head(r);

	if (e)
		return e;
	if (x->max_response && r->received > x->max_response)
		return fail_too_big(r);
	return x->on_data ? x->on_data(x->ctx, p, n) : 0;
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
	struct run *r = ctx;
	size_t n = size * count;

	if (r->verdict == VERDICT_FINAL) {
		r->received += n;
		r->stop = deliver(r, p, n);
	} else {
		r->discarded += n;
		r->enough = r->discarded > DISCARD_MAX;
	}
	r->active = now_ns(); /* the caller's own time does not count */
	return r->stop || r->enough ? 0 : n;
}

static size_t on_read(char *p, size_t size, size_t count, void *ctx)
{
	struct run *r = ctx;
	int64_t n = r->x->read_body(r->x->ctx, p, size * count);

	r->active = now_ns();
	if (n < 0 || n > (int64_t)(size * count)) {
		r->stop = n < 0 ? (int)n : -EINVAL;
		return CURL_READFUNC_ABORT;
	}
	r->body_taken += (uint64_t)n;
	return (size_t)n;
}

static int on_progress(void *ctx, curl_off_t total UNUSED, curl_off_t down,
		       curl_off_t up_total UNUSED, curl_off_t up)
{
	struct run *r = ctx;

	if (up != (curl_off_t)r->sent) {
		r->sent = (uint64_t)up;
		r->active = now_ns();
	}
	(void)down; /* on_body notes it */
	return 0;
}

/* -- request headers -- */

static bool has_header(const struct scorpio_http *x, const char *name)
{
	const char *const *h;

	for (h = x->headers; h && *h; h++)
		if (name_is(*h, strcspn(*h, ":"), name))
			return true;
	return false;
}

/* What may go to another host than the caller meant. */
static bool is_harmless(const char *h)
{
	static const char *const names[] = {
		"accept",	   "accept-language",	"accept-encoding",
		"content-type",	   "content-encoding",	"range",
		"if-match",	   "if-none-match",	"if-modified-since",
		"if-range",	   "git-protocol",	"user-agent",
		"cache-control",   "expect",		"te",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (name_is(h, strcspn(h, ":"), names[i]))
			return true;
	return false;
}

static int add_header(struct curl_slist **list, const char *h)
{
	struct curl_slist *n;

	if (strpbrk(h, "\r\n") || !strchr(h, ':') || *h == ':')
		return fail(-EINVAL, "a request header is malformed");
	n = curl_slist_append(*list, h);
	if (!n)
		return fail(-ENOMEM, "out of memory");
	*list = n;
	return 0;
}

/* curl takes "Name;" for a header without a value. */
static int add_callers(struct curl_slist **list, const char *h)
{
	size_t n = strcspn(h, ":");

	if (h[n] && !h[n + 1 + strspn(h + n + 1, " \t")]) {
		cleanup_free char *empty = xasprintf("%.*s;", (int)n, h);
		struct curl_slist *l = curl_slist_append(*list, empty);

		*list = l ? l : *list;
		return l ? 0 : fail(-ENOMEM, "out of memory");
	}
	return add_header(list, h);
}

static int make_headers(const struct run *r, struct curl_slist **list)
{
	const struct scorpio_http *x = r->x;
	const char *const *h;
	int e = add_header(list, "Expect:");

	for (h = x->headers; !e && h && *h; h++)
		if (r->home || is_harmless(*h))
			e = add_callers(list, *h);
	if (!e && r->has_body && !has_header(x, "content-type"))
		e = add_header(list, "Content-Type:");
	if (!e && x->bearer && r->home) {
		cleanup_free char *a =
			xasprintf("Authorization: Bearer %s", x->bearer);

		e = add_header(list, a);
	}
	if (!e && http_traceparent() && !has_header(x, "traceparent")) {
		cleanup_free char *t =
			xasprintf("traceparent: %s", http_traceparent());

		e = add_header(list, t);
	}
	return e;
}

/* -- options -- */

static void set_body(const struct run *r, CURL *h)
{
	const struct scorpio_http *x = r->x;

	if (!r->has_body) {
		if (!strcmp(r->method, "HEAD"))
			curl_easy_setopt(h, CURLOPT_NOBODY, 1l);
		else if (strcmp(r->method, "GET"))
			curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
		return;
	}
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
	if (!x->read_body) {
		curl_easy_setopt(h, CURLOPT_POST, 1l);
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(x->body ? x->body_len : 0));
		curl_easy_setopt(h, CURLOPT_POSTFIELDS,
				 x->body ? x->body : "");
		return;
	}
	curl_easy_setopt(h, CURLOPT_UPLOAD, 1l);
	curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(h, CURLOPT_READDATA, r);
	curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE,
			 x->body_len == SCORPIO_SIZE_UNKNOWN ?
				 (curl_off_t)-1 :
				 (curl_off_t)x->body_len);
	/* a kept connection may be dead, and the stream cannot be rewound */
	curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1l);
}

static void set_login(const struct run *r, CURL *h)
{
	const struct scorpio_http *x = r->x;
	bool own = r->home && (x->bearer || has_header(x, "authorization"));
	const char *user = r->home && x->user ? x->user : NULL;
	const char *password = user ? x->password : NULL;

	if (!user && r->home && r->url.user) {
		user = r->url.user;
		password = r->url.password;
	}
	curl_easy_setopt(h, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	if (own)
		return;
	if (user) {
		curl_easy_setopt(h, CURLOPT_USERNAME, user);
		curl_easy_setopt(h, CURLOPT_PASSWORD, password ? password : "");
	} else if (!r->unix_path && r->set->netrc[0]) {
		curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
		curl_easy_setopt(h, CURLOPT_NETRC_FILE, r->set->netrc);
	}
}

static void set_route(const struct run *r, CURL *h)
{
	if (r->unix_path) {
		curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, r->unix_path);
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	} else if (http_url_is_loopback(&r->url)) {
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	} else if (r->set->proxy) {
		curl_easy_setopt(h, CURLOPT_PROXY, r->set->proxy);
	}
	curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1l);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)MAX(r->connect_ns / NS_PER_MS, 1));
	curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1l);
	curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, 60l);
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (r->set->ca_file)
		curl_easy_setopt(h, CURLOPT_CAINFO, r->set->ca_file);
}

static void set_options(struct run *r, CURL *h, struct curl_slist *headers)
{
	const struct scorpio_http *x = r->x;

	curl_easy_setopt(h, CURLOPT_URL, r->url.text);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1l);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* a slow name server must not hold us beyond our deadline */
	curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1l);
#endif
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0l);
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(h, CURLOPT_USERAGENT, r->set->user_agent);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, r->errbuf);
	curl_easy_setopt(h, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0l);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, r);
	if (!r->unix_path && !has_header(x, "accept-encoding") &&
	    !has_header(x, "range"))
		curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "gzip");
	set_body(r, h);
	set_login(r, h);
	set_route(r, h);
}

/* -- waiting -- */

static bool connected(CURL *h)
{
	curl_off_t t = 0;

	curl_easy_getinfo(h, CURLINFO_PRETRANSFER_TIME_T, &t);
	return t > 0;
}

/* 0, or why this attempt must end now. */
static int out_of_time(struct run *r, CURL *h, bool *was_connected)
{
	int64_t now = now_ns();
	int e = call_check();

	if (e)
		return e;
	if (!*was_connected && connected(h)) {
		*was_connected = true;
		r->active = now;
	}
	if (now > r->deadline)
		return fail(-ETIMEDOUT, "not finished within the time allowed "
			    "(%llu bytes received)",
			    (unsigned long long)r->received);
	if (*was_connected && now - r->active > r->stall_ns)
		return fail(-ETIMEDOUT, "the server sent nothing for %.1f s "
			    "(%llu bytes received)",
			    (double)r->stall_ns / NS_PER_S,
			    (unsigned long long)r->received);
	return 0;
}

static int wait_ms(const struct run *r, bool was_connected)
{
	int64_t now = now_ns(), ns = TICK_NS;

	ns = MIN(ns, r->deadline - now);
	if (was_connected)
		ns = MIN(ns, r->active + r->stall_ns - now);
	return ns <= 0 ? 1 : (int)(ns / NS_PER_MS) + 1;
}

static bool done(CURLM *m, CURLcode *ret)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(m, &left)))
		if (msg->msg == CURLMSG_DONE) {
			*ret = msg->data.result;
			return true;
		}
	return false;
}

/* 0 = curl is done, see *ret; else our own reason to stop. */
static int drive(struct run *r, struct conn *c, CURLcode *ret)
{
	bool was_connected = false;
	int running = 1, e = 0;

	if (curl_multi_add_handle(c->multi, c->easy))
		return fail(-EIO, "the HTTP client could not start");
	while (!e) {
		if (curl_multi_perform(c->multi, &running)) {
			e = fail(-EIO, "the HTTP client failed");
			break;
		}
		if (done(c->multi, ret))
			break;
		e = out_of_time(r, c->easy, &was_connected);
		if (!e)
			curl_multi_poll(c->multi, NULL, 0,
					wait_ms(r, was_connected), NULL);
	}
	curl_multi_remove_handle(c->multi, c->easy);
	return e;
}

/* -- what went wrong -- */

static const char *connect_reason(CURL *h)
{
	long e = 0;

	curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &e);
	switch (e) {
	case 0:
		return "cannot connect";
	case ECONNREFUSED:
		return "connection refused";
	case EHOSTUNREACH:
		return "no route to the host";
	case ENETUNREACH:
		return "the network is unreachable";
	case ENOENT:
		return "no such socket";
	default:
		return strerrordesc_np((int)e) ? strerrordesc_np((int)e) :
						 "cannot connect";
	}
}

static int unix_code(CURL *h)
{
	long e = 0;

	curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &e);
	return e == ENOENT || e == ECONNREFUSED || e == EACCES ? -(int)e : -EIO;
}

/* A timeout of curl's own: of the connect phase, since the rest is ours. */
static int explain_timeout(const struct run *r)
{
	return fail(-ETIMEDOUT, "no connection within %.1f s",
		    (double)r->connect_ns / NS_PER_S);
}

static int explain_tls(const struct run *r, CURLcode e)
{
	const char *why = r->errbuf[0] ? r->errbuf : curl_easy_strerror(e);

	if (e == CURLE_PEER_FAILED_VERIFICATION)
		return fail(-EIO, "the server's certificate is not trusted: %s;"
			    " name its authority with http.ca_file", why);
	return fail(-EIO, "TLS: %s", why);
}

static int explain(const struct run *r, CURL *h, CURLcode e)
{
	switch (e) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return fail(-EIO, "host name not found");
	case CURLE_COULDNT_RESOLVE_PROXY:
		return fail(-EIO, "host name of the proxy not found");
	case CURLE_COULDNT_CONNECT:
		return fail(r->unix_path ? unix_code(h) : -EIO, "%s",
			    connect_reason(h));
	case CURLE_OPERATION_TIMEDOUT:
		return explain_timeout(r);
	case CURLE_GOT_NOTHING:
		return fail(-EIO, "the server closed the connection without an "
			    "answer");
	case CURLE_PARTIAL_FILE:
		return fail(-EIO, "the answer was cut off after %llu bytes",
			    (unsigned long long)r->received);
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION:
		return explain_tls(r, e);
	case CURLE_OUT_OF_MEMORY:
		return fail(-ENOMEM, "out of memory");
	default:
		return fail(-EIO, "%s%s",
			    r->received ? "the answer was cut off: " : "",
			    r->errbuf[0] ? r->errbuf : curl_easy_strerror(e));
	}
}

/* Would the same request perhaps succeed now? */
static bool is_passing(CURLcode e)
{
	switch (e) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

static int conclude(struct run *r, CURL *h, CURLcode e,
		    enum origin_result *ret_result, bool *ret_retry)
{
	if (r->status)
		*ret_result = ORIGIN_ANSWERED;
	if (r->stop)
		return r->stop;
	if (r->enough)
		return 0;
	if (!e && r->verdict == VERDICT_FINAL)
		return deliver_head(r);
	if (!e && r->verdict != VERDICT_NONE)
		return 0;
	if (!r->status && is_passing(e))
		*ret_result = ORIGIN_FAILED;
	*ret_retry = is_passing(e);
	return e ? explain(r, h, e) : fail(-EIO, "not an HTTP answer");
}

static void begin(struct run *r)
{
	forget_head(r);
	r->status = 0;
	r->verdict = VERDICT_NONE;
	r->enough = false;
	r->stop = 0;
	r->received = r->discarded = r->sent = 0;
	r->errbuf[0] = '\0';
	r->active = now_ns();
}

static void count_bytes(struct run *r, CURL *h)
{
	curl_off_t up = 0, down = 0;
	long connects = 1;

	curl_easy_getinfo(h, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(h, CURLINFO_SIZE_DOWNLOAD_T, &down);
	curl_easy_getinfo(h, CURLINFO_NUM_CONNECTS, &connects);
	r->reused = !connects;
	metric_register(&bytes_in);
	metric_register(&bytes_out);
	metric_add(&bytes_in, down);
	metric_add(&bytes_out, up);
}

int attempt_run(struct run *r, struct conn *c, enum origin_result *ret_result,
		bool *ret_retry)
{
	struct curl_slist *headers = NULL;
	CURLcode result = CURLE_OK;
	int e;

	*ret_result = ORIGIN_NEITHER;
	*ret_retry = false;
	begin(r);
	e = make_headers(r, &headers);
	if (!e) {
		set_options(r, c->easy, headers);
		e = drive(r, c, &result);
		count_bytes(r, c->easy);
		if (!e)
			e = conclude(r, c->easy, result, ret_result, ret_retry);
		else if (r->status)
			*ret_result = ORIGIN_ANSWERED;
		else if (e == -ETIMEDOUT && now_ns() <= r->deadline) {
			*ret_result = ORIGIN_FAILED; /* stalled, no answer */
			*ret_retry = true;
		}
	}
	curl_slist_free_all(headers);
	return e;
}
