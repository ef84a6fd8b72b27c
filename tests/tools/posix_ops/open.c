/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - open, creat, openat: flags, modes, errors */
#include "tests/tools/posix_ops/posix_ops.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>

static void create_modes(void)
{
	static const mode_t modes[] = { 0,    0400, 0644, 0755,
					0777, 0600, 0111, 01666 };
	char name[16];

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		umask(i % 2 ? 027 : 0);
		close_ok(open_ok(name, O_RDWR | O_CREAT | O_EXCL, modes[i]));
		SAME(stat_ok(name).st_mode,
		     S_IFREG | (modes[i] & ~(i % 2 ? 027u : 0u)));
		SAME(stat_ok(name).st_size, 0);
		SAME(stat_ok(name).st_nlink, 1);
		SAME(stat_ok(name).st_uid, geteuid());
	}
}

static void create_excl(void)
{
	put("f", "x");
	OK(symlink("nowhere", "dangling"));
	OK(mkdir("d", 0755));
	ERR(open("f", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	ERR(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	ERR(open("d", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	CHECK(!exists("nowhere"));
	has("f", "x");
}

static void create_through_symlink(void)
{
	OK(mkdir("d", 0755));
	OK(symlink("d/target", "l"));
	put("l", "hello");
	has("d/target", "hello");
	CHECK(S_ISLNK(stat_ok("l").st_mode));
}

static void open_truncates(void)
{
	int fd;

	fill("f", 70000, 1);
	fd = open_ok("f", O_WRONLY | O_TRUNC);
	SAME(fstat_ok(fd).st_size, 0);
	SAME(stat_ok("f").st_size, 0);
	write_ok(fd, "ab", 2);
	close_ok(fd);
	has("f", "ab");
	/* also by way of O_CREAT, keeping the mode */
	OK(chmod("f", 0600));
	close_ok(open_ok("f", O_WRONLY | O_CREAT | O_TRUNC, 0777));
	SAME(stat_ok("f").st_mode & 07777, 0600);
	SAME(stat_ok("f").st_size, 0);
}

static void open_append(void)
{
	char buf[8];
	int fd, other;

	put("f", "abc");
	fd = open_ok("f", O_RDWR | O_APPEND);
	write_ok(fd, "d", 1);
	SAME(lseek(fd, 0, SEEK_CUR), 4);
	OK(lseek(fd, 0, SEEK_SET));
	write_ok(fd, "e", 1);
	/* Linux: pwrite on an append descriptor appends as well */
	SAME(pwrite(fd, "f", 1, 0), 1);
	has("f", "abcdef");
	other = open_ok("f", O_WRONLY);
	SAME(pwrite(other, "X", 1, 0), 1);
	OK(lseek(other, 0, SEEK_END));
	write_ok(other, "g", 1);
	write_ok(fd, "h", 1);
	pread_ok(fd, buf, 8, 0);
	CHECK(memcmp(buf, "Xbcdefgh", 8) == 0);
}

/* two append descriptors, turn by turn: nothing is overwritten */
static void append_two(void)
{
	int a = open_ok("f", O_WRONLY | O_CREAT | O_APPEND, 0644);
	int b = open_ok("f", O_WRONLY | O_APPEND);
	char line[32];
	cleanup_free char *all = malloc(32 * 1000);
	int fd;

	for (int i = 0; i < 1000; i++) {
		memset(line, 'a' + i % 26, sizeof(line));
		write_ok(i % 2 ? a : b, line, sizeof(line));
	}
	SAME(stat_ok("f").st_size, 32000);
	fd = open_ok("f", O_RDONLY);
	CHECK(all);
	pread_ok(fd, all, 32000, 0);
	for (int i = 0; i < 32000; i++)
		SAME(all[i], 'a' + i / 32 % 26);
}

static void append_flag(void)
{
	struct iovec v = { .iov_base = (char *)"zz", .iov_len = 2 };
	int fd;

	put("f", "abc");
	fd = open_ok("f", O_RDWR);
	SAME(pwritev2(fd, &v, 1, 0, RWF_APPEND), 2);
	has("f", "abczz");
	OK(fcntl(fd, F_SETFL, O_APPEND));
	write_ok(fd, "1", 1);
	has("f", "abczz1");
	OK(fcntl(fd, F_SETFL, 0));
	SAME(pwrite(fd, "A", 1, 0), 1);
	has("f", "Abczz1");
}

static void open_errors(void)
{
	put("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("loop", "loop"));
	OK(symlink("f", "l"));
	ERR(open("nothing", O_RDONLY), ENOENT);
	ERR(open("nothing/x", O_RDONLY | O_CREAT, 0644), ENOENT);
	ERR(open("f/x", O_RDONLY), ENOTDIR);
	ERR(open("f/x", O_RDONLY | O_CREAT, 0644), ENOTDIR);
	ERR(open("f/", O_RDONLY), ENOTDIR);
	ERR(open("d", O_WRONLY), EISDIR);
	ERR(open("d", O_RDWR), EISDIR);
	ERR(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	ERR(open("d", O_RDONLY | O_TRUNC), EISDIR);
	ERR(open("new/", O_WRONLY | O_CREAT, 0644), EISDIR);
	ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	ERR(open("loop", O_RDONLY), ELOOP);
	ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	ERR(open("", O_RDONLY), ENOENT);
	has("f", "x");
}

static void access_mode(void)
{
	char c = 'a';
	int fd;

	put("f", "x");
	fd = open_ok("f", O_RDONLY);
	ERR(write(fd, &c, 1), EBADF);
	ERR(ftruncate(fd, 0), EINVAL);
	close_ok(fd);
	fd = open_ok("f", O_WRONLY);
	ERR(read(fd, &c, 1), EBADF);
	close_ok(fd);
	fd = open_ok(".", O_RDONLY);
	ERR(read(fd, &c, 1), EISDIR);
	close_ok(fd);
}

/* a file made without any permission can still be written by its maker */
static void create_readonly(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT | O_EXCL, 0);

	write_ok(fd, "data", 4);
	SAME(fstat_ok(fd).st_size, 4);
	close_ok(fd);
	OK(chmod("f", 0400));
	has("f", "data");
}

static void open_at(void)
{
	int d, fd;

	OK(mkdir("d", 0755));
	OK(mkdir("d/e", 0755));
	d = open_ok("d", O_RDONLY | O_DIRECTORY);
	fd = (int)OK(openat(d, "f", O_RDWR | O_CREAT, 0644));
	write_ok(fd, "1", 1);
	has("d/f", "1");
	OK(mkdirat(d, "e/x", 0755));
	OK(symlinkat("f", d, "l"));
	OK(renameat(d, "f", d, "e/f"));
	OK(rename("d", "moved"));
	/* the descriptor follows the directory */
	OK(fstatat(d, "e/f", &(struct stat){ 0 }, 0));
	OK(unlinkat(d, "e/f", 0));
	OK(unlinkat(d, "e/x", AT_REMOVEDIR));
	CHECK(!exists("moved/e/f") && !exists("moved/e/x"));
	ERR(openat(fd, "x", O_RDONLY), ENOTDIR);
}

static void open_path(void)
{
	struct stat st;
	char c, link[8], proc[64];
	int fd;

	put("f", "text");
	OK(symlink("f", "l"));
	fd = open_ok("f", O_PATH);
	ERR(read(fd, &c, 1), EBADF);
	ERR(fchmod(fd, 0600), EBADF);
	SAME(fstat_ok(fd).st_size, 4);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	OK(rename("f", "g"));
	has(proc, "text");
	close_ok(fd);
	fd = open_ok("l", O_PATH | O_NOFOLLOW);
	OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	CHECK(S_ISLNK(st.st_mode));
	SAME(readlinkat(fd, "", link, sizeof(link)), 1);
}

static void open_tmpfile(void)
{
	char proc[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		see("O_TMPFILE: not supported");
		return;
	}
	CHECK(fd >= 0);
	see("O_TMPFILE: supported");
	write_ok(fd, "t", 1);
	SAME(fstat_ok(fd).st_nlink, 0);
	SAME(count_entries("."), 0);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, proc, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	has("f", "t");
}

static void open_direct(void)
{
	static _Alignas(4096) char p[16384], q[16384];
	int fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644);

	if (fd < 0) {
		SAME(errno, EINVAL);
		see("O_DIRECT: not supported");
		return;
	}
	see("O_DIRECT: supported");
	pattern(p, 16384, 3);
	SAME(pwrite(fd, p, 16384, 0), 16384);
	filled("f", 16384, 3);
	SAME(pread(fd, q, 8192, 4096), 8192);
	CHECK(memcmp(q, p + 4096, 8192) == 0);
	/* cached and direct access see each other */
	{
		int other = open_ok("f", O_RDWR);

		pwrite_ok(other, "cached", 6, 4096);
		SAME(pread(fd, q, 4096, 4096), 4096);
		CHECK(memcmp(q, "cached", 6) == 0);
		memset(q, 'd', 4096);
		SAME(pwrite(fd, q, 4096, 4096), 4096);
		pread_ok(other, p, 8, 4096);
		CHECK(memcmp(p, "dddddddd", 8) == 0);
	}
	SAME(pread(fd, q, 4096, 16384), 0);
}

static void open_sync(void)
{
	int fd = open_ok("f", O_WRONLY | O_CREAT | O_SYNC, 0644);

	write_ok(fd, "12", 2);
	has("f", "12");
	close_ok(fd);
	fd = open_ok("f", O_WRONLY | O_DSYNC | O_APPEND);
	write_ok(fd, "34", 2);
	has("f", "1234");
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	close_ok(fd);
	fd = open_ok(".", O_RDONLY | O_DIRECTORY);
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
}

static void many_descriptors(void)
{
	int fds[200];
	char c;

	put("f", "0123456789");
	for (int i = 0; i < 200; i++) {
		fds[i] = open_ok("f", i % 3 ? O_RDONLY : O_RDWR);
		OK(lseek(fds[i], i % 10, SEEK_SET));
	}
	for (int i = 0; i < 200; i++) {
		SAME(read(fds[i], &c, 1), 1);
		SAME(c, '0' + i % 10);
	}
	OK(unlink("f"));
	for (int i = 0; i < 200; i += 2)
		close_ok(fds[i]);
	for (int i = 1; i < 200; i += 2)
		SAME(pread(fds[i], &c, 1, 9), 1);
}

static void file_size_limit(void)
{
	struct rlimit l = { 10000, 10000 };
	char block[4096] = "";
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &l));
	SAME(pwrite(fd, block, 4096, 8000), 2000);
	ERR(pwrite(fd, block, 1, 10000), EFBIG);
	ERR(ftruncate(fd, 10001), EFBIG);
	SAME(fstat_ok(fd).st_size, 10000);
}

const struct check checks_open[] = {
	{ "create_modes", create_modes, 0, NULL },
	{ "create_excl", create_excl, 0, NULL },
	{ "create_through_symlink", create_through_symlink, 0, NULL },
	{ "create_readonly", create_readonly, 0, NULL },
	{ "open_truncates", open_truncates, 0, NULL },
	{ "open_append", open_append, 0, NULL },
	{ "append_two", append_two, 0, NULL },
	{ "append_flag", append_flag, 0, NULL },
	{ "open_errors", open_errors, 0, NULL },
	{ "access_mode", access_mode, 0, NULL },
	{ "open_at", open_at, 0, NULL },
	{ "open_path", open_path, 0, NULL },
	{ "open_tmpfile", open_tmpfile, 0,
	  "O_TMPFILE needs a request libfuse 3.14 does not know" },
	{ "open_direct", open_direct, 0, "O_DIRECT may be refused" },
	{ "open_sync", open_sync, 0, NULL },
	{ "many_descriptors", many_descriptors, 0, NULL },
	{ "file_size_limit", file_size_limit, 0, NULL },
	{ 0 },
};
