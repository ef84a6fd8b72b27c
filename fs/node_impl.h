/* SPDX-License-Identifier: Apache-2.0 */
/* node_impl.h - private to node*.c. */
#ifndef FS_NODE_IMPL_H
#define FS_NODE_IMPL_H

#include "fs/arena.h"
#include "fs/node.h"

/* numbers never told to the kernel */
#define NODE_GHOST (1ull << 62)
#define NODE_BUCKET (1ull << 61)

struct node_table {
	pthread_mutex_t lock;
	struct node **buckets; /* lock; power of two */
	size_t mask;           /* lock */
	size_t count, dirs;    /* lock */
	struct arena *arena;   /* lock */
	uint64_t ghosts;       /* lock; ever made */
	struct changes *changes; /* immutable; NULL if read-only */
	struct node *root;     /* immutable */
};

extern const uint32_t node_sizes[ARENA_KINDS];

/* Takes the arena; no node, no root. */
struct node_table *node_table_of(struct arena *a);

/* lock held, all of them */
struct node *node_find_locked(struct node_table *t, uint64_t ino);
struct node *node_add_locked(struct node_table *t, uint64_t ino,
			     const struct scorpio_id *tree);
/* Room for that many in all. */
void node_reserve_locked(struct node_table *t, size_t count);
/* The next known node, in the order of memory. */
struct node *node_next_locked(struct node_table *t, struct arena_place *at);
/* One lookup more, or some less. */
void node_count_locked(struct node *n);
void node_uncount_locked(struct node *n, uint64_t count);
bool node_release_locked(struct node_table *t, struct node *n);

#endif
