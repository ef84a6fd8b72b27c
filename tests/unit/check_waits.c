/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread waits for: a lock, and what its owner waits for; a call. */
#include "core/base.h"

#include "core/clock.h"
#include "core/waits.h"

#include <check.h>
#undef fail /* of check.h */

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
static int pipe_fd[2];
static pid_t tid[3]; /* atomic */
static bool stop;    /* atomic */

static void begin(int i, const char *name)
{
	pthread_setname_np(pthread_self(), name);
	__atomic_store_n(&tid[i], gettid(), __ATOMIC_RELEASE);
}

static void *reader(void *arg UNUSED)
{
	char c;

	begin(0, "slow-reader");
	pthread_mutex_lock(&first);
	ck_assert_int_eq(read(pipe_fd[0], &c, 1), 1);
	pthread_mutex_unlock(&first);
	return NULL;
}

static void *middle(void *arg UNUSED)
{
	begin(1, "in-between");
	pthread_mutex_lock(&second);
	pthread_mutex_lock(&first);
	pthread_mutex_unlock(&first);
	pthread_mutex_unlock(&second);
	return NULL;
}

static void *last(void *arg UNUSED)
{
	begin(2, "last-one");
	pthread_mutex_lock(&second);
	pthread_mutex_unlock(&second);
	return NULL;
}

static pid_t await_thread(int i)
{
	int64_t end = deadline_in_ms(20000);
	pid_t t;

	while (!(t = __atomic_load_n(&tid[i], __ATOMIC_ACQUIRE)) &&
	       now_ns() < end)
		usleep(1000);
	return t;
}

/* Until it says so; the kernel's word for it is in /proc a moment later. */
static void await_text(pid_t t, enum waits want, const char *text)
{
	int64_t end = deadline_in_ms(20000);
	enum waits is = WAITS_UNKNOWN;
	char buf[400] = "";

	while (now_ns() < end) {
		is = waits_of(t, buf, sizeof(buf));
		if (is == want && strstr(buf, text))
			return;
		usleep(1000);
	}
	ck_abort_msg("%d: %s, not %s", (int)is, buf, text);
}

START_TEST(who_has_the_lock_and_what_he_is_at)
{
	pthread_t t[3];
	char small[20], text[100];
	pid_t a, b;

	ck_assert_int_eq(pipe(pipe_fd), 0);
	ck_assert_int_eq(pthread_create(&t[0], NULL, reader, NULL), 0);
	a = await_thread(0);
	await_text(a, WAITS_CALL, "read of pipe:[");
	ck_assert_int_eq(pthread_create(&t[1], NULL, middle, NULL), 0);
	b = await_thread(1);
	snprintf(text, sizeof(text), "a lock of thread slow-reader (%d), "
		 "which waits for read of pipe:[", (int)a);
	await_text(b, WAITS_LOCK, text);
	ck_assert_int_eq(pthread_create(&t[2], NULL, last, NULL), 0);
	snprintf(text, sizeof(text), "a lock of thread in-between (%d), "
		 "which waits for a lock of thread slow-reader", (int)b);
	await_text(await_thread(2), WAITS_LOCK, text);
	/* cut, not overrun */
	ck_assert_int_eq(waits_of(tid[2], small, sizeof(small)), WAITS_LOCK);
	ck_assert_str_eq(small, "a lock of thread in");
	ck_assert_int_eq(write(pipe_fd[1], "x", 1), 1);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}
END_TEST

static void *busy(void *arg UNUSED)
{
	begin(0, "busy");
	pthread_mutex_lock(&first);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		;
	pthread_mutex_unlock(&first);
	return NULL;
}

START_TEST(who_works_waits_for_nothing)
{
	char buf[200] = "old";
	pthread_t t;

	tid[0] = 0;
	ck_assert_int_eq(pthread_create(&t, NULL, busy, NULL), 0);
	ck_assert_int_eq(waits_of(await_thread(0), buf, sizeof(buf)),
			 WAITS_NOT);
	ck_assert_str_eq(buf, "");
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
}
END_TEST

START_TEST(no_such_thread)
{
	char buf[200] = "old";

	/* a process that is none of our threads */
	ck_assert_int_eq(waits_of(getppid(), buf, sizeof(buf)), WAITS_UNKNOWN);
	ck_assert_str_eq(buf, "");
}
END_TEST

/* An emulator of a kernel may have no such file. */
static bool kernel_tells(void)
{
	return !access("/proc/self/syscall", R_OK);
}

int main(void)
{
	Suite *s = suite_create("waits");
	SRunner *sr = srunner_create(s);
	TCase *t = tcase_create("all");
	int failed;

	tcase_set_timeout(t, 60);
	if (kernel_tells()) {
		tcase_add_test(t, who_has_the_lock_and_what_he_is_at);
		tcase_add_test(t, who_works_waits_for_nothing);
	}
	tcase_add_test(t, no_such_thread);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
