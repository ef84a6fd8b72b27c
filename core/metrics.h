/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - counters, gauges and histograms in Prometheus text format.
 *
 * A metric is registered once (static or heap) and then only touched with
 * relaxed atomics: adding costs about a nanosecond uncontended. Registration
 * takes a lock; never on a hot path. Names follow Prometheus: scorpio_*,
 * _total for counters, base units (seconds, bytes).
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
	const char *name;   /* "scorpio_store_reads_total" */
	const char *help;
	const char *labels; /* "op=\"read\"" or NULL; borrowed for ever */
	enum metric_kind kind;
	bool registered;
	int64_t value;      /* atomic */
	struct metric *next;
};
#define METRIC(var, name_, kind_, labels_, help_)                              \
	struct metric var = { .name = name_, .help = help_,                    \
			      .labels = labels_, .kind = kind_ }

/* Latencies from 1 us to 64 s in powers of two, cumulative on output. */
#define HISTOGRAM_BUCKETS 27
struct histogram {
	const char *name, *help, *labels;
	bool registered;
	uint64_t bucket[HISTOGRAM_BUCKETS + 1]; /* atomic; [i] <= 1us << i */
	uint64_t sum_ns;                        /* atomic */
	struct histogram *next;
};

void metric_register(struct metric *m);       /* idempotent, any thread */
void histogram_register(struct histogram *h); /* idempotent, any thread */
/* A heap metric that lives until exit; same name and labels give the same one.
 * Strings are copied. */
struct metric *metric_get(const char *name, const char *labels,
			  enum metric_kind kind, const char *help);
/* Append name="value" to a list of labels, escaped. */
void metric_label(struct buf *out, const char *name, const char *value);
static inline void metric_add(struct metric *m, int64_t n)
{
	__atomic_fetch_add(&m->value, n, __ATOMIC_RELAXED);
}
static inline void metric_set(struct metric *m, int64_t v)
{
	__atomic_store_n(&m->value, v, __ATOMIC_RELAXED);
}
static inline int64_t metric_value(const struct metric *m)
{
	return __atomic_load_n(&m->value, __ATOMIC_RELAXED);
}
void histogram_add(struct histogram *h, int64_t ns);
/* The q-quantile in nanoseconds (upper bucket bound), 0 if empty. */
int64_t histogram_quantile(const struct histogram *h, double q);

/* Called before printing, to refresh gauges. */
void metrics_on_collect(void (*fn)(void *), void *ctx);
void metrics_off_collect(void (*fn)(void *), void *ctx);
/* The whole exposition, grouped by name, HELP and TYPE once each. */
void metrics_print(struct buf *out);

#endif
