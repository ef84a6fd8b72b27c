/* SPDX-License-Identifier: Apache-2.0 */
/* The store's figures for /metrics, read when they are asked for. */
#include "core/metrics.h"

#include "cache/store_impl.h"

#define GAUGE(var, name, help) \
	static METRIC(var, name, METRIC_GAUGE, NULL, help)
#define TOTAL(var, name, help) \
	static METRIC(var, name, METRIC_COUNTER, NULL, help)

GAUGE(m_max, "scorpio_store_max_bytes", "Size limit of the store");
GAUGE(m_file, "scorpio_store_file_bytes", "Size of the store's file");
GAUGE(m_used, "scorpio_store_used_bytes", "Bytes of the file in use");
GAUGE(m_trees, "scorpio_store_trees", "Directories in the store");
GAUGE(m_blobs, "scorpio_store_blobs", "Files known to the store");
GAUGE(m_chunks, "scorpio_store_chunks", "Chunks of content in the store");
GAUGE(m_stored, "scorpio_store_chunk_stored_bytes",
      "Bytes of the chunks as stored");
GAUGE(m_plain, "scorpio_store_chunk_plain_bytes",
      "Bytes of the chunks when read");
GAUGE(m_pinned, "scorpio_store_pinned_chunks", "Chunks held by pins");
TOTAL(m_evicted, "scorpio_store_evicted_chunks_total",
      "Chunks removed to make room");
TOTAL(m_damaged, "scorpio_store_damaged_records_total",
      "Damaged records dropped since the start");

static struct metric *const all[] = {
	&m_max,    &m_file,  &m_used,   &m_trees,   &m_blobs,   &m_chunks,
	&m_stored, &m_plain, &m_pinned, &m_evicted, &m_damaged,
};

static void collect(void *ctx)
{
	struct store_stats st;

	if (store_stat(ctx, &st))
		return;
	metric_set(&m_max, (int64_t)st.max_bytes);
	metric_set(&m_file, (int64_t)st.file_bytes);
	metric_set(&m_used, (int64_t)st.used_bytes);
	metric_set(&m_trees, (int64_t)st.trees);
	metric_set(&m_blobs, (int64_t)st.blobs);
	metric_set(&m_chunks, (int64_t)st.chunks);
	metric_set(&m_stored, (int64_t)st.chunk_stored_bytes);
	metric_set(&m_plain, (int64_t)st.chunk_plain_bytes);
	metric_set(&m_pinned, (int64_t)st.pinned_chunks);
	metric_set(&m_evicted, (int64_t)st.evicted_chunks);
	metric_set(&m_damaged, (int64_t)st.damaged_records);
}

void store_metrics_start(struct store *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		metric_register(all[i]);
	metrics_on_collect(collect, s);
}

void store_metrics_stop(struct store *s)
{
	metrics_off_collect(collect, s);
}
