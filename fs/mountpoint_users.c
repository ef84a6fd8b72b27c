/* SPDX-License-Identifier: Apache-2.0 */
/* mountpoint_users.c - who keeps a mount busy, from /proc. */
#include "core/buf.h"
#include "fs/mountpoint.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>

#define NAMED_MAX 3

/* Links of /proc are read, never followed: the mount may not answer. */
static bool link_below(int at, const char *name, const char *dir)
{
	char target[4096];
	ssize_t n = readlinkat(at, name, target, sizeof(target) - 1);
	size_t len = strlen(dir);

	if (n < (ssize_t)len)
		return false;
	target[n] = '\0';
	return !strncmp(target, dir, len) &&
	       (target[len] == '/' || target[len] == '\0');
}

static bool holds_file(int process, const char *dir)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = isdigit((unsigned char)*e->d_name) &&
			link_below(fd, e->d_name, dir);
	if (d)
		closedir(d);
	return found;
}

static bool uses(int process, const char *dir)
{
	return link_below(process, "cwd", dir) ||
	       link_below(process, "root", dir) ||
	       link_below(process, "exe", dir) || holds_file(process, dir);
}

static void add(struct buf *out, int process, const char *pid)
{
	char comm[64] = "?";
	cleanup_fd int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, comm, sizeof(comm) - 1);

	if (n > 0)
		comm[n - (comm[n - 1] == '\n')] = '\0';
	buf_printf(out, "%s%s (pid %s)", out->len ? ", " : "", comm, pid);
}

char *mountpoint_users(const char *dir)
{
	struct buf out = BUF_INIT;
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned n = 0;

	while (d && n <= NAMED_MAX && (e = readdir(d))) {
		cleanup_fd int process = -1;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		process = openat(dirfd(d), e->d_name,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0 || !uses(process, dir))
			continue;
		if (++n <= NAMED_MAX)
			add(&out, process, e->d_name);
		else
			buf_puts(&out, " and others");
	}
	if (d)
		closedir(d);
	if (!n) {
		buf_done(&out);
		return NULL;
	}
	return buf_steal(&out);
}
