/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/source.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/metrics.h"
#include "tests/lib/liar.h"

#include <check.h>
#undef fail /* of check.h */
#include <fcntl.h>
#include <sys/stat.h>

#define OPEN(...) liar_open((struct source_options){ __VA_ARGS__ })

/* The entry of a stored tree. */
static struct scorpio_id child(struct source *s, const struct scorpio_id *tree,
			       const char *name, struct tree_entry *ret)
{
	struct store_key k = store_key(source_space(s), tree);
	struct store_reader r;
	struct tree_view v;
	struct scorpio_id id;
	int64_t i;

	ck_assert_int_eq(liar_need(s, WANT_TREE, tree), 0);
	ck_assert_int_eq(store_read_begin(source_store(s), &r), 0);
	ck_assert_int_eq(store_tree(&r, &k, &v), 0);
	i = tree_find(&v, name, strlen(name));
	ck_assert_msg(i >= 0, "no %s", name);
	tree_entry_at(&v, (uint32_t)i, ret);
	id = id_make(ret->id, ret->id_len);
	store_read_end(&r);
	return id;
}

static struct scorpio_id resolve(struct source *s, const char *spec)
{
	struct scorpio_revision rev;
	int r = source_resolve(s, spec, deadline_in_ms(5000), &rev);

	ck_assert_msg(!r, "%s", error_text(r));
	return rev.root;
}

static uint64_t requests(struct source *s)
{
	struct source_stats st;

	source_stat(s, &st);
	return st.requests;
}

/* -- opening --------------------------------------------------------------- */

START_TEST(unknown_address)
{
	struct source_options o = { .store = liar_store(), .url = "x+y" };
	struct source *s = NULL;

	ck_assert_int_eq(source_open(&o, &s), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error_text(-EINVAL), "mem"));
	ck_assert_ptr_null(s);
	o.url = "liar+refuse";
	ck_assert_int_eq(source_open(&o, &s), -EACCES);
	ck_assert_ptr_nonnull(strstr(error_text(-EACCES), "refused"));
}
END_TEST

START_TEST(secrets_are_not_shown)
{
	struct source *s = OPEN(.url = "liar+http://me:secret@host/x");

	ck_assert_ptr_null(strstr(source_url(s), "secret"));
	source_put(s);
}
END_TEST

START_TEST(layers)
{
	const char *up[] = { "upper", NULL },
		   *twice[] = { "upper", "upper", NULL };
	const char *none[] = { "lower", NULL }, *src[] = { "mem", NULL };
	struct source_options o = { .store = liar_store(), .url = "liar+x" };
	struct scorpio_revision rev;
	struct scorpio_id id = liar_file(3);
	struct scorpio_ref ref = { 0 };
	char buf[8];
	struct source *s = OPEN(.layers = up), *plain = OPEN(.url = "liar+x");

	ck_assert_str_eq(source_backend(s)->name, "upper");
	ck_assert_int_eq(source_resolve(s, "a", deadline_in_ms(5000), &rev), 0);
	ck_assert_str_eq(rev.label, "through the layer");
	ck_assert_str_eq(rev.text, "rev-a");
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	ck_assert_uint_eq(liar.upper_calls, 2);
	/* what the layer does not offer comes from below */
	ck_assert_int_eq(source_xattr(s, &ref, "truth", buf, 8), 4);
	/* its own id space */
	ck_assert_uint_ne(source_space(s), source_space(plain));
	source_put(plain);
	source_put(s);
	o.layers = none;
	ck_assert_int_eq(source_open(&o, &s), -EINVAL);
	o.layers = src;
	ck_assert_int_eq(source_open(&o, &s), -EINVAL);
	o.layers = twice;
	ck_assert_int_eq(source_open(&o, &s), -EINVAL);
	o.url = "upper+x";
	o.layers = NULL;
	ck_assert_int_eq(source_open(&o, &s), -EINVAL);
}
END_TEST

/* -- from the backend into the store --------------------------------------- */

START_TEST(mem_end_to_end)
{
	struct source *s = OPEN(.url = "mem+demo");
	struct scorpio_id root = resolve(s, ""), id;
	struct tree_entry e;
	size_t len;
	char *text;

	id = child(s, &root, "hello.txt", &e);
	ck_assert_uint_eq(e.size, 19);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	text = liar_read(s, &id, &len);
	ck_assert_str_eq(text, "Hello from memory.\n");
	free(text);
	id = child(s, &root, "big.bin", &e);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	text = liar_read(s, &id, &len);
	ck_assert_uint_eq(len, 1000003);
	free(text);
	id = child(s, &root, "empty", &e);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	id = child(s, &root, "bin", &e);
	child(s, &id, "run.sh", &e);
	ck_assert_uint_eq(e.mode, 0755);
	ck_assert_uint_eq(requests(s), 6);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), -ENOENT);
	source_put(s);
}
END_TEST

