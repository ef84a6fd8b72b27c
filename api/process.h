/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - what this process uses. Any thread. */
#ifndef API_PROCESS_H
#define API_PROCESS_H

#include "core/base.h"

uint64_t process_rss(void); /* bytes; 0 if unknown */
size_t process_fds(void);

#endif
