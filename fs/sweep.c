/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - what daemons that died left of workspaces. */
#include "core/log.h"
#include "core/path.h"
#include "fs/workspace.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

/* Another daemon makes, or removes, it just now. */
static bool somebodys(const char *dir)
{
	cleanup_free char *path = xasprintf("%s/lock", dir);
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB);
}

void fs_sweep(const char *state_dir)
{
	DIR *d = opendir(state_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_free char *path = NULL;

		if (strncmp(e->d_name, WORKSPACE_GONE, strlen(WORKSPACE_GONE)))
			continue;
		path = xasprintf("%s/%s", state_dir, e->d_name);
		if (somebodys(path))
			continue;
		if (path_empty_dir(path) || rmdir(path))
			log_warn("fs", "%s could not be removed: %s", path,
				 strerror(errno));
	}
	if (d)
		closedir(d);
}
