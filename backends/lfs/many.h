/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many.h - bring objects: links in batches, small ones several at a time in
 * memory, large ones one after the other straight into the sink.
 */
#ifndef BACKENDS_LFS_MANY_H
#define BACKENDS_LFS_MANY_H

#include "small.h"

/* items[0..n), all POINTER, into the sink or failed(). One thread calls; others
 * are started and ended within. */
int lfsmany_bring(struct lfs *s, const struct lfsitem *items, uint32_t n,
		  const struct scorpio_sink *sink, bool *stop);

#endif
