/* SPDX-License-Identifier: Apache-2.0 */
/* data.c - reading, writing and truncating; files open after unlink */
#include "tests/tools/posix_ops/posix_ops.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static void zeros(int fd, off_t from, off_t to)
{
	char buf[4096];

	for (; from < to; from += (off_t)sizeof(buf)) {
		size_t n = MIN(sizeof(buf), (size_t)(to - from));

		pread_ok(fd, buf, n, from);
		for (size_t i = 0; i < n; i++)
			SAME(buf[i], 0);
	}
}

static void write_sizes(void)
{
	static const size_t sizes[] = { 0,      1,      4095,   4096,
					4097,   65535,  65536,  65537,
					131071, 131072, 131073, 1048577 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill("f", sizes[i], (unsigned)i);
		filled("f", sizes[i], (unsigned)i);
	}
}

static void truncate_shrink(void)
{
	int fd;

	fill("f", 100000, 5);
	OK(truncate("f", 65537));
	filled("f", 65537, 5);
	OK(truncate("f", 4095));
	filled("f", 4095, 5);
	/* growing again shows zeros, not the old bytes */
	OK(truncate("f", 20000));
	fd = open_ok("f", O_RDWR);
	SAME(fstat_ok(fd).st_size, 20000);
	zeros(fd, 4095, 20000);
	OK(ftruncate(fd, 1));
	OK(ftruncate(fd, 3));
	zeros(fd, 1, 3);
	OK(ftruncate(fd, 0));
	SAME(stat_ok("f").st_size, 0);
}

static void truncate_grow(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	OK(ftruncate(fd, 1));
	zeros(fd, 0, 1);
	OK(ftruncate(fd, 200001));
	SAME(fstat_ok(fd).st_size, 200001);
	zeros(fd, 0, 200001);
	OK(ftruncate(fd, 5ll << 30));
	SAME(stat_ok("f").st_size, 5ll << 30);
	zeros(fd, (5ll << 30) - 100, 5ll << 30);
	pwrite_ok(fd, "end", 3, (5ll << 30) - 3);
	CHECK(stat_ok("f").st_blocks < 2048);
}

static void truncate_errors(void)
{
	OK(mkdir("d", 0755));
	put("f", "x");
	OK(symlink("f", "l"));
	ERR(truncate("d", 0), EISDIR);
	ERR(truncate("none", 0), ENOENT);
	ERR(truncate("f/x", 0), ENOTDIR);
	ERR(truncate("f", -1), EINVAL);
	has("f", "x");
	OK(truncate("l", 0));
	SAME(stat_ok("f").st_size, 0);
	/* same size: no error, nothing lost */
	put("f", "abc");
	OK(truncate("f", 3));
	has("f", "abc");
}

/* what one descriptor does to the size, all others see */
static void truncate_seen(void)
{
	int a, b;
	char c;

	fill("f", 10000, 2);
	a = open_ok("f", O_RDWR);
	b = open_ok("f", O_RDONLY);
	SAME(pread(b, &c, 1, 9999), 1);
	OK(ftruncate(a, 5000));
	SAME(pread(b, &c, 1, 5000), 0);
	SAME(fstat_ok(b).st_size, 5000);
	SAME(lseek(b, 0, SEEK_END), 5000);
	OK(truncate("f", 6000));
	SAME(pread(b, &c, 1, 5500), 1);
	SAME(c, 0);
	pwrite_ok(a, "z", 1, 7000);
	SAME(fstat_ok(b).st_size, 7001);
}

static void write_past_end(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	pwrite_ok(fd, "a", 1, 100000);
	SAME(fstat_ok(fd).st_size, 100001);
	zeros(fd, 0, 100000);
	pwrite_ok(fd, "b", 1, 200000);
	zeros(fd, 100001, 200000);
	OK(lseek(fd, 1000, SEEK_END));
	write_ok(fd, "c", 1);
	SAME(stat_ok("f").st_size, 201002);
	ERR(pwrite(fd, "c", 1, -1), EINVAL);
	ERR(lseek(fd, -1, SEEK_SET), EINVAL);
}

