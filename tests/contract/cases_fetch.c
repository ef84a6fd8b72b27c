/* SPDX-License-Identifier: Apache-2.0 */
/* fetch and sizes. */
#include "core/base.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/id.h"
#include "tests/contract/suite.h"

#define BLOBS (1u << SCORPIO_FILE | 1u << SCORPIO_SYMLINK)

static struct scorpio_ref *need_blobs(struct suite *s, uint32_t max,
				      uint32_t *ret_n)
{
	struct scorpio_ref *refs;

	suite_need_walk(s);
	refs = suite_refs(s, BLOBS, max, ret_n);
	if (!*ret_n) {
		free(refs);
		case_skip(s, "the source has no file");
	}
	return refs;
}

static const struct rec_object *
fetch_one(struct suite *s, const struct scorpio_ref *ref, struct recorder *rec)
{
	const struct rec_object *o;
	int r = suite_call(s, CALL_FETCH, ref, 1, rec);

	o = recorder_find(rec, REC_BLOB, &ref->id);
	require(s, o && !r, "fetch of \"%.*s\" failed: %s", (int)ref->path_len,
		ref->path, r ? error_text(r) : "it was not poured");
	return o;
}

/* Fetch each of the first blobs alone and look at it. */
static void each_blob(struct suite *s,
		      void (*look)(struct suite *s, const struct node *n,
				   const struct rec_object *o))
{
	uint64_t bytes = 0;
	uint32_t i, n = 0;

	suite_need_walk(s);
	for (i = 1; i < s->n && n < FETCH_BLOBS && bytes < FETCH_BYTES; i++) {
		struct recorder rec = { 0 };
		struct scorpio_ref ref = suite_ref(&s->nodes[i]);
		const struct rec_object *o;

		if (!(BLOBS & 1u << s->nodes[i].kind))
			continue;
		n++;
		o = fetch_one(s, &ref, &rec);
		bytes += o->data.len;
		look(s, &s->nodes[i], o);
		recorder_done(&rec);
	}
	if (!n)
		case_skip(s, "the source has no file");
}

static void look_size(struct suite *s, const struct node *n,
		      const struct rec_object *o)
{
	require(s, n->size == SCORPIO_SIZE_UNKNOWN || n->size == o->data.len,
		"\"%s\" was listed with %llu bytes, but has %zu", n->path,
		(unsigned long long)n->size, o->data.len);
}

static void fetch_sizes(struct suite *s)
{
	each_blob(s, look_size);
}

static void git_digest(const struct rec_object *o, uint8_t *out)
{
	enum hash_kind kind = o->id.len == SHA1_LEN ? HASH_SHA1 : HASH_SHA256;
	struct hash *h = hash_new(kind);
	char head[32];

	hash_update(
		h, head,
		(size_t)snprintf(head, sizeof(head), "blob %zu", o->data.len) +
			1);
	hash_update(h, o->data.data, o->data.len);
	hash_final(h, out);
	hash_free(h);
}

static void look_id(struct suite *s, const struct node *n,
		    const struct rec_object *o)
{
	uint8_t digest[SHA256_LEN];

	if (s->ops->id_kind == SCORPIO_ID_GIT)
		git_digest(o, digest);
	else
		hash_bytes(HASH_SHA256, o->data.data, o->data.len, digest);
	require(s, !memcmp(digest, o->id.bytes, o->id.len),
		"the content of \"%s\" is not what its id %s says", n->path,
		hex_of(&o->id));
}

static void fetch_ids(struct suite *s)
{
	if (s->ops->id_kind == SCORPIO_ID_OPAQUE)
		case_skip(s, "its ids are opaque");
	each_blob(s, look_id);
}

static void look_link(struct suite *s, const struct node *n,
		      const struct rec_object *o)
{
	if (n->kind != SCORPIO_SYMLINK)
		return;
	require(s,
		o->data.len && o->data.len < 4096 &&
			!memchr(o->data.data, 0, o->data.len),
		"the symbolic link \"%s\" has a target of %zu bytes, or with "
		"a NUL",
		n->path, o->data.len);
}

