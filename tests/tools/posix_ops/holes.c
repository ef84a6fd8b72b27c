/* SPDX-License-Identifier: Apache-2.0 */
/* holes.c - fallocate, punched and found holes */
#include "tests/tools/posix_ops/posix_ops.h"

#include <linux/falloc.h>

#define KEEP  FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  FALLOC_FL_ZERO_RANGE

static void expect(int fd, const char *wanted, size_t n)
{
	cleanup_free char *p = malloc(n);

	CHECK(p);
	SAME(fstat_ok(fd).st_size, n);
	pread_ok(fd, p, n, 0);
	for (size_t i = 0; i < n; i++)
		if (p[i] != wanted[i])
			check_fail("wrong byte at %zu of %zu", i, n);
}

static void falloc_default(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);
	char c;

	OK(fallocate(fd, 0, 0, 10000));
	SAME(fstat_ok(fd).st_size, 10000);
	SAME(pread(fd, &c, 1, 9999), 1);
	SAME(c, 0);
	pwrite_ok(fd, "x", 1, 5000);
	OK(fallocate(fd, 0, 2000, 4000));
	SAME(fstat_ok(fd).st_size, 10000);
	pread_ok(fd, &c, 1, 5000);
	SAME(c, 'x');
	OK(fallocate(fd, 0, 9000, 100000));
	SAME(stat_ok("f").st_size, 109000);
	CHECK(stat_ok("f").st_blocks >= 109000 / 512);
	SAME(posix_fallocate(fd, 0, 120000), 0);
	SAME(stat_ok("f").st_size, 120000);
}

static void falloc_keep(void)
{
	int fd;

	put("f", "abc");
	fd = open_ok("f", O_RDWR);
	OK(fallocate(fd, KEEP, 0, 1 << 20));
	SAME(fstat_ok(fd).st_size, 3);
	CHECK(fstat_ok(fd).st_blocks >= 2048);
	has("f", "abc");
	OK(lseek(fd, 0, SEEK_END));
	write_ok(fd, "d", 1);
	has("f", "abcd");
}

static void falloc_punch(void)
{
	cleanup_free char *p = malloc(300000);
	long before;
	int fd;

	CHECK(p);
	fill("f", 300000, 3);
	pattern(p, 300000, 3);
	fd = open_ok("f", O_RDWR);
	OK(fsync(fd));
	before = fstat_ok(fd).st_blocks;
	OK(fallocate(fd, PUNCH, 65536, 131072));
	memset(p + 65536, 0, 131072);
	expect(fd, p, 300000);
	CHECK(fstat_ok(fd).st_blocks < before);
	/* unaligned, inside a block, and over the end */
	OK(fallocate(fd, PUNCH, 10, 20));
	memset(p + 10, 0, 20);
	OK(fallocate(fd, PUNCH, 5001, 9000));
	memset(p + 5001, 0, 9000);
	OK(fallocate(fd, PUNCH, 299000, 5000));
	memset(p + 299000, 0, 1000);
	OK(fallocate(fd, PUNCH, 400000, 5000));
	expect(fd, p, 300000);
}

static void falloc_zero(void)
{
	cleanup_free char *p = calloc(1, 60000);
	int fd;

	CHECK(p);
	fill("f", 50000, 3);
	pattern(p, 50000, 3);
	fd = open_ok("f", O_RDWR);
	OK(fallocate(fd, ZERO, 100, 20000));
	memset(p + 100, 0, 20000);
	expect(fd, p, 50000);
	OK(fallocate(fd, ZERO | KEEP, 45000, 10000));
	memset(p + 45000, 0, 5000);
	expect(fd, p, 50000);
	OK(fallocate(fd, ZERO, 48000, 12000));
	expect(fd, p, 60000);
}