START_TEST(sizes_without_content)
{
	struct source *s = OPEN(.url = "mem+demo?sizes=unknown");
	struct scorpio_id root = resolve(s, ""), id;
	struct store_reader r;
	struct store_key k;
	struct blob_info b;
	struct tree_entry e;

	id = child(s, &root, "big.bin", &e);
	ck_assert_uint_eq(e.size, SCORPIO_SIZE_UNKNOWN);
	ck_assert_int_eq(liar_need(s, WANT_SIZE, &id), 0);
	k = store_key(source_space(s), &id);
	ck_assert_int_eq(store_read_begin(liar_store(), &r), 0);
	ck_assert_int_eq(store_blob(&r, &k, &b), 0);
	ck_assert_uint_eq(b.size, 1000003);
	ck_assert(!b.has_content);
	store_read_end(&r);
	source_put(s);
}
END_TEST

START_TEST(what_is_there_is_not_asked_for)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_id id = liar_file(1);

	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	ck_assert_int_eq(liar_need(s, WANT_SIZE, &id), 0);
	ck_assert_uint_eq(liar.calls, 1);
	source_put(s);
}
END_TEST

START_TEST(extra_objects_are_kept)
{
	struct source *s = OPEN(.url = "liar+x");
	int64_t deadline = deadline_in_ms(20000);
	struct source_stats st = { 0 };
	struct scorpio_id id;

	liar.lie = LIE_EXTRA;
	id = liar_file(0);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	while (st.objects < LIAR_FILES) { /* what one asked for is first */
		ck_assert_int_lt(now_ns(), deadline);
		usleep(1000);
		source_stat(s, &st);
	}
	store_flush(liar_store(), deadline);
	for (unsigned i = 1; i < LIAR_FILES; i++) {
		id = liar_file(i);
		ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	}
	ck_assert_uint_eq(liar.calls, 1);
	source_put(s);
}
END_TEST

START_TEST(prefetch_brings_everything)
{
	struct source *s = OPEN(.url = "mem+many?files=500&dirs=7");
	struct scorpio_id root = resolve(s, ""), id;
	struct tree_entry e;
	int64_t deadline = deadline_in_ms(5000);
	struct source_stats st = { 0 };

	source_prefetch(s, &root, NULL,
			SCORPIO_PREFETCH_TREES | SCORPIO_PREFETCH_BLOBS, 0,
			NULL, NULL);
	while (st.objects < 508) {
		ck_assert_int_lt(now_ns(), deadline);
		usleep(1000);
		source_stat(s, &st);
	}
	store_flush(liar_store(), deadline);
	id = child(s, &root, "dir00003", &e);
	id = child(s, &id, "file0000010", &e);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	ck_assert_uint_eq(requests(s), 2); /* resolve and prefetch */
	source_put(s);
}
END_TEST

static void store_result(void *ctx, int result)
{
	__atomic_store_n((int *)ctx, result, __ATOMIC_RELEASE);
}

START_TEST(prefetch_not_offered)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_id root = liar_root();
	int result = 1;

	source_prefetch(s, &root, NULL, SCORPIO_PREFETCH_TREES, 0, store_result,
			&result);
	while (__atomic_load_n(&result, __ATOMIC_ACQUIRE) == 1)
		usleep(1000);
	ck_assert_int_eq(result, -ENOTSUP);
	source_put(s);
}
END_TEST

/* -- directories ----------------------------------------------------------- */

static void write_file(const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", liar_dir(), name);
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
}

static int need_path(struct source *s, enum want_kind kind,
		     const struct scorpio_id *id, const char *path)
{
	struct scorpio_ref ref = { .id = *id, .path = path };

	ref.path_len = (uint32_t)strlen(path);
	return source_need(s, kind, &ref, WANT_DEMAND, deadline_in_ms(5000));
}