static void fetch_links(struct suite *s)
{
	suite_need_walk(s);
	if (!suite_node(s, SCORPIO_SYMLINK, 0))
		case_skip(s, "the source has no symbolic link");
	each_blob(s, look_link);
}

static void fetch_batch(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, max, poured;
	int r;

	suite_need_open(s);
	max = s->info.batch_max ? s->info.batch_max : 1000;
	refs = need_blobs(s, MIN(max, FETCH_BLOBS), &n);
	r = suite_call(s, CALL_FETCH, refs, n, &rec);
	poured = suite_check_answered(s, "fetch", refs, n, REC_BLOB, r, &rec);
	require(s, poured == n, "of %u blobs in one call only %u came: %s", n,
		poured, r ? error_text(r) : "failed()");
	recorder_done(&rec);
	free(refs);
}

static void fetch_again(struct suite *s)
{
	struct recorder batch = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, i;

	refs = need_blobs(s, 20, &n);
	suite_call(s, CALL_FETCH, refs, n, &batch);
	for (i = 0; i < n; i++) {
		struct recorder one = { 0 };
		const struct rec_object *a, *b = fetch_one(s, &refs[i], &one);

		a = recorder_find(&batch, REC_BLOB, &refs[i].id);
		require(s,
			a && a->data.len == b->data.len &&
				(!a->data.len ||
				 !memcmp(a->data.data, b->data.data,
					 a->data.len)),
			"\"%.*s\" alone and in a batch differ",
			(int)refs[i].path_len, refs[i].path);
		recorder_done(&one);
	}
	recorder_done(&batch);
	free(refs);
}

static void fetch_twice(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref *refs, two[2];
	uint32_t n;
	int r;

	refs = need_blobs(s, 1, &n);
	two[0] = two[1] = refs[0];
	free(refs);
	r = suite_call(s, CALL_FETCH, two, 2, &rec);
	require(s,
		suite_check_answered(s, "fetch", two, 2, REC_BLOB, r, &rec) ==
			2,
		"asked for twice in one call, a blob did not come");
	recorder_done(&rec);
}

static void expect_failure(struct suite *s, struct scorpio_ref ref,
			   const char *what)
{
	struct recorder rec = { 0 };
	int r = suite_call(s, CALL_FETCH, &ref, 1, &rec);

	require(s, !recorder_find(&rec, REC_BLOB, &ref.id), "%s was poured",
		what);
	suite_check_answered(s, "fetch", &ref, 1, REC_BLOB, r, &rec);
	recorder_done(&rec);
}

static void fetch_missing(struct suite *s)
{
	suite_need_root(s);
	expect_failure(s, suite_nowhere(s, SCORPIO_FILE),
		       "a blob that does not exist");
}

static void fetch_of_tree(struct suite *s)
{
	suite_need_root(s);
	expect_failure(s, suite_ref(&s->nodes[0]), "the root directory");
}

static void fetch_mixed(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref *refs, mixed[2];
	uint32_t n;
	int r;

	refs = need_blobs(s, 1, &n);
	mixed[0] = suite_nowhere(s, SCORPIO_FILE);
	mixed[1] = refs[0];
	free(refs);
	r = suite_call(s, CALL_FETCH, mixed, 2, &rec);
	suite_check_answered(s, "fetch", mixed, 2, REC_BLOB, r, &rec);
	require(s, recorder_find(&rec, REC_BLOB, &mixed[1].id),
		"one missing blob kept the call from pouring the other; use "
		"sink->failed for single objects");
	recorder_done(&rec);
}

/* The first file that is not empty. */
static struct scorpio_ref some_data(struct suite *s)
{
	uint32_t i;

