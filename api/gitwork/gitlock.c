/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gitlock.c - index.lock of a repository, made as git does: no program of git's
 * writes the index meanwhile.
 *
 * Ours says that it is ours from the moment it is there: it is written under
 * another name and linked. So what a daemon that was killed left behind is never
 * taken for a lock of git's, nor the other way round.
 */
#include "api/gitwork/prepare.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

#include <fcntl.h>

#define OURS "scorpio"
#define TEXT_MAX 64
#define POLL_MS 50

static char *lock_path(const char *gitdir)
{
	return xasprintf("%s/index.lock", gitdir);
}

static char *mark_path(const char *gitdir)
{
	return xasprintf("%s/scorpio.lock", gitdir);
}

/* The caller alone has the job of this repository: the name is free, or of one
 * that was killed. It may be the lock itself by another name, so it goes before
 * it is written. */
static int write_mark(const char *path)
{
	int fd, rc = 0;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	if (write(fd, OURS, strlen(OURS)) != (ssize_t)strlen(OURS))
		rc = fail(-EIO, "%s: cannot be written", path);
	close(fd);
	return rc;
}

int gitlock_take(const char *gitdir)
{
	cleanup_free char *mark = mark_path(gitdir);
	cleanup_free char *path = lock_path(gitdir);
	int rc = write_mark(mark);

	if (!rc && link(mark, path))
		rc = errno == EEXIST
			     ? fail(-EBUSY, "git is at work in it (%s is "
				    "there): wait until it ends", path)
			     : fail(-errno, "%s: %s", path, strerror(errno));
	unlink(mark);
	return rc;
}

bool gitlock_is_ours(const char *gitdir)
{
	cleanup_free char *path = lock_path(gitdir);
	cleanup_free char *text = NULL;
	size_t n;

	return !path_read(path, TEXT_MAX, &text, &n) && !strcmp(text, OURS);
}

int gitlock_wait(const char *gitdir, int64_t deadline, const bool *cancel)
{
	int rc = 0;

	while (!gitlock_is_ours(gitdir)) {
		rc = gitlock_take(gitdir);
		if (rc != -EBUSY || now_ns() >= deadline ||
		    __atomic_load_n(cancel, __ATOMIC_RELAXED))
			return rc;
		usleep(POLL_MS * 1000);
	}
	return 0;
}

void gitlock_drop(const char *gitdir)
{
	cleanup_free char *path = lock_path(gitdir);
	cleanup_free char *mark = mark_path(gitdir);

	unlink(mark);
	if (gitlock_is_ours(gitdir))
		unlink(path);
}
