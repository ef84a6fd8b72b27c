/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - telling the service manager (NOTIFY_SOCKET) how the daemon does.
 * Does nothing where there is none. Any thread; never blocks. */
#ifndef API_NOTIFY_H
#define API_NOTIFY_H

#include "core/base.h"

/* "READY=1", "STATUS=3 mounts", ...; several separated by newlines. */
void notify(const char *fmt, ...) PRINTF(1, 2);
/* Say it to the keeper, which passes it on. Before there are threads. */
struct keeper;
void notify_through(struct keeper *k);
/* How often "WATCHDOG=1" is wanted, in ms; 0 = not at all. */
int64_t notify_watchdog_ms(void);

#endif
