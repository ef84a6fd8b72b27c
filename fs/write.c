/* SPDX-License-Identifier: Apache-2.0 */
/* write.c - changing the content of files of a workspace. */
#include "core/error.h"
#include "fs/content.h"
#include "fs/file.h"
#include "fs/wal.h"
#include "fs/workspace.h"

#include <fcntl.h>
#include <sys/stat.h>

#define COPY_PIECE (1 * MiB)
#define COPY_AT_ONCE (4 * MiB) /* on a FUSE worker */

static int reply_count(struct request *r, size_t n)
{
	watch_request(r, 0, n);
	fuse_reply_write(r->req, n);
	return 0;
}

/* As much as goes; an error only if nothing went. */
static int64_t write_some(int fd, const char *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = pwrite(fd, p + done, n - done,
				   (off_t)(at + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			if (done)
				break;
			return k ? -errno : -ENOSPC;
		}
		done += (size_t)k;
	}
	return (int64_t)done;
}

int write_data(struct request *r)
{
	struct content_file f;
	int64_t n;
	int rc = content_open(r, r->ino, CONTENT_ALL, &f);

	if (rc)
		return rc;
	n = write_some(f.fd.fd, r->data, r->size, r->off);
	if (n < 0)
		fail((int)n, "changed content: %s", strerror((int)-n));
	rc = content_close(r, &f, n < 0 ? (int)n : 0);
	return rc ? rc : reply_count(r, (size_t)n);
}

int write_allocate(struct request *r)
{
	struct content_file f;
	int rc = content_open(r, r->ino, CONTENT_ALL, &f);

	if (rc)
		return rc;
	if (fallocate(f.fd.fd, (int)r->mode, (off_t)r->off, (off_t)r->off2))
		rc = -errno;
	rc = content_close(r, &f, rc);
	if (rc)
		return rc;
	watch_request(r, 0, 0);
	fuse_reply_err(r->req, 0);
	return 0;
}

/* -- holes ---------------------------------------------------------------------- */

static int64_t seek_upper(struct mount *m, uint64_t file, uint64_t off,
			  int whence)
{
	struct upper_fd fd;
	off_t at;
	int rc = upper_get(m->changes->upper, file, &fd);

	if (rc)
		return rc;
	/* nobody uses the position of this descriptor */
	at = lseek(fd.fd, (off_t)off, whence);
	rc = at < 0 ? -errno : 0;
	upper_put(m->changes->upper, &fd);
	return rc ? rc : at;
}

int write_seek(struct request *r)
{
	struct view_content c;
	int64_t at;
	int whence = (int)r->mode, rc;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	rc = file_content(r, r->ino, &c);
	if (rc)
		return rc;
	if (c.content == CONTENT_LOWER && c.size == SCORPIO_SIZE_UNKNOWN)
		return request_need(r, WANT_SIZE, &c.id, r->ino, c.kind);
	if (c.content == CONTENT_UPPER)
		at = seek_upper(r->mount, c.file, r->off, whence);
	else if (r->off >= c.size)
		at = -ENXIO;
	else /* no holes but the one behind the end */
		at = (int64_t)(whence == SEEK_DATA ? r->off : c.size);
	if (at < 0)
		return (int)at;
	watch_request(r, 0, 0);
	fuse_reply_lseek(r->req, at);
	return 0;
}

/* -- copying ---------------------------------------------------------------------- */

static int64_t copy_piece(struct request *r, const struct view_content *from,
			  int from_fd, int to_fd, uint64_t done)
{
	off_t in = (off_t)(r->off + done), out = (off_t)(r->off2 + done);
	size_t n = MIN(COPY_PIECE, r->size - done);
	char *buf;
	int64_t got;

	if (from_fd >= 0) {
		got = copy_file_range(from_fd, &in, to_fd, &out, n, 0);
		if (got >= 0)
			return got;
		if (errno != EXDEV && errno != EOPNOTSUPP && errno != ENOSYS &&
		    errno != EINVAL)
			return -errno;
	}
	buf = request_scratch(COPY_PIECE);
	got = file_read_content(r, r->ino, from, (uint64_t)in, buf, n);
	return got <= 0 ? got
			: write_some(to_fd, buf, (size_t)got, (uint64_t)out);
}

static int64_t copy_range(struct request *r, const struct view_content *from,
			  int to_fd)
{
	struct upper *u = r->mount->changes->upper;
	struct upper_fd fd = { -1, NULL };
	uint64_t done = 0;
	int64_t n = 1;
	int rc;

	if (from->content == CONTENT_UPPER) {
		rc = upper_get(u, from->file, &fd);
		if (rc)
			return rc;
	}
	while (done < r->size && n > 0) {
		n = copy_piece(r, from, fd.fd, to_fd, done);
		if (n > 0)
			done += (uint64_t)n;
	}
	upper_put(u, &fd);
	/* missing content is asked for before anything is called done */
	return n < 0 && (!done || n == -EAGAIN) ? n : (int64_t)done;
}

int write_copy(struct request *r)
{
	struct view_content from;
	struct content_file to;
	int64_t n;
	int rc = file_content(r, r->ino, &from);

	if (rc)
		return rc;
	if (from.kind != SCORPIO_FILE)
		return -EINVAL;
	if (r->size > COPY_AT_ONCE && !r->background)
		return -EINPROGRESS;
	rc = content_open(r, r->ino2, CONTENT_ALL, &to);
	if (rc)
		return rc;
	/* it may have been the same file */
	rc = file_content(r, r->ino, &from);
	n = rc ? rc : copy_range(r, &from, to.fd.fd);
	rc = content_close(r, &to, n < 0 ? (int)n : 0);
	return rc ? rc : reply_count(r, (size_t)n);
}

/* -- syncing ----------------------------------------------------------------------- */

static int sync_content(struct mount *m, const struct view_content *c,
			bool data_only)
{
	struct changes *changes = m->changes;
	struct upper_fd fd;
	int rc = upper_get(changes->upper, c->file, &fd);

	if (rc)
		return rc;
	if (data_only ? fdatasync(fd.fd) : fsync(fd.fd))
		rc = fail(-errno, "changed content: %s", strerror(errno));
	upper_put(changes->upper, &fd);
	if (!rc && __atomic_load_n(&c->changed->unsynced, __ATOMIC_ACQUIRE)) {
		rc = upper_sync_name(changes->upper, c->file);
		if (!rc)
			__atomic_store_n(&c->changed->unsynced, false,
					 __ATOMIC_RELEASE);
	}
	return rc;
}

int write_sync(struct request *r)
{
	struct mount *m = r->mount;
	struct view_content c = { .content = CONTENT_EMPTY };
	int rc;

	if (!r->background)
		return -EINPROGRESS; /* it waits for the disk */
	rc = file_content(r, r->ino, &c);
	if (rc == -EISDIR)
		rc = 0;
	if (!rc && c.content == CONTENT_UPPER)
		rc = sync_content(m, &c, r->mode);
	if (!rc)
		rc = wal_sync(m->changes->wal, wal_seq(m->changes->wal));
	if (!rc)
		rc = workspace_sync(m->workspace);
	if (rc)
		return rc;
	watch_request(r, 0, 0);
	fuse_reply_err(r->req, 0);
	return 0;
}
