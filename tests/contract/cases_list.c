/* SPDX-License-Identifier: Apache-2.0 */
/* list. */
#include "core/base.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "tests/contract/suite.h"

static const struct rec_object *list_root(struct suite *s, struct recorder *rec)
{
	const struct rec_object *tree;
	struct scorpio_ref ref;
	int r;

	suite_need_root(s);
	ref = suite_ref(&s->nodes[0]);
	r = suite_call(s, CALL_LIST, &ref, 1, rec);
	tree = recorder_find(rec, REC_TREE, &ref.id);
	require(s, tree, "the root was not poured: %s",
		r ? error_text(r) : "list returned 0");
	require(s, !r, "the root was poured, but list returned %d (%s)", r,
		error_text(r));
	return tree;
}

static void list_root_case(struct suite *s)
{
	struct recorder rec = { 0 };

	list_root(s, &rec);
	require(s, recorder_count(&rec, REC_TREE, &s->nodes[0].id) == 1,
		"the root was poured more than once");
	recorder_done(&rec);
}

/* Names, kinds, modes and ids are checked by the recorder as they come. */
static void list_walk(struct suite *s)
{
	suite_need_walk(s);
	if (s->n == 1 && s->info.flags & SCORPIO_INSTANCE_OPEN_ROOT)
		case_skip(s, "an open root lists nothing of its own");
	require(s, s->n > 1,
		"the tree is empty: give the suite a source with "
		"some files");
}

static void list_again(struct suite *s)
{
	struct recorder a = { 0 }, b = { 0 };
	const struct rec_object *x = list_root(s, &a), *y = list_root(s, &b);

	require(s, same_tree(x, y), "two listings of one tree id differ");
	recorder_done(&a);
	recorder_done(&b);
}

static void list_batch(struct suite *s)
{
	struct recorder batch = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, poured;
	int r;

	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_DIR,
			  s->info.batch_max ? s->info.batch_max : 1000, &n);
	r = suite_call(s, CALL_LIST, refs, n, &batch);
	poured = suite_check_answered(s, "list", refs, n, REC_TREE, r, &batch);
	require(s, poured == n, "of %u trees in one call only %u came: %s", n,
		poured, r ? error_text(r) : "failed()");
	recorder_done(&batch);
	free(refs);
}

static void list_batch_equal(struct suite *s)
{
	struct recorder batch = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, i;

	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_DIR, 20, &n);
	suite_call(s, CALL_LIST, refs, n, &batch);
	for (i = 0; i < n; i++) {
		struct recorder one = { 0 };
		const struct rec_object *x, *y;

		suite_call(s, CALL_LIST, &refs[i], 1, &one);
		x = recorder_find(&batch, REC_TREE, &refs[i].id);
		y = recorder_find(&one, REC_TREE, &refs[i].id);
		require(s, x && y && same_tree(x, y),
			"\"%.*s\" alone and in a batch differ",
			(int)refs[i].path_len, refs[i].path);
		recorder_done(&one);
	}
	recorder_done(&batch);
	free(refs);
}

static void list_twice(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref refs[2];
	int r;

	suite_need_root(s);
	refs[0] = refs[1] = suite_ref(&s->nodes[0]);
	r = suite_call(s, CALL_LIST, refs, 2, &rec);
	require(s,
		suite_check_answered(s, "list", refs, 2, REC_TREE, r, &rec) ==
			2,
		"asked for twice in one call, the root did not come");
	recorder_done(&rec);
}

/* `ref` must not be poured; the call or failed() says why. */
static void expect_failure(struct suite *s, enum suite_op op,
			   struct scorpio_ref ref, const char *what)
{
	enum rec_what kind = op == CALL_LIST ? REC_TREE : REC_BLOB;
	struct recorder rec = { 0 };
	int r = suite_call(s, op, &ref, 1, &rec);

	require(s, !recorder_find(&rec, kind, &ref.id), "%s was poured", what);
	suite_check_answered(s, "list", &ref, 1, kind, r, &rec);
	recorder_done(&rec);
}

static void list_missing(struct suite *s)
{
	suite_need_root(s);
	expect_failure(s, CALL_LIST, suite_nowhere(s, SCORPIO_DIR),
		       "a tree that does not exist");
}

