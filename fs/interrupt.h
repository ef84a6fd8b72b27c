/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interrupt.h - private to fs/: what a signal to a waiting program means.
 *
 * The kernel reports every signal: timers, ended children, a resized terminal
 * too. Programs do not expect EINTR of open() or stat() for those, nor EIO of a
 * read, so only a signal that ends the program, or a Ctrl-C, ends its request.
 * A reader of the page cache is not reported at all, and only SIGKILL gets it
 * out of there: so whoever waits for long is looked at now and then.
 */
#ifndef FS_INTERRUPT_H
#define FS_INTERRUPT_H

#include "core/base.h"

/* Has the thread such a signal pending, or ended? `otherwise` if that cannot be
 * known: it is in another process namespace (0). Reads /proc: 20 us. */
bool interrupt_meant(uint32_t tid, bool otherwise);

#endif
