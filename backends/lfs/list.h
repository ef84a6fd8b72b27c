/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - directories, with LFS files marked by their ids. See gather.h for
 * how what comes from below is passed on, rules.h for what holds where. */
#ifndef BACKENDS_LFS_LIST_H
#define BACKENDS_LFS_LIST_H

#include "common.h"

int lfslist_resolve(struct lfs *s, const char *spec,
		    struct scorpio_revision *ret);
int lfslist_watch(struct lfs *s, const char *spec,
		  const struct scorpio_id *known, uint32_t timeout_ms);
int lfslist_list(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		 const struct scorpio_sink *sink);
int lfslist_prefetch(struct lfs *s, const struct scorpio_ref *root,
		     uint32_t what, uint32_t depth,
		     const struct scorpio_sink *sink);

#endif
