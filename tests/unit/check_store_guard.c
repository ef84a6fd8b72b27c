/* SPDX-License-Identifier: Apache-2.0 */
/* What makes LMDB end the process, under a store in use: an assertion of it, and
 * pages that cannot be read. It goes on, and nothing wrong is read. */
#include "tests/unit/store_test.h"

#include <signal.h>

#define COUNT 400u
#define SIZE  700u
#define PAGE  4096u
#define WAIT  60000 /* ms */

/* What was under way in an environment that is left behind is left there too. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

static struct fixture f;

static void on_signal(int sig, siginfo_t *info, void *context UNUSED)
{
	if (sig == SIGBUS || store_bus_inside(info->si_addr))
		store_escape();
	signal(sig, SIG_DFL);
}

static void fill(void)
{
	struct sigaction a = { .sa_sigaction = on_signal,
			       .sa_flags = SA_NODEFER | SA_SIGINFO };

	sigaction(SIGBUS, &a, NULL);
	sigaction(SIGSEGV, &a, NULL);
	fixture_open(&f, 32 * MiB);
	for (unsigned i = 0; i < COUNT; i++)
		put_ok(&f, i, SIZE, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
}

static int data_fd(void)
{
	cleanup_free char *path = xasprintf("%s/data.mdb", f.dir);
	int fd = open(path, O_RDWR);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Inner pages of trees say that they have one child: "NUMKEYS(mp) > 1". */
static void break_branches(void)
{
	cleanup_fd int fd = data_fd();
	const uint16_t one = 16 + 2;
	uint8_t head[16];
	unsigned n = 0;

	for (uint64_t at = 2 * PAGE; pread(fd, head, 16, (off_t)at) == 16;
	     at += PAGE) {
		if (get_u64(head) != at / PAGE || get_u16(head + 10) != 1)
			continue;
		ck_assert_int_eq(pwrite(fd, &one, 2, (off_t)at + 12), 2);
		n++;
	}
	ck_assert_uint_ge(n, 1);
}

/* Leaves say that they are the writer's copies, of which there are none. */
static void call_dirty(void)
{
	cleanup_fd int fd = data_fd();
	const uint16_t dirty_leaf = 0x12;
	uint8_t head[16];

	for (uint64_t at = 2 * PAGE; pread(fd, head, 16, (off_t)at) == 16;
	     at += PAGE)
		if (get_u64(head) == at / PAGE && get_u16(head + 10) == 2)
			ck_assert_int_eq(pwrite(fd, &dirty_leaf, 2,
						(off_t)at + 10), 2);
}

static void cut_short(void)
{
	cleanup_fd int fd = data_fd();

	ck_assert_int_eq(ftruncate(fd, 2 * PAGE), 0);
}

static unsigned there(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < COUNT; i++)
		n += (unsigned)look(&f, i, SIZE, SCORPIO_ID_SHA256);
	return n;
}

/* Until what is put stays, as a fetch does that is tried again. */
static void works_again(void)
{
	int64_t end = deadline_in_ms(WAIT);
	int there_now = 0;

	while (!there_now) {
		ck_assert(now_ns() < end);
		if (put(&f, 5000, SIZE, SCORPIO_ID_SHA256, true, NULL, NULL) ||
		    store_flush(f.s, deadline_in_ms(WAIT)))
			continue;
		there_now = look(&f, 5000, SIZE, SCORPIO_ID_SHA256);
	}
	for (unsigned i = 0; i < COUNT; i++)
		put_ok(&f, i, SIZE, SCORPIO_ID_SHA256, true);
	ok(store_flush(f.s, DEADLINE_NONE));
	ck_assert_uint_eq(there(), COUNT);
	fixture_reopen(&f);
	ck_assert_uint_eq(there(), COUNT);
	fixture_close(&f);
}

START_TEST(assertion_of_a_reader)
{
	fill();
	break_branches();
	ck_assert_uint_lt(there(), COUNT);
	works_again();
}
END_TEST

START_TEST(assertion_of_the_writer)
{
	fill();
	break_branches();
	works_again();
}
END_TEST

START_TEST(short_file_of_a_reader)
{
	fill();
	cut_short();
	there(); /* none, or what was taken over */
	works_again();
}
END_TEST

/* The file ends before the page where this stands. */
static void cut_before(const void *what, size_t len)
{
	cleanup_fd int fd = data_fd();
	cleanup_free uint8_t *all = xmalloc(f.max);
	ssize_t n = pread(fd, all, f.max, 0);
	const uint8_t *p;

	ck_assert_int_gt(n, 0);
	p = memmem(all, (size_t)n, what, len);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(ftruncate(fd, (p - all) / PAGE * PAGE), 0);
}

/* A value in pages of its own, at the end of the file. */
START_TEST(short_file_of_a_value)
{
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_free uint8_t *large = content(77, 30000);

	fill();
	ok(store_put_value(f.s, "large", large, 30000));
	cut_before(large, 1000);
	ck_assert_int_eq(store_get_value(f.s, "large", &b), -ENOENT);
	works_again();
}
END_TEST

START_TEST(short_file_of_the_figures)
{
	struct store_stats st;

	fill();
	cut_short();
	store_stat(f.s, &st); /* may be as it was */
	works_again();
}
END_TEST

START_TEST(short_file_of_the_writer)
{
	fill();
	cut_short();
	works_again();
}
END_TEST

START_TEST(pages_that_call_themselves_dirty)
{
	fill();
	call_dirty();
	works_again();
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store_guard");

	tcase_add_test(t, assertion_of_a_reader);
	tcase_add_test(t, assertion_of_the_writer);
	tcase_add_test(t, short_file_of_a_reader);
	tcase_add_test(t, short_file_of_a_value);
	tcase_add_test(t, short_file_of_the_figures);
	tcase_add_test(t, short_file_of_the_writer);
	tcase_add_test(t, pages_that_call_themselves_dirty);
	return run_suite("store_guard", t);
}
