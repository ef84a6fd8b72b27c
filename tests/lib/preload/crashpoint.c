/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crashpoint.c - preloaded into the daemon: dies by SIGKILL just before the
 * N-th change of a directory.
 *
 * CRASH_FILE is the file that arms it: "N DIRECTORY". Calls that change a name
 * right in that directory, or write a file of it that was opened last, are
 * counted; the file is removed before the end comes, so the next daemon lives.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __thread int watched = -1; /* the descriptor opened last */
static int count;                 /* atomic */

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
		real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int real_open(const char *path, int flags, int mode)
{
	static int (*real)(const char *, int, ...);

	if (!real)
		real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT,
							      "open64");
	return real(path, flags, mode);
}

/* How many changes are left, and of which directory; 0 not armed. */
static int armed(char dir[4096])
{
	const char *file = getenv("CRASH_FILE");
	char text[4200];
	int n = 0, fd;
	ssize_t k;

	if (!file || strcmp(program_invocation_short_name, "scorpio") != 0)
		return 0;
	fd = real_open(file, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	k = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[k > 0 ? k : 0] = '\0';
	return sscanf(text, "%d %4095s", &n, dir) == 2 ? n : 0;
}

static void die_at(int n)
{
	if (__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) != n)
		return;
	unlinkat(AT_FDCWD, getenv("CRASH_FILE"), 0);
	raise(SIGKILL);
}

static int is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return path && !strncmp(path, dir, n) && path[n] == '/' &&
	       !strchr(path + n + 1, '/');
}

static int step(const char *path)
{
	char dir[4096];
	int saved = errno, n = armed(dir);

	if (!n || !is_in(path, dir))
		return 0;
	die_at(n);
	errno = saved;
	return 1;
}

static int opened(const char *path, int flags, int mode)
{
	int mine = flags & (O_CREAT | O_WRONLY | O_RDWR) ? step(path) : 0;
	int fd = real_open(path, flags, mode);

	if (mine)
		watched = fd;
	return fd;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		va_list list; \
		int mode; \
		va_start(list, flags); \
		mode = flags & O_CREAT ? va_arg(list, int) : 0; \
		va_end(list); \
		return opened(path, flags, mode); \
	}
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *p, size_t n)
{
	char dir[4096];
	int at;
	REAL(write);

	if (fd >= 0 && fd == watched && (at = armed(dir)))
		die_at(at);
	return real(fd, p, n);
}

int close(int fd)
{
	REAL(close);

	if (fd == watched)
		watched = -1;
	return real(fd);
}

int link(const char *from, const char *to)
{
	REAL(link);

	step(to);
	return real(from, to);
}

int rename(const char *from, const char *to)
{
	REAL(rename);

	step(to);
	return real(from, to);
}

int unlink(const char *path)
{
	REAL(unlink);

	step(path);
	return real(path);
}
