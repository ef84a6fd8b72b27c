/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/node_impl.h"

#include "core/hash.h"
#include "fs/changes.h"
#include "fs/delta.h"
#include "fs/notify.h"

#define INO_BITS 51
#define LOOKUPS_MAX UINT32_MAX /* no longer counted */

_Static_assert(sizeof(struct node) <= 40, "64 bytes an idle inode in all");
_Static_assert(sizeof(struct dir) <= 80, "the same");
_Static_assert(offsetof(struct node, ino) == 0, "what arena.h leaves alone");

const uint32_t node_sizes[ARENA_KINDS] = {
	[ARENA_NODE] = sizeof(struct node),
	[ARENA_DIR] = sizeof(struct dir),
};

struct node_table *node_table_of(struct arena *a)
{
	struct node_table *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	t->mask = 1023;
	t->buckets = xcalloc(t->mask + 1, sizeof(*t->buckets));
	t->arena = a;
	return t;
}

struct node_table *node_table_new(const struct scorpio_id *root, bool kept)
{
	struct node_table *t = node_table_of(arena_new(node_sizes, kept));

	if (arena_head(t->arena))
		arena_head(t->arena)->root = *root;
	t->root = node_add_locked(t, NODE_ROOT, root);
	t->root->dir->key = NODE_ROOT;
	return t;
}

