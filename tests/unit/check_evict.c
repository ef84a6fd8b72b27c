/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_test.h"

static uint64_t disk_size(const struct fixture *f)
{
	cleanup_free char *p = xasprintf("%s/data.mdb", f->dir);
	struct stat st;

	ck_assert_int_eq(stat(p, &st), 0);
	return (uint64_t)st.st_size;
}

static uint64_t used(const struct fixture *f)
{
	struct store_stats st;

	ok(store_stat(f->s, &st));
	ck_assert_uint_le(st.used_bytes, st.max_bytes);
	ck_assert_uint_le(st.file_bytes, st.max_bytes);
	return st.used_bytes;
}

/* Five times the limit, in files small and large: all writes succeed, the file
 * never exceeds the limit, and what was written last is there. */
START_TEST(the_limit_is_kept)
{
	static const size_t sizes[] = { 300, 2000, 9000, 70000, 500000 };
	uint64_t written = 0;
	unsigned n = 0;
	struct fixture f;

	fixture_open(&f, 8 * MiB);
	while (written < 5 * 8 * MiB) {
		size_t size = sizes[n % ARRAY_SIZE(sizes)];

		put_ok(&f, n, size, SCORPIO_ID_OPAQUE, true);
		written += size;
		if (n % 16 == 0)
			ck_assert_uint_le(disk_size(&f), 8 * MiB);
		n++;
	}
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_le(disk_size(&f), 8 * MiB);
	used(&f);
	for (unsigned i = n - 10; i < n; i++)
		ck_assert_int_eq(look(&f, i, sizes[i % ARRAY_SIZE(sizes)],
				      SCORPIO_ID_OPAQUE),
				 1);
	ck_assert_int_eq(look(&f, 4, 500000, SCORPIO_ID_OPAQUE), 0);
	fixture_reopen(&f);
	ck_assert_int_eq(look(&f, n - 1, sizes[(n - 1) % ARRAY_SIZE(sizes)],
			      SCORPIO_ID_OPAQUE),
			 1);
	fixture_close(&f);
}
END_TEST

/* One blob that needs most of the store, again and again. */
START_TEST(large_blobs_fit_one_after_the_other)
{
	struct fixture f;

	fixture_open(&f, 16 * MiB);
	for (unsigned i = 0; i < 4; i++) {
		put_ok(&f, i, 11 * MiB, SCORPIO_ID_OPAQUE, true);
		ok(store_flush(f.s, DEADLINE_NONE));
		ck_assert_int_eq(look(&f, i, 11 * MiB, SCORPIO_ID_OPAQUE), 1);
		ck_assert_uint_le(disk_size(&f), 16 * MiB);
	}
	fixture_close(&f);
}
END_TEST

