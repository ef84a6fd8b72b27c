/* SPDX-License-Identifier: Apache-2.0 */
/* way.h - private to fs/: the way to an inode once more, after the store was
 * lost. Blocking, not on a thread of the source; errors of the source. */
#ifndef FS_WAY_H
#define FS_WAY_H

#include "fs/mount.h"

/* Bring the tree of the root. If its id is not understood any more, resolve the
 * revision again first. */
int way_root(struct mount *m, int64_t deadline);
/* Bring what asking for the content or tree of an inode needs to know: resolve
 * the revision and list the directories above it from the top. */
int way_again(struct mount *m, uint64_t ino, int64_t deadline);

#endif
