/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken over of a file that was set aside because it is damaged. */
#include "tests/unit/store_test.h"

#include "cache/store_impl.h"

#define COUNT 60u
#define BIG   (20u * 65536u + 77u) /* more chunks than a blob record lists */
#define PAGE  4096u
#define WAIT  60000 /* ms */
#define VALUE "WHAT_A_VALUE_SAYS"

static struct fixture f;
static char *file;
static struct buf sound; /* the file as it was */

static size_t size_of(unsigned n)
{
	return n ? n % 9 * 9000 + n : BIG;
}

static struct store_key tree_key(void)
{
	struct scorpio_id id = { .len = 20, .bytes = "a tree" };

	return store_key(f.space, &id);
}

static void put_tree(void)
{
	struct tree_builder *b = tree_builder_new();
	struct store_key k = tree_key();
	struct buf rec = BUF_INIT;

	for (unsigned i = 0; i < COUNT; i++) {
		cleanup_free uint8_t *p = content(i, size_of(i));
		struct scorpio_entry e = { .kind = SCORPIO_FILE, .mode = 0644 };
		char name[16];

		e.name_len = (uint8_t)snprintf(name, sizeof(name), "f%u", i);
		e.name = name;
		e.id = content_id(i, p, size_of(i), SCORPIO_ID_SHA256);
		ok(tree_builder_add(b, &e));
	}
	ok(tree_builder_finish(b, store_key_seed(&k), &rec));
	ok(store_put_tree(f.s, &k, &rec, NULL, NULL));
	tree_builder_free(b);
}

static bool has_tree(void)
{
	struct store_key k = tree_key();
	struct store_reader r;
	struct tree_view v;
	bool there;

	ok(store_read_begin(f.s, &r));
	there = !store_tree(&r, &k, &v);
	if (there)
		ck_assert_int_ge(tree_find(&v, "f7", 2), 0);
	store_read_end(&r);
	return there;
}

static bool has_value(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (store_get_value(f.s, "value", &b))
		return false;
	ck_assert_uint_eq(b.len, sizeof(VALUE));
	ck_assert_mem_eq(b.data, VALUE, sizeof(VALUE));
	return true;
}

static void count_pin(void *ctx, const char *name, const struct store_key *k)
{
	struct store_key want = tree_key();

	ck_assert_str_eq(name, "a pin");
	ck_assert_mem_eq(k->bytes, want.bytes, want.len);
	++*(unsigned *)ctx;
}

static bool has_pin(void)
{
	unsigned n = 0;

	ok(store_pins(f.s, count_pin, &n));
	return n;
}

static unsigned blobs(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < COUNT; i++)
		n += (unsigned)look(&f, i, size_of(i), SCORPIO_ID_SHA256);
	return n;
}

static void fill(void)
{
	struct store_key k;

	fixture_open(&f, 32 * MiB);
	k = tree_key();
	for (unsigned i = 0; i < COUNT; i++) {
		put_ok(&f, i, size_of(i), SCORPIO_ID_SHA256, true);
		if (i % 20 == 0)
			ok(store_flush(f.s, DEADLINE_NONE));
	}
	put_tree();
	ok(store_pin(f.s, "a pin", &k, true));
	ok(store_put_value(f.s, "value", VALUE, sizeof(VALUE)));
	/* both roots know of all of it */
	ok(store_put_value(f.s, "other", VALUE, sizeof(VALUE)));
	store_close(f.s);
	file = xasprintf("%s/data.mdb", f.dir);
}

static void slurp(void)
{
	cleanup_fd int fd = open(file, O_RDONLY);
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	buf_reserve(&sound, (size_t)st.st_size);
	sound.len = (size_t)st.st_size;
	ck_assert_int_eq(pread(fd, sound.data, sound.len, 0), st.st_size);
}

static void restore(void)
{
	cleanup_fd int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq(pwrite(fd, sound.data, sound.len, 0), sound.len);
}

static void damage(uint64_t page, int with)
{
	cleanup_fd int fd = open(file, O_WRONLY);
	uint8_t junk[PAGE];

	memset(junk, with, sizeof(junk));
	ck_assert_int_eq(pwrite(fd, junk, PAGE, (off_t)(page * PAGE)), PAGE);
}

/* Those of trees, and some of what only holds content. */
static bool worth_it(uint64_t page)
{
	const uint8_t *p = sound.data + page * PAGE;

	return page < 2 || page % 24 == 0 ||
	       (get_u64(p) == page && get_u16(p + 10) < 4);
}

static void taken_over(void)
{
	int64_t end = deadline_in_ms(WAIT);

	while (store_salvage_busy(f.s)) {
		ck_assert(now_ns() < end);
		usleep(2000);
	}
}

static void done(void)
{
	fixture_close(&f);
	buf_done(&sound);
	free(file);
}

/* Whichever page it is: nothing wrong, and most of it is there without being
 * fetched; pins and values unless it was theirs. */
