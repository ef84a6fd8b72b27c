/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - links, symlinks, directories, and what a name may be */
#include "tests/tools/posix_ops/posix_ops.h"

#include <limits.h>

/* -- hard links
 * ---------------------------------------------------------------- */

static void link_basic(void)
{
	int fd;

	put("a", "one");
	OK(mkdir("d", 0755));
	OK(link("a", "b"));
	OK(link("b", "d/c"));
	SAME(stat_ok("a").st_nlink, 3);
	SAME(stat_ok("a").st_ino, stat_ok("d/c").st_ino);
	put("b", "written through b");
	has("a", "written through b");
	has("d/c", "written through b");
	OK(chmod("d/c", 0600));
	SAME(stat_ok("a").st_mode & 07777, 0600);
	OK(truncate("a", 7));
	has("b", "written");
	OK(unlink("a"));
	SAME(stat_ok("b").st_nlink, 2);
	has("b", "written");
	fd = open_ok("b", O_RDWR | O_APPEND);
	OK(unlink("b"));
	write_ok(fd, "!", 1);
	SAME(fstat_ok(fd).st_nlink, 1);
	has("d/c", "written!");
	OK(unlink("d/c"));
	SAME(fstat_ok(fd).st_nlink, 0);
}

static void link_errors(void)
{
	put("f", "x");
	put("g", "y");
	OK(mkdir("d", 0755));
	ERR(link("f", "g"), EEXIST);
	ERR(link("f", "f"), EEXIST);
	ERR(link("d", "e"), EPERM);
	ERR(link("none", "e"), ENOENT);
	ERR(link("f", "none/e"), ENOENT);
	ERR(link("f/x", "e"), ENOTDIR);
	ERR(link("f", "g/e"), ENOTDIR);
	has("g", "y");
	SAME(stat_ok("f").st_nlink, 1);
}

static void link_symlink(void)
{
	put("f", "x");
	OK(symlink("f", "l"));
	OK(link("l", "l2")); /* the link itself */
	CHECK(S_ISLNK(stat_ok("l2").st_mode));
	SAME(stat_ok("l").st_nlink, 2);
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
	SAME(stat_ok("f2").st_ino, stat_ok("f").st_ino);
}

static void link_many(void)
{
	char name[16];

	put("f", "x");
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		OK(link("f", name));
	}
	SAME(stat_ok("l250").st_nlink, 501);
	put("l499", "changed");
	has("f", "changed");
	for (int i = 0; i < 500; i += 2) {
		snprintf(name, sizeof(name), "l%d", i);
		OK(unlink(name));
	}
	SAME(stat_ok("f").st_nlink, 251);
	has("l1", "changed");
}

static void link_rename(void)
{
	put("a", "A");
	OK(link("a", "b"));
	OK(mkdir("d", 0755));
	OK(rename("a", "d/a"));
	SAME(stat_ok("d/a").st_nlink, 2);
	put("d/a", "via d");
	has("b", "via d");
	put("c", "C");
	OK(rename("c", "b"));
	SAME(stat_ok("d/a").st_nlink, 1);
	has("d/a", "via d");
	has("b", "C");
}

static void link_times(void)
{
	struct stat f, dir;

	put("f", "x");
	f = stat_ok("f");
	dir = stat_ok(".");
	tick();
	OK(link("f", "g"));
	CHECK(newer(stat_ok("f").st_ctim, f.st_ctim));
	CHECK(equal_time(stat_ok("f").st_mtim, f.st_mtim));
	CHECK(newer(stat_ok(".").st_mtim, dir.st_mtim));
	f = stat_ok("f");
	tick();
	OK(unlink("g"));
	CHECK(newer(stat_ok("f").st_ctim, f.st_ctim));
}

/* -- symlinks
 * -------------------------------------------------------------------- */

static void symlink_targets(void)
{
	static const int sizes[] = { 1, 59, 60, 61, 255, 1000, 4095 };
	char target[4096], got[4097];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(target, 'x', sizeof(target));
		for (int j = 200; j < sizes[i] - 1; j += 201)
			target[j] = '/';
		target[sizes[i]] = '\0';
		OK(symlink(target, "l"));
		SAME(stat_ok("l").st_size, sizes[i]);
		SAME(readlink("l", got, sizeof(got)), sizes[i]);
		CHECK(memcmp(got, target, (size_t)sizes[i]) == 0);
		SAME(readlink("l", got, 1), 1); /* cut, not an error */
		OK(unlink("l"));
	}
	memset(target, 'x', sizeof(target));
	{
		char longer[4098];

		memset(longer, 'x', sizeof(longer));
		longer[4096] = '\0';
		ERR(symlink(longer, "l"), ENAMETOOLONG);
	}
	OK(symlink("/absolute/\xff bytes\n", "l"));
	SAME(readlink("l", got, sizeof(got)), 18);
}

