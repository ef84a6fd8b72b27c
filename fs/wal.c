/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/wal.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "fs/wal_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define RESERVE (1 * MiB)

struct wal {
	int dir;
	/* the appender's */
	uint64_t number; /* of the newest log */
	uint64_t end;    /* where the next record goes */
	uint64_t reserved;
	struct buf scratch;
	/* atomic */
	uint64_t seq, old_bytes, new_bytes;
	bool broken;
	/* who syncs */
	pthread_mutex_t lock; /* leaf */
	pthread_cond_t synced_more;
	int fd;          /* lock; of the newest log */
	int old_fd;      /* lock; the one before, during a checkpoint */
	bool syncing;    /* lock */
	bool dir_synced; /* lock; the newest log's name is on the disk */
	uint64_t synced; /* lock */
};

struct wal_checkpoint {
	struct wal *wal;
	uint64_t number; /* of the first log that stays */
	uint64_t seq, records;
	uint64_t replaced; /* bytes of older logs */
	struct buf data;
};

static int open_log(struct wal *w, uint64_t number, int flags)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), WAL_LOG_NAME, number);
	fd = openat(w->dir, name, O_RDWR | O_CLOEXEC | flags, 0600);
	if (fd < 0)
		return fail(-errno, "log of changes: %s: %s", name,
			    strerror(errno));
	return fd;
}

/* -- opening ------------------------------------------------------------------ */

struct replay {
	struct wal *w;
	wal_read_fn fn;
	void *ctx;
	struct wal_found *found;
	uint64_t first; /* log the checkpoint goes on with */
	uint64_t declared, seen;
	bool ended;
};

static int read_checkpoint_record(void *ctx, const struct wal_record *r)
{
	struct replay *x = ctx;

	if (r->type == WAL_HEADER) {
		if (r->n < 24 || get_u32(r->p) != WAL_MAGIC)
			return fail(-EBADMSG, "not a checkpoint");
		if (get_u32(r->p + 4) != WAL_FORMAT)
			return fail(-EBADMSG, "written by a newer version "
				    "(format %u)", get_u32(r->p + 4));
		x->first = get_u64(r->p + 8);
		x->w->seq = get_u64(r->p + 16);
		return 0;
	}
	if (r->type == WAL_END && r->n >= 8) {
		x->ended = get_u64(r->p) == x->seen;
		return 0;
	}
	x->seen++;
	return x->fn(x->ctx, r->type, 0, r->p, r->n);
}