	suite_need_walk(s);
	for (i = 1; i < s->n; i++) {
		struct recorder rec = { 0 };
		struct scorpio_ref ref = suite_ref(&s->nodes[i]);
		size_t len;

		if (s->nodes[i].kind != SCORPIO_FILE || !s->nodes[i].size)
			continue;
		len = fetch_one(s, &ref, &rec)->data.len;
		recorder_done(&rec);
		if (len)
			return ref;
	}
	case_skip(s, "the source has no file with content");
}

static void stop_at(struct suite *s, enum rec_stop where)
{
	struct scorpio_ref ref = some_data(s);
	struct recorder rec;

	recorder_init(&rec);
	rec.stop = where;
	rec.stop_value = -ECANCELED;
	suite_call(s, CALL_FETCH, &ref, 1, &rec); /* checks the result */
	require(s, rec.stopped, "the sink was never asked");
	recorder_done(&rec);
}

static void fetch_stop_begin(struct suite *s)
{
	stop_at(s, REC_STOP_BEGIN);
}

static void fetch_stop_data(struct suite *s)
{
	stop_at(s, REC_STOP_ITEM);
}

static void fetch_stop_end(struct suite *s)
{
	stop_at(s, REC_STOP_END);
}

static void fetch_by_id(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, i, poured;
	int r;

	if (s->ops->flags & SCORPIO_BACKEND_NEEDS_PATH)
		case_skip(s, "its refs carry paths (NEEDS_PATH)");
	refs = need_blobs(s, 50, &n);
	for (i = 0; i < n; i++) {
		refs[i].path = NULL;
		refs[i].path_len = 0;
		refs[i].kind = 0;
	}
	r = suite_call(s, CALL_FETCH, refs, n, &rec);
	poured = suite_check_answered(s, "fetch", refs, n, REC_BLOB, r, &rec);
	require(s, poured == n,
		"without paths only %u of %u blobs came: set "
		"NEEDS_PATH or use the ids",
		poured, n);
	recorder_done(&rec);
	free(refs);
}

static void fetch_largest(struct suite *s)
{
	const struct node *best = NULL;
	struct recorder rec = { 0 };
	struct scorpio_ref ref;
	uint32_t i;

	suite_need_walk(s);
	for (i = 1; i < s->n; i++)
		if (s->nodes[i].kind == SCORPIO_FILE &&
		    s->nodes[i].size <= FETCH_BYTES &&
		    (!best || s->nodes[i].size > best->size))
			best = &s->nodes[i];
	if (!best)
		case_skip(s, "the source has no file of known size");
	ref = suite_ref(best);
	require(s, fetch_one(s, &ref, &rec)->data.len == best->size,
		"\"%s\" came with another size than listed", best->path);
	recorder_done(&rec);
}

static void fetch_cancelled(struct suite *s)
{
	struct recorder rec;
	struct scorpio_ref *refs;
	int64_t begin;
	bool cancel = true;
	struct call call;
	uint32_t n;
	double ms;
	int r;

	refs = need_blobs(s, FETCH_BLOBS, &n);
	recorder_init(&rec);
	begin = now_ns();
	call_enter(&call, begin + CALL_S * NS_PER_S, &cancel);
	r = s->ops->fetch(s->self, refs, n, &rec.sink);
	call_leave(&call);
	recorder_close(&rec);
	ms = suite_ms(begin);
	suite_check_call(s, "fetch", r, &rec);
	require(s, r != -ENOENT,
		"a cancelled fetch says that blobs do not exist");
	require(s, ms < 2000 * s->slow, "it took %.0f ms to notice", ms);
	recorder_done(&rec);
	free(refs);
}

