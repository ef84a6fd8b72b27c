/* SPDX-License-Identifier: Apache-2.0 */
#include "core/path.h"

#include "core/buf.h"
#include "core/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DEPTH_MAX 256

static int make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (!mkdir(path, mode))
		return 0;
	if (errno == EEXIST || errno == EROFS || errno == EACCES) {
		int saved = errno;

		if (!stat(path, &st) && S_ISDIR(st.st_mode))
			return 0;
		errno = saved == EEXIST ? ENOTDIR : saved;
	}
	return fail(-errno, "cannot make directory %s: %s", path,
		    strerrordesc_np(errno));
}

int path_make_dirs(const char *path, mode_t mode)
{
	cleanup_free char *p = xstrdup(path);
	char *at = p;
	int r;

	if (!*p)
		return fail(-EINVAL, "empty path");
	while ((at = strchr(at + 1, '/'))) {
		*at = '\0';
		r = make_dir(p, 0755 | mode);
		*at = '/';
		if (r)
			return r;
	}
	return make_dir(p, mode);
}

static int empty_fd(int fd, dev_t dev, int depth);

static int remove_entry(int dir, const char *name, dev_t dev, int depth)
{
	struct stat st;
	int fd, r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir, name, 0) ? -errno : 0;
	if (st.st_dev != dev)
		return fail(-EXDEV, "%s is a mountpoint", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = empty_fd(fd, dev, depth + 1); /* closes */
	if (r)
		return r;
	return unlinkat(dir, name, AT_REMOVEDIR) ? -errno : 0;
}

/* Takes fd. */
static int empty_fd(int fd, dev_t dev, int depth)
{
	struct dirent *e;
	int r = 0;
	DIR *d;

	if (depth > DEPTH_MAX) {
		close(fd);
		return -ELOOP;
	}
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while (!r && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		r = remove_entry(dirfd(d), e->d_name, dev, depth);
	}
	closedir(d);
	return r;
}

int path_empty_dir(const char *path)
{
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "cannot open %s: %s", path,
			    strerrordesc_np(errno));
	if (fstat(fd, &st)) {
		r = -errno;
		close(fd);
		return r;
	}
	r = empty_fd(fd, st.st_dev, 0);
	return r ? fail_prefix(r, "cannot empty %s", path) : 0;
}

/* Append the part unless it is empty or ".". */
static void add_part(struct buf *b, const char *p, size_t n)
{
	if (!n || (n == 1 && *p == '.'))
		return;
	if (!b->len || b->data[b->len - 1] != '/')
		buf_putc(b, '/');
	buf_put(b, p, n);
}

static void add_parts(struct buf *b, const char *p)
{
	while (*p) {
		size_t n = strcspn(p, "/");

		add_part(b, p, n);
		p += n;
		p += strspn(p, "/");
	}
}

char *path_absolute(const char *path)
{
	struct buf b = BUF_INIT;

	if (path[0] != '/') {
		cleanup_free char *cwd = getcwd(NULL, 0);

		add_parts(&b, cwd && *cwd == '/' ? cwd : "/");
	}
	add_parts(&b, path);
	if (!b.len)
		buf_putc(&b, '/');
	return buf_steal(&b);
}

int path_read(const char *path, size_t max, char **ret, size_t *ret_len)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_buf struct buf b = BUF_INIT;
	ssize_t n;

	if (fd < 0)
		return fail(-errno, "%s: %s", path, strerrordesc_np(errno));
	do {
		buf_reserve(&b, 64 * KiB);
		n = read(fd, b.data + b.len, 64 * KiB);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-errno, "%s: %s", path,
				    strerrordesc_np(errno));
		b.len += (size_t)n;
		if (b.len > max)
			return fail(-EFBIG, "%s: more than %zu bytes", path,
				    max);
	} while (n);
	if (ret_len)
		*ret_len = b.len;
	*ret = buf_steal(&b);
	return 0;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = slash ? xstrndup(path, MAX((size_t)(slash - path), 1u)) :
					 xstrdup(".");
	cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) ? -errno : 0;
}

int path_write(const char *path, const void *p, size_t n, mode_t mode,
	       bool sync)
{
	cleanup_free char *tmp = xasprintf("%s.XXXXXX", path);
	cleanup_fd int fd = mkostemp(tmp, O_CLOEXEC);
	int r;

	if (fd < 0)
		return fail(-errno, "cannot write %s: %s", path,
			    strerrordesc_np(errno));
	r = write_all(fd, p, n);
	if (!r && fchmod(fd, mode))
		r = -errno;
	if (!r && sync && fsync(fd))
		r = -errno;
	if (!r && rename(tmp, path))
		r = -errno;
	if (r)
		unlink(tmp);
	else if (sync)
		r = sync_parent(path);
	return r ? fail(r, "cannot write %s: %s", path, strerrordesc_np(-r)) : 0;
}
