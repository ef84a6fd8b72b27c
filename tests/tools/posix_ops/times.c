/* SPDX-License-Identifier: Apache-2.0 */
/* times.c - utimens, and which operation moves which time */
#include "tests/tools/posix_ops/posix_ops.h"

#include <linux/falloc.h>
#include <sys/xattr.h>
#include <time.h>

static void utimens_exact(void)
{
	static const struct timespec values[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 1700000000, 123456789 },
		{ 4000000000, 999999999 },
		{ 100, 500 },
		{ -1, 0 },
	};
	int fd;

	put("f", "x");
	fd = open_ok("f", O_RDWR);
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct timespec t[2] = { values[i], values[i] };
		static const char *const names[] = { "f", "d" };

		t[0].tv_sec += 10;
		for (int n = 0; n < 2; n++) {
			OK(utimensat(AT_FDCWD, names[n], t, 0));
			CHECK(equal_time(stat_ok(names[n]).st_mtim, t[1]));
			CHECK(equal_time(stat_ok(names[n]).st_atim, t[0]));
		}
		t[1].tv_sec += 5;
		OK(futimens(fd, t));
		CHECK(equal_time(stat_ok("f").st_mtim, t[1]));
		OK(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
		CHECK(equal_time(stat_ok("l").st_mtim, t[1]));
	}
	has("f", "x");
}

static void utimens_special(void)
{
	struct timespec set[2] = { { 1000, 1 }, { 2000, 2 } };
	struct timespec t[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	struct timespec now;
	struct stat st;

	put("f", "x");
	OK(utimensat(AT_FDCWD, "f", set, 0));
	OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK(equal_time(stat_ok("f").st_mtim, set[1]));
	t[0] = (struct timespec){ 3000, 3 };
	OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK(equal_time(stat_ok("f").st_atim, t[0]));
	CHECK(equal_time(stat_ok("f").st_mtim, set[1]));
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec--;
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_nsec = UTIME_NOW;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	st = stat_ok("f");
	SAME(st.st_atim.tv_sec, 3000);
	CHECK(newer(st.st_mtim, now));
	CHECK(st.st_mtim.tv_sec - now.tv_sec < 10);
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	CHECK(newer(stat_ok("f").st_atim, now));
	t[1].tv_nsec = 1000000000;
	ERR(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	ERR(utimensat(AT_FDCWD, "none", NULL, 0), ENOENT);
}

/* What a filesystem cannot keep becomes the end of what it can. */
static void utimens_far(void)
{
	struct timespec t[2] = { { 1ll << 40, 1 }, { 1ll << 46, 2 } };

	put("f", "x");
	OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK(stat_ok("f").st_atim.tv_sec > 2000000000);
	CHECK(stat_ok("f").st_mtim.tv_sec > 2000000000);
	t[0].tv_sec = -t[0].tv_sec;
	t[1].tv_sec = -t[1].tv_sec;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK(stat_ok("f").st_atim.tv_sec < -2000000000);
	CHECK(stat_ok("f").st_mtim.tv_sec < -2000000000);
}

/* -- who moves what
 * ------------------------------------------------------------- */

enum { M = 1, C = 2 }; /* mtime, ctime */

static int fd;
static struct timespec t2[2] = { { 5, 5 }, { 6, 6 } };

static void op_write(void)
{
	write_ok(fd, "z", 1);
}
static void op_write_nothing(void)
{
	SAME(write(fd, "", 0), 0);
}
static void op_truncate(void)
{
	OK(ftruncate(fd, 3));
}
static void op_truncate_same(void)
{
	OK(truncate("f", stat_ok("f").st_size));
}
static void op_open_trunc(void)
{
	close_ok(open_ok("f", O_WRONLY | O_TRUNC));
}
static void op_chmod(void)
{
	OK(chmod("f", 0600));
}
static void op_chmod_same(void)
{
	OK(chmod("f", 0600));
}
static void op_chown(void)
{
	OK(chown("f", geteuid(), getegid()));
}
static void op_utimens(void)
{
	OK(utimensat(AT_FDCWD, "f", t2, 0));
}
static void op_xattr(void)
{
	OK(setxattr("f", "user.a", "1", 1, 0));
}
static void op_xattr_remove(void)
{
	OK(removexattr("f", "user.a"));
}
static void op_link(void)
{
	OK(link("f", "g"));
}
static void op_unlink_other(void)
{
	OK(unlink("g"));
}
static void op_rename(void)
{
	OK(rename("f", "h"));
	OK(link("h", "f"));
	OK(unlink("h"));
}
static void op_read(void)
{
	char c;

	SAME(pread(fd, &c, 1, 0), 1);
}
static void op_punch(void)
{
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2));
}
static void op_grow(void)
{
	OK(fallocate(fd, 0, 0, 10000));
}
static void op_fsync(void)
{
	OK(fsync(fd));
}
static void op_open_close(void)
{
	close_ok(open_ok("f", O_RDWR));
}

