/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - the one HTTP client (libcurl). The request type is struct
 * scorpio_http of <scorpio/host.h>; http_perform() is what host->http calls.
 *
 * Connections are kept per scheme://host:port and reused; HTTP/2 over TLS where
 * offered. Redirects are followed up to 10 times, only to http and https, never
 * from https down to http; user, password, bearer token and every header that
 * is not known to be harmless stay with the first host (http to https on the
 * same host keeps them). Proxies: http.proxy or http_proxy, https_proxy,
 * all_proxy, no_proxy; never for loopback addresses.
 *
 * Deadlines: the whole exchange (timeout_ms, cut to core/call.h's deadline), the
 * connect, and the stall (no byte either way for stall_ms). Cancellation by
 * core/call.h is noticed within 100 ms.
 *
 * Retries, unless SCORPIO_HTTP_NO_RETRY: connection errors, cut-off answers and
 * 429/502/503/504, with exponential backoff and jitter, Retry-After honoured
 * while the deadline allows; never once a byte was handed to on_data or taken
 * from read_body. A caller that must not send something twice says NO_RETRY;
 * the client does not look at the method. on_header is called when the final
 * answer is certain: just before the first on_data, or at the end.
 *
 * Circuit breaker per scheme://host:port: after 5 failures in a row to connect
 * or to get any answer, requests fail at once; one probe after 1 s, doubling to
 * 30 s. Any answer closes it.
 *
 * Answers are decompressed (gzip) unless the request has a Range or an
 * Accept-Encoding header of its own; max_response counts plain bytes.
 *
 * Any thread, blocking; no lock is held while waiting. The first request makes
 * the process ignore SIGPIPE unless it has a handler. on_data and the other
 * callbacks run on the calling thread and may call http_perform themselves.
 */
#ifndef CORE_HTTP_H
#define CORE_HTTP_H

#include "core/base.h"

#include <scorpio/host.h>

struct config;

/* All strings are copied. 0/NULL = the default in brackets. */
struct http_settings {
	const char *proxy;      /* URL; "" = none; NULL = from environment */
	const char *ca_file;    /* PEM; NULL = the system's */
	const char *netrc;      /* file; "" = none; NULL = ~/.netrc if there */
	const char *user_agent; /* [scorpio/VERSION] */
	uint32_t timeout_ms;    /* whole exchange [600 000] */
	uint32_t stall_ms;      /* [30 000] */
	uint32_t connect_ms;    /* [10 000] */
	int retries;            /* after the first attempt; < 0 = [3] */
};
/* Replace the settings; idle connections are closed. Any thread. */
void http_configure(const struct http_settings *s);
/* The same from the keys http.* and fetch.*. */
void http_configure_from(const struct config *c);

/* 0 = there was a final answer, look at x->status; else a negative errno with a
 * text such as "https://host/x: connection refused": -EIO could not be had,
 * -ETIMEDOUT, -EINTR cancelled, -EFBIG above max_response, -EINVAL bad URL or
 * header, or what on_header, on_data or read_body returned. */
int http_perform(struct scorpio_http *x);

/* The same over a unix socket (the daemon's API); url is "http://localhost/...".
 * No proxy, retries, breaker, netrc or redirects. -ENOENT/-ECONNREFUSED: nobody
 * listens there. */
int http_unix(const char *socket_path, struct scorpio_http *x);

/* W3C trace context of this thread ("00-<trace>-<span>-01"), sent with every
 * request until changed; NULL or malformed = none. Copied. */
void http_set_traceparent(const char *traceparent);
const char *http_traceparent(void); /* NULL if none */

/* Is the circuit of this URL's host open? Then *ret_wait_ms is the time until
 * the next probe may go out. */
bool http_circuit_open(const char *url, int64_t *ret_wait_ms);

/* Close idle connections and forget circuits (tests, fork, end). */
void http_reset(void);

/* Percent-encode bytes for one path segment or query value (RFC 3986
 * unreserved characters stay). Caller frees. */
char *http_escape(const char *s, size_t n);

#endif
