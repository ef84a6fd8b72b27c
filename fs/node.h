/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - the inodes the kernel knows of one mount.
 *
 * A node is 40 bytes plus 4 to 8 of the hash table: where it hangs (parent and
 * position in the parent's tree) and nothing that can be looked up in the
 * store's map. Directories carry the id of their tree on top, so that no walk
 * up to the root is needed. With a keeper they live in shared memory, so that
 * the next daemon knows what the kernel knows (arena.h, node_keep.c); the order
 * of stores to ino, parent and index matters for that.
 *
 * Inode numbers are a function of the path: 51 bits of a hash of (parent's
 * number, name), so they are the same after a remount and a restart without
 * being stored. Those of created files have bit 51 (changes.h). No more than 52
 * bits, because programs that keep them in a double (npm) stay right. On the
 * rare collision within one mount the next free number is taken.
 *
 * In a writable mount a node whose inode differs from the revision points to
 * its cnode instead of its place in the revision. Which of the two it is, and
 * with it `parent` and `index`, only changes with the tree lock of changes.h
 * held for writing; whoever looks holds it shared.
 *
 * A switch to another revision gives every known inode its new place
 * (node_switch), also with that lock held for writing. What has none any more
 * hangs below a ghost, a node that only keeps the tree its place was in: so
 * programs that have it open go on reading it.
 *
 * A name of an open root (SCORPIO_INSTANCE_OPEN_ROOT) that the root's own tree
 * does not list has its place in another tree, its bucket. Then its parent is a
 * node for that bucket, which the kernel is never told of, below the root.
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
#define NODE_CHANGED UINT32_MAX /* index of a node that has a cnode */

struct changes;
struct cnode;
struct delta;
struct delta_dir;
struct notices;

struct dir { /* what a known directory has on top */
	/* lock: the view's (view.h) */
	struct scorpio_id tree; /* len 0: shown empty (a submodule) */
	uint64_t key;           /* node_key of its path in the revision */
	struct delta_dir *delta; /* only in node_switch */
	bool ghost;
	bool bucket; /* immutable; holds names of its parent */
	uint32_t children; /* lock: table; known nodes below */
	/* read-ahead state, atomic, approximate */
	int64_t last_miss_ns;
	uint16_t misses, last_miss; /* last_miss: an entry's index, cut */
	bool children_wanted;
};

struct node {
	uint64_t ino;
	struct node *next;   /* lock: table; hash chain */
	union {
		struct node *parent;   /* in the revision; NULL for its root */
		struct cnode *changed; /* if index is NODE_CHANGED */
	};
	struct dir *dir;     /* immutable; NULL for files */
	uint32_t lookups;    /* lock: table; one that cannot be counted stays */
	uint32_t index;      /* in the parent's tree, or NODE_CHANGED */
};

/* NULL: as in the revision. */
static inline struct cnode *node_changed(const struct node *n)
{
	return n->index == NODE_CHANGED ? n->changed : NULL;
}

struct node_table;

/* kept: in memory that outlives the daemon (arena.h). */
struct node_table *node_table_new(const struct scorpio_id *root, bool kept);
void node_table_free(struct node_table *t);
/* NULL if unknown: the kernel or a hostile client made it up. */
struct node *node_find(struct node_table *t, uint64_t ino);
struct node *node_root(struct node_table *t);
/* Make the table one of a writable mount; before its first request. */
void node_table_changes(struct node_table *t, struct changes *c);

/* The number this path gets, before collisions. */
uint64_t node_ino(uint64_t parent, const char *name, size_t len);

/* A path as a number: node_ino of each name in turn, from NODE_ROOT. */
uint64_t node_key(const char *path);

/* Call fn for every node, with the table's lock held. */
void node_each(struct node_table *t,
	       void (*fn)(void *ctx, const struct node *n), void *ctx);

void node_lock(struct node_table *t);
void node_unlock(struct node_table *t);
/* Find or make the child and count one lookup. tree is NULL for files. */
struct node *node_enter_locked(struct node_table *t, struct node *parent,
			       const char *name, size_t name_len,
			       uint32_t index, const struct scorpio_id *tree);
/* The same for a name of dir that is in the tree `bucket`. */
struct node *node_enter_bucket_locked(struct node_table *t, struct node *dir,
				      const struct scorpio_id *bucket,
				      const char *name, size_t name_len,
				      uint32_t index,
				      const struct scorpio_id *tree);
/* The directory n is in, as it is shown; NULL for the root. */
static inline struct node *node_parent(const struct node *n)
{
	struct node *p = n->parent;

	return p && p->dir->bucket ? p->parent : p;
}
/* The same for a changed inode. Tree lock shared, or the edit lock. */
struct node *node_enter_changed_locked(struct node_table *t,
				       struct cnode *c);
/* The known node of that child or NULL, and the number it has or would get. */
struct node *node_peek(struct node_table *t, struct node *parent,
		       uint64_t parent_ino, const char *name,
		       size_t name_len, uint32_t index, uint64_t *ret_ino);
/* n got a cnode. Tree lock held for writing. */
void node_attach(struct node_table *t, struct node *n, struct cnode *c);
/* Keep a valid node beyond the reply: as if looked up once more. */
void node_hold(struct node_table *t, struct node *n);
/* Take back n lookups. Unknown numbers are ignored. In a writable mount the
 * tree lock is held shared, and true asks for changes_bury without it. */
bool node_forget(struct node_table *t, uint64_t ino, uint64_t n);

/* Show the new trees of a delta. View locked for writing. What the kernel must
 * forget is added to the notices. True asks for changes_bury. */
bool node_switch(struct node_table *t, const struct delta *d,
		 struct notices *n);

/* -- outliving the daemon (node_keep.c) --------------------------------------- */

/* The memfd that holds the table, or -1. Borrowed. */
int node_table_fd(const struct node_table *t);
/* The table another process left in fd. What was being made or removed when it
 * died is not in it. The changes must be told next (node_table_link for each,
 * then node_table_changes), and then node_table_settle. gone: that process is no
 * more, so its table may be gone on with, which is much faster than a new one
 * with the same in it. -EBADMSG with a text: not a table of this format. */
int node_table_restore(int fd, bool gone, struct node_table **ret);
/* That inode has a cnode. No request yet. */
void node_table_link(struct node_table *t, struct cnode *c);
/* Count children, let go of what nobody needs. */
void node_table_settle(struct node_table *t);
/* The tree the nodes have their places in. */
struct scorpio_id node_table_tree(struct node_table *t);
/* Around node_switch: who finds the table sees the one or the other. */
void node_switch_begin(struct node_table *t, const struct scorpio_id *root);
void node_switch_end(struct node_table *t);
/* The kernel has been told of the last switch; false: it has not. */
void node_switch_told(struct node_table *t);
bool node_switch_is_told(struct node_table *t);
/* Every number the kernel may know. Caller frees. */
uint64_t *node_numbers(struct node_table *t, size_t *ret_n);
/* Of a kept table, else NULL. lock: the changes' edit lock */
struct intents;
struct intents *node_table_intents(struct node_table *t);

void node_count(struct node_table *t, uint64_t *ret_nodes,
		uint64_t *ret_bytes);

#endif
