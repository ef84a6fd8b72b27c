/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between two trees: random pairs against a plain comparison of
 * their paths, trees that must be fetched, and trees that cannot be had.
 */
#include "fs/delta.h"

#include "cache/tree.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "tests/lib/liar.h"

#include <check.h>
#undef fail /* of check.h */

#define DEEP 4
#define WIDE 6
#define PATHS 4000

struct item { /* in memory: what a tree of the store has */
	char name[4];
	uint8_t kind;
	uint16_t mode;
	struct scorpio_id id;
	struct item *sub; /* of directories */
	unsigned n;
};

static struct source *source;
static uint64_t state;

static unsigned below(unsigned n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % n;
}

static int by_item(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name,
		      ((const struct item *)b)->name);
}

static struct scorpio_id number_id(uint64_t n)
{
	struct scorpio_id id = { .len = 20 };

	memcpy(id.bytes, &n, sizeof(n));
	return id;
}

/* Sorted, stored; its id is a function of what it holds. */
static struct scorpio_id store_items(struct item *list, unsigned n)
{
	struct tree_builder *b = tree_builder_new();
	struct buf record = BUF_INIT, sum = BUF_INIT;
	struct scorpio_id id;
	struct store_key key;

	if (n)
		qsort(list, n, sizeof(*list), by_item);
	for (unsigned i = 0; i < n; i++) {
		struct scorpio_entry e = {
			.id = list[i].id, .name = list[i].name,
			.name_len = (uint32_t)strlen(list[i].name),
			.mode = list[i].mode, .kind = list[i].kind,
			.size = list[i].mode,
			.mtime_ns = SCORPIO_TIME_UNKNOWN,
		};

		ck_assert_int_eq(tree_builder_add(b, &e), 0);
		buf_put(&sum, list[i].name, sizeof(list[i].name));
		buf_put(&sum, &list[i].kind, 1);
		buf_put(&sum, &list[i].mode, 2);
		buf_put(&sum, list[i].id.bytes, 20);
	}
	id = number_id(hash_xxh3(sum.data, sum.len, 7));
	key = store_key(source_space(source), &id);
	ck_assert_int_eq(tree_builder_finish(b, store_key_seed(&key), &record),
			 0);
	ck_assert_int_eq(store_put_tree(liar_store(), &key, &record, NULL,
					NULL), 0);
	tree_builder_free(b);
	buf_done(&sum);
	return id;
}

static void random_item(struct item *x, unsigned deep);

static void random_items(struct item *dir, unsigned deep)
{
	dir->sub = xcalloc(WIDE, sizeof(*dir->sub));
	dir->n = 0;
	for (unsigned i = 0; i < WIDE; i++) {
		if (below(3) == 0)
			continue;
		snprintf(dir->sub[dir->n].name, 4, "%c", 'a' + i);
		random_item(&dir->sub[dir->n++], deep);
	}
	dir->id = store_items(dir->sub, dir->n);
}

static void random_item(struct item *x, unsigned deep)
{
	static const uint8_t kinds[] = { SCORPIO_FILE, SCORPIO_FILE,
					 SCORPIO_SYMLINK, SCORPIO_SUBMODULE };

	x->sub = NULL;
	x->n = 0;
	x->mode = below(2) ? 0755 : 0644;
	if (deep < DEEP && below(2)) {
		x->kind = SCORPIO_DIR;
		x->mode = 0755;
		random_items(x, deep + 1);
		return;
	}
	x->kind = kinds[below(ARRAY_SIZE(kinds))];
	x->id = number_id(1000 + below(3));
}

static void free_items(struct item *x)
{
	for (unsigned i = 0; i < x->n; i++)
		free_items(&x->sub[i]);
	free(x->sub);
	x->sub = NULL;
	x->n = 0;
}

/* A copy with few changes, so that most is the same. */
static void mutate(const struct item *from, struct item *to, unsigned deep)
{
	*to = *from;
	if (deep && below(12) == 0) {
		random_item(to, deep);
		return;
	}
	if (from->kind != SCORPIO_DIR)
		return;
	to->sub = xcalloc(WIDE, sizeof(*to->sub));
	to->n = 0;
	for (unsigned i = 0; i < from->n; i++)
		if (below(12))
			mutate(&from->sub[i], &to->sub[to->n++], deep + 1);
	if (to->n < WIDE && below(8) == 0) {
		struct item *x = &to->sub[to->n++];

		random_item(x, deep + 1);
		snprintf(x->name, 4, "z%u", to->n);
	}
	to->id = store_items(to->sub, to->n);
}

