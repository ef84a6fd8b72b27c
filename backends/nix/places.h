/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.h - where the parts of a plain archive are in its file: in pieces of
 * equal size, in blocks of xz, in frames of zstd with a seek table.
 */
#ifndef BACKENDS_NIX_PLACES_H
#define BACKENDS_NIX_PLACES_H

#include "cache.h"
#include "narinfo.h"

#define PLACES_MAX 4000000u

struct place {
	uint64_t plain;  /* offset in the archive */
	uint64_t packed; /* offset in the file */
	uint64_t len;    /* in the file */
	uint32_t check;  /* of xz */
};

struct places {
	struct place *unit; /* n of them, and one for the end */
	uint32_t n;
	bool runs; /* several after one another are one request */
};

/* -ENOTSUP: it has one part only. The bytes transferred are added to *fetched. */
int places_find(struct nix *n, struct nixcache *c, const struct narinfo *i,
		struct places *ret, uint64_t *fetched);
void places_done(struct places *p);
/* The unit that holds the plain byte. */
uint32_t places_at(const struct places *p, uint64_t plain);

/* The seek table at the end of a file of file_size bytes: `tail` is its last
 * `len` bytes. *ret_need: that many of the last bytes are wanted (then
 * -EAGAIN). -ENOTSUP: there is none, or it is of another archive. */
int places_zstd(const uint8_t *tail, size_t len, uint64_t file_size,
		uint64_t nar_size, struct places *ret, uint64_t *ret_need);

#endif
