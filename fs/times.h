/* SPDX-License-Identifier: Apache-2.0 */
/*
 * times.h - private to fs/: since when a path shows what it shows, where that
 * is not since the mount was made. A switch to another revision puts its time
 * here for every path it changes, so that times only move forward.
 *
 * Paths are hashes (node_key in node.h). Not locked: the view's lock does that.
 */
#ifndef FS_TIMES_H
#define FS_TIMES_H

#include "core/base.h"

struct times;

struct times *times_new(void);
void times_free(struct times *t); /* NULL is fine */
void times_set(struct times *t, uint64_t key, int64_t time_ns);
/* The later of `base` and what is known of the path. */
int64_t times_get(const struct times *t, uint64_t key, int64_t base);
/* The newest of all; 0 if there is none. */
int64_t times_newest(const struct times *t);
void times_each(const struct times *t,
		void (*fn)(void *ctx, uint64_t key, int64_t time_ns),
		void *ctx);

#endif
