/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_test.h"

START_TEST(round_trip)
{
	static const size_t sizes[] = {
		0,         1,       100,           65535,
		65536,     65537,   8 * 65536,     8 * 65536 + 1,
		9 * 65536, 3 << 20, (3 << 20) + 17
	};
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		put_ok(&f, (unsigned)i, sizes[i], SCORPIO_ID_GIT, i % 2);
	ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_content(&f, (unsigned)i, sizes[i], SCORPIO_ID_GIT);
	fixture_reopen(&f);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_content(&f, (unsigned)i, sizes[i], SCORPIO_ID_GIT);
	fixture_close(&f);
}
END_TEST

static void count_done(void *ctx, int result)
{
	if (!result)
		__atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

START_TEST(done_is_called_after_the_commit)
{
	struct fixture f;
	int done = 0;

	fixture_open(&f, 64 * MiB);
	for (unsigned i = 0; i < 50; i++)
		ck_assert_int_eq(put(&f, i, i * 5000, SCORPIO_ID_SHA256, true,
				     count_done, &done),
				 0);
	ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
	ck_assert_int_eq(__atomic_load_n(&done, __ATOMIC_SEQ_CST), 50);
	for (unsigned i = 0; i < 50; i++)
		expect_content(&f, i, i * 5000, SCORPIO_ID_SHA256);
	fixture_close(&f);
}
END_TEST

/* The same content under many ids is stored once. */
START_TEST(content_is_shared)
{
	cleanup_free uint8_t *p = content(1, 200000);
	struct store_stats st;
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	for (unsigned i = 0; i < 10; i++) {
		struct scorpio_id id =
			content_id(i, NULL, 0, SCORPIO_ID_OPAQUE);
		struct store_key k = store_key(f.space, &id);
		struct blob_writer *w;

		ck_assert_int_eq(blob_writer_new(f.s, &k, &id,
						 SCORPIO_ID_OPAQUE, 200000, &w),
				 0);
		ck_assert_int_eq(blob_writer_data(w, p, 200000), 0);
		ck_assert_int_eq(blob_writer_end(w, NULL, NULL), 0);
	}
	ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
	ck_assert_int_eq(store_stat(f.s, &st), 0);
	ck_assert_uint_eq(st.blobs, 10);
	ck_assert_uint_eq(st.chunks, 4);
	ck_assert_uint_eq(st.chunk_plain_bytes, 200000);
	ck_assert_uint_lt(st.chunk_stored_bytes, 200000);
	fixture_close(&f);
}
END_TEST

static int wrong(struct fixture *f, size_t size, uint32_t kind, uint64_t told,
		 struct store_key *ret)
{
	cleanup_free uint8_t *p = content(7, size);
	struct scorpio_id id = content_id(7, p, size, kind);
	struct blob_writer *w;

	if (told == size || told == SCORPIO_SIZE_UNKNOWN)
		p[size / 2] ^= 1;
	*ret = store_key(f->space, &id);
	ck_assert_int_eq(blob_writer_new(f->s, ret, &id, kind, told, &w), 0);
	if (blob_writer_data(w, p, size)) {
		int r = blob_writer_end(w, NULL, NULL);

		ck_assert_int_ne(r, 0);
		return r;
	}
	return blob_writer_end(w, NULL, NULL);
}

START_TEST(wrong_content_is_refused_and_invisible)
{
	static const size_t sizes[] = { 1, 65536, 65537, 700000 };
	struct fixture f;
	struct store_key k;
	struct blob_info b;
	struct store_reader r;

	fixture_open(&f, 64 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int how = 0; how < 3; how++) {
			ck_assert_int_eq(wrong(&f, sizes[i],
					       how == 2 ? SCORPIO_ID_SHA256
							: SCORPIO_ID_GIT,
					       how == 1 ? SCORPIO_SIZE_UNKNOWN
							: sizes[i],
					       &k),
					 -EBADMSG);
			ok(store_flush(f.s, DEADLINE_NONE));
			ok(store_read_begin(f.s, &r));
			ck_assert_int_eq(store_blob(&r, &k, &b), -ENOENT);
			store_read_end(&r);
		}
		ck_assert_int_eq(
			wrong(&f, sizes[i], SCORPIO_ID_GIT, sizes[i] + 1, &k),
			-EIO);
		ck_assert_int_eq(wrong(&f, sizes[i], SCORPIO_ID_SHA256,
				       sizes[i] - 1, &k),
				 -EIO);
	}
	fixture_close(&f);
}
END_TEST

