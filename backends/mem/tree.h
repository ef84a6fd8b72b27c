/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - the made-up trees of the mem backend: nodes in memory, named by the
 * SHA-256 of their content. Built once by one thread, then read by any.
 */
#ifndef BACKENDS_MEM_TREE_H
#define BACKENDS_MEM_TREE_H

#include <scorpio/types.h>

struct mem_node {
	struct scorpio_id id;
	struct mem_node *child, *last, *next; /* children, in order */
	char *name;
	uint8_t *data; /* content of files and symbolic links */
	uint64_t size;
	uint32_t name_len;
	uint16_t mode;
	uint8_t kind;
};

struct mem_params {
	uint32_t files; /* of "many": how many in all */
	uint32_t dirs;  /* spread over so many directories; 0 = in the root */
	uint32_t size;  /* bytes of each file; 0 = one line */
};

/* One of the trees: "demo" or "many"; revision 1 or 2. NULL: no memory. */
struct mem_node *mem_tree_demo(int revision);
struct mem_node *mem_tree_many(const struct mem_params *p, int revision);
void mem_tree_free(struct mem_node *root);

/* All nodes of some trees, found by id. */
struct mem_index {
	struct mem_node **nodes; /* sorted by id */
	uint32_t count, cap;
};
/* 0 or -ENOMEM. Trees first, then sort once. */
int mem_index_add(struct mem_index *ix, struct mem_node *root);
void mem_index_sort(struct mem_index *ix);
const struct mem_node *mem_index_find(const struct mem_index *ix,
				      const struct scorpio_id *id);

#endif
