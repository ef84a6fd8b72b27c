/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - a mutex that knows its place. Locks are taken in rising rank; a dev
 * build (-DSCORPIO_DEV) aborts with both names when a thread takes a lower or
 * equal rank than one it holds, or holds any lock where it must not. A release
 * build is a plain mutex.
 */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include "core/base.h"

enum lock_rank {
	LOCK_MOUNTS = 1,
	LOCK_INODES = 2,
	LOCK_DIR = 3,
	LOCK_FLIGHT = 4,
	LOCK_STORE = 5,
	LOCK_LEAF = 8, /* taken last by its module, nothing below but the log */
	LOCK_LOG = 9,
};

struct lock {
	pthread_mutex_t m;
#ifdef SCORPIO_DEV
	enum lock_rank rank;
	const char *name;
#endif
};

#ifdef SCORPIO_DEV
#define LOCK_INIT(rank_, name_)                                                \
	{                                                                      \
		PTHREAD_MUTEX_INITIALIZER, rank_, name_                        \
	}
void lock_check_take(const struct lock *l);
void lock_check_drop(const struct lock *l);
/* Before network, backend calls, LMDB commits, kernel notifications. */
void lock_assert_none_held(const char *before);
#else
#define LOCK_INIT(rank_, name_)                                                \
	{                                                                      \
		PTHREAD_MUTEX_INITIALIZER                                      \
	}
static inline void lock_check_take(const struct lock *l UNUSED)
{
}
static inline void lock_check_drop(const struct lock *l UNUSED)
{
}
static inline void lock_assert_none_held(const char *before UNUSED)
{
}
#endif

void lock_init(struct lock *l, enum lock_rank rank, const char *name);
void lock_done(struct lock *l);
static inline void lock_take(struct lock *l)
{
	lock_check_take(l);
	pthread_mutex_lock(&l->m);
}
static inline void lock_drop(struct lock *l)
{
	lock_check_drop(l);
	pthread_mutex_unlock(&l->m);
}
/* cond_wait_until of core/clock.h; the lock is dropped meanwhile. */
int lock_wait(pthread_cond_t *c, struct lock *l, int64_t deadline);

static inline struct lock *lock_taken_(struct lock *l)
{
	lock_take(l);
	return l;
}
static inline void lock_dropped_(struct lock **l)
{
	if (*l)
		lock_drop(*l);
}
/* Hold until the end of the scope. */
#define ranked_scope(l)                                                        \
	__attribute__((cleanup(lock_dropped_), unused))                        \
	struct lock *BASE_CAT(ranked_, __LINE__) = lock_taken_(l)

#endif
