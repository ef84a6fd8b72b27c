/* SPDX-License-Identifier: Apache-2.0 */
/* Backends that lie, hang, fail, and many threads at once. */
#include "cache/source.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "tests/lib/liar.h"

#include <check.h>
#undef fail /* of check.h */

#define OPEN(...) liar_open((struct source_options){ __VA_ARGS__ })

static void set_lie(enum lie lie)
{
	lock_scope(&liar.m);
	liar.lie = lie;
}

static bool stored(struct source *s, const struct scorpio_id *id)
{
	size_t len;
	char *text = liar_read(s, id, &len);

	free(text);
	return text != NULL;
}

/* -- lies ------------------------------------------------------------------ */

static const struct {
	enum lie lie;
	enum want_kind kind;
	int result;
	unsigned calls;
	const char *text;
} lies[] = {
	{ LIE_CONTENT, WANT_BLOB, -EBADMSG, 2, "liar" },
	{ LIE_LONG, WANT_BLOB, -EBADMSG, 2, "more than the 24 bytes" },
	{ LIE_SHORT, WANT_BLOB, -EBADMSG, 2, "24 of 27 bytes" },
	{ LIE_NEST, WANT_BLOB, -EBADMSG, 2, "backend liar broke the proto" },
	{ LIE_NO_BEGIN, WANT_BLOB, -EBADMSG, 2, "data outside of a blob" },
	{ LIE_NO_BLOB_END, WANT_BLOB, -EBADMSG, 2, "middle of an object" },
	{ LIE_POSITIVE, WANT_BLOB, 0, 1, "" },
	{ LIE_BAD_ID, WANT_BLOB, -EBADMSG, 2, "without a valid id" },
	{ LIE_THREAD, WANT_BLOB, -EBADMSG, 2, "another thread" },
	{ LIE_ABANDON, WANT_BLOB, -EACCES, 1, "" },
	{ LIE_SILENT, WANT_BLOB, -EIO, 1, "did not send the object" },
	{ LIE_DUPLICATE, WANT_TREE, -EBADMSG, 2, "bad directory" },
	{ LIE_DOTDOT, WANT_TREE, -EBADMSG, 2, "bad directory" },
	{ LIE_ENTRY, WANT_TREE, -EBADMSG, 2, "entry outside of a tree" },
	{ LIE_SILENT, WANT_TREE, -EIO, 1, "did not send the object" },
};

START_TEST(a_lie)
{
	struct source *s = OPEN(.url = "liar+x");
	bool tree = lies[_i].kind == WANT_TREE;
	struct scorpio_id id = tree ? liar_root() : liar_file(3);
	struct scorpio_id other = liar_file(4);
	int r;

	set_lie(lies[_i].lie);
	r = liar_need(s, lies[_i].kind, &id);
	ck_assert_msg(r == lies[_i].result, "%d: %s", r, error_text(r));
	if (r)
		ck_assert_msg(strstr(error_text(r), lies[_i].text), "%s",
			      error_text(r));
	ck_assert_uint_eq(liar.calls, lies[_i].calls);
	if (r)
		ck_assert(!stored(s, &id));
	/* nothing is the worse for it */
	set_lie(HONEST);
	ck_assert_int_eq(liar_need(s, lies[_i].kind, &id), 0);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &other), 0);
	source_put(s);
}
END_TEST

START_TEST(one_wrong_answer_is_forgiven)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_id id = liar_file(3);
	size_t len;
	char *text;

	set_lie(LIE_CONTENT_ONCE);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	text = liar_read(s, &id, &len);
	ck_assert_str_eq(text, "this is file 3 of the liar\n");
	free(text);
	ck_assert_uint_eq(liar.calls, 2);
	source_put(s);
}
END_TEST

START_TEST(unknown_object)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_id id = id_make("nothing here", 12);

	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), -ENOENT);
	ck_assert_int_eq(liar_need(s, WANT_TREE, &id), -ENOENT);
	ck_assert_uint_eq(liar.calls, 2);
	source_put(s);
}
END_TEST

/* -- servers that do not answer -------------------------------------------- */

START_TEST(brief_outage)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_id id = liar_file(3);
	struct scorpio_ref ref = { .id = id };
	struct source_stats st;
	int r;

	liar.error = -EIO;
	r = source_need(s, WANT_BLOB, &ref, WANT_DEMAND, deadline_in_ms(300));
	ck_assert(r == -EIO || r == -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(error_text(r), "the server of lies is "
						    "out"));
	liar.error = 0;
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	source_stat(s, &st);
	ck_assert(!st.circuit_open);
	source_put(s);
}
END_TEST

