/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.c - a local directory as a source: "dir+/path" or just the path. The
 * example of a path-minded backend.
 *
 * A directory has no revisions, so the state that a mount shows is that of the
 * first look: a directory's id is made from a number drawn at resolve() and
 * its path, a file's from its place and everything that changes when it is
 * written (device, inode, size, mtime, ctime). A file which changed since it
 * was listed is -ESTALE, never half old and half new.
 */
#include "walk.h"

#include <scorpio/backend.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIECE            (256u * 1024u) /* read and poured at once */
#define FUSE_SUPER_MAGIC 0x65735546

struct dir {
	const struct scorpio_host *host;
	char *path; /* absolute */
	pthread_mutex_t lock;
	int root; /* lock; -1 until first used, then fixed */
};

/* -- life ------------------------------------------------------------------ */

static const char *path_of(const char *url)
{
	if (!strncmp(url, "dir+", 4))
		url += 4;
	if (!strncmp(url, "file://", 7))
		url += 7;
	return url;
}

static int dir_open(const struct scorpio_host *host, const char *url,
		    const struct scorpio_config *config,
		    const struct scorpio_next *next,
		    struct scorpio_instance *info, void **ret_self)
{
	const char *path = path_of(url);
	struct dir *d;

	(void)config;
	(void)next;
	if (path[0] != '/')
		return host->fail(host, -EINVAL,
				  "dir: \"%s\" is not an absolute path, such "
				  "as dir+/home/me/src",
				  path);
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->path = strdup(path);
	if (!d->path) {
		free(d);
		return -ENOMEM;
	}
	d->host = host;
	d->root = -1;
	pthread_mutex_init(&d->lock, NULL);
	info->flags |= SCORPIO_INSTANCE_LOCAL | SCORPIO_INSTANCE_SIZES_FREE;
	*ret_self = d;
	return 0;
}

static void dir_close(void *self)
{
	struct dir *d = self;

	if (!d)
		return;
	if (d->root >= 0)
		close(d->root);
	pthread_mutex_destroy(&d->lock);
	free(d->path);
	free(d);
}

/* The descriptor of the root, or a negative errno. Kept open, so that a mount
 * goes on showing this directory when it is renamed. */
static int root_fd(struct dir *d)
{
	int fd;

	pthread_mutex_lock(&d->lock);
	if (d->root < 0)
		d->root = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = d->root < 0 ? -errno : d->root;
	pthread_mutex_unlock(&d->lock);
	if (fd >= 0)
		return fd;
	return d->host->fail(d->host, fd == -ENOTDIR ? -ENOENT : fd,
			     fd == -ENOTDIR  ? "dir: %s is not a directory"
			     : fd == -ENOENT ? "dir: %s does not exist"
					     : "dir: cannot open %s",
			     d->path);
}

/* -- ids ------------------------------------------------------------------- */

static void put_digest(struct scorpio_id *id, const void *p, size_t n)
{
	memset(id, 0, sizeof(*id));
	id->len = SHA256_DIGEST_LENGTH;
	SHA256(p, n, id->bytes);
}