START_TEST(abandoned_writers_leave_nothing_visible)
{
	cleanup_free uint8_t *p = content(3, 500000);
	struct scorpio_id id = content_id(3, p, 500000, SCORPIO_ID_SHA256);
	struct blob_writer *w;
	struct store_stats st;
	struct store_key k;
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	k = store_key(f.space, &id);
	ok(blob_writer_new(f.s, &k, &id, SCORPIO_ID_SHA256, 500000, &w));
	ok(blob_writer_data(w, p, 400000));
	blob_writer_abandon(w);
	blob_writer_abandon(NULL);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_int_eq(look(&f, 3, 500000, SCORPIO_ID_SHA256), 0);
	ok(store_stat(f.s, &st));
	ck_assert_uint_eq(st.blobs, 0);
	put_ok(&f, 3, 500000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	expect_content(&f, 3, 500000, SCORPIO_ID_SHA256);
	fixture_close(&f);
}
END_TEST

START_TEST(sizes_come_before_content)
{
	struct fixture f;
	struct store_key k;
	struct blob_info b;
	struct store_reader r;
	char c;

	fixture_open(&f, 64 * MiB);
	k = content_key(&f, 5, 1000, SCORPIO_ID_SHA256);
	ok(store_put_size(f.s, &k, 1000));
	ck_assert_int_eq(store_put_size(f.s, &k, SCORPIO_SIZE_UNKNOWN),
			 -EINVAL);
	ok(store_flush(f.s, DEADLINE_NONE));
	ok(store_read_begin(f.s, &r));
	ok(store_blob(&r, &k, &b));
	ck_assert_uint_eq(b.size, 1000);
	ck_assert(!b.has_content);
	ck_assert_int_eq(store_blob_read(&r, &k, 0, &c, 1), -ENOENT);
	ck_assert(!store_blob_present(&r, &k, 0, 1));
	store_read_end(&r);
	put_ok(&f, 5, 1000, SCORPIO_ID_SHA256, true);
	ok(store_put_size(f.s, &k, 1000)); /* must not hide the content */
	ok(store_flush(f.s, DEADLINE_NONE));
	expect_content(&f, 5, 1000, SCORPIO_ID_SHA256);
	fixture_close(&f);
}
END_TEST

static struct buf tree_record(const struct store_key *k, unsigned n,
			      const struct scorpio_id *child, uint8_t kind)
{
	struct tree_builder *b = tree_builder_new();
	struct buf rec = BUF_INIT;
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		struct scorpio_entry e = { .kind = kind, .mode = 0644 };

		e.name = name;
		e.name_len = (uint32_t)snprintf(name, sizeof(name), "n%u", i);
		e.mtime_ns = SCORPIO_TIME_UNKNOWN;
		e.id = *child;
		ok(tree_builder_add(b, &e));
	}
	ok(tree_builder_finish(b, store_key_seed(k), &rec));
	tree_builder_free(b);
	return rec;
}

START_TEST(trees)
{
	struct scorpio_id child = { .len = 20 };
	static const unsigned sizes[] = { 0, 1, 100, 5000, 100000 };
	struct fixture f;

	fixture_open(&f, 256 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct scorpio_id id = { .len = 20 };
		struct store_key k;
		struct buf rec;
		struct store_reader r;
		struct tree_view v;

		id.bytes[0] = (uint8_t)i;
		k = store_key(f.space, &id);
		rec = tree_record(&k, sizes[i], &child, SCORPIO_FILE);
		ok(store_put_tree(f.s, &k, &rec, NULL, NULL));
		ck_assert_ptr_null(rec.data);
		ok(store_flush(f.s, DEADLINE_NONE));
		for (int twice = 0; twice < 2; twice++) {
			ok(store_read_begin(f.s, &r));
			ok(store_tree(&r, &k, &v));
			ck_assert_uint_eq(v.count, sizes[i]);
			if (sizes[i])
				ck_assert_int_ge(tree_find(&v, "n0", 2), 0);
			store_read_end(&r);
			store_read_end(&r);
		}
		k.bytes[1] ^= 1; /* the same id in another space */
		ok(store_read_begin(f.s, &r));
		ck_assert_int_eq(store_tree(&r, &k, &v), -ENOENT);
		store_read_end(&r);
	}
	fixture_close(&f);
}
END_TEST

