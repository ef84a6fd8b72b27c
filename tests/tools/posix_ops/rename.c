/* SPDX-License-Identifier: Apache-2.0 */
/* rename.c - rename and its flags */
#include "tests/tools/posix_ops/posix_ops.h"

static long rename2(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void rename_file(void)
{
	struct stat before, after;

	put("a", "A");
	OK(chmod("a", 0640));
	before = stat_ok("a");
	OK(rename("a", "b"));
	CHECK(!exists("a"));
	has("b", "A");
	after = stat_ok("b");
	SAME(after.st_ino, before.st_ino);
	SAME(after.st_mode, before.st_mode);
	CHECK(equal_time(after.st_mtim, before.st_mtim));
	OK(mkdir("d", 0755));
	OK(rename("b", "d/c"));
	has("d/c", "A");
	SAME(count_entries("."), 1);
	SAME(count_entries("d"), 1);
}

static void rename_over_file(void)
{
	put("a", "A");
	put("b", "B");
	OK(link("b", "b2"));
	OK(rename("a", "b"));
	has("b", "A");
	has("b2", "B");
	SAME(stat_ok("b2").st_nlink, 1);
	SAME(count_entries("."), 2);
}

static void rename_kinds(void)
{
	put("f", "x");
	OK(mkdir("d", 0755));
	OK(mkdir("e", 0755));
	OK(mkdir("full", 0755));
	put("full/x", "x");
	put("d/inside", "i");
	OK(symlink("d", "l"));
	ERR(rename("f", "e"), EISDIR);
	ERR(rename("d", "f"), ENOTDIR);
	ERR(rename("d", "l"), ENOTDIR);
	ERR(rename("l", "d"), EISDIR);
	if (rename("d", "full") == 0 || (errno != ENOTEMPTY && errno != EEXIST))
		check_fail("rename over a full directory: %d", errno);
	OK(rename("d", "e"));
	CHECK(!exists("d"));
	has("e/inside", "i");
	has("full/x", "x");
	ERR(rename("none", "x"), ENOENT);
	ERR(rename("f", "none/x"), ENOENT);
	ERR(rename("f", "f/x"), ENOTDIR);
	ERR(rename("f", "new/"), ENOTDIR);
	has("f", "x");
}

static void rename_into_self(void)
{
	OK(mkdir("d", 0755));
	OK(mkdir("d/e", 0755));
	OK(mkdir("d/e/f", 0755));
	ERR(rename("d", "d/x"), EINVAL);
	ERR(rename("d", "d/e/f/x"), EINVAL);
	/* onto an ancestor, which is not empty */
	if (rename("d/e/f", "d") == 0 ||
	    (errno != ENOTEMPTY && errno != EEXIST))
		check_fail("rename onto an ancestor: %d", errno);
	ERR(rename("d/.", "x"), EBUSY);
	ERR(rename("d/e/..", "x"), EBUSY);
	OK(rename("d", "d"));
	CHECK(exists("d/e/f"));
}

static void rename_noreplace(void)
{
	put("a", "A");
	put("b", "B");
	OK(mkdir("d", 0755));
	OK(symlink("nowhere", "l"));
	ERR(rename2("a", "b", RENAME_NOREPLACE), EEXIST);
	ERR(rename2("a", "d", RENAME_NOREPLACE), EEXIST);
	ERR(rename2("a", "l", RENAME_NOREPLACE), EEXIST);
	ERR(rename2("a", "a", RENAME_NOREPLACE), EEXIST);
	has("a", "A");
	has("b", "B");
	OK(rename2("a", "c", RENAME_NOREPLACE));
	has("c", "A");
	OK(unlink("b"));
	OK(rename2("c", "b", RENAME_NOREPLACE));
	has("b", "A");
	ERR(rename2("b", "x", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	ERR(rename2("b", "x", 64), EINVAL);
}

static void rename_exchange(void)
{
	ino_t a, d;

	put("a", "A");
	OK(mkdir("d", 0755));
	OK(mkdir("d/sub", 0755));
	put("d/f", "F");
	OK(symlink("target", "l"));
	a = stat_ok("a").st_ino;
	d = stat_ok("d").st_ino;
	OK(rename2("a", "d", RENAME_EXCHANGE));
	SAME(stat_ok("d").st_ino, a);
	SAME(stat_ok("a").st_ino, d);
	has("d", "A");
	has("a/f", "F");
	OK(rename2("a/f", "l", RENAME_EXCHANGE));
	has("l", "F");
	CHECK(S_ISLNK(stat_ok("a/f").st_mode));
	ERR(rename2("d", "none", RENAME_EXCHANGE), ENOENT);
	ERR(rename2("a", "a/sub", RENAME_EXCHANGE), EINVAL);
	ERR(rename2("a/sub", "a", RENAME_EXCHANGE), EINVAL);
	/* two directories, into each other's parents */
	OK(mkdir("x", 0755));
	OK(mkdir("x/y", 0755));
	put("x/y/1", "1");
	OK(rename2("x/y", "a/sub", RENAME_EXCHANGE));
	has("a/sub/1", "1");
	SAME(count_entries("x/y"), 0);
	OK(rename2("a", "a", RENAME_EXCHANGE));
}

static void rename_same_inode(void)
{
	put("a", "x");
	OK(link("a", "b"));
	/* POSIX: two names of one file: nothing happens */
	OK(rename("a", "b"));
	CHECK(exists("a") && exists("b"));
	SAME(stat_ok("a").st_nlink, 2);
	OK(rename("a", "a"));
	has("a", "x");
}

static void rename_open(void)
{
	char buf[8];
	int fd, d, inner;

	OK(mkdir("d", 0755));
	OK(mkdir("d/deep", 0755));
	put("d/deep/f", "one");
	fd = open_ok("d/deep/f", O_RDWR | O_APPEND);
	d = open_ok("d/deep", O_RDONLY | O_DIRECTORY);
	OK(rename("d", "e"));
	write_ok(fd, "two", 3);
	has("e/deep/f", "onetwo");
	inner = (int)OK(openat(d, "g", O_RDWR | O_CREAT, 0644));
	write_ok(inner, "three", 5);
	has("e/deep/g", "three");
	CHECK(!exists("d"));
	ERR(open("d/deep/f", O_RDONLY), ENOENT);
	OK(mkdir("d", 0755));
	SAME(count_entries("d"), 0);
	OK(rename("e/deep", "d/other"));
	pread_ok(fd, buf, 6, 0);
	CHECK(memcmp(buf, "onetwo", 6) == 0);
	OK(unlinkat(d, "f", 0));
	SAME(fstat_ok(fd).st_nlink, 0);
	SAME(count_entries("d/other"), 1);
}

/* .. and the link counts follow a moved directory */
static void rename_dotdot(void)
{
	struct stat up;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	OK(mkdir("a/x", 0755));
	OK(rename("a/x", "b/x"));
	OK(stat("b/x/..", &up));
	SAME(up.st_ino, stat_ok("b").st_ino);
	OK(chdir("b/x"));
	OK(rename("../../b", "../../c"));
	OK(stat("..", &up));
	OK(chdir(".."));
	SAME(stat_ok(".").st_ino, up.st_ino);
	CHECK(exists("../c/x"));
	OK(rmdir("x"));
}

static void rename_times(void)
{
	struct stat f, a, b;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	put("a/f", "x");
	f = stat_ok("a/f");
	a = stat_ok("a");
	b = stat_ok("b");
	tick();
	OK(rename("a/f", "b/f"));
	CHECK(newer(stat_ok("a").st_mtim, a.st_mtim));
	CHECK(newer(stat_ok("b").st_mtim, b.st_mtim));
	CHECK(newer(stat_ok("a").st_ctim, a.st_ctim));
	CHECK(newer(stat_ok("b/f").st_ctim, f.st_ctim));
	CHECK(equal_time(stat_ok("b/f").st_mtim, f.st_mtim));
}

/* many renames of one name: a crash-safe editor's way of saving */
static void rename_save(void)
{
	char text[32];

	put("f", "start");
	for (int i = 0; i < 100; i++) {
		int fd = open_ok("f.tmp", O_WRONLY | O_CREAT | O_EXCL, 0644);
		int n = snprintf(text, sizeof(text), "version %d", i);

		write_ok(fd, text, (size_t)n);
		if (i % 30 == 0)
			OK(fsync(fd));
		close_ok(fd);
		OK(rename("f.tmp", "f"));
		has("f", text);
	}
	SAME(count_entries("."), 1);
}

/* rename chains and swaps by hand leave no ghosts */
static void rename_cycle(void)
{
	char a[16], b[32], text[16];

	for (int i = 0; i < 10; i++) {
		snprintf(a, sizeof(a), "d%d", i);
		OK(mkdir(a, 0755));
		snprintf(b, sizeof(b), "d%d/f", i);
		put(b, a);
	}
	for (int round = 0; round < 10; round++) {
		OK(rename("d0", "tmp"));
		for (int i = 1; i < 10; i++) {
			snprintf(a, sizeof(a), "d%d", i);
			snprintf(b, sizeof(b), "d%d", i - 1);
			OK(rename(a, b));
		}
		OK(rename("tmp", "d9"));
		snprintf(text, sizeof(text), "d%d", (round + 1) % 10);
		has("d0/f", text);
	}
	SAME(count_entries("."), 10);
}

/* a name keeps its case and its bytes */
static void rename_case(void)
{
	put("Name", "upper");
	OK(rename("Name", "name"));
	CHECK(!exists("Name"));
	put("Name", "other");
	has("name", "upper");
	SAME(count_entries("."), 2);
}

const struct check checks_rename[] = {
	{ "rename_file", rename_file, 0, NULL },
	{ "rename_over_file", rename_over_file, 0, NULL },
	{ "rename_kinds", rename_kinds, 0, NULL },
	{ "rename_into_self", rename_into_self, 0, NULL },
	{ "rename_noreplace", rename_noreplace, 0, NULL },
	{ "rename_exchange", rename_exchange, 0, NULL },
	{ "rename_same_inode", rename_same_inode, 0, NULL },
	{ "rename_open", rename_open, 0, NULL },
	{ "rename_dotdot", rename_dotdot, 0, NULL },
	{ "rename_times", rename_times, 0, NULL },
	{ "rename_save", rename_save, 0, NULL },
	{ "rename_cycle", rename_cycle, 0, NULL },
	{ "rename_case", rename_case, 0, NULL },
	{ 0 },
};