static void falloc_errors(void)
{
	int fd, r, d;

	put("f", "abc");
	fd = open_ok("f", O_RDWR);
	r = open_ok("f", O_RDONLY);
	d = open_ok(".", O_RDONLY);
	ERR(fallocate(fd, 0, -1, 10), EINVAL);
	ERR(fallocate(fd, 0, 0, 0), EINVAL);
	ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
	ERR(fallocate(r, 0, 0, 10), EBADF);
	ERR(fallocate(d, 0, 0, 10), EBADF);
	ERR(fallocate(fd, 0, 0x7fffffffffffff00, 0x1000), EFBIG);
	has("f", "abc");
}

/* ext4 knows these; a FUSE file system cannot be asked for them */
static void falloc_shift(void)
{
	int fd;

	fill("f", 40960, 1);
	fd = open_ok("f", O_RDWR);
	SEE(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096));
	SEE(fallocate(fd, FALLOC_FL_INSERT_RANGE, 4096, 4096));
}

static void seek_simple(void)
{
	int fd, d;

	put("f", "0123456789");
	fd = open_ok("f", O_RDWR);
	SAME(lseek(fd, 0, SEEK_DATA), 0);
	SAME(lseek(fd, 5, SEEK_DATA), 5);
	SAME(lseek(fd, 0, SEEK_HOLE), 10);
	SAME(lseek(fd, 9, SEEK_HOLE), 10);
	ERR(lseek(fd, 10, SEEK_DATA), ENXIO);
	ERR(lseek(fd, 10, SEEK_HOLE), ENXIO);
	ERR(lseek(fd, -1, SEEK_DATA), ENXIO);
	close_ok(fd);
	fd = open_ok("empty", O_RDWR | O_CREAT, 0644);
	ERR(lseek(fd, 0, SEEK_DATA), ENXIO);
	ERR(lseek(fd, 0, SEEK_HOLE), ENXIO);
	d = open_ok(".", O_RDONLY);
	CHECK(lseek(d, 0, SEEK_CUR) == 0);
}

static void seek_holes(void)
{
	const off_t M = 1 << 20;
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	pwrite_ok(fd, "one", 3, M);
	pwrite_ok(fd, "two", 3, 5 * M);
	OK(ftruncate(fd, 8 * M));
	OK(fsync(fd));
	SAME(lseek(fd, 0, SEEK_HOLE), 0);
	SAME(lseek(fd, 0, SEEK_DATA), M);
	SAME(lseek(fd, M, SEEK_HOLE), M + 4096);
	SAME(lseek(fd, M + 4096, SEEK_DATA), 5 * M);
	SAME(lseek(fd, 5 * M + 4096, SEEK_HOLE), 5 * M + 4096);
	ERR(lseek(fd, 6 * M, SEEK_DATA), ENXIO);
	OK(fallocate(fd, PUNCH, 0, 2 * M));
	SAME(lseek(fd, 0, SEEK_DATA), 5 * M);
	CHECK(fstat_ok(fd).st_blocks < 64);
}

/* unwritten data must never be announced as a hole */
static void seek_fresh_data(void)
{
	const off_t M = 1 << 20;
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	OK(ftruncate(fd, 4 * M));
	for (int i = 0; i < 4; i++) {
		off_t at = i * M + 4096 * i;

		pwrite_ok(fd, "x", 1, at);
		SAME(lseek(fd, i * M, SEEK_DATA), at);
		SAME(lseek(fd, at, SEEK_HOLE), at + 4096);
	}
}

const struct check checks_holes[] = {
	{ "falloc_default", falloc_default, 0, NULL },
	{ "falloc_keep", falloc_keep, 0, NULL },
	{ "falloc_punch", falloc_punch, 0, NULL },
	{ "falloc_zero", falloc_zero, 0, NULL },
	{ "falloc_errors", falloc_errors, 0, NULL },
	{ "falloc_shift", falloc_shift, 0,
	  "the kernel offers FUSE no shifting of ranges" },
	{ "seek_simple", seek_simple, 0, NULL },
	{ "seek_holes", seek_holes, 0, NULL },
	{ "seek_fresh_data", seek_fresh_data, 0, NULL },
	{ 0 },
};
