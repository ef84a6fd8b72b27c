/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.h - the ids this layer makes (backend.h: SCORPIO_ID_MARK).
 *
 *	'L'  a file that the attributes call an LFS file: the id of its blob. Its
 *	     content is that of the LFS object if the blob is a pointer, else the
 *	     blob's own
 *	'T'  a directory in which rules from further up hold: the id of the tree
 *	     and as much of the hash of the rules as fits (17 bytes with SHA-1)
 *
 * Everything else keeps the id it has below. Pure.
 */
#ifndef BACKENDS_LFS_IDS_H
#define BACKENDS_LFS_IDS_H

#include "common.h"

#define LFSID_FILE 'L'
#define LFSID_TREE 'T'

/* How many bytes of the hash go with an id of that length. */
static inline size_t lfsid_hash_len(const struct scorpio_id *below)
{
	size_t room = SCORPIO_ID_BELOW_LEN - below->len;

	return room < LFS_OID_LEN ? room : LFS_OID_LEN;
}

/* Can ids be made of it? */
static inline bool lfsid_fits(const struct scorpio_id *below)
{
	return below->len && below->len <= SCORPIO_ID_BELOW_MAX;
}

struct scorpio_id lfsid_file(const struct scorpio_id *below);
struct scorpio_id lfsid_tree(const struct scorpio_id *below,
			     const uint8_t hash[LFS_OID_LEN]);
/* The mark, or 0 for an id of below. *ret_below: the id below in any case;
 * *ret_hash: within id. */
char lfsid_split(const struct scorpio_id *id, struct scorpio_id *ret_below,
		 const uint8_t **ret_hash);

#endif
