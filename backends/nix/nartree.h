/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nartree.h - what an archive (NAR) holds: its nodes in the order of the
 * archive, with the place of each file's bytes. The format is canonical, so
 * places follow from names, kinds and sizes alone; a tree made from a listing
 * is the archive's exactly if its digest is the same. Not locked.
 *
 * Ids (39 bytes): a letter for what it is, the store path's hash, 14 bytes of
 * SHA-256(NarHash, digest), the node's number. So an id names the content
 * itself, and ids of a listing that lies are never those of the archive.
 */
#ifndef BACKENDS_NIX_NARTREE_H
#define BACKENDS_NIX_NARTREE_H

#include "common.h"

#define NARTREE_NONE UINT32_MAX

struct nartree_node {
	uint64_t size;   /* of a file; of a link's target */
	uint64_t offset; /* of the bytes in the archive */
	uint32_t name;   /* in strings; the root's is empty */
	uint32_t target; /* in strings, of a link */
	uint32_t end;    /* number of the node after all below this one */
	uint16_t name_len;
	uint8_t kind; /* SCORPIO_FILE, _DIR or _SYMLINK */
	bool executable;
};

struct nartree {
	struct nartree_node *nodes; /* children follow their directory */
	uint32_t n, cap;
	char *strings;
	size_t strings_len, strings_cap;
	uint64_t size; /* of the archive */
	uint8_t digest[NIX_SHA256];
};

struct nartree *nartree_new(void);
void nartree_free(struct nartree *t);

/* Building, in the archive's order. Number of the new node, or a negative
 * errno: -EBADMSG bad name, -E2BIG too many nodes, -ENOMEM. */
int64_t nartree_add(struct nartree *t, uint8_t kind, const char *name,
		    size_t name_len);
int nartree_target(struct nartree *t, uint32_t node, const char *target,
		   size_t len);
/* All nodes are there and have their `end`: compute offsets, the archive's
 * size and the digest. -EOVERFLOW. */
int nartree_finish(struct nartree *t);

/* Can it be the name of an entry after `before` (NULL: the first)? */
bool nartree_good_name(const char *name, size_t len, const char *before,
		       size_t before_len);
static inline const char *nartree_name(const struct nartree *t, uint32_t node)
{
	return t->strings + t->nodes[node].name;
}
static inline const char *nartree_link(const struct nartree *t, uint32_t node)
{
	return t->strings + t->nodes[node].target;
}
/* 0444, 0555, 0777. */
uint32_t nartree_mode(const struct nartree_node *n);

/* -- ids -------------------------------------------------------------------- */

#define NIXID_LEN 39u
#define NIXID_TAG 14u

/* Files from NIX_PARTS_ABOVE bytes on can be had in parts of NIX_PART. Their
 * ids have 12 bytes of the tag, and 3 each for the node and the part. */
#define NIX_PART (256u * 1024u)
#define NIX_PARTS_ABOVE (1024u * 1024u)
#define NIXID_PART_TAG 12u

enum nixid_what {
	NIXID_ROOT = 'R',
	NIXID_BUCKET = 'P',
	NIXID_NODE = 'N',
	NIXID_PART = 'S'
};

struct nixid {
	enum nixid_what what;
	uint8_t hash[NIX_HASH];
	uint8_t tag[NIXID_TAG]; /* of nodes and parts */
	uint32_t node;
	uint32_t part; /* of the file, from 0 */
};
struct scorpio_id nixid_make(const struct nixid *x);
bool nixid_parse(const struct scorpio_id *id, struct nixid *ret);
/* Is it a node, or a part of one, of the tree with that tag? */
bool nixid_of_tree(const struct nixid *x, const uint8_t tag[NIXID_TAG]);
/* The tag of all nodes of this tree. */
void nixid_tag(const uint8_t nar_hash[NIX_SHA256], const struct nartree *t,
	       uint8_t out[NIXID_TAG]);

#endif