static void overwrite(void)
{
	cleanup_free char *p = malloc(300000);
	cleanup_free char *q = malloc(300000);
	int fd;

	CHECK(p && q);
	fill("f", 300000, 9);
	pattern(p, 300000, 9);
	fd = open_ok("f", O_RDWR);
	for (int i = 0; i < 100; i++) {
		size_t at = (size_t)i * 2917 % 290000;
		size_t n = 1 + (size_t)i * 97 % 9000;

		memset(p + at, i, n);
		pwrite_ok(fd, p + at, n, (off_t)at);
	}
	pread_ok(fd, q, 300000, 0);
	CHECK(memcmp(p, q, 300000) == 0);
	SAME(fstat_ok(fd).st_size, 300000);
}

static void vectors(void)
{
	char a[3], b[5];
	struct iovec out[3] = { { (char *)"ab", 2 },
				{ (char *)"", 0 },
				{ (char *)"cdefgh", 6 } };
	struct iovec in[2] = { { a, 3 }, { b, 5 } };
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	SAME(writev(fd, out, 3), 8);
	SAME(pwritev(fd, out, 3, 8), 8);
	SAME(preadv(fd, in, 2, 4), 8);
	CHECK(memcmp(a, "efg", 3) == 0 && memcmp(b, "habcd", 5) == 0);
	SAME(preadv(fd, in, 2, 12), 4);
	SAME(stat_ok("f").st_size, 16);
}

/* -- unlinked while open
 * -------------------------------------------------------- */

static void unlink_open(void)
{
	char buf[6];
	int fd;

	put("f", "before");
	fd = open_ok("f", O_RDWR);
	OK(unlink("f"));
	CHECK(!exists("f"));
	SAME(fstat_ok(fd).st_nlink, 0);
	pread_ok(fd, buf, 6, 0);
	CHECK(memcmp(buf, "before", 6) == 0);
	pwrite_ok(fd, "after", 5, 100000);
	SAME(fstat_ok(fd).st_size, 100005);
	OK(ftruncate(fd, 100003));
	OK(fchmod(fd, 0600));
	OK(fsync(fd));
	pread_ok(fd, buf, 3, 100000);
	CHECK(memcmp(buf, "aft", 3) == 0);
	SAME(fstat_ok(fd).st_mode & 0777, 0600);
	/* a new file of that name is another file */
	put("f", "new");
	pread_ok(fd, buf, 6, 0);
	CHECK(memcmp(buf, "before", 6) == 0);
	CHECK(stat_ok("f").st_ino != fstat_ok(fd).st_ino);
	close_ok(fd);
	has("f", "new");
}

static void replace_open(void)
{
	char c;
	int fd;

	put("f", "old");
	put("g", "new");
	fd = open_ok("f", O_RDWR);
	OK(rename("g", "f"));
	SAME(fstat_ok(fd).st_nlink, 0);
	SAME(pread(fd, &c, 1, 0), 1);
	SAME(c, 'o');
	write_ok(fd, "xxx", 3);
	has("f", "new");
}

static void unlink_open_reopen(void)
{
	char proc[64];
	int fd, again;

	put("f", "text");
	fd = open_ok("f", O_RDWR);
	OK(unlink("f"));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	again = open_ok(proc, O_RDWR);
	pwrite_ok(again, "T", 1, 0);
	has(proc, "Text");
	close_ok(again);
	ERR(linkat(AT_FDCWD, proc, AT_FDCWD, "g", AT_SYMLINK_FOLLOW), ENOENT);
}

/* -- moving data between files
 * ---------------------------------------------------- */

static void copy_range(void)
{
	off_t in, out;
	int a, b;

	fill("a", 200000, 4);
	a = open_ok("a", O_RDWR);
	b = open_ok("b", O_RDWR | O_CREAT, 0644);
	for (in = out = 0; in < 200000;)
		CHECK(OK(copy_file_range(a, &in, b, &out, 300000, 0)) > 0);
	SAME(in, 200000);
	SAME(out, 200000);
	filled("b", 200000, 4);
	SAME(copy_file_range(a, &in, b, &out, 10, 0), 0);
	/* into the middle, unaligned, and past the end */
	in = 1;
	out = 250000;
	while (in < 5001)
		CHECK(OK(copy_file_range(a, &in, b, &out, (size_t)(5001 - in),
					 0)) > 0);
	SAME(fstat_ok(b).st_size, 255000);
	zeros(b, 200000, 250000);
}

