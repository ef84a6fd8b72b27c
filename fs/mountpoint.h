/* SPDX-License-Identifier: Apache-2.0 */
/* mountpoint.h - private to fs/: directories to mount on, and the kernel's mount
 * table. */
#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

#include "core/base.h"

/* Make the directory ready: created if missing (*ret_made), must be an empty
 * directory that nothing is mounted on. A dead mount of ours is cleared away.
 * -ENOTDIR, -ENOTEMPTY, -EBUSY, -EACCES... with a text. */
int mountpoint_prepare(const char *dir, bool *ret_made);
/* Ask the kernel to let go. -EBUSY if in use and not lazy. */
int mountpoint_detach(const char *dir, bool lazy);
/* -EBUSY with a text that names who uses it. */
int mountpoint_busy(const char *dir);
/* mountpoint_users.c: programs that have their working directory or an open
 * file at or below dir, as far as this user may know: "git (pid 7), ...". NULL:
 * none found. The caller frees. Does not touch the mount. */
char *mountpoint_users(const char *dir);
/* End the connection behind a FUSE mount of ours, whoever has files open there:
 * its requests fail, and who reads its device gets ENODEV. False: cannot. */
bool mountpoint_abort(const char *dir);
/* Let sequential readers read so many bytes ahead, where privileges allow. */
void mountpoint_read_ahead(const char *dir, uint64_t bytes);

#endif
