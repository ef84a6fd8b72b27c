/* SPDX-License-Identifier: Apache-2.0 */
/* Requests the kernel sends again after a death: done already, or not. */
#include "core/base.h"

#include "fs/arena.h"
#include "fs/changes_impl.h"

#include "tests/unit/changes_test.h"

static struct intents intents;

static void open_with_intents(void)
{
	struct changes_options o = { .dir = dir, .attach = nothing,
				     .root = { .len = 20 },
				     .root_mtime = 1000,
				     .intents = &intents };

	ck_assert_int_eq(upper_open(dir, true, fds, &o.upper), 0);
	ck_assert_int_eq(changes_open(&o, &c), 0);
}

static void die_and_open(void)
{
	changes_abandon(c);
	open_with_intents();
}

static void begin(void)
{
	setup();
	changes_close(c);
	memset(&intents, 0, sizeof(intents));
	open_with_intents();
}

static void request(uint64_t unique)
{
	changes_edit(c);
	c->unique = unique;
	changes_edit_end(c);
}

START_TEST(what_is_in_the_log_was_done)
{
	request(100);
	make(c->root, "a", S_IFREG | 0600);
	request(102);
	move(c->root, "a", c->root, "b", 0);
	request(104);
	drop(c->root, "b");
	die_and_open();
	ck_assert(changes_did(c, 100));
	ck_assert(changes_did(c, 102));
	ck_assert(changes_did(c, 104));
	ck_assert(!changes_did(c, 106));
}
END_TEST

START_TEST(what_did_not_reach_the_log_was_not_done)
{
	request(100);
	make(c->root, "a", S_IFREG | 0600);
	/* killed between the note and the record */
	changes_edit(c);
	c->unique = 102;
	intent_note(c, CHANGE_REMOVE);
	changes_edit_end(c);
	die_and_open();
	ck_assert(changes_did(c, 100));
	ck_assert(!changes_did(c, 102));
	/* its record's number is used by another now */
	request(0);
	make(c->root, "c", S_IFREG | 0600);
	ck_assert(!changes_did(c, 102));
	die_and_open();
	ck_assert(!changes_did(c, 102));
}
END_TEST

START_TEST(a_checkpoint_does_not_make_it_undone)
{
	request(100);
	make(c->root, "a", S_IFREG | 0600);
	changes_close(c); /* the log ends up in a checkpoint */
	open_with_intents();
	ck_assert(changes_did(c, 100));
	die_and_open();
	ck_assert(changes_did(c, 100));
}
END_TEST

START_TEST(the_newest_are_remembered)
{
	char name[16];

	for (uint64_t k = 1; k <= 2 * ARENA_INTENTS; k++) {
		snprintf(name, sizeof(name), "f%u", (unsigned)k);
		request(2 * k);
		make(c->root, name, S_IFREG | 0600);
	}
	die_and_open();
	ck_assert(changes_did(c, 4 * ARENA_INTENTS));
	ck_assert(changes_did(c, 2 * ARENA_INTENTS + 2));
	ck_assert(!changes_did(c, 2));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("intent");
	TCase *t = tcase_create("intent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, begin, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_is_in_the_log_was_done);
	tcase_add_test(t, what_did_not_reach_the_log_was_not_done);
	tcase_add_test(t, a_checkpoint_does_not_make_it_undone);
	tcase_add_test(t, the_newest_are_remembered);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
