/* SPDX-License-Identifier: Apache-2.0 */
/* The optional functions, threads, and what is left at the end. */
#include "core/base.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "tests/contract/suite.h"

#define THREADS 4
#define ROUNDS  10

static int prefetch(struct suite *s, uint32_t what, uint32_t depth,
		    struct recorder *rec)
{
	struct scorpio_ref ref;
	struct call call;
	int r;

	if (!s->ops->prefetch)
		case_skip(s, "prefetch is not offered");
	suite_need_walk(s);
	ref = suite_ref(&s->nodes[0]);
	recorder_init(rec);
	call_enter(&call, now_ns() + CALL_S * NS_PER_S, NULL);
	r = s->ops->prefetch(s->self, &ref, what, depth, &rec->sink);
	call_leave(&call);
	recorder_close(rec);
	if (r == -ENOTSUP)
		case_skip(s, "prefetch is not offered by this source");
	suite_check_call(s, "prefetch", r, rec);
	return r;
}

static void prefetch_trees(struct suite *s)
{
	struct recorder rec, one = { 0 };
	const struct rec_object *a, *b;
	struct scorpio_ref ref;

	prefetch(s, SCORPIO_PREFETCH_TREES, 0, &rec);
	ref = suite_ref(&s->nodes[0]);
	a = recorder_find(&rec, REC_TREE, &ref.id);
	suite_call(s, CALL_LIST, &ref, 1, &one);
	b = recorder_find(&one, REC_TREE, &ref.id);
	require(s, !a || (b && same_tree(a, b)),
		"the root from prefetch and from list differ");
	recorder_done(&rec);
	recorder_done(&one);
}

static void prefetch_all(struct suite *s)
{
	struct recorder rec;
	uint32_t i;

	suite_need_walk(s);
	for (i = 1; i < s->n; i++)
		if (s->nodes[i].size != SCORPIO_SIZE_UNKNOWN &&
		    s->nodes[i].size > FETCH_BYTES)
			case_skip(s, "too large a source");
	if (s->partial)
		case_skip(s, "too large a source");
	prefetch(s,
		 SCORPIO_PREFETCH_TREES | SCORPIO_PREFETCH_SIZES |
			 SCORPIO_PREFETCH_BLOBS,
		 0, &rec);
	recorder_done(&rec);
}

static void prefetch_shallow(struct suite *s)
{
	struct recorder rec;

	prefetch(s, SCORPIO_PREFETCH_TREES, 1, &rec);
	recorder_done(&rec);
}

static const struct node *some_file(struct suite *s)
{
	uint32_t i;

	suite_need_walk(s);
	for (i = 1; i < s->n; i++)
		if (s->nodes[i].kind == SCORPIO_FILE && s->nodes[i].size > 3 &&
		    s->nodes[i].size <= FETCH_BYTES)
			return &s->nodes[i];
	case_skip(s, "no file of known size above 3 bytes");
}

static void read_range(struct suite *s)
{
	struct recorder whole = { 0 }, part;
	const struct rec_object *a, *b;
	const struct node *n;
	struct scorpio_ref ref;
	int r;

	if (!s->ops->read)
		case_skip(s, "read is not offered");
	n = some_file(s);
	ref = suite_ref(n);
	suite_call(s, CALL_FETCH, &ref, 1, &whole);
	recorder_init(&part);
	r = s->ops->read(s->self, &ref, 1, n->size - 2, &part.sink);
	recorder_close(&part);
	if (r == -ENOTSUP)
		case_skip(s, "read is not offered by this source");
	suite_check_call(s, "read", r, &part);
	a = recorder_find(&whole, REC_BLOB, &ref.id);
	b = recorder_find(&part, REC_BLOB, &ref.id);
	require(s,
		a && b && b->data.len == n->size - 2 &&
			!memcmp(a->data.data + 1, b->data.data, b->data.len),
		"a range differs from the same part of the whole");
	recorder_done(&whole);
	recorder_done(&part);
}

static int count_change(void *ctx, const struct scorpio_change *c UNUSED)
{
	(*(unsigned *)ctx)++;
	return 0;
}

static void diff_same(struct suite *s)
{
	struct scorpio_ref ref;
	unsigned n = 0;
	int r;

	if (!s->ops->diff)
		case_skip(s, "diff is not offered");
	suite_need_root(s);
	ref = suite_ref(&s->nodes[0]);
	r = s->ops->diff(s->self, &ref, &ref, count_change, &n);
	if (r == -ENOTSUP)
		case_skip(s, "diff is not offered by this source");
	require(s, !r && !n, "a root differs from itself in %u paths (%d)", n,
		r);
}

static void watch_timeout(struct suite *s)
{
	int64_t begin = now_ns();
	struct call call;
	double ms;
	int r;

	if (!s->ops->watch)
		case_skip(s, "watch is not offered");
	suite_need_root(s);
	call_enter(&call, now_ns() + CALL_S * NS_PER_S, NULL);
	r = s->ops->watch(s->self, s->rev, &s->revision.root, 200);
	call_leave(&call);
	ms = suite_ms(begin);
	if (r == -ENOTSUP)
		case_skip(s, "watch is not offered by this source");
	require(s, r <= 1, "watch returned %d: neither 1, 0 nor negative", r);
	require(s, ms < 5000 * s->slow, "a watch of 200 ms took %.0f ms", ms);
}

