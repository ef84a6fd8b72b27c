/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_keep.c - the inodes the kernel knows, from one daemon to the next.
 *
 * A daemon that is killed leaves its table (arena.h) as it was between two
 * instructions. What that can be:
 *	ino 0                 free
 *	no parent             being made: the kernel was not told
 *	ino of a cnode        a changed inode, whatever index and parent say:
 *	                      the log is written first
 *	lookups too high      a reply was never sent, or the kernel took lookups
 *	                      back from a daemon that died before it counted:
 *	                      such a node stays until the mount ends. They are
 *	                      never too low: counted before the reply.
 * `next`, `children` and pointers to cnodes are made anew. A switch changes
 * many nodes together: its copy counts until it is over.
 *
 * The table is gone on with where it lies (adopt), so that everybody waits for
 * one walk over it, and no more is written to it than its own daemon could have
 * been killed at. Where that cannot be (its addresses are in use, a switch was
 * under way, it is damaged) a new one is made from it.
 */
#include "fs/node_impl.h"

#include "core/error.h"
#include "fs/changes.h"

struct restore {
	struct arena_image image;
	struct node_table *table;
	struct node **made[ARENA_CHUNKS]; /* new node of each old slot */
};

static const struct dir *old_dir(struct restore *x,
				 const struct node *old)
{
	uint32_t chunk, slot;

	if (!old->dir ||
	    !arena_locate(&x->image, (uintptr_t)old->dir, ARENA_DIR, &chunk,
			  &slot))
		return NULL;
	return arena_slot(&x->image, chunk, slot);
}

static void make_node(struct restore *x, uint32_t chunk, uint32_t slot)
{
	struct node_table *t = x->table;
	const struct node *old = arena_slot(&x->image, chunk, slot);
	const struct dir *dir = old_dir(x, old);
	struct node *n;

	if (!old->ino)
		return;
	if (old->ino == NODE_ROOT) {
		t->root->dir->tree = dir ? dir->tree : t->root->dir->tree;
		x->made[chunk][slot] = t->root;
		return;
	}
	if ((old->dir && !dir) || node_find_locked(t, old->ino))
		return;
	n = node_add_locked(t, old->ino, dir ? &dir->tree : NULL);
	n->lookups = old->lookups;
	n->index = old->index;
	if (dir) {
		n->dir->key = dir->key;
		n->dir->ghost = dir->ghost;
		n->dir->bucket = dir->bucket;
	}
	if (old->ino & NODE_GHOST)
		t->ghosts = MAX(t->ghosts, old->ino & ~NODE_GHOST);
	x->made[chunk][slot] = n;
}

static void set_parent(struct restore *x, uint32_t chunk, uint32_t slot)
{
	const struct node *old = arena_slot(&x->image, chunk, slot);
	struct node *n = x->made[chunk][slot], *up;
	uint32_t up_chunk, up_slot;

	if (!n || n == x->table->root || n->index == NODE_CHANGED ||
	    (n->ino & NODE_GHOST))
		return;
	if (!arena_locate(&x->image, (uintptr_t)old->parent, ARENA_NODE,
			  &up_chunk, &up_slot))
		return; /* half made: node_table_settle drops it */
	up = x->made[up_chunk][up_slot];
	n->parent = up && up->dir ? up : NULL;
}

static void each_slot(struct restore *x,
		      void (*fn)(struct restore *x, uint32_t chunk,
				 uint32_t slot))
{
	const struct arena_head *h = x->image.head;

	for (uint32_t i = 0; i < h->chunks; i++)
		for (uint32_t k = 0; x->made[i] && k < h->chunk[i].slots; k++)
			fn(x, i, k);
}

