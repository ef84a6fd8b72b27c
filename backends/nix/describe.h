/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h - what is known of the store path that an entry belongs to. */
#ifndef BACKENDS_NIX_DESCRIBE_H
#define BACKENDS_NIX_DESCRIBE_H

#include "common.h"

/* {"nix": {...}} as text: the path, its hash, size, references and signature,
 * and the bytes that were transferred for it and asked for. Its length; filled
 * up to cap. Asks the caches if the description is not known. -ENODATA: not of
 * a store path. */
int64_t nix_describe(struct nix *n, const struct scorpio_ref *ref, void *buf,
		     uint64_t cap);

#endif
