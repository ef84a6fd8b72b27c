/* SPDX-License-Identifier: Apache-2.0 */
/* way.h - private to fs/: the way to an inode once more. */
#ifndef FS_WAY_H
#define FS_WAY_H

#include "fs/mount.h"

/* Bring what asking for the content or tree of an inode needs to know: resolve
 * the revision and list the directories above it from the top. Blocking, not
 * on a thread of the source; errors of the source. */
int way_again(struct mount *m, uint64_t ino, int64_t deadline);

#endif
