/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - one http_perform(): admit, attempt, and by the verdict go on to the
 * next hop, wait and try again, or end.
 */
#include "core/http.h"

#include "core/call.h"
#include "core/error.h"
#include "core/http_private.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/metrics.h"

#include <sys/random.h>

#define HOPS_MAX 10
#define BACKOFF_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_S)
#define SLICE_NS (50 * NS_PER_MS)

static METRIC(retried, "scorpio_http_retries_total", METRIC_COUNTER, NULL,
	      "HTTP requests sent again after a failure.");
static METRIC(errors, "scorpio_http_errors_total", METRIC_COUNTER, NULL,
	      "HTTP requests that ended without an answer.");

static struct metric *by_class[] = { NULL, NULL, NULL, NULL, NULL, NULL };

static void register_metrics(void)
{
	static const char *const labels[] = {
		NULL, "class=\"1xx\"", "class=\"2xx\"", "class=\"3xx\"",
		"class=\"4xx\"", "class=\"5xx\"",
	};
	size_t i;

	metric_register(&retried);
	metric_register(&errors);
	for (i = 1; i < ARRAY_SIZE(labels); i++)
		by_class[i] = metric_get("scorpio_http_responses_total",
					 labels[i], METRIC_COUNTER,
					 "Answers to HTTP requests.");
}

static void count_answer(int status)
{
	int class = status / 100;

	if (class >= 1 && class <= 5)
		metric_add(by_class[class], 1);
}

/* -- retries -- */

/* Between half and all of 100 ms, 200 ms, ... 5 s */
static int64_t backoff(unsigned attempt)
{
	int64_t ns = MIN(BACKOFF_NS << MIN(attempt, 10u), BACKOFF_MAX_NS);
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = (uint32_t)now_ns();
	return ns / 2 + (int64_t)(r % 1024) * (ns / 2) / 1024;
}

/* May it be sent once more, and does the wait fit? Sets r->delay_ns. */
static bool may_retry(struct run *r)
{
	int64_t ns = MAX(backoff(r->attempt),
			 (int64_t)r->retry_after_s * NS_PER_S);

	if (r->x->flags & SCORPIO_HTTP_NO_RETRY || r->retries_left <= 0 ||
	    r->delivered || r->body_taken || now_ns() + ns >= r->deadline)
		return false;
	r->delay_ns = ns;
	return true;
}

static bool is_redirect(const struct run *r)
{
	switch (r->status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		return r->location && *r->location && !r->unix_path &&
		       !(r->x->flags & SCORPIO_HTTP_NO_REDIRECT);
	default:
		return false;
	}
}

enum verdict run_judge(struct run *r)
{
	if (is_redirect(r))
		return VERDICT_REDIRECT;
	switch (r->status) {
	case 429:
	case 502:
	case 503:
	case 504:
		return may_retry(r) ? VERDICT_RETRY : VERDICT_FINAL;
	default:
		return VERDICT_FINAL;
	}
}

static int wait_before_retry(struct run *r)
{
	int64_t until = now_ns() + r->delay_ns;
	int e = 0;

	r->retries_left--;
	r->attempt++;
	metric_add(&retried, 1);
	log_debug("http", "%s: again in %d ms", r->shown,
		  (int)(r->delay_ns / NS_PER_MS));
	while (!e && now_ns() < until) {
		struct timespec t =
			ns_to_timespec(MIN(SLICE_NS, until - now_ns()));

		nanosleep(&t, NULL);
		e = call_check();
	}
	return e ? fail_prefix(e, "%s", r->shown) : 0;
}

/* -- redirects -- */

/* Is the login still meant for this place? Also from http to https of the same
 * host on the usual ports. */
static bool same_place(const struct http_url *a, const struct http_url *b)
{
	if (strcmp(a->host, b->host))
		return false;
	if (!strcmp(a->scheme, b->scheme) && !strcmp(a->port, b->port))
		return true;
	return !strcmp(a->scheme, "http") && !strcmp(b->scheme, "https") &&
	       !strcmp(a->port, "80") && !strcmp(b->port, "443");
}

static void drop_body(struct run *r)
{
	if (strcmp(r->method, "HEAD"))
		r->method = "GET";
	r->has_body = false;
}

static int follow(struct run *r)
{
	struct http_url next;
	int e = http_url_parse(r->location, r->url.text, &next);

	if (e)
		return fail(-EIO, "%s: redirected to where only http and https "
			    "are followed: %s", r->shown, error_text(e));
	if (!strcmp(r->url.scheme, "https") && strcmp(next.scheme, "https")) {
		http_url_done(&next);
		return fail(-EIO, "%s: redirected from https to http, which is "
			    "refused", r->shown);
	}
	if (r->status == 303 || (r->status < 303 && !strcmp(r->method, "POST")))
		drop_body(r);
	if (r->has_body && r->body_taken) {
		http_url_done(&next);
		return fail(-EIO, "%s: redirected in the middle of a streamed "
			    "request", r->shown);
	}
	r->home = r->home && same_place(&r->url, &next);
	if (r->home && !next.user) { /* the login of the URL stays valid */
		next.user = steal(&r->url.user);
		next.password = steal(&r->url.password);
	}
	http_url_done(&r->url);
	r->url = next;
	r->attempt = 0;
	log_redact(r->url.text, r->shown, sizeof(r->shown));
	return 0;
}

/* -- attempts -- */

