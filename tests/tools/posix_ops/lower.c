/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lower.c - the first change of what came with the revision. The prepared
 * tree (tests/lib/posix.sh makes it) holds
 *	empty one f4095 f4096 f65535 f65536 f65537	pattern(), seed 1
 *	hello "hello\n", script (exits 7), link -> f4095, dangling,
 *	dirlink -> d, d/a "a\n", d/b "b\n", d/e/f/g/h/deep "deep\n",
 *	odd/ with odd names, and on demand big (3 MiB) and wide/w0000 ...
 */
#include "tests/tools/posix_ops/posix_ops.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>

static const struct {
	const char *name;
	size_t size;
} files[] = {
	{ "empty", 0 },      { "one", 1 },        { "f4095", 4095 },
	{ "f4096", 4096 },   { "f65535", 65535 }, { "f65536", 65536 },
	{ "f65537", 65537 },
};

/* The file holds the pattern of seed 1, but for n bytes of c at `at`. */
static void patched(const char *path, size_t size, size_t at, int c, size_t n)
{
	cleanup_free char *got = malloc(size + 1), *want = malloc(size + 1);
	int fd = open_ok(path, O_RDONLY);

	CHECK(got && want);
	SAME(fstat_ok(fd).st_size, size);
	pattern(want, size, 1);
	memset(want + at, c, n);
	pread_ok(fd, got, size, 0);
	close_ok(fd);
	for (size_t i = 0; i < size; i++)
		if (got[i] != want[i])
			check_fail("%s: wrong byte at %zu", path, i);
}

static void lower_read(void)
{
	char buf[16];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		SAME(stat_ok(files[i].name).st_size, files[i].size);
		SAME(stat_ok(files[i].name).st_mode, S_IFREG | 0644);
		SAME(stat_ok(files[i].name).st_nlink, 1);
		filled(files[i].name, files[i].size, 1);
	}
	SAME(stat_ok("script").st_mode, S_IFREG | 0755);
	SAME(readlink("link", buf, sizeof(buf)), 5);
	SAME(readlink("dangling", buf, sizeof(buf)), 7);
	filled("link", 4095, 1);
	has("dirlink/e/f/g/h/deep", "deep\n");
	ERR(open("dangling", O_RDONLY), ENOENT);
	ERR(open("d/none", O_RDONLY), ENOENT);
}

static void lower_overwrite(void)
{
	static const size_t at[] = { 0, 1, 4095, 4096, 40000, 65535, 65536 };

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		int fd = open_ok("f65537", O_WRONLY);
		cleanup_free char *p = malloc(65537);

		CHECK(p);
		pwrite_ok(fd, "\x7f", 1, (off_t)at[i]);
		close_ok(fd);
		patched("f65537", 65537, at[i], 0x7f, 1);
		pattern(p, 65537, 1);
		fd = open_ok("f65537", O_WRONLY);
		pwrite_ok(fd, p, 65537, 0);
		close_ok(fd);
	}
	/* and the very first change far inside another file */
	pwrite_ok(open_ok("f65536", O_RDWR), "\x01\x01", 2, 30000);
	patched("f65536", 65536, 30000, 1, 2);
	filled("f65535", 65535, 1);
}

static void lower_append(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = open_ok(files[i].name, O_WRONLY | O_APPEND);
		char tail[3];

		write_ok(fd, "new", 3);
		SAME(fstat_ok(fd).st_size, files[i].size + 3);
		fd = open_ok(files[i].name, O_RDWR);
		pread_ok(fd, tail, 3, (off_t)files[i].size);
		CHECK(memcmp(tail, "new", 3) == 0);
		OK(ftruncate(fd, (off_t)files[i].size));
		filled(files[i].name, files[i].size, 1);
	}
	/* past the end of what was there */
	pwrite_ok(open_ok("hello", O_WRONLY), "x", 1, 10000);
	SAME(stat_ok("hello").st_size, 10001);
}

