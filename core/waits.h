/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waits.h - what a thread of this process waits for, as the kernel tells it from
 * outside (/proc/self/task/N/syscall): threads and locks pay nothing for it.
 * For people: who looks at a thread that goes on meanwhile reads what was.
 *
 * Any thread, any time; nothing is locked and nothing here waits. Some ten system
 * calls, 20 us.
 */
#ifndef CORE_WAITS_H
#define CORE_WAITS_H

#include "core/base.h"

enum waits {
	WAITS_UNKNOWN, /* no such thread, or the kernel does not tell */
	WAITS_NOT,     /* it runs, or would like to */
	WAITS_LOCK,
	WAITS_CALL, /* it is in a system call, or reads memory from a disk */
};

/* A text of what, "" if unknown: "a lock of thread fuse (71), which is in fsync
 * of /a/b", "fsync of /a/b". tid: as gettid() says; a text that does not fit is
 * cut. */
enum waits waits_of(pid_t tid, char *buf, size_t cap);

#endif