/* -- by path ------------------------------------------------------------------- */

struct flat {
	struct { char path[32]; const struct item *x; } list[PATHS];
	unsigned n;
};

static void flatten(struct flat *f, const struct item *dir, const char *above)
{
	for (unsigned i = 0; i < dir->n; i++) {
		char *path = f->list[f->n].path;

		ck_assert_uint_lt(f->n, PATHS - 1);
		snprintf(path, 32, "%.24s%s%s", above, *above ? "/" : "",
			 dir->sub[i].name);
		f->list[f->n++].x = &dir->sub[i];
		flatten(f, &dir->sub[i], path);
	}
}

static const struct item *at(const struct flat *f, const char *path)
{
	for (unsigned i = 0; i < f->n; i++)
		if (!strcmp(f->list[i].path, path))
			return f->list[i].x;
	return NULL;
}

static bool equal(const struct item *a, const struct item *b)
{
	if (a->kind == SCORPIO_SUBMODULE && b->kind == SCORPIO_SUBMODULE)
		return true; /* an empty directory, whichever it names */
	return a->kind == b->kind && a->mode == b->mode &&
	       !memcmp(a->id.bytes, b->id.bytes, 20);
}

static bool is_leaf(const struct item *x)
{
	return x && !delta_is_dir(x->kind);
}

/* What the delta says of a path of the new tree. */
static void check_new(const struct delta *d, const char *path,
		      const struct item *was, const struct item *is)
{
	const struct delta_entry *e = delta_find(d, path);

	if (!e) {
		ck_assert_msg(was && equal(was, is), "%s is not told", path);
		return;
	}
	ck_assert_uint_ne(e->what, DELTA_REMOVED);
	ck_assert_uint_eq(e->new_kind, is->kind);
	ck_assert_uint_eq(e->new_mode, is->mode);
	ck_assert_uint_eq(e->new_size, is->mode);
	ck_assert(!memcmp(e->new_id.bytes, is->id.bytes, 20));
	ck_assert_str_eq(path + e->name, is->name);
	ck_assert_uint_eq(e->old_kind, was ? was->kind : 0);
	ck_assert_msg((e->what == DELTA_ADDED) == !was, "%s", path);
	ck_assert_msg(!was || !equal(was, is), "%s is the same", path);
	if (e->what == DELTA_DIR)
		ck_assert_ptr_eq(delta_find_dir(d, path), e->dir);
	ck_assert(!e->dir == !delta_is_dir(is->kind) ||
		  is->kind == SCORPIO_SUBMODULE);
	if (e->dir)
		ck_assert_str_eq(e->dir->path, path);
}

/* Where the names of the old root are in the new one. */
static void check_places(const struct delta_dir *dir, const struct item *old,
			 const struct item *new)
{
	ck_assert_uint_eq(dir->old_count, old->n);
	for (unsigned i = 0; i < old->n; i++) {
		unsigned k = 0;

		while (k < new->n && strcmp(new->sub[k].name, old->sub[i].name))
			k++;
		if (k == new->n)
			ck_assert_uint_eq(dir->places[i].what, DELTA_REMOVED);
		else
			ck_assert_uint_eq(dir->places[i].index, k);
	}
}

static void check_pair(const struct item *old, const struct item *new)
{
	static struct flat a, b;
	struct delta_source s = { .source = source, .store = liar_store(),
				  .space = source_space(source) };
	uint64_t changed = 0, added = 0;
	struct delta *d;

	a.n = b.n = 0;
	flatten(&a, old, "");
	flatten(&b, new, "");
	ck_assert_int_eq(delta_new(&s, &old->id, &new->id,
				   deadline_in_ms(20000), &d), 0);
	for (unsigned i = 0; i < b.n; i++) {
		const struct item *was = at(&a, b.list[i].path);

		check_new(d, b.list[i].path, was, b.list[i].x);
		added += is_leaf(b.list[i].x) && !is_leaf(was);
		changed += is_leaf(b.list[i].x) && is_leaf(was) &&
			   !equal(was, b.list[i].x);
	}
	ck_assert_uint_eq(d->added, added);
	ck_assert_uint_eq(d->changed, changed);
	for (unsigned i = 0; i < a.n; i++)
		ck_assert_msg(delta_gone(d, a.list[i].path) ==
			      !at(&b, a.list[i].path),
			      "%s is gone, or not", a.list[i].path);
	for (size_t i = 1; i < d->n; i++)
		ck_assert_int_lt(strcmp(d->entries[i - 1]->path,
					d->entries[i]->path), 0);
	for (size_t i = 0; i < d->n; i++)
		ck_assert_ptr_eq(delta_find(d, d->entries[i]->path),
				 d->entries[i]);
	ck_assert_ptr_null(delta_find(d, "nosuch"));
	ck_assert_ptr_eq(delta_find_dir(d, ""), d->dirs);
	if (d->dirs)
		check_places(d->dirs, old, new);
	else
		ck_assert_uint_eq(d->n, 0);
	delta_free(d);
}

