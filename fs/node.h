/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - the inodes the kernel knows of one mount.
 *
 * A node is 48 bytes plus its share of the hash table: where it hangs (parent
 * and position in the parent's tree) and nothing that can be looked up in the
 * store's map. Directories carry the id of their tree on top, so that no walk
 * up to the root is needed.
 *
 * Inode numbers are a function of the path: 52 bits of a hash of (parent's
 * number, name), so they are the same after a remount and a restart without
 * being stored. 52, because programs that keep them in a double (npm) stay
 * right. On the rare collision within one mount the next free number is taken.
 *
 * Life: a node lives while the kernel holds lookups on it or a known child
 * hangs below it. The kernel never forgets an inode that a request in flight
 * names, so a node found for a request stays valid until the reply.
 *
 * Threads: all functions take the table's lock unless they end in _locked.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include "core/base.h"

#include <scorpio/types.h>

#define NODE_ROOT 1u

struct dir { /* what a known directory has on top */
	struct scorpio_id tree; /* len 0: shown empty (a submodule) */
	/* read-ahead state, atomic, approximate */
	int64_t last_miss_ns;
	uint32_t misses;
	bool children_wanted;
};

struct node {
	uint64_t ino;
	struct node *next;   /* lock: table; hash chain */
	struct node *parent; /* immutable; NULL for the root */
	struct dir *dir;     /* immutable; NULL for files */
	uint64_t lookups;    /* lock: table */
	uint32_t children;   /* lock: table; known nodes below */
	uint32_t index;      /* immutable; in the parent's tree */
};

struct node_table;

struct node_table *node_table_new(const struct scorpio_id *root);
void node_table_free(struct node_table *t);
/* NULL if unknown: the kernel or a hostile client made it up. */
struct node *node_find(struct node_table *t, uint64_t ino);
struct node *node_root(struct node_table *t);

/* The number this path gets, before collisions. */
uint64_t node_ino(uint64_t parent, const char *name, size_t len);

void node_lock(struct node_table *t);
void node_unlock(struct node_table *t);
/* Find or make the child and count one lookup. tree is NULL for files. */
struct node *node_enter_locked(struct node_table *t, struct node *parent,
			       const char *name, size_t name_len,
			       uint32_t index, const struct scorpio_id *tree);
/* Keep a valid node beyond the reply: as if looked up once more. */
void node_hold(struct node_table *t, struct node *n);
/* Take back n lookups. Unknown numbers are ignored. */
void node_forget(struct node_table *t, uint64_t ino, uint64_t n);

void node_count(struct node_table *t, uint64_t *ret_nodes,
		uint64_t *ret_bytes);

#endif
