/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alarm.h - "call me at this time", for deadlines, retries and gather windows.
 * One thread serves all alarms; it runs while there are any. Callbacks must be
 * short: they delay the other alarms. Precision about 0.1 ms. Any thread.
 */
#ifndef CACHE_ALARM_H
#define CACHE_ALARM_H

#include "core/base.h"

struct alarm { /* embedded by the caller */
	void (*fire)(struct alarm *a);
	/* private, under the lock of alarm.c */
	struct alarm *next;
	int64_t at;
	bool firing;
};

/* Start: no time is set yet. */
void alarm_add(struct alarm *a, void (*fire)(struct alarm *a));
/* Fire at `at` (monotonic ns) or at the earlier time set before. Forgotten
 * when fired. May be called under the caller's own locks and in fire(). */
void alarm_set(struct alarm *a, int64_t at);
/* End; waits while it is firing. Not under a lock that fire() takes. */
void alarm_remove(struct alarm *a);

#endif