static void list_of_file(struct suite *s)
{
	const struct node *file;

	suite_need_walk(s);
	file = suite_node(s, SCORPIO_FILE, 0);
	if (!file)
		case_skip(s, "the source has no file");
	expect_failure(s, CALL_LIST, suite_ref(file), "a file");
}

static void list_mixed(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref refs[2];
	int r;

	suite_need_root(s);
	refs[0] = suite_nowhere(s, SCORPIO_DIR);
	refs[1] = suite_ref(&s->nodes[0]);
	r = suite_call(s, CALL_LIST, refs, 2, &rec);
	suite_check_answered(s, "list", refs, 2, REC_TREE, r, &rec);
	require(s, recorder_find(&rec, REC_TREE, &refs[1].id),
		"one missing tree kept the call from pouring the other; use "
		"sink->failed for single objects");
	recorder_done(&rec);
}

static void stop_at(struct suite *s, enum rec_stop where)
{
	struct recorder rec;
	struct scorpio_ref ref;

	suite_need_walk(s);
	recorder_init(&rec);
	rec.stop = where;
	rec.stop_value = -ECANCELED;
	ref = suite_ref(&s->nodes[0]);
	suite_call(s, CALL_LIST, &ref, 1, &rec); /* checks the result */
	require(s, rec.stopped, "the sink was never asked");
	recorder_done(&rec);
}

static void list_stop_begin(struct suite *s)
{
	stop_at(s, REC_STOP_BEGIN);
}

static void list_stop_entry(struct suite *s)
{
	suite_need_walk(s);
	if (s->n < 2)
		case_skip(s, "the root is empty");
	stop_at(s, REC_STOP_ITEM);
}

static void list_stop_end(struct suite *s)
{
	stop_at(s, REC_STOP_END);
}

static void list_after_return(struct suite *s)
{
	struct recorder rec = { 0 };

	list_root(s, &rec);
	usleep(50000);
	require(s, !__atomic_load_n(&rec.late, __ATOMIC_RELAXED),
		"the sink was called after list had returned");
	recorder_done(&rec);
}

static void list_by_id(struct suite *s)
{
	struct recorder rec = { 0 };
	struct scorpio_ref *refs;
	uint32_t n, i, poured;
	int r;

	if (s->ops->flags & SCORPIO_BACKEND_NEEDS_PATH)
		case_skip(s, "its refs carry paths (NEEDS_PATH)");
	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_DIR, 50, &n);
	for (i = 0; i < n; i++) {
		refs[i].path = NULL;
		refs[i].path_len = 0;
		refs[i].kind = 0;
	}
	r = suite_call(s, CALL_LIST, refs, n, &rec);
	poured = suite_check_answered(s, "list", refs, n, REC_TREE, r, &rec);
	require(s, poured == n,
		"without paths only %u of %u trees came: set "
		"NEEDS_PATH or use the ids",
		poured, n);
	recorder_done(&rec);
	free(refs);
}

/* The caller's memory is gone after the call. */
static void list_borrows(struct suite *s)
{
	struct recorder a = { 0 }, b = { 0 };
	struct scorpio_ref *refs, *again;
	uint32_t n, i, m;

	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_DIR, 50, &n);
	for (i = 0; i < n; i++)
		refs[i].path = xstrndup(refs[i].path, refs[i].path_len);
	suite_call(s, CALL_LIST, refs, n, &a);
	for (i = 0; i < n; i++) {
		memset((char *)(uintptr_t)refs[i].path, 0xaa, refs[i].path_len);
		free((char *)(uintptr_t)refs[i].path);
	}
	memset(refs, 0xaa, n * sizeof(*refs));
	free(refs);
	again = suite_refs(s, 1u << SCORPIO_DIR, 50, &m);
	suite_call(s, CALL_LIST, again, m, &b);
	for (i = 0; i < m; i++)
		require(s, recorder_find(&b, REC_TREE, &again[i].id),
			"\"%.*s\" did not come a second time",
			(int)again[i].path_len, again[i].path);
	recorder_done(&a);
	recorder_done(&b);
	free(again);
}

