/* SPDX-License-Identifier: Apache-2.0 */
/*
 * give.c - an LFS object goes on to the server behind. The server is asked for each
 * one when it is there whole and is what it says: so nothing is remembered between
 * the batch and the upload, and no link is too old.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lfs.h"

#define TRIES 3
#define VERIFY_MS 60000u

struct give { /* on its caller's stack */
	struct give *next; /* lock */
	struct gate_lfs *l;
	const char *oid, *login;
	uint64_t size, at; /* at: bytes that were sent */
	int fd;
};

/* -- what a server says to do ----------------------------------------------------- */

/* Who is asked there is who was asked for it: "http://host:port". */
static bool same_server(const char *a, const char *b)
{
	const char *host = strstr(a, "://");
	size_t n;

	if (!host)
		return false;
	n = (size_t)(host + 3 - a);
	n += strcspn(a + n, "/?#");
	return !strncasecmp(a, b, n) && strchr("/?#", b[n]);
}

void lfs_action(const struct gate_lfs *l, const json_t *act, const char *login,
		struct lfs_action *ret)
{
	const json_t *v, *given = json_object_get(act, "header");
	const char *name;
	bool has_login = false;

	ret->url = json_string_value(json_object_get(act, "href"));
	ret->n = 0;
	json_object_foreach((json_t *)(uintptr_t)given, name, v) {
		char *line = ret->lines[ret->n];

		if (ret->n == LFS_HEADERS_MAX || !json_is_string(v))
			break;
		snprintf(line, LFS_LINE_MAX, "%s: %s", name,
			 json_string_value(v));
		if (strpbrk(line, "\r\n"))
			continue;
		has_login = has_login || !strcasecmp(name, "Authorization");
		ret->headers[ret->n++] = line;
	}
	if (login && *login && !has_login && ret->url &&
	    same_server(l->upstream, ret->url)) {
		snprintf(ret->lines[ret->n], LFS_LINE_MAX,
			 "Authorization: %s", login);
		ret->headers[ret->n] = ret->lines[ret->n];
		ret->n++;
	}
	ret->headers[ret->n] = NULL;
}

/* Unless the action has that header. */
static void add_header(struct lfs_action *a, const char *line)
{
	size_t n = strcspn(line, ":") + 1;

	for (size_t i = 0; i < a->n; i++)
		if (!strncasecmp(a->headers[i], line, n))
			return;
	a->headers[a->n++] = line;
	a->headers[a->n] = NULL;
}

/* -- one object --------------------------------------------------------------------- */

static int64_t read_file(void *ctx, void *buf, uint64_t n)
{
	struct give *x = ctx;
	ssize_t got = pread(x->fd, buf, n, (off_t)x->at);

	x->at += got > 0 ? (uint64_t)got : 0;
	return got < 0 ? -errno : got;
}

static int drop_body(void *ctx, const void *data, uint64_t n)
{
	(void)ctx;
	(void)data;
	(void)n;
	return 0;
}

static int said(const struct give *x, const struct scorpio_http *h)
{
	const struct scorpio_host *host = x->l->g->host;

	if (h->status >= 200 && h->status < 300)
		return 0;
	return host->fail(host, lfs_refusal(h->status), "the LFS server behind "
			  "this gateway answers %d to an upload", h->status);
}

static int send_object(struct give *x, const json_t *act)
{
	const struct scorpio_host *host = x->l->g->host;
	struct lfs_action a;
	struct scorpio_http h = {
		.struct_size = sizeof(h), .method = "PUT", .headers = a.headers,
		.read_body = read_file, .body_len = x->size,
		.on_data = drop_body, .ctx = x,
		.flags = SCORPIO_HTTP_NO_RETRY | lfs_login_flags(x->login),
		.timeout_ms = GATE_RELAY_MS, .stall_ms = GATE_STALL_MS,
	};
	int rc;

	lfs_action(x->l, act, x->login, &a);
	add_header(&a, "Content-Type: application/octet-stream");
	h.url = a.url;
	x->at = 0;
	rc = a.url ? host->http(host, &h) :
		     host->fail(host, -EIO, "the LFS server behind this gateway "
				"takes an upload nowhere");
	return rc ? rc : said(x, &h);
}

