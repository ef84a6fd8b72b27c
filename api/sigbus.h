/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigbus.h - last words. The store is read through a map of its file, so a disk
 * that cannot be read, or a file that somebody else made shorter, is no error
 * code but SIGBUS. A thread that is inside the store gets out of it with "absent"
 * (store_escape), also where a damaged page has LMDB write into the map. Elsewhere
 * the process cannot go on. It says so, notes where it was (the next start sets a
 * file aside that cannot be read there), and ends; what was acknowledged in
 * workspaces does not lie in the map.
 */
#ifndef API_SIGBUS_H
#define API_SIGBUS_H

/* Once, early. Where SIGBUS still ends the process it does so by its signal, but
 * three lines are written to standard error before. */
void sigbus_explain(const char *store_path);

#endif
