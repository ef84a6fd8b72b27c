/* SPDX-License-Identifier: Apache-2.0 */
/* statefile.h - small files that say what a daemon had, for the next one. */
#ifndef API_STATEFILE_H
#define API_STATEFILE_H

#include "core/buf.h"

/* As a whole or not at all, readable by its owner alone, on the disk when this
 * returns. The directory is made. */
int statefile_write(const char *path, const struct buf *text);
/* It cannot be read (error err, whose text is logged): it goes to PATH.bad, so
 * that the next write does not destroy it. */
void statefile_set_aside(const char *area, const char *path, int err);
/* Is there one? */
bool statefile_is_aside(const char *path);

#endif
