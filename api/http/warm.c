/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/warm.h"

#include "core/error.h"

#define WARM_BATCH 1000

struct warm_job {
	struct daemon *daemon;
	char **paths; /* owned */
	size_t n;
	bool metadata_only, skip_missing;
	int64_t deadline;
	struct stream *stream;
	struct fs_warm_progress before; /* of the batches that are over */
	struct fs_warm_progress last;
};

static void job_free(void *arg)
{
	struct warm_job *j = arg;

	for (size_t i = 0; i < j->n; i++)
		free(j->paths[i]);
	free(j->paths);
	free(j);
}

static void sum(struct fs_warm_progress *a, const struct fs_warm_progress *b)
{
	a->trees += b->trees;
	a->files += b->files;
	a->failed += b->failed;
	a->bytes += b->bytes;
	a->files_total += b->files_total;
}

static int line(struct warm_job *j, const struct fs_warm_progress *p,
		bool finished)
{
	json_t *v = json_object();

	v1_set(v, "trees", p->trees);
	v1_set(v, "files", p->files);
	v1_set(v, "failed", p->failed);
	v1_set(v, "bytes", p->bytes);
	v1_set(v, "files_total", p->files_total);
	json_object_set_new(v, "finished", json_boolean(finished));
	return stream_line(j->stream, v);
}

static int progress(void *ctx, const struct fs_warm_progress *p)
{
	struct warm_job *j = ctx;
	struct fs_warm_progress all = j->before;

	j->last = *p;
	sum(&all, p);
	return line(j, &all, false);
}

static int bring(struct warm_job *j, size_t from, size_t n)
{
	int e;

	memset(&j->last, 0, sizeof(j->last));
	e = fs_warm(daemon_fs(j->daemon),
		    (const char *const *)j->paths + from, n,
		    j->metadata_only, j->deadline, progress, j);
	sum(&j->before, &j->last);
	return e;
}

/* A profile of another revision names files that are no more. */
static int bring_each(struct warm_job *j, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++) {
		int e = bring(j, i, 1);

		if (e && e != -ENOENT && e != -ENOTDIR)
			return e;
		j->before.failed += e && !j->last.failed;
	}
	return 0;
}

static int run(struct stream *s, void *ctx)
{
	struct warm_job *j = ctx;
	size_t batch = j->skip_missing ? WARM_BATCH : j->n;
	int e = 0;

	j->stream = s;
	for (size_t i = 0; i < j->n && !e; i += batch) {
		size_t n = MIN(batch, j->n - i);

		e = bring(j, i, n);
		if (j->skip_missing && (e == -ENOENT || e == -ENOTDIR))
			e = bring_each(j, i, n);
	}
	if (stream_closed(s))
		return -EPIPE;
	if (e && !j->before.failed)
		return e;
	/* some failed: say how many, and then why */
	line(j, &j->before, true);
	return e;
}

int warm_reply(struct request *r, char **paths, size_t n, bool metadata_only,
	       bool skip_missing, int64_t deadline)
{
	struct warm_job *j = xcalloc(1, sizeof(*j));

	j->daemon = request_ctx(r);
	j->paths = paths;
	j->n = n;
	j->metadata_only = metadata_only;
	j->skip_missing = skip_missing;
	j->deadline = deadline;
	return reply_stream(r, run, j, job_free);
}
