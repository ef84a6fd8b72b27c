/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known.h - what was read of small blobs, by their ids below: which are pointers
 * and of what, and the texts of .gitattributes. Both are bounded and emptied
 * when full. Any thread.
 */
#ifndef BACKENDS_LFS_KNOWN_H
#define BACKENDS_LFS_KNOWN_H

#include "pointer.h"

struct lfsknown *lfsknown_new(void); /* NULL: out of memory */
void lfsknown_free(struct lfsknown *k);

void lfsknown_pointer(struct lfsknown *k, const struct scorpio_id *id,
		      const struct lfsptr *p);
bool lfsknown_is_pointer(struct lfsknown *k, const struct scorpio_id *id,
			 struct lfsptr *ret);

void lfsknown_text(struct lfsknown *k, const struct scorpio_id *id,
		   const char *text, size_t n);
/* A copy; the caller frees. */
bool lfsknown_has_text(struct lfsknown *k, const struct scorpio_id *id,
		       struct lfsbuf *ret);

/* Does anything of LFS hold below that root (its id as listed)? -1 not known. */
void lfsknown_root(struct lfsknown *k, const struct scorpio_id *id, bool any);
int lfsknown_root_any(struct lfsknown *k, const struct scorpio_id *id);

#endif
