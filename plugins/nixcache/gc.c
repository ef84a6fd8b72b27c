/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.c - making room in a cache, by the rule of BuildKit's that the store's
 * settings are named after: with a target of bytes the paths that were not used
 * for longest go until it is met; without, all that were not used for
 * keep_duration. A path is used as long as something that refers to it is, and
 * pinned paths with all they refer to stay. What was pulled through keeps its
 * description, so it is brought again when it is asked for.
 */
#include "nixcache.h"

#include <dirent.h>
#include <fcntl.h>
#include <search.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "nix32.h"

#define PATHS_MAX 4000000u
#define ORPHAN_S 86400
#define PINNED INT64_MAX

struct kept {
	char hash[NIX_HASH_TEXT + 1];
	char *nar; /* file below nar/ */
	int64_t use; /* own, then of all that refer to it; seconds */
	int64_t own;
	uint64_t size;
	bool reached, gone;
	char (*refs)[NIX_HASH_TEXT + 1];
	uint32_t n_refs;
};

struct sweep {
	struct nixcached *c;
	struct kept **list; /* by hash, then by use */
	size_t n, cap;
	void *index; /* tsearch(3), by hash */
	uint64_t total, freed;
	size_t removed;
	const struct gc_rule *rule;
};

static int by_hash(const void *a, const void *b)
{
	return strcmp(((const struct kept *)a)->hash,
		      ((const struct kept *)b)->hash);
}

static int latest_first(const void *a, const void *b)
{
	const struct kept *x = *(struct kept *const *)a;
	const struct kept *y = *(struct kept *const *)b;

	return (y->use > x->use) - (y->use < x->use);
}

static void kept_free(struct kept *k)
{
	if (!k)
		return;
	free(k->nar);
	free(k->refs);
	free(k);
}

static int64_t mtime_of(struct nixcached *c, const char *path, uint64_t *size)
{
	struct stat st;

	if (fstatat(c->fd, path, &st, AT_SYMLINK_NOFOLLOW))
		return -1;
	if (size)
		*size = (uint64_t)st.st_size;
	return st.st_mtime;
}

void file_used(struct nixcached *c, const char *path)
{
	int64_t at = mtime_of(c, path, NULL);

	if (at >= 0 && at + NIXCACHE_USE_S < time(NULL))
		utimensat(c->fd, path, NULL, 0);
}

/* -- what there is ----------------------------------------------------------------- */

static struct kept *describe(struct nixcached *c, const char *file)
{
	struct kept *k = calloc(1, sizeof(*k));
	auto_free char *text = NULL, *path = NULL;
	struct narinfo *i = NULL;
	const char *why;
	size_t len;
	int64_t at;

	if (!k || file_read(c, file, NIX_NARINFO_MAX, &text, &len) ||
	    narinfo_parse(text, len, c->role->format.store_dir, &i, &why) ||
	    strncmp(i->url, "nar/", 4) != 0 ||
	    asprintf(&path, "%s", i->url) < 0) {
		narinfo_free(i);
		free(k);
		return NULL;
	}
	snprintf(k->hash, sizeof(k->hash), "%.32s", file);
	k->nar = strdup(i->url + 4);
	k->own = k->use = mtime_of(c, file, NULL);
	at = mtime_of(c, path, &k->size);
	if (at > k->use)
		k->own = k->use = at;
	k->refs = calloc(i->n_refs + 1, sizeof(*k->refs));
	for (uint32_t r = 0; k->refs && r < i->n_refs; r++)
		snprintf(k->refs[k->n_refs++], sizeof(*k->refs), "%.32s",
			 i->refs[r]);
	narinfo_free(i);
	if (k->nar && k->refs)
		return k;
	kept_free(k);
	return NULL;
}

static int add(struct sweep *s, struct kept *k /* takes */)
{
	struct kept **more;

	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		more = realloc(s->list, s->cap * sizeof(*more));
		if (!more) {
			kept_free(k);
			return -ENOMEM;
		}
		s->list = more;
	}
	s->list[s->n++] = k;
	s->total += k->size;
	return tsearch(k, &s->index, by_hash) ? 0 : -ENOMEM;
}