START_TEST(dir_end_to_end)
{
	cleanup_free char *base = xasprintf("%s/d", liar_dir());
	cleanup_free char *link = xasprintf("%s/d/link", liar_dir());
	cleanup_free char *fifo = xasprintf("%s/d/fifo", liar_dir());
	cleanup_free char *url = xasprintf("dir+%s", base);
	struct scorpio_id root, a, b, l;
	struct tree_entry e;
	struct source *s;
	size_t len;
	char *text;

	ck_assert_int_eq(mkdir(base, 0755), 0);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(symlink("/etc/passwd", link), 0);
	write_file("d/a", "first");
	write_file("d/b", "second");
	s = OPEN(.url = url);
	root = resolve(s, "");
	ck_assert_int_eq(need_path(s, WANT_TREE, &root, ""), 0);
	a = child(s, &root, "a", &e);
	ck_assert_uint_eq(e.size, 5);
	ck_assert_uint_eq(e.mode, 0640);
	ck_assert_int_ne(e.mtime_ns, SCORPIO_TIME_UNKNOWN);
	b = child(s, &root, "b", &e);
	l = child(s, &root, "link", &e);
	ck_assert_uint_eq(e.kind, SCORPIO_SYMLINK);
	ck_assert_int_eq(need_path(s, WANT_BLOB, &a, "a"), 0);
	text = liar_read(s, &a, &len);
	ck_assert_str_eq(text, "first");
	free(text);
	ck_assert_int_eq(need_path(s, WANT_BLOB, &l, "link"), 0);
	text = liar_read(s, &l, &len);
	ck_assert_str_eq(text, "/etc/passwd");
	free(text);
	/* written after it was listed: never a mixture */
	write_file("d/b", "other stuff");
	ck_assert_int_eq(need_path(s, WANT_BLOB, &b, "b"), -ESTALE);
	ck_assert_ptr_nonnull(strstr(error_text(-ESTALE), "since it was"));
	/* another look shows the new state */
	root = resolve(s, "");
	ck_assert_int_eq(need_path(s, WANT_TREE, &root, ""), 0);
	child(s, &root, "b", &e);
	ck_assert_uint_eq(e.size, 11);
	source_put(s);
}
END_TEST

START_TEST(dir_does_not_leave_its_root)
{
	cleanup_free char *base = xasprintf("%s/d", liar_dir());
	cleanup_free char *out = xasprintf("%s/d/out", liar_dir());
	cleanup_free char *url = xasprintf("dir+%s", base);
	struct scorpio_id id;
	struct source *s;

	ck_assert_int_eq(mkdir(base, 0755), 0);
	ck_assert_int_eq(symlink("/etc", out), 0);
	s = OPEN(.url = url);
	id = resolve(s, "");
	ck_assert_int_eq(need_path(s, WANT_TREE, &id, "out"), -ESTALE);
	ck_assert_int_eq(need_path(s, WANT_BLOB, &id, "out/passwd"), -ESTALE);
	ck_assert_int_lt(need_path(s, WANT_TREE, &id, ".."), 0);
	ck_assert_int_lt(need_path(s, WANT_BLOB, &id, "/etc/passwd"), 0);
	source_put(s);
	s = OPEN(.url = "dir+/no/such/place");
	{
		struct scorpio_revision rev;

		ck_assert_int_eq(source_resolve(s, "", DEADLINE_NONE, &rev),
				 -ENOENT);
	}
	source_put(s);
}
END_TEST

/* -- offline and remembered ------------------------------------------------ */

START_TEST(offline)
{
	struct source *s = OPEN(.url = "liar+x"), *m;
	struct scorpio_id id = liar_file(0), root = resolve(s, "main"), again;
	struct scorpio_revision rev;

	source_set_offline(s, true);
	again = resolve(s, "main");
	ck_assert(id_equal(&root, &again));
	/* by the name that the answer had, as well */
	ck_assert_int_eq(source_resolve(s, "rev-main", DEADLINE_NONE, &rev), 0);
	ck_assert(id_equal(&root, &rev.root));
	ck_assert_str_eq(rev.text, "rev-main");
	ck_assert_str_eq(rev.label, "rev-main");
	ck_assert_int_eq(rev.time_ns, 17);
	ck_assert_int_eq(source_resolve(s, "x", DEADLINE_NONE, &rev), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOENT), "offline"));
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), -EIO);
	ck_assert_str_eq(error_text(-EIO), "offline: not in the cache");
	source_set_offline(s, false);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	source_set_offline(s, true);
	ck_assert_int_eq(liar_need(s, WANT_BLOB, &id), 0);
	source_put(s);
	m = OPEN(.url = "mem+demo", .offline = true); /* needs no network */
	resolve(m, "");
	source_put(m);
}
END_TEST

START_TEST(stale_answers)
{
	struct source *s = OPEN(.url = "liar+x", .allow_stale = true);
	struct source *strict = OPEN(.url = "liar+x");
	struct scorpio_revision rev;

	resolve(s, "main");
	liar.error = -EIO;
	resolve(s, "main");
	ck_assert_int_eq(source_resolve(strict, "main", DEADLINE_NONE, &rev),
			 -EIO);
	liar.error = -ENOENT; /* an answer: it is gone */
	ck_assert_int_eq(source_resolve(s, "main", DEADLINE_NONE, &rev),
			 -ENOENT);
	source_put(s);
	source_put(strict);
}
END_TEST

