/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upper.h"

#include "core/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>

#define NAME "%02x/%016lx"

struct slot {
	struct slot *next;         /* hash chain */
	struct slot *newer, *older; /* idle ones, by last use */
	const struct upper *upper;
	uint64_t file;
	int fd;
	uint32_t refs;
	bool removed; /* not in the table any more */
	bool shared;  /* atomic; perhaps: the file's link count tells */
};

struct fd_cache {
	pthread_mutex_t lock;
	struct slot **buckets; /* lock */
	unsigned mask;
	struct slot idle; /* lock; list head: newer = oldest */
	unsigned count, max; /* lock */
};

struct upper {
	struct fd_cache *cache;
	int dir;
	char *path;
	unsigned shares; /* atomic; upper_share was called so often */
};

static unsigned limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 64;
	return (unsigned)MAX(16u, MIN(4096u, r.rlim_cur / 4));
}

struct fd_cache *fd_cache_new(unsigned max)
{
	struct fd_cache *f = xcalloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	f->max = max ? max : limit();
	f->mask = 1023;
	f->buckets = xcalloc(f->mask + 1, sizeof(*f->buckets));
	f->idle.newer = f->idle.older = &f->idle;
	return f;
}

void fd_cache_free(struct fd_cache *f)
{
	if (!f)
		return;
	assert(!f->count);
	free(f->buckets);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static struct slot **bucket(struct fd_cache *f, const struct upper *u,
			    uint64_t file)
{
	uint64_t h = (file ^ (uintptr_t)u >> 4) * 0x9e3779b97f4a7c15ull;

	return &f->buckets[h >> 40 & f->mask];
}

static void idle_remove(struct slot *s)
{
	s->newer->older = s->older;
	s->older->newer = s->newer;
}

static void idle_add(struct fd_cache *f, struct slot *s)
{
	s->older = f->idle.older;
	s->newer = &f->idle;
	s->older->newer = s;
	f->idle.older = s;
}

static void unhash(struct fd_cache *f, struct slot *s)
{
	struct slot **p = bucket(f, s->upper, s->file);

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	f->count--;
	s->removed = true;
}

static struct slot *find(struct fd_cache *f, const struct upper *u,
			 uint64_t file)
{
	struct slot *s = *bucket(f, u, file);

	while (s && (s->upper != u || s->file != file))
		s = s->next;
	return s;
}

static void hold(struct slot *s)
{
	if (!s->refs++)
		idle_remove(s);
}

/* The descriptor is ours: put it into the cache, held. If somebody was faster
 * take his. Returns a slot to be closed and freed, or NULL. */
static struct slot *enter(struct upper *u, uint64_t file, int fd,
			  unsigned shares, struct upper_fd *ret)
{
	struct fd_cache *f = u->cache;
	struct slot *s, *victim = NULL, **b;
	struct stat st;

	lock_scope(&f->lock);
	s = find(f, u, file);
	if (s) {
		hold(s);
		victim = xcalloc(1, sizeof(*victim));
		victim->fd = fd;
	} else {
		if (f->count >= f->max && f->idle.newer != &f->idle) {
			victim = f->idle.newer;
			idle_remove(victim);
			unhash(f, victim);
		}
		s = xcalloc(1, sizeof(*s));
		s->upper = u;
		s->file = file;
		s->fd = fd;
		s->refs = 1;
		/* shared since it was opened, maybe, or before */
		s->shared = shares != __atomic_load_n(&u->shares,
						      __ATOMIC_ACQUIRE) ||
			    fstat(fd, &st) || st.st_nlink > 1;
		b = bucket(f, u, file);
		s->next = *b;
		*b = s;
		f->count++;
	}
	*ret = (struct upper_fd){ s->fd, s };
	return victim;
}

static void destroy(struct slot *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}

static void file_name(uint64_t file, char out[32])
{
	snprintf(out, 32, NAME, (unsigned)(file & 0xff), file);
}

int upper_get(struct upper *u, uint64_t file, struct upper_fd *ret)
{
	struct fd_cache *f = u->cache;
	struct slot *s;
	unsigned shares;
	char name[32];
	int fd;

	pthread_mutex_lock(&f->lock);
	s = find(f, u, file);
	if (s) {
		hold(s);
		*ret = (struct upper_fd){ s->fd, s };
	}
	pthread_mutex_unlock(&f->lock);
	if (s)
		return 0;
	shares = __atomic_load_n(&u->shares, __ATOMIC_ACQUIRE);
	file_name(file, name);
	fd = openat(u->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail(errno == ENOENT ? -EIO : -errno,
			    "changed content %s/%s: %s", u->path, name,
			    strerror(errno));
	destroy(enter(u, file, fd, shares, ret));
	return 0;
}

int upper_create(struct upper *u, uint64_t file, struct upper_fd *ret)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	char name[32], sub[8];
	int fd;

	file_name(file, name);
	fd = openat(u->dir, name, flags, 0600);
	if (fd < 0 && errno == ENOENT) {
		snprintf(sub, sizeof(sub), "%.2s", name);
		if (!mkdirat(u->dir, sub, 0700) || errno == EEXIST)
			fd = openat(u->dir, name, flags, 0600);
	}
	if (fd < 0)
		return fail(errno == ENOENT ? -EIO : -errno,
			    "changed content %s/%s: %s", u->path, name,
			    strerror(errno));
	destroy(enter(u, file, fd, __atomic_load_n(&u->shares,
						   __ATOMIC_ACQUIRE), ret));
	return 0;
}

/* -- shared with another workspace ---------------------------------------------- */

bool upper_shared(struct upper_fd *fd)
{
	struct slot *s = fd->slot;
	struct stat st;

	if (!__atomic_load_n(&s->shared, __ATOMIC_ACQUIRE))
		return false;
	if (fstat(fd->fd, &st) || st.st_nlink > 1)
		return true;
	__atomic_store_n(&s->shared, false, __ATOMIC_RELEASE);
	return false;
}

int upper_share(struct upper *u, uint64_t file, int to, uint64_t *ret_size)
{
	struct fd_cache *f = u->cache;
	struct slot *s;
	struct stat st;
	char name[32], sub[8];

	__atomic_fetch_add(&u->shares, 1, __ATOMIC_ACQ_REL);
	file_name(file, name);
	snprintf(sub, sizeof(sub), "%.2s", name);
	if (fstatat(u->dir, name, &st, AT_SYMLINK_NOFOLLOW) ||
	    (mkdirat(to, sub, 0700) && errno != EEXIST) ||
	    linkat(u->dir, name, to, name, 0))
		return fail(-errno, "changed content %s/%s: %s", u->path, name,
			    strerror(errno));
	pthread_mutex_lock(&f->lock);
	s = find(f, u, file);
	if (s)
		__atomic_store_n(&s->shared, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&f->lock);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

void upper_put(struct upper *u, struct upper_fd *fd)
{
	struct fd_cache *f = u->cache;
	struct slot *s = fd->slot, *victim = NULL;

	if (!s)
		return;
	pthread_mutex_lock(&f->lock);
	if (!--s->refs) {
		if (s->removed) {
			victim = s;
		} else if (f->count > f->max) {
			unhash(f, s);
			victim = s;
		} else {
			idle_add(f, s);
		}
	}
	pthread_mutex_unlock(&f->lock);
	destroy(victim);
	*fd = (struct upper_fd){ -1, NULL };
}

void upper_remove(struct upper *u, uint64_t file)
{
	struct fd_cache *f = u->cache;
	struct slot *s;
	char name[32];

	pthread_mutex_lock(&f->lock);
	s = find(f, u, file);
	if (s) {
		unhash(f, s);
		if (s->refs)
			s = NULL; /* closed at its last put */
		else
			idle_remove(s);
	}
	pthread_mutex_unlock(&f->lock);
	destroy(s);
	file_name(file, name);
	unlinkat(u->dir, name, 0); /* what stays is swept at the next open */
}

int upper_stat(struct upper *u, uint64_t file, struct stat *ret)
{
	char name[32];

	file_name(file, name);
	return fstatat(u->dir, name, ret, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

int upper_sync_name(struct upper *u, uint64_t file)
{
	char sub[8];
	int rc = 0;

	snprintf(sub, sizeof(sub), "%02x", (unsigned)(file & 0xff));
	cleanup_fd int fd = openat(u->dir, sub,
				   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) || fsync(u->dir))
		rc = fail(-errno, "%s/%s: %s", u->path, sub, strerror(errno));
	return rc;
}

int upper_open(const char *dir, bool make, struct fd_cache *f,
	       struct upper **ret)
{
	struct upper *u = xcalloc(1, sizeof(*u));
	int rc = 0;

	u->cache = f;
	u->path = xasprintf("%s/upper", dir);
	if (make && mkdir(u->path, 0700) && errno != EEXIST)
		rc = -errno;
	u->dir = rc ? -1 : open(u->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!rc && u->dir < 0)
		rc = -errno;
	if (rc) {
		fail(rc, "changed content %s: %s", u->path, strerror(-rc));
		free(u->path);
		free(u);
		return rc;
	}
	*ret = u;
	return 0;
}

void upper_close(struct upper *u)
{
	struct fd_cache *f;
	struct slot *gone = NULL;

	if (!u)
		return;
	f = u->cache;
	pthread_mutex_lock(&f->lock);
	for (struct slot *s = f->idle.newer, *next; s != &f->idle; s = next) {
		next = s->newer;
		if (s->upper != u)
			continue;
		idle_remove(s);
		unhash(f, s);
		s->next = gone;
		gone = s;
	}
	pthread_mutex_unlock(&f->lock);
	for (struct slot *next; gone; gone = next) {
		next = gone->next;
		destroy(gone);
	}
	close(u->dir);
	free(u->path);
	free(u);
}

static void sweep_dir(struct upper *u, const char *sub,
		      bool (*keep)(void *ctx, uint64_t file), void *ctx)
{
	int fd = openat(u->dir, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t file;

	if (!d) {
		base_close(&fd);
		return;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (sscanf(e->d_name, "%16lx", &file) != 1 || !keep(ctx, file))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

void upper_sweep(struct upper *u, bool (*keep)(void *ctx, uint64_t file),
		 void *ctx)
{
	int fd = openat(u->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		base_close(&fd);
		return;
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			sweep_dir(u, e->d_name, keep, ctx);
	closedir(d);
}

int upper_statfs(struct upper *u, struct statvfs *ret)
{
	return fstatvfs(u->dir, ret)
		       ? fail(-errno, "%s: %s", u->path, strerror(errno))
		       : 0;
}
