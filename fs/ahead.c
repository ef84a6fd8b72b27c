/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ahead.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "core/metrics.h"
#include "fs/crawl.h"
#include "fs/view.h"

#define MAX_UNDER_WAY 20000         /* wants of one mount */
#define COUSINS 16
#define MAX_BATCH 1000              /* wants made by one call */
#define SMALL_FILE (1 * MiB)        /* siblings above stay away */
#define GUESS_MAX (256 * KiB)
#define MISS_WINDOW (5 * NS_PER_S)
#define AHEAD_DEADLINE_MS 60000
#define MISSES_AGAIN 1000
#define NEIGHBOURS 8 /* entries between two that are read one after the other */
#define SPARSE 16
#define MISSES_OF_A_WALK 6 /* a lone file brings fewer: the git backend
			    * fetches three levels at once */

static METRIC(wanted, "scorpio_fs_readahead_total", METRIC_COUNTER, NULL,
	      "objects wanted before they were asked for");

struct ahead { /* one want on its way */
	struct want want;
	struct ahead_state *state; /* counted */
	char *path;
};

struct ahead_state *ahead_state_new(const char *name)
{
	struct ahead_state *s = xcalloc(1, sizeof(*s));

	s->refs = 1;
	s->name = xstrdup(name);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void ahead_state_put(struct ahead_state *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s);
}

static void ahead_done(struct want *w, int result)
{
	struct ahead *a = w->ctx;

	(void)result; /* whoever needs it asks again and gets the error */
	__atomic_fetch_sub(&a->state->under_way, 1, __ATOMIC_RELAXED);
	ahead_state_put(a->state);
	free(a->path);
	free(a);
}

struct batch {
	struct mount *m;
	struct want *wants[MAX_BATCH];
	size_t n;
	char *dir_path; /* where the backend needs paths */
};

static bool batch_want(struct batch *b, enum want_kind kind,
		       const struct scorpio_id *id, uint8_t entry_kind,
		       char *path /* takes */)
{
	struct ahead *a;

	if (b->n == MAX_BATCH ||
	    __atomic_load_n(&b->m->ahead->under_way, __ATOMIC_RELAXED) >=
		    MAX_UNDER_WAY) {
		free(path);
		return false;
	}
	a = xcalloc(1, sizeof(*a));
	a->state = b->m->ahead;
	__atomic_fetch_add(&a->state->refs, 1, __ATOMIC_RELAXED);
	a->path = path;
	a->want = (struct want){
		.kind = kind, .prio = WANT_READAHEAD, .id = *id,
		.path = path, .path_len = path ? (uint32_t)strlen(path) : 0,
		.entry_kind = entry_kind, .done = ahead_done, .ctx = a,
		.deadline = deadline_in_ms(AHEAD_DEADLINE_MS),
	};
	b->wants[b->n++] = &a->want;
	__atomic_fetch_add(&a->state->under_way, 1, __ATOMIC_RELAXED);
	return true;
}

static bool batch_add(struct batch *b, enum want_kind kind,
		      const struct tree_entry *e)
{
	struct scorpio_id id = view_id(e);
	char *path = NULL;

	if (b->m->needs_path)
		path = *b->dir_path
			       ? xasprintf("%s/%.*s", b->dir_path,
					   (int)e->name_len, e->name)
			       : xstrndup(e->name, e->name_len);
	return batch_want(b, kind, &id, e->kind, path);
}

typedef bool (*choose_fn)(struct mount *m, struct store_reader *r,
			  const struct tree_entry *e);

/* Want what is picked of the entries from *at on, until the batch is full or
 * the directory ends (then *at is its count). False: nothing more can go. */
static bool fill_batch(struct batch *b, const struct scorpio_id *tree,
		       enum want_kind kind, choose_fn choose, uint32_t *at)
{
	struct store_reader r;
	struct tree_view v;
	struct tree_entry e;
	bool more = false;

