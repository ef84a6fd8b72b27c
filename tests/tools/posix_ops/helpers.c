/* SPDX-License-Identifier: Apache-2.0 */
/* helpers.c - the small steps most checks are made of */
#include "tests/tools/posix_ops/posix_ops.h"

#include <dirent.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <time.h>

void put(const char *path, const char *text)
{
	int fd = open_ok(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	write_ok(fd, text, strlen(text));
	close_ok(fd);
}

void has(const char *path, const char *text)
{
	char buf[4096];
	size_t n = 0;
	ssize_t r;
	int fd = open_ok(path, O_RDONLY);

	while (n < sizeof(buf) - 1 &&
	       (r = OK(read(fd, buf + n, sizeof(buf) - 1 - n))) > 0)
		n += (size_t)r;
	buf[n] = '\0';
	close_ok(fd);
	if (n != strlen(text) || memcmp(buf, text, n) != 0)
		check_fail("%s holds '%.100s', wanted '%.100s'", path, buf,
			   text);
}

void pattern(void *p, size_t size, unsigned seed)
{
	unsigned char *c = p;

	for (size_t i = 0; i < size; i++)
		c[i] = (unsigned char)(((i >> 8) * 31 + i * 7 + seed) % 251);
}

void fill(const char *path, size_t size, unsigned seed)
{
	int fd = open_ok(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	cleanup_free char *p = malloc(size + 1);

	CHECK(p);
	pattern(p, size, seed);
	write_ok(fd, p, size);
	close_ok(fd);
}

void filled(const char *path, size_t size, unsigned seed)
{
	int fd = open_ok(path, O_RDONLY);
	cleanup_free char *got = malloc(size + 1);
	cleanup_free char *wanted = malloc(size + 1);

	CHECK(got && wanted);
	SAME(fstat_ok(fd).st_size, size);
	pattern(wanted, size, seed);
	pread_ok(fd, got, size, 0);
	SAME(pread(fd, got, 1, (off_t)size), 0);
	close_ok(fd);
	for (size_t i = 0; i < size; i++)
		if (got[i] != wanted[i])
			check_fail("%s: wrong byte at %zu of %zu", path, i,
				   size);
}

int open_ok(const char *path, int flags, ...)
{
	va_list ap;
	int mode, fd;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, int) : 0;
	va_end(ap);
	fd = open(path, flags, mode);
	if (fd < 0)
		check_fail("open(%.80s, %#o): %s", path, (unsigned)flags,
			   strerrorname_np(errno));
	return fd;
}

void close_ok(int fd)
{
	OK(close(fd));
}

void write_ok(int fd, const void *p, size_t n)
{
	const char *c = p;

	while (n > 0) {
		ssize_t r = OK(write(fd, c, n));

		CHECK(r > 0);
		c += r;
		n -= (size_t)r;
	}
}

void pwrite_ok(int fd, const void *p, size_t n, off_t at)
{
	const char *c = p;

	while (n > 0) {
		ssize_t r = OK(pwrite(fd, c, n, at));

		CHECK(r > 0);
		c += r;
		at += r;
		n -= (size_t)r;
	}
}

void pread_ok(int fd, void *p, size_t n, off_t at)
{
	char *c = p;

	while (n > 0) {
		ssize_t r = OK(pread(fd, c, n, at));

		if (r == 0)
			check_fail("end of file at %lld", (long long)at);
		c += r;
		at += r;
		n -= (size_t)r;
	}
}

struct stat stat_ok(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		check_fail("lstat(%.80s): %s", path, strerrorname_np(errno));
	return st;
}

struct stat fstat_ok(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st;
}

bool exists(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return true;
	if (errno != ENOENT)
		check_fail("lstat(%.80s): %s", path, strerrorname_np(errno));
	return false;
}

int count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	CHECK(d);
	while ((errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n++;
	SAME(errno, 0);
	closedir(d);
	return n;
}

/* File times come from a clock that moves every 1 to 10 ms. */
void tick(void)
{
	struct timespec t = { 0, 12000000 };

	nanosleep(&t, NULL);
}

bool newer(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec
				    : a.tv_nsec > b.tv_nsec;
}

bool equal_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* -- processes ---------------------------------------------------------------
 */

pid_t child(void (*run)(void))
{
	pid_t pid = (pid_t)OK(fork());

	if (pid == 0) {
		run();
		_exit(0);
	}
	return pid;
}

void join(pid_t pid)
{
	int status;

	OK(waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFEXITED(status)) /* it has told why */
		_exit(WEXITSTATUS(status));
	check_fail("a child died of signal %d", WTERMSIG(status));
}

void in_child(void (*run)(void))
{
	join(child(run));
}

void as_other(void (*run)(void))
{
	pid_t pid;

	if (geteuid() != 0)
		check_skip("needs root");
	pid = (pid_t)OK(fork());
	if (pid == 0) {
		struct stat st;

		OK(setgroups(0, NULL));
		OK(setresgid(OTHER, OTHER, OTHER));
		OK(setresuid(OTHER, OTHER, OTHER));
		if (stat(".", &st) < 0 && errno == EACCES)
			check_skip("mounted without allow_other");
		run();
		_exit(0);
	}
	join(pid);
}

void turn_init(struct turn *t)
{
	OK(pipe2(t->to_child, O_CLOEXEC));
	OK(pipe2(t->to_parent, O_CLOEXEC));
}

void turn_done(struct turn *t)
{
	for (int i = 0; i < 2; i++) {
		close(t->to_child[i]);
		close(t->to_parent[i]);
	}
}

void turn_send(int pipe[2])
{
	SAME(write(pipe[1], "x", 1), 1);
}

void turn_wait(int pipe[2])
{
	struct pollfd p = { .fd = pipe[0], .events = POLLIN };
	char c;

	SAME(poll(&p, 1, 20000), 1);
	SAME(read(pipe[0], &c, 1), 1);
}