static void lower_truncate(void)
{
	int fd;
	char c;

	OK(truncate("f65537", 65536));
	filled("f65537", 65536, 1);
	OK(truncate("f65536", 100));
	filled("f65536", 100, 1);
	OK(truncate("f4095", 70000));
	fd = open_ok("f4095", O_RDONLY);
	pread_ok(fd, &c, 1, 4095);
	SAME(c, 0);
	OK(ftruncate(open_ok("f4095", O_RDWR), 4095));
	filled("f4095", 4095, 1);
	close_ok(open_ok("f65535", O_WRONLY | O_TRUNC));
	SAME(stat_ok("f65535").st_size, 0);
	put("one", "replaced");
	has("one", "replaced");
	OK(truncate("f4096", 0));
	OK(truncate("f4096", 4096));
	pread_ok(open_ok("f4096", O_RDONLY), &c, 1, 7);
	SAME(c, 0);
}

static void lower_big(void)
{
	const size_t size = 3 << 20;

	pwrite_ok(open_ok("big", O_RDWR), "\x05", 1, 2000000);
	patched("big", size, 2000000, 5, 1);
	OK(truncate("big", 1 << 20));
	filled("big", 1 << 20, 1);
}

static void lower_map(void)
{
	char buf[4];
	char *p, *q;
	int r = open_ok("f65537", O_RDONLY), w;

	p = mmap(NULL, 65537, PROT_READ, MAP_SHARED, r, 0);
	CHECK(p != MAP_FAILED);
	CHECK(p[1] == 7 + 1);
	w = open_ok("f65537", O_RDWR);
	q = mmap(NULL, 65537, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0);
	CHECK(q != MAP_FAILED);
	memcpy(q + 65530, "mapped!", 7);
	CHECK(memcmp(p + 65530, "mapped!", 7) == 0);
	pread_ok(r, buf, 4, 65530);
	CHECK(memcmp(buf, "mapp", 4) == 0);
	OK(msync(q, 65537, MS_SYNC));
	pwrite_ok(w, "by write", 8, 100);
	CHECK(memcmp(p + 100, "by write", 8) == 0);
	OK(munmap(q, 65537));
	OK(munmap(p, 65537));
	pread_ok(open_ok("f65537", O_RDONLY), buf, 4, 65530);
	CHECK(memcmp(buf, "mapp", 4) == 0);
}

/* who opened it before the first change sees the change */
static void lower_open_before(void)
{
	struct stat before = stat_ok("f4096");
	int r = open_ok("f4096", O_RDONLY);
	char buf[4];

	pread_ok(r, buf, 4, 0);
	pwrite_ok(open_ok("f4096", O_RDWR), "seen", 4, 0);
	pread_ok(r, buf, 4, 0);
	CHECK(memcmp(buf, "seen", 4) == 0);
	OK(truncate("f4096", 10000));
	SAME(fstat_ok(r).st_size, 10000);
	SAME(fstat_ok(r).st_ino, before.st_ino);
	SAME(stat_ok("f4096").st_ino, before.st_ino);
	OK(chmod("f4096", 0600));
	SAME(fstat_ok(r).st_mode & 0777, 0600);
}

static void lower_unlink(void)
{
	struct stat before = stat_ok("f65536");
	char buf[6];
	int fd = open_ok("f65536", O_RDWR), hello;

	OK(unlink("f65536"));
	CHECK(!exists("f65536"));
	SAME(fstat_ok(fd).st_nlink, 0);
	put("f65536", "another");
	CHECK(stat_ok("f65536").st_ino != before.st_ino);
	pwrite_ok(fd, "late", 4, 65534);
	SAME(fstat_ok(fd).st_size, 65538);
	pread_ok(fd, buf, 1, 65533);
	SAME((unsigned char)buf[0], (255 * 31 + 65533 * 7 + 1) % 251);
	has("f65536", "another");
	hello = open_ok("hello", O_RDONLY);
	OK(unlink("hello"));
	pread_ok(hello, buf, 6, 0);
	CHECK(memcmp(buf, "hello\n", 6) == 0);
	OK(mkdir("hello", 0755));
	SAME(count_entries("hello"), 0);
}

