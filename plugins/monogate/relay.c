/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread asks and fills a window; the connection's thread empties it. Whoever
 * ends first tells the other: a client that goes away ends the transfer, a
 * transfer that fails cuts the answer.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define TICK_S 1
#define LINE_MAX_BYTES 2100

static const char *const passed[] = { "Authorization", "Content-Type",
				      "Content-Encoding", "Git-Protocol",
				      "Accept" };
static const char *const kept[] = { "Content-Type", "WWW-Authenticate",
				    "LFS-Authenticate" };
#define PASSED (sizeof(passed) / sizeof(*passed))
#define KEPT (sizeof(kept) / sizeof(*kept))

struct relay {
	struct gate *g;
	const struct scorpio_host *host;
	char *url, *body; /* owned */
	int in;		  /* the body, unless it is in memory; -1 */
	uint64_t in_at;
	char asked[PASSED][LINE_MAX_BYTES];
	const char *headers[PASSED + 1];
	struct scorpio_http http;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned refs;	/* lock */
	bool left;	/* lock: nobody reads any more */
	bool begun;	/* lock: status and answer[] are known */
	bool done;	/* lock: no more comes */
	int error;	/* lock: why */
	char why[512];	/* lock */
	int status;	/* lock until begun, then constant; as the next */
	char answer[KEPT][LINE_MAX_BYTES];
	size_t at, len; /* lock: what of the window is to be read */
	char window[RELAY_WINDOW];
};

static void put(struct relay *x)
{
	bool last;

	pthread_mutex_lock(&x->lock);
	last = !--x->refs;
	pthread_mutex_unlock(&x->lock);
	if (!last)
		return;
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	if (x->in >= 0)
		close(x->in);
	free(x->body);
	free(x->url);
	free(x);
}

/* With the lock held. */
static void wait_a_little(struct relay *x)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += TICK_S;
	pthread_cond_timedwait(&x->changed, &x->lock, &t);
}

/* -- the transfer's thread --------------------------------------------------- */

static int on_header(void *ctx, const char *name, const char *value)
{
	struct relay *x = ctx;

	/* begun is this thread's; what comes behind the body is too late */
	for (size_t i = 0; i < KEPT && !x->begun; i++)
		if (!strcasecmp(name, kept[i]) && !*x->answer[i])
			snprintf(x->answer[i], sizeof(x->answer[i]),
				 "%s: %.2000s", kept[i], value);
	return 0;
}

static int on_data(void *ctx, const void *data, uint64_t n)
{
	struct relay *x = ctx;
	const char *p = data;

	pthread_mutex_lock(&x->lock);
	if (!x->begun)
		x->status = x->http.status;
	x->begun = true;
	while (n && !x->left) {
		size_t room = RELAY_WINDOW - x->len;

		if (room > n)
			room = n;
		memcpy(x->window + x->len, p, room);
		x->len += room;
		p += room;
		n -= room;
		pthread_cond_broadcast(&x->changed);
		if (n)
			wait_a_little(x);
	}
	pthread_mutex_unlock(&x->lock);
	return n ? -EINTR : 0;
}

static int has_ended(void *ctx)
{
	struct relay *x = ctx;
	bool left;

	pthread_mutex_lock(&x->lock);
	left = x->left;
	pthread_mutex_unlock(&x->lock);
	return left;
}

static int64_t on_body(void *ctx, void *buf, uint64_t n)
{
	struct relay *x = ctx;
	ssize_t got = pread(x->in, buf, n, (off_t)x->in_at);

	x->in_at += got > 0 ? (uint64_t)got : 0;
	return got < 0 ? -errno : got;
}

static void *run(void *arg)
{
	struct relay *x = arg;
	struct gate *g = x->g;
	int rc = x->host->http(x->host, &x->http);

	pthread_mutex_lock(&x->lock);
	x->done = true;
	x->error = rc;
	if (rc)
		snprintf(x->why, sizeof(x->why), "%s",
			 x->host->error_text(x->host, rc));
	else if (!x->begun)
		x->status = x->http.status;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	put(x);
	pthread_mutex_lock(&g->relays.lock);
	g->relays.n--;
	pthread_cond_broadcast(&g->relays.ended);
	pthread_mutex_unlock(&g->relays.lock);
	return NULL;
}

void relay_finish(struct gate *g)
{
	pthread_mutex_lock(&g->relays.lock);
	while (g->relays.n)
		pthread_cond_wait(&g->relays.ended, &g->relays.lock);
	pthread_mutex_unlock(&g->relays.lock);
}

/* -- the connection's thread ---------------------------------------------------- */

static int64_t read_answer(void *ctx, uint64_t pos, void *buf, uint64_t n)
{
	struct relay *x = ctx;
	int rc = 0;

	(void)pos;
	pthread_mutex_lock(&x->lock);
	while (!x->done && x->at == x->len && !rc) {
		wait_a_little(x);
		if (x->host->cancelled(x->host))
			rc = -EINTR;
	}
	if (n > x->len - x->at)
		n = x->len - x->at;
	memcpy(buf, x->window + x->at, n);
	x->at += n;
	if (x->at == x->len)
		x->at = x->len = 0;
	if (!n && !rc && x->error)
		rc = x->host->fail(x->host, x->error, "%s", x->why);
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	return n ? (int64_t)n : rc;
}

static void leave(void *ctx)
{
	struct relay *x = ctx;

	pthread_mutex_lock(&x->lock);
	x->left = true;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	put(x);
}