static int copy(int fd, struct node_table **ret)
{
	struct restore *x = xcalloc(1, sizeof(*x));
	const struct arena_head *h;
	size_t slots = 0;
	int rc = arena_open(fd, node_sizes, &x->image);

	if (rc) {
		free(x);
		return rc;
	}
	h = x->image.head;
	x->table = node_table_new(&h->root, true);
	for (uint32_t i = 0; i < h->chunks; i++) {
		if (h->chunk[i].kind != ARENA_NODE)
			continue;
		x->made[i] = xcalloc(h->chunk[i].slots, sizeof(*x->made[i]));
		slots += h->chunk[i].slots;
	}
	node_reserve_locked(x->table, slots);
	each_slot(x, make_node);
	each_slot(x, set_parent);
	if (arena_head(x->table->arena)) {
		arena_head(x->table->arena)->old_root = h->old_root;
		/* requests do not wait for a switch */
		arena_head(x->table->arena)->intents = x->image.live->intents;
	}
	for (uint32_t i = 0; i < h->chunks; i++)
		free(x->made[i]);
	*ret = x->table;
	arena_close(&x->image);
	free(x);
	return 0;
}

/* -- as it is ------------------------------------------------------------------------ */

struct adoption {
	struct node_table *table;
	struct arena_image image; /* of the same, to check pointers */
	const struct node *parent; /* the last one that was right */
	uint8_t *dirs[ARENA_CHUNKS]; /* of each slot: it is some node's */
};

static bool claim_dir(struct adoption *x, const struct dir *dir)
{
	uint32_t chunk, slot;

	if (!arena_locate(&x->image, (uintptr_t)dir, ARENA_DIR, &chunk,
			  &slot) ||
	    x->dirs[chunk][slot])
		return false;
	x->dirs[chunk][slot] = 1;
	return true;
}

static bool is_parent(struct adoption *x, const struct node *p)
{
	uint32_t chunk, slot;

	if (p == x->parent)
		return true;
	if (!arena_locate(&x->image, (uintptr_t)p, ARENA_NODE, &chunk, &slot) ||
	    !p->ino || !p->dir)
		return false;
	x->parent = p;
	return true;
}

static bool adopt_node(struct adoption *x, struct node *n)
{
	struct node_table *t = x->table;

	if (n->dir && !claim_dir(x, n->dir))
		return false;
	if (n->ino == NODE_ROOT) {
		if (t->root || !n->dir)
			return false;
		t->root = n;
		n->index = 0;
	}
	if (n->ino & NODE_GHOST)
		t->ghosts = MAX(t->ghosts, n->ino & ~NODE_GHOST);
	if (n->index == NODE_CHANGED || n == t->root || n->ino & NODE_GHOST ||
	    !is_parent(x, n->parent))
		n->parent = NULL;
	if (n->dir) {
		n->dir->children = 0;
		n->dir->delta = NULL;
		n->dir->children_wanted = false;
	}
	n->next = t->buckets[n->ino & t->mask];
	t->buckets[n->ino & t->mask] = n;
	t->count++;
	t->dirs += n->dir != NULL;
	return true;
}

/* Those that no node has; none where the walk was broken off. */
static void give_dirs(struct adoption *x, bool all)
{
	const struct arena_head *h = x->image.head;
	struct arena *a = x->table->arena;
	struct arena_place at = { 0 };
	void *p;

	while (all && (p = arena_next(a, ARENA_DIR, &at)))
		if (!x->dirs[at.chunk][at.slot - 1])
			arena_give(a, ARENA_DIR, p);
	for (uint32_t i = 0; i < h->chunks; i++)
		free(x->dirs[i]);
}

static bool adopt_all(struct adoption *x)
{
	struct node_table *t = x->table;
	const struct arena_head *h = arena_head(t->arena);
	struct arena_place at = { 0 };
	struct node *n;
	size_t slots = 0;
	bool ok = true;

	x->image.head = h;
	for (uint32_t i = 0; i < h->chunks; i++) {
		if (h->chunk[i].kind == ARENA_DIR)
			x->dirs[i] = xcalloc(h->chunk[i].slots, 1);
		else
			slots += h->chunk[i].slots;
	}
	node_reserve_locked(t, slots);
	while (ok && (n = arena_next(t->arena, ARENA_NODE, &at))) {
		if (n->ino)
			ok = adopt_node(x, n);
		else
			arena_give(t->arena, ARENA_NODE, n);
	}
	ok = ok && t->root;
	give_dirs(x, ok);
	return ok;
}