	if (store_read_begin(b->m->store, &r))
		return false;
	if (!view_tree(b->m, &r, tree, &v)) {
		more = true;
		for (; *at < v.count && b->n < MAX_BATCH && more; (*at)++) {
			tree_entry_at(&v, *at, &e);
			if (choose(b->m, &r, &e))
				more = batch_add(b, kind, &e);
		}
		more = more && *at < v.count;
	}
	store_read_end(&r);
	return more;
}

/* Go through a directory's entries and want what `choose` picks: how many. */
static size_t want_entries(struct mount *m, const struct scorpio_id *tree,
			   char *path /* takes */, enum want_kind kind,
			   choose_fn choose)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	uint32_t at = 0;
	size_t n = 0;
	bool more;

	b->m = m;
	b->dir_path = path;
	more = !m->needs_path || path;
	while (more) {
		b->n = 0;
		more = fill_batch(b, tree, kind, choose, &at);
		if (b->n)
			source_want(m->source, b->wants, b->n);
		n += b->n;
	}
	metric_register(&wanted);
	metric_add(&wanted, (int64_t)n);
	free(b->dir_path);
	free(b);
	return n;
}

static size_t want_of_dir(struct mount *m, struct node *dir,
			  enum want_kind kind, choose_fn choose)
{
	return want_entries(m, &dir->dir->tree,
			    m->needs_path ? view_path(m, dir) : NULL, kind,
			    choose);
}

static bool missing_tree(struct mount *m, struct store_reader *r,
			 const struct tree_entry *e)
{
	struct scorpio_id id = view_id(e);
	struct store_key key = store_key(m->space, &id);
	struct tree_view v;

	return e->kind == SCORPIO_DIR && store_tree(r, &key, &v) == -ENOENT;
}

bool ahead_directory_due(struct mount *m, struct node *dir)
{
	return dir->dir->tree.len &&
	       __atomic_load_n(&m->ahead->metadata, __ATOMIC_RELAXED) !=
		       METADATA_RESIDENT &&
	       !__atomic_exchange_n(&dir->dir->children_wanted, true,
				    __ATOMIC_RELAXED);
}

struct cousins { /* directories that a walk comes to next */
	struct scorpio_id tree[COUSINS];
	char *path[COUSINS];
	size_t n;
};

static void find_cousins(struct mount *m, struct store_reader *r,
			 struct node *dir, const char *up, struct cousins *c)
{
	uint32_t at = dir->index + 1, end;
	struct tree_entry e;
	struct tree_view v;

	if (view_tree(m, r, &dir->parent->dir->tree, &v))
		return;
	end = MIN(v.count, at + COUSINS);
	for (; at < end; at++) {
		tree_entry_at(&v, at, &e);
		if (e.kind != SCORPIO_DIR || missing_tree(m, r, &e))
			continue;
		c->tree[c->n] = view_id(&e);
		c->path[c->n++] =
			up ? xasprintf("%s%s%.*s", up, *up ? "/" : "",
				       (int)e.name_len, e.name)
			   : NULL;
	}
}

/* Where each tree is a request of its own, a few directories at a time do not
 * keep the source busy: those of the next directories as well. */
static void ahead_cousins(struct mount *m, struct node *dir)
{
	struct cousins c = { .n = 0 };
	cleanup_free char *up = NULL;
	struct store_reader r;

	if (!dir->parent || node_changed(dir) || !dir->parent->dir->tree.len)
		return;
	up = m->needs_path ? view_path(m, dir->parent) : NULL;
	if ((m->needs_path && !up) || store_read_begin(m->store, &r))
		return;
	find_cousins(m, &r, dir, up, &c);
	store_read_end(&r);
	for (size_t i = 0; i < c.n; i++)
		want_entries(m, &c.tree[i], c.path[i], WANT_TREE, missing_tree);
}

void ahead_directory(struct mount *m, struct node *dir)
{
	size_t wanted_now;

	view_lock(m);
	wanted_now = want_of_dir(m, dir, WANT_TREE, missing_tree);
	if (wanted_now)
		ahead_cousins(m, dir);
	view_unlock(m);
	if (wanted_now)
		ahead_tree_missed(m);
}

