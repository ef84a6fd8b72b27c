/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/delta.h"

#include "cache/tree.h"
#include "core/clock.h"
#include "core/error.h"
#include "fs/node.h"

#define FETCH_MAX 1000 /* trees wanted at once */
#define TRIES 4
#define ENTRIES_MAX 20000000u

/* -- trees that are missing ---------------------------------------------------- */

struct fetch { /* one batch of wants */
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t left; /* lock */
	int result;  /* lock; the first failure */
	char *why;   /* lock */
	struct want wants[FETCH_MAX], *list[FETCH_MAX];
	char *paths[FETCH_MAX];
	size_t n;
};

static void fetch_done(struct want *w, int result)
{
	struct fetch *f = w->ctx;

	lock_scope(&f->lock);
	if (result && !f->result) {
		f->result = result;
		f->why = xstrdup(error_text(result));
	}
	if (!--f->left)
		pthread_cond_broadcast(&f->done);
}

static int fetch_run(struct fetch *f, struct source *s)
{
	int rc;

	if (!f->n)
		return 0;
	f->left = f->n;
	f->result = 0;
	source_want(s, f->list, f->n);
	/* each want has a deadline: this ends */
	pthread_mutex_lock(&f->lock);
	while (f->left)
		pthread_cond_wait(&f->done, &f->lock);
	rc = f->result;
	pthread_mutex_unlock(&f->lock);
	if (rc)
		fail(rc, "%s", f->why);
	free(f->why);
	f->why = NULL;
	for (size_t i = 0; i < f->n; i++)
		free(f->paths[i]);
	f->n = 0;
	return rc;
}

static bool tree_missing(const struct delta_source *s, struct store_reader *r,
			 const struct scorpio_id *id)
{
	struct store_key key;
	struct tree_view v;

	if (!id->len)
		return false;
	key = store_key(s->space, id);
	return store_tree(r, &key, &v) == -ENOENT;
}

static void fetch_add(struct fetch *f, const struct delta_source *s,
		      const struct scorpio_id *id, const char *path,
		      int64_t deadline)
{
	struct want *w = &f->wants[f->n];

	f->paths[f->n] = !s->prefix   ? NULL
			 : !*s->prefix ? xstrdup(path)
			 : !*path      ? xstrdup(s->prefix)
				       : xasprintf("%s/%s", s->prefix, path);
	*w = (struct want){
		.kind = WANT_TREE, .prio = WANT_DEMAND, .id = *id,
		.path = f->paths[f->n],
		.path_len = f->paths[f->n]
				    ? (uint32_t)strlen(f->paths[f->n])
				    : 0,
		.entry_kind = SCORPIO_DIR, .deadline = deadline,
		.done = fetch_done, .ctx = f,
	};
	f->list[f->n++] = w;
}

/* Bring what is missing of a level of the walk. */
static int fetch_level(const struct delta_source *s, struct delta_dir *level,
		       int64_t deadline)
{
	struct fetch *f = xcalloc(1, sizeof(*f));
	struct store_reader r;
	int rc = 0;

	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->done, NULL);
	for (struct delta_dir *d = level; d && !rc;) {
		rc = store_read_begin(s->store, &r);
		if (rc)
			break;
		for (; d && f->n + 2 <= FETCH_MAX; d = d->next) {
			if (tree_missing(s, &r, &d->old_tree))
				fetch_add(f, s, &d->old_tree, d->path,
					  deadline);
			if (tree_missing(s, &r, &d->new_tree))
				fetch_add(f, s, &d->new_tree, d->path,
					  deadline);
		}
		store_read_end(&r);
		rc = fetch_run(f, s->source);
	}
	pthread_cond_destroy(&f->done);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return rc;
}

/* -- comparing --------------------------------------------------------------------- */

struct compare {
	struct delta *delta;
	struct delta_dir *dir;
	struct tree_view old, new;
};

static struct scorpio_id tree_of(const struct tree_entry *e)
{
	struct scorpio_id id = { 0 };

	if (e && e->kind == SCORPIO_DIR) {
		id.len = e->id_len;
		memcpy(id.bytes, e->id, e->id_len);
	}
	return id;
}

static struct delta_dir *add_dir(struct delta *d, const char *path,
				 uint64_t key, const struct scorpio_id *old,
				 const struct scorpio_id *new)
{
	struct delta_dir *x = xcalloc(1, sizeof(*x));

	x->path = xstrdup(path);
	x->key = key;
	x->old_tree = *old;
	x->new_tree = *new;
	*d->last = x;
	d->last = &x->next;
	return x;
}

