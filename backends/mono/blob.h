/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob.h - file contents and sizes, one request each; the host makes many calls
 * at once.
 */
#ifndef BACKENDS_MONO_BLOB_H
#define BACKENDS_MONO_BLOB_H

#include "common.h"

/* scorpio_backend.fetch and .sizes */
int monoblob_fetch(struct mono *m, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink);
int monoblob_sizes(struct mono *m, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink);

#endif
