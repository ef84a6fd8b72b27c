/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunks.h - objects in parts: an extension that Mono servers had until January
 * 2026, for those that still run. GET objects/OID/chunks lists
 * {oid, size, chunks: [{sub_oid, offset, size, link: {href, header, expires_at}}]},
 * each link leads to the bytes of one part. Read only.
 */
#ifndef BACKENDS_LFS_CHUNKS_H
#define BACKENDS_LFS_CHUNKS_H

#include "server.h"

/* Give the bytes of the object from `from` on, in order; a part's SHA-256 is
 * checked when it has passed, the whole is the caller's to check. -ENOTSUP: this
 * server knows no parts of it. Nonzero from data() stops and is returned. */
int lfschunks_run(struct lfs *s, const struct lfsaction *a, uint64_t from,
		  int (*data)(void *ctx, const void *p, uint64_t n), void *ctx);

#endif
