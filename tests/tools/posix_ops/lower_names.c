/* SPDX-License-Identifier: Apache-2.0 */
/* lower_names.c - renaming, linking and removing what the revision brought */
#include "tests/tools/posix_ops/posix_ops.h"

static void lower_rename_file(void)
{
	ino_t ino = stat_ok("f65537").st_ino;
	struct timespec mtime = stat_ok("f65537").st_mtim;

	OK(rename("f65537", "d/moved"));
	filled("d/moved", 65537, 1);
	SAME(stat_ok("d/moved").st_ino, ino);
	CHECK(equal_time(stat_ok("d/moved").st_mtim, mtime));
	CHECK(!exists("f65537"));
	OK(rename("hello", "f4096"));
	has("f4096", "hello\n");
	OK(renameat2(AT_FDCWD, "one", AT_FDCWD, "d/a", RENAME_EXCHANGE));
	has("one", "a\n");
	SAME(stat_ok("d/a").st_size, 1);
	ERR(renameat2(AT_FDCWD, "f4095", AT_FDCWD, "empty", RENAME_NOREPLACE),
	    EEXIST);
	put("new", "n");
	OK(rename("new", "f65535"));
	has("f65535", "n");
	OK(rename("link", "l2"));
	filled("l2", 4095, 1);
}

static void lower_rename_dir(void)
{
	ino_t ino = stat_ok("d/e/f").st_ino;
	int fd = open_ok("d/e/f/g/h/deep", O_RDWR | O_APPEND);
	int dir = open_ok("d/e", O_RDONLY | O_DIRECTORY);

	OK(rename("d", "x"));
	CHECK(!exists("d"));
	ERR(open("d/a", O_RDONLY), ENOENT);
	has("x/a", "a\n");
	has("x/e/f/g/h/deep", "deep\n");
	write_ok(fd, "er", 2);
	has("x/e/f/g/h/deep", "deep\ner");
	SAME(stat_ok("x/e/f").st_ino, ino);
	OK(mkdir("d", 0755));
	SAME(count_entries("d"), 0);
	put("d/a", "new a");
	has("x/a", "a\n");
	OK(unlinkat(dir, "f/g/h/deep", 0));
	SAME(fstat_ok(fd).st_nlink, 0);
	OK(unlink("d/a"));
	OK(rename("x", "d")); /* over the new, empty one */
	has("d/b", "b\n");
	SAME(count_entries("d"), 3);
	CHECK(!exists("d/e/f/g/h/deep"));
}

static void lower_rename_nested(void)
{
	OK(rename("d/e/f", "f"));
	OK(rename("d", "y"));
	OK(rename("f", "y/e/f2"));
	has("y/e/f2/g/h/deep", "deep\n");
	OK(mkdir("y/e/f", 0755));
	SAME(count_entries("y/e/f"), 0);
	ERR(rename("y", "y/e/f/x"), EINVAL);
	OK(rename("y/e/f2/g", "y/e/f/g"));
	OK(rename("y/e", "d"));
	has("d/f/g/h/deep", "deep\n");
	SAME(count_entries("d/f2"), 0);
	OK(rmdir("d/f2"));
	put("d/f/g/h/deep", "changed");
	OK(rename("d/f/g", "g"));
	has("g/h/deep", "changed");
	SAME(count_entries("y"), 2);
}

static void lower_rename_kinds(void)
{
	OK(mkdir("new", 0755));
	if (rename("new", "d") == 0 || (errno != ENOTEMPTY && errno != EEXIST))
		check_fail("rename over a full lower directory: %d", errno);
	ERR(rename("hello", "d"), EISDIR);
	ERR(rename("d", "hello"), ENOTDIR);
	OK(renameat2(AT_FDCWD, "new", AT_FDCWD, "d", RENAME_EXCHANGE));
	SAME(count_entries("d"), 0);
	has("new/a", "a\n");
	OK(renameat2(AT_FDCWD, "new", AT_FDCWD, "hello", RENAME_EXCHANGE));
	has("hello/b", "b\n");
	has("new", "hello\n");
	OK(renameat2(AT_FDCWD, "hello/e", AT_FDCWD, "odd", RENAME_EXCHANGE));
	has("odd/f/g/h/deep", "deep\n");
	has("hello/e/ space", "odd\n");
}

