/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigbus.h - last words. The store is read through a map of its file, so a disk
 * that cannot be read, or a file that somebody else made shorter, is no error
 * code but SIGBUS: the process cannot go on. It says so, notes where it was (the
 * next start sets a file aside that cannot be read there), and ends; what was
 * acknowledged in workspaces does not lie in the map.
 */
#ifndef API_SIGBUS_H
#define API_SIGBUS_H

/* Once, early. Then SIGBUS still ends the process by its signal, but writes
 * three lines to standard error before. */
void sigbus_explain(const char *store_path);

#endif
