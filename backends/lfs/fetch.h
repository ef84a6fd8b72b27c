/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.h - the content and the sizes of files, LFS files among them. */
#ifndef BACKENDS_LFS_FETCH_H
#define BACKENDS_LFS_FETCH_H

#include "common.h"

int lfsfetch_fetch(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink);
int lfsfetch_sizes(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink);
/* "lfs": "OID SIZE" of an LFS file; "lfs.rules": those that hold in a directory
 * because of the ones above it, as of lfsrules_write; others are asked for below. */
int64_t lfsfetch_xattr(struct lfs *s, const struct scorpio_ref *ref,
		       const char *name, void *buf, uint64_t cap);

#endif
