/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges.h - an archive of which only parts are brought, by Range requests:
 * any bytes of an uncompressed one, blocks of xz with several of them, frames
 * of zstd with a seek table. What was brought is kept in an unlinked sparse
 * file. With a signed list of pieces (pieces.h) every byte is held against it
 * before it is given out; without one nothing is known of it but where it came
 * from. One thread at a time (path.h).
 */
#ifndef BACKENDS_NIX_RANGES_H
#define BACKENDS_NIX_RANGES_H

#include "cache.h"
#include "pieces.h"

struct nixranges;

/* Learn where things are; a request or two for compressed archives. proof: NULL,
 * or taken in any case. -ENOTSUP: this archive cannot be read in parts. */
int nixranges_new(struct nix *n, struct nixcache *c, const struct narinfo *i,
		  struct pieces *proof, struct nixranges **ret,
		  uint64_t *fetched);
void nixranges_free(struct nixranges *r);
/* Bring [offset, offset + len) of the plain archive, and prove it if that can
 * be. -ENOTSUP: the cache does not know Range; -EBADMSG: not what was signed. */
int nixranges_need(struct nix *n, struct nixranges *r, uint64_t offset,
		   uint64_t len, uint64_t *fetched);
/* Exactly `len` bytes that were needed before. */
int nixranges_read(struct nix *n, const struct nixranges *r, uint64_t offset,
		   void *buf, size_t len);
bool nixranges_proven(const struct nixranges *r); /* there is a list */
uint64_t nixranges_bytes(const struct nixranges *r); /* plain, brought */
/* All of it came: its file, the caller's; -1: not yet. */
int nixranges_take(struct nixranges *r);

#endif
