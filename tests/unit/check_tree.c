/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include "cache/tree.h"
#include "core/error.h"

#include <check.h>

#define SEED 0x1234567890ull

static struct scorpio_entry entry(const char *name, uint8_t kind)
{
	struct scorpio_entry e = { .kind = kind, .mode = 0644 };

	e.name = name;
	e.name_len = (uint32_t)strlen(name);
	e.size = 7;
	e.mtime_ns = SCORPIO_TIME_UNKNOWN;
	e.id.len = 20;
	memset(e.id.bytes, (int)e.name_len, 20);
	return e;
}

static struct buf build(const struct scorpio_entry *list, size_t n)
{
	struct tree_builder *b = tree_builder_new();
	struct buf rec = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(tree_builder_add(b, &list[i]), 0);
	ck_assert_int_eq(tree_builder_finish(b, SEED, &rec), 0);
	tree_builder_free(b);
	return rec;
}

START_TEST(finds_every_name_whatever_the_order)
{
	static const char *const names[] = { "zebra", "a",    "ab",  "a.b",
					     "\xff",  "b",    "A",   "aa",
					     "a b",   "\x01", "...", ".git" };
	struct scorpio_entry list[ARRAY_SIZE(names)];
	struct tree_entry e, before;
	struct tree_view v;
	struct buf rec;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		list[i] = entry(names[i], SCORPIO_FILE);
	rec = build(list, ARRAY_SIZE(names));
	ck_assert_int_eq(tree_view_init(&v, rec.data, rec.len, SEED, true), 0);
	ck_assert_uint_eq(v.count, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int64_t at = tree_find(&v, names[i], strlen(names[i]));

		ck_assert_int_ge(at, 0);
		tree_entry_at(&v, (uint32_t)at, &e);
		ck_assert_uint_eq(e.name_len, strlen(names[i]));
		ck_assert_int_eq(memcmp(e.name, names[i], e.name_len), 0);
		ck_assert_int_eq(e.id[0], (int)e.name_len);
	}
	for (uint32_t i = 0; i < v.count; i++, before = e) {
		tree_entry_at(&v, i, &e);
		if (i)
			ck_assert_int_le(
				memcmp(before.name, e.name,
				       MIN(before.name_len, e.name_len)),
				0);
	}
	ck_assert_int_eq(tree_find(&v, "nobody", 6), -1);
	ck_assert_int_eq(tree_find(&v, "", 0), -1);
	ck_assert_int_eq(tree_find(&v, "zebraa", 6), -1);
	buf_done(&rec);
}
END_TEST

START_TEST(keeps_every_field)
{
	struct scorpio_entry list[3] = { entry("f", SCORPIO_FILE),
					 entry("l", SCORPIO_SYMLINK),
					 entry("s", SCORPIO_SUBMODULE) };
	struct tree_entry e;
	struct tree_view v;
	struct buf rec;

	list[0].size = UINT64_MAX - 5;
	list[0].mode = 07777;
	list[0].mtime_ns = -1234567890123ll;
	list[0].id.len = SCORPIO_ID_MAX;
	list[1].size = SCORPIO_SIZE_UNKNOWN;
	list[1].id.len = 1;
	rec = build(list, 3);
	ck_assert_int_eq(tree_view_init(&v, rec.data, rec.len, SEED, true), 0);
	tree_entry_at(&v, 0, &e);
	ck_assert_uint_eq(e.size, UINT64_MAX - 5);
	ck_assert_uint_eq(e.mode, 07777);
	ck_assert_int_eq(e.mtime_ns, -1234567890123ll);
	ck_assert_uint_eq(e.id_len, SCORPIO_ID_MAX);
	tree_entry_at(&v, 1, &e);
	ck_assert_uint_eq(e.kind, SCORPIO_SYMLINK);
	ck_assert_uint_eq(e.size, SCORPIO_SIZE_UNKNOWN);
	ck_assert_int_eq(e.mtime_ns, SCORPIO_TIME_UNKNOWN);
	ck_assert_uint_eq(e.id_len, 1);
	tree_entry_at(&v, 2, &e);
	ck_assert_uint_eq(e.kind, SCORPIO_SUBMODULE);
	buf_done(&rec);
}
END_TEST

START_TEST(empty_tree)
{
	struct buf rec = build(NULL, 0);
	struct tree_view v;

	ck_assert_int_eq(tree_view_init(&v, rec.data, rec.len, SEED, true), 0);
	ck_assert_uint_eq(v.count, 0);
	ck_assert_int_eq(tree_find(&v, "x", 1), -1);
	buf_done(&rec);
}
END_TEST