/* -- the tests -------------------------------------------------------------------- */

static void setup(void)
{
	liar_setup();
	source = liar_open((struct source_options){
		.url = "mem+many?files=300&dirs=9" });
	state = 1;
}

static void teardown(void)
{
	source_put(source);
	liar_teardown();
}

START_TEST(random_pairs)
{
	struct item old = { .kind = SCORPIO_DIR }, new = old, other = old;

	for (unsigned i = 0; i < 40; i++) {
		random_items(&old, 0);
		mutate(&old, &new, 0);
		random_items(&other, 0);
		ck_assert_int_eq(store_flush(liar_store(),
					     deadline_in_ms(20000)), 0);
		check_pair(&old, &old);
		check_pair(&old, &new);
		check_pair(&new, &old);
		check_pair(&old, &other);
		free_items(&old);
		free_items(&new);
		free_items(&other);
	}
}
END_TEST

static struct scorpio_id empty_tree(void)
{
	struct scorpio_id id = store_items(NULL, 0);

	store_flush(liar_store(), deadline_in_ms(20000));
	return id;
}

START_TEST(missing_trees_are_fetched)
{
	struct delta_source s = { .source = source, .store = liar_store(),
				  .space = source_space(source) };
	struct scorpio_id none = empty_tree();
	struct scorpio_revision rev;
	struct delta *d;

	ck_assert_int_eq(source_resolve(source, "", deadline_in_ms(5000),
					&rev), 0);
	ck_assert_int_eq(delta_new(&s, &none, &rev.root, deadline_in_ms(20000),
				   &d), 0);
	ck_assert_uint_eq(d->added, 300);
	ck_assert_uint_eq(d->n, 309);
	delta_free(d);
	/* back: what is below removed directories is not listed */
	ck_assert_int_eq(delta_new(&s, &rev.root, &none, deadline_in_ms(20000),
				   &d), 0);
	ck_assert_uint_eq(d->n, 9);
	ck_assert_uint_eq(d->added + d->changed, 0);
	ck_assert(delta_gone(d, "dir00003/file0000010"));
	ck_assert(!delta_gone(d, "nosuch"));
	delta_free(d);
}
END_TEST

START_TEST(what_cannot_be_had)
{
	struct delta_source s = { .source = source, .store = liar_store(),
				  .space = source_space(source) };
	struct scorpio_id none = empty_tree(), nobody = number_id(4711);
	struct delta *d = NULL;

	ck_assert_int_eq(delta_new(&s, &none, &nobody, deadline_in_ms(5000),
				   &d), -ENOENT);
	ck_assert_int_eq(delta_new(&s, &nobody, &none, deadline_in_ms(5000),
				   &d), -ENOENT);
	ck_assert_ptr_null(d);
	/* the same is the same, whether it can be had or not */
	ck_assert_int_eq(delta_new(&s, &nobody, &nobody, deadline_in_ms(5000),
				   &d), 0);
	ck_assert_uint_eq(d->n, 0);
	ck_assert_ptr_null(d->dirs);
	delta_free(d);
	delta_free(NULL);
}
END_TEST

START_TEST(no_time_left)
{
	struct delta_source s = { .source = source, .store = liar_store(),
				  .space = source_space(source) };
	struct item one = { .name = "a", .kind = SCORPIO_FILE, .mode = 0644,
			    .id = number_id(1) };
	struct scorpio_id none = empty_tree(), other = store_items(&one, 1);
	struct delta *d = NULL;

	store_flush(liar_store(), deadline_in_ms(20000));
	ck_assert_int_eq(delta_new(&s, &none, &other, now_ns() - 1, &d),
			 -ETIMEDOUT);
	ck_assert_ptr_null(d);
	ck_assert_ptr_nonnull(strstr(error_text(-ETIMEDOUT), "too long"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("delta");
	TCase *t = tcase_create("delta");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, random_pairs);
	tcase_add_test(t, missing_trees_are_fetched);
	tcase_add_test(t, what_cannot_be_had);
	tcase_add_test(t, no_time_left);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
