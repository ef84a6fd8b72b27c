/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_private.h - shared by http*.c only.
 *
 *	http.c           one http_perform(): hops, retries, verdicts
 *	http_attempt.c   one request on one curl handle
 *	http_request.c   its headers, body, login, route
 *	http_answer.c    what comes back, to the caller
 *	http_origin.c    idle handles, circuit breaker and histogram per host
 *	http_settings.c  settings, URLs, trace context
 */
#ifndef CORE_HTTP_PRIVATE_H
#define CORE_HTTP_PRIVATE_H

#include "core/buf.h"
#include "core/clock.h"
#include "core/http.h"

#include <curl/curl.h>

/* -- settings: an immutable, counted snapshot -- */
struct settings {
	unsigned refs; /* atomic */
	char *proxy, *ca_file, *netrc, *user_agent;
	uint32_t timeout_ms, stall_ms, connect_ms;
	int retries;
};
struct settings *settings_get(void);
void settings_put(struct settings *s);

/* -- URLs -- */
struct http_url {
	char *text; /* without login and fragment */
	char *scheme, *host, *port;
	char *user, *password; /* NULL if none */
};
/* -EINVAL with a text. `base` resolves a relative `text`; may be NULL. */
int http_url_parse(const char *text, const char *base, struct http_url *ret);
void http_url_done(struct http_url *u);
bool http_url_is_loopback(const struct http_url *u);

/* -- origins -- */
struct conn { /* one curl handle with its own connections */
	CURL *easy;
	CURLM *multi;
	int64_t idle_since;
	unsigned generation; /* of the settings; older ones are closed */
	struct conn *next;
};
struct origin;
enum origin_result { ORIGIN_ANSWERED, ORIGIN_FAILED, ORIGIN_NEITHER };

struct origin *origin_get(const struct http_url *u);
void origin_put(struct origin *o);
/* Ask the circuit breaker: 0, or -EIO with a text. *ret_probe is handed to
 * origin_report, which must follow. `why`: what failed, for later texts. */
int origin_admit(struct origin *o, bool *ret_probe);
void origin_report(struct origin *o, bool probe, enum origin_result r,
		   const char *why);
bool origin_is_open(struct origin *o);
void origin_latency(struct origin *o, int64_t ns);
/* NULL if curl has no memory. o may be NULL: a fresh handle. */
struct conn *conn_take(struct origin *o);
void conn_give(struct origin *o, struct conn *c, bool reusable);
void http_close_idle(void);

/* -- one http_perform -- */
enum verdict {
	VERDICT_NONE,     /* headers not complete */
	VERDICT_FINAL,    /* goes to the caller */
	VERDICT_RETRY,    /* a status worth another try */
	VERDICT_REDIRECT, /* see location */
};

struct run {
	struct scorpio_http *x;
	struct settings *set;
	const char *unix_path; /* NULL: TCP */
	const char *method;
	bool has_body;
	struct http_url url;     /* of the current hop */
	char shown[512];    /* redacted url */
	bool home;          /* still where the caller's login belongs */
	int64_t deadline, stall_ns, connect_ns;
	int retries_left;
	unsigned attempt;   /* of the current hop, from 0 */
	uint64_t body_taken;
	bool delivered;     /* on_header or on_data was called */
	/* of the current attempt */
	struct buf head;    /* "name\0value\0" ... */
	size_t head_lines;
	char *location;
	uint32_t retry_after_s;
	uint64_t content_length; /* SCORPIO_SIZE_UNKNOWN */
	bool encoded;            /* has a Content-Encoding */
	int status;
	enum verdict verdict;
	bool enough;        /* we stopped it ourselves, all is well */
	int stop;           /* a callback's error */
	uint64_t received, discarded, sent;
	int64_t active;     /* when the last byte passed */
	int64_t delay_ns;   /* before the next attempt */
	bool reused;        /* the connection was */
	bool refused;       /* by the circuit breaker */
	char errbuf[CURL_ERROR_SIZE];
};

/* Send and receive once. 0 = a verdict was reached and the answer is complete;
 * else a negative errno with a text. *ret_result for the breaker,
 * *ret_retry: another attempt may help. */
int attempt_run(struct run *r, struct conn *c, enum origin_result *ret_result,
		bool *ret_retry);
/* Called at the end of the headers: the verdict (http.c). */
enum verdict run_judge(struct run *r);

/* -- http_request.c -- */
/* The list is the caller's, also on failure. */
int http_request_headers(const struct run *r, struct curl_slist **list);
void http_request_options(struct run *r, CURL *h, struct curl_slist *headers);

/* -- http_answer.c -- */
bool http_name_is(const char *p, size_t n, const char *name); /* any case */
void answer_forget(struct run *r);
/* Hand status and headers to the caller, once. */
int answer_deliver_head(struct run *r);
size_t answer_on_header(char *p, size_t size, size_t count, void *run);
size_t answer_on_body(char *p, size_t size, size_t count, void *run);

#endif
