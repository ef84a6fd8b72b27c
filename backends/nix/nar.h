/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nar.h - the archive format, fed as it arrives. Strict, so that every archive
 * it takes is the only one of its tree: canonical tokens, zero padding, names
 * in order and acceptable, limited depth, nothing after the end. Builds the
 * tree; content only passes by. Constant memory but for the tree. One thread
 * per object.
 */
#ifndef BACKENDS_NIX_NAR_H
#define BACKENDS_NIX_NAR_H

#include "nartree.h"

struct nar;
/* The bytes of the file `node`, in order; its size is known by then. A nonzero
 * return stops. */
typedef int (*nar_data_fn)(void *ctx, uint32_t node, const void *data,
			   size_t n);

/* data may be NULL. NULL: no memory. */
struct nar *nar_new(nar_data_fn data, void *ctx);
void nar_free(struct nar *n);
/* -EBADMSG with nar_why; or what data() returned; -E2BIG, -ENOMEM. */
int nar_feed(struct nar *n, const void *data, size_t len);
/* The archive ended here: the finished tree, the caller's. -EBADMSG: cut off.
 */
int nar_end(struct nar *n, struct nartree **ret);
const char *nar_why(const struct nar *n); /* static text */

#endif