static void lower_attr(void)
{
	struct timespec t[2] = { { 12, 34 }, { 56, 78 } };
	struct stat a = stat_ok("f4096"), b;
	struct stat dir = stat_ok("d");

	tick();
	OK(chmod("f4096", 0640));
	b = stat_ok("f4096");
	SAME(b.st_mode & 07777, 0640);
	SAME(b.st_ino, a.st_ino);
	CHECK(equal_time(b.st_mtim, a.st_mtim));
	CHECK(newer(b.st_ctim, a.st_ctim));
	filled("f4096", 4096, 1);
	OK(utimensat(AT_FDCWD, "f4095", t, 0));
	CHECK(equal_time(stat_ok("f4095").st_mtim, t[1]));
	OK(chmod("d", 0700));
	SAME(stat_ok("d").st_mode, S_IFDIR | 0700);
	CHECK(equal_time(stat_ok("d").st_mtim, dir.st_mtim));
	has("d/a", "a\n");
	OK(utimensat(AT_FDCWD, "d", t, 0));
	CHECK(equal_time(stat_ok("d").st_mtim, t[1]));
	if (geteuid() == 0) {
		OK(chown("hello", 12, 13));
		SAME(stat_ok("hello").st_gid, 13);
		OK(lchown("link", 14, 15));
		SAME(stat_ok("link").st_uid, 14);
		OK(chown("d/e", 16, 17));
	}
	has("hello", "hello\n");
	has("d/e/f/g/h/deep", "deep\n");
}

static void lower_xattr(void)
{
	char buf[32];

	ERR(getxattr("hello", "user.x", buf, sizeof(buf)), ENODATA);
	OK(setxattr("hello", "user.x", "value", 5, 0));
	OK(setxattr("d", "user.y", "dir", 3, 0));
	OK(rename("d", "moved"));
	OK(rename("hello", "moved/hello"));
	SAME(getxattr("moved/hello", "user.x", buf, sizeof(buf)), 5);
	SAME(getxattr("moved", "user.y", buf, sizeof(buf)), 3);
	has("moved/hello", "hello\n");
	OK(removexattr("moved", "user.y"));
	SAME(listxattr("moved/hello", buf, sizeof(buf)), 7);
}

static void lower_times(void)
{
	struct stat f = stat_ok("d/a"), d = stat_ok("d"), top = stat_ok(".");

	tick();
	has("d/a", "a\n");
	CHECK(equal_time(stat_ok("d/a").st_mtim, f.st_mtim));
	put("d/a", "changed");
	CHECK(newer(stat_ok("d/a").st_mtim, f.st_mtim));
	CHECK(equal_time(stat_ok("d").st_mtim, d.st_mtim));
	put("d/new", "x");
	CHECK(newer(stat_ok("d").st_mtim, d.st_mtim));
	CHECK(equal_time(stat_ok(".").st_mtim, top.st_mtim));
	OK(unlink("hello"));
	CHECK(newer(stat_ok(".").st_mtim, top.st_mtim));
	/* an open for writing alone changes nothing */
	f = stat_ok("f4096");
	close_ok(open_ok("f4096", O_RDWR));
	CHECK(equal_time(stat_ok("f4096").st_mtim, f.st_mtim));
}

static void lower_ranges(void)
{
	int fd = open_ok("f65537", O_RDWR), out;
	off_t in = 1;

	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 200));
	patched("f65537", 65537, 100, 0, 200);
	fd = open_ok("f65536", O_RDWR);
	SAME(lseek(fd, 0, SEEK_DATA), 0);
	SAME(lseek(fd, 0, SEEK_HOLE), 65536);
	SAME(lseek(fd, 65000, SEEK_DATA), 65000);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
	filled("f65536", 65536, 1);
	/* from an untouched file into a touched and a new one */
	fd = open_ok("f65535", O_RDONLY);
	out = open_ok("copy", O_RDWR | O_CREAT, 0644);
	for (in = 0; in < 65535;)
		CHECK(OK(copy_file_range(fd, &in, out, NULL, 65535, 0)) > 0);
	filled("copy", 65535, 1);
	in = 0;
	out = open_ok("f4096", O_RDWR);
	while (in < 65535)
		CHECK(OK(copy_file_range(fd, &in, out, NULL, 65535, 0)) > 0);
	filled("f4096", 65535, 1);
	filled("f65535", 65535, 1);
}

