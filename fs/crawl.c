/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/crawl.h"

#include "core/clock.h"
#include "core/metrics.h"
#include "fs/ahead.h"
#include "fs/view.h"

#define START_AFTER 3       /* directories with missing content */
#define PAUSE (10 * NS_PER_S) /* between them, at most */
#define WINDOW_MIN 512      /* files */
#define WINDOW_MAX 16384
#define DEPTH_MAX 512
#define STEP_MAX 256        /* directories in one go */

struct frame { /* a directory being walked */
	struct scorpio_id tree;
	uint32_t next; /* index of the entry to look at */
	char *path;    /* where the backend needs paths; else NULL */
};

struct crawl {
	struct mount *mount;
	enum want_kind what;
	bool on; /* atomic */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool started, stop;                /* lock */
	unsigned misses;                   /* lock; directories, recently */
	int64_t last_miss;                 /* lock */
	uint64_t wanted, read;             /* lock; files, of this walk */
	bool work;                         /* lock; there is room to fill */
	struct frame *frames;              /* lock; the walk's stack */
	size_t depth;                      /* lock */
	uint64_t *seen;                    /* lock; trees wanted, by hash */
	size_t seen_mask, seen_count;      /* lock */
};

static METRIC(started, "scorpio_fs_crawls_total", METRIC_COUNTER, NULL,
	      "times somebody was found reading a whole tree");

/* -- which directories were brought ----------------------------------------- */

static uint64_t tree_hash(const struct scorpio_id *id)
{
	uint64_t h;

	memcpy(&h, id->bytes, sizeof(h));
	return h ? h : 1;
}

static bool seen(struct crawl *c, uint64_t h, bool add)
{
	size_t i;

	if (add && 2 * c->seen_count >= c->seen_mask) {
		size_t mask = c->seen_mask ? c->seen_mask * 2 + 1 : 4095;
		uint64_t *grown = xcalloc(mask + 1, sizeof(*grown));

		for (size_t k = 0; c->seen && k <= c->seen_mask; k++) {
			if (!c->seen[k])
				continue;
			for (i = c->seen[k] & mask; grown[i];)
				i = (i + 1) & mask;
			grown[i] = c->seen[k];
		}
		free(c->seen);
		c->seen = grown;
		c->seen_mask = mask;
	}
	if (!c->seen)
		return false;
	for (i = h & c->seen_mask; c->seen[i]; i = (i + 1) & c->seen_mask)
		if (c->seen[i] == h)
			return true;
	if (add) {
		c->seen[i] = h;
		c->seen_count++;
	}
	return false;
}

/* -- the walk ----------------------------------------------------------------- */

static void pop(struct crawl *c)
{
	free(c->frames[--c->depth].path);
}

/* lock held */
static void push(struct crawl *c, const struct scorpio_id *tree,
		 uint32_t next, char *path /* takes */)
{
	c->frames[c->depth++] = (struct frame){ .tree = *tree, .next = next,
						.path = path };
}

/* Stand right behind `dir`: what is below it comes first, then what follows
 * it in each directory above. lock held */
static void stand_behind(struct crawl *c, struct node *dir)
{
	struct node *above[DEPTH_MAX];
	bool paths = c->mount->needs_path;
	size_t n = 0;

	while (c->depth)
		pop(c);
	/* a changed directory is the top: what is around it may have moved */
	for (struct node *d = dir; d && n < DEPTH_MAX;
	     d = node_changed(d) ? NULL : d->parent)
		above[n++] = d;
	for (size_t i = n; i-- > 0;)
		push(c, &above[i]->dir->tree, i ? above[i - 1]->index + 1 : 0,
		     paths ? view_path(c->mount, above[i]) : NULL);
}

/* The next directory of the walk whose tree is in the store. Entries that are
 * directories are descended into; *ret is the one just entered. False: the end,
 * or a tree that is not there yet. lock held */
static bool next_directory(struct crawl *c, struct store_reader *r,
			   struct frame *ret)
{
	struct tree_view v;
	struct tree_entry e;