/* What a file is and where; path is "parent/name". */
static void file_id(const struct stat *st, const char *parent, uint32_t plen,
		    const char *name, size_t nlen, struct scorpio_id *ret)
{
	uint8_t buf[7 * sizeof(uint64_t) + SHA256_DIGEST_LENGTH];
	uint64_t facts[7] = {
		st->st_dev,
		st->st_ino,
		(uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec,
		(uint64_t)st->st_ctim.tv_sec,
		(uint64_t)st->st_ctim.tv_nsec,
	};
	char path[PATH_MAX + NAME_MAX + 2];
	size_t len = 0;

	memcpy(path, parent, plen);
	len = plen;
	if (plen)
		path[len++] = '/';
	memcpy(path + len, name, nlen);
	len += nlen;
	memcpy(buf, facts, sizeof(facts));
	SHA256((const uint8_t *)path, len, buf + sizeof(facts));
	put_digest(ret, buf, sizeof(buf));
}

/* A directory: its parent's id, which goes back to the number drawn for the
 * root, and its name. */
static void child_dir_id(const struct scorpio_id *parent, const char *name,
			 size_t nlen, struct scorpio_id *ret)
{
	uint8_t buf[SCORPIO_ID_MAX + 1 + NAME_MAX];

	memcpy(buf, parent, sizeof(*parent));
	memcpy(buf + sizeof(*parent), name, nlen);
	put_digest(ret, buf, sizeof(*parent) + nlen);
}

/* The text of an earlier answer: the same root, so that what was seen of it
 * stays as it was. */
static bool earlier_root(const char *spec, struct scorpio_id *ret)
{
	struct scorpio_id id = { .len = SHA256_DIGEST_LENGTH };
	int used = 0;

	if (strlen(spec) != 2 * (size_t)id.len)
		return false;
	for (int i = 0; i < id.len; i++)
		if (strspn(spec + 2 * i, "0123456789abcdef") < 2 ||
		    sscanf(spec + 2 * i, "%2hhx%n", &id.bytes[i], &used) != 1 ||
		    used != 2)
			return false;
	*ret = id;
	return true;
}

/* A time that nanoseconds do not reach (1678 to 2261) is none. */
static int64_t mtime_of(const struct stat *st)
{
	int64_t ns;

	if (__builtin_mul_overflow(st->st_mtim.tv_sec, 1000000000ll, &ns) ||
	    __builtin_add_overflow(ns, st->st_mtim.tv_nsec, &ns))
		return SCORPIO_TIME_UNKNOWN;
	return ns;
}

static int dir_resolve(void *self, const char *spec,
		       struct scorpio_revision *ret)
{
	struct dir *d = self;
	struct scorpio_id earlier = { 0 };
	uint8_t drawn[32];
	struct stat st;
	int fd, i;

	if (*spec && strcmp(spec, ".") && !earlier_root(spec, &earlier))
		return d->host->fail(d->host, -ENOENT,
				     "dir: no revision \"%s\": a directory "
				     "has none",
				     spec);
	fd = root_fd(d);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 ||
	    getrandom(drawn, sizeof(drawn), 0) != sizeof(drawn))
		return d->host->fail(d->host, -EIO, "dir: cannot look at %s",
				     d->path);
	memset(ret, 0, sizeof(*ret));
	put_digest(&ret->root, drawn, sizeof(drawn));
	if (earlier.len)
		ret->root = earlier;
	ret->kind = SCORPIO_DIR;
	ret->time_ns = mtime_of(&st);
	for (i = 0; i < ret->root.len; i++)
		snprintf(ret->text + 2 * i, 3, "%02x", ret->root.bytes[i]);
	snprintf(ret->label, sizeof(ret->label), "%.*s",
		 (int)sizeof(ret->label) - 1, d->path);
	return 0;
}

/* -- listing --------------------------------------------------------------- */

static uint8_t kind_of(mode_t mode)
{
	return S_ISREG(mode)   ? SCORPIO_FILE
	       : S_ISDIR(mode) ? SCORPIO_DIR
	       : S_ISLNK(mode) ? SCORPIO_SYMLINK
			       : 0;
}

static int pour_entry(struct dir *d, int fd, const struct scorpio_ref *ref,
		      const char *name, const struct scorpio_sink *sink,
		      int *ret_error)
{
	struct scorpio_entry e;
	size_t len = strlen(name);
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		/* removed just now is fine, not being let in is not */
		*ret_error = errno == ENOENT ? 0 : -errno;
		return 0;
	}
	memset(&e, 0, sizeof(e));
	e.kind = kind_of(st.st_mode);
	if (!e.kind) {
		d->host->log(d->host, SCORPIO_LOG_DEBUG,
			     "%s/%.*s/%s is a device, pipe or socket: left out",
			     d->path, (int)ref->path_len, ref->path, name);
		return 0;
	}
	if (e.kind == SCORPIO_DIR)
		child_dir_id(&ref->id, name, len, &e.id);
	else
		file_id(&st, ref->path, ref->path_len, name, len, &e.id);
	e.name = name;
	e.name_len = (uint32_t)len;
	e.mode = st.st_mode & 07777;
	e.size = e.kind == SCORPIO_DIR ? 0 : (uint64_t)st.st_size;
	e.mtime_ns = mtime_of(&st);
	return sink->tree_entry(sink->ctx, &e);
}