void ahead_tree_missed(struct mount *m)
{
	if (m->metadata_wish == FS_METADATA_AUTO &&
	    !(source_instance_flags(m->source) & SCORPIO_INSTANCE_LOCAL) &&
	    __atomic_add_fetch(&m->ahead->misses, 1, __ATOMIC_RELAXED) ==
		    MISSES_OF_A_WALK)
		ahead_metadata(m);
}

static bool is_blob(const struct tree_entry *e)
{
	return e->kind == SCORPIO_FILE || e->kind == SCORPIO_SYMLINK;
}

static bool missing_small(struct mount *m, struct store_reader *r,
			  const struct tree_entry *e)
{
	struct scorpio_id id = view_id(e);
	struct store_key key = store_key(m->space, &id);
	uint64_t size;

	if (!is_blob(e))
		return false;
	size = view_size(m, r, e);
	if (size != SCORPIO_SIZE_UNKNOWN && size > SMALL_FILE)
		return false;
	return !store_blob_present(r, &key, 0,
				   size == SCORPIO_SIZE_UNKNOWN ? 1 : size);
}

/* Is a directory read through, to tell by the entries that were missing? Next to
 * each other, or one of every SPARSE. */
static bool is_read_through(struct mount *m, struct node *parent,
			    uint16_t last, uint16_t at, uint16_t misses)
{
	uint16_t far = MIN((uint16_t)(last - at), (uint16_t)(at - last));
	struct store_reader r;
	struct tree_view v;
	bool through = far <= NEIGHBOURS;

	if (through || store_read_begin(m->store, &r))
		return through;
	if (!view_tree(m, &r, &parent->dir->tree, &v))
		through = misses >= v.count / SPARSE;
	store_read_end(&r);
	return through;
}

void ahead_siblings(struct mount *m, struct node *file)
{
	struct node *parent = node_changed(file) ? NULL : file->parent;
	int64_t now = now_ns(), before;
	uint16_t last, misses;

	if (!parent)
		return;
	before = __atomic_exchange_n(&parent->dir->last_miss_ns, now,
				     __ATOMIC_RELAXED);
	last = __atomic_exchange_n(&parent->dir->last_miss,
				   (uint16_t)file->index, __ATOMIC_RELAXED);
	if (now - before > MISS_WINDOW) {
		__atomic_store_n(&parent->dir->misses, 1, __ATOMIC_RELAXED);
		return;
	}
	if (last == (uint16_t)file->index) /* more of the same file */
		return;
	misses = __atomic_add_fetch(&parent->dir->misses, 1, __ATOMIC_RELAXED);
	if (misses < MISSES_AGAIN) {
		if (misses < 2 ||
		    !is_read_through(m, parent, last,
				     (uint16_t)file->index, misses))
			return;
		__atomic_store_n(&parent->dir->misses, MISSES_AGAIN,
				 __ATOMIC_RELAXED);
	} else if (misses % MISSES_AGAIN) { /* what came was evicted since */
		return;
	}
	want_of_dir(m, parent, WANT_BLOB, missing_small);
	crawl_missed(m->crawl, parent);
}

size_t ahead_files(struct mount *m, const struct scorpio_id *tree,
		   const char *path)
{
	return want_entries(m, tree, path ? xstrdup(path) : NULL, WANT_BLOB,
			    missing_small);
}

void ahead_parts(struct mount *m, const struct scorpio_id *ids, size_t n)
{
	struct batch *b;

	if (!n || m->needs_path)
		return;
	b = xcalloc(1, sizeof(*b));
	b->m = m;
	while (n && batch_want(b, WANT_BLOB, ids, SCORPIO_FILE, NULL))
		ids++, n--;
	if (b->n)
		source_want(m->source, b->wants, b->n);
	metric_register(&wanted);
	metric_add(&wanted, (int64_t)b->n);
	free(b);
}

static bool missing_size(struct mount *m, struct store_reader *r,
			 const struct tree_entry *e)
{
	return is_blob(e) && view_size(m, r, e) == SCORPIO_SIZE_UNKNOWN;
}

void ahead_sizes(struct mount *m, struct node *dir)
{
	want_of_dir(m, dir, WANT_SIZE, missing_size);
	crawl_missed(m->size_crawl, dir);
}