/* Some want to be told that all of it came. */
static int verify(struct give *x, const json_t *act)
{
	const struct scorpio_host *host = x->l->g->host;
	struct lfs_action a;
	char text[160];
	struct scorpio_http h = {
		.struct_size = sizeof(h), .method = "POST",
		.headers = a.headers, .body = text, .on_data = drop_body,
		.ctx = x, .timeout_ms = VERIFY_MS,
		.flags = lfs_login_flags(x->login),
	};
	int rc;

	if (!act)
		return 0;
	snprintf(text, sizeof(text), "{\"oid\":\"%s\",\"size\":%llu}", x->oid,
		 (unsigned long long)x->size);
	h.body_len = strlen(text);
	lfs_action(x->l, act, x->login, &a);
	add_header(&a, "Content-Type: " LFS_TYPE);
	add_header(&a, "Accept: " LFS_TYPE);
	h.url = a.url;
	rc = a.url ? host->http(host, &h) : -EIO;
	return rc ? rc : said(x, &h);
}

static int one_try(struct give *x)
{
	const struct scorpio_host *host = x->l->g->host;
	json_t *asked = json_pack("[{s:s,s:I}]", "oid", x->oid, "size",
				  (json_int_t)x->size);
	const json_t *theirs, *acts, *error;
	json_t *answer = NULL;
	const char *text;
	int rc = lfs_ask(x->l, "upload", asked, x->login, &answer);

	json_decref(asked);
	if (rc)
		return rc;
	theirs = json_object_get(answer, x->oid);
	acts = json_object_get(theirs, "actions");
	error = json_object_get(theirs, "error");
	text = json_string_value(json_object_get(error, "message"));
	if (error || !theirs)
		rc = host->fail(host, lfs_refusal((int)json_integer_value(
				json_object_get(error, "code"))), "%s",
				text ? text : "the object is not taken");
	else if (json_object_get(acts, "upload")) /* else it is there */
		rc = send_object(x, json_object_get(acts, "upload"));
	if (!rc)
		rc = verify(x, json_object_get(acts, "verify"));
	json_decref(answer);
	return rc;
}

/* -- one at a time of each ------------------------------------------------------------- */

/* Who comes while the same object is on its way waits, and then finds it there:
 * a client that gave up waiting sends it again. */
static int take_turn(struct give *x)
{
	struct gate_lfs *l = x->l;
	const struct scorpio_host *host = l->g->host;
	struct timespec tick;
	struct give *other;
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		for (other = l->gives; other; other = other->next)
			if (!strcmp(other->oid, x->oid))
				break;
		rc = l->stopping || host->cancelled(host) ? -EINTR : 0;
		if (!other || rc)
			break;
		clock_gettime(CLOCK_MONOTONIC, &tick);
		tick.tv_sec++;
		pthread_cond_timedwait(&l->changed, &l->lock, &tick);
	}
	if (!rc) {
		x->next = l->gives;
		l->gives = x;
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static void end_turn(struct give *x)
{
	struct gate_lfs *l = x->l;
	struct give **at;

	pthread_mutex_lock(&l->lock);
	for (at = &l->gives; *at != x; at = &(*at)->next)
		;
	*at = x->next;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

int lfs_give(struct gate_lfs *l, const char *oid, int fd, uint64_t size,
	     const char *login)
{
	struct give x = { .l = l, .oid = oid, .login = login, .size = size,
			  .fd = fd };
	int rc = take_turn(&x);

	if (rc)
		return rc;
	rc = -EIO;
	for (int i = 0; i < TRIES && (rc == -EIO || rc == -ETIMEDOUT); i++)
		rc = one_try(&x);
	end_turn(&x);
	return rc;
}