void node_table_free(struct node_table *t)
{
	if (!t)
		return;
	arena_free(t->arena);
	free(t->buckets);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void node_lock(struct node_table *t)
{
	pthread_mutex_lock(&t->lock);
}

void node_unlock(struct node_table *t)
{
	pthread_mutex_unlock(&t->lock);
}

struct node *node_root(struct node_table *t)
{
	return t->root;
}

uint64_t node_ino(uint64_t parent, const char *name, size_t len)
{
	uint64_t h = hash_xxh3(name, len, parent) >> (64 - INO_BITS);

	return h <= NODE_ROOT ? h + 2 : h; /* 0 and 1 are taken */
}

uint64_t node_key(const char *path)
{
	uint64_t key = NODE_ROOT;

	while (*path) {
		size_t len = strcspn(path, "/");

		key = node_ino(key, path, len);
		path += len + (path[len] == '/');
	}
	return key;
}

void node_count_locked(struct node *n)
{
	n->lookups += n->lookups < LOOKUPS_MAX;
}

void node_uncount_locked(struct node *n, uint64_t count)
{
	if (n->lookups < LOOKUPS_MAX)
		n->lookups -= (uint32_t)MIN(count, n->lookups);
}

struct node *node_find_locked(struct node_table *t, uint64_t ino)
{
	struct node *n = t->buckets[ino & t->mask];

	while (n && n->ino != ino)
		n = n->next;
	return n;
}

struct node *node_find(struct node_table *t, uint64_t ino)
{
	struct node *n;

	pthread_mutex_lock(&t->lock);
	n = node_find_locked(t, ino);
	pthread_mutex_unlock(&t->lock);
	return n;
}

#define EACH_SLICE 4096 /* nodes looked at without letting others in */

struct node *node_next_locked(struct node_table *t, struct arena_place *at)
{
	struct node *n;

	while ((n = arena_next(t->arena, ARENA_NODE, at)) && !n->ino)
		;
	return n;
}

void node_each(struct node_table *t,
	       void (*fn)(void *ctx, const struct node *n), void *ctx)
{
	struct arena_place at = { 0 };
	struct node *n;

	do {
		lock_scope(&t->lock);
		for (size_t i = 0; i < EACH_SLICE; i++) {
			n = node_next_locked(t, &at);
			if (!n)
				break;
			if (n != t->root)
				fn(ctx, n);
		}
	} while (n);
}

static void resize(struct node_table *t, size_t mask)
{
	struct node **buckets = xcalloc(mask + 1, sizeof(*buckets));

	for (size_t i = 0; i <= t->mask; i++) {
		for (struct node *n = t->buckets[i], *next; n; n = next) {
			next = n->next;
			n->next = buckets[n->ino & mask];
			buckets[n->ino & mask] = n;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->mask = mask;
}

void node_reserve_locked(struct node_table *t, size_t count)
{
	size_t mask = t->mask;

	while (count > 2 * mask)
		mask = mask * 2 + 1;
	if (mask != t->mask)
		resize(t, mask);
}

static uint64_t next_ino(uint64_t ino)
{
	return ino + 1 < 1ull << INO_BITS ? ino + 1 : NODE_ROOT + 1;
}

/* The node if it is known, and the number it has or would get. */
static struct node *probe_locked(struct node_table *t, struct node *parent,
				 uint64_t parent_ino, const char *name,
				 size_t name_len, uint32_t index,
				 uint64_t *ret_ino)
{
	uint64_t ino = node_ino(parent_ino, name, name_len);
	struct node *n;

	for (;; ino = next_ino(ino)) {
		n = node_find_locked(t, ino);
		if (n && n->index == index && n->parent == parent && parent)
			break;
		/* changed inodes keep their numbers while unknown */
		if (!n && !(t->changes && changes_find(t->changes, ino)))
			break;
	}
	*ret_ino = ino;
	return n;
}

/* One without parent is half made, for who finds it in a kept table. */
struct node *node_add_locked(struct node_table *t, uint64_t ino,
			     const struct scorpio_id *tree)
{
	struct node *n;

	node_reserve_locked(t, t->count);
	n = arena_take(t->arena, ARENA_NODE);
	n->lookups = 1;
	if (tree) {
		n->dir = arena_take(t->arena, ARENA_DIR);
		memset(n->dir, 0, sizeof(*n->dir));
		n->dir->tree = *tree;
		t->dirs++;
	}
	n->next = t->buckets[ino & t->mask];
	__atomic_store_n(&n->ino, ino, __ATOMIC_RELEASE);
	t->buckets[ino & t->mask] = n;
	t->count++;
	return n;
}

struct node *node_enter_locked(struct node_table *t, struct node *parent,
			       const char *name, size_t name_len,
			       uint32_t index, const struct scorpio_id *tree)
{
	uint64_t ino, above = parent->dir->bucket ? parent->parent->ino
						  : parent->ino;
	struct node *n = probe_locked(t, parent, above, name, name_len, index,
				      &ino);

	if (n) {
		node_count_locked(n);
		return n;
	}
	n = node_add_locked(t, ino, tree);
	if (n->dir)
		n->dir->key = node_ino(parent->dir->key, name, name_len);
	n->index = index;
	__atomic_store_n(&n->parent, parent, __ATOMIC_RELEASE);
	parent->dir->children++;
	return n;
}

struct node *node_enter_bucket_locked(struct node_table *t, struct node *dir,
				      const struct scorpio_id *bucket,
				      const char *name, size_t name_len,
				      uint32_t index,
				      const struct scorpio_id *tree)
{
	uint64_t ino = NODE_BUCKET |
		       hash_xxh3(bucket, sizeof(*bucket), dir->ino) >> 4;
	struct node *b;

	while ((b = node_find_locked(t, ino)) &&
	       (b->parent != dir ||
		memcmp(&b->dir->tree, bucket, sizeof(*bucket)) != 0))
		ino++;
	if (!b) {
		b = node_add_locked(t, ino, bucket);
		b->lookups = 0;
		b->dir->bucket = true;
		b->dir->key = dir->dir->key;
		__atomic_store_n(&b->parent, dir, __ATOMIC_RELEASE);
		dir->dir->children++;
	}
	return node_enter_locked(t, b, name, name_len, index, tree);
}

struct node *node_enter_changed_locked(struct node_table *t, struct cnode *c)
{
	struct scorpio_id tree = changes_tree(c);
	struct node *n = c->known;

	if (n) {
		node_count_locked(n);
		return n;
	}
	n = node_add_locked(t, c->v.ino, changes_is_dir(c) ? &tree : NULL);
	if (n->dir && c->v.lower_path)
		n->dir->key = node_key(c->v.lower_path);
	n->index = NODE_CHANGED;
	n->changed = c;
	__atomic_store_n(&c->known, n, __ATOMIC_RELAXED);
	return n;
}

struct node *node_peek(struct node_table *t, struct node *parent,
		       uint64_t parent_ino, const char *name,
		       size_t name_len, uint32_t index, uint64_t *ret_ino)
{
	lock_scope(&t->lock);

	return probe_locked(t, parent, parent_ino, name, name_len, index,
			    ret_ino);
}

void node_table_changes(struct node_table *t, struct changes *c)
{
	t->changes = c;
	t->root->changed = c->root;
	t->root->index = NODE_CHANGED;
	t->root->dir->tree = changes_tree(c->root);
	c->root->known = t->root;
}

static void unlink_locked(struct node_table *t, struct node *n)
{
	struct node **p = &t->buckets[n->ino & t->mask];

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	__atomic_store_n(&n->ino, 0, __ATOMIC_RELEASE);
	if (n->dir) {
		arena_give(t->arena, ARENA_DIR, n->dir);
		t->dirs--;
	}
	arena_give(t->arena, ARENA_NODE, n);
	t->count--;
}

void node_hold(struct node_table *t, struct node *n)
{
	lock_scope(&t->lock);

	node_count_locked(n);
}

/* Nodes that nobody needs any more go, and with them what they kept. */
bool node_release_locked(struct node_table *t, struct node *n)
{
	bool bury = false;

	while (n != t->root && !n->lookups && !(n->dir && n->dir->children)) {
		struct node *parent = NULL;

		if (n->index == NODE_CHANGED)
			bury |= changes_forgotten(t->changes, n->changed);
		else
			parent = n->parent;
		unlink_locked(t, n);
		if (!parent)
			break;
		parent->dir->children--;
		n = parent;
	}
	return bury;
}

bool node_forget(struct node_table *t, uint64_t ino, uint64_t count)
{
	lock_scope(&t->lock);
	struct node *n = node_find_locked(t, ino);

	if (!n || n == t->root)
		return false;
	node_uncount_locked(n, count);
	return node_release_locked(t, n);
}

void node_attach(struct node_table *t, struct node *n, struct cnode *c)
{
	lock_scope(&t->lock);
	struct node *parent = n->parent;

	n->index = NODE_CHANGED;
	n->changed = c;
	c->known = n;
	parent->dir->children--;
	node_release_locked(t, parent); /* the edit that is on buries */
}

/* -- switching to another revision --------------------------------------------- */

struct move { /* lock held all the time */
	struct node_table *t;
	const struct delta *delta;
	struct notices *notices;
	struct node **nodes; /* all there were */
	size_t n;
	struct delta_dir *gone; /* made for directories without a tree */
};

/* What differs in a directory the kernel knows, or NULL. */
static struct delta_dir *delta_of_changed(struct move *x,
					  const struct cnode *c)
{
	const char *path = c->v.lower_path;
	struct delta_dir *d;
	struct delta_entry *e;

	if (!path || !delta_is_dir(c->v.lower_kind) ||
	    (!c->nlink && c->v.ino != NODE_ROOT))
		return NULL;
	d = delta_find_dir(x->delta, path);
	e = d ? NULL : delta_find(x->delta, path);
	if (d || (!delta_gone(x->delta, path) &&
		  !(e && e->what == DELTA_KIND)))
		return d;
	d = xcalloc(1, sizeof(*d)); /* nothing of it is left */
	d->old_tree = changes_tree(c);
	d->next = x->gone;
	x->gone = d;
	return d;
}

static struct delta_dir *delta_of(struct move *x, const struct node *n)
{
	const struct cnode *c = node_changed(n);
	struct delta_dir *above;

	if (n->dir->ghost)
		return NULL;
	if (c)
		return n->dir->delta ? n->dir->delta : delta_of_changed(x, c);
	if (!n->parent)
		return x->delta->dirs;
	above = n->parent->dir->delta ? n->parent->dir->delta
				      : delta_of(x, n->parent);
	return above && above->places ? above->places[n->index].dir : NULL;
}

/* Keeps n readable as it was. Its parent stays for now: it is held. */
static void to_ghost(struct move *x, struct node *n, struct delta_dir *d)
{
	struct node *ghost = d->ghost;

	if (!ghost) {
		ghost = node_add_locked(x->t, NODE_GHOST | ++x->t->ghosts,
					&d->old_tree);
		ghost->dir->ghost = true;
		ghost->lookups = 0;
		d->ghost = ghost;
	}
	n->parent->dir->children--;
	n->parent = ghost;
	ghost->dir->children++;
}

static void move_node(struct move *x, struct node *n)
{
	struct delta_dir *d;
	const struct delta_place *p;

	if (n->index == NODE_CHANGED || !n->parent)
		return;
	d = n->parent->dir->delta;
	if (!d)
		return;
	p = d->places ? &d->places[n->index]
		      : &(struct delta_place){ .what = DELTA_REMOVED };
	if (p->what == DELTA_REMOVED || p->what == DELTA_KIND) {
		to_ghost(x, n, d);
		return;
	}
	if (p->what == DELTA_CONTENT)
		notices_inode(x->notices, n->ino);
	n->index = p->index;
}

/* Names of a directory that come or go. */
static void tell_names(struct move *x, const struct node *n)
{
	const struct delta_dir *d = n->dir->delta;
	const struct cnode *c = node_changed(n);

	notices_inode(x->notices, n->ino);
	for (size_t i = 0; i < d->count; i++) {
		const struct delta_entry *e = x->delta->all[d->first + i];
		const char *name = e->path + e->name;

		if (e->what == DELTA_CONTENT || e->what == DELTA_DIR ||
		    (c && changes_name(c, name, strlen(name))))
			continue;
		notices_name(x->notices, n->ino, name);
	}
}

static void collect(struct move *x)
{
	struct node_table *t = x->t;
	struct arena_place at = { 0 };
	struct node *n;

	x->nodes = xcalloc(t->count + 1, sizeof(*x->nodes));
	while ((n = node_next_locked(t, &at))) {
		x->nodes[x->n++] = n;
		node_count_locked(n); /* stays while nodes are moved */
	}
}

bool node_switch(struct node_table *t, const struct delta *d,
		 struct notices *notices)
{
	struct move x = { .t = t, .delta = d, .notices = notices };
	bool bury = false;

	lock_scope(&t->lock);
	collect(&x);
	for (size_t i = 0; i < x.n; i++)
		if (x.nodes[i]->dir)
			x.nodes[i]->dir->delta = delta_of(&x, x.nodes[i]);
	for (size_t i = 0; i < x.n; i++)
		move_node(&x, x.nodes[i]);
	for (size_t i = 0; i < x.n; i++) {
		struct dir *dir = x.nodes[i]->dir;

		if (!dir || !dir->delta)
			continue;
		tell_names(&x, x.nodes[i]);
		dir->tree = dir->delta->new_tree;
		dir->delta = NULL;
		dir->children_wanted = false;
	}
	/* what comes later in the list is held until then */
	for (size_t i = 0; i < x.n; i++) {
		node_uncount_locked(x.nodes[i], 1);
		bury |= node_release_locked(t, x.nodes[i]);
	}
	for (struct delta_dir *g = x.gone, *next; g; g = next) {
		next = g->next;
		free(g);
	}
	free(x.nodes);
	return bury;
}

void node_count(struct node_table *t, uint64_t *ret_nodes,
		uint64_t *ret_bytes)
{
	lock_scope(&t->lock);

	*ret_nodes = t->count;
	*ret_bytes = (t->mask + 1) * sizeof(*t->buckets) +
		     arena_bytes(t->arena);
}
