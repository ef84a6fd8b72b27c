/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include "fs/node.h"

#include <check.h>

static struct node_table *table;

static void setup(void)
{
	struct scorpio_id root = { .len = 20 };

	table = node_table_new(&root, false);
}

static void teardown(void)
{
	node_table_free(table);
}

static struct node *enter(struct node *parent, const char *name,
			  uint32_t index, bool is_dir)
{
	struct scorpio_id tree = { .len = 20 };
	struct node *n;

	node_lock(table);
	n = node_enter_locked(table, parent, name, strlen(name), index,
			      is_dir ? &tree : NULL);
	node_unlock(table);
	return n;
}

static uint64_t count(void)
{
	uint64_t nodes, bytes;

	node_count(table, &nodes, &bytes);
	return nodes;
}

START_TEST(same_path_same_number)
{
	struct node *a = enter(node_root(table), "a", 0, true);
	struct node *f = enter(a, "f", 3, false);
	uint64_t ino = f->ino;

	ck_assert_ptr_eq(enter(a, "f", 3, false), f);
	ck_assert_uint_eq(ino, node_ino(a->ino, "f", 1));
	ck_assert_uint_lt(ino, 1ull << 52);
	teardown();
	setup();
	a = enter(node_root(table), "a", 0, true);
	ck_assert_uint_eq(enter(a, "f", 3, false)->ino, ino);
}
END_TEST

START_TEST(forgotten_only_when_all_lookups_are_back)
{
	struct node *a = enter(node_root(table), "a", 0, true);
	uint64_t ino = a->ino;

	enter(node_root(table), "a", 0, true);
	node_forget(table, ino, 1);
	ck_assert_ptr_nonnull(node_find(table, ino));
	node_forget(table, ino, 1);
	ck_assert_ptr_null(node_find(table, ino));
	node_forget(table, ino, 1); /* unknown: ignored */
	ck_assert_uint_eq(count(), 1);
}
END_TEST

START_TEST(parents_stay_while_children_are_known)
{
	struct node *a = enter(node_root(table), "a", 0, true);
	struct node *b = enter(a, "b", 0, true);
	struct node *f = enter(b, "f", 0, false);
	uint64_t a_ino = a->ino, b_ino = b->ino;

	node_forget(table, a_ino, 1);
	node_forget(table, b_ino, 1);
	ck_assert_ptr_eq(node_find(table, a_ino), a);
	ck_assert_ptr_eq(node_find(table, b_ino), b);
	node_forget(table, f->ino, 1);
	ck_assert_uint_eq(count(), 1);
}
END_TEST

START_TEST(the_root_is_never_forgotten)
{
	node_forget(table, NODE_ROOT, 1000);
	ck_assert_ptr_eq(node_find(table, NODE_ROOT), node_root(table));
}
END_TEST

START_TEST(a_million_within_the_budget)
{
	struct node *dir = enter(node_root(table), "d", 0, true);
	uint64_t nodes, bytes;
	char name[32];

	for (uint32_t i = 0; i < 1000000; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		enter(dir, name, i, false);
	}
	node_count(table, &nodes, &bytes);
	ck_assert_uint_eq(nodes, 1000002);
	ck_assert_msg(bytes <= 64 * nodes, "%llu bytes a node",
		      (unsigned long long)(bytes / nodes));
}
END_TEST

START_TEST(colliding_names_get_different_numbers)
{
	/* same parent and name but another position: what a collision of two
	 * names looks like to the table */
	struct node *x = enter(node_root(table), "x", 0, false);
	struct node *y = enter(node_root(table), "x", 1, false);

	ck_assert_uint_ne(x->ino, y->ino);
	ck_assert_ptr_eq(enter(node_root(table), "x", 0, false), x);
	ck_assert_ptr_eq(enter(node_root(table), "x", 1, false), y);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("node");
	TCase *t = tcase_create("node");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, same_path_same_number);
	tcase_add_test(t, forgotten_only_when_all_lookups_are_back);
	tcase_add_test(t, parents_stay_while_children_are_known);
	tcase_add_test(t, the_root_is_never_forgotten);
	tcase_add_test(t, a_million_within_the_budget);
	tcase_add_test(t, colliding_names_get_different_numbers);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
