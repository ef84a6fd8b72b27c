/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - private to fs/: whom a request comes from. The kernel names the
 * thread; accounts and shares are a process's.
 */
#ifndef FS_PROCESS_H
#define FS_PROCESS_H

#include "core/base.h"

/* The process of a thread; the thread itself if that cannot be told, 0 for 0. Any
 * thread. Cost: a look into a table; one or two system calls for a thread that
 * was not seen in the last ten seconds. */
uint32_t process_of(uint32_t tid);
/* The same as a key of who asks (struct want): of a process that cannot be seen
 * from here, the user. */
uint64_t process_asker(uint32_t tid, uint32_t uid);

#endif
