/* SPDX-License-Identifier: Apache-2.0 */
#include "core/lock.h"

#include "core/clock.h"

#include <check.h>
#include <signal.h>

static struct lock inodes = LOCK_INIT(LOCK_INODES, "inodes");
static struct lock store = LOCK_INIT(LOCK_STORE, "store");

START_TEST(rising_order)
{
	{
		ranked_scope(&inodes);
		ranked_scope(&store);
	}
	lock_assert_none_held("a fetch");
	lock_take(&inodes);
	lock_take(&store);
	lock_drop(&inodes); /* any order of letting go */
	lock_drop(&store);
	lock_assert_none_held("a fetch");
}
END_TEST

START_TEST(wait_lets_go)
{
	pthread_cond_t c;

	cond_init(&c);
	lock_take(&store);
	ck_assert_int_eq(lock_wait(&c, &store, now_ns() + NS_PER_MS),
			 -ETIMEDOUT);
	lock_drop(&store);
	lock_assert_none_held("a fetch");
}
END_TEST

START_TEST(init_done)
{
	struct lock l;

	lock_init(&l, LOCK_DIR, "dir");
	lock_take(&l);
	lock_drop(&l);
	lock_done(&l);
}
END_TEST

#ifdef SCORPIO_DEV
START_TEST(falling_order)
{
	lock_take(&store);
	lock_take(&inodes); /* aborts */
}
END_TEST

START_TEST(same_twice)
{
	lock_take(&store);
	lock_take(&store);
}
END_TEST

START_TEST(held_before_network)
{
	lock_take(&inodes);
	lock_assert_none_held("a fetch");
}
END_TEST

START_TEST(drop_what_is_not_held)
{
	lock_drop(&inodes);
}
END_TEST
#endif

int main(void)
{
	Suite *s = suite_create("lock");
	TCase *t = tcase_create("lock");
	SRunner *r;
	int failed;

	tcase_add_test(t, rising_order);
	tcase_add_test(t, wait_lets_go);
	tcase_add_test(t, init_done);
#ifdef SCORPIO_DEV
	tcase_add_test_raise_signal(t, falling_order, SIGABRT);
	tcase_add_test_raise_signal(t, same_twice, SIGABRT);
	tcase_add_test_raise_signal(t, held_before_network, SIGABRT);
	tcase_add_test_raise_signal(t, drop_what_is_not_held, SIGABRT);
#endif
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
