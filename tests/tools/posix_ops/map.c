/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - mmap, shared and private, and the end of the file */
#include "tests/tools/posix_ops/posix_ops.h"

#include <signal.h>
#include <sys/mman.h>

static char *map(int fd, size_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		check_fail("mmap: %s", strerrorname_np(errno));
	return p;
}

#define RW (PROT_READ | PROT_WRITE)

static void map_shared(void)
{
	char buf[16];
	char *p;
	int fd;

	fill("f", 20000, 1);
	fd = open_ok("f", O_RDWR);
	p = map(fd, 20000, RW, MAP_SHARED);
	memcpy(p + 4090, "hello map", 9); /* over a page boundary */
	pread_ok(fd, buf, 9, 4090);
	CHECK(memcmp(buf, "hello map", 9) == 0);
	OK(msync(p, 20000, MS_SYNC));
	/* and the other way round */
	pwrite_ok(fd, "by write", 8, 9000);
	CHECK(memcmp(p + 9000, "by write", 8) == 0);
	memcpy(p + 100, "late", 4);
	OK(munmap(p, 20000));
	close_ok(fd);
	fd = open_ok("f", O_RDONLY);
	pread_ok(fd, buf, 4, 100);
	CHECK(memcmp(buf, "late", 4) == 0);
	SAME(fstat_ok(fd).st_size, 20000);
}

/* the last page keeps the file's size, and zeros after it */
static void map_last_page(void)
{
	char *p;
	int fd;

	put("f", "12345");
	fd = open_ok("f", O_RDWR);
	p = map(fd, 4096, RW, MAP_SHARED);
	for (int i = 5; i < 4096; i++)
		SAME(p[i], 0);
	memcpy(p, "abcdefgh", 8);
	OK(msync(p, 4096, MS_SYNC));
	has("f", "abcde");
	OK(munmap(p, 4096));
	has("f", "abcde");
}

static void map_private(void)
{
	char *p;
	int fd;

	put("f", "original");
	fd = open_ok("f", O_RDONLY);
	p = map(fd, 4096, RW, MAP_PRIVATE);
	memcpy(p, "changed!", 8);
	has("f", "original");
	OK(munmap(p, 4096));
	has("f", "original");
}

