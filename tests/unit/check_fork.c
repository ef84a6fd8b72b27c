/* SPDX-License-Identifier: Apache-2.0 */
/* A second workspace with the changes of one: names in the log, content by hard
 * links, each side its own from then on. */
#include "tests/unit/changes_test.h"

#include "core/clock.h"

#include <sys/stat.h>

static char other[80]; /* the second one's directory */
static int at, upper;  /* it, and its content */
static struct changes *kept; /* the first one's, while c is the second's */

static void setup_fork(void)
{
	setup();
	snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_int_eq(path_make_dirs(other, 0700), 0);
	at = open(other, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(mkdirat(at, "upper", 0700), 0);
	upper = openat(at, "upper", O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(upper, 0);
}

static void teardown_fork(void)
{
	close(upper);
	close(at);
	teardown();
}

static struct cnode *file(const char *name, const char *text)
{
	return write_file(make(c->root, name, S_IFREG | 0600), text);
}

/* Another name is a change to the file as the disk sees it: without ctimes. */
static char *seen(void)
{
	char *text = picture(), *p = text;

	while ((p = strstr(p, " ctime="))) {
		size_t n = strcspn(p + 1, " \n") + 1;

		memmove(p, p + n, strlen(p + n) + 1);
	}
	return text;
}

static void check_comes_back(void)
{
	cleanup_free char *before = seen(), *after = NULL;

	changes_abandon(c);
	ck_assert_int_eq(try_open(kept ? other : dir), 0);
	after = seen();
	ck_assert_str_eq(before, after);
}

static bool is_shared(uint64_t number)
{
	struct upper_fd fd;
	bool shared;

	ck_assert_int_eq(upper_get(c->upper, number, &fd), 0);
	shared = upper_shared(&fd);
	upper_put(c->upper, &fd);
	return shared;
}

static struct changes_shared fork_it(void)
{
	struct changes_shared sum = { 0 };
	struct wal_checkpoint *state = NULL;

	ck_assert_int_eq(changes_freeze(c, deadline_in_ms(5000)), 0);
	ck_assert(c->frozen);
	ck_assert_int_eq(changes_share(c, upper, &sum, &state), 0);
	changes_thaw(c);
	ck_assert(!c->frozen);
	ck_assert_int_eq(wal_copy_end(state, at), 0);
	return sum;
}

/* c is the other one until the second call. */
static void swap(void)
{
	if (kept) {
		changes_close(c);
		c = kept;
		kept = NULL;
		return;
	}
	kept = c;
	ck_assert_int_eq(try_open(other), 0);
}

START_TEST(both_are_the_same)
{
	cleanup_free char *one = NULL, *two = NULL, *later = NULL;
	struct changes_shared sum;
	struct cnode *d, *gone;

	file("f", "hello");
	file("g", "more");
	d = make(c->root, "dir", S_IFDIR | 0755);
	make(d, "empty", S_IFREG | 0644);
	adopt(c->root, "lower", 77, SCORPIO_FILE);
	adopt(c->root, "tree", 78, SCORPIO_DIR);
	move(c->root, "tree", d, "moved", 0);
	adopt(c->root, "away", 79, SCORPIO_FILE);
	drop(c->root, "away");
	changes_edit(c);
	ck_assert_int_eq(changes_xattr(c, name_of(c->root, "f")->node,
				       "user.x", "y", 1), 0);
	changes_edit_end(c);
	/* open, and without a name: nobody else's */
	gone = file("gone", "12345678");
	__atomic_store_n(&gone->known, (struct node *)gone, __ATOMIC_RELAXED);
	drop(c->root, "gone");
	sum = fork_it();
	ck_assert_uint_eq(sum.files, 2);
	ck_assert_uint_eq(sum.bytes, 9);
	one = seen();
	swap();
	two = seen();
	ck_assert_str_eq(one, two);
	check_comes_back();
	swap();
	/* the first one's log goes on, and is no part of the second */
	file("h", "later");
	drop(c->root, "g");
	__atomic_store_n(&gone->known, NULL, __ATOMIC_RELAXED);
	check_comes_back();
	ck_assert_ptr_null(name_of(c->root, "g"));
	swap();
	later = seen();
	ck_assert_str_eq(two, later);
	swap();
}
END_TEST

START_TEST(the_link_count_tells)
{
	uint64_t f = file("f", "hello")->v.file, g = file("g", "x")->v.file;
	struct upper_fd held;
	struct stat st;

	ck_assert_int_eq(upper_get(c->upper, f, &held), 0);
	ck_assert(!upper_shared(&held));
	fork_it();
	ck_assert(upper_shared(&held)); /* one that was open before, too */
	ck_assert(is_shared(f) && is_shared(g));
	ck_assert(!is_shared(file("h", "new")->v.file));
	swap();
	ck_assert(is_shared(f) && is_shared(g));
	drop(c->root, "f");
	ck_assert_int_eq(upper_stat(c->upper, f, &st), -ENOENT);
	swap();
	ck_assert(!upper_shared(&held) && !is_shared(f) && is_shared(g));
	upper_put(c->upper, &held);
	drop(c->root, "g");
	swap();
	ck_assert(!is_shared(g));
	swap();
}
END_TEST

START_TEST(what_cannot_be_shared)
{
	uint64_t f = file("f", "hello")->v.file, size = 7;

	ck_assert_int_eq(upper_share(c->upper, 0x777, upper, &size), -ENOENT);
	ck_assert_uint_eq(size, 7);
	ck_assert_int_eq(upper_share(c->upper, f, upper, &size), 0);
	ck_assert_uint_eq(size, 5);
	ck_assert_int_eq(upper_share(c->upper, f, upper, &size), -EEXIST);
}
END_TEST

START_TEST(who_writes_is_waited_for)
{
	struct cnode *n = file("f", "hello");
	struct changes_shared sum;
	struct wal_checkpoint *state;

	ck_assert(changes_writer_begin(n));
	ck_assert(!changes_writers_stop(n));
	ck_assert_int_eq(changes_freeze(c, deadline_in_ms(20)), -EBUSY);
	ck_assert(!c->frozen);
	changes_writer_end(n);
	/* nobody begins where the only one is at work */
	ck_assert(changes_writers_stop(n));
	ck_assert(!changes_writer_begin(n));
	ck_assert(!changes_writers_stop(n));
	ck_assert_int_eq(changes_freeze(c, deadline_in_ms(20)), -EBUSY);
	changes_writers_go(n);
	ck_assert(changes_writer_begin(n));
	changes_writer_end(n);
	/* one that is not wanted after all */
	ck_assert_int_eq(changes_freeze(c, deadline_in_ms(5000)), 0);
	ck_assert_int_eq(changes_share(c, upper, &sum, &state), 0);
	changes_thaw(c);
	wal_checkpoint_drop(state);
	check_comes_back();
}
END_TEST

START_TEST(a_journal_of_its_own)
{
	struct fs_clock mine, its;

	file("f", "hello");
	mine = journal_now(c->journal);
	fork_it();
	ck_assert_uint_eq(journal_now(c->journal).generation, mine.generation);
	ck_assert_uint_eq(journal_now(c->journal).seq, mine.seq);
	swap();
	its = journal_now(c->journal);
	ck_assert_uint_ne(its.generation, mine.generation);
	ck_assert_uint_ge(its.seq, mine.seq);
	swap();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fork");
	TCase *t = tcase_create("fork");
	SRunner *sr = srunner_create(s);
	int failed;

	log_set_level("error");
	tcase_add_checked_fixture(t, setup_fork, teardown_fork);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, both_are_the_same);
	tcase_add_test(t, the_link_count_tells);
	tcase_add_test(t, what_cannot_be_shared);
	tcase_add_test(t, who_writes_is_waited_for);
	tcase_add_test(t, a_journal_of_its_own);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
