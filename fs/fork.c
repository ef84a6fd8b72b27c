/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - a second workspace with the changes of one that is in use. It is made
 * under a name that is none of a workspace and gets its own at the end, so a
 * daemon that dies leaves the whole of it, or what fs_sweep removes. The
 * first one is not touched but for names its files have elsewhere.
 */
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/path.h"
#include "fs/changes.h"
#include "fs/wal.h"
#include "fs/workspace.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FREEZE_MS 10000

struct fork {
	struct mount *m;
	const struct fs_fork_request *r;
	char *dir;      /* until it is complete */
	int at, upper;  /* descriptors of dir and dir/upper */
	int lock;       /* held: nobody sweeps it */
	struct changes_shared shared;
};

static int open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? fail(-errno, "%s: %s", path, strerror(errno)) : fd;
}

static int begin(struct fork *x)
{
	char id[FS_ID_LEN + 1];
	int rc;

	id_uuid(id);
	x->dir = xasprintf("%s/" WORKSPACE_GONE "%s", x->r->state_dir, id);
	rc = path_make_dirs(x->dir, 0700);
	if (rc)
		return rc;
	x->at = open_dir(AT_FDCWD, x->dir);
	if (x->at < 0)
		return x->at;
	x->lock = openat(x->at, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (x->lock < 0 || flock(x->lock, LOCK_EX | LOCK_NB) ||
	    mkdirat(x->at, "upper", 0700))
		return fail(-errno, "%s: %s", x->dir, strerror(errno));
	x->upper = open_dir(x->at, "upper");
	return MIN(x->upper, 0);
}

/* Names of files need their directories on the disk. */
static int sync_dirs(struct fork *x)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < 256; i++) {
		char sub[8];

		snprintf(sub, sizeof(sub), "%02x", i);
		cleanup_fd int fd = openat(x->upper, sub, O_RDONLY |
					   O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && fsync(fd))
			rc = -errno;
	}
	if (!rc && (fsync(x->upper) || fsync(x->at)))
		rc = -errno;
	return rc ? fail(rc, "%s: %s", x->dir, strerror(-rc)) : 0;
}

static int write_meta(struct fork *x)
{
	struct mount *m = x->m;
	cleanup_free char *base = workspace_base(m->workspace, m, m->rev_spec,
						 &m->rev, &m->root);
	cleanup_free char *path = xasprintf("%s/meta", x->dir);

	return path_write(path, base, strlen(base), 0600, true);
}

static int fill(struct fork *x)
{
	struct changes *c = x->m->changes;
	struct wal_checkpoint *state = NULL;
	int64_t end = MIN(x->r->deadline, deadline_in_ms(FREEZE_MS));
	int rc = changes_freeze(c, end);

	if (rc)
		return rc;
	rc = changes_share(c, x->upper, &x->shared, &state);
	changes_thaw(c);
	if (!rc)
		rc = wal_copy_end(state, x->at);
	if (!rc)
		rc = write_meta(x);
	return rc ? rc : sync_dirs(x);
}

static int finish(struct fork *x)
{
	cleanup_free char *to = xasprintf("%s/%s", x->r->state_dir,
					  x->r->workspace);
	cleanup_fd int above = -1;

	if (rename(x->dir, to))
		return fail(-errno, "%s: %s", to, strerror(errno));
	above = open_dir(AT_FDCWD, x->r->state_dir);
	if (above >= 0 && fsync(above))
		return fail(-errno, "%s: %s", x->r->state_dir,
			    strerror(errno));
	return 0;
}

static int make(struct fork *x)
{
	int rc = begin(x);

	if (!rc)
		rc = fill(x);
	if (!rc)
		rc = finish(x);
	if (rc && x->at >= 0) {
		cleanup_free char *why = xstrdup(error_text(rc));

		path_empty_dir(x->dir);
		rmdir(x->dir);
		fail(rc, "%s", why);
	}
	base_close(&x->upper);
	base_close(&x->at);
	base_close(&x->lock);
	free(x->dir);
	return rc;
}

int fs_fork(struct fs *f, const char *id_or_dir,
	    const struct fs_fork_request *r, struct fs_forked *ret)
{
	struct fork x = { .r = r, .at = -1, .upper = -1, .lock = -1 };
	int rc;

	x.m = mount_acquire(f, id_or_dir);
	if (!x.m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	if (!x.m->changes) {
		mount_release(x.m);
		return fail(-EROFS, "%s is read-only: there is nothing to "
			    "fork", id_or_dir);
	}
	pthread_mutex_lock(&x.m->switching);
	rc = make(&x);
	if (!rc) {
		ret->files = x.shared.files;
		ret->bytes = x.shared.bytes;
		snprintf(ret->rev, sizeof(ret->rev), "%s", x.m->rev.text);
	}
	pthread_mutex_unlock(&x.m->switching);
	mount_release(x.m);
	return rc;
}