static void count(struct delta *d, const struct delta_entry *e)
{
	bool was = e->old_kind && !delta_is_dir(e->old_kind);
	bool is = e->new_kind && !delta_is_dir(e->new_kind);

	d->changed += was && is;
	d->added += is && !was;
	d->removed += was && !is;
}

/* old or new may be NULL */
static struct delta_entry *add_entry(struct compare *c, uint8_t what,
				     const struct tree_entry *old,
				     const struct tree_entry *new)
{
	const struct tree_entry *e = new ? new : old;
	struct delta *d = c->delta;
	struct delta_entry *x = xcalloc(1, sizeof(*x));
	const char *above = c->dir->path;

	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 256;
		d->all = xrealloc(d->all, d->cap * sizeof(*d->all));
	}
	d->all[d->n++] = x;
	c->dir->count++;
	x->path = xasprintf("%s%s%.*s", above, *above ? "/" : "",
			    (int)e->name_len, e->name);
	x->name = (uint32_t)(strlen(x->path) - e->name_len);
	x->what = what;
	x->key = node_ino(c->dir->key, e->name, e->name_len);
	x->old_kind = old ? old->kind : 0;
	if (new) {
		x->new_kind = new->kind;
		x->new_mode = new->mode;
		x->new_size = new->size;
		x->new_id.len = new->id_len;
		memcpy(x->new_id.bytes, new->id, new->id_len);
	}
	count(d, x);
	return x;
}

static bool same(const struct tree_entry *a, const struct tree_entry *b)
{
	return a->kind == b->kind && a->mode == b->mode &&
	       a->id_len == b->id_len && !memcmp(a->id, b->id, a->id_len);
}

/* A name both trees have. */
static void compare_entry(struct compare *c, uint32_t old_index,
			  const struct tree_entry *old,
			  const struct tree_entry *new, uint32_t new_index)
{
	struct delta_place *p = &c->dir->places[old_index];
	bool was_dir = delta_is_dir(old->kind), is_dir = delta_is_dir(new->kind);
	struct scorpio_id a = tree_of(old), b = tree_of(new);
	struct delta_entry *e;

	p->index = new_index;
	p->what = DELTA_SAME;
	if (same(old, new) || (was_dir && is_dir && a.len == b.len &&
			       !memcmp(a.bytes, b.bytes, a.len)))
		return;
	p->what = was_dir && is_dir	 ? DELTA_DIR
		  : old->kind == new->kind ? DELTA_CONTENT
					   : DELTA_KIND;
	e = add_entry(c, p->what, old, new);
	if (p->what == DELTA_KIND)
		a.len = 0; /* all that is below is new */
	if (is_dir) {
		e->dir = add_dir(c->delta, e->path, e->key, &a, &b);
		p->dir = p->what == DELTA_DIR ? e->dir : NULL;
	}
}

static void add_new(struct compare *c, const struct tree_entry *new)
{
	struct delta_entry *e = add_entry(c, DELTA_ADDED, NULL, new);
	struct scorpio_id none = { 0 }, tree = tree_of(new);

	if (new->kind == SCORPIO_DIR)
		e->dir = add_dir(c->delta, e->path, e->key, &none, &tree);
}

static int by_name(const struct tree_entry *a, const struct tree_entry *b)
{
	int r = memcmp(a->name, b->name, MIN(a->name_len, b->name_len));

	return r ? r : (int)a->name_len - (int)b->name_len;
}

static int compare_trees(struct compare *c)
{
	struct delta_dir *dir = c->dir;
	struct tree_entry a, b;
	uint32_t i = 0, k = 0;
	int r;

	dir->first = c->delta->n;
	dir->old_count = c->old.count;
	dir->places = xcalloc(c->old.count + 1, sizeof(*dir->places));
	while (i < c->old.count || k < c->new.count) {
		if (i < c->old.count)
			tree_entry_at(&c->old, i, &a);
		if (k < c->new.count)
			tree_entry_at(&c->new, k, &b);
		r = i == c->old.count	? 1
		    : k == c->new.count ? -1
					: by_name(&a, &b);
		if (r < 0) {
			dir->places[i].what = DELTA_REMOVED;
			add_entry(c, DELTA_REMOVED, &a, NULL);
		} else if (r > 0) {
			add_new(c, &b);
		} else {
			compare_entry(c, i, &a, &b, k);
		}
		i += r <= 0;
		k += r >= 0;
	}
	return c->delta->n > ENTRIES_MAX
		       ? fail(-EFBIG, "more than %u entries differ",
			      ENTRIES_MAX)
		       : 0;
}

