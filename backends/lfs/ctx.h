/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctx.h - the sets of rules that ids of directories name. A set is remembered
 * with the host before an id with its hash goes anywhere, so that directories
 * which are in the store can be listed by a later daemon.
 *
 * Sets live until the instance is closed; there are few (rules.h). Any thread.
 */
#ifndef BACKENDS_LFS_CTX_H
#define BACKENDS_LFS_CTX_H

#include "rules.h"

int lfsctx_new(struct lfs *s, struct lfsctx **ret);
void lfsctx_free(struct lfsctx *c);

/* The set equal to r, and its hash. r is freed or kept. May write to the store.
 * -EFBIG: too many rules; errors of the host. `below`: an id that the hash will
 * go with. */
int lfsctx_intern(struct lfs *s, struct lfsrules *r /* takes */,
		  const struct scorpio_id *below,
		  const struct lfsrules **ret, uint8_t ret_hash[LFS_OID_LEN]);
/* The set whose hash stands behind an id like `below`. -EIO, with a text, if it
 * is known no more. */
int lfsctx_find(struct lfs *s, const struct scorpio_id *below,
		const uint8_t *hash, const struct lfsrules **ret);

#endif
