/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - system calls that are not needed are refused (EPERM), by a seccomp
 * filter of the kernel. Which, and why not more: docs/decisions/071-refused-calls.md.
 *
 * Two sets: what no part of a daemon needs (it debugs nobody, loads no module,
 * does not set the clock), and on top of that what programs that it starts for a
 * server's sake (git, helpers for logins) need not do: mounting, other
 * namespaces, more rights by setuid programs.
 *
 * Cost: 30 ns for a call that is allowed; 0.2 ms for a program that is started.
 */
#ifndef CORE_CONFINE_H
#define CORE_CONFINE_H

#include "core/base.h"

/* server.confine; true at first. Before anything below. */
void confine_set(bool on);
/* All threads of this process and what it starts from now on. for_good: and no
 * program it starts has more rights than it (no_new_privs), which the kernel asks
 * for of who is not root; it cannot run fusermount3 then. 0; 1 if switched off;
 * -EPERM: neither root nor for good; other errnos: the kernel cannot. Once. */
int confine_daemon(bool for_good);
/* This thread, and what it starts: the larger set, and no more rights than it
 * has. For good: only for a thread that ends soon. 0, 1 or an errno. */
int confine_thread(void);
/* What became of confine_daemon, for people. Any thread. */
const char *confine_state(void);

#endif