static void map_errors(void)
{
	int fd, d;

	put("f", "x");
	fd = open_ok("f", O_RDONLY);
	d = open_ok(".", O_RDONLY);
	SAME(mmap(NULL, 4096, RW, MAP_SHARED, fd, 0), MAP_FAILED);
	SAME(errno, EACCES);
	SAME(mmap(NULL, 4096, PROT_READ, MAP_SHARED, d, 0), MAP_FAILED);
	SAME(errno, ENODEV);
	close_ok(fd);
	fd = open_ok("f", O_WRONLY);
	SAME(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	SAME(errno, EACCES);
}

static volatile char *touched;

static void on_bus(int sig UNUSED)
{
	_exit(42);
}

static void touch_it(void)
{
	signal(SIGBUS, on_bus);
	*touched = 1;
	_exit(43);
}

static void dies_of_bus(char *p)
{
	int status;
	pid_t pid;

	touched = p;
	pid = child(touch_it);
	OK(waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	SAME(WEXITSTATUS(status), 42);
}

static void map_beyond_end(void)
{
	char *p;
	int fd;

	put("f", "small");
	fd = open_ok("f", O_RDWR);
	p = map(fd, 16384, RW, MAP_SHARED);
	SAME(p[4095], 0);
	dies_of_bus(p + 4096);
	/* after the file has grown, the page is there */
	OK(ftruncate(fd, 12000));
	p[8192] = 'x';
	dies_of_bus(p + 12288);
	OK(munmap(p, 16384));
	SAME(fstat_ok(fd).st_size, 12000);
}

static void map_truncate(void)
{
	char *p;
	char c;
	int fd;

	fill("f", 40000, 2);
	fd = open_ok("f", O_RDWR);
	p = map(fd, 40000, RW, MAP_SHARED);
	memset(p, 'a', 40000);
	OK(ftruncate(fd, 5000));
	SAME(p[4999], 'a');
	dies_of_bus(p + 8192);
	OK(ftruncate(fd, 40000));
	SAME(p[5000], 0);
	SAME(p[20000], 0);
	p[20000] = 'b';
	OK(msync(p, 40000, MS_SYNC));
	SAME(pread(fd, &c, 1, 20000), 1);
	SAME(c, 'b');
	SAME(pread(fd, &c, 1, 30000), 1);
	SAME(c, 0);
}

static void map_after_close(void)
{
	char *p;
	int fd;

	fill("f", 8192, 2);
	fd = open_ok("f", O_RDWR);
	p = map(fd, 8192, RW, MAP_SHARED);
	close_ok(fd);
	memcpy(p + 4096, "closed", 6);
	OK(rename("f", "g"));
	memcpy(p, "moved", 5);
	OK(munmap(p, 8192));
	fd = open_ok("g", O_RDONLY);
	{
		char buf[8192];

		pread_ok(fd, buf, 8192, 0);
		CHECK(memcmp(buf, "moved", 5) == 0);
		CHECK(memcmp(buf + 4096, "closed", 6) == 0);
	}
}

static void map_unlinked(void)
{
	char *p;
	char buf[4];
	int fd;

	fill("f", 100000, 2);
	fd = open_ok("f", O_RDWR);
	p = map(fd, 100000, RW, MAP_SHARED);
	OK(unlink("f"));
	memset(p, 'u', 100000);
	OK(msync(p, 100000, MS_SYNC));
	pread_ok(fd, buf, 4, 99996);
	CHECK(memcmp(buf, "uuuu", 4) == 0);
	close_ok(fd);
	p[50000] = 'v';
	SAME(p[50000], 'v');
	OK(munmap(p, 100000));
}

static struct turn turn;

static void other_mapper(void)
{
	int fd = open_ok("f", O_RDWR);
	char *p = map(fd, 8192, RW, MAP_SHARED);

	turn_wait(turn.to_child);
	CHECK(memcmp(p + 10, "parent", 6) == 0);
	memcpy(p + 5000, "child", 5);
	turn_send(turn.to_parent);
	turn_wait(turn.to_child);
}

/* two processes share the pages */
static void map_two_processes(void)
{
	pid_t pid;
	char *p;
	int fd;

	turn_init(&turn);
	fill("f", 8192, 1);
	pid = child(other_mapper);
	fd = open_ok("f", O_RDWR);
	p = map(fd, 8192, RW, MAP_SHARED);
	memcpy(p + 10, "parent", 6);
	turn_send(turn.to_child);
	turn_wait(turn.to_parent);
	CHECK(memcmp(p + 5000, "child", 5) == 0);
	turn_send(turn.to_child);
	join(pid);
	turn_done(&turn);
}

/* mtime moves when a mapped page was written and synced */
static void map_times(void)
{
	struct stat before;
	char *p;
	int fd;

	fill("f", 4096, 1);
	fd = open_ok("f", O_RDWR);
	p = map(fd, 4096, RW, MAP_SHARED);
	before = fstat_ok(fd);
	tick();
	p[7] = 'x';
	OK(msync(p, 4096, MS_SYNC));
	OK(munmap(p, 4096));
	CHECK(newer(fstat_ok(fd).st_mtim, before.st_mtim));
}

static void map_sparse(void)
{
	const off_t M = 1 << 20;
	char *p;
	char c;
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	OK(ftruncate(fd, 16 * M));
	p = map(fd, (size_t)(16 * M), RW, MAP_SHARED);
	for (off_t at = 0; at < 16 * M; at += M)
		p[at + at / M] = 's';
	OK(msync(p, (size_t)(16 * M), MS_SYNC));
	OK(munmap(p, (size_t)(16 * M)));
	for (off_t at = 0; at < 16 * M; at += M) {
		pread_ok(fd, &c, 1, at + at / M);
		SAME(c, 's');
		pread_ok(fd, &c, 1, at + 100);
		SAME(c, 0);
	}
}

const struct check checks_map[] = {
	{ "map_shared", map_shared, 0, NULL },
	{ "map_last_page", map_last_page, 0, NULL },
	{ "map_private", map_private, 0, NULL },
	{ "map_errors", map_errors, 0, NULL },
	{ "map_beyond_end", map_beyond_end, 0, NULL },
	{ "map_truncate", map_truncate, 0, NULL },
	{ "map_after_close", map_after_close, 0, NULL },
	{ "map_unlinked", map_unlinked, 0, NULL },
	{ "map_two_processes", map_two_processes, 0, NULL },
	{ "map_times", map_times, 0, NULL },
	{ "map_sparse", map_sparse, 0, NULL },
	{ 0 },
};