START_TEST(any_page)
{
	unsigned pages, set_aside = 0, no_pin = 0, no_value = 0, poor = 0;
	unsigned trees = 0;

	fill();
	slurp();
	pages = (unsigned)(sound.len / PAGE);
	for (unsigned page = 0; page < pages; page++) {
		unsigned n;

		if (!worth_it(page))
			continue;
		restore();
		damage(page, page % 2 ? 0xff : 0);
		fixture_start(&f);
		if (!store_notice(f.s)) {
			store_close(f.s);
			continue;
		}
		set_aside++;
		no_pin += !has_pin();
		no_value += !has_value();
		taken_over();
		n = blobs();
		poor += n < COUNT / 2;
		trees += has_tree();
		store_close(f.s);
	}
	ck_assert_uint_ge(set_aside, 10);
	ck_assert_uint_le(no_pin, 1);
	ck_assert_uint_le(no_value, 1);
	ck_assert_uint_le(poor, 3); /* the blobs' own page */
	ck_assert_uint_ge(trees + 8, set_aside);
	fixture_start(&f);
	done();
}
END_TEST

/* Where even the number of the space is lost, what was put under it cannot be
 * taken for anything of another one. */
START_TEST(numbers_are_not_given_again)
{
	uint16_t was, other;
	const uint8_t *p;
	size_t left;

	fill();
	was = f.space;
	slurp();
	p = sound.data;
	for (left = sound.len; (p = memmem(p, left, "s/test", 6));
	     p++, left = sound.len - (size_t)(p - sound.data))
		damage((uint64_t)(p - sound.data) / PAGE, 0xff);
	fixture_start(&f);
	ck_assert_ptr_nonnull(store_notice(f.s));
	ck_assert_uint_ne(f.space, was);
	ok(store_space(f.s, "other", &other));
	ck_assert_uint_ne(other, was);
	taken_over();
	ck_assert_uint_eq(blobs(), 0);
	/* its chunks are here all the same */
	put_ok(&f, 3, size_of(3), SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_int_eq(look(&f, 3, size_of(3), SCORPIO_ID_SHA256), 1);
	done();
}
END_TEST

/* -- without a way from the roots ----------------------------------------- */

struct loose {
	int stop;
	unsigned calls, same;
};

static int count_loose(void *ctx, const void *key, size_t klen,
		       const void *data UNUSED, size_t len UNUSED)
{
	struct loose *x = ctx;

	x->calls++;
	x->same += klen == 4 && !memcmp(key, "same", 4);
	return 0;
}

static int stop_at_once(void *ctx, const void *key, size_t klen,
			const void *data, size_t len)
{
	struct loose *x = ctx;

	x->stop = 1;
	return count_loose(ctx, key, klen, data, len);
}

/* A leaf that names one node a thousand times. */
static void many_names(uint8_t p[PAGE], uint64_t page)
{
	const uint32_t names = 1000, node = PAGE - 400;

	memset(p, 0, PAGE);
	memcpy(p, &page, 8);
	put_u16(p + 10, 2);
	put_u16(p + 12, (uint16_t)(16 + 2 * names));
	put_u16(p + 14, (uint16_t)(16 + 2 * names));
	for (uint32_t i = 0; i < names; i++)
		put_u16(p + 16 + 2 * i, (uint16_t)node);
	put_u16(p + node, 300);
	put_u16(p + node + 6, 4);
	memcpy(p + node + 8, "same", 4);
}

static uint64_t main_root(unsigned meta)
{
	return get_u64(sound.data + meta * PAGE + 16 + 24 + 48 + 40);
}

static uint64_t some_leaf(void)
{
	uint64_t page = 2;

	while (page == main_root(0) || page == main_root(1) ||
	       get_u64(sound.data + page * PAGE) != page ||
	       get_u16(sound.data + page * PAGE + 10) != 2)
		page++;
	return page;
}

START_TEST(loose_pages)
{
	struct loose x = { 0 };
	struct store_records from = { .db = "data", .all = true,
				      .deadline = DEADLINE_NONE,
				      .stop = &x.stop, .fn = count_loose,
				      .ctx = &x };
	uint8_t p[PAGE];
	uint64_t page;
	int fd;

	fill();
	slurp();
	page = some_leaf();
	damage(main_root(0), 0xff);
	damage(main_root(1), 0xff);
	fd = open(file, O_RDWR);
	many_names(p, page);
	ck_assert_int_eq(pwrite(fd, p, PAGE, (off_t)(page * PAGE)), PAGE);
	ck_assert_int_gt(store_check_records(fd, &from), 0);
	ck_assert_uint_gt(x.calls, COUNT);
	/* a node of 312 bytes, in what is left beside a thousand numbers */
	ck_assert_uint_ge(x.same, 1);
	ck_assert_uint_le(x.same, (PAGE - 2016) / 312);
	/* between two pages it hears that it is to end */
	x = (struct loose){ 0 };
	from.fn = stop_at_once;
	ck_assert_int_eq(store_check_records(fd, &from), -ECANCELED);
	ck_assert_uint_le(x.calls, PAGE / 8);
	x.stop = 0;
	from.deadline = now_ns() - 1;
	ck_assert_int_eq(store_check_records(fd, &from), -ETIMEDOUT);
	close(fd);
	fixture_start(&f);
	done();
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store_salvage");

	tcase_add_test(t, any_page);
	tcase_add_test(t, numbers_are_not_given_again);
	tcase_add_test(t, loose_pages);
	return run_suite("store_salvage", t);
}