static DIR *open_dir(struct nixcached *c, const char *path)
{
	int fd = openat(c->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static int scan(struct sweep *s)
{
	DIR *d = open_dir(s->c, ".");
	struct dirent *x;
	int rc = 0;

	if (!d)
		return rolefail(s->c->role, -errno, "%s: %s", s->c->dir,
				strerror(errno));
	while (!rc && s->n < PATHS_MAX && (x = readdir(d))) {
		struct kept *k;

		if (strlen(x->d_name) != NIX_HASH_TEXT + 8 ||
		    strcmp(x->d_name + NIX_HASH_TEXT, ".narinfo") != 0)
			continue;
		k = describe(s->c, x->d_name);
		if (k)
			rc = add(s, k);
	}
	closedir(d);
	return rc;
}

static struct kept *find(struct sweep *s, const char *hash)
{
	struct kept want, **at;

	snprintf(want.hash, sizeof(want.hash), "%.32s", hash);
	at = tfind(&want, &s->index, by_hash);
	return at ? *at : NULL;
}

/* All below k is used when k is. The list is the work to do. */
static int reach(struct sweep *s, struct kept *first, struct kept **todo)
{
	size_t n = 0;

	first->reached = true;
	todo[n++] = first;
	while (n) {
		struct kept *k = todo[--n];

		for (uint32_t i = 0; i < k->n_refs; i++) {
			struct kept *below = find(s, k->refs[i]);

			if (!below || below->reached)
				continue;
			below->reached = true;
			below->use = first->use;
			todo[n++] = below;
		}
	}
	return 0;
}

static void on_pin(void *ctx, const char *base)
{
	struct kept *k = find(ctx, base);

	if (k)
		k->use = PINNED;
}

static int order(struct sweep *s)
{
	struct kept **todo = calloc(s->n + 1, sizeof(*todo));

	if (!todo)
		return -ENOMEM;
	if (!s->n) {
		free(todo);
		return 0;
	}
	pins_each(s->c, on_pin, s);
	qsort(s->list, s->n, sizeof(*s->list), latest_first);
	for (size_t i = 0; i < s->n; i++)
		if (!s->list[i]->reached)
			reach(s, s->list[i], todo);
	free(todo);
	qsort(s->list, s->n, sizeof(*s->list), latest_first);
	return 0;
}

/* -- what goes ------------------------------------------------------------------------ */

static void drop(struct nixcached *c, const char *fmt, const char *name)
{
	char path[400];

	if ((size_t)snprintf(path, sizeof(path), fmt, name) < sizeof(path))
		unlinkat(c->fd, path, 0);
}

static void drop_nar(struct nixcached *c, const char *nar)
{
	drop(c, "nar/%s", nar);
	drop(c, "nar/.%s.sum", nar);
	drop(c, "nar/.%s.ls", nar);
	drop(c, "nar/.%s.pieces", nar);
}

/* Another path that stays has the same archive. */
static bool shared(struct sweep *s, const struct kept *k)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i] != k && !s->list[i]->gone &&
		    !strcmp(s->list[i]->nar, k->nar))
			return true;
	return false;
}

static void remove_path(struct sweep *s, struct kept *k)
{
	char from[400], file[64];
	bool again;

	snprintf(file, sizeof(file), "%s.narinfo", k->hash);
	/* used in the meantime */
	if (mtime_of(s->c, file, NULL) > k->own)
		return;
	snprintf(from, sizeof(from), "nar/.%.300s.from", k->nar);
	again = file_is(s->c, from);
	if (again && !k->size)
		return;
	k->gone = true;
	if (!again) {
		drop(s->c, "%s.narinfo", k->hash);
		drop(s->c, "%s.ls", k->hash);
		drop(s->c, "%s.pieces", k->hash);
	}
	if (!shared(s, k)) {
		drop_nar(s->c, k->nar);
		s->freed += k->size;
	}
	s->total -= k->size < s->total ? k->size : s->total;
	s->removed++;
}

/* UINT64_MAX: no target. */
static uint64_t target(struct sweep *s)
{
	const struct gc_rule *r = s->rule;
	uint64_t to = r->max_used ? r->max_used : UINT64_MAX, free_now;
	struct statvfs v;

	if (r->min_free && !statvfs(s->c->dir, &v)) {
		free_now = (uint64_t)v.f_bavail * v.f_frsize;
		if (to == UINT64_MAX)
			to = s->total;
		if (free_now < r->min_free)
			to = to > r->min_free - free_now
				     ? to - (r->min_free - free_now)
				     : 0;
	}
	return to < r->reserved ? r->reserved : to;
}

