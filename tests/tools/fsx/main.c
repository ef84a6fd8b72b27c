/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsx - exercise one file: every byte is known, every read is checked.
 *
 *	fsx [-s SEED] [-n OPS] [-l SIZE] [-W] [-M] [-F] [-o OP] [-p] FILE
 *
 * reads, writes, appends, truncates, maps (reading and writing), punches,
 * zeroes, allocates and copies ranges, closes and opens again. An existing
 * FILE is the start: its content is read once and trusted.
 *	-l	the largest size (262144)	-o	print each operation from
 *OP on -M	no mmap	-F no fallocate		-W	one descriptor, never
 *reopened -p	keep the file; the last line printed is its size and sum Exit
 *code 1: a wrong byte, size or errno; the last operations are printed.
 */
#include "core/base.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define TAIL 32

struct step {
	unsigned long n;
	const char *what;
	size_t at, len, size;
};

static const char *path;
static int fd = -1;
static unsigned char *good; /* what the file must hold */
static unsigned char *buf;
static size_t size, limit = 262144;
static uint64_t state;
static unsigned long step_no, say_from = ~0ul;
static struct step steps[TAIL];
static bool no_map, no_falloc, one_fd;

static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static size_t below(size_t n)
{
	return n ? (size_t)(next() % n) : 0;
}

static void die(const char *fmt, ...)
{
	va_list ap;

	printf("FAILED at operation %lu: ", step_no);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\nthe last operations (offset, length, size before):\n");
	for (unsigned long i = 0; i < TAIL; i++) {
		const struct step *s = &steps[(step_no + 1 + i) % TAIL];

		if (s->what)
			printf("  %lu %s %zu+%zu (%zu)\n", s->n, s->what, s->at,
			       s->len, s->size);
	}
	exit(1);
}

static void note(const char *what, size_t at, size_t len)
{
	steps[step_no % TAIL] = (struct step){ step_no, what, at, len, size };
	if (step_no >= say_from)
		printf("%lu %s %zu+%zu (%zu)\n", step_no, what, at, len, size);
}

static void compare(const unsigned char *got, size_t at, size_t len)
{
	if (memcmp(got, good + at, len) == 0)
		return;
	for (size_t i = 0; i < len; i++)
		if (got[i] != good[at + i])
			die("byte %zu is %02x, wanted %02x", at + i, got[i],
			    good[at + i]);
}

/* a place: often around borders of pages and chunks */
static size_t place(size_t max)
{
	size_t p = below(max + 1);

	if (below(3) == 0) {
		size_t unit = below(2) ? 4096 : 65536;

		p = (p + unit / 2) / unit * unit + below(5);
		p = p > 2 ? p - 2 : 0;
	}
	return MIN(p, max);
}

static size_t length(size_t max)
{
	size_t n = below(4) ? below(70000) : below(2000);

	return MIN(n, max);
}

/* -- operations
 * ------------------------------------------------------------------ */

static void do_read(void)
{
	size_t at = place(limit), len = length(limit), want;
	ssize_t n;

	note("read", at, len);
	want = at >= size ? 0 : MIN(len, size - at);
	n = pread(fd, buf, len, (off_t)at);
	if (n != (ssize_t)want)
		die("read gave %zd, wanted %zu (%s)", n, want, strerror(errno));
	compare(buf, at, want);
}

static void grown(size_t end)
{
	size = MAX(size, end);
}

static void new_bytes(size_t at, size_t len)
{
	unsigned char first = (unsigned char)next();

	for (size_t i = 0; i < len; i++)
		good[at + i] = (unsigned char)(first + i * 13 + (i >> 8));
}

static void do_write(void)
{
	size_t at = place(limit - 1), len = 1 + length(limit - at - 1);

	note("write", at, len);
	new_bytes(at, len);
	if (pwrite(fd, good + at, len, (off_t)at) != (ssize_t)len)
		die("write: %s", strerror(errno));
	grown(at + len);
}