	while (c->depth) {
		struct frame *f = &c->frames[c->depth - 1];
		bool descend = false;

		if (view_tree(c->mount, r, &f->tree, &v))
			return false;
		for (; f->next < v.count && !descend; f->next++) {
			tree_entry_at(&v, f->next, &e);
			descend = e.kind == SCORPIO_DIR &&
				  c->depth < DEPTH_MAX;
		}
		if (!descend) {
			pop(c);
			continue;
		}
		push(c, &(struct scorpio_id){ 0 }, 0, NULL);
		f = &c->frames[c->depth - 1];
		f->tree = view_id(&e);
		if (c->mount->needs_path) {
			const char *up = c->frames[c->depth - 2].path;

			f->path = xasprintf("%s%s%.*s", up ? up : "",
					    up && *up ? "/" : "",
					    (int)e.name_len, e.name);
		}
		*ret = *f;
		return true;
	}
	return false;
}

/* Fill the window. Returns with the lock held, as it came. */
static void fill(struct crawl *c)
{
	struct mount *m = c->mount;

	for (int i = 0; i < STEP_MAX && !c->stop; i++) {
		uint64_t window = MIN(MAX(c->read, WINDOW_MIN), WINDOW_MAX);
		struct store_reader r;
		struct frame f;
		char *path;
		size_t n;
		bool found;

		if (c->wanted - MIN(c->read, c->wanted) >= window ||
		    __atomic_load_n(&m->ahead->under_way, __ATOMIC_RELAXED) >=
			    window ||
		    store_read_begin(m->store, &r))
			return;
		found = next_directory(c, &r, &f);
		store_read_end(&r);
		if (!found)
			return;
		if (seen(c, tree_hash(&f.tree), true))
			continue;
		path = f.path ? xstrdup(f.path) : NULL;
		pthread_mutex_unlock(&c->lock);
		n = c->what == WANT_SIZE ? ahead_sizes_of(m, &f.tree, path)
					 : ahead_files(m, &f.tree, path);
		free(path);
		pthread_mutex_lock(&c->lock);
		c->wanted += n;
	}
}

static void *crawl_main(void *arg)
{
	struct crawl *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (!c->work) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		c->work = false;
		fill(c);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* -- what is told --------------------------------------------------------------- */

struct crawl *crawl_new(struct mount *m, enum want_kind what)
{
	struct crawl *c = xcalloc(1, sizeof(*c));

	c->mount = m;
	c->what = what;
	c->frames = xcalloc(DEPTH_MAX + 1, sizeof(*c->frames));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	metric_register(&started);
	return c;
}

void crawl_free(struct crawl *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->started)
		pthread_join(c->thread, NULL);
	while (c->depth)
		pop(c);
	free(c->frames);
	free(c->seen);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* lock held */
static void wake(struct crawl *c)
{
	c->work = true;
	if (!c->started && !c->stop)
		c->started = !pthread_create(&c->thread, NULL, crawl_main, c);
	pthread_cond_signal(&c->changed);
}

void crawl_missed(struct crawl *c, struct node *dir)
{
	int64_t now = now_ns();
	bool known;

	lock_scope(&c->lock);
	known = seen(c, tree_hash(&dir->dir->tree), true);
	if (now - c->last_miss > PAUSE)
		c->misses = c->wanted = c->read = 0;
	c->last_miss = now;
	if (known) { /* on its way: the reader caught up */
		wake(c);
		return;
	}
	if (++c->misses < START_AFTER)
		return;
	/* A walk has begun, has overtaken us, or went on somewhere else: what
	 * it read so far says how far to look ahead from here. */
	stand_behind(c, dir);
	c->wanted = c->read;
	if (!__atomic_exchange_n(&c->on, true, __ATOMIC_RELAXED))
		metric_add(&started, 1);
	wake(c);
}

bool crawl_on(const struct crawl *c)
{
	return __atomic_load_n(&c->on, __ATOMIC_RELAXED);
}

void crawl_read(struct crawl *c, struct node *dir)
{
	if (!crawl_on(c))
		return;
	lock_scope(&c->lock);
	if (!seen(c, tree_hash(&dir->dir->tree), false))
		return;
	c->read++;
	if (c->read % 64 == 0)
		wake(c);
}
