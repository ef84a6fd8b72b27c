/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - an archive that was brought whole and whose hash was checked: its
 * plain bytes in memory (small ones) or in an unlinked file on the store's
 * disk, and its tree. Memory while bringing is constant but for the tree.
 */
#ifndef BACKENDS_NIX_SPOOL_H
#define BACKENDS_NIX_SPOOL_H

#include "cache.h"
#include "nartree.h"
#include "trust.h"

struct nixspool {
	uint64_t size;
	uint8_t *mem; /* or NULL: fd */
	int fd;
	struct nartree *tree;
};

/* Bring the archive of `i` from c. A broken transfer is taken up where it
 * broke. -EBADMSG: it is not what was promised (hash, size, form); errors of
 * the cache and the disk; each with a text. The bytes transferred are added to
 * *fetched in any case. */
int nixspool_bring(struct nix *n, struct nixcache *c, const struct narinfo *i,
		   const struct nixverdict *v, struct nixspool **ret,
		   uint64_t *fetched);
/* The same for an archive whose plain bytes are all in a file, which is taken. */
int nixspool_adopt(struct nix *n, const struct narinfo *i,
		   const struct nixverdict *v, int fd, struct nixspool **ret);
/* A scratch file without a name; and writing into one. */
int nixspool_file(struct nix *n);
int nixspool_save(struct nix *n, int fd, const void *p, size_t len,
		  uint64_t at);
void nixspool_free(struct nixspool *s);
/* Exactly `len` bytes at offset. -EIO. */
int nixspool_read(struct nix *n, const struct nixspool *s, uint64_t offset,
		  void *buf, size_t len);

#endif