static void lower_rmdir(void)
{
	struct stat before = stat_ok("d");

	if (rmdir("d") == 0 || (errno != ENOTEMPTY && errno != EEXIST))
		check_fail("rmdir of a full lower directory: %d", errno);
	OK(unlink("d/e/f/g/h/deep"));
	OK(rmdir("d/e/f/g/h"));
	OK(mkdir("d/e/f/g/h", 0700));
	CHECK(!exists("d/e/f/g/h/deep"));
	OK(rmdir("d/e/f/g/h"));
	OK(rmdir("d/e/f/g"));
	OK(rmdir("d/e/f"));
	OK(rmdir("d/e"));
	OK(unlink("d/a"));
	OK(unlink("d/b"));
	SAME(count_entries("d"), 0);
	OK(rmdir("d"));
	CHECK(!exists("d"));
	ERR(open("d/a", O_RDONLY), ENOENT);
	OK(mkdir("d", 0755));
	SAME(count_entries("d"), 0);
	CHECK(!exists("d/a"));
	CHECK(newer(stat_ok("d").st_mtim, before.st_mtim) ||
	      equal_time(stat_ok("d").st_mtim, before.st_mtim));
	put("d/a", "again");
	has("d/a", "again");
}

static void lower_link(void)
{
	ino_t ino = stat_ok("f65537").st_ino;

	OK(link("f65537", "d/second"));
	SAME(stat_ok("f65537").st_nlink, 2);
	SAME(stat_ok("d/second").st_ino, ino);
	filled("d/second", 65537, 1);
	put("d/second", "changed");
	has("f65537", "changed");
	OK(unlink("f65537"));
	SAME(stat_ok("d/second").st_nlink, 1);
	has("d/second", "changed");
	OK(link("script", "s2"));
	OK(rename("d", "dd"));
	OK(link("dd/second", "dd/e/third"));
	SAME(stat_ok("dd/second").st_nlink, 2);
	OK(unlink("dd/second"));
	has("dd/e/third", "changed");
}

static void lower_odd(void)
{
	static const char *const names[] = {
		" space",      "new\nline", "-dash", "\xff\xfe", "tab\t",
		"caf\xc3\xa9", "\\back",    "...",   "*"
	};

	SAME(count_entries("odd"), ARRAY_SIZE(names));
	OK(chdir("odd"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		has(names[i], "odd\n");
		OK(rename(names[i], "x"));
		CHECK(!exists(names[i]));
		OK(rename("x", names[i]));
		put(names[i], "even");
		has(names[i], "even");
	}
	SAME(count_entries("."), ARRAY_SIZE(names));
}

static void lower_symlink(void)
{
	char buf[16];

	OK(unlink("link"));
	put("link", "a file now");
	has("link", "a file now");
	filled("f4095", 4095, 1);
	put("dangling", "made through it");
	has("nowhere", "made through it");
	OK(rename("dirlink", "d/up"));
	SAME(readlink("d/up", buf, sizeof(buf)), 1);
	OK(symlink("other", "dirlink"));
	SAME(readlink("dirlink", buf, sizeof(buf)), 5);
}

const struct check checks_lower_names[] = {
	{ "lower_rename_file", lower_rename_file, LOWER, NULL },
	{ "lower_rename_dir", lower_rename_dir, LOWER, NULL },
	{ "lower_rename_nested", lower_rename_nested, LOWER, NULL },
	{ "lower_rename_kinds", lower_rename_kinds, LOWER, NULL },
	{ "lower_rmdir", lower_rmdir, LOWER, NULL },
	{ "lower_link", lower_link, LOWER, NULL },
	{ "lower_odd", lower_odd, LOWER, NULL },
	{ "lower_symlink", lower_symlink, LOWER, NULL },
	{ 0 },
};
