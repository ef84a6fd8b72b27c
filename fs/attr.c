/* SPDX-License-Identifier: Apache-2.0 */
/* attr.c - setting attributes of an inode of a workspace. */
#include "core/clock.h"
#include "core/error.h"
#include "fs/content.h"
#include "fs/file.h"

#include <fcntl.h>

#define FOR_EVER 1e9

/* The file is to be empty: nothing needs to be copied or opened. */
static int empty(struct request *r, bool *ret_done)
{
	struct cnode *n;
	struct edit e;
	int rc = edit_begin(&e, r);

	if (rc)
		return rc;
	rc = edit_node(&e, r->ino, &n);
	if (!rc && !S_ISREG(n->v.mode))
		rc = n->dir ? -EISDIR : -EINVAL;
	*ret_done = !rc && n->v.content != CONTENT_UPPER && !n->copying;
	if (*ret_done)
		rc = changes_empty(e.c, n);
	edit_end(&e);
	return rc;
}

static int resize(struct request *r, uint64_t size)
{
	static const struct timespec now[2] = { { 0, UTIME_OMIT },
						{ 0, UTIME_NOW } };
	struct content_file f;
	bool done = false;
	int rc = size ? 0 : empty(r, &done);

	if (rc || done)
		return rc;
	if (size > INT64_MAX)
		return -EFBIG;
	rc = content_open(r, r->ino, size, &f);
	if (rc)
		return rc;
	/* the time moves also if the size stays */
	if (ftruncate(f.fd.fd, (off_t)size) || futimens(f.fd.fd, now))
		rc = -errno;
	return content_close(r, &f, rc);
}

static void apply_owner(const struct request *r, const struct cnode *n,
			struct cvalue *v)
{
	bool owner = r->flags & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID);

	if (r->flags & FUSE_SET_ATTR_UID)
		v->uid = r->uid;
	if (r->flags & FUSE_SET_ATTR_GID)
		v->gid = r->gid;
	if (r->flags & FUSE_SET_ATTR_MODE)
		v->mode = (v->mode & S_IFMT) | (r->mode & 07777);
	else if ((r->kill_priv || (owner && r->mount->kill_priv)) && !n->dir) {
		if (v->mode & S_IXGRP)
			v->mode &= ~(uint32_t)S_ISGID;
		v->mode &= ~(uint32_t)S_ISUID;
	}
}

static void apply_times(const struct request *r, struct changes *c,
			struct cvalue *v)
{
	int64_t now = changes_now(c);

	if (r->flags & FUSE_SET_ATTR_ATIME_NOW)
		v->atim = now;
	else if (r->flags & FUSE_SET_ATTR_ATIME)
		v->atim = r->atim;
	if (r->flags & FUSE_SET_ATTR_MTIME_NOW)
		v->mtim = now;
	else if (r->flags & FUSE_SET_ATTR_MTIME)
		v->mtim = r->mtim;
}

/* The content file's own time is what counts after a crash. */
static int stamp(struct changes *c, struct content_file *f, int64_t mtim)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, ns_to_timespec(mtim) };
	struct cnode *n = f->node;
	struct stat st;
	int rc = 0;

	pthread_mutex_lock(changes_stripe(c, n));
	if (futimens(f->fd.fd, times) || fstat(f->fd.fd, &st))
		rc = fail(-errno, "changed content: %s", strerror(errno));
	else
		changes_measure(n, &st);
	pthread_mutex_unlock(changes_stripe(c, n));
	return rc;
}

/* -EBUSY: it has a content file, which is to be opened first. */
static int apply(struct request *r, bool opened, int64_t *ret_mtim,
		 bool *ret_stamp)
{
	struct cnode *n = NULL;
	struct cvalue v;
	struct edit e;
	int rc = edit_begin(&e, r);

	if (rc)
		return rc;
	rc = edit_node(&e, r->ino, &n);
	if (!rc) {
		v = n->v;
		v.mtim = __atomic_load_n(&n->v.mtim, __ATOMIC_RELAXED);
		apply_owner(r, n, &v);
		apply_times(r, e.c, &v);
		*ret_mtim = v.mtim;
		*ret_stamp = n->v.content == CONTENT_UPPER &&
			     r->flags & (FUSE_SET_ATTR_MTIME |
					 FUSE_SET_ATTR_MTIME_NOW);
		rc = *ret_stamp && !opened ? -EBUSY : changes_attr(e.c, n, &v);
	}
	edit_end(&e);
	return rc;
}

static int set_others(struct request *r)
{
	struct content_file f;
	int64_t mtim = 0;
	bool stamped = false;
	int rc = apply(r, false, &mtim, &stamped);

	if (rc != -EBUSY)
		return rc;
	rc = content_open(r, r->ino, CONTENT_ALL, &f);
	if (rc)
		return rc;
	rc = apply(r, true, &mtim, &stamped);
	if (!rc && stamped)
		rc = stamp(r->mount->changes, &f, mtim);
	content_done(r, &f);
	return rc;
}

int attr_set(struct request *r)
{
	const uint32_t others =
		FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
		FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
		FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	struct stat st;
	int rc = 0;

	if (r->flags & FUSE_SET_ATTR_SIZE)
		rc = resize(r, r->off);
	if (!rc && (r->flags & others ||
		    (r->kill_priv && !(r->flags & FUSE_SET_ATTR_SIZE))))
		rc = set_others(r);
	if (!rc)
		rc = file_attributes(r, &st);
	if (rc)
		return rc;
	watch_request(r, 0, 0);
	fuse_reply_attr(r->req, &st, FOR_EVER);
	return 0;
}