static void ids_unique(struct suite *s)
{
	uint32_t i, k, n;

	suite_need_walk(s);
	n = MIN(s->n, 2000u);
	for (i = 0; i < n; i++) {
		for (k = i + 1; k < n; k++) {
			const struct node *a = &s->nodes[i], *b = &s->nodes[k];
			bool sizes = a->size == b->size ||
				     a->size == SCORPIO_SIZE_UNKNOWN ||
				     b->size == SCORPIO_SIZE_UNKNOWN;

			if (!id_equal(&a->id, &b->id))
				continue;
			require(s,
				(a->kind == SCORPIO_DIR) ==
						(b->kind == SCORPIO_DIR) &&
					sizes,
				"\"%s\" and \"%s\" differ but have one id",
				a->path, b->path);
		}
	}
}

static void sizes_free(struct suite *s)
{
	uint32_t i;

	suite_need_walk(s);
	if (!(s->info.flags & SCORPIO_INSTANCE_SIZES_FREE))
		case_skip(s, "SIZES_FREE is not set");
	for (i = 1; i < s->n; i++)
		require(s,
			s->nodes[i].kind == SCORPIO_DIR ||
				s->nodes[i].kind == SCORPIO_SUBMODULE ||
				s->nodes[i].size != SCORPIO_SIZE_UNKNOWN,
			"SIZES_FREE, but list does not tell the size of "
			"\"%s\"",
			s->nodes[i].path);
}

static void local_quick(struct suite *s)
{
	struct recorder rec = { 0 };
	int64_t begin;
	double ms;

	suite_need_walk(s);
	if (!(s->info.flags & SCORPIO_INSTANCE_LOCAL))
		case_skip(s, "LOCAL is not set");
	begin = now_ns();
	list_root(s, &rec);
	ms = suite_ms(begin);
	require(s, ms < (50.0 + s->n / 50.0) * s->slow,
		"LOCAL, but the root took %.0f ms", ms);
	recorder_done(&rec);
}

static void list_cancelled(struct suite *s)
{
	struct recorder rec;
	struct scorpio_ref *refs;
	int64_t begin;
	bool cancel = true;
	struct call call;
	uint32_t n;
	double ms;
	int r;

	suite_need_walk(s);
	refs = suite_refs(s, 1u << SCORPIO_DIR, 1000, &n);
	recorder_init(&rec);
	begin = now_ns();
	call_enter(&call, begin + CALL_S * NS_PER_S, &cancel);
	r = s->ops->list(s->self, refs, n, &rec.sink);
	call_leave(&call);
	recorder_close(&rec);
	ms = suite_ms(begin);
	suite_check_call(s, "list", r, &rec);
	require(s, r != -ENOENT,
		"a cancelled list says that trees do not exist");
	require(s, ms < 2000 * s->slow, "it took %.0f ms to notice", ms);
	recorder_done(&rec);
	free(refs);
}

const struct contract_case cases_list[] = {
	{ "list-root", "list pours the trees named by refs", list_root_case },
	{ "list-walk", "names must be unique and entries well-formed",
	  list_walk },
	{ "list-again", "an id names immutable content", list_again },
	{ "list-batch", "refs[0..n) in one call", list_batch },
	{ "list-batch-equal", "a listing must be complete", list_batch_equal },
	{ "list-twice", "the same ref may be there twice", list_twice },
	{ "list-missing", "what does not exist must not be poured",
	  list_missing },
	{ "list-of-file", "a file must not be poured as a tree", list_of_file },
	{ "list-mixed",
	  "failed(): this one object cannot be had; the others "
	  "may follow",
	  list_mixed },
	{ "list-stop-begin", "a nonzero return asks to stop and return it",
	  list_stop_begin },
	{ "list-stop-entry", "a nonzero return asks to stop and return it",
	  list_stop_entry },
	{ "list-stop-end", "a nonzero return asks to stop and return it",
	  list_stop_end },
	{ "list-after-return", "objects must come before the call returns",
	  list_after_return },
	{ "list-by-id", "path may be NULL where only the id is known",
	  list_by_id },
	{ "list-borrows", "inputs are borrowed for the call", list_borrows },
	{ "ids-unique", "ids must be unique within the id space", ids_unique },
	{ "sizes-free", "SIZES_FREE: list always tells sizes", sizes_free },
	{ "local-quick", "LOCAL: list takes microseconds", local_quick },
	{ "list-cancelled", "a cancelled call must return soon",
	  list_cancelled },
	{ 0 },
};