static void drop_orphans(struct sweep *s)
{
	DIR *d = open_dir(s->c, "nar");
	struct dirent *x;
	void *known = NULL;
	char path[300];

	for (size_t i = 0; d && i < s->n; i++)
		if (!s->list[i]->gone)
			tsearch(s->list[i]->nar, &known,
				(int (*)(const void *, const void *))strcmp);
	while (d && (x = readdir(d))) {
		if (*x->d_name == '.' ||
		    tfind(x->d_name, &known,
			  (int (*)(const void *, const void *))strcmp))
			continue;
		snprintf(path, sizeof(path), "nar/%s", x->d_name);
		if (mtime_of(s->c, path, NULL) + ORPHAN_S < time(NULL))
			drop_nar(s->c, x->d_name);
	}
	if (d)
		closedir(d);
	for (size_t i = 0; known && i < s->n; i++)
		tdelete(s->list[i]->nar, &known,
			(int (*)(const void *, const void *))strcmp);
}

/* Parts of uploads that were never completed. */
static void drop_parts(struct nixcached *c)
{
	DIR *d = open_dir(c, "parts");
	struct dirent *x;
	char path[300];

	while (d && (x = readdir(d))) {
		snprintf(path, sizeof(path), "parts/%s", x->d_name);
		if (*x->d_name != '.' &&
		    mtime_of(c, path, NULL) + ORPHAN_S < time(NULL))
			unlinkat(c->fd, path, 0);
	}
	if (d)
		closedir(d);
}

static void sweep_done(struct sweep *s)
{
	for (size_t i = 0; i < s->n; i++)
		tdelete(s->list[i], &s->index, by_hash);
	for (size_t i = 0; i < s->n; i++)
		kept_free(s->list[i]);
	free(s->list);
}

static bool ending(struct nixcache_role *s)
{
	bool ret;

	pthread_mutex_lock(&s->lock);
	ret = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int gc_run(struct nixcached *c, const struct gc_rule *rule, struct gc_result *ret)
{
	struct sweep s = { .c = c, .rule = rule };
	int64_t now = time(NULL);
	uint64_t to;
	int rc = scan(&s);

	if (!rc)
		rc = order(&s);
	to = rc ? 0 : target(&s);
	/* the longest unused is last */
	for (size_t i = s.n; !rc && i-- && !ending(c->role);) {
		struct kept *k = s.list[i];

		if (k->use == PINNED || (to != UINT64_MAX && s.total <= to) ||
		    (to == UINT64_MAX && !rule->keep_s) ||
		    k->use + rule->keep_s >= now)
			break;
		remove_path(&s, k);
	}
	if (!rc) {
		drop_orphans(&s);
		drop_parts(c);
	}
	*ret = (struct gc_result){ s.removed, s.freed, s.total };
	sweep_done(&s);
	return rc;
}

static void *gc_thread(void *arg)
{
	struct nixcache_role *s = arg;
	struct gc_result r;
	struct timespec t;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		pthread_mutex_unlock(&s->lock);
		for (unsigned i = 0; i < s->n_caches; i++)
			if (!gc_run(&s->caches[i], &s->gc, &r) && r.removed)
				rolelog(s, SCORPIO_LOG_INFO, "%s: %zu paths "
					"removed, %llu bytes", s->caches[i].name,
					r.removed, (unsigned long long)r.freed);
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += NIXCACHE_GC_S;
		pthread_mutex_lock(&s->lock);
		while (!s->stopping &&
		       pthread_cond_timedwait(&s->changed, &s->lock, &t) !=
			       ETIMEDOUT)
			;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int gc_start(struct nixcache_role *s)
{
	if (!s->gc.keep_s && !s->gc.max_used && !s->gc.min_free)
		return 0;
	if (pthread_create(&s->gc_thread, NULL, gc_thread, s))
		return rolefail(s, -EAGAIN, "cannot start a thread");
	s->gc_runs = true;
	return 0;
}

void gc_stop(struct nixcache_role *s)
{
	if (s->gc_runs)
		pthread_join(s->gc_thread, NULL);
	s->gc_runs = false;
}
