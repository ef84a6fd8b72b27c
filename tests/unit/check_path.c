/* SPDX-License-Identifier: Apache-2.0 */
#include "core/path.h"

#include "core/error.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>

static char dir[64];

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/check_path.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(path_empty_dir(dir), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(make_dirs)
{
	struct stat st;

	ck_assert_int_eq(path_make_dirs("a/b/c", 0700), 0);
	ck_assert_int_eq(stat("a/b/c", &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(path_make_dirs("a/b/c", 0700), 0); /* there already */
	ck_assert_int_eq(path_write("a/file", "x", 1, 0644, false), 0);
	ck_assert_int_eq(path_make_dirs("a/file/x", 0700), -ENOTDIR);
	ck_assert_str_eq(error_text(-ENOTDIR), "cannot make directory a/file: "
					       "Not a directory");
	ck_assert_int_eq(path_make_dirs("", 0700), -EINVAL);
}
END_TEST

START_TEST(empty_dir)
{
	ck_assert_int_eq(path_make_dirs("victim/a/b", 0755), 0);
	ck_assert_int_eq(path_make_dirs("kept", 0755), 0);
	ck_assert_int_eq(path_write("kept/x", "x", 1, 0644, false), 0);
	ck_assert_int_eq(path_write("victim/a/x", "x", 1, 0, false), 0);
	ck_assert_int_eq(symlink("../../kept", "victim/a/link"), 0);
	ck_assert_int_eq(symlink("nowhere", "victim/dangling"), 0);
	ck_assert_int_eq(path_empty_dir("victim"), 0);
	ck_assert_int_eq(rmdir("victim"), 0);
	ck_assert_int_eq(access("kept/x", F_OK), 0);
	/* the directory itself must not be a link either */
	ck_assert_int_eq(symlink("kept", "link"), 0);
	ck_assert_int_lt(path_empty_dir("link"), 0);
	ck_assert_int_eq(access("kept/x", F_OK), 0);
	ck_assert_int_eq(path_empty_dir("absent"), -ENOENT);
}
END_TEST

static void ck_absolute(const char *in, const char *out)
{
	char *s = path_absolute(in);

	ck_assert_str_eq(s, out);
	free(s);
}

START_TEST(absolute)
{
	char want[100];

	ck_absolute("/", "/");
	ck_absolute("/a//b/./c/", "/a/b/c");
	ck_absolute("/a/../b", "/a/../b");
	snprintf(want, sizeof(want), "%s/x", dir);
	ck_absolute("x", want);
	ck_absolute("./x/.", want);
	ck_absolute("", dir);
}
END_TEST

START_TEST(read_and_write)
{
	struct stat st;
	char *s = NULL;
	size_t n;

	ck_assert_int_eq(path_read("absent", 10, &s, &n), -ENOENT);
	ck_assert_str_eq(error_text(-ENOENT), "absent: No such file or "
					      "directory");
	ck_assert_int_eq(path_write("f", "hello", 5, 0640, true), 0);
	ck_assert_int_eq(stat("f", &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(path_read("f", 5, &s, &n), 0);
	ck_assert_uint_eq(n, 5);
	ck_assert_str_eq(s, "hello");
	free(s);
	ck_assert_int_eq(path_read("f", 4, &s, &n), -EFBIG);
	ck_assert_int_eq(path_write("no/f", "x", 1, 0600, false), -ENOENT);
	/* replaced at once, nothing left over */
	ck_assert_int_eq(path_write("f", "new", 3, 0600, false), 0);
	ck_assert_int_eq(path_read("f", 100, &s, NULL), 0);
	ck_assert_str_eq(s, "new");
	free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("path");
	TCase *t = tcase_create("path");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, make_dirs);
	tcase_add_test(t, empty_dir);
	tcase_add_test(t, absolute);
	tcase_add_test(t, read_and_write);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