static void copy_range_same(void)
{
	cleanup_free char *p = malloc(100000);
	cleanup_free char *q = malloc(50000);
	off_t in = 0, out = 50000;
	int fd;

	CHECK(p && q);
	fill("f", 50000, 6);
	pattern(p, 50000, 6);
	fd = open_ok("f", O_RDWR);
	while (in < 50000)
		CHECK(OK(copy_file_range(fd, &in, fd, &out,
					 (size_t)(50000 - in), 0)) > 0);
	SAME(fstat_ok(fd).st_size, 100000);
	pread_ok(fd, q, 50000, 50000);
	CHECK(memcmp(p, q, 50000) == 0);
	in = 0;
	out = 10;
	ERR(copy_file_range(fd, &in, fd, &out, 100, 0), EINVAL);
}

static void copy_range_errors(void)
{
	int r, w, d;

	put("f", "abc");
	r = open_ok("f", O_RDONLY);
	w = open_ok("g", O_WRONLY | O_CREAT | O_APPEND, 0644);
	d = open_ok(".", O_RDONLY);
	ERR(copy_file_range(r, NULL, w, NULL, 1, 0), EBADF); /* append */
	ERR(copy_file_range(w, NULL, r, NULL, 1, 0), EBADF);
	ERR(copy_file_range(d, NULL, r, NULL, 1, 0), EISDIR);
	ERR(copy_file_range(r, NULL, w, NULL, 1, 1), EINVAL);
}

static void send_file(void)
{
	off_t at = 0;
	int a, b, p[2];

	fill("a", 150000, 8);
	a = open_ok("a", O_RDONLY);
	b = open_ok("b", O_WRONLY | O_CREAT, 0644);
	while (at < 150000)
		CHECK(OK(sendfile(b, a, &at, 150000)) > 0);
	filled("b", 150000, 8);
	/* splice: file to pipe to file */
	close_ok(b);
	b = open_ok("c", O_RDWR | O_CREAT, 0644);
	OK(pipe(p));
	OK(lseek(a, 0, SEEK_SET));
	for (long done = 0; done < 150000;) {
		long n = OK(splice(a, NULL, p[1], NULL, 30000, 0));

		CHECK(n > 0);
		for (done += n; n > 0;)
			n -= OK(splice(p[0], NULL, b, NULL, (size_t)n, 0));
	}
	filled("c", 150000, 8);
}

static void read_at_end(void)
{
	char buf[16];
	int fd;

	put("f", "12345");
	fd = open_ok("f", O_RDWR);
	SAME(read(fd, buf, 16), 5);
	SAME(read(fd, buf, 16), 0);
	SAME(pread(fd, buf, 16, 1ll << 40), 0);
	/* what arrives later is read later */
	put("g", "");
	{
		int w = open_ok("f", O_WRONLY | O_APPEND);

		write_ok(w, "67", 2);
	}
	SAME(read(fd, buf, 16), 2);
	CHECK(memcmp(buf, "67", 2) == 0);
}

static void advice(void)
{
	int fd;

	fill("f", 300000, 1);
	fd = open_ok("f", O_RDWR);
	SAME(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	SAME(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	OK(readahead(fd, 0, 100000));
	OK(fsync(fd));
	SAME(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	filled("f", 300000, 1);
}

const struct check checks_data[] = {
	{ "write_sizes", write_sizes, 0, NULL },
	{ "truncate_shrink", truncate_shrink, 0, NULL },
	{ "truncate_grow", truncate_grow, 0, NULL },
	{ "truncate_errors", truncate_errors, 0, NULL },
	{ "truncate_seen", truncate_seen, 0, NULL },
	{ "write_past_end", write_past_end, 0, NULL },
	{ "overwrite", overwrite, 0, NULL },
	{ "vectors", vectors, 0, NULL },
	{ "unlink_open", unlink_open, 0, NULL },
	{ "replace_open", replace_open, 0, NULL },
	{ "unlink_open_reopen", unlink_open_reopen, 0, NULL },
	{ "copy_range", copy_range, 0, NULL },
	{ "copy_range_same", copy_range_same, 0, NULL },
	{ "copy_range_errors", copy_range_errors, 0, NULL },
	{ "send_file", send_file, 0, NULL },
	{ "read_at_end", read_at_end, 0, NULL },
	{ "advice", advice, 0, NULL },
	{ 0 },
};