static void xattr_unknown(struct suite *s)
{
	struct scorpio_ref ref;
	char buf[16];
	int64_t r;

	if (!s->ops->xattr)
		case_skip(s, "xattr is not offered");
	suite_need_root(s);
	ref = suite_ref(&s->nodes[0]);
	r = s->ops->xattr(s->self, &ref, "no-such-attribute", buf, sizeof(buf));
	require(s, r == -ENODATA || r == -ENOTSUP,
		"an unknown attribute gave %lld, not -ENODATA", (long long)r);
	r = s->ops->xattr(s->self, &ref, "no-such-attribute", NULL, 0);
	require(s, r == -ENODATA || r == -ENOTSUP,
		"an unknown attribute gave %lld, not -ENODATA", (long long)r);
}

static void bucket_names(struct suite *s)
{
	static const char *const odd[] = { "", ".", "..", "a/b", "\xff\n" };
	struct scorpio_ref root;
	struct scorpio_id id;
	unsigned before;
	int r;

	suite_need_root(s);
	if (!(s->info.flags & SCORPIO_INSTANCE_OPEN_ROOT))
		case_skip(s, "the root is listed whole");
	require(s, s->ops->struct_size > offsetof(struct scorpio_backend,
						  bucket) && s->ops->bucket,
		"OPEN_ROOT without bucket()");
	root = suite_ref(&s->nodes[0]);
	before = suite_fds(true);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		id.len = 0;
		r = s->ops->bucket(s->self, &root, odd[i],
				   (uint32_t)strlen(odd[i]), &id);
		require(s, r == -ENOENT || (!r && id.len &&
					    id.len <= SCORPIO_ID_MAX),
			"bucket of name %zu gave %d", i, r);
	}
	require(s, suite_fds(true) == before, "bucket made a network socket");
}

/* -- threads --------------------------------------------------------------- */

struct worker {
	struct suite *s;
	void *self; /* the instance to call */
	const struct scorpio_ref *refs;
	uint32_t n;
	char problem[300]; /* "" = none */
};

static bool one_round(struct worker *w)
{
	struct scorpio_ref root = suite_ref(&w->s->nodes[0]);
	struct recorder rec;
	struct call call;
	uint32_t i;
	int r;

	recorder_init(&rec);
	call_enter(&call, now_ns() + CALL_S * NS_PER_S, NULL);
	r = w->s->ops->list(w->self, &root, 1, &rec.sink);
	if (!r)
		r = w->s->ops->fetch(w->self, w->refs, w->n, &rec.sink);
	call_leave(&call);
	recorder_close(&rec);
	if (rec.problem[0] || r)
		snprintf(w->problem, sizeof(w->problem), "%s",
			 rec.problem[0] ? rec.problem : error_text(r));
	for (i = 0; !w->problem[0] && i < w->n; i++)
		if (!recorder_find(&rec, REC_BLOB, &w->refs[i].id))
			snprintf(w->problem, sizeof(w->problem),
				 "a blob did not come");
	recorder_done(&rec);
	return !w->problem[0];
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int i;

	for (i = 0; i < ROUNDS && one_round(w); i++)
		;
	return NULL;
}

static void run_workers(struct suite *s, struct worker *w)
{
	pthread_t t[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, work, &w[i]);
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < THREADS; i++)
		require(s, !w[i].problem[0], "with %d threads at once: %s",
			THREADS, w[i].problem);
}

static void threads_parallel(struct suite *s)
{
	struct worker w[THREADS] = { 0 };
	struct scorpio_ref *refs;
	uint32_t n;
	int i;

	if (s->ops->threads != SCORPIO_THREADS_PARALLEL)
		case_skip(s, "it bears one call at a time");
	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_FILE, 10, &n);
	for (i = 0; i < THREADS; i++)
		w[i] = (struct worker){ s, s->self, refs, n, "" };
	run_workers(s, w);
	free(refs);
}

static void threads_instances(struct suite *s)
{
	struct worker w[THREADS] = { 0 };
	struct scorpio_instance info;
	struct scorpio_revision rev;
	struct scorpio_ref *refs;
	uint32_t n;
	int i, r;

	if (s->ops->threads == SCORPIO_THREADS_SERIAL)
		case_skip(s, "it bears one call in all");
	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_FILE, 10, &n);
	for (i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ s, NULL, refs, n, "" };
		r = suite_open(s, s->url, &info, &w[i].self);
		if (!r)
			r = s->ops->resolve(w[i].self, s->rev, &rev);
		require(s, !r, "instance %d: %s", i + 2, error_text(r));
	}
	run_workers(s, w);
	for (i = 0; i < THREADS; i++)
		s->ops->close(w[i].self);
	free(refs);
}

static void nothing_left(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref *refs;
	unsigned before;
	uint32_t n;

	suite_close(s);
	before = suite_fds(false);
	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_FILE, 10, &n);
	if (n)
		suite_call(s, CALL_FETCH, refs, n, &rec);
	recorder_done(&rec);
	free(refs);
	suite_close(s);
	require(s, suite_fds(false) <= before,
		"open, use and close left %u open files behind",
		suite_fds(false) - before);
}

const struct contract_case cases_more[] = {
	{ "prefetch-trees", "everything below root that `what` asks for",
	  prefetch_trees },
	{ "prefetch-all", "everything below root that `what` asks for",
	  prefetch_all },
	{ "prefetch-shallow", "partial work is fine", prefetch_shallow },
	{ "read-range", "a range of one blob", read_range },
	{ "diff-same", "paths that differ between two roots", diff_same },
	{ "watch-timeout", "block until about timeout_ms passed",
	  watch_timeout },
	{ "xattr-unknown", "the length, or -ENODATA", xattr_unknown },
	{ "bucket-names", "-ENOENT for what can never be a name",
	  bucket_names },
	{ "threads-parallel", "PARALLEL: any number of calls at once",
	  threads_parallel },
	{ "threads-instances", "INSTANCE: one call per instance",
	  threads_instances },
	{ "nothing-left", "close releases everything", nothing_left },
	{ 0 },
};