static void release(void)
{
	lock_scope(&liar.m);
	liar.released = true;
	pthread_cond_broadcast(&liar.c);
}

START_TEST(hanging_backend)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_ref ref = { .id = liar_file(3) };
	struct scorpio_revision rev;
	int64_t t = now_ns();
	char buf[4];

	set_lie(LIE_HANG);
	ck_assert_int_eq(source_need(s, WANT_BLOB, &ref, WANT_DEMAND,
				     deadline_in_ms(50)),
			 -ETIMEDOUT);
	ck_assert_int_eq(source_resolve(s, "", deadline_in_ms(50), &rev),
			 -ETIMEDOUT);
	ck_assert_int_eq(source_xattr(s, &ref, "truth", buf, 4), 4);
	ck_assert_int_lt(now_ns() - t, 10 * NS_PER_S);
	release();
	source_put(s);
}
END_TEST

static void *cancel_soon(void *flag)
{
	usleep(30000);
	__atomic_store_n((bool *)flag, true, __ATOMIC_RELAXED);
	return NULL;
}

START_TEST(caller_gives_up)
{
	struct source *s = OPEN(.url = "mem+demo?delay_ms=60000");
	struct scorpio_ref ref = { .id = liar_file(3) };
	struct scorpio_revision rev;
	int64_t begin = now_ns();
	bool cancel = false;
	struct call call;
	pthread_t t;

	pthread_create(&t, NULL, cancel_soon, &cancel);
	call_enter(&call, DEADLINE_NONE, &cancel);
	ck_assert_int_eq(
		source_need(s, WANT_BLOB, &ref, WANT_DEMAND, DEADLINE_NONE),
		-EINTR);
	ck_assert_int_eq(source_resolve(s, "", DEADLINE_NONE, &rev), -EINTR);
	call_leave(&call);
	pthread_join(t, NULL);
	source_put(s); /* the calls are cancelled, too */
	ck_assert_int_lt(now_ns() - begin, 20 * NS_PER_S);
}
END_TEST

/* -- threads --------------------------------------------------------------- */

static void count_down(struct want *w, int result)
{
	ck_assert_int_eq(result, 0);
	__atomic_fetch_sub((int *)w->ctx, 1, __ATOMIC_ACQ_REL);
}

/* One want per file, each as a batch of its own. */
static void want_files(struct source *s, struct want w[LIAR_FILES], int *left)
{
	unsigned i;

	*left = LIAR_FILES;
	for (i = 0; i < LIAR_FILES; i++) {
		struct want *list = &w[i];

		w[i] = (struct want){
			.kind = WANT_BLOB,
			.id = liar_file(i),
			.deadline = deadline_in_ms(10000),
			.done = count_down,
			.ctx = left,
		};
		source_want(s, &list, 1);
		usleep(3000); /* longer than the gather window */
	}
}

static void await_zero(int *left)
{
	int64_t deadline = deadline_in_ms(10000);

	while (__atomic_load_n(left, __ATOMIC_ACQUIRE)) {
		ck_assert_int_lt(now_ns(), deadline);
		usleep(1000);
	}
}

static unsigned most_running(void)
{
	struct source *a = OPEN(.url = "liar+x"), *b = OPEN(.url = "liar+y");
	struct want wa[LIAR_FILES], wb[LIAR_FILES];
	int left_a, left_b;

	liar.delay_ms = 30;
	want_files(a, wa, &left_a);
	want_files(b, wb, &left_b);
	await_zero(&left_a);
	await_zero(&left_b);
	source_put(a);
	source_put(b);
	return liar.most_running;
}

static void setup_parallel(void)
{
	liar.threads = SCORPIO_THREADS_PARALLEL;
	liar_setup();
}

static void setup_instance(void)
{
	liar.threads = SCORPIO_THREADS_INSTANCE;
	liar_setup();
}

START_TEST(serial_plugin)
{
	ck_assert_uint_eq(most_running(), 1);
}
END_TEST

START_TEST(serial_instance)
{
	ck_assert_uint_le(most_running(), 2);
}
END_TEST

START_TEST(parallel)
{
	ck_assert_uint_gt(most_running(), 2);
}
END_TEST

START_TEST(remote_wants_are_gathered)
{
	struct source *s = OPEN(.url = "liar+x");
	struct want w[LIAR_FILES], *list;
	int left = LIAR_FILES;
	unsigned i;

	liar.delay_ms = 20;
	for (i = 0; i < LIAR_FILES; i++) {
		w[i] = (struct want){
			.kind = WANT_BLOB,
			.id = liar_file(i),
			.deadline = deadline_in_ms(10000),
			.done = count_down,
			.ctx = &left,
		};
		list = &w[i];
		source_want(s, &list, 1);
	}
	await_zero(&left);
	ck_assert_uint_le(liar.calls, LIAR_FILES / 2);
	ck_assert_uint_eq(liar.refs, LIAR_FILES);
	source_put(s);
}
END_TEST