/* *ret_error: the directory's own trouble, as against the sink's answer. */
static int pour_entries(struct dir *d, DIR *dir, const struct scorpio_ref *ref,
			const struct scorpio_sink *sink, int *ret_error)
{
	struct dirent *e;
	unsigned n = 0;
	int r = 0;

	while (!r && !*ret_error) {
		errno = 0;
		e = readdir(dir);
		if (!e) {
			*ret_error = -errno;
			break;
		}
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (++n % 256 == 0 && d->host->cancelled(d->host))
			return -EINTR;
		r = pour_entry(d, dirfd(dir), ref, e->d_name, sink, ret_error);
	}
	return r;
}

static int list_failed(struct dir *d, const struct scorpio_ref *ref, int error)
{
	/* it was listed once: gone, or not a directory any more */
	if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP)
		error = -ESTALE;
	return d->host->fail(d->host, error, "dir: cannot list %s/%.*s: %s",
			     d->path, (int)ref->path_len, ref->path,
			     error == -ESTALE ? "changed since it was mounted"
					      : strerrordesc_np(-error));
}

/* A FUSE filesystem mounted below our root: a network perhaps, or the very
 * mount that shows us. It is left out, as an empty directory. */
static bool is_foreign(struct dir *d, int root, int fd,
		       const struct scorpio_ref *ref)
{
	struct stat mine, its;
	struct statfs fs;

	if (fstat(root, &mine) < 0 || fstat(fd, &its) < 0 ||
	    mine.st_dev == its.st_dev || fstatfs(fd, &fs) < 0 ||
	    fs.f_type != FUSE_SUPER_MAGIC)
		return false;
	d->host->log(d->host, SCORPIO_LOG_DEBUG,
		     "%s/%.*s is another FUSE mount: left out", d->path,
		     (int)ref->path_len, ref->path);
	return true;
}

/* An error here is about this object; the others may follow. What the sink
 * answered must be passed on, though. */
static int list_one(struct dir *d, int root, const struct scorpio_ref *ref,
		    const struct scorpio_sink *sink)
{
	int fd, r, error = 0;
	DIR *dir;

	if (!ref->path)
		return sink->failed(sink->ctx, &ref->id, -EINVAL);
	fd = walk_open(root, ref->path, ref->path_len,
		       O_RDONLY | O_DIRECTORY | O_NONBLOCK);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		r = fd < 0 ? fd : -errno;
		if (fd >= 0)
			close(fd);
		return sink->failed(sink->ctx, &ref->id,
				    list_failed(d, ref, r));
	}
	r = sink->tree_begin(sink->ctx, &ref->id);
	if (!r && !is_foreign(d, root, fd, ref))
		r = pour_entries(d, dir, ref, sink, &error);
	closedir(dir);
	if (r)
		return r;
	if (error)
		return sink->abandon(sink->ctx, list_failed(d, ref, error));
	return sink->tree_end(sink->ctx);
}

static int dir_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink)
{
	struct dir *d = self;
	int root = root_fd(d), r = 0;
	uint32_t i;

	if (root < 0)
		return root;
	for (i = 0; !r && i < n; i++) {
		if (d->host->cancelled(d->host))
			return -EINTR;
		r = list_one(d, root, &refs[i], sink);
	}
	return r;
}

/* -- content --------------------------------------------------------------- */

static bool same_file(const struct scorpio_ref *ref, const struct stat *st)
{
	const char *slash = memrchr(ref->path, '/', ref->path_len);
	uint32_t plen = slash ? (uint32_t)(slash - ref->path) : 0;
	const char *name = slash ? slash + 1 : ref->path;
	struct scorpio_id id;

	file_id(st, ref->path, plen, name,
		ref->path_len - (size_t)(name - ref->path), &id);
	return !memcmp(&id, &ref->id, sizeof(id));
}

static int stale(struct dir *d, const struct scorpio_ref *ref)
{
	return d->host->fail(d->host, -ESTALE,
			     "dir: %s/%.*s changed since it was mounted",
			     d->path, (int)ref->path_len, ref->path);
}