static void symlink_use(void)
{
	struct stat st;

	OK(mkdir("d", 0755));
	put("d/f", "x");
	OK(symlink("d", "ld"));
	OK(symlink("ld/f", "lf"));
	OK(symlink("../d/f", "d/up"));
	OK(symlink("gone", "dangling"));
	has("lf", "x");
	has("d/up", "x");
	OK(stat("ld", &st));
	CHECK(S_ISDIR(st.st_mode));
	SAME(stat_ok("ld").st_mode, S_IFLNK | 0777);
	ERR(stat("dangling", &st), ENOENT);
	ERR(open("dangling", O_RDONLY), ENOENT);
	ERR(symlink("x", "d"), EEXIST);
	ERR(symlink("x", "dangling"), EEXIST);
	ERR(symlink("", "empty"), ENOENT);
	ERR(rmdir("ld"), ENOTDIR);
	OK(unlink("ld"));
	CHECK(exists("d/f"));
}

static void symlink_loops(void)
{
	char a[16], b[16];
	struct stat st;

	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	ERR(stat("a", &st), ELOOP);
	ERR(open("a", O_RDONLY), ELOOP);
	ERR(open("a/x", O_RDONLY | O_CREAT, 0644), ELOOP);
	put("l0", "end");
	for (int i = 1; i <= 45; i++) {
		snprintf(a, sizeof(a), "l%d", i - 1);
		snprintf(b, sizeof(b), "l%d", i);
		OK(symlink(a, b));
	}
	has("l40", "end");
	ERR(stat("l41", &st), ELOOP);
}

/* a name may change its kind; nothing of the old one stays */
static void change_kind(void)
{
	char got[8];

	for (int i = 0; i < 20; i++) {
		put("n", "file");
		has("n", "file");
		OK(unlink("n"));
		OK(mkdir("n", 0755));
		put("n/x", "inside");
		OK(unlink("n/x"));
		OK(rmdir("n"));
		OK(symlink("target", "n"));
		SAME(readlink("n", got, sizeof(got)), 6);
		OK(unlink("n"));
		CHECK(!exists("n"));
	}
}

/* -- directories
 * ------------------------------------------------------------------- */

static void mkdir_modes(void)
{
	umask(0);
	OK(mkdir("a", 0700));
	SAME(stat_ok("a").st_mode, S_IFDIR | 0700);
	umask(077);
	OK(mkdir("b", 0777));
	SAME(stat_ok("b").st_mode, S_IFDIR | 0700);
	umask(0);
	OK(mkdir("c", 01777));
	SAME(stat_ok("c").st_mode, S_IFDIR | 01777);
	SAME(count_entries("a"), 0);
}

