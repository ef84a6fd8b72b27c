/* SPDX-License-Identifier: Apache-2.0 */
/* path.h - paths of the local disk. Any thread. */
#ifndef CORE_PATH_H
#define CORE_PATH_H

#include "core/base.h"

/* "a/b/c": make what is missing with this mode (parents 0755 | mode). Existing
 * directories are left as they are. -errno with a text. */
int path_make_dirs(const char *path, mode_t mode);
/* Remove everything inside the directory, never following links, never leaving
 * its filesystem. The directory itself stays. */
int path_empty_dir(const char *path);
/* Absolute, without "." and double slashes (".." and links stay). Caller
 * frees. */
char *path_absolute(const char *path);
/* Read a whole file of at most `max` bytes, NUL-terminated behind. -EFBIG. */
int path_read(const char *path, size_t max, char **ret, size_t *ret_len);
/* Write through a temporary file and rename; synced if `sync`. */
int path_write(const char *path, const void *p, size_t n, mode_t mode,
	       bool sync);

#endif
