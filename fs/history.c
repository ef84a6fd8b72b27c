/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - the journal and the times of paths, for callers outside FUSE. */
#include "core/error.h"
#include "fs/changes.h"
#include "fs/mount.h"
#include "fs/times.h"
#include "fs/view.h"

struct reader {
	int (*fn)(void *ctx, const struct fs_journal_entry *e);
	void *ctx;
};

/* What lies in the daemon's own file's place is nobody's business. */
static bool own(const char *path)
{
	size_t n = sizeof(FS_OWN_NAME) - 1;

	return !strncmp(path, FS_OWN_NAME, n) &&
	       (!path[n] || path[n] == '/');
}

static int tell(void *ctx, const struct fs_journal_entry *e)
{
	const struct reader *r = ctx;

	if (own(e->path) && (!e->from || own(e->from)))
		return 0;
	return r->fn(r->ctx, e);
}

int fs_journal(struct fs *f, const char *id_or_dir, struct fs_clock since,
	       int64_t deadline,
	       int (*fn)(void *ctx, const struct fs_journal_entry *e),
	       void *ctx, struct fs_clock *ret)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	struct reader r = { fn, ctx };
	int rc;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	if (m->changes)
		rc = journal_read(m->changes->journal, since, deadline, tell,
				  &r, ret);
	else
		rc = fail(-EROFS, "%s is a read-only view: nothing changes in "
			  "it", m->dir);
	mount_release(m);
	return rc;
}

static void copy_time(void *ctx, uint64_t key, int64_t time_ns)
{
	times_set(ctx, key, time_ns);
}

struct times *fs_times(struct fs *f, const char *id_or_dir)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	struct times *copy;

	if (!m)
		return NULL;
	copy = times_new();
	view_lock(m);
	times_each(m->times, copy_time, copy);
	view_unlock(m);
	mount_release(m);
	return copy;
}
