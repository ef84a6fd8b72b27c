/* SPDX-License-Identifier: Apache-2.0 */
/* store_check.h - private to store_check.c and store_records.c: walking a file
 * of LMDB by pread, with every number of it checked. */
#ifndef CACHE_STORE_CHECK_H
#define CACHE_STORE_CHECK_H

#include "cache/store_impl.h"

#define PAGE_HEAD    16u
#define PG_LEAF      0x02u
#define PG_OVERFLOW  0x04u
#define PG_DIRTY     0x10u
#define NODE_HEAD    8u
#define NODE_SUB     0x02u
#define DB_LEN       48u

struct db {
	uint16_t flags, depth;
	uint64_t branch, leaf, overflow, entries, root;
};

struct meta {
	uint64_t last_page, txnid;
	uint32_t page;
	struct db free, main;
};

struct key {
	const uint8_t *p;
	size_t len;
};

struct walk {
	int fd;
	struct meta m;
	uint64_t pages; /* last_page + 1 */
	uint8_t *seen;  /* bit a page: reached from a root */
	int64_t deadline;
	const int *stop; /* atomic; NULL: never */
	const char *what;
	bool lenient; /* what is damaged is passed over, and counted */
	int damaged; /* at most one a page or record */
};

struct tree { /* one B-tree being walked */
	struct walk *w;
	const struct db *db;
	struct db found;
	/* every leaf node; node points at its header, len reaches page end */
	int (*leaf)(struct tree *t, const uint8_t *node, const uint8_t *data,
		    uint64_t len, uint64_t overflow);
	const struct store_records *records;
};

/* -EUCLEAN, with a text unless the walk is lenient. */
int check_bad(struct walk *w, uint64_t page, const char *why);
/* The result of a part, for the whole: a lenient walk goes on. */
int check_part(struct walk *w, int r);
void check_db(const uint8_t *p, struct db *ret);
/* Is it a root of a file of so many bytes? */
bool check_meta(const uint8_t *p, uint64_t file, struct meta *ret);
/* Its first n bytes. */
int check_page(struct walk *w, uint64_t page, uint8_t *buf, size_t n);
int check_shape(struct tree *t, uint64_t page, const uint8_t *p, unsigned level,
		uint32_t *ret_count);
/* What a leaf's node says that it takes of the page. */
uint64_t check_node_len(const uint8_t *node);
/* One leaf node that lies within its page as far as `room` bytes. */
int check_leaf(struct tree *t, uint64_t page, const uint8_t *node, size_t room);
int check_tree(struct tree *t);

#endif
