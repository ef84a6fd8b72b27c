/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include "api/statefile.h"
#include "core/clock.h"
#include "core/error.h"

#include <check.h>
#include <sched.h>
#undef fail /* check's own */

#define MANY 16

static struct statefile file;
static int changes; /* atomic: what is to be written */
static int written; /* by whoever writes: how many of them */
static int writings;
static int all; /* the first writing waits for so many callers */
static int result;

static int write_it(void *ctx)
{
	int64_t end = deadline_in_ms(20000);

	ck_assert_ptr_eq(ctx, &changes);
	writings++;
	written = __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
	while (writings == 1 && now_ns() < end &&
	       __atomic_load_n(&file.asked, __ATOMIC_ACQUIRE) < (unsigned)all)
		sched_yield();
	return result ? fail(result, "the disk is away") : 0;
}

static void *change(void *arg)
{
	int mine = __atomic_add_fetch(&changes, 1, __ATOMIC_ACQ_REL);
	int rc = statefile_save(&file, write_it, &changes);

	/* what was before the call is written, or it is told that it is not */
	pthread_mutex_lock(&file.lock);
	*(bool *)arg = rc == result && written >= mine &&
		       (!rc || !strcmp(error_text(rc), "the disk is away"));
	pthread_mutex_unlock(&file.lock);
	return NULL;
}

static void together(int rc)
{
	pthread_t threads[MANY];
	bool ok[MANY] = { false };

	changes = written = writings = 0;
	result = rc;
	all = MANY;
	file = (struct statefile){ 0 };
	statefile_init(&file);
	for (int i = 0; i < MANY; i++)
		pthread_create(&threads[i], NULL, change, &ok[i]);
	for (int i = 0; i < MANY; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < MANY; i++)
		ck_assert_msg(ok[i], "call %d", i);
	/* the first alone, then one for all that came meanwhile */
	ck_assert_int_le(writings, 2);
	statefile_done(&file);
}

START_TEST(many_share_a_writing)
{
	together(0);
}
END_TEST

START_TEST(all_hear_that_it_failed)
{
	together(-ENOSPC);
}
END_TEST

START_TEST(one_after_the_other)
{
	writings = all = changes = result = 0;
	file = (struct statefile){ 0 };
	statefile_init(&file);
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(statefile_save(&file, write_it, &changes), 0);
		ck_assert_int_eq(writings, i);
	}
	statefile_done(&file);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("statefile");
	TCase *c = tcase_create("statefile");
	SRunner *sr;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, many_share_a_writing);
	tcase_add_test(c, all_hear_that_it_failed);
	tcase_add_test(c, one_after_the_other);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
