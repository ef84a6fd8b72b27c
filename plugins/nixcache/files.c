/* SPDX-License-Identifier: Apache-2.0 */
#include "nixcache.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "nix32.h"

int64_t nixcache_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool file_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > 240 || *name == '.')
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || *name == '/')
			return false;
	return true;
}

bool file_kind(const char *name, enum unpack_kind *ret)
{
	static const struct {
		const char *end;
		enum unpack_kind kind;
	} ends[] = {
		{ ".nar", UNPACK_NONE },      { ".nar.xz", UNPACK_XZ },
		{ ".nar.bz2", UNPACK_BZIP2 }, { ".nar.zst", UNPACK_ZSTD },
		{ ".nar.br", UNPACK_BROTLI }, { ".nar.gz", UNPACK_GZIP },
		{ ".nar.gzip", UNPACK_GZIP }, { ".nar.lzma", UNPACK_LZMA },
	};
	const char *at = strstr(name, ".nar");

	for (size_t i = 0; at && i < sizeof(ends) / sizeof(*ends); i++) {
		if (strcmp(at, ends[i].end))
			continue;
		*ret = ends[i].kind;
		return true;
	}
	return false;
}

static int file_error(struct nixcached *c, const char *path)
{
	return rolefail(c->role, -errno, "%s/%s: %s", c->dir, path,
			strerror(errno));
}

int file_read(struct nixcached *c, const char *path, size_t max, char **ret,
	      size_t *ret_len)
{
	int fd = openat(c->fd, path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return file_error(c, path);
	if (fstat(fd, &st) || st.st_size < 0 || (uint64_t)st.st_size > max) {
		close(fd);
		return rolefail(c->role, -EFBIG, "%s/%s is too large", c->dir,
				path);
	}
	text = malloc((size_t)st.st_size + 1);
	n = text ? pread(fd, text, (size_t)st.st_size, 0) : -1;
	close(fd);
	if (n != st.st_size) {
		free(text);
		return rolefail(c->role, -EIO, "%s/%s cannot be read", c->dir,
				path);
	}
	text[n] = '\0';
	*ret = text;
	*ret_len = (size_t)n;
	return 0;
}

int file_temp(struct nixcached *c)
{
	int fd = openat(c->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

	return fd < 0 ? file_error(c, ".") : fd;
}

int file_name(struct nixcached *c, int fd, const char *path)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fdatasync(fd))
		return file_error(c, path);
	if (linkat(AT_FDCWD, self, c->fd, path, AT_SYMLINK_FOLLOW) &&
	    errno != EEXIST)
		return file_error(c, path);
	return 0;
}

int file_write(struct nixcached *c, const char *path, const void *p, size_t n)
{
	int fd = file_temp(c), rc = 0;

	if (fd < 0)
		return fd;
	for (const char *at = p; n && !rc;) {
		ssize_t put = write(fd, at, n);

		if (put <= 0)
			rc = file_error(c, path);
		else
			n -= (size_t)put, at += put;
	}
	/* a newer one takes the place of an older one */
	if (!rc && unlinkat(c->fd, path, 0) && errno != ENOENT)
		rc = file_error(c, path);
	if (!rc)
		rc = file_name(c, fd, path);
	close(fd);
	return rc;
}

bool file_is(struct nixcached *c, const char *path)
{
	return !faccessat(c->fd, path, F_OK, 0);
}

char *text_path(struct nixcached *c, const struct scorpio_request *r,
		const char *kind, bool make)
{
	const struct scorpio_http_service *http = c->role->http;
	const char *name = http->param(r, "name"), *drv = http->param(r, "drv");
	char dir[300], *path;

	if (!file_name_ok(name) || (drv && !file_name_ok(drv)))
		return NULL;
	snprintf(dir, sizeof(dir), "%s%s%s", kind, drv ? "/" : "",
		 drv ? drv : "");
	if (make && drv && mkdirat(c->fd, dir, 0755) && errno != EEXIST)
		return NULL;
	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* -- sums --------------------------------------------------------------------------- */

static char *sum_path(const char *nar)
{
	char *path;

	return asprintf(&path, "nar/.%s.sum", nar) < 0 ? NULL : path;
}

int sum_write(struct nixcached *c, const char *nar, const struct sum *s)
{
	char nh[2 * NIX_SHA256 + 1], fh[2 * NIX_SHA256 + 1], text[256];
	auto_free char *path = sum_path(nar);

	if (!path)
		return -ENOMEM;
	snprintf(text, sizeof(text), "%s %" PRIu64 " %s %" PRIu64 " %d\n",
		 nixhex_encode(s->nar_hash, NIX_SHA256, nh), s->nar_size,
		 nixhex_encode(s->file_hash, NIX_SHA256, fh), s->file_size,
		 (int)s->kind);
	return file_write(c, path, text, strlen(text));
}

int sum_read(struct nixcached *c, const char *nar, struct sum *ret)
{
	auto_free char *path = sum_path(nar), *text = NULL;
	char nh[65], fh[65];
	size_t len;
	int kind, rc = path ? file_read(c, path, 255, &text, &len) : -ENOMEM;

	if (rc)
		return rc;
	if (sscanf(text, "%64s %" SCNu64 " %64s %" SCNu64 " %d", nh,
		   &ret->nar_size, fh, &ret->file_size, &kind) != 5 ||
	    !nixhex_decode(nh, strlen(nh), ret->nar_hash, NIX_SHA256) ||
	    !nixhex_decode(fh, strlen(fh), ret->file_hash, NIX_SHA256))
		return rolefail(c->role, -EIO, "%s is damaged", path);
	ret->kind = (enum unpack_kind)kind;
	return 0;
}