/* Twice within one transaction, the second time smaller: LMDB would keep the
 * first one's pages, and their number, which is no damage. */
START_TEST(a_record_that_shrinks_is_no_damage)
{
	static const unsigned sizes[] = { 1000, 300, 301 };
	struct scorpio_id child = { .len = 20 }, id = { .len = 20 };
	struct store_key k[50];
	struct buf rec[50][3];
	struct store_stats st;
	struct fixture f;

	fixture_open(&f, 256 * MiB);
	for (unsigned i = 0; i < 50; i++) {
		id.bytes[0] = (uint8_t)i;
		k[i] = store_key(f.space, &id);
		for (int n = 0; n < 3; n++)
			rec[i][n] = tree_record(&k[i], sizes[n], &child,
						SCORPIO_FILE);
	}
	for (int n = 0; n < 2; n++)
		for (unsigned i = 0; i < 50; i++)
			ok(store_put_tree(f.s, &k[i], &rec[i][n], NULL, NULL));
	ok(store_flush(f.s, DEADLINE_NONE));
	for (unsigned i = 0; i < 50; i += 2)
		ok(store_put_tree(f.s, &k[i], &rec[i][2], NULL, NULL));
	ok(store_flush(f.s, DEADLINE_NONE));
	ok(store_stat(f.s, &st));
	ck_assert_uint_eq(st.trees, 50); /* it was not replaced */
	for (unsigned i = 1; i < 50; i += 2)
		buf_done(&rec[i][2]);
	fixture_close(&f);
}
END_TEST

START_TEST(one_process_per_store)
{
	struct store_options o = { .max_bytes = 64 * MiB };
	struct store *second = NULL;
	struct fixture f;
	char pid[32];

	fixture_open(&f, 64 * MiB);
	o.path = f.dir;
	ck_assert_int_eq(store_open(&o, &second), -EBUSY);
	snprintf(pid, sizeof(pid), "%d", getpid());
	ck_assert_ptr_nonnull(strstr(error_text(-EBUSY), pid));
	ck_assert_ptr_nonnull(strstr(error_text(-EBUSY), f.dir));
	o.read_only = true;
	ck_assert_int_eq(store_open(&o, &second), -EBUSY);
	ck_assert_ptr_null(second);
	fixture_close(&f);
}
END_TEST

START_TEST(read_only)
{
	struct store_options o = { .read_only = true };
	struct blob_writer *w;
	struct scorpio_id id = { .len = 20 };
	struct store_key k;
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	put_ok(&f, 1, 100000, SCORPIO_ID_GIT, true);
	store_close(f.s);
	o.path = f.dir;
	ok(store_open(&o, &f.s));
	ok(store_space(f.s, "test", &f.space));
	expect_content(&f, 1, 100000, SCORPIO_ID_GIT);
	k = store_key(f.space, &id);
	ck_assert_int_eq(
		blob_writer_new(f.s, &k, &id, SCORPIO_ID_OPAQUE, 1, &w),
		-EROFS);
	ck_assert_int_eq(store_put_size(f.s, &k, 1), -EROFS);
	ck_assert_int_eq(store_put_value(f.s, "v", "x", 1), -EROFS);
	ck_assert_int_eq(store_space(f.s, "new", &f.space), -EROFS);
	ok(store_flush(f.s, DEADLINE_NONE));
	fixture_close(&f);
	ck_assert_int_eq(store_open(&o, &f.s), -ENOENT);
}
END_TEST

START_TEST(values)
{
	cleanup_free uint8_t *big = content(1, 65536);
	struct buf b = BUF_INIT;
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	ck_assert_int_eq(store_get_value(f.s, "a", &b), -ENOENT);
	ok(store_put_value(f.s, "a", "one", 3));
	ok(store_put_value(f.s, "b", big, 65536));
	ck_assert_int_eq(store_put_value(f.s, "b", big, 65537), -EFBIG);
	ck_assert_int_eq(store_put_value(f.s, "", big, 1), -EINVAL);
	ok(store_put_value(f.s, "a", "two!", 4));
	fixture_reopen(&f);
	ok(store_get_value(f.s, "a", &b));
	ck_assert_uint_eq(b.len, 4);
	ck_assert_int_eq(memcmp(b.data, "two!", 4), 0);
	b.len = 0;
	ok(store_get_value(f.s, "b", &b));
	ck_assert_uint_eq(b.len, 65536);
	ok(store_put_value(f.s, "a", NULL, 0));
	ok(store_put_value(f.s, "a", NULL, 0));
	ck_assert_int_eq(store_get_value(f.s, "a", &b), -ENOENT);
	buf_done(&b);
	fixture_close(&f);
}
END_TEST

