/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - LFS objects: the directory they are kept in, sent and taken. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lfs.h"
#include "range.h"

#define PIECE 262144u

/* -- the directory ---------------------------------------------------------------------- */

static void path_of(const struct gate_lfs *l, const char *oid, char *ret,
		    size_t cap)
{
	snprintf(ret, cap, "%s/%.2s/%.2s/%s", l->dir, oid, oid + 2, oid);
}

int lfs_open(struct gate_lfs *l, const char *oid, uint64_t *ret_size)
{
	char path[4300];
	struct stat st;
	int fd;

	path_of(l, oid, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	if (fd >= 0)
		*ret_size = (uint64_t)st.st_size;
	return fd;
}

static int trouble(struct gate_lfs *l, const char *what)
{
	return l->g->host->fail(l->g->host, -errno, "%s: %s", what,
				strerror(errno));
}

static int make_dirs(struct gate_lfs *l, char *path)
{
	for (char *p = path + strlen(l->dir); p; p = strchr(p + 1, '/')) {
		int rc;

		*p = '\0';
		rc = mkdir(path, 0777);
		if (rc && errno == ENOENT && p == path + strlen(l->dir)) {
			char *up = strrchr(path, '/'); /* .git/lfs */

			*up = '\0';
			mkdir(path, 0777);
			*up = '/';
			rc = mkdir(path, 0777);
		}
		if (rc && errno != EEXIST)
			return trouble(l, path);
		*p = '/';
	}
	return 0;
}

/* A file without a name, beside those with one. */
static int copy(struct gate_lfs *l, int from, uint64_t size)
{
	int to = open(l->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	char *buf = to < 0 ? NULL : malloc(PIECE);
	uint64_t at = 0;

	while (buf && at < size) {
		ssize_t n = pread(from, buf, PIECE, (off_t)at);

		if (n <= 0 || write(to, buf, (size_t)n) != n)
			break;
		at += (uint64_t)n;
	}
	free(buf);
	if (to >= 0 && at < size) {
		close(to);
		to = -1;
	}
	return to;
}

static int give_name(int fd, const char *path)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

int lfs_name(struct gate_lfs *l, const char *oid, int fd, uint64_t size)
{
	char path[4300];
	int rc, other;

	path_of(l, oid, path, sizeof(path));
	rc = make_dirs(l, path);
	if (rc)
		return rc;
	rc = give_name(fd, path);
	if (rc && errno == EXDEV) {
		other = copy(l, fd, size);
		rc = other < 0 ? -1 : give_name(other, path);
		if (other >= 0)
			close(other);
	}
	return rc && errno != EEXIST ? trouble(l, path) : 0;
}

static bool has_hash(const char *oid, int fd, uint64_t size)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char *buf = malloc(PIECE), sum[32];
	char hex[LFS_OID + 1];
	uint64_t at = 0;
	ssize_t n = 1;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while (buf && at < size && n > 0) {
		n = pread(fd, buf, PIECE, (off_t)at);
		if (n > 0)
			EVP_DigestUpdate(md, buf, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	EVP_DigestFinal_ex(md, sum, NULL);
	EVP_MD_CTX_free(md);
	free(buf);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	return at == size && !strcmp(hex, oid);
}

int lfs_check(struct gate_lfs *l, const char *oid, int fd, uint64_t size)
{
	return has_hash(oid, fd, size) ? 0 :
	       l->g->host->fail(l->g->host, -EBADMSG, "what was sent is not "
				"%s: its SHA-256 is another", oid);
}

int lfs_keep(struct gate_lfs *l, const char *oid, int fd, uint64_t size)
{
	int rc = lfs_check(l, oid, fd, size);

	return rc ? rc : lfs_name(l, oid, fd, size);
}

/* -- the calls ---------------------------------------------------------------------------- */

static int64_t read_pull(void *ctx, uint64_t pos, void *buf, uint64_t n)
{
	return pull_read(ctx, pos, buf, n);
}

static void end_pull(void *ctx)
{
	pull_put(ctx);
}

static int send_pulled(struct gate *g, struct scorpio_request *r,
		       const char *oid, uint64_t size,
		       const struct scorpio_range *x,
		       const char *const *headers)
{
	struct scorpio_body b = { .struct_size = sizeof(b), .from = x->from,
				  .size = x->n, .read = read_pull,
				  .done = end_pull };
	struct pull *p;
	int rc = pull_get(g->lfs, oid, size, &p);

	if (rc)
		return lfs_say(g, r, gate_status_of(rc),
			       g->host->error_text(g->host, rc));
	b.ctx = p;
	return g->http->reply_body(r, x->status, headers, &b);
}

int gate_lfs_get(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *oid = g->http->param(r, "oid");
	const char *told = g->http->query(r, "size", "");
	uint64_t size = strtoull(told, NULL, 10);
	struct scorpio_range x;
	char tag[GATE_TAG_MAX];
	int fd, rc;

	if (!lfs_oid_ok(oid))
		return lfs_say(g, r, 422, "an object is named by 64 "
			       "hexadecimal digits");
	fd = lfs_open(g->lfs, oid, &size);
	if (fd < 0 && (!g->lfs->upstream || !*told))
		return lfs_say(g, r, 404, "there is no such object");
	g->http->range(r, size, &x);
	if (x.status == 416) {
		rc = gate_range_refuse(g, r, &x);
	} else {
		const char *const headers[] = GATE_RANGE_HEADERS(x, tag, oid);

		rc = fd >= 0 ? g->http->reply_file(r, x.status, headers, fd,
						   x.from, x.n) :
			       send_pulled(g, r, oid, size, &x, headers);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Right, at the upstream if there is one, and kept. */
static int accept_object(struct gate *g, struct scorpio_request *r,
			 const char *oid, int fd, uint64_t size)
{
	int rc = lfs_check(g->lfs, oid, fd, size);

	if (!rc && g->lfs->upstream)
		rc = lfs_give(g->lfs, oid, fd, size, gate_writer(g, r));
	return rc ? rc : lfs_name(g->lfs, oid, fd, size);
}

int gate_lfs_put(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *oid = g->http->param(r, "oid");
	uint64_t size = 0;
	int fd = g->http->body_fd(r, &size), empty = -1, rc;

	if (!lfs_oid_ok(oid))
		return lfs_say(g, r, 422, "an object is named by 64 "
			       "hexadecimal digits");
	if (!lfs_may_upload(g, r, &rc))
		return rc;
	if (fd < 0) /* no body at all */
		fd = empty = open(g->scratch, O_TMPFILE | O_RDWR | O_CLOEXEC,
				  0666);
	rc = accept_object(g, r, oid, fd, size);
	if (empty >= 0)
		close(empty);
	return rc ? lfs_say(g, r, rc == -EBADMSG	    ? 422 :
				  !g->lfs->upstream ? 500 :
						      lfs_status_of(g, r, rc),
			    g->host->error_text(g->host, rc)) :
		    g->http->reply(r, 200, NULL, "", 0);
}

/* -- start and end -------------------------------------------------------------------------- */

static char *upstream_of(const struct gate *g, const char *set)
{
	char *url = NULL;
	size_t n = g->origin.at ? strlen(g->origin.at) : 0;
	bool named = n > 4 && !strcmp(g->origin.at + n - 4, ".git");

	if (set && *set)
		return strdup(set);
	if (g->origin.kind != GATE_GIT && g->origin.kind != GATE_MONO)
		return NULL;
	if (asprintf(&url, "%s%s/info/lfs", g->origin.at,
		     named || g->origin.kind == GATE_MONO ? "" : ".git") < 0)
		return NULL;
	return url;
}

int gate_lfs_open(struct gate *g, const char *dir, const char *upstream)
{
	struct gate_lfs *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	gate_cond_init(&l->changed);
	g->lfs = l;
	l->g = g;
	l->upstream = upstream_of(g, upstream);
	rc = dir && *dir ? asprintf(&l->dir, "%s", dir) :
	     g->origin.kind == GATE_LOCAL ?
			   asprintf(&l->dir, "%s/lfs/objects", g->origin.at) :
			   asprintf(&l->dir, "%s/lfs", g->scratch);
	if (rc < 0)
		l->dir = NULL;
	if (l->dir && *l->dir != '/')
		return g->host->fail(g->host, -EINVAL, "monogate.lfs_directory "
				     "is \"%s\": write an absolute path",
				     l->dir);
	/* with the repository, whoever serves it; or with the objects */
	rc = g->origin.kind == GATE_LOCAL ?
		     asprintf(&l->locks, "%s/lfs/scorpio-locks.json",
			      g->origin.at) :
	     dir && *dir ? asprintf(&l->locks, "%s/locks.json", dir) : 0;
	if (rc <= 0)
		l->locks = NULL;
	return l->dir && rc >= 0 ? 0 : -ENOMEM;
}

void gate_lfs_close(struct gate *g)
{
	struct gate_lfs *l = g->lfs;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_broadcast(&l->changed);
	while (l->running)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l->upstream);
	free(l->locks);
	free(l->dir);
	free(l);
	g->lfs = NULL;
}
