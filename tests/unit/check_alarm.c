/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/alarm.h"

#include "core/clock.h"

#include <check.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int order[8], n; /* m */

struct test {
	struct alarm alarm;
	int number;
	bool slow;
	bool started; /* atomic */
};

static void fire(struct alarm *a)
{
	struct test *t = container_of(a, struct test, alarm);

	if (t->slow) {
		__atomic_store_n(&t->started, true, __ATOMIC_RELEASE);
		usleep(50000);
	}
	lock_scope(&m);
	if (n < 8)
		order[n++] = t->number;
	pthread_cond_broadcast(&c);
}

static void await(int count)
{
	lock_scope(&m);
	while (n < count)
		pthread_cond_wait(&c, &m);
}

START_TEST(in_order_of_time)
{
	struct test t[3] = { { .number = 0 },
			     { .number = 1 },
			     { .number = 2 } };
	/* all are set before the first is due, on a busy machine too */
	int64_t then = now_ns() + 500 * NS_PER_MS;
	int i;

	for (i = 0; i < 3; i++)
		alarm_add(&t[i].alarm, fire);
	alarm_set(&t[0].alarm, then + 60 * NS_PER_MS);
	alarm_set(&t[1].alarm, then + 20 * NS_PER_MS);
	alarm_set(&t[2].alarm, then + 40 * NS_PER_MS);
	await(3);
	ck_assert_int_ge(now_ns() - then, 60 * NS_PER_MS);
	ck_assert_int_eq(order[0], 1);
	ck_assert_int_eq(order[1], 2);
	ck_assert_int_eq(order[2], 0);
	for (i = 0; i < 3; i++)
		alarm_remove(&t[i].alarm);
}
END_TEST

START_TEST(the_earlier_time_counts_once)
{
	struct test t = { .number = 7 };
	int64_t now = now_ns();

	alarm_add(&t.alarm, fire);
	alarm_set(&t.alarm, now + 10 * NS_PER_S);
	alarm_set(&t.alarm, now + 10 * NS_PER_MS);
	alarm_set(&t.alarm, now + 20 * NS_PER_S);
	await(1);
	ck_assert_int_lt(now_ns() - now, 5 * NS_PER_S);
	usleep(30000);
	ck_assert_int_eq(n, 1);
	alarm_set(&t.alarm, now_ns()); /* again */
	await(2);
	alarm_remove(&t.alarm);
}
END_TEST

START_TEST(remove_waits_and_silences)
{
	struct test t = { .number = 1, .slow = true };

	alarm_add(&t.alarm, fire);
	alarm_set(&t.alarm, now_ns());
	while (!__atomic_load_n(&t.started, __ATOMIC_ACQUIRE))
		usleep(100);
	alarm_remove(&t.alarm); /* it was firing */
	ck_assert_int_eq(n, 1);
	alarm_add(&t.alarm, fire);
	alarm_set(&t.alarm, now_ns() + 500 * NS_PER_MS);
	alarm_remove(&t.alarm);
	usleep(600000);
	ck_assert_int_eq(n, 1);
}
END_TEST

static void *add_and_remove(void *unused UNUSED)
{
	struct test t = { .number = 0 };
	int i;

	for (i = 0; i < 200; i++) {
		alarm_add(&t.alarm, fire);
		alarm_set(&t.alarm, now_ns() + (i % 3) * 20000);
		alarm_remove(&t.alarm);
	}
	return NULL;
}

START_TEST(many_threads)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, add_and_remove, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}
END_TEST

/* The last is removed while another is added that has no time: who removes
 * must not wait for that one. */
#define ROUNDS 2000
static pthread_barrier_t meet;
static struct test other = { .number = 0 };

static void *add_beside(void *unused UNUSED)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&meet);
		alarm_add(&other.alarm, fire);
		pthread_barrier_wait(&meet);
		alarm_remove(&other.alarm);
	}
	return NULL;
}

START_TEST(one_goes_as_another_comes)
{
	struct test t = { .number = 0 };
	pthread_t thread;

	pthread_barrier_init(&meet, NULL, 2);
	pthread_create(&thread, NULL, add_beside, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		alarm_add(&t.alarm, fire);
		pthread_barrier_wait(&meet);
		alarm_remove(&t.alarm);
		pthread_barrier_wait(&meet);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&meet);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("alarm");
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, in_order_of_time);
	tcase_add_test(t, the_earlier_time_counts_once);
	tcase_add_test(t, remove_waits_and_silences);
	tcase_add_test(t, many_threads);
	tcase_add_test(t, one_goes_as_another_comes);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