static void file_times(void)
{
	static const struct {
		void (*run)(void);
		int moves;
		const char *name;
	} ops[] = {
		{ op_write, M | C, "write" },
		{ op_write_nothing, 0, "write of nothing" },
		{ op_truncate, M | C, "truncate" },
		{ op_truncate_same, M | C, "truncate to the same size" },
		{ op_chmod, C, "chmod" },
		{ op_chmod_same, C, "chmod to the same" },
		{ op_chown, C, "chown" },
		{ op_xattr, C, "setxattr" },
		{ op_xattr_remove, C, "removexattr" },
		{ op_link, C, "link" },
		{ op_unlink_other, C, "unlink of another name" },
		{ op_rename, C, "rename" },
		{ op_read, 0, "read" },
		{ op_fsync, 0, "fsync" },
		{ op_open_close, 0, "open for writing" },
		{ op_punch, M | C, "punch hole" },
		{ op_grow, M | C, "fallocate" },
		{ op_open_trunc, M | C, "open with truncation" },
		{ op_utimens, C, "utimens" },
	};

	put("f", "start");
	fd = open_ok("f", O_RDWR);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct stat a = stat_ok("f"), b;

		tick();
		ops[i].run();
		b = stat_ok("f");
		if (newer(b.st_ctim, a.st_ctim) != !!(ops[i].moves & C))
			check_fail("ctime after %s", ops[i].name);
		if (ops[i].run == op_utimens)
			continue;
		if (newer(b.st_mtim, a.st_mtim) != !!(ops[i].moves & M))
			check_fail("mtime after %s", ops[i].name);
	}
}

static void in_create(void)
{
	put("d/f", "x");
}
static void in_write(void)
{
	int w = open_ok("d/f", O_WRONLY);

	write_ok(w, "yy", 2);
	close_ok(w);
}
static void in_link(void)
{
	OK(link("d/f", "d/g"));
}
static void in_unlink(void)
{
	OK(unlink("d/g"));
}
static void in_mkdir(void)
{
	OK(mkdir("d/e", 0755));
}
static void in_rmdir(void)
{
	OK(rmdir("d/e"));
}
static void in_symlink(void)
{
	OK(symlink("x", "d/l"));
}
static void in_fifo(void)
{
	OK(mkfifo("d/p", 0644));
}
static void in_rename(void)
{
	OK(rename("d/f", "d/h"));
}
static void in_rename_over(void)
{
	OK(rename("d/l", "d/p"));
}
static void in_rename_out(void)
{
	OK(rename("d/h", "out"));
}
static void in_chmod(void)
{
	OK(chmod("d/p", 0600));
}
static void in_list(void)
{
	CHECK(count_entries("d") > 0);
}
static void in_fail(void)
{
	ERR(mkdir("d/p", 0755), EEXIST);
	ERR(unlink("d/none"), ENOENT);
}

static void dir_times(void)
{
	static const struct {
		void (*run)(void);
		bool moves;
		const char *name;
	} ops[] = {
		{ in_create, true, "create" },
		{ in_write, false, "write" },
		{ in_link, true, "link" },
		{ in_unlink, true, "unlink" },
		{ in_mkdir, true, "mkdir" },
		{ in_rmdir, true, "rmdir" },
		{ in_symlink, true, "symlink" },
		{ in_fifo, true, "mkfifo" },
		{ in_rename, true, "rename" },
		{ in_chmod, false, "chmod of an entry" },
		{ in_fail, false, "failed calls" },
		{ in_list, false, "readdir" },
		{ in_rename_over, true, "rename over" },
		{ in_rename_out, true, "rename out" },
	};

	OK(mkdir("d", 0755));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct stat a = stat_ok("d"), b;

		if (ops[i].run == in_chmod)
			OK(unlink("d/l")), OK(symlink("y", "d/l")),
				a = stat_ok("d");
		tick();
		ops[i].run();
		b = stat_ok("d");
		if (newer(b.st_mtim, a.st_mtim) != ops[i].moves)
			check_fail("mtime after %s", ops[i].name);
		if (newer(b.st_ctim, a.st_ctim) != ops[i].moves)
			check_fail("ctime after %s", ops[i].name);
	}
}

/* a new file's times are now, and equal */
static void new_times(void)
{
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	put("f", "");
	st = stat_ok("f");
	CHECK(st.st_mtim.tv_sec - now.tv_sec <= 5);
	CHECK(now.tv_sec - st.st_mtim.tv_sec <= 1);
	CHECK(!newer(st.st_mtim, st.st_ctim));
	OK(mkdir("d", 0755));
	st = stat_ok("d");
	CHECK(now.tv_sec - st.st_mtim.tv_sec <= 1);
	CHECK(equal_time(st.st_mtim, st.st_ctim));
	CHECK(equal_time(st.st_mtim, st.st_atim));
}

/* times that were set stay through everything that does not change content */
static void set_times_stay(void)
{
	struct timespec t[2] = { { 111, 222 }, { 333, 444 } };

	OK(mkdir("d", 0755));
	put("d/f", "x");
	OK(utimensat(AT_FDCWD, "d/f", t, 0));
	OK(chmod("d/f", 0600));
	OK(rename("d", "e"));
	OK(link("e/f", "g"));
	OK(rename("e/f", "f"));
	has("f", "x");
	CHECK(equal_time(stat_ok("f").st_mtim, t[1]));
	CHECK(equal_time(stat_ok("g").st_mtim, t[1]));
	put("g", "y");
	CHECK(stat_ok("f").st_mtim.tv_sec > 1000);
}

const struct check checks_times[] = {
	{ "utimens_exact", utimens_exact, 0, NULL },
	{ "utimens_special", utimens_special, 0, NULL },
	{ "utimens_far", utimens_far, 0, NULL },
	{ "file_times", file_times, 0, NULL },
	{ "dir_times", dir_times, 0, NULL },
	{ "new_times", new_times, 0, NULL },
	{ "set_times_stay", set_times_stay, 0, NULL },
	{ 0 },
};