static void log_exchange(const struct run *r, int e, int64_t ns)
{
	if (e)
		log_debug("http", "%s %s: %s, %.1f ms", r->method, r->shown,
			  error_text(e), (double)ns / NS_PER_MS);
	else
		log_debug("http", "%s %s: %d, %llu bytes in %.1f ms%s",
			  r->method, r->shown, r->status,
			  (unsigned long long)(r->received + r->discarded),
			  (double)ns / NS_PER_MS, r->reused ? ", reused" : "");
}

static int attempt(struct run *r, struct origin *o, bool *ret_retry)
{
	enum origin_result result;
	struct conn *c = conn_take(o);
	int64_t start = now_ns();
	bool probe = false;
	int e = o ? origin_admit(o, &probe) : 0;

	*ret_retry = false;
	r->refused = e != 0;
	if (e || !c) {
		if (!e && o)
			origin_report(o, probe, ORIGIN_NEITHER, "");
		if (c)
			conn_give(o, c, true);
		return e ? e : fail(-ENOMEM, "out of memory");
	}
	e = attempt_run(r, c, &result, ret_retry);
	log_exchange(r, e, now_ns() - start);
	if (r->status)
		count_answer(r->status);
	if (o && r->status && !e)
		origin_latency(o, now_ns() - start);
	if (o)
		origin_report(o, probe, result, e ? error_text(e) : "");
	conn_give(o, c, !e && !r->enough);
	return e ? fail_prefix(e, "%s", r->shown) : 0;
}

/* Is another attempt worth it? Not at a server whose circuit is open: others
 * would be refused at once, so are we. */
static bool go_on(struct run *r, struct origin *o, int e, bool may_help)
{
	if (!e)
		return r->verdict == VERDICT_RETRY;
	return may_help && !(o && origin_is_open(o)) && may_retry(r);
}

/* Attempts at one URL until a verdict, or nothing more helps. */
static int hop(struct run *r)
{
	struct origin *o = r->unix_path ? NULL : origin_get(&r->url);
	cleanup_free char *why = NULL;
	bool may_help;
	int e, before = 0;

	while (true) {
		e = attempt(r, o, &may_help);
		if (r->refused && why) /* opened meanwhile: the cause says more */
			e = fail(before, "%s", why);
		if (!go_on(r, o, e, may_help))
			break;
		free(why);
		why = e ? xstrdup(error_text(e)) : NULL;
		before = e;
		e = wait_before_retry(r);
		if (e)
			break;
	}
	origin_put(o);
	return e;
}

static int hops(struct run *r)
{
	unsigned n;
	int e;

	for (n = 0; n <= HOPS_MAX; n++) {
		e = hop(r);
		if (e || r->verdict == VERDICT_FINAL)
			return e;
		e = follow(r);
		if (e)
			return e;
	}
	return fail(-EIO, "%s: more than %d redirects", r->shown, HOPS_MAX);
}

static void prepare(struct run *r)
{
	const struct scorpio_http *x = r->x;
	uint32_t ms = x->timeout_ms ? x->timeout_ms : r->set->timeout_ms;
	uint32_t stall = x->stall_ms ? x->stall_ms : r->set->stall_ms;

	r->has_body = x->body || x->read_body;
	r->method = x->method	? x->method :
		    r->has_body ? "POST" :
				  "GET";
	/* these announce a body even when it is empty */
	r->has_body = r->has_body || !strcmp(r->method, "POST") ||
		      !strcmp(r->method, "PUT");
	r->has_body = r->has_body && strcmp(r->method, "HEAD");
	r->home = true;
	r->deadline = MIN(deadline_in_ms(ms), call_deadline());
	r->stall_ns = stall * NS_PER_MS;
	r->connect_ns = r->set->connect_ms * NS_PER_MS;
	r->retries_left = r->unix_path ? 0 : r->set->retries;
	log_redact(r->url.text, r->shown, sizeof(r->shown));
}

static void fill_answer(struct run *r)
{
	struct scorpio_http *x = r->x;

	if (r->verdict == VERDICT_FINAL) {
		x->status = r->status;
		x->retry_after_s = r->retry_after_s;
	}
	if (strlen(r->url.text) < sizeof(x->effective_url))
		snprintf(x->effective_url, sizeof(x->effective_url), "%s",
			 r->url.text);
}

static bool method_ok(const char *s)
{
	size_t n = s ? strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") : 1;

	return n && n <= 20 && (!s || !s[n]);
}

static int perform(struct scorpio_http *x, const char *unix_path)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct run r = { .x = x, .unix_path = unix_path };
	int e;

	pthread_once(&once, register_metrics);
	lock_assert_none_held("an HTTP request");
	x->status = 0;
	x->retry_after_s = 0;
	x->effective_url[0] = '\0';
	if (!x->url || !method_ok(x->method))
		return fail(-EINVAL, "http: no URL, or not a method");
	e = call_check();
	if (!e)
		e = http_url_parse(x->url, NULL, &r.url);
	if (e)
		return e;
	r.set = settings_get();
	prepare(&r);
	e = hops(&r);
	fill_answer(&r);
	if (e)
		metric_add(&errors, 1);
	http_url_done(&r.url);
	buf_done(&r.head);
	free(r.location);
	settings_put(r.set);
	return e;
}

int http_perform(struct scorpio_http *x)
{
	return perform(x, NULL);
}

int http_unix(const char *socket_path, struct scorpio_http *x)
{
	int e = perform(x, socket_path);

	return e ? fail_prefix(e, "%s", socket_path) : 0;
}
