/* SPDX-License-Identifier: Apache-2.0 */
/* The file is damaged while it is in use: the store goes on with a new one,
 * readers of the old one end there; what can be read comes over. */
#include "tests/unit/store_test.h"

#include "cache/store_impl.h"

#include <stdatomic.h>

#define COUNT 40u
#define SIZE  3000u
#define META_FREE_ROOT 80 /* in a meta page of LMDB 0.9: header, meta, free */
#define META_TXN       144

static atomic_uint times;

static void replaced(const char *notice)
{
	ck_assert_ptr_nonnull(strstr(notice, "set aside"));
	times++;
}

static void begin(struct fixture *f)
{
	struct store_options o = { .path = f->dir, .max_bytes = f->max,
				   .replaced = replaced };

	store_close(f->s);
	ok(store_open(&o, &f->s));
	ok(store_space(f->s, "test", &f->space));
	for (unsigned i = 0; i < COUNT; i++) {
		put_ok(f, i, SIZE, SCORPIO_ID_SHA256, true);
		ok(store_flush(f->s, DEADLINE_NONE));
	}
}

/* Overwrite the root page of the list of free pages. */
static void break_free_list(const struct fixture *f)
{
	cleanup_free char *path = xasprintf("%s/data.mdb", f->dir);
	cleanup_fd int fd = open(path, O_RDWR);
	uint8_t page[4096];
	uint64_t txn[2], root[2], use;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pread(fd, page, 4096, i * 4096), 4096);
		memcpy(&root[i], page + META_FREE_ROOT, 8);
		memcpy(&txn[i], page + META_TXN, 8);
	}
	use = root[txn[1] > txn[0]];
	ck_assert_uint_ne(use, UINT64_MAX);
	memset(page, 0xff, sizeof(page));
	ck_assert_int_eq(pwrite(fd, page, 4096, (off_t)use * 4096), 4096);
}

static void come_over(struct fixture *f)
{
	int64_t end = deadline_in_ms(60000);

	while (store_salvage_busy(f->s)) {
		ck_assert(now_ns() < end);
		usleep(2000);
	}
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_int_eq(look(f, i, SIZE, SCORPIO_ID_SHA256), 1);
}

static void count_pin(void *ctx, const char *name, const struct store_key *k)
{
	ck_assert_str_eq(name, "kept");
	ck_assert_uint_gt(k->len, 2);
	++*(unsigned *)ctx;
}

START_TEST(goes_on_with_a_new_file)
{
	struct store_key k;
	struct store_reader old;
	cleanup_buf struct buf value = BUF_INIT;
	unsigned pins = 0;
	struct fixture f;
	uint16_t other, again;

	times = 0;
	fixture_open(&f, 8 * MiB);
	begin(&f);
	ok(store_space(f.s, "other", &other));
	k = content_key(&f, 1, SIZE, SCORPIO_ID_SHA256);
	ok(store_pin(f.s, "kept", &k, false));
	ok(store_put_value(f.s, "name", "value", 5));
	ok(store_read_begin(f.s, &old)); /* stays where it is */
	break_free_list(&f);
	put_ok(&f, 5000, SIZE, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_eq(times, 1);
	store_read_end(&old);
	ck_assert_int_eq(look(&f, 5000, SIZE, SCORPIO_ID_SHA256), 1);
	ok(store_pins(f.s, count_pin, &pins)); /* at once */
	ck_assert_uint_eq(pins, 1);
	ok(store_get_value(f.s, "name", &value));
	ck_assert_uint_eq(value.len, 5);
	come_over(&f);
	fixture_reopen(&f); /* its numbers were written down again */
	ck_assert_ptr_null(store_notice(f.s));
	ok(store_space(f.s, "other", &again));
	ck_assert_uint_eq(again, other);
	ck_assert_int_eq(look(&f, 5000, SIZE, SCORPIO_ID_SHA256), 1);
	fixture_close(&f);
}
END_TEST

/* -- a record whose own pages were overwritten --------------------------- */

#define LARGE 30000u

/* Their head says that they are more; from there LMDB would take what is in use
 * for free. */
static void break_head(const struct fixture *f, const void *content)
{
	cleanup_free char *path = xasprintf("%s/data.mdb", f->dir);
	cleanup_fd int fd = open(path, O_RDWR);
	cleanup_free uint8_t *all = xmalloc(f->max);
	ssize_t n = pread(fd, all, f->max, 0);
	const uint32_t many = 1u << 16;
	const uint8_t *p;

	ck_assert_int_gt(n, 0);
	p = memmem(all, (size_t)n, content, 1000);
	ck_assert_ptr_nonnull(p);
	p = all + (p - all) / 4096 * 4096;
	ck_assert_uint_eq(get_u16(p + 10), 4); /* an overflow page */
	ck_assert_int_eq(pwrite(fd, &many, 4, p - all + 12), 4);
}

enum way { REPLACED, REMOVED, NEW_TREE, WAYS };

static void put_tree(struct fixture *f, const struct store_key *k, uint16_t mode)
{
	struct tree_builder *b = tree_builder_new();
	struct scorpio_entry e = { .kind = SCORPIO_FILE, .mode = mode,
				   .id.len = 20, .name_len = 200 };
	struct buf rec = BUF_INIT;
	char name[216];

	memset(name, 'n', 200);
	e.name = name;
	for (int i = 0; i < 100; i++) {
		snprintf(name + 190, 26, "%010d", i);
		ok(tree_builder_add(b, &e));
	}
	ok(tree_builder_finish(b, store_key_seed(k), &rec));
	ok(store_put_tree(f->s, k, &rec, NULL, NULL));
	ok(store_flush(f->s, DEADLINE_NONE));
	tree_builder_free(b);
}

/* Every way in which a record goes. */
START_TEST(overwritten_pages_are_not_given_back)
{
	cleanup_free uint8_t *large = content(77, LARGE);
	cleanup_buf struct buf got = BUF_INIT;
	struct scorpio_id id = { .len = 20, .bytes = "a tree" };
	struct store_key k;
	struct store_reader r;
	struct tree_view v;
	struct fixture f;
	uint8_t head[1000];

	times = 0;
	fixture_open(&f, 8 * MiB);
	begin(&f);
	k = store_key(f.space, &id);
	ok(store_put_value(f.s, "large", large, LARGE));
	put_tree(&f, &k, 0644);
	if (_i == NEW_TREE) {
		ok(store_read_begin(f.s, &r));
		ok(store_tree(&r, &k, &v));
		memcpy(head, v.data + 100, sizeof(head));
		store_read_end(&r);
		break_head(&f, head);
		put_tree(&f, &k, 0755);
	} else {
		break_head(&f, large);
		large[0]++;
		ok(store_put_value(f.s, "large", large,
				   _i == REPLACED ? LARGE : 0));
	}
	ck_assert_uint_eq(times, 1);
	if (_i == REPLACED) {
		ok(store_get_value(f.s, "large", &got));
		ck_assert_uint_eq(got.len, LARGE);
		ck_assert_mem_eq(got.data, large, LARGE);
	} else if (_i == REMOVED) {
		ck_assert_int_eq(store_get_value(f.s, "large", &got), -ENOENT);
	} else {
		ok(store_read_begin(f.s, &r));
		ok(store_tree(&r, &k, &v));
		store_read_end(&r);
	}
	come_over(&f);
	fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store_swap");

	tcase_add_test(t, goes_on_with_a_new_file);
	tcase_add_loop_test(t, overwritten_pages_are_not_given_back, 0, WAYS);
	return run_suite("store_swap", t);
}