static void do_append(void)
{
	int a;
	size_t at = size, len;

	if (size == limit)
		return;
	len = 1 + length(limit - size - 1);
	note("append", at, len);
	new_bytes(at, len);
	a = open(path, O_WRONLY | O_APPEND);
	if (a < 0 || write(a, good + at, len) != (ssize_t)len || close(a) < 0)
		die("append: %s", strerror(errno));
	grown(at + len);
}

static void do_truncate(void)
{
	size_t to = place(limit);

	note("truncate", to, 0);
	if (below(2) ? ftruncate(fd, (off_t)to) : truncate(path, (off_t)to))
		die("truncate: %s", strerror(errno));
	if (to < size)
		memset(good + to, 0, size - to);
	size = to;
}

static void do_map(bool writing)
{
	size_t at, len, pad;
	unsigned char *p;

	if (size == 0)
		return;
	at = place(size - 1);
	len = 1 + length(size - at - 1);
	pad = at % 4096;
	note(writing ? "map-write" : "map-read", at, len);
	p = mmap(NULL, len + pad, PROT_READ | (writing ? PROT_WRITE : 0),
		 MAP_SHARED, fd, (off_t)(at - pad));
	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	compare(p + pad, at, len);
	/* after the end of the file a page reads as zeros */
	if (at + len == size)
		for (size_t i = pad + len; i % 4096; i++)
			if (p[i])
				die("byte %zu after the end is %02x", i, p[i]);
	if (writing) {
		new_bytes(at, len);
		memcpy(p + pad, good + at, len);
		if (below(2) && msync(p, len + pad, MS_SYNC) < 0)
			die("msync: %s", strerror(errno));
	}
	if (munmap(p, len + pad) < 0)
		die("munmap: %s", strerror(errno));
}

static void do_map_read(void)
{
	do_map(false);
}

static void do_map_write(void)
{
	do_map(true);
}

static void allocate(const char *what, int mode, bool zero)
{
	size_t at = place(limit - 1), len = 1 + length(limit - at - 1);

	note(what, at, len);
	if (fallocate(fd, mode, (off_t)at, (off_t)len) < 0)
		die("%s: %s", what, strerror(errno));
	if (zero && at < size)
		memset(good + at, 0, MIN(len, size - at));
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grown(at + len);
}

static void do_falloc(void)
{
	allocate("allocate", below(2) ? FALLOC_FL_KEEP_SIZE : 0, false);
}