START_TEST(resolve_results)
{
	struct source *s = OPEN(.url = "liar+x");
	struct scorpio_revision rev = { .time_ns = 5 };

	ck_assert_int_eq(source_resolve(s, "none", DEADLINE_NONE, &rev),
			 -ENOENT);
	ck_assert_int_eq(rev.time_ns, 5);
	liar.lie = LIE_POSITIVE;
	ck_assert_int_eq(source_resolve(s, "", DEADLINE_NONE, &rev), -EBADMSG);
	liar.lie = LIE_SILENT;
	ck_assert_int_eq(source_resolve(s, "", DEADLINE_NONE, &rev), -EBADMSG);
	source_put(s);
}
END_TEST

/* -- figures --------------------------------------------------------------- */

static void find_account(void *ctx, const struct source_account *a)
{
	struct source_account *mine = ctx;

	if (a->pid == (uint32_t)getpid())
		*mine = *a;
}

static void count_done(struct want *w, int result)
{
	ck_assert_int_eq(result, 0);
	__atomic_store_n((bool *)w->ctx, true, __ATOMIC_RELEASE);
}

START_TEST(accounts_and_metrics)
{
	struct source *s = OPEN(.url = "liar+x", .name = "figures");
	struct source_account mine = { 0 };
	cleanup_buf struct buf b = BUF_INIT;
	bool done = false;
	struct want w = {
		.kind = WANT_BLOB,
		.id = liar_file(2),
		.pid = (uint32_t)getpid(),
		.deadline = deadline_in_ms(5000),
		.done = count_done,
		.ctx = &done,
	};
	struct want *list = &w;

	source_want(s, &list, 1);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		usleep(1000);
	source_accounts(s, find_account, &mine);
	ck_assert_uint_eq(mine.objects, 1);
	ck_assert_uint_eq(mine.bytes, 27);
	ck_assert_uint_gt(strlen(mine.comm), 0);
	metrics_print(&b);
	ck_assert_ptr_nonnull(strstr(
		buf_str(&b), "scorpio_source_requests_"
			     "total{source=\"figures\",op=\"fetch\"} 1"));
	ck_assert_ptr_nonnull(strstr(buf_str(&b),
				     "scorpio_source_bytes_total{source="
				     "\"figures\"} 27"));
	ck_assert_ptr_nonnull(strstr(buf_str(&b), "scorpio_source_wait_"));
	source_put(s);
}
END_TEST

START_TEST(xattrs)
{
	struct source *s = OPEN(.url = "liar+x");
	struct source *m = OPEN(.url = "mem+demo");
	struct scorpio_ref ref = { .id = liar_file(0) };
	cleanup_free char *text = xcalloc(1, LIAR_LONG + 1);
	char buf[8] = "";

	/* what it says it wrote is there */
	ck_assert_int_eq(source_xattr(s, &ref, "long", text, LIAR_LONG),
			 LIAR_LONG);
	ck_assert_uint_eq(strspn(text, "l"), LIAR_LONG);
	ck_assert_int_eq(source_xattr(s, &ref, "truth", buf, 8), 4);
	ck_assert_str_eq(buf, "none");
	ck_assert_int_eq(source_xattr(s, &ref, "truth", NULL, 0), 4);
	ck_assert_int_eq(source_xattr(s, &ref, "x", buf, 8), -ENODATA);
	ck_assert_int_eq(source_xattr(m, &ref, "x", buf, 8), -ENODATA);
	source_put(s);
	source_put(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("source");
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, liar_setup, liar_teardown);
	tcase_add_test(t, unknown_address);
	tcase_add_test(t, secrets_are_not_shown);
	tcase_add_test(t, layers);
	tcase_add_test(t, mem_end_to_end);
	tcase_add_test(t, sizes_without_content);
	tcase_add_test(t, what_is_there_is_not_asked_for);
	tcase_add_test(t, extra_objects_are_kept);
	tcase_add_test(t, prefetch_brings_everything);
	tcase_add_test(t, prefetch_not_offered);
	tcase_add_test(t, dir_end_to_end);
	tcase_add_test(t, dir_does_not_leave_its_root);
	tcase_add_test(t, offline);
	tcase_add_test(t, stale_answers);
	tcase_add_test(t, resolve_results);
	tcase_add_test(t, accounts_and_metrics);
	tcase_add_test(t, xattrs);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
