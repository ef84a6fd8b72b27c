/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - a git program whose output is read while it runs: the answer to one
 * request. Its input is a file. One thread at a time; ended with its group.
 */
#ifndef MONOGATE_CHILD_H
#define MONOGATE_CHILD_H

#include <stdint.h>

struct gate;
struct gate_child;

/* env: "K=V", NULL-ended, beside the daemon's own; input: read from its
 * beginning, -1 is nothing. -ENOENT: no such program. */
int gate_child_new(struct gate *g, const char *const *argv,
		   const char *const *env, int input, struct gate_child **ret);
/* Some of its output: the count, 0 at its end; -EIO if it failed, -ETIMEDOUT
 * after five quiet minutes, -EINTR when the daemon ends. */
int64_t gate_child_read(struct gate_child *c, void *buf, uint64_t n);
void gate_child_free(struct gate_child *c); /* NULL is fine */

#endif