START_TEST(refuses_bad_entries)
{
	struct tree_builder *b = tree_builder_new();
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };
	struct scorpio_entry e;
	char name[300];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e = entry(bad[i], SCORPIO_FILE);
		ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	}
	e = entry("nul", SCORPIO_FILE);
	e.name = "n\0l";
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	memset(name, 'n', sizeof(name));
	e.name = name;
	e.name_len = 256;
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	e.name_len = 255;
	ck_assert_int_eq(tree_builder_add(b, &e), 0);
	e = entry("kind", 0);
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	e.kind = 5;
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	e = entry("mode", SCORPIO_FILE);
	e.mode = 010644;
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	e = entry("id", SCORPIO_FILE);
	e.id.len = 40;
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	e.id.len = 0;
	ck_assert_int_eq(tree_builder_add(b, &e), -EBADMSG);
	tree_builder_free(b);
	tree_builder_free(NULL);
}
END_TEST

START_TEST(refuses_duplicates)
{
	struct tree_builder *b = tree_builder_new();
	struct scorpio_entry one = entry("same", SCORPIO_FILE);
	struct scorpio_entry two = entry("other", SCORPIO_FILE);
	struct buf rec = BUF_INIT;

	ck_assert_int_eq(tree_builder_add(b, &one), 0);
	ck_assert_int_eq(tree_builder_add(b, &two), 0);
	ck_assert_int_eq(tree_builder_add(b, &one), 0);
	ck_assert_int_eq(tree_builder_finish(b, SEED, &rec), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(error_text(-EBADMSG), "same"));
	ck_assert_uint_eq(rec.len, 0);
	tree_builder_free(b);
}
END_TEST

START_TEST(every_flipped_bit_is_found)
{
	struct scorpio_entry list[4] = { entry("one", SCORPIO_FILE),
					 entry("two", SCORPIO_DIR),
					 entry("three", SCORPIO_SYMLINK),
					 entry("four", SCORPIO_FILE) };
	struct tree_view v;
	struct buf rec;

	list[2].mtime_ns = 99;
	rec = build(list, 4);
	for (size_t i = 0; i < rec.len * 8; i++) {
		rec.data[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert_int_eq(
			tree_view_init(&v, rec.data, rec.len, SEED, true),
			-EBADMSG);
		rec.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < rec.len; n++)
		ck_assert_int_eq(tree_view_init(&v, rec.data, n, SEED, true),
				 -EBADMSG);
	/* the right bytes under a wrong key */
	ck_assert_int_eq(tree_view_init(&v, rec.data, rec.len, SEED + 1, true),
			 -EBADMSG);
	ck_assert_int_eq(tree_view_init(&v, rec.data, rec.len, SEED, true), 0);
	buf_done(&rec);
}
END_TEST

START_TEST(a_hundred_thousand_entries)
{
	struct tree_builder *b = tree_builder_new();
	struct buf rec = BUF_INIT;
	struct tree_view v;
	char name[32];

	for (unsigned i = 0; i < 100000; i++) {
		struct scorpio_entry e;

		snprintf(name, sizeof(name), "file%u", i * 7919 % 100000);
		e = entry(name, SCORPIO_FILE);
		ck_assert_int_eq(tree_builder_add(b, &e), 0);
	}
	ck_assert_int_eq(tree_builder_finish(b, SEED, &rec), 0);
	tree_builder_free(b);
	ck_assert_int_eq(tree_view_init(&v, rec.data, rec.len, SEED, true), 0);
	ck_assert_uint_eq(v.count, 100000);
	for (unsigned i = 0; i < 100000; i += 13) {
		int n = snprintf(name, sizeof(name), "file%u", i);

		ck_assert_int_ge(tree_find(&v, name, (size_t)n), 0);
	}
	buf_done(&rec);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tree");
	TCase *t = tcase_create("tree");
	SRunner *sr;
	int failed;

	tcase_add_test(t, finds_every_name_whatever_the_order);
	tcase_add_test(t, keeps_every_field);
	tcase_add_test(t, empty_tree);
	tcase_add_test(t, refuses_bad_entries);
	tcase_add_test(t, refuses_duplicates);
	tcase_add_test(t, every_flipped_bit_is_found);
	tcase_add_test(t, a_hundred_thousand_entries);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
