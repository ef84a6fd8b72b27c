/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool component_ok(const char *p, size_t n)
{
	return n && n <= NAME_MAX && !(n == 1 && p[0] == '.') &&
	       !(n == 2 && p[0] == '.' && p[1] == '.');
}

static bool path_ok(const char *path)
{
	size_t n;

	for (;;) {
		n = strcspn(path, "/");
		if (!component_ok(path, n))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

/* For kernels (and seccomp filters) without openat2. Cuts up path. */
static int open_stepwise(int root, char *path, int flags)
{
	int dir = root, fd;
	char *slash;

	while ((slash = strchr(path, '/'))) {
		*slash = '\0';
		fd = openat(dir, path,
			    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		if (dir != root)
			close(dir);
		if (fd < 0)
			return fd;
		dir = fd;
		path = slash + 1;
	}
	fd = openat(dir, path, flags);
	if (fd < 0)
		fd = -errno;
	if (dir != root)
		close(dir);
	return fd;
}

int walk_open(int root, const char *path, uint32_t len, int flags)
{
	struct open_how how = { 0 };
	char copy[PATH_MAX];
	long fd;

	flags |= O_NOFOLLOW | O_CLOEXEC;
	if (len >= sizeof(copy))
		return -ENAMETOOLONG;
	if (!len) {
		fd = openat(root, ".", flags);
		return fd < 0 ? -errno : (int)fd;
	}
	memcpy(copy, path, len);
	copy[len] = '\0';
	if (strlen(copy) != len || !path_ok(copy))
		return -EINVAL;
	how.flags = (uint64_t)flags;
	how.resolve =
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	/* O_PATH opens a symbolic link itself, which RESOLVE_NO_SYMLINKS
	 * refuses for the last component too */
	if (flags & O_PATH)
		return open_stepwise(root, copy, flags);
	fd = syscall(SYS_openat2, root, copy, &how, sizeof(how));
	if (fd >= 0)
		return (int)fd;
	if (errno == ENOSYS || errno == EPERM)
		return open_stepwise(root, copy, flags);
	return -errno;
}
