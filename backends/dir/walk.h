/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.h - opening things below a directory without ever leaving it: no
 * symbolic link is followed, "..", absolute and empty components are refused.
 * Any thread.
 */
#ifndef BACKENDS_DIR_WALK_H
#define BACKENDS_DIR_WALK_H

#include <stdint.h>

/* Open path (not NUL-terminated, "" = the root itself) below root. flags as
 * for openat; O_NOFOLLOW and O_CLOEXEC are added. A descriptor or a negative
 * errno; -ELOOP where a component is a symbolic link. */
int walk_open(int root, const char *path, uint32_t len, int flags);

#endif
