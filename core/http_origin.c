/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_origin.c - what is remembered per scheme://host:port: idle curl handles
 * (each with its open connection), the circuit breaker, a latency histogram.
 *
 * Connections are never shared between handles (CURL_LOCK_DATA_CONNECT crashes
 * between threads); DNS answers and TLS sessions are.
 */
#include "core/http_private.h"

#include "core/error.h"
#include "core/metrics.h"

#include <signal.h>

#define ORIGINS_MAX 256
#define IDLE_PER_ORIGIN 32
#define IDLE_NS (60 * NS_PER_S)
#define FAILURES_TO_OPEN 5
#define BACKOFF_MIN_NS NS_PER_S
#define BACKOFF_MAX_NS (30 * NS_PER_S)
#define HISTOGRAMS_MAX 32

struct origin {
	char *key;              /* "https://host:443" */
	struct histogram *latency;
	/* lock: m for all below */
	unsigned refs;
	int64_t used;           /* for throwing out the oldest */
	struct conn *idle;      /* newest first */
	unsigned failures;      /* in a row */
	int64_t open_until, backoff;
	bool probing;
	char why[128];          /* of the last failure */
	struct origin *next;
};

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static struct origin *origins; /* lock: m */
static unsigned origins_len;   /* lock: m */
static unsigned generation;    /* lock: m; handles of older ones are closed */
static int64_t swept;          /* lock: m */

static METRIC(opened, "scorpio_http_circuit_opened_total", METRIC_COUNTER, NULL,
	      "Times a server was given up for a while after failures.");
static METRIC(idle_now, "scorpio_http_idle_connections", METRIC_GAUGE, NULL,
	      "HTTP client handles kept for reuse.");

/* -- curl -- */

static CURLSH *share;
static pthread_mutex_t share_lock[CURL_LOCK_DATA_LAST];

static void lock_shared(CURL *h UNUSED, curl_lock_data d,
			curl_lock_access a UNUSED, void *ctx UNUSED)
{
	pthread_mutex_lock(&share_lock[d]);
}

static void unlock_shared(CURL *h UNUSED, curl_lock_data d, void *ctx UNUSED)
{
	pthread_mutex_unlock(&share_lock[d]);
}

/* With CURLOPT_NOSIGNAL curl leaves SIGPIPE to us, and OpenSSL writes without
 * MSG_NOSIGNAL. A handler that somebody installed stays. */
static void ignore_sigpipe(void)
{
	struct sigaction now;

	if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

static void start_curl(void)
{
	size_t i;

	ignore_sigpipe();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	for (i = 0; i < ARRAY_SIZE(share_lock); i++)
		pthread_mutex_init(&share_lock[i], NULL);
	share = curl_share_init();
	if (!share)
		return;
	curl_share_setopt(share, CURLSHOPT_LOCKFUNC, lock_shared);
	curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, unlock_shared);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	metric_register(&opened);
	metric_register(&idle_now);
}

static void conn_free(struct conn *c)
{
	if (!c)
		return;
	if (c->easy)
		curl_easy_cleanup(c->easy);
	if (c->multi)
		curl_multi_cleanup(c->multi);
	free(c);
}

static void free_list(struct conn *c)
{
	while (c) {
		struct conn *next = c->next;

		conn_free(c);
		metric_add(&idle_now, -1);
		c = next;
	}
}

static struct conn *conn_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct conn *c = xcalloc(1, sizeof(*c));

	pthread_once(&once, start_curl);
	c->easy = curl_easy_init();
	c->multi = curl_multi_init();
	if (!c->easy || !c->multi) {
		conn_free(c);
		return NULL;
	}
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 2l);
	return c;
}

/* -- the table -- */

static void origin_free(struct origin *o)
{
	free(o->key);
	free(o);
}

/* With m held: unlink the one unused for longest; its handles go to *out. */
static void drop_oldest(struct conn **out)
{
	struct origin **at, **oldest = NULL, *o;
	struct conn **end;

	for (at = &origins; *at; at = &(*at)->next)
		if (!(*at)->refs && (!oldest || (*at)->used < (*oldest)->used))
			oldest = at;
	if (!oldest)
		return;
	o = *oldest;
	*oldest = o->next;
	origins_len--;
	for (end = out; *end; end = &(*end)->next)
		;
	*end = o->idle;
	origin_free(o);
}

/* One histogram per host for the first hosts, one for all others. They live
 * for ever, as metrics do. */
static struct histogram *latency_of(const struct http_url *u)
{
	static struct histogram *all[HISTOGRAMS_MAX + 1]; /* lock: m */
	static char *hosts[HISTOGRAMS_MAX + 1];           /* lock: m */
	cleanup_free char *host = xasprintf("%s:%s", u->host, u->port);
	cleanup_buf struct buf label = BUF_INIT;
	size_t i;

	for (i = 0; i < HISTOGRAMS_MAX && all[i]; i++)
		if (!strcmp(hosts[i], host))
			return all[i];
	if (all[i])
		return all[i];
	hosts[i] = i < HISTOGRAMS_MAX ? steal(&host) : xstrdup("other");
	metric_label(&label, "host", hosts[i]);
	all[i] = xcalloc(1, sizeof(*all[i]));
	all[i]->name = "scorpio_http_request_seconds";
	all[i]->help = "Time of one HTTP request to its last byte.";
	all[i]->labels = buf_steal(&label);
	histogram_register(all[i]);
	return all[i];
}

static struct origin *find(const char *key)
{
	struct origin *o;

	for (o = origins; o; o = o->next)
		if (!strcmp(o->key, key))
			return o;
	return NULL;
}

