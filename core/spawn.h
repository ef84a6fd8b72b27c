/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - run a program without a shell. What host->spawn calls, and git for
 * workspaces, is confined (core/confine.h).
 *
 * The child gets its own process group, only the descriptors 0, 1 and 2, the
 * default signal mask and handlers. Input and both outputs are moved together,
 * so any amount passes. At the deadline (timeout_ms, cut to core/call.h's) or on
 * cancellation the group gets SIGTERM, two seconds later SIGKILL. The child is
 * always reaped. Children that it left in the background are not waited for
 * (half a second for their output), nor killed after a normal end.
 *
 * Any thread, blocking. SIGPIPE and SIGCHLD settings of the process are not
 * touched. A run costs about a millisecond.
 */
#ifndef CORE_SPAWN_H
#define CORE_SPAWN_H

#include "core/base.h"

#include <scorpio/host.h>

/* 0: it ran, look at exit_status and error. -ENOENT no such program (or cwd),
 * -EACCES not executable, -ETIMEDOUT, -EINTR, or what on_output returned. */
int spawn_run(struct scorpio_spawn *x);
int spawn_run_confined(struct scorpio_spawn *x);
/* Used when timeout_ms is 0; at first 600 000. */
void spawn_set_timeout(uint32_t ms);

#endif
