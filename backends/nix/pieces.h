/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pieces.h - a signed list of the hashes of an archive's pieces and the
 * digest of its tree. Made by a cache that had the archive and checked it
 * (the role nixcache), served as HASH.pieces: with it a range of the archive
 * proves itself. Any thread.
 *
 *	scorpio-pieces 1
 *	NarHash: sha256:<base 32>
 *	NarSize: <bytes>
 *	Tree: <hex of nartree.digest>
 *	Sig: <key>:<base 64>            one or more
 *	<empty line>
 *	32 bytes for each PIECES_BYTES of the archive
 *
 * Signed is "scorpio-pieces;1;sha256:<base 32>;<NarSize>;<tree>;<hex of the
 * SHA-256 of the list>".
 */
#ifndef BACKENDS_NIX_PIECES_H
#define BACKENDS_NIX_PIECES_H

#include "trust.h"

#define PIECES_BYTES (256u * 1024u)
#define PIECES_MAX (16u << 20) /* bytes of such a file */

struct pieces {
	uint64_t nar_size;
	uint8_t nar_hash[NIX_SHA256], tree[NIX_SHA256];
	uint8_t (*hash)[NIX_SHA256]; /* owned */
	uint32_t n;
	struct narinfo_sig sigs[8]; /* keys point into the text */
	uint32_t n_sigs;
};

static inline uint64_t pieces_count(uint64_t nar_size)
{
	return (nar_size + PIECES_BYTES - 1) / PIECES_BYTES;
}
/* -EBADMSG: malformed; *why is static. The text must stay. */
int pieces_parse(const char *text, size_t len, struct pieces *ret,
		 const char **why);
void pieces_done(struct pieces *p);
/* What is signed: caller frees; NULL: no memory. */
char *pieces_fingerprint(const struct pieces *p);

#endif
