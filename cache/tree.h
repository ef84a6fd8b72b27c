/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - the stored form of a directory: sorted records, searched in place.
 *
 *	header   u32 magic, u32 count, u64 xxh3 (of all that follows, seeded
 *	         with the key's hash), u32 flags, u32 0
 *	offsets  u32[count], from the record's start, sorted by name bytes
 *	entries  u8 kind, u8 id_len, u16 mode, u8 name_len, u8 0, u16 0,
 *	         u64 size, [i64 mtime if flag], id bytes, name bytes; 8-aligned
 *
 * A view borrows memory of the store's map and is valid until the reader's
 * transaction ends. Search costs log2(count) comparisons, an entry by index is
 * O(1). Any thread.
 */
#ifndef CACHE_TREE_H
#define CACHE_TREE_H

#include "core/buf.h"

#include <scorpio/types.h>

struct tree_view {
	const uint8_t *data;
	size_t len;
	uint32_t count;
	uint32_t flags;
};

struct tree_entry { /* decoded; id and name point into the view */
	const uint8_t *id;
	const char *name;
	uint64_t size;    /* or SCORPIO_SIZE_UNKNOWN */
	int64_t mtime_ns; /* or SCORPIO_TIME_UNKNOWN */
	uint16_t mode;
	uint8_t kind, id_len, name_len;
};

/* Check the structure and, if `checksum`, the xxh3. -EBADMSG if damaged. */
int tree_view_init(struct tree_view *v, const void *data, size_t len,
		   uint64_t seed, bool checksum);
/* index < count */
void tree_entry_at(const struct tree_view *v, uint32_t index,
		   struct tree_entry *ret);
/* Index of the name, or -1. */
int64_t tree_find(const struct tree_view *v, const char *name, size_t len);

/* Building: add in any order, then finish. One thread. */
struct tree_builder;
struct tree_builder *tree_builder_new(void);
void tree_builder_free(struct tree_builder *b);
/* Copies. -EBADMSG for a bad name (empty, '/', NUL, ".", "..", too long), kind,
 * mode or id; -EFBIG past max_entries (default 4 million). */
int tree_builder_add(struct tree_builder *b, const struct scorpio_entry *e);
/* Sort, refuse duplicates (-EBADMSG), write the record. */
int tree_builder_finish(struct tree_builder *b, uint64_t seed, struct buf *ret);

#endif