static void do_punch(void)
{
	allocate("punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true);
}

static void do_zero(void)
{
	allocate("zero",
		 FALLOC_FL_ZERO_RANGE | (below(2) ? FALLOC_FL_KEEP_SIZE : 0),
		 true);
}

static void do_copy(void)
{
	size_t from = place(limit - 1), to = place(limit - 1), len, want;
	off_t in = (off_t)from, out = (off_t)to;

	len = 1 + length(limit - MAX(from, to) - 1);
	if (from < to + len && to < from + len)
		return; /* overlapping: refused */
	note("copy", from, len);
	want = from >= size ? 0 : MIN(len, size - from);
	/* no more: what is copied becomes part of the source */
	for (size_t left = want; left > 0;) {
		ssize_t n = copy_file_range(fd, &in, fd, &out, left, 0);

		if (n < 0)
			die("copy to %zu: %s", to, strerror(errno));
		if (n == 0)
			break;
		left -= (size_t)n;
	}
	if (out != (off_t)(to + want))
		die("copied to %lld, wanted %zu", (long long)out, to + want);
	memcpy(good + to, good + from, want);
	if (want > 0)
		grown(to + want);
}

static void do_reopen(void)
{
	if (one_fd)
		return;
	note("reopen", 0, 0);
	if (close(fd) < 0)
		die("close: %s", strerror(errno));
	fd = open(path, O_RDWR);
	if (fd < 0)
		die("open: %s", strerror(errno));
}

static void do_sync(void)
{
	note("sync", 0, 0);
	if (below(2) ? fsync(fd) : fdatasync(fd))
		die("fsync: %s", strerror(errno));
}

/* forget clean pages, so that the next read comes from below */
static void do_drop(void)
{
	note("drop", 0, 0);
	if (fsync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die("fadvise: %s", strerror(errno));
}

static void do_seek(void)
{
	size_t at = place(limit);
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	note("seek", at, 0);
	if (data < 0 && errno != ENXIO)
		die("SEEK_DATA: %s", strerror(errno));
	if (data >= 0 && (size_t)data >= size)
		die("SEEK_DATA gave %lld of %zu", (long long)data, size);
	/* what it skips is zero */
	for (size_t i = at; i < (data < 0 ? size : (size_t)data); i++)
		if (good[i])
			die("SEEK_DATA skips byte %zu", i);
}

static void check_size(void)
{
	struct stat a, b;

	if (fstat(fd, &a) < 0 || stat(path, &b) < 0)
		die("stat: %s", strerror(errno));
	if ((size_t)a.st_size != size || (size_t)b.st_size != size)
		die("size is %lld by fstat, %lld by stat, wanted %zu",
		    (long long)a.st_size, (long long)b.st_size, size);
}

static void check_all(void)
{
	note("check", 0, size);
	for (size_t at = 0; at < size;) {
		ssize_t n = pread(fd, buf, size - at, (off_t)at);

		if (n <= 0)
			die("read at %zu: %s", at, strerror(errno));
		compare(buf, at, (size_t)n);
		at += (size_t)n;
	}
	if (pread(fd, buf, 1, (off_t)size) != 0)
		die("there is more than %zu bytes", size);
}

static const struct {
	void (*run)(void);
	unsigned weight;
	int group; /* 1 mmap, 2 fallocate */
} ops[] = {
	{ do_read, 20, 0 },    { do_write, 20, 0 },   { do_append, 5, 0 },
	{ do_truncate, 8, 0 }, { do_map_read, 8, 1 }, { do_map_write, 10, 1 },
	{ do_falloc, 4, 2 },   { do_punch, 6, 2 },    { do_zero, 4, 2 },
	{ do_copy, 6, 0 },     { do_reopen, 3, 0 },   { do_sync, 1, 0 },
	{ do_drop, 2, 0 },     { do_seek, 4, 0 },
};

static void one(void)
{
	for (;;) {
		size_t i = below(ARRAY_SIZE(ops));

		if (below(20) >= ops[i].weight ||
		    (ops[i].group == 1 && no_map) ||
		    (ops[i].group == 2 && no_falloc))
			continue;
		ops[i].run();
		return;
	}
}

static void start(void)
{
	struct stat st;

	fd = open(path, O_RDWR | O_CREAT, 0644);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(path);
		exit(2);
	}
	limit = MAX(limit, (size_t)st.st_size);
	size = (size_t)st.st_size;
	good = calloc(1, limit + 4096);
	buf = calloc(1, limit + 4096);
	if (!good || !buf || pread(fd, good, size, 0) != (ssize_t)size) {
		perror(path);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = (uint64_t)time(NULL), sum = 0;
	unsigned long n = 10000;
	bool keep = false;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:l:o:MFWp")) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			n = strtoul(optarg, NULL, 0);
		else if (opt == 'l')
			limit = MAX(strtoul(optarg, NULL, 0), 4096ul);
		else if (opt == 'o')
			say_from = strtoul(optarg, NULL, 0);
		else if (opt == 'M')
			no_map = true;
		else if (opt == 'F')
			no_falloc = true;
		else if (opt == 'W')
			one_fd = true;
		else if (opt == 'p')
			keep = true;
		else
			return 2;
	}
	if (argc - optind != 1) {
		fprintf(stderr, "usage: fsx [-s SEED] [-n OPS] FILE\n");
		return 2;
	}
	path = argv[optind];
	state = seed;
	printf("seed %llu\n", (unsigned long long)seed);
	start();
	for (step_no = 0; step_no < n; step_no++) {
		steps[step_no % TAIL].what = NULL;
		one();
		check_size();
		if (step_no % 100 == 99)
			check_all();
	}
	check_all();
	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + good[i];
	if (!keep && unlink(path) < 0)
		die("unlink: %s", strerror(errno));
	printf("%lu operations, size %zu, sum %llx\n", n, size,
	       (unsigned long long)sum);
	free(good);
	free(buf);
	close(fd);
	return 0;
}