static int adopt(int fd, struct node_table **ret)
{
	struct adoption *x;
	struct arena *a;
	bool ok;
	int rc = arena_adopt(fd, node_sizes, &a);

	if (rc)
		return rc;
	x = xcalloc(1, sizeof(*x));
	x->table = node_table_of(a);
	ok = adopt_all(x);
	if (ok)
		*ret = x->table;
	else
		node_table_free(x->table);
	free(x);
	return ok ? 0 : -EAGAIN;
}

int node_table_restore(int fd, bool gone, struct node_table **ret)
{
	if (gone && !adopt(fd, ret))
		return 0;
	return copy(fd, ret);
}

void node_table_link(struct node_table *t, struct cnode *c)
{
	struct node *n = node_find_locked(t, c->v.ino);

	if (!n || !n->dir != !changes_is_dir(c))
		return;
	n->index = NODE_CHANGED;
	n->changed = c;
	if (n->dir)
		n->dir->tree = changes_tree(c);
	c->known = n;
}

static bool is_half(const struct node_table *t, const struct node *n)
{
	if (n == t->root || n->ino & NODE_GHOST)
		return false;
	return n->index == NODE_CHANGED ? !n->changed : !n->parent;
}

/* Counts children; returns how many nodes nobody needs by themselves. */
static size_t count_children(struct node_table *t)
{
	struct arena_place at = { 0 };
	struct node *n;
	size_t idle = 0;

	while ((n = node_next_locked(t, &at))) {
		if (is_half(t, n)) {
			n->parent = NULL;
			n->index = 0;
			n->lookups = 0;
		} else if (n->index != NODE_CHANGED && n->parent) {
			n->parent->dir->children++;
		}
		idle += !n->lookups;
	}
	return idle;
}

void node_table_settle(struct node_table *t)
{
	size_t count = count_children(t), k = 0;
	struct node **list = xcalloc(count + 1, sizeof(*list)), *n;
	struct arena_place at = { 0 };

	while (k < count && (n = node_next_locked(t, &at))) {
		if (n->lookups)
			continue;
		list[k++] = n;
		node_count_locked(n); /* stays while others go */
	}
	for (size_t i = 0; i < k; i++) {
		node_uncount_locked(list[i], 1);
		node_release_locked(t, list[i]);
	}
	free(list);
}

int node_table_fd(const struct node_table *t)
{
	return arena_fd(t->arena);
}

struct intents *node_table_intents(struct node_table *t)
{
	struct arena_head *h = arena_head(t->arena);

	return h ? &h->intents : NULL;
}

uint64_t *node_numbers(struct node_table *t, size_t *ret_n)
{
	lock_scope(&t->lock);
	uint64_t *numbers = xcalloc(t->count + 1, sizeof(*numbers));
	struct arena_place at = { 0 };
	struct node *at_node;
	size_t n = 0;

	while ((at_node = node_next_locked(t, &at)))
		if (!(at_node->ino & (NODE_GHOST | NODE_BUCKET)))
			numbers[n++] = at_node->ino;
	*ret_n = n;
	return numbers;
}

/* -- switches ------------------------------------------------------------------------ */

struct scorpio_id node_table_tree(struct node_table *t)
{
	struct arena_head *h = arena_head(t->arena);

	return h ? h->root : t->root->dir->tree;
}

void node_switch_begin(struct node_table *t, const struct scorpio_id *root)
{
	lock_scope(&t->lock);
	struct arena_head *h = arena_head(t->arena);

	if (!h || arena_begin(t->arena))
		return;
	if (!h->old_root.len)
		h->old_root = h->root;
	h->root = *root;
}

void node_switch_end(struct node_table *t)
{
	lock_scope(&t->lock);

	arena_commit(t->arena);
}

void node_switch_told(struct node_table *t)
{
	struct arena_head *h = arena_head(t->arena);

	if (h)
		__atomic_store_n(&h->old_root.len, 0, __ATOMIC_RELEASE);
}

bool node_switch_is_told(struct node_table *t)
{
	struct arena_head *h = arena_head(t->arena);

	return !h || !h->old_root.len;
}
