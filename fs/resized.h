/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resized.h - private to fs/: sizes that turned out to be wrong.
 *
 * Sizes may come from a server's list before the content does, and only the
 * content proves them. The kernel keeps what it was told for ever, so when a
 * list was wrong it is told to forget.
 */
#ifndef FS_RESIZED_H
#define FS_RESIZED_H

#include "fs/mount.h"

/* For source_on_resized, with the fs as ctx. The work is done by the fs's pool:
 * it looks at every inode the kernel knows, some 0.3 us each, and waits until
 * the kernel forgot (a few seconds at most) before it calls done. */
void resized_note(void *ctx, uint16_t space, const struct scorpio_id *id,
		  void (*done)(void *arg), void *arg);

#endif