/* Digests and sizes outlive the chunks. */
START_TEST(records_survive_chunks)
{
	struct fixture f;
	struct store_key k;
	struct blob_info b;
	struct store_reader r;
	uint64_t freed;

	fixture_open(&f, 16 * MiB);
	for (unsigned i = 0; i < 40; i++)
		put_ok(&f, i, 200000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ok(store_gc(f.s, 1 * MiB, false, &freed));
	ck_assert_uint_gt(freed, 2 * MiB);
	ck_assert_uint_le(used(&f), 1 * MiB);
	k = content_key(&f, 0, 200000, SCORPIO_ID_SHA256);
	ok(store_read_begin(f.s, &r));
	ok(store_blob(&r, &k, &b));
	ck_assert(b.has_content);
	ck_assert_uint_eq(b.size, 200000);
	ck_assert(!store_blob_present(&r, &k, 0, 200000));
	store_read_end(&r);
	put_ok(&f, 0, 200000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	expect_content(&f, 0, 200000, SCORPIO_ID_SHA256);
	fixture_close(&f);
}
END_TEST

START_TEST(dry_run_changes_nothing)
{
	struct fixture f;
	uint64_t would, freed, before;

	fixture_open(&f, 16 * MiB);
	for (unsigned i = 0; i < 40; i++)
		put_ok(&f, i, 200000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	before = used(&f);
	ok(store_gc(f.s, 1 * MiB, true, &would));
	ck_assert_uint_eq(used(&f), before);
	ck_assert_uint_eq(would, before - 1 * MiB);
	ok(store_gc(f.s, 1 * MiB, false, &freed));
	ck_assert_uint_ge(freed, would);
	ok(store_gc(f.s, 0, false, &freed));
	ck_assert_uint_eq(freed, 0);
	fixture_close(&f);
}
END_TEST

/* What was read lately outlives what was not, though it came earlier. */
START_TEST(least_recently_used_goes_first)
{
	struct fixture f;
	unsigned kept = 0, others = 0;
	uint64_t freed;

	fixture_open(&f, 32 * MiB);
	for (unsigned i = 0; i < 100; i++)
		put_ok(&f, i, 60000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	for (unsigned i = 0; i < 100; i += 4)
		ck_assert_int_eq(look(&f, i, 60000, SCORPIO_ID_SHA256), 1);
	ok(store_gc(f.s, used(&f) / 2, false, &freed));
	for (unsigned i = 0; i < 100; i++) {
		if (i % 4 == 0)
			kept += look(&f, i, 60000, SCORPIO_ID_SHA256) == 1;
		else if (i < 50)
			others += look(&f, i, 60000, SCORPIO_ID_SHA256) == 1;
	}
	ck_assert_uint_eq(kept, 25);
	ck_assert_uint_eq(others, 0);
	fixture_close(&f);
}
END_TEST

struct pinned {
	struct store_key tree, subtree;
	unsigned files;
};

static void add(struct tree_builder *b, const char *name, uint8_t kind,
		const struct store_key *k)
{
	struct scorpio_entry e = { .kind = kind, .mode = 0644 };

	e.name = name;
	e.name_len = (uint32_t)strlen(name);
	e.mtime_ns = SCORPIO_TIME_UNKNOWN;
	e.id = id_make(k->bytes + 2, k->len - 2u);
	ok(tree_builder_add(b, &e));
}

static struct store_key put_tree(struct fixture *f, struct tree_builder *b,
				 uint8_t number)
{
	struct scorpio_id id = { .len = 20, .bytes = { 0xee, number } };
	struct store_key k = store_key(f->space, &id);
	struct buf rec = BUF_INIT;

	ok(tree_builder_finish(b, store_key_seed(&k), &rec));
	ok(store_put_tree(f->s, &k, &rec, NULL, NULL));
	tree_builder_free(b);
	return k;
}

static struct pinned put_pinned(struct fixture *f)
{
	struct tree_builder *b = tree_builder_new();
	struct pinned p = { .files = 20 };
	struct store_key k;
	char name[16];

	for (unsigned i = 0; i < p.files; i++) {
		size_t size = i == 3 ? 700000 : 30000;

		put_ok(f, 5000 + i, size, SCORPIO_ID_SHA256, true);
		k = content_key(f, 5000 + i, size, SCORPIO_ID_SHA256);
		snprintf(name, sizeof(name), "f%u", i);
		add(b, name, i == 4 ? SCORPIO_SYMLINK : SCORPIO_FILE, &k);
	}
	p.subtree = put_tree(f, b, 1);
	b = tree_builder_new();
	add(b, "sub", SCORPIO_DIR, &p.subtree);
	add(b, "absent", SCORPIO_DIR, &k);
	p.tree = put_tree(f, b, 2);
	return p;
}

static unsigned pinned_there(struct fixture *f, const struct pinned *p)
{
	struct store_reader r;
	struct tree_view v;
	unsigned n = 0;

	for (unsigned i = 0; i < p->files; i++)
		n += (unsigned)look(f, 5000 + i, i == 3 ? 700000 : 30000,
				    SCORPIO_ID_SHA256);
	ok(store_read_begin(f->s, &r));
	n += !store_tree(&r, &p->tree, &v);
	n += !store_tree(&r, &p->subtree, &v);
	store_read_end(&r);
	return n;
}

static void note_pin(void *ctx, const char *name, const struct store_key *k)
{
	struct buf *b = ctx;

	buf_printf(b, "%s:%u ", name, k->len);
}

START_TEST(pins_hold)
{
	struct store_stats st;
	struct buf names = BUF_INIT;
	struct pinned p;
	struct fixture f;
	uint64_t freed;

	fixture_open(&f, 8 * MiB);
	p = put_pinned(&f);
	ok(store_pin(f.s, "release", &p.tree, true));
	ok(store_pins(f.s, note_pin, &names));
	ck_assert_str_eq(buf_str(&names), "release:22 ");
	buf_done(&names);
	for (unsigned i = 0; i < 300; i++)
		put_ok(&f, i, 100000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_eq(pinned_there(&f, &p), p.files + 2);
	ok(store_stat(f.s, &st));
	ck_assert_uint_eq(st.pinned_chunks, p.files - 1 + 11);
	ok(store_gc(f.s, 4096, false, &freed)); /* as far as it can */
	ck_assert_uint_eq(pinned_there(&f, &p), p.files + 2);
	ck_assert_int_eq(look(&f, 299, 100000, SCORPIO_ID_SHA256), 0);
	ok(store_unpin(f.s, "release"));
	ck_assert_int_eq(store_unpin(f.s, "release"), -ENOENT);
	ok(store_gc(f.s, 4096, false, &freed));
	ck_assert_uint_eq(pinned_there(&f, &p), 0);
	fixture_close(&f);
}
END_TEST

/* Trees alone can fill a store: they go when chunks were not enough. */
START_TEST(trees_go_last)
{
	struct store_stats st;
	struct fixture f;

	fixture_open(&f, 8 * MiB);
	for (unsigned i = 0; i < 150; i++) {
		struct tree_builder *b = tree_builder_new();
		struct scorpio_id id = { .len = 20 };
		struct store_key k = store_key(f.space, &id);
		struct buf rec = BUF_INIT;
		char name[40];

		memcpy(id.bytes, &i, sizeof(i));
		for (unsigned n = 0; n < 1500; n++) {
			snprintf(name, sizeof(name), "a_name_to_fill_%u", n);
			add(b, name, SCORPIO_FILE, &k);
		}
		k = store_key(f.space, &id);
		ok(tree_builder_finish(b, store_key_seed(&k), &rec));
		ok(store_put_tree(f.s, &k, &rec, NULL, NULL));
		tree_builder_free(b);
	}
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_le(disk_size(&f), 8 * MiB);
	ok(store_stat(f.s, &st));
	ck_assert_uint_gt(st.trees, 20);
	ck_assert_uint_lt(st.trees, 149);
	fixture_close(&f);
}
END_TEST

START_TEST(a_lower_limit_shrinks_the_file)
{
	struct fixture f;
	unsigned there = 0;

	fixture_open(&f, 64 * MiB);
	for (unsigned i = 0; i < 200; i++)
		put_ok(&f, i, 200000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_gt(disk_size(&f), 16 * MiB);
	f.max = 16 * MiB;
	fixture_reopen(&f);
	ck_assert_uint_le(disk_size(&f), 16 * MiB);
	ck_assert_ptr_nonnull(strstr(store_notice(f.s), "cache.max_size"));
	for (unsigned i = 0; i < 200; i++)
		there += (unsigned)look(&f, i, 200000, SCORPIO_ID_SHA256);
	ck_assert_uint_gt(there, 40);
	for (unsigned i = 300; i < 400; i++)
		put_ok(&f, i, 200000, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_le(disk_size(&f), 16 * MiB);
	fixture_close(&f);
}
END_TEST

/* Random reuse is the worst case for appended data: half-empty pages. */
START_TEST(space_is_used_well_under_churn)
{
	struct store_stats st;
	struct fixture f;
	unsigned seed = 1;

	fixture_open(&f, 8 * MiB);
	for (unsigned i = 0; i < 8000; i++) {
		put_ok(&f, i, 2500, SCORPIO_ID_OPAQUE, true);
		if (i > 100)
			look(&f,
			     i - (unsigned)rand_r(&seed) % 100 *
					     (unsigned)rand_r(&seed) % i,
			     2500, SCORPIO_ID_OPAQUE);
	}
	ok(store_flush(f.s, DEADLINE_NONE));
	ok(store_stat(f.s, &st));
	ck_assert_uint_le(disk_size(&f), 8 * MiB);
	/* at least a third of the pages is payload */
	ck_assert_uint_gt(st.chunk_stored_bytes, st.used_bytes / 3);
	fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("evict");

	tcase_add_test(t, the_limit_is_kept);
	tcase_add_test(t, large_blobs_fit_one_after_the_other);
	tcase_add_test(t, records_survive_chunks);
	tcase_add_test(t, dry_run_changes_nothing);
	tcase_add_test(t, least_recently_used_goes_first);
	tcase_add_test(t, pins_hold);
	tcase_add_test(t, trees_go_last);
	tcase_add_test(t, a_lower_limit_shrinks_the_file);
	tcase_add_test(t, space_is_used_well_under_churn);
	return run_suite("evict", t);
}