START_TEST(spaces_are_persistent)
{
	uint16_t a, b, c, again;
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	ok(store_space(f.s, "git", &a));
	ok(store_space(f.s, "mono", &b));
	ck_assert_uint_ne(a, b);
	ck_assert_uint_ne(a, f.space);
	ok(store_space(f.s, "git", &again));
	ck_assert_uint_eq(a, again);
	fixture_reopen(&f);
	ok(store_space(f.s, "nix", &c));
	ck_assert(c != a && c != b && c != f.space);
	ok(store_space(f.s, "mono", &again));
	ck_assert_uint_eq(b, again);
	fixture_close(&f);
}
END_TEST

START_TEST(too_big_says_so)
{
	struct scorpio_id id = { .len = 20 };
	struct blob_writer *w;
	struct store_key k;
	struct fixture f;
	int r = 0;

	fixture_open(&f, 8 * MiB);
	k = store_key(f.space, &id);
	ck_assert_int_eq(
		blob_writer_new(f.s, &k, &id, SCORPIO_ID_OPAQUE, 7 * MiB, &w),
		-EFBIG);
	ck_assert_ptr_nonnull(strstr(error_text(-EFBIG), "cache.max_size"));
	ok(blob_writer_new(f.s, &k, &id, SCORPIO_ID_OPAQUE,
			   SCORPIO_SIZE_UNKNOWN, &w));
	for (int i = 0; !r && i < 200; i++) {
		cleanup_free uint8_t *p = content((unsigned)i, 65536);

		r = blob_writer_data(w, p, 65536);
	}
	ck_assert_int_eq(r, -EFBIG);
	ck_assert_int_eq(blob_writer_end(w, NULL, NULL), -EFBIG);
	store_close(f.s);
	f.s = NULL;
	ck_assert_int_eq(store_open(&(struct store_options){ .path = f.dir,
							     .max_bytes = 1 },
				    &f.s),
			 -EINVAL);
	fixture_close(&f);
}
END_TEST

/* More than one segment of hashes. */
START_TEST(large_file)
{
	size_t size = 600 * 65536 + 3;
	struct fixture f;

	fixture_open(&f, 128 * MiB);
	put_ok(&f, 9, size, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_int_eq(look(&f, 9, size, SCORPIO_ID_SHA256), 1);
	fixture_close(&f);
}
END_TEST

START_TEST(refuses_what_is_not_a_store)
{
	char dir[] = "/tmp/check_store.XXXXXX";
	struct store_options o = { .path = dir, .max_bytes = 8 * MiB };
	cleanup_free char *file = NULL;
	struct store *s = NULL;
	struct stat st;
	FILE *out;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	file = xasprintf("%s/data.mdb", dir);
	out = fopen(file, "w");
	for (int i = 0; i < 5000; i++)
		fputs("somebody's notes\n", out);
	fclose(out);
	ck_assert_int_eq(store_open(&o, &s), -EINVAL);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_size, 85000);
	remove_tree(dir);
	o.path = "/proc/no/such";
	ck_assert_int_ne(store_open(&o, &s), 0);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOENT), "/proc/no/such"));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store");

	tcase_add_test(t, round_trip);
	tcase_add_test(t, done_is_called_after_the_commit);
	tcase_add_test(t, content_is_shared);
	tcase_add_test(t, wrong_content_is_refused_and_invisible);
	tcase_add_test(t, abandoned_writers_leave_nothing_visible);
	tcase_add_test(t, sizes_come_before_content);
	tcase_add_test(t, trees);
	tcase_add_test(t, a_record_that_shrinks_is_no_damage);
	tcase_add_test(t, one_process_per_store);
	tcase_add_test(t, read_only);
	tcase_add_test(t, values);
	tcase_add_test(t, spaces_are_persistent);
	tcase_add_test(t, too_big_says_so);
	tcase_add_test(t, large_file);
	tcase_add_test(t, refuses_what_is_not_a_store);
	return run_suite("store", t);
}