static int pour_link(struct dir *d, int fd, const struct scorpio_ref *ref,
		     uint64_t size, const struct scorpio_sink *sink)
{
	char target[PATH_MAX];
	ssize_t n;
	int r;

	n = readlinkat(fd, "", target, sizeof(target));
	if (n < 0 || (uint64_t)n != size)
		return sink->failed(sink->ctx, &ref->id, stale(d, ref));
	r = sink->blob_begin(sink->ctx, &ref->id, (uint64_t)n);
	if (!r)
		r = sink->blob_data(sink->ctx, target, (uint64_t)n);
	return r ? r : sink->blob_end(sink->ctx);
}

/* Data of exactly `size` bytes. *ret_error: the file's own trouble. */
static int pour_data(struct dir *d, int fd, uint64_t size,
		     const struct scorpio_sink *sink, int *ret_error)
{
	uint8_t *buf = malloc(PIECE);
	uint64_t at = 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (!r && at < size) {
		uint64_t want = size - at < PIECE ? size - at : PIECE;
		ssize_t n = pread(fd, buf, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*ret_error = n < 0 ? -errno : -ESTALE;
			break;
		}
		r = d->host->cancelled(d->host)
			    ? -EINTR
			    : sink->blob_data(sink->ctx, buf, (uint64_t)n);
		at += (uint64_t)n;
	}
	free(buf);
	return r;
}

static int pour_file(struct dir *d, int fd, const struct scorpio_ref *ref,
		     uint64_t size, const struct scorpio_sink *sink)
{
	struct stat after;
	int r, error = 0;

	r = sink->blob_begin(sink->ctx, &ref->id, size);
	if (!r)
		r = pour_data(d, fd, size, sink, &error);
	if (r)
		return r;
	if (!error && (fstat(fd, &after) < 0 || !same_file(ref, &after)))
		error = -ESTALE;
	if (error == -ESTALE)
		stale(d, ref);
	if (error)
		return sink->abandon(sink->ctx, error);
	return sink->blob_end(sink->ctx);
}

static int fetch_one(struct dir *d, int root, const struct scorpio_ref *ref,
		     const struct scorpio_sink *sink)
{
	struct stat st;
	int fd, r;

	if (!ref->path || !ref->path_len)
		return sink->failed(sink->ctx, &ref->id, -EINVAL);
	fd = walk_open(root, ref->path, ref->path_len, O_RDONLY | O_NONBLOCK);
	if (fd == -ELOOP)
		fd = walk_open(root, ref->path, ref->path_len, O_PATH);
	if (fd < 0) {
		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			fd = stale(d, ref);
		else
			d->host->fail(d->host, fd, "dir: cannot read %s/%.*s",
				      d->path, (int)ref->path_len, ref->path);
		return sink->failed(sink->ctx, &ref->id, fd);
	}
	if (fstat(fd, &st) < 0 || !same_file(ref, &st))
		r = sink->failed(sink->ctx, &ref->id, stale(d, ref));
	else if (S_ISLNK(st.st_mode))
		r = pour_link(d, fd, ref, (uint64_t)st.st_size, sink);
	else
		r = pour_file(d, fd, ref, (uint64_t)st.st_size, sink);
	close(fd);
	return r;
}

static int dir_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	struct dir *d = self;
	int root = root_fd(d), r = 0;
	uint32_t i;

	if (root < 0)
		return root;
	for (i = 0; !r && i < n; i++) {
		if (d->host->cancelled(d->host))
			return -EINTR;
		r = fetch_one(d, root, &refs[i], sink);
	}
	return r;
}

extern const struct scorpio_backend scorpio_dir_backend;
const struct scorpio_backend scorpio_dir_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "dir",
	.schemes = "dir",
	.summary = "a local directory",
	.threads = SCORPIO_THREADS_PARALLEL,
	.flags = SCORPIO_BACKEND_NEEDS_PATH | SCORPIO_BACKEND_DIRECTORY,
	.id_kind = SCORPIO_ID_OPAQUE,
	.open = dir_open,
	.close = dir_close,
	.resolve = dir_resolve,
	.list = dir_list,
	.fetch = dir_fetch,
};