static int read_checkpoint(struct replay *x)
{
	uint64_t good;
	int rc;
	cleanup_fd int fd = openat(x->w->dir, "checkpoint",
				   O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT
			       ? 0
			       : fail(-errno, "checkpoint of changes: %s",
				      strerror(errno));
	x->found->fresh = false;
	rc = wal_file_read(fd, read_checkpoint_record, x, &good);
	if (rc)
		return fail_prefix(rc, "checkpoint of changes");
	if (!x->first || !x->ended)
		return fail(-EBADMSG, "checkpoint of changes is damaged at "
			    "byte %llu", (unsigned long long)good);
	return 0;
}

static int read_log_record(void *ctx, const struct wal_record *r)
{
	struct replay *x = ctx;

	if (r->type >= WAL_RESERVED)
		return 0; /* the file's header */
	if (r->seq != x->w->seq + 1)
		return -ENODATA; /* not ours: as good as damaged */
	x->w->seq = r->seq;
	x->found->records++;
	return x->fn(x->ctx, r->type, r->seq, r->p, r->n);
}

/* Read one log; 1 = it ended before its end. */
static int read_log(struct replay *x, uint64_t number)
{
	struct wal *w = x->w;
	struct stat st;
	uint64_t good = 0;
	int rc;
	cleanup_fd int fd = open_log(w, number, 0);

	if (fd < 0)
		return fd;
	x->found->fresh = false;
	rc = wal_file_read(fd, read_log_record, x, &good);
	if (rc && rc != -ENODATA)
		return rc;
	if (fstat(fd, &st))
		return fail(-errno, "log of changes: %s", strerror(errno));
	w->number = number;
	w->end = good;
	if ((uint64_t)st.st_size == good)
		return 0;
	x->found->torn_bytes += (uint64_t)st.st_size - good;
	if (ftruncate(fd, (off_t)good))
		return fail(-errno, "log of changes: %s", strerror(errno));
	return 1;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int list_logs(struct wal *w, uint64_t **ret, size_t *ret_n)
{
	int fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t *list = NULL, number;
	struct dirent *e;
	size_t n = 0;

	if (!d)
		return fail(-errno, "log of changes: %s", strerror(errno));
	while ((e = readdir(d))) {
		if (sscanf(e->d_name, "log.%16lx", &number) != 1)
			continue;
		list = xrealloc(list, (n + 1) * sizeof(*list));
		list[n++] = number;
	}
	closedir(d);
	if (n)
		qsort(list, n, sizeof(*list), by_number);
	*ret = list;
	*ret_n = n;
	return 0;
}

static void remove_log(struct wal *w, uint64_t number)
{
	char name[32];

	snprintf(name, sizeof(name), WAL_LOG_NAME, number);
	unlinkat(w->dir, name, 0);
}

static int read_logs(struct replay *x)
{
	cleanup_free uint64_t *logs = NULL;
	bool torn = false;
	size_t n = 0;
	int rc = list_logs(x->w, &logs, &n);

	for (size_t i = 0; i < n && rc >= 0; i++) {
		if (logs[i] < x->first) {
			remove_log(x->w, logs[i]); /* a checkpoint has it */
		} else if (torn) {
			x->found->torn_bytes++; /* behind a gap */
			remove_log(x->w, logs[i]);
		} else {
			rc = read_log(x, logs[i]);
			torn = rc == 1;
		}
	}
	return rc < 0 ? rc : 0;
}

/* Begin a log file, or go on with the one that was read last. */
static int begin_log(struct wal *w, uint64_t number, bool fresh)
{
	uint8_t header[16] = { 0 };
	int fd = open_log(w, number, fresh ? O_CREAT | O_TRUNC : 0);

	if (fd < 0)
		return fd;
	w->end = fresh ? 0 : w->end;
	w->reserved = w->end;
	w->number = number;
	if (!w->end) {
		put_u32(header, WAL_MAGIC);
		put_u32(header + 4, WAL_FORMAT);
		put_u64(header + 8, number);
		w->scratch.len = 0;
		wal_record_put(&w->scratch, WAL_HEADER, 0, header,
			       sizeof(header));
		if (pwrite(fd, w->scratch.data, w->scratch.len, 0) !=
		    (ssize_t)w->scratch.len) {
			int rc = fail(errno ? -errno : -ENOSPC,
				      "log of changes: %s",
				      strerror(errno ? errno : ENOSPC));
			close(fd);
			remove_log(w, number);
			return rc;
		}
		w->end = w->scratch.len;
	}
	return fd;
}

int wal_open(const char *dir, wal_read_fn fn, void *ctx, struct wal **ret,
	     struct wal_found *ret_found)
{
	struct wal *w = xcalloc(1, sizeof(*w));
	struct wal_found found = { .fresh = true };
	struct replay x = { .w = w, .fn = fn, .ctx = ctx, .found = &found };
	int rc;

	w->fd = w->old_fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	cond_init(&w->synced_more);
	w->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = w->dir < 0 ? fail(-errno, "%s: %s", dir, strerror(errno)) : 0;
	if (!rc)
		rc = read_checkpoint(&x);
	if (!rc)
		rc = read_logs(&x);
	if (!rc) {
		rc = begin_log(w, w->number ? w->number : MAX(x.first, 1),
			       !w->number);
		w->fd = rc;
	}
	if (rc < 0) {
		w->fd = -1;
		wal_close(w);
		return rc;
	}
	w->synced = 0; /* unknown: the next sync flushes */
	w->new_bytes = w->end;
	*ret_found = found;
	*ret = w;
	return 0;
}

void wal_close(struct wal *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	if (w->old_fd >= 0)
		close(w->old_fd);
	if (w->dir >= 0)
		close(w->dir);
	buf_done(&w->scratch);
	pthread_cond_destroy(&w->synced_more);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* -- appending ------------------------------------------------------------------ */

static int write_all(int fd, const uint8_t *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t k = pwrite(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k ? -errno : -ENOSPC;
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

/* What goes to a file without a name is lost with this process. */
static int check_there(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return fail(-errno, "log of changes: %s", strerror(errno));
	return st.st_nlink ? 0
			   : fail(-EIO, "log of changes: it was removed from "
				  "the disk; unmount, and mount again");
}

int wal_append(struct wal *w, uint32_t type, const void *p, size_t n,
	       uint64_t *ret_seq)
{
	uint64_t seq = w->seq + 1;
	int rc;

	assert(type < WAL_RESERVED);
	if (n > WAL_PAYLOAD_MAX)
		return fail(-EFBIG, "log of changes: a record of %zu bytes", n);
	if (__atomic_load_n(&w->broken, __ATOMIC_RELAXED))
		return fail(-EIO, "log of changes: the disk failed before; "
			    "mount the workspace again");
	rc = check_there(w->fd);
	if (rc)
		return rc;
	if (w->end + RESERVE / 4 > w->reserved &&
	    !fallocate(w->fd, FALLOC_FL_KEEP_SIZE, (off_t)w->end, RESERVE))
		w->reserved = w->end + RESERVE;
	w->scratch.len = 0;
	wal_record_put(&w->scratch, type, seq, p, n);
	rc = write_all(w->fd, w->scratch.data, w->scratch.len, w->end);
	if (rc)
		return fail(rc, "log of changes: %s", strerror(-rc));
	w->end += w->scratch.len;
	__atomic_fetch_add(&w->new_bytes, w->scratch.len, __ATOMIC_RELAXED);
	__atomic_store_n(&w->seq, seq, __ATOMIC_RELEASE);
	*ret_seq = seq;
	return 0;
}

uint64_t wal_seq(const struct wal *w)
{
	return __atomic_load_n(&w->seq, __ATOMIC_ACQUIRE);
}

uint64_t wal_size(const struct wal *w)
{
	return __atomic_load_n(&w->old_bytes, __ATOMIC_RELAXED) +
	       __atomic_load_n(&w->new_bytes, __ATOMIC_RELAXED);
}

/* -- syncing ---------------------------------------------------------------------- */

/* One flush for everybody who waits. lock: held, dropped meanwhile. */
static int flush_locked(struct wal *w)
{
	uint64_t upto = wal_seq(w);
	int fd = w->fd, old_fd = w->old_fd, rc = 0;
	bool dir = !w->dir_synced;

	w->syncing = true;
	pthread_mutex_unlock(&w->lock);
	if ((old_fd >= 0 && fdatasync(old_fd)) || fdatasync(fd) ||
	    (dir && fsync(w->dir)))
		rc = fail(-errno, "log of changes: %s", strerror(errno));
	else
		rc = check_there(fd);
	pthread_mutex_lock(&w->lock);
	w->syncing = false;
	if (rc)
		__atomic_store_n(&w->broken, true, __ATOMIC_RELAXED);
	else
		w->synced = MAX(w->synced, upto);
	if (!rc && dir && fd == w->fd)
		w->dir_synced = true;
	pthread_cond_broadcast(&w->synced_more);
	return rc;
}

int wal_sync(struct wal *w, uint64_t seq)
{
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	while (!rc && w->synced < seq) {
		if (__atomic_load_n(&w->broken, __ATOMIC_RELAXED))
			rc = fail(-EIO, "log of changes: the disk failed");
		else if (w->syncing)
			pthread_cond_wait(&w->synced_more, &w->lock);
		else
			rc = flush_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* -- checkpoints ------------------------------------------------------------------- */

void wal_copy_begin(struct wal *w, struct wal_checkpoint **ret)
{
	struct wal_checkpoint *c = xcalloc(1, sizeof(*c));
	uint8_t header[24];

	c->wal = w;
	c->number = w->number;
	c->seq = w->seq;
	put_u32(header, WAL_MAGIC);
	put_u32(header + 4, WAL_FORMAT);
	put_u64(header + 8, c->number);
	put_u64(header + 16, c->seq);
	wal_record_put(&c->data, WAL_HEADER, 0, header, sizeof(header));
	*ret = c;
}

int wal_checkpoint_begin(struct wal *w, struct wal_checkpoint **ret)
{
	struct wal_checkpoint *c;
	uint64_t old_end = w->end, old_reserved = w->reserved;
	uint64_t old_number = w->number;
	int fd;

	if (w->old_fd >= 0)
		return fail(-EBUSY, "a checkpoint is under way");
	fd = begin_log(w, w->number + 1, true);
	if (fd < 0) { /* go on with the old one */
		w->end = old_end;
		w->reserved = old_reserved;
		w->number = old_number;
		return fd;
	}
	pthread_mutex_lock(&w->lock);
	w->old_fd = w->fd;
	w->fd = fd;
	w->dir_synced = false;
	pthread_mutex_unlock(&w->lock);
	wal_copy_begin(w, &c);
	c->replaced = wal_size(w);
	__atomic_store_n(&w->old_bytes, c->replaced, __ATOMIC_RELAXED);
	__atomic_store_n(&w->new_bytes, w->end, __ATOMIC_RELAXED);
	*ret = c;
	return 0;
}

void wal_checkpoint_put(struct wal_checkpoint *c, uint32_t type,
			const void *p, size_t n)
{
	assert(type < WAL_RESERVED);
	wal_record_put(&c->data, type, 0, p, n);
	c->records++;
}

static int write_checkpoint(struct wal_checkpoint *c, int dir)
{
	uint8_t count[8];
	int rc;
	cleanup_fd int fd = openat(dir, "checkpoint.new",
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				   0600);

	if (fd < 0)
		return -errno;
	put_u64(count, c->records);
	wal_record_put(&c->data, WAL_END, 0, count, sizeof(count));
	rc = write_all(fd, c->data.data, c->data.len, 0);
	if (!rc && fsync(fd))
		rc = -errno;
	/* the new log's name must be there before the old logs are not */
	if (!rc && fsync(dir))
		rc = -errno;
	if (!rc && renameat(dir, "checkpoint.new", dir, "checkpoint"))
		rc = -errno;
	if (!rc && fsync(dir))
		rc = -errno;
	return rc;
}

int wal_copy_end(struct wal_checkpoint *c, int dir)
{
	int rc = write_checkpoint(c, dir);

	wal_checkpoint_drop(c);
	return rc ? fail(rc, "copy of the log of changes: %s", strerror(-rc))
		  : 0;
}

int wal_checkpoint_end(struct wal_checkpoint *c)
{
	struct wal *w = c->wal;
	cleanup_free uint64_t *logs = NULL;
	size_t n = 0;
	int rc = write_checkpoint(c, w->dir), old_fd;

	pthread_mutex_lock(&w->lock);
	while (w->syncing)
		pthread_cond_wait(&w->synced_more, &w->lock);
	/* a failed one: the old log's records must still be synced some day */
	if (rc && w->synced < c->seq && fdatasync(w->old_fd))
		__atomic_store_n(&w->broken, true, __ATOMIC_RELAXED);
	old_fd = w->old_fd;
	w->old_fd = -1;
	if (!rc)
		w->synced = MAX(w->synced, c->seq);
	pthread_mutex_unlock(&w->lock);
	close(old_fd);
	if (!rc && !list_logs(w, &logs, &n))
		for (size_t i = 0; i < n; i++)
			if (logs[i] < c->number)
				remove_log(w, logs[i]);
	if (!rc)
		__atomic_fetch_sub(&w->old_bytes, c->replaced,
				   __ATOMIC_RELAXED);
	buf_done(&c->data);
	free(c);
	return rc ? fail(rc, "checkpoint of changes: %s", strerror(-rc)) : 0;
}

void wal_checkpoint_drop(struct wal_checkpoint *c)
{
	buf_done(&c->data);
	free(c);
}
