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

int node_table_restore(int fd, struct node_table **ret)
{
	struct restore *x = xcalloc(1, sizeof(*x));
	const struct arena_head *h;
	int rc = arena_open(fd, node_sizes, &x->image);

	if (rc) {
		free(x);
		return rc;
	}
	h = x->image.head;
	x->table = node_table_new(&h->root, true);
	for (uint32_t i = 0; i < h->chunks; i++)
		if (h->chunk[i].kind == ARENA_NODE)
			x->made[i] = xcalloc(h->chunk[i].slots,
					     sizeof(*x->made[i]));
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

static struct node **all_nodes(struct node_table *t, size_t *ret_n)
{
	struct node **list = xcalloc(t->count + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i <= t->mask; i++)
		for (struct node *at = t->buckets[i]; at; at = at->next)
			list[n++] = at;
	*ret_n = n;
	return list;
}

void node_table_settle(struct node_table *t)
{
	size_t count;
	struct node **list = all_nodes(t, &count);

	for (size_t i = 0; i < count; i++) {
		if (is_half(t, list[i])) {
			list[i]->parent = NULL;
			list[i]->index = 0;
			list[i]->lookups = 0;
		} else if (list[i]->index != NODE_CHANGED && list[i]->parent) {
			list[i]->parent->dir->children++;
		}
		node_count_locked(list[i]); /* stays while others go */
	}
	for (size_t i = 0; i < count; i++) {
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
	size_t count, n = 0;
	struct node **list = all_nodes(t, &count);
	uint64_t *numbers = xcalloc(count + 1, sizeof(*numbers));

	for (size_t i = 0; i < count; i++)
		if (!(list[i]->ino & (NODE_GHOST | NODE_BUCKET)))
			numbers[n++] = list[i]->ino;
	free(list);
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