static int view_of(const struct delta_source *s, struct store_reader *r,
		   const struct scorpio_id *id, struct tree_view *ret)
{
	struct store_key key;

	*ret = (struct tree_view){ 0 };
	if (!id->len)
		return 0;
	key = store_key(s->space, id);
	return store_tree(r, &key, ret);
}

static int compare_dir(const struct delta_source *s, struct delta *d,
		       struct delta_dir *dir, int64_t deadline)
{
	struct compare c = { .delta = d, .dir = dir };
	struct store_reader r;
	int rc;

	for (int i = 0; i < TRIES; i++) {
		struct delta_dir one = *dir;

		rc = store_read_begin(s->store, &r);
		if (rc)
			return rc;
		rc = view_of(s, &r, &dir->old_tree, &c.old);
		if (!rc)
			rc = view_of(s, &r, &dir->new_tree, &c.new);
		if (!rc)
			rc = compare_trees(&c);
		store_read_end(&r);
		if (rc != -ENOENT)
			return rc;
		one.next = NULL; /* evicted since its level was brought */
		rc = fetch_level(s, &one, deadline);
		if (rc)
			return rc;
	}
	return fail(-EIO, "the store does not keep what is fetched: is "
		    "cache.max_size too small?");
}

/* -- all of it ----------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
	const struct delta_entry *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static int walk(const struct delta_source *s, struct delta *d,
		int64_t deadline)
{
	struct delta_dir *level = d->dirs, *end;
	int rc = 0;

	while (level && !rc) {
		rc = fetch_level(s, level, deadline);
		end = container_of(d->last, struct delta_dir, next);
		for (struct delta_dir *x = level; x && !rc; x = x->next) {
			rc = compare_dir(s, d, x, deadline);
			if (!rc && now_ns() > deadline)
				rc = fail(-ETIMEDOUT, "comparing the two "
					  "revisions takes too long");
			if (x == end)
				break;
		}
		level = end->next;
	}
	return rc;
}

int delta_new(const struct delta_source *s, const struct scorpio_id *old_root,
	      const struct scorpio_id *new_root, int64_t deadline,
	      struct delta **ret)
{
	struct delta *d = xcalloc(1, sizeof(*d));
	int rc = 0;

	d->last = &d->dirs;
	if (old_root->len != new_root->len ||
	    memcmp(old_root->bytes, new_root->bytes, old_root->len)) {
		add_dir(d, "", NODE_ROOT, old_root, new_root);
		rc = walk(s, d, deadline);
	}
	if (rc) {
		delta_free(d);
		return rc;
	}
	d->entries = xcalloc(d->n + 1, sizeof(struct delta_entry *));
	if (d->n)
		memcpy(d->entries, d->all, d->n * sizeof(*d->all));
	qsort(d->entries, d->n, sizeof(*d->entries), by_path);
	*ret = d;
	return 0;
}

void delta_free(struct delta *d)
{
	if (!d)
		return;
	for (struct delta_dir *x = d->dirs, *next; x; x = next) {
		next = x->next;
		free(x->path);
		free(x->places);
		free(x);
	}
	for (size_t i = 0; i < d->n; i++) {
		free(d->all[i]->path);
		free(d->all[i]);
	}
	free(d->all);
	free(d->entries);
	free(d);
}

struct delta_entry *delta_find(const struct delta *d, const char *path)
{
	struct delta_entry key = { .path = (char *)(uintptr_t)path };
	struct delta_entry *p = &key, **found;

	found = d->n ? bsearch(&p, d->entries, d->n, sizeof(*d->entries),
			       by_path)
		     : NULL;
	return found ? *found : NULL;
}

struct delta_dir *delta_find_dir(const struct delta *d, const char *path)
{
	struct delta_entry *e;

	if (!*path)
		return d->dirs;
	e = delta_find(d, path);
	return e && e->what == DELTA_DIR ? e->dir : NULL;
}

bool delta_gone(const struct delta *d, const char *path)
{
	cleanup_free char *up = xstrdup(path);

	for (char *p = up;; p++) {
		char was = *p;
		struct delta_entry *e;

		if (was && was != '/')
			continue;
		*p = '\0';
		e = delta_find(d, up);
		if (e && (e->what == DELTA_REMOVED ||
			  (was && e->what == DELTA_KIND)))
			return true;
		if (!was)
			return false;
		*p = was;
	}
}