static void lower_lock(void)
{
	int a = open_ok("hello", O_RDONLY), b;

	OK(flock(a, LOCK_EX));
	put("hello", "changed");
	b = open_ok("hello", O_RDWR);
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(rename("hello", "h2"));
	b = open_ok("h2", O_RDWR);
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

static int shell(const char *program)
{
	int status;
	pid_t pid = (pid_t)OK(fork());

	if (pid == 0) {
		execl(program, program, (char *)NULL);
		_exit(errno == EACCES ? 201 : 202);
	}
	OK(waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void lower_exec(void)
{
	SAME(shell("./script"), 7);
	OK(rename("script", "d/script"));
	SAME(shell("d/script"), 7);
	put("d/script", "#!/bin/sh\nexit 8\n");
	SAME(shell("d/script"), 8);
	OK(chmod("d/script", 0644));
	SAME(shell("d/script"), 201);
}

/* -- the directory of 2 000
 * ---------------------------------------------------- */

enum { WIDE = 2000 };

static void list_wide(unsigned char *seen, bool remove_odd)
{
	DIR *d = opendir("wide");
	struct dirent *e;

	CHECK(d);
	memset(seen, 0, WIDE);
	while ((e = readdir(d))) {
		int n = atoi(e->d_name + 1);

		if (e->d_name[0] != 'w')
			continue;
		CHECK(n >= 0 && n < WIDE);
		seen[n]++;
		if (remove_odd && n % 2)
			OK(unlinkat(dirfd(d), e->d_name, 0));
	}
	closedir(d);
}

static void lower_wide(void)
{
	static unsigned char seen[WIDE];
	char name[32];

	list_wide(seen, false);
	for (int i = 0; i < WIDE; i++)
		SAME(seen[i], 1);
	list_wide(seen, true);
	for (int i = 0; i < WIDE; i++)
		SAME(seen[i], 1);
	for (int i = 0; i < WIDE; i += 10) { /* some stay, some come back */
		snprintf(name, sizeof(name), "wide/w%04d", i + i % 20 / 10);
		put(name, "new");
	}
	list_wide(seen, false);
	for (int i = 0; i < WIDE; i++)
		SAME(seen[i], i % 2 == 0 || i % 20 == 11);
	OK(rename("wide", "d/w"));
	SAME(count_entries("d/w"), 1000 + 100);
	has("d/w/w0002", "w0002\n");
	has("d/w/w0000", "new");
	has("d/w/w0011", "new");
}

static void lower_wide_remove(void)
{
	char name[32];

	for (int i = 0; i < WIDE; i++) {
		snprintf(name, sizeof(name), "wide/w%04d", i);
		OK(unlink(name));
	}
	SAME(count_entries("wide"), 0);
	OK(rmdir("wide"));
	OK(mkdir("wide", 0755));
	SAME(count_entries("wide"), 0);
	put("wide/w0000", "x");
	SAME(count_entries("wide"), 1);
}

#define L LOWER
const struct check checks_lower[] = {
	{ "lower_read", lower_read, L, NULL },
	{ "lower_overwrite", lower_overwrite, L, NULL },
	{ "lower_append", lower_append, L, NULL },
	{ "lower_truncate", lower_truncate, L, NULL },
	{ "lower_big", lower_big, L | LOWER_BIG, NULL },
	{ "lower_map", lower_map, L, NULL },
	{ "lower_open_before", lower_open_before, L, NULL },
	{ "lower_unlink", lower_unlink, L, NULL },
	{ "lower_attr", lower_attr, L, NULL },
	{ "lower_xattr", lower_xattr, L, NULL },
	{ "lower_times", lower_times, L, NULL },
	{ "lower_ranges", lower_ranges, L, NULL },
	{ "lower_lock", lower_lock, L, NULL },
	{ "lower_exec", lower_exec, L, NULL },
	{ "lower_wide", lower_wide, L | LOWER_WIDE | HEAVY, NULL },
	{ "lower_wide_remove", lower_wide_remove, L | LOWER_WIDE | HEAVY,
	  NULL },
	{ 0 },
};
