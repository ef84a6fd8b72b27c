/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/node.h"

#include "core/hash.h"
#include "fs/changes.h"

#define INO_BITS 51
#define SLAB_NODES 1024

struct slab {
	struct slab *next;
	struct node nodes[SLAB_NODES];
};

struct node_table {
	pthread_mutex_t lock;
	struct node **buckets; /* lock; power of two */
	size_t mask;           /* lock */
	size_t count, dirs;    /* lock */
	struct node *spare;    /* lock; free nodes by next */
	struct slab *slabs;    /* lock */
	size_t slab_count;     /* lock */
	struct changes *changes; /* immutable; NULL if read-only */
	struct node root;
	struct dir root_dir;
};

_Static_assert(sizeof(struct node) <= 48, "64 bytes an idle inode in all");

struct node_table *node_table_new(const struct scorpio_id *root)
{
	struct node_table *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	t->mask = 1023;
	t->buckets = xcalloc(t->mask + 1, sizeof(*t->buckets));
	t->root_dir.tree = *root;
	t->root = (struct node){ .ino = NODE_ROOT, .dir = &t->root_dir,
				 .lookups = 1 };
	t->buckets[NODE_ROOT & t->mask] = &t->root;
	t->count = 1;
	return t;
}

void node_table_free(struct node_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i <= t->mask; i++)
		for (struct node *n = t->buckets[i]; n; n = n->next)
			if (n != &t->root)
				free(n->dir);
	for (struct slab *s = t->slabs, *next; s; s = next) {
		next = s->next;
		free(s);
	}
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
	return &t->root;
}

uint64_t node_ino(uint64_t parent, const char *name, size_t len)
{
	uint64_t h = hash_xxh3(name, len, parent) >> (64 - INO_BITS);

	return h <= NODE_ROOT ? h + 2 : h; /* 0 and 1 are taken */
}

static struct node *find_locked(struct node_table *t, uint64_t ino)
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
	n = find_locked(t, ino);
	pthread_mutex_unlock(&t->lock);
	return n;
}

static void grow(struct node_table *t)
{
	size_t mask = t->mask * 2 + 1;
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

static struct node *take_spare(struct node_table *t)
{
	struct node *n = t->spare;

	if (!n) {
		struct slab *s = xmalloc(sizeof(*s));

		s->next = t->slabs;
		t->slabs = s;
		t->slab_count++;
		for (size_t i = 0; i < SLAB_NODES; i++) {
			s->nodes[i].next = n;
			n = &s->nodes[i];
		}
	}
	t->spare = n->next;
	return n;
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
		n = find_locked(t, ino);
		if (n && n->index == index && n->parent == parent && parent)
			break;
		/* changed inodes keep their numbers while unknown */
		if (!n && !(t->changes && changes_find(t->changes, ino)))
			break;
	}
	*ret_ino = ino;
	return n;
}

static struct node *add_locked(struct node_table *t, uint64_t ino,
			       const struct scorpio_id *tree)
{
	struct node *n;

	if (t->count > t->mask)
		grow(t);
	n = take_spare(t);
	*n = (struct node){ .ino = ino, .lookups = 1 };
	if (tree) {
		n->dir = xcalloc(1, sizeof(*n->dir));
		n->dir->tree = *tree;
		t->dirs++;
	}
	n->next = t->buckets[ino & t->mask];
	t->buckets[ino & t->mask] = n;
	t->count++;
	return n;
}

struct node *node_enter_locked(struct node_table *t, struct node *parent,
			       const char *name, size_t name_len,
			       uint32_t index, const struct scorpio_id *tree)
{
	uint64_t ino;
	struct node *n = probe_locked(t, parent, parent->ino, name, name_len,
				      index, &ino);

	if (n) {
		n->lookups++;
		return n;
	}
	n = add_locked(t, ino, tree);
	n->parent = parent;
	n->index = index;
	parent->children++;
	return n;
}

struct node *node_enter_changed_locked(struct node_table *t, struct cnode *c)
{
	struct scorpio_id tree = changes_tree(c);
	struct node *n = c->known;

	if (n) {
		n->lookups++;
		return n;
	}
	n = add_locked(t, c->v.ino, changes_is_dir(c) ? &tree : NULL);
	n->changed = c;
	n->index = NODE_CHANGED;
	c->known = n;
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
	t->root.changed = c->root;
	t->root.index = NODE_CHANGED;
	c->root->known = &t->root;
}

static void unlink_locked(struct node_table *t, struct node *n)
{
	struct node **p = &t->buckets[n->ino & t->mask];

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	if (n->dir) {
		free(n->dir);
		t->dirs--;
	}
	n->next = t->spare;
	t->spare = n;
	t->count--;
}

void node_hold(struct node_table *t, struct node *n)
{
	lock_scope(&t->lock);

	n->lookups++;
}

/* Nodes that nobody needs any more go, and with them what they kept. */
static bool release_locked(struct node_table *t, struct node *n)
{
	bool bury = false;

	while (n != &t->root && !n->lookups && !n->children) {
		struct node *parent = NULL;

		if (n->index == NODE_CHANGED)
			bury |= changes_forgotten(t->changes, n->changed);
		else
			parent = n->parent;
		unlink_locked(t, n);
		if (!parent)
			break;
		parent->children--;
		n = parent;
	}
	return bury;
}

bool node_forget(struct node_table *t, uint64_t ino, uint64_t count)
{
	lock_scope(&t->lock);
	struct node *n = find_locked(t, ino);

	if (!n || n == &t->root)
		return false;
	n->lookups -= MIN(count, n->lookups);
	return release_locked(t, n);
}

void node_attach(struct node_table *t, struct node *n, struct cnode *c)
{
	lock_scope(&t->lock);
	struct node *parent = n->parent;

	n->changed = c;
	n->index = NODE_CHANGED;
	c->known = n;
	parent->children--;
	release_locked(t, parent); /* the edit that is on buries */
}

void node_count(struct node_table *t, uint64_t *ret_nodes,
		uint64_t *ret_bytes)
{
	lock_scope(&t->lock);

	*ret_nodes = t->count;
	*ret_bytes = (t->mask + 1) * sizeof(*t->buckets) +
		     t->slab_count * sizeof(struct slab) +
		     t->dirs * (sizeof(struct dir) + 16);
}
