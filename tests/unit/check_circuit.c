/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/circuit.h"

#include "core/clock.h"

#include <check.h>

static struct circuit c;

static void setup(void)
{
	circuit_init(&c);
}

/* Open it: enough failures over enough time; returns the time of the last. */
static int64_t break_it(void)
{
	unsigned i;

	for (i = 1; i < c.min_failures; i++)
		ck_assert(!circuit_failed(&c, i));
	ck_assert(circuit_failed(&c, 1 + c.min_span_ns));
	return 1 + c.min_span_ns;
}

START_TEST(needs_failures_and_time)
{
	int i;

	for (i = 0; i < 100; i++) /* many, but at once */
		ck_assert(!circuit_failed(&c, 1000 + i));
	ck_assert_int_eq(circuit_ask(&c, 2000), CIRCUIT_GO);
	ck_assert(circuit_failed(&c, 1000 + c.min_span_ns));
	ck_assert_int_eq(circuit_ask(&c, 1001 + c.min_span_ns), CIRCUIT_NO);
}
END_TEST

START_TEST(success_starts_anew)
{
	break_it();
	circuit_ok(&c);
	ck_assert(!circuit_open(&c));
	ck_assert(!circuit_failed(&c, 100 * NS_PER_S));
	ck_assert_int_eq(circuit_age_s(&c, 102 * NS_PER_S), 2);
}
END_TEST

START_TEST(one_probe_at_a_time)
{
	int64_t t = break_it() + c.probe_ns;

	ck_assert_int_eq(circuit_ask(&c, t - 1), CIRCUIT_NO);
	ck_assert_int_eq(circuit_ask(&c, t), CIRCUIT_PROBE);
	circuit_probing(&c);
	ck_assert_int_eq(circuit_ask(&c, t + 1), CIRCUIT_WAIT);
	circuit_neutral(&c); /* cancelled: somebody else may */
	ck_assert_int_eq(circuit_ask(&c, t + 2), CIRCUIT_PROBE);
}
END_TEST

START_TEST(pauses_grow_to_a_limit)
{
	int64_t t = break_it(), pause = c.probe_ns;
	int i;

	for (i = 0; i < 10; i++) {
		t += pause;
		ck_assert_int_eq(circuit_ask(&c, t), CIRCUIT_PROBE);
		circuit_probing(&c);
		ck_assert(circuit_failed(&c, t));
		pause = MIN(2 * pause, c.probe_max_ns);
		ck_assert_int_eq(circuit_ask(&c, t + pause - 1), CIRCUIT_NO);
	}
	ck_assert_int_eq(pause, c.probe_max_ns);
}
END_TEST

START_TEST(late_failures_do_not_count)
{
	int64_t t = break_it();

	ck_assert(circuit_failed(&c, t + c.probe_ns - 1));
	ck_assert_int_eq(circuit_ask(&c, t + c.probe_ns), CIRCUIT_PROBE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("circuit");
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, needs_failures_and_time);
	tcase_add_test(t, success_starts_anew);
	tcase_add_test(t, one_probe_at_a_time);
	tcase_add_test(t, pauses_grow_to_a_limit);
	tcase_add_test(t, late_failures_do_not_count);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
