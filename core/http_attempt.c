/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_attempt.c - one request on one curl handle, driven by a curl_multi of
 * its own so that deadlines, stalls and cancellation are ours and exact.
 */
#include "core/http_private.h"

#include "core/call.h"
#include "core/error.h"
#include "core/metrics.h"

#define TICK_NS (100 * NS_PER_MS) /* how soon a cancellation is noticed */

static METRIC(bytes_in, "scorpio_http_received_bytes_total", METRIC_COUNTER,
	      NULL, "Body bytes received by the HTTP client.");
static METRIC(bytes_out, "scorpio_http_sent_bytes_total", METRIC_COUNTER, NULL,
	      "Body bytes sent by the HTTP client.");

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

	if (!e && r->x->ended && r->x->ended(r->x->ctx))
		e = fail(-EINTR, "nobody waits for it any more");
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
		return answer_deliver_head(r);
	if (!e && r->verdict != VERDICT_NONE)
		return 0;
	if (!r->status && is_passing(e))
		*ret_result = ORIGIN_FAILED;
	*ret_retry = is_passing(e);
	return e ? explain(r, h, e) : fail(-EIO, "not an HTTP answer");
}

static void begin(struct run *r)
{
	answer_forget(r);
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
	e = http_request_headers(r, &headers);
	if (!e) {
		http_request_options(r, c->easy, headers);
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