struct last { /* puts the last reference away from inside done() */
	struct source *source;
	bool alone; /* atomic: the test has put its own */
};

static void put_source(struct want *w, int result UNUSED)
{
	struct last *l = w->ctx;

	while (!__atomic_load_n(&l->alone, __ATOMIC_ACQUIRE))
		usleep(1000);
	source_put(l->source);
}

START_TEST(last_put_inside_done)
{
	struct last l = { .source = OPEN(.url = "liar+x") };
	struct want w = {
		.kind = WANT_BLOB,
		.id = liar_file(0),
		.deadline = deadline_in_ms(5000),
		.done = put_source,
		.ctx = &l,
	};
	struct want *list = &w;
	int64_t deadline = deadline_in_ms(5000);
	unsigned closed = 0;

	source_get(l.source);
	source_want(l.source, &list, 1);
	source_put(l.source);
	__atomic_store_n(&l.alone, true, __ATOMIC_RELEASE);
	while (!closed) {
		ck_assert_int_lt(now_ns(), deadline);
		usleep(1000);
		lock_scope(&liar.m);
		closed = liar.closed;
	}
	source_join();
}
END_TEST

struct reader {
	struct source *source;
	const struct scorpio_id *ids;
	unsigned seed, n;
};

static void *read_many(void *arg)
{
	struct reader *x = arg;
	unsigned i;
	size_t len;
	char *text;

	for (i = 0; i < 100; i++) {
		const struct scorpio_id *id = &x->ids[rand_r(&x->seed) % x->n];

		ck_assert_int_eq(liar_need(x->source, WANT_BLOB, id), 0);
		text = liar_read(x->source, id, &len);
		ck_assert_int_eq(strncmp(text, "file ", 5), 0);
		free(text);
	}
	return NULL;
}

/* The ids of all files of the root. */
static unsigned all_files(struct source *s, struct scorpio_id ids[], unsigned n)
{
	struct scorpio_revision rev;
	struct store_reader r;
	struct tree_entry e;
	struct tree_view v;
	struct store_key k;
	unsigned i;

	ck_assert_int_eq(source_resolve(s, "", DEADLINE_NONE, &rev), 0);
	ck_assert_int_eq(liar_need(s, WANT_TREE, &rev.root), 0);
	k = store_key(source_space(s), &rev.root);
	ck_assert_int_eq(store_read_begin(source_store(s), &r), 0);
	ck_assert_int_eq(store_tree(&r, &k, &v), 0);
	for (i = 0; i < v.count && i < n; i++) {
		tree_entry_at(&v, i, &e);
		ids[i] = id_make(e.id, e.id_len);
	}
	store_read_end(&r);
	return i;
}

START_TEST(many_readers)
{
	struct source *s = OPEN(.url = "mem+many?files=400&remote=1");
	struct scorpio_id ids[400];
	unsigned n = all_files(s, ids, 400), i;
	struct reader x[8];
	pthread_t t[8];

	ck_assert_uint_eq(n, 400);
	for (i = 0; i < 8; i++) {
		x[i] = (struct reader){ s, ids, i, n };
		pthread_create(&t[i], NULL, read_many, &x[i]);
	}
	for (i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	source_put(s);
}
END_TEST

static TCase *add(Suite *s, const char *name, void (*setup)(void))
{
	TCase *t = tcase_create(name);

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, liar_teardown);
	suite_add_tcase(s, t);
	return t;
}

int main(void)
{
	Suite *s = suite_create("source_trouble");
	TCase *serial = add(s, "serial", liar_setup);
	TCase *instance = add(s, "instance", setup_instance);
	TCase *t = add(s, "parallel", setup_parallel);
	SRunner *sr = srunner_create(s);
	int failed;

	log_set_level("error");
	tcase_add_test(serial, serial_plugin);
	tcase_add_test(instance, serial_instance);
	tcase_add_loop_test(t, a_lie, 0, (int)ARRAY_SIZE(lies));
	tcase_add_test(t, one_wrong_answer_is_forgiven);
	tcase_add_test(t, unknown_object);
	tcase_add_test(t, brief_outage);
	tcase_add_test(t, hanging_backend);
	tcase_add_test(t, caller_gives_up);
	tcase_add_test(t, parallel);
	tcase_add_test(t, remote_wants_are_gathered);
	tcase_add_test(t, last_put_inside_done);
	tcase_add_test(t, many_readers);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
