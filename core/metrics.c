/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include "core/clock.h"

#include <inttypes.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *metrics;       /* lock: list_lock; only ever grows */
static struct histogram *histograms; /* lock: list_lock; only ever grows */

/* Held while the callbacks run, so that metrics_off_collect() returns only
 * when none of them is under way. Never taken inside list_lock. */
static pthread_mutex_t collect_lock = PTHREAD_MUTEX_INITIALIZER;
static struct collector {
	void (*fn)(void *);
	void *ctx;
	struct collector *next;
} *collectors; /* lock: collect_lock */

void metric_register(struct metric *m)
{
	lock_scope(&list_lock);
	if (m->registered)
		return;
	m->registered = true;
	m->next = metrics;
	metrics = m;
}

void histogram_register(struct histogram *h)
{
	lock_scope(&list_lock);
	if (h->registered)
		return;
	h->registered = true;
	h->next = histograms;
	histograms = h;
}

static bool same(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

struct metric *metric_get(const char *name, const char *labels,
			  enum metric_kind kind, const char *help)
{
	struct metric *m;

	lock_scope(&list_lock);
	for (m = metrics; m; m = m->next)
		if (same(m->name, name) && same(m->labels, labels))
			return m;
	m = xcalloc(1, sizeof(*m));
	m->name = xstrdup(name);
	m->labels = labels ? xstrdup(labels) : NULL;
	m->help = xstrdup(help);
	m->kind = kind;
	m->registered = true;
	m->next = metrics;
	metrics = m;
	return m;
}

void metric_label(struct buf *out, const char *name, const char *value)
{
	if (out->len)
		buf_putc(out, ',');
	buf_printf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			buf_puts(out, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(out, "\\%c", *value);
		else
			buf_putc(out, (uint8_t)*value);
	}
	buf_putc(out, '"');
}

void histogram_add(struct histogram *h, int64_t ns)
{
	uint64_t us = ns > 0 ? ((uint64_t)ns + 999) / 1000 : 0;
	int i = us <= 1 ? 0 : 64 - __builtin_clzll(us - 1);

	__atomic_fetch_add(&h->bucket[MIN(i, HISTOGRAM_BUCKETS)], 1,
			   __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->sum_ns, ns > 0 ? (uint64_t)ns : 0,
			   __ATOMIC_RELAXED);
}

static uint64_t bucket(const struct histogram *h, int i)
{
	return __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED);
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t total = 0, seen = 0;
	int i;

	for (i = 0; i <= HISTOGRAM_BUCKETS; i++)
		total += bucket(h, i);
	if (!total)
		return 0;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += bucket(h, i);
		if ((double)seen >= q * (double)total)
			break;
	}
	return (1ll << i) * 1000;
}

void metrics_on_collect(void (*fn)(void *), void *ctx)
{
	struct collector *c = xcalloc(1, sizeof(*c));

	c->fn = fn;
	c->ctx = ctx;
	lock_scope(&collect_lock);
	c->next = collectors;
	collectors = c;
}

void metrics_off_collect(void (*fn)(void *), void *ctx)
{
	struct collector **at, *c;

	lock_scope(&collect_lock);
	for (at = &collectors; (c = *at); at = &c->next) {
		if (c->fn != fn || c->ctx != ctx)
			continue;
		*at = c->next;
		free(c);
		return;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct metric *x = *(struct metric *const *)a;
	const struct metric *y = *(struct metric *const *)b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->labels ? x->labels : "",
			      y->labels ? y->labels : "");
}

static int histogram_by_name(const void *a, const void *b)
{
	const struct histogram *x = *(struct histogram *const *)a;
	const struct histogram *y = *(struct histogram *const *)b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->labels ? x->labels : "",
			      y->labels ? y->labels : "");
}

static void print_head(struct buf *out, const char *name, const char *help,
		       const char *type)
{
	buf_printf(out, "# HELP %s ", name);
	for (; *help; help++) {
		if (*help == '\n')
			buf_puts(out, "\\n");
		else if (*help == '\\')
			buf_puts(out, "\\\\");
		else
			buf_putc(out, (uint8_t)*help);
	}
	buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void print_metrics(struct buf *out, struct metric **v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct metric *m = v[i];

		if (!i || strcmp(v[i - 1]->name, m->name))
			print_head(out, m->name, m->help,
				   m->kind == METRIC_COUNTER ? "counter" :
							       "gauge");
		if (m->labels && *m->labels)
			buf_printf(out, "%s{%s} %" PRId64 "\n", m->name,
				   m->labels, metric_value(m));
		else
			buf_printf(out, "%s %" PRId64 "\n", m->name,
				   metric_value(m));
	}
}

static void print_histogram(struct buf *out, const struct histogram *h)
{
	const char *labels = h->labels ? h->labels : "";
	const char *comma = *labels ? "," : "";
	const char *open = *labels ? "{" : "", *end = *labels ? "}" : "";
	uint64_t seen = 0;
	int i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += bucket(h, i);
		buf_printf(out, "%s_bucket{%s%sle=\"%.6f\"} %" PRIu64 "\n",
			   h->name, labels, comma, (double)(1ull << i) / 1e6,
			   seen);
	}
	seen += bucket(h, HISTOGRAM_BUCKETS);
	buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", h->name,
		   labels, comma, seen);
	buf_printf(out, "%s_sum%s%s%s %.9f\n", h->name, open, labels, end,
		   (double)__atomic_load_n(&h->sum_ns, __ATOMIC_RELAXED) / 1e9);
	buf_printf(out, "%s_count%s%s%s %" PRIu64 "\n", h->name, open, labels,
		   end, seen);
}

void metrics_print(struct buf *out)
{
	cleanup_free struct metric **mv = NULL;
	cleanup_free struct histogram **hv = NULL;
	size_t nm = 0, nh = 0, i;
	struct histogram *h;
	struct collector *c;
	struct metric *m;

	pthread_mutex_lock(&collect_lock);
	for (c = collectors; c; c = c->next)
		c->fn(c->ctx);
	pthread_mutex_unlock(&collect_lock);

	pthread_mutex_lock(&list_lock);
	for (m = metrics; m; m = m->next)
		nm++;
	for (h = histograms; h; h = h->next)
		nh++;
	mv = xcalloc(nm, sizeof(*mv));
	hv = xcalloc(nh, sizeof(*hv));
	for (i = 0, m = metrics; m; m = m->next)
		mv[i++] = m;
	for (i = 0, h = histograms; h; h = h->next)
		hv[i++] = h;
	pthread_mutex_unlock(&list_lock);

	qsort(mv, nm, sizeof(*mv), by_name);
	qsort(hv, nh, sizeof(*hv), histogram_by_name);
	print_metrics(out, mv, nm);
	for (i = 0; i < nh; i++) {
		if (!i || strcmp(hv[i - 1]->name, hv[i]->name))
			print_head(out, hv[i]->name, hv[i]->help, "histogram");
		print_histogram(out, hv[i]);
	}
}
