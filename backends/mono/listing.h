/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - a directory as a server tells it, in either form: the body of a
 * git tree, or the JSON list. Pure functions over memory; nothing here trusts
 * its input.
 */
#ifndef BACKENDS_MONO_LISTING_H
#define BACKENDS_MONO_LISTING_H

#include "common.h"

#define MONO_MODE_DIR  040000u
#define MONO_MODE_FILE 0100644u
#define MONO_MODE_EXEC 0100755u
#define MONO_MODE_LINK 0120000u
#define MONO_MODE_SUB  0160000u

struct monoentry {
	uint32_t name_at, name_len; /* in monolist.names */
	uint32_t mode;              /* git's; 0 = anything but a directory */
	uint8_t oid[MONO_OID];
	uint64_t size; /* or SCORPIO_SIZE_UNKNOWN */
};

struct monolist {
	struct monoentry *e;
	size_t n, cap;
	char *names; /* one after the other, no NULs between */
	size_t names_len, names_cap;
	size_t dirs_told; /* directories that came with a mode */
};

void monolist_done(struct monolist *l); /* a zeroed one is fine */
static inline const char *monolist_name(const struct monolist *l,
					const struct monoentry *e)
{
	return l->names + e->name_at;
}
/* -EBADMSG for what no directory can hold, -ENOMEM. */
int monolist_add(struct monolist *l, const char *name, size_t name_len,
		 uint32_t mode, const uint8_t *oid, uint64_t size);
/* Into the order git keeps entries in. -EBADMSG: a name is there twice. */
int monolist_sort(struct monolist *l);
/* The entry of that name in a sorted or unsorted list; NULL if none. */
const struct monoentry *monolist_find(const struct monolist *l,
				      const char *name, size_t n);
/* Same names, ids, and the same of them directories? Both sorted. */
bool monolist_same(const struct monolist *a, const struct monolist *b);

/* The body of a git tree; the list is sorted. -EBADMSG with *why. An entry
 * without a name, which old servers make, is left out. */
int monolist_parse_tree(struct monolist *l, const void *raw, size_t len,
			const char **why);
/* The body of a git tree from a sorted list; mode 0 counts as a plain file.
 * ret_at[i]: where the mode of entry i stands; may be NULL. Caller frees;
 * NULL: out of memory. */
char *monolist_tree(const struct monolist *l, size_t *ret_len, size_t *ret_at);
/* The id of a tree with this body. */
void monotree_id(const void *raw, size_t len, uint8_t ret[MONO_OID]);

/* The reply of tree/content-hash and tree/dir-hash, sorted; the keys "mode" and
 * "size" are used where they are. -EBADMSG with *why; -EREMOTEIO: the server
 * says no, its words in `said`. */
int monolist_parse_json(struct monolist *l, const char *text, size_t len,
			char *said, size_t cap, const char **why);

#endif