/* Until it is known what the answer is. */
static int wait_for_answer(struct relay *x)
{
	int rc = 0;

	pthread_mutex_lock(&x->lock);
	while (!x->begun && !x->done && !rc) {
		wait_a_little(x);
		if (x->host->cancelled(x->host))
			rc = -EINTR;
	}
	if (!rc && !x->begun && x->error)
		rc = x->host->fail(x->host, x->error, "%s", x->why);
	pthread_mutex_unlock(&x->lock);
	return rc;
}

/* The client's own login goes along, unless it is for this server. */
static void pass_headers(struct relay *x, const struct scorpio_request *r,
			 bool writes)
{
	const char *login = writes ? gate_writer(x->g, r) :
				     gate_login(x->g, r);
	size_t n = 0;

	if (login && !*login)
		x->http.flags |= SCORPIO_HTTP_NO_LOGIN;
	for (size_t i = 0; i < PASSED; i++) {
		const char *value = i ? x->g->http->header(r, passed[i]) :
					login;

		if (!value || !*value || strpbrk(value, "\r\n"))
			continue;
		snprintf(x->asked[i], sizeof(x->asked[i]), "%s: %.2000s",
			 passed[i], value);
		x->headers[n++] = x->asked[i];
	}
}

/* The request's body ends with its handler: keep it. */
static int pass_body(struct relay *x, const struct scorpio_request *r)
{
	uint64_t n = 0;
	int fd = x->g->http->body_fd(r, &n);
	const void *body;

	if (strcmp(x->g->http->method(r), "POST") != 0)
		return 0;
	x->http.method = "POST";
	if (fd >= 0) {
		x->in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		x->http.read_body = on_body;
		x->http.body_len = n;
		return x->in < 0 ? -errno : 0;
	}
	body = x->g->http->body(r, &n);
	if (!n)
		return 0;
	x->body = malloc(n);
	if (!x->body)
		return -ENOMEM;
	memcpy(x->body, body, n);
	x->http.body = x->body;
	x->http.body_len = n;
	return 0;
}

static int make(struct gate *g, const struct scorpio_request *r,
		const char *url, unsigned flags, struct relay **ret)
{
	struct relay *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return -ENOMEM;
	pthread_mutex_init(&x->lock, NULL);
	gate_cond_init(&x->changed);
	x->g = g;
	x->host = g->host;
	x->refs = 1;
	x->in = -1;
	x->url = strdup(url);
	x->http = (struct scorpio_http){
		.struct_size = sizeof(x->http), .url = x->url,
		.headers = x->headers, .on_header = on_header,
		.on_data = on_data, .ended = has_ended, .ctx = x,
		.flags = flags & RELAY_ONCE ? SCORPIO_HTTP_NO_RETRY : 0,
		.timeout_ms = GATE_RELAY_MS, .stall_ms = GATE_STALL_MS,
	};
	rc = x->url ? pass_body(x, r) : -ENOMEM;
	pass_headers(x, r, flags & RELAY_WRITES);
	if (rc)
		put(x);
	else
		*ret = x;
	return rc;
}

static int start(struct relay *x)
{
	struct gate *g = x->g;
	pthread_t thread;
	int rc;

	pthread_mutex_lock(&g->relays.lock);
	x->refs++;
	rc = pthread_create(&thread, NULL, run, x);
	if (!rc) {
		pthread_detach(thread);
		g->relays.n++;
	} else {
		x->refs--;
	}
	pthread_mutex_unlock(&g->relays.lock);
	return rc ? g->host->fail(g->host, -EAGAIN, "an exchange cannot be "
				  "begun: %s", strerror(rc)) : 0;
}

int relay_send(struct gate *g, struct scorpio_request *r, const char *url,
	       unsigned flags)
{
	const char *headers[KEPT + 2] = { "Cache-Control: no-cache", NULL };
	struct scorpio_body b = { .struct_size = sizeof(b),
				  .size = SCORPIO_SIZE_UNKNOWN,
				  .read = read_answer, .done = leave };
	struct relay *x = NULL;
	size_t n = 1;
	int rc = make(g, r, url, flags, &x);

	if (rc)
		return rc;
	rc = start(x);
	if (!rc)
		rc = wait_for_answer(x);
	if (rc) {
		leave(x);
		return rc;
	}
	for (size_t i = 0; i < KEPT; i++)
		if (*x->answer[i])
			headers[n++] = x->answer[i];
	b.ctx = x;
	return g->http->reply_body(r, x->status, headers, &b);
}

/* -- addresses ---------------------------------------------------------------------- */

static void encode(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || strchr("-._~/", c))
			fputc(c, f);
		else
			fprintf(f, "%%%02X", c);
	}
}

char *relay_encode(const char *s)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	encode(f, s);
	return fclose(f) ? NULL : text;
}

char *relay_url(struct gate *g, const struct scorpio_request *r,
		const char *base, const char *what, const char *const *keys)
{
	char *url = NULL, mark = '?';
	size_t n;
	FILE *f = open_memstream(&url, &n);

	if (!f)
		return NULL;
	fprintf(f, "%s/%s", base, what);
	for (; *keys; keys++) {
		const char *value = g->http->query(r, *keys, NULL);

		if (!value)
			continue;
		fprintf(f, "%c%s=", mark, *keys);
		encode(f, value);
		mark = '&';
	}
	return fclose(f) ? NULL : url;
}
