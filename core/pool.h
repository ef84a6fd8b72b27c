/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - worker threads with one queue. For work that may wait (network,
 * child processes); nothing of the FUSE fast path goes through here.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "core/base.h"

struct pool;
struct pool_task { /* embedded by the caller; owned by the pool once queued */
	void (*run)(struct pool_task *t);
	struct pool_task *next;
};

/* Up to max_threads threads, started on demand, ended after 10 s of idleness.
 * name (<= 10 characters) is shown as the thread name. */
struct pool *pool_new(const char *name, unsigned max_threads);
/* Waits for running tasks, runs what is queued, joins. NULL is fine. */
void pool_free(struct pool *p);
void pool_add(struct pool *p, struct pool_task *t);
/* queued and running right now */
unsigned pool_load(struct pool *p);

#endif
