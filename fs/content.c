/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/content.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/file.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#define AT_ONCE (256 * KiB) /* copied on a FUSE worker */
#define PIECE (256 * KiB)
#define WITHIN (16 * MiB) /* then look whether the mount is gone */
#define XATTR_CAPS "security.capability"

/* -- copying -------------------------------------------------------------------- */

struct copy {
	struct request *r;
	uint64_t ino, size, file;
	struct view_content from;
	struct upper_fd fd;
	int64_t mtim; /* the content file's word counts from now on */
};

static int write_all(int fd, const char *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t k = pwrite(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return fail(k ? -errno : -ENOSPC,
				    "changed content: %s",
				    strerror(k ? errno : ENOSPC));
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

/* What is shared with another workspace: the disk copies, or shares on. -ENOTSUP:
 * it cannot. */
static int copy_within(struct copy *x, int from)
{
	off_t at = 0, end, out;
	ssize_t n;

	if (ftruncate(x->fd.fd, (off_t)x->size))
		return fail(-errno, "changed content: %s", strerror(errno));
	/* nobody uses the position of this descriptor */
	while ((at = lseek(from, at, SEEK_DATA)) >= 0 &&
	       at < (off_t)x->size) {
		end = lseek(from, at, SEEK_HOLE);
		end = MIN(end, (off_t)x->size);
		for (out = at; at < end;) {
			n = copy_file_range(from, &at, x->fd.fd, &out,
					    MIN((size_t)(end - at), WITHIN), 0);
			if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
				return fail(-errno, "changed content: %s",
					    strerror(errno));
			if (n <= 0)
				return -ENOTSUP;
			if (__atomic_load_n(&x->r->mount->dead,
					    __ATOMIC_RELAXED))
				return -EINTR;
		}
	}
	return at < 0 && errno != ENXIO ? -ENOTSUP : 0;
}

static int copy_shared(struct copy *x)
{
	struct upper *u = x->r->mount->changes->upper;
	struct upper_fd from;
	int rc = upper_get(u, x->from.file, &from);

	if (rc)
		return rc;
	rc = copy_within(x, from.fd);
	upper_put(u, &from);
	return rc;
}

static int copy_bytes(struct copy *x)
{
	char *buf = request_scratch(PIECE);
	int64_t got;
	int rc = x->from.content == CONTENT_UPPER ? copy_shared(x)
						  : -ENOTSUP;

	if (rc != -ENOTSUP)
		return rc;
	rc = 0;
	for (uint64_t at = 0; at < x->size && !rc; at += (uint64_t)got) {
		got = file_read_content(x->r, x->ino, &x->from, at, buf,
					MIN(PIECE, x->size - at));
		if (got < 0)
			return (int)got;
		if (!got)
			return fail(-EIO, "content ends after %llu of %llu "
				    "bytes", (unsigned long long)at,
				    (unsigned long long)x->size);
		rc = write_all(x->fd.fd, buf, (size_t)got, at);
		if (__atomic_load_n(&x->r->mount->dead, __ATOMIC_RELAXED))
			rc = -EINTR;
	}
	return rc;
}

/* Make the file and fill it. No lock is held. */
static int copy_up(struct copy *x, struct stat *st)
{
	struct changes *c = x->r->mount->changes;
	struct timespec times[2] = { { 0, UTIME_OMIT },
				     ns_to_timespec(x->mtim) };
	int rc = upper_create(c->upper, x->file, &x->fd);

	if (rc)
		return rc;
	rc = copy_bytes(x);
	if (!rc && (futimens(x->fd.fd, times) || fstat(x->fd.fd, st)))
		rc = fail(-errno, "changed content: %s", strerror(errno));
	if (rc) {
		upper_put(c->upper, &x->fd);
		upper_remove(c->upper, x->file);
	}
	return rc;
}

/* -- who copies, and who waits ----------------------------------------------------- */

/* lock: edit. Others copy this inode just now, or fork all of them. */
static int wait_for_copy(struct edit *e, struct cnode *n)
{
	int64_t end = deadline_in_ms(1000);

	if (!e->r->background)
		return -EINPROGRESS;
	store_read_end(&e->reader);
	while ((n->copying || e->c->frozen) && now_ns() < end)
		cond_wait_until(&e->c->copied, &e->c->edit, end);
	return store_read_begin(e->m->store, &e->reader);
}

/* lock: edit; dropped and taken again for the copy. n is named by a request
 * under way, so it stays. */
static int copy_unlocked(struct edit *e, struct cnode *n, struct copy *x,
			 struct stat *st)
{
	int rc, again;

	n->copying = true;
	edit_end(e);
	rc = copy_up(x, st);
	again = store_read_begin(e->m->store, &e->reader);
	changes_edit(e->c);
	n->copying = false;
	pthread_cond_broadcast(&e->c->copied);
	if (!rc && again) {
		upper_put(e->c->upper, &x->fd);
		upper_remove(e->c->upper, x->file);
	}
	return rc ? rc : again;
}

/* How much there is to copy, and can it be done on this thread? */
static int plan(struct edit *e, const struct cnode *n, uint64_t keep,
		struct copy *x)
{
	if (n->v.content == CONTENT_EMPTY || !keep)
		return 0;
	x->from = (struct view_content){ .kind = SCORPIO_FILE,
					 .content = n->v.content,
					 .file = n->v.file,
					 .id = n->v.id };
	x->size = n->v.size != SCORPIO_SIZE_UNKNOWN
			  ? n->v.size
			  : view_blob_size(e->m, &e->reader, &n->v.id);
	if (x->size == SCORPIO_SIZE_UNKNOWN)
		return request_need(e->r, WANT_BLOB, &n->v.id, n->v.ino,
				    SCORPIO_FILE);
	x->size = MIN(x->size, keep);
	return x->size > AT_ONCE && !e->r->background ? -EINPROGRESS : 0;
}

/* A content file of its own, with what it shall keep of the one before. */
static int replace(struct edit *e, struct cnode *n, uint64_t keep,
		   struct content_file *ret)
{
	struct copy x = { .r = e->r, .ino = n->v.ino, .mtim = n->v.mtim };
	enum content before = n->v.content;
	uint64_t file = n->v.file;
	struct stat st;
	int rc;

	if (before == CONTENT_UPPER && !keep) {
		/* it is gone, or another's too, and nothing of it is wanted */
		rc = changes_empty(e->c, n);
		return rc ? rc : -EBUSY;
	}
	rc = plan(e, n, keep, &x);
	if (rc)
		return rc;
	x.file = changes_number(e->c);
	rc = x.size ? copy_unlocked(e, n, &x, &st) : copy_up(&x, &st);
	if (rc)
		return rc;
	if (n->v.content != before || n->v.file != file)
		/* truncated or reset meanwhile */
		rc = -EBUSY;
	else
		rc = changes_raise(e->c, n, x.file, &st);
	if (rc) {
		upper_put(e->c->upper, &x.fd);
		upper_remove(e->c->upper, x.file);
		return rc;
	}
	ret->fd = x.fd;
	return 0;
}

/* The same of one that is shared. The other side may go in the middle, and a
 * writer who looks then finds the old file his own: none may begin. */
static int own_copy(struct edit *e, struct cnode *n, uint64_t keep,
		    struct content_file *ret)
{
	int rc;

	if (!changes_writers_stop(n)) {
		/* one that looks whether it is shared, or found it is not */
		sched_yield();
		return -EBUSY;
	}
	rc = replace(e, n, keep, ret);
	changes_writers_go(n);
	return rc;
}

/* One try; -EBUSY: look again. */
static int raise(struct edit *e, struct cnode *n, uint64_t keep,
		 struct content_file *ret)
{
	int rc;

	if (n->copying || e->c->frozen) {
		rc = wait_for_copy(e, n);
		return rc ? rc : -EBUSY;
	}
	if (n->v.content != CONTENT_UPPER)
		return replace(e, n, keep, ret);
	rc = upper_get(e->c->upper, n->v.file, &ret->fd);
	if (rc == -EIO && !keep)
		return replace(e, n, keep, ret);
	if (rc || !upper_shared(&ret->fd))
		return rc;
	upper_put(e->c->upper, &ret->fd); /* another workspace has it too */
	return own_copy(e, n, keep, ret);
}

static int open_slowly(struct request *r, uint64_t ino, uint64_t keep,
		       struct content_file *ret)
{
	struct edit e;
	int rc = edit_begin(&e, r);

	if (rc)
		return rc;
	rc = edit_node(&e, ino, &ret->node);
	if (!rc && !S_ISREG(ret->node->v.mode))
		rc = ret->node->dir ? -EISDIR : -EINVAL;
	if (!rc) {
		do
			rc = raise(&e, ret->node, keep, ret);
		while (rc == -EBUSY);
	}
	if (ret->node)
		ret->privileged = ret->node->xattrs ||
				  (ret->node->v.mode & (S_ISUID | S_ISGID));
	if (!rc)
		changes_writer_begin(ret->node);
	edit_end(&e);
	return rc;
}

int content_open(struct request *r, uint64_t ino, uint64_t keep,
		 struct content_file *ret)
{
	struct mount *m = r->mount;
	struct cnode *c;
	struct node *n;
	uint64_t file = 0;
	int rc;

	*ret = (struct content_file){ .fd = { -1, NULL } };
	view_lock(m);
	n = node_find(m->nodes, ino);
	c = n ? node_changed(n) : NULL;
	if (c && c->v.content == CONTENT_UPPER && !m->changes->frozen &&
	    changes_writer_begin(c)) {
		file = c->v.file;
		ret->node = c;
		ret->privileged = c->xattrs ||
				  (c->v.mode & (S_ISUID | S_ISGID));
	}
	view_unlock(m);
	if (!file)
		return open_slowly(r, ino, keep, ret);
	rc = upper_get(m->changes->upper, file, &ret->fd);
	if (!rc && upper_shared(&ret->fd)) {
		upper_put(m->changes->upper, &ret->fd);
		changes_writer_end(c);
		return open_slowly(r, ino, keep, ret);
	}
	if (rc)
		changes_writer_end(c);
	return rc == -EIO && !keep ? open_slowly(r, ino, keep, ret) : rc;
}

void content_done(struct request *r, struct content_file *f)
{
	changes_writer_end(f->node);
	upper_put(r->mount->changes->upper, &f->fd);
}

/* -- after a change ------------------------------------------------------------------ */

static int drop_privileges(struct request *r, struct cnode *n)
{
	struct cvalue v;
	struct edit e;
	int rc = edit_begin(&e, r);

	if (rc)
		return rc;
	if (changes_xattr_find(n, XATTR_CAPS))
		rc = changes_xattr(e.c, n, XATTR_CAPS, NULL, 0);
	v = n->v;
	if (v.mode & S_IXGRP)
		v.mode &= ~(uint32_t)S_ISGID;
	v.mode &= ~(uint32_t)S_ISUID;
	if (!rc && r->kill_priv && v.mode != n->v.mode)
		rc = changes_attr(e.c, n, &v);
	edit_end(&e);
	return rc;
}

int content_close(struct request *r, struct content_file *f, int result)
{
	struct mount *m = r->mount;
	int rc = changes_wrote(m->changes, f->node, f->fd.fd);

	changes_writer_end(f->node);
	upper_put(m->changes->upper, &f->fd);
	if (!rc && m->kill_priv && f->privileged)
		rc = drop_privileges(r, f->node);
	return result ? result : rc;
}