/* -- guesses --------------------------------------------------------------- */

static bool guess_enter(struct ahead_state *s, struct ahead *a)
{
	int free_slot = -1;

	lock_scope(&s->lock);
	for (int i = 0; i < AHEAD_GUESSES; i++) {
		if (!s->guesses[i])
			free_slot = i;
		else if (id_equal(&s->guesses[i]->want.id, &a->want.id))
			return false;
	}
	if (free_slot < 0)
		return false;
	s->guesses[free_slot] = a;
	return true;
}

static void guess_done(struct want *w, int result)
{
	struct ahead *a = w->ctx;

	pthread_mutex_lock(&a->state->lock);
	for (int i = 0; i < AHEAD_GUESSES; i++)
		if (a->state->guesses[i] == a)
			a->state->guesses[i] = NULL;
	pthread_mutex_unlock(&a->state->lock);
	ahead_done(w, result);
}

void ahead_guess(struct mount *m, const struct scorpio_id *id,
		 uint8_t entry_kind, uint64_t asker)
{
	struct scorpio_id plain = source_plain_id(m->source, id);
	struct ahead *a;
	struct want *w;

	/* what a layer brings from elsewhere may be large */
	if (!id_equal(&plain, id))
		return;
	/* nor for who asks for sizes everywhere, and reads nothing */
	if (m->needs_path || !m->fs->options.read_ahead ||
	    crawl_on(m->size_crawl) ||
	    source_instance_flags(m->source) & SCORPIO_INSTANCE_LOCAL)
		return;
	a = xcalloc(1, sizeof(*a));
	a->state = m->ahead;
	a->want = (struct want){
		.kind = WANT_BLOB, .prio = WANT_DEMAND, .id = *id,
		.entry_kind = entry_kind, .done = guess_done, .ctx = a,
		.asker = asker,
		.deadline = deadline_in_ms(AHEAD_DEADLINE_MS),
	};
	if (!guess_enter(m->ahead, a)) {
		free(a);
		return;
	}
	__atomic_fetch_add(&m->ahead->refs, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&m->ahead->under_way, 1, __ATOMIC_RELAXED);
	w = &a->want;
	source_want(m->source, &w, 1);
}

bool ahead_guessed(struct mount *m, const struct scorpio_id *id, uint64_t size)
{
	struct ahead_state *s = m->ahead;
	bool found = false;

	/* the lock keeps guess_done, hence the want, from going away */
	lock_scope(&s->lock);
	for (int i = 0; i < AHEAD_GUESSES; i++) {
		if (!s->guesses[i] || !id_equal(&s->guesses[i]->want.id, id))
			continue;
		found = true;
		if (size > GUESS_MAX)
			source_cancel(m->source, &s->guesses[i]->want);
	}
	return found;
}

size_t ahead_sizes_of(struct mount *m, const struct scorpio_id *tree,
		      const char *path)
{
	return want_entries(m, tree, path ? xstrdup(path) : NULL, WANT_SIZE,
			    missing_size);
}

static void metadata_done(void *ctx, int result)
{
	struct ahead_state *s = ctx;
	uint32_t state = !result ? METADATA_RESIDENT
			 : result == -ENOTSUP ? METADATA_ONDEMAND
					      : METADATA_FAILED;

	if (result && result != -ENOTSUP && result != -EINTR)
		log_warn("fs", "%s: metadata comes on demand: %s", s->name,
			 error_text(result));
	__atomic_store_n(&s->metadata, state, __ATOMIC_RELAXED);
	ahead_state_put(s);
}

void ahead_metadata(struct mount *m)
{
	__atomic_store_n(&m->ahead->metadata, METADATA_LOADING,
			 __ATOMIC_RELAXED);
	__atomic_fetch_add(&m->ahead->refs, 1, __ATOMIC_RELAXED);
	source_prefetch(m->source, &m->root, m->subdir,
			SCORPIO_PREFETCH_TREES | SCORPIO_PREFETCH_SIZES, 0,
			metadata_done, m->ahead);
}
