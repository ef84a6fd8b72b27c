/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - monotonic time and deadlines. All deadlines are absolute
 * CLOCK_MONOTONIC nanoseconds; DEADLINE_NONE only where a header says so.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "core/base.h"

#include <time.h>

#define NS_PER_S 1000000000ll
#define NS_PER_MS 1000000ll
#define DEADLINE_NONE INT64_MAX

static inline int64_t now_ns(void) /* monotonic */
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}
static inline int64_t wall_ns(void) /* since 1970 */
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}
static inline int64_t deadline_in_ms(int64_t ms)
{
	return now_ns() + ms * NS_PER_MS;
}
/* Of a time from outside: what is beyond 1678 or 2261 becomes the end of what
 * nanoseconds can say. */
static inline int64_t timespec_to_ns(struct timespec t)
{
	const int64_t end = INT64_MAX / NS_PER_S;

	if (t.tv_sec >= end)
		return end * NS_PER_S;
	if (t.tv_sec < -end)
		return -end * NS_PER_S;
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}
static inline struct timespec ns_to_timespec(int64_t ns)
{
	struct timespec t = { ns / NS_PER_S, ns % NS_PER_S };
	if (t.tv_nsec < 0) {
		t.tv_sec--;
		t.tv_nsec += NS_PER_S;
	}
	return t;
}
/* A condition variable that waits on the monotonic clock. */
void cond_init(pthread_cond_t *c);
/* 0, or -ETIMEDOUT once the deadline passed. Spurious wake-ups happen. */
int cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline);

#endif