static void mkdir_errors(void)
{
	put("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("nowhere", "l"));
	ERR(mkdir("d", 0755), EEXIST);
	ERR(mkdir("f", 0755), EEXIST);
	ERR(mkdir("l", 0755), EEXIST);
	ERR(mkdir("none/x", 0755), ENOENT);
	ERR(mkdir("f/x", 0755), ENOTDIR);
	ERR(mkdir(".", 0755), EEXIST);
	ERR(mkdir("d/..", 0755), EEXIST);
	OK(mkdir("slash/", 0755));
	CHECK(exists("slash"));
}

static void rmdir_errors(void)
{
	OK(mkdir("d", 0755));
	put("d/f", "x");
	OK(mkdir("e", 0755));
	if (rmdir("d") == 0 || (errno != ENOTEMPTY && errno != EEXIST))
		check_fail("rmdir of a full directory: %d", errno);
	ERR(rmdir("d/f"), ENOTDIR);
	ERR(rmdir("none"), ENOENT);
	ERR(rmdir("e/."), EINVAL);
	ERR(unlink("e"), EISDIR);
	ERR(unlink("none"), ENOENT);
	ERR(unlink("d/f/x"), ENOTDIR);
	OK(unlink("d/f"));
	OK(rmdir("d"));
	CHECK(!exists("d"));
	ERR(rmdir("d"), ENOENT);
}

static void mkdir_deep(void)
{
	char name[] = "deeper";

	for (int i = 0; i < 200; i++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	put("f", "bottom");
	has("f", "bottom");
	OK(unlink("f"));
	for (int i = 0; i < 200; i++) {
		OK(chdir(".."));
		SAME(count_entries("."), 1);
		OK(rmdir(name));
	}
	CHECK(!exists(name));
}

static void dir_link_count(void)
{
	nlink_t n;

	OK(mkdir("d", 0755));
	n = stat_ok("d").st_nlink;
	CHECK(n == 1 || n == 2);
	OK(mkdir("d/a", 0755));
	OK(mkdir("d/b", 0755));
	put("d/f", "");
	SAME(stat_ok("d").st_nlink, n == 1 ? 1 : 4);
	OK(rmdir("d/a"));
	OK(rename("d/b", "b"));
	SAME(stat_ok("d").st_nlink, n);
}

/* -- names
 * ----------------------------------------------------------------------------
 */

static void name_length(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	put(name, "x");
	has(name, "x");
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	name[255] = 'n';
	name[256] = '\0';
	put("f", "x");
	ERR(open(name, O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
	ERR(open(name, O_RDONLY), ENAMETOOLONG);
	ERR(mkdir(name, 0755), ENAMETOOLONG);
	ERR(symlink("x", name), ENAMETOOLONG);
	ERR(link("f", name), ENAMETOOLONG);
	ERR(rename("f", name), ENAMETOOLONG);
	ERR(unlink(name), ENAMETOOLONG);
	ERR(mkfifo(name, 0644), ENAMETOOLONG);
	has("f", "x");
}

static void path_length(void)
{
	char path[PATH_MAX + 2];

	for (size_t i = 0; i + 1 < sizeof(path); i += 2) {
		path[i] = '.';
		path[i + 1] = '/';
	}
	path[PATH_MAX - 2] = 'f';
	path[PATH_MAX - 1] = '\0';
	put(path, "x");
	has("f", "x");
	path[PATH_MAX - 1] = 'f';
	path[PATH_MAX] = '\0';
	ERR(open(path, O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
}

static void odd_names(void)
{
	static const char *const names[] = {
		" ",        "  two",    "tail ",       "new\nline",
		"tab\t",    "\\",       "quo\"te",     "it's",
		"*?[]",     "-rf",      "...",         ".hidden",
		"\x01\x02", "\xff\xfe", "caf\xc3\xa9", "cafe\xcc\x81",
		":",        "~",        "#x#",         "%d",
		".wh.x",    ".git2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put(names[i], names[i]);
	SAME(count_entries("."), ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		has(names[i], names[i]);
		OK(rename(names[i], "x"));
		CHECK(!exists(names[i]));
		OK(mkdir(names[i], 0755));
		OK(rmdir(names[i]));
		OK(unlink("x"));
	}
	SAME(count_entries("."), 0);
}

/* a name that was not there appears at once */
static void negative_names(void)
{
	char name[16];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		CHECK(!exists(name));
		CHECK(!exists(name));
		put(name, "now");
		has(name, "now");
		OK(unlink(name));
		CHECK(!exists(name));
		OK(mkdir(name, 0755));
		CHECK(exists(name));
	}
}

const struct check checks_names[] = {
	{ "link_basic", link_basic, 0, NULL },
	{ "link_errors", link_errors, 0, NULL },
	{ "link_symlink", link_symlink, 0, NULL },
	{ "link_many", link_many, 0, NULL },
	{ "link_rename", link_rename, 0, NULL },
	{ "link_times", link_times, 0, NULL },
	{ "symlink_targets", symlink_targets, 0, NULL },
	{ "symlink_use", symlink_use, 0, NULL },
	{ "symlink_loops", symlink_loops, 0, NULL },
	{ "change_kind", change_kind, 0, NULL },
	{ "mkdir_modes", mkdir_modes, 0, NULL },
	{ "mkdir_errors", mkdir_errors, 0, NULL },
	{ "rmdir_errors", rmdir_errors, 0, NULL },
	{ "mkdir_deep", mkdir_deep, HEAVY, NULL },
	{ "dir_link_count", dir_link_count, 0, NULL },
	{ "name_length", name_length, 0, NULL },
	{ "path_length", path_length, 0, NULL },
	{ "odd_names", odd_names, 0, NULL },
	{ "negative_names", negative_names, 0, NULL },
	{ 0 },
};