static void fetch_deadline(struct suite *s)
{
	struct recorder rec;
	struct scorpio_ref *refs;
	int64_t begin;
	struct call call;
	uint32_t n;
	double ms;
	int r;

	refs = need_blobs(s, FETCH_BLOBS, &n);
	recorder_init(&rec);
	begin = now_ns();
	call_enter(&call, begin - 1, NULL);
	r = s->ops->fetch(s->self, refs, n, &rec.sink);
	call_leave(&call);
	recorder_close(&rec);
	ms = suite_ms(begin);
	suite_check_call(s, "fetch", r, &rec);
	require(s, r != -ENOENT,
		"a fetch that came too late says that blobs do not exist");
	require(s, ms < 2000 * s->slow, "it took %.0f ms to notice", ms);
	recorder_done(&rec);
	free(refs);
}

static void sizes_match(struct suite *s)
{
	struct recorder sizes = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, i;
	int r;

	if (!s->ops->sizes)
		case_skip(s, "sizes is not offered");
	refs = need_blobs(s, 100, &n);
	r = suite_call(s, CALL_SIZES, refs, n, &sizes);
	if (r == -ENOTSUP) {
		free(refs);
		recorder_done(&sizes);
		case_skip(s, "sizes is not offered by this source");
	}
	suite_check_answered(s, "sizes", refs, n, REC_SIZE, r, &sizes);
	for (i = 0; i < n; i++) {
		struct recorder one = { 0 };
		const struct rec_object *o;

		o = recorder_find(&sizes, REC_SIZE, &refs[i].id);
		require(s, o, "no size of \"%.*s\": %s", (int)refs[i].path_len,
			refs[i].path, r ? error_text(r) : "failed()");
		require(s, o->size == fetch_one(s, &refs[i], &one)->data.len,
			"sizes says %llu bytes for \"%.*s\", fetch pours "
			"another number",
			(unsigned long long)o->size, (int)refs[i].path_len,
			refs[i].path);
		recorder_done(&one);
	}
	recorder_done(&sizes);
	free(refs);
}

static void sizes_missing(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref ref;
	int r;

	if (!s->ops->sizes)
		case_skip(s, "sizes is not offered");
	suite_need_root(s);
	ref = suite_nowhere(s, SCORPIO_FILE);
	r = suite_call(s, CALL_SIZES, &ref, 1, &rec);
	require(s, !recorder_find(&rec, REC_SIZE, &ref.id),
		"a blob that does not exist has a size");
	suite_check_answered(s, "sizes", &ref, 1, REC_SIZE, r, &rec);
	recorder_done(&rec);
}

const struct contract_case cases_fetch[] = {
	{ "fetch-sizes",
	  "exactly that many bytes must follow; sizes in "
	  "listings are never a guess",
	  fetch_sizes },
	{ "fetch-ids", "content is what its id says", fetch_ids },
	{ "fetch-links", "a symbolic link's target is the content of its blob",
	  fetch_links },
	{ "fetch-batch", "refs[0..n) in one call", fetch_batch },
	{ "fetch-again", "an id names immutable content", fetch_again },
	{ "fetch-twice", "the same ref may be there twice", fetch_twice },
	{ "fetch-missing", "what does not exist must not be poured",
	  fetch_missing },
	{ "fetch-of-tree", "a directory must not be poured as a blob",
	  fetch_of_tree },
	{ "fetch-mixed",
	  "failed(): this one object cannot be had; the others "
	  "may follow",
	  fetch_mixed },
	{ "fetch-stop-begin", "a nonzero return asks to stop and return it",
	  fetch_stop_begin },
	{ "fetch-stop-data", "a nonzero return asks to stop and return it",
	  fetch_stop_data },
	{ "fetch-stop-end", "a nonzero return asks to stop and return it",
	  fetch_stop_end },
	{ "fetch-by-id", "path may be NULL where only the id is known",
	  fetch_by_id },
	{ "fetch-largest", "a blob is streamed in order", fetch_largest },
	{ "fetch-cancelled", "a cancelled call must return soon",
	  fetch_cancelled },
	{ "fetch-deadline", "a call past its deadline must return soon",
	  fetch_deadline },
	{ "sizes-match", "the exact size of a blob", sizes_match },
	{ "sizes-missing", "what does not exist has no size", sizes_missing },
	{ 0 },
};
