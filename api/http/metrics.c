/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - /metrics: everything registered with core/metrics.h, and gauges
 * of the process that are looked up when asked for. */
#include "core/metrics.h"

#include <scorpio/version.h>

#include "api/http/routes.h"
#include "api/http/v1.h"
#include "api/process.h"
#include "core/clock.h"

static void gauge(const char *name, const char *help, int64_t v)
{
	metric_set(metric_get(name, NULL, METRIC_GAUGE, help), v);
}

static int count(void *ctx, const struct fs_mount_info *i)
{
	struct fs_mount_info *sum = ctx;

	sum->created_ns++;
	sum->waiting += i->waiting;
	sum->inodes += i->inodes;
	sum->inode_bytes += i->inode_bytes;
	return 0;
}

static void refresh_mounts(struct daemon *d)
{
	struct fs_mount_info sum = { .created_ns = 0 };

	fs_each(daemon_fs(d), count, &sum);
	gauge("scorpio_mounts", "Mounts that are there.", sum.created_ns);
	gauge("scorpio_mounts_missing",
	      "Mounts that should be there and could not be made yet.",
	      (int64_t)mounts_missing(daemon_mounts(d)));
	gauge("scorpio_requests_waiting",
	      "Filesystem requests that wait for a source.", sum.waiting);
	gauge("scorpio_inodes", "Inodes the kernel knows.",
	      (int64_t)sum.inodes);
	gauge("scorpio_inode_memory_bytes", "Memory taken by known inodes.",
	      (int64_t)sum.inode_bytes);
}

#define SLOW_NS NS_PER_S

struct slow {
	int64_t n[FS_WHERES], oldest;
};

static void add_slow(void *ctx, const struct fs_slow *s)
{
	struct slow *x = ctx;

	x->n[s->where]++;
	x->oldest = MAX(x->oldest, s->age_ns);
}

static void refresh_slow(struct daemon *d)
{
	struct slow x = { .oldest = 0 };

	fs_slow(daemon_fs(d), SLOW_NS, add_slow, &x);
	for (int i = 0; i < FS_WHERES; i++) {
		cleanup_buf struct buf label = BUF_INIT;

		metric_label(&label, "where", fs_where_name(i));
		metric_set(metric_get("scorpio_requests_slow", buf_str(&label),
				      METRIC_GAUGE,
				      "Filesystem requests without an answer "
				      "for a second or more, by where they "
				      "are."),
			   x.n[i]);
	}
	gauge("scorpio_request_oldest_seconds",
	      "Age of the oldest of them; 0 without one.",
	      x.oldest / NS_PER_S);
}

static void refresh(struct daemon *d)
{
	gauge("scorpio_uptime_seconds", "Since the daemon started.",
	      daemon_uptime_ns(d) / NS_PER_S);
	gauge("process_start_time_seconds",
	      "Start time of the process since 1970.",
	      daemon_started_ns(d) / NS_PER_S);
	gauge("process_resident_memory_bytes", "Resident memory.",
	      (int64_t)process_rss());
	gauge("process_open_fds", "Open file descriptors.",
	      (int64_t)process_fds());
	metric_set(metric_get("scorpio_build_info",
			      "version=\"" SCORPIO_VERSION "\"", METRIC_GAUGE,
			      "Always 1; the label tells the version."),
		   1);
	refresh_mounts(d);
	refresh_slow(d);
}

static int get_metrics(struct request *r)
{
	cleanup_buf struct buf text = BUF_INIT;

	refresh(request_ctx(r));
	metrics_print(&text);
	return reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8",
			  &text);
}

const struct route metrics_routes[] = {
	{ "GET", "/metrics", get_metrics, 0 },
	{ NULL, NULL, NULL, 0 },
};
