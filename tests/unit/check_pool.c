/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pool.h"

#include "core/clock.h"

#include <check.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c;
static unsigned running, most, finished; /* lock: m */
static bool gate;                        /* lock: m */

struct job {
	struct pool_task task;
	struct pool *pool;
	int more; /* tasks to add at the end */
};

static void enter(void)
{
	pthread_mutex_lock(&m);
	running++;
	most = MAX(most, running);
	pthread_cond_broadcast(&c);
	while (!gate)
		cond_wait_until(&c, &m, DEADLINE_NONE);
	running--;
	finished++;
	pthread_mutex_unlock(&m);
}

static void run(struct pool_task *t)
{
	struct job *j = container_of(t, struct job, task);

	enter();
	if (j->more) {
		struct job *next = xcalloc(1, sizeof(*next));

		*next = (struct job){ { run, NULL }, j->pool, j->more - 1 };
		pool_add(j->pool, &next->task);
	}
	free(j);
}

static void add(struct pool *p, int more)
{
	struct job *j = xcalloc(1, sizeof(*j));

	*j = (struct job){ { run, NULL }, p, more };
	pool_add(p, &j->task);
}

static void set_gate(void)
{
	pthread_mutex_lock(&m);
	gate = true;
	pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
}

START_TEST(parallel_up_to_max)
{
	struct pool *p = pool_new("test", 3);
	int i;

	for (i = 0; i < 10; i++)
		add(p, 0);
	pthread_mutex_lock(&m);
	while (running < 3)
		ck_assert_int_eq(cond_wait_until(&c, &m, deadline_in_ms(2000)),
				 0);
	pthread_mutex_unlock(&m);
	ck_assert_uint_eq(pool_load(p), 10);
	set_gate();
	pool_free(p);
	ck_assert_uint_eq(finished, 10);
	ck_assert_uint_eq(most, 3);
}
END_TEST

START_TEST(free_runs_what_is_queued)
{
	struct pool *p = pool_new("test", 1);
	int i;

	set_gate();
	for (i = 0; i < 100; i++)
		add(p, 0);
	pool_free(p);
	ck_assert_uint_eq(finished, 100);
	pool_free(NULL);
}
END_TEST

START_TEST(tasks_add_tasks)
{
	struct pool *p = pool_new("test", 2);

	set_gate();
	add(p, 20);
	pool_free(p); /* also those added while ending */
	ck_assert_uint_eq(finished, 21);
}
END_TEST

static void *adder(void *p)
{
	int i;

	for (i = 0; i < 200; i++)
		add(p, 0);
	return NULL;
}

START_TEST(many_adders)
{
	struct pool *p = pool_new("test", 4);
	pthread_t t[4];
	int i;

	set_gate();
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, adder, p);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pool_free(p);
	ck_assert_uint_eq(finished, 800);
	ck_assert_uint_le(most, 4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool");
	TCase *t = tcase_create("pool");
	SRunner *r;
	int failed;

	cond_init(&c);
	tcase_add_test(t, parallel_up_to_max);
	tcase_add_test(t, free_runs_what_is_queued);
	tcase_add_test(t, tasks_add_tasks);
	tcase_add_test(t, many_adders);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