static struct origin *find_or_add(const struct http_url *u, struct conn **out)
{
	cleanup_free char *key =
		xasprintf("%s://%s:%s", u->scheme, u->host, u->port);
	struct origin *o = find(key);

	if (o)
		return o;
	if (origins_len >= ORIGINS_MAX)
		drop_oldest(out);
	o = xcalloc(1, sizeof(*o));
	o->key = steal(&key);
	o->latency = latency_of(u);
	o->next = origins;
	origins = o;
	origins_len++;
	return o;
}

struct origin *origin_get(const struct http_url *u)
{
	struct conn *out = NULL;
	struct origin *o;

	pthread_mutex_lock(&m);
	o = find_or_add(u, &out);
	o->refs++;
	o->used = now_ns();
	pthread_mutex_unlock(&m);
	free_list(out);
	return o;
}

void origin_put(struct origin *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&m);
	o->refs--;
	pthread_mutex_unlock(&m);
}

void origin_latency(struct origin *o, int64_t ns)
{
	histogram_add(o->latency, ns);
}

/* -- idle handles -- */

struct conn *conn_take(struct origin *o)
{
	struct conn *c = NULL;

	if (o) {
		lock_scope(&m);
		c = o->idle;
		if (c)
			o->idle = c->next;
	}
	if (c) {
		metric_add(&idle_now, -1);
		return c;
	}
	c = conn_new();
	if (!c)
		return NULL;
	if (share)
		curl_easy_setopt(c->easy, CURLOPT_SHARE, share);
	lock_scope(&m);
	c->generation = generation;
	return c;
}

/* With m held: move what is stale, or beyond the limit, to *out. */
static void trim(struct origin *o, int64_t now, struct conn **out)
{
	struct conn **at = &o->idle, *c;
	unsigned n = 0;

	while ((c = *at)) {
		if (++n <= IDLE_PER_ORIGIN && now - c->idle_since < IDLE_NS &&
		    c->generation == generation) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->next = *out;
		*out = c;
	}
}

static void sweep(int64_t now, struct conn **out)
{
	struct origin *o;

	swept = now;
	for (o = origins; o; o = o->next)
		trim(o, now, out);
}

void conn_give(struct origin *o, struct conn *c, bool reusable)
{
	struct conn *out = NULL;
	int64_t now = now_ns();

	if (!o || !reusable) {
		conn_free(c);
		return;
	}
	curl_easy_reset(c->easy);
	metric_add(&idle_now, 1);
	pthread_mutex_lock(&m);
	c->idle_since = now;
	c->next = o->idle;
	o->idle = c;
	if (now - swept > 10 * NS_PER_S)
		sweep(now, &out);
	else
		trim(o, now, &out);
	pthread_mutex_unlock(&m);
	free_list(out);
}

void http_close_idle(void)
{
	struct conn *out = NULL;

	pthread_mutex_lock(&m);
	generation++;
	sweep(now_ns(), &out);
	pthread_mutex_unlock(&m);
	free_list(out);
}

void http_reset(void)
{
	struct origin *o;

	http_close_idle();
	lock_scope(&m);
	for (o = origins; o; o = o->next) {
		o->failures = 0;
		o->open_until = o->backoff = 0;
		o->probing = false;
	}
}

/* -- circuit breaker -- */

int origin_admit(struct origin *o, bool *ret_probe)
{
	int64_t left;

	*ret_probe = false;
	lock_scope(&m);
	if (o->failures < FAILURES_TO_OPEN)
		return 0;
	left = o->open_until - now_ns();
	if (left <= 0 && !o->probing) {
		o->probing = *ret_probe = true;
		return 0;
	}
	return fail(-EIO, "%s is not asked now, it failed %u times in a row "
		    "(%s); next try in %.1f s", o->key, o->failures, o->why,
		    left > 0 ? (double)left / NS_PER_S : 0.1);
}

static void failed(struct origin *o, bool probe, const char *why)
{
	o->failures += o->failures < UINT32_MAX;
	snprintf(o->why, sizeof(o->why), "%s", why);
	if (o->failures < FAILURES_TO_OPEN)
		return;
	if (o->failures == FAILURES_TO_OPEN)
		o->backoff = BACKOFF_MIN_NS;
	else if (probe)
		o->backoff = MIN(o->backoff * 2, BACKOFF_MAX_NS);
	else
		return; /* was under way when the circuit opened */
	o->open_until = now_ns() + o->backoff;
	metric_add(&opened, o->failures == FAILURES_TO_OPEN);
}

void origin_report(struct origin *o, bool probe, enum origin_result r,
		   const char *why)
{
	lock_scope(&m);
	if (probe)
		o->probing = false;
	if (r == ORIGIN_ANSWERED) {
		o->failures = 0;
		o->backoff = 0;
	} else if (r == ORIGIN_FAILED) {
		failed(o, probe, why);
	}
}

bool origin_is_open(struct origin *o)
{
	lock_scope(&m);
	return o->failures >= FAILURES_TO_OPEN;
}

bool http_circuit_open(const char *url, int64_t *ret_wait_ms)
{
	struct http_url u;
	const struct origin *o;
	bool open = false;

	if (http_url_parse(url, NULL, &u))
		return false;
	pthread_mutex_lock(&m);
	cleanup_free char *key =
		xasprintf("%s://%s:%s", u.scheme, u.host, u.port);
	o = find(key);
	if (o && o->failures >= FAILURES_TO_OPEN) {
		open = true;
		*ret_wait_ms = MAX(0, (o->open_until - now_ns()) / NS_PER_MS);
	}
	pthread_mutex_unlock(&m);
	http_url_done(&u);
	return open;
}
