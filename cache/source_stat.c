/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a source. */
#include "cache/source_impl.h"

#include "core/buf.h"

static const char *const op_names[OPS] = {
	"list", "fetch", "sizes", "prefetch", "resolve",
};

/* Histograms by their labels: they are registered for ever. */
static struct lock histograms_lock = LOCK_INIT(LOCK_LEAF, "histograms");
static struct histogram_entry {
	struct histogram h;
	struct histogram_entry *next;
} * histograms; /* histograms_lock */

static struct histogram *wait_histogram(const char *labels)
{
	struct histogram_entry *e;

	ranked_scope(&histograms_lock);
	for (e = histograms; e; e = e->next)
		if (!strcmp(e->h.labels, labels))
			return &e->h;
	e = xcalloc(1, sizeof(*e));
	e->h.name = "scorpio_source_wait_seconds";
	e->h.help = "How long a missing object was waited for.";
	e->h.labels = xstrdup(labels);
	e->next = histograms;
	histograms = e;
	return &e->h;
}

static void collect(void *ctx)
{
	struct source *s = ctx;
	struct flight_stats x;

	flight_stat(s->flights, &x);
	metric_set(s->metrics.waiting, x.waiting);
	metric_set(s->metrics.running, x.running);
	metric_set(s->metrics.circuit, x.circuit_open);
}

void source_metrics_init(struct source *s)
{
	struct source_metrics *m = &s->metrics;
	cleanup_buf struct buf b = BUF_INIT;
	const char *labels;
	size_t i, len;

	metric_label(&b, "source", s->name);
	len = b.len;
	for (i = 0; i < OPS; i++) {
		metric_label(&b, "op", op_names[i]);
		m->requests[i] =
			metric_get("scorpio_source_requests_total", buf_str(&b),
				   METRIC_COUNTER, "Calls of the backend.");
		b.len = len;
	}
	labels = buf_str(&b);
	m->objects = metric_get("scorpio_source_objects_total", labels,
				METRIC_COUNTER, "Objects received.");
	m->bytes = metric_get("scorpio_source_bytes_total", labels,
			      METRIC_COUNTER, "Plain bytes received.");
	m->failed = metric_get("scorpio_source_failed_objects_total", labels,
			       METRIC_COUNTER, "Objects that failed.");
	m->waiting = metric_get("scorpio_source_waiting", labels, METRIC_GAUGE,
				"Wants that wait for an object.");
	m->running = metric_get("scorpio_source_running", labels, METRIC_GAUGE,
				"Calls of the backend under way.");
	m->circuit = metric_get("scorpio_source_unreachable", labels,
				METRIC_GAUGE, "1 while wants fail at once.");
	m->wait = wait_histogram(labels);
	histogram_register(m->wait);
	metrics_on_collect(collect, s);
}

void source_metrics_done(struct source *s)
{
	metrics_off_collect(collect, s);
	metric_set(s->metrics.waiting, 0);
	metric_set(s->metrics.running, 0);
	metric_set(s->metrics.circuit, 0);
}

void source_count(struct source *s, enum source_op op)
{
	__atomic_fetch_add(&s->requests, 1, __ATOMIC_RELAXED);
	metric_add(s->metrics.requests[op], 1);
}

void source_stat(struct source *s, struct source_stats *ret)
{
	struct flight_stats x;

	flight_stat(s->flights, &x);
	*ret = (struct source_stats){
		.requests = __atomic_load_n(&s->requests, __ATOMIC_RELAXED),
		.objects = __atomic_load_n(&s->objects, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED),
		.failed = __atomic_load_n(&s->failed, __ATOMIC_RELAXED),
		.waiting = x.waiting,
		.running = x.running,
		.oldest_ns = x.oldest_ns,
		.circuit_open = x.circuit_open,
	};
}
