/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_base.c - the server's directories below a layer. A layer remembers
 * those it needed: the same ones are asked for several times while a change
 * list is looked through.
 */
#include "layer_impl.h"

#include "directory.h"

#define CACHE_ENTRIES_MAX 2000000u

void listed_put(struct listed *d)
{
	if (!d || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < d->n; i++)
		free((char *)(uintptr_t)d->e[i].name);
	free(d->e);
	free(d->path);
	free(d);
}

void layer_cache_done(struct layer *l)
{
	for (struct listed *next; l->cache; l->cache = next) {
		next = l->cache->next;
		listed_put(l->cache);
	}
}

static int by_name(const void *pa, const void *pb)
{
	const struct scorpio_entry *a = pa, *b = pb;
	uint32_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c = memcmp(a->name, b->name, n);

	return c ? c : (a->name_len > b->name_len) -
			       (a->name_len < b->name_len);
}

const struct scorpio_entry *listed_find(const struct listed *d,
					const char *name, size_t n)
{
	struct scorpio_entry key = { .name = name, .name_len = (uint32_t)n };

	return d && d->n ? bsearch(&key, d->e, d->n, sizeof(key), by_name)
			 : NULL;
}

/* -- a sink that keeps one tree -------------------------------------------- */

struct keeping {
	struct listed *d;
	int failed;
};

static int keep_begin(void *ctx, const struct scorpio_id *id)
{
	(void)ctx;
	(void)id;
	return 0;
}

static int keep_entry(void *ctx, const struct scorpio_entry *e)
{
	struct listed *d = ((struct keeping *)ctx)->d;
	size_t cap = d->cap ? 2 * d->cap : 32;
	struct scorpio_entry *bigger;
	char *name = malloc(e->name_len + 1u);

	if (d->n == d->cap && name) {
		bigger = reallocarray(d->e, cap, sizeof(*bigger));
		if (!bigger) {
			free(name);
			return -ENOMEM;
		}
		d->e = bigger;
		d->cap = cap;
	}
	if (!name)
		return -ENOMEM;
	memcpy(name, e->name, e->name_len);
	name[e->name_len] = 0;
	d->e[d->n] = *e;
	d->e[d->n++].name = name;
	return 0;
}

static int keep_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static int keep_failed(void *ctx, const struct scorpio_id *id, int error)
{
	(void)id;
	((struct keeping *)ctx)->failed = error;
	return error;
}

static int ask(struct mono *m, const char *path, const struct scorpio_id *id,
	       struct listed *d)
{
	struct keeping k = { .d = d };
	const struct scorpio_sink sink = {
		.struct_size = sizeof(sink), .ctx = &k,
		.tree_begin = keep_begin, .tree_entry = keep_entry,
		.tree_end = keep_end, .failed = keep_failed,
	};
	const struct scorpio_ref ref = { .id = *id, .path = path,
					 .path_len = (uint32_t)strlen(path),
					 .kind = SCORPIO_DIR };
	int rc = monodir_list(m, &ref, 1, &sink);

	if (rc == 0 && d->n)
		qsort(d->e, d->n, sizeof(*d->e), by_name);
	return k.failed ? k.failed : rc;
}

/* -- the cache ------------------------------------------------------------- */

static struct listed *cached(struct layer *l, const char *path)
{
	struct listed *d;

	pthread_mutex_lock(&l->lock);
	for (d = l->cache; d && strcmp(d->path, path) != 0;)
		d = d->next;
	if (d)
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&l->lock);
	return d;
}

static void remember(struct layer *l, struct listed *d)
{
	pthread_mutex_lock(&l->lock);
	if (l->cached + d->n <= CACHE_ENTRIES_MAX) {
		l->cached += d->n;
		d->next = l->cache;
		l->cache = d;
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&l->lock);
}

int layer_base(struct mono *m, struct layer *l, const char *path,
	       const struct scorpio_id *id, struct listed **ret)
{
	struct listed *d = cached(l, path);
	int rc;

	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->refs = 1;
		d->path = strdup(path);
		rc = d->path ? ask(m, path, id, d) : -ENOMEM;
		if (rc) {
			listed_put(d);
			return rc;
		}
		remember(l, d);
	}
	*ret = d;
	return 0;
}

int layer_base_entry(struct mono *m, struct layer *l, const char *path,
		     struct scorpio_entry *ret)
{
	struct scorpio_id id = monoid_git(l->root);
	const char *p = path;

	for (;;) {
		size_t len = strcspn(p, "/");
		auto_free char *dir =
			strndup(path, p == path ? 0 : (size_t)(p - path) - 1);
		const struct scorpio_entry *e;
		struct listed *d;
		int rc = dir ? layer_base(m, l, dir, &id, &d) : -ENOMEM;

		if (rc)
			return rc;
		e = listed_find(d, p, len);
		if (e)
			*ret = *e;
		listed_put(d);
		if (!e)
			return -ENOENT;
		ret->name = NULL;
		if (!p[len])
			return 0;
		if (ret->kind != SCORPIO_DIR)
			return -ENOENT;
		id = ret->id;
		p += len + 1;
	}
}
