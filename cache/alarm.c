/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/alarm.h"

#include "core/clock.h"
#include "core/lock.h"

static struct lock lock = LOCK_INIT(LOCK_LEAF, "alarms");
static pthread_cond_t changed; /* with lock; the thread's sleep */
static pthread_cond_t fired;   /* with lock; alarm_remove waits */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct alarm *alarms; /* lock */
static int64_t sleeps_until; /* lock; DEADLINE_NONE while it has no time */
static bool running;         /* lock */
static pthread_t thread;     /* valid after the first start */
static bool joinable;        /* lock: an ended thread waits to be joined */

static void init(void)
{
	cond_init(&changed);
	cond_init(&fired);
}

/* The alarm that is due first, or NULL if none has a time. */
static struct alarm *first(void)
{
	struct alarm *a, *best = NULL;

	for (a = alarms; a; a = a->next)
		if (a->at != DEADLINE_NONE && (!best || a->at < best->at))
			best = a;
	return best;
}

static void fire_one(struct alarm *a)
{
	a->at = DEADLINE_NONE;
	a->firing = true;
	lock_drop(&lock);
	a->fire(a);
	lock_take(&lock);
	a->firing = false;
	pthread_cond_broadcast(&fired);
}

static void *serve(void *unused UNUSED)
{
	struct alarm *a;

	pthread_setname_np(pthread_self(), "alarm");
	lock_take(&lock);
	while (alarms) {
		a = first();
		if (a && a->at <= now_ns()) {
			fire_one(a);
			continue;
		}
		sleeps_until = a ? a->at : DEADLINE_NONE;
		lock_wait(&changed, &lock, sleeps_until);
		sleeps_until = 0;
	}
	running = false;
	joinable = true;
	pthread_cond_broadcast(&fired);
	lock_drop(&lock);
	return NULL;
}

/* lock held */
static void start_thread(void)
{
	if (running)
		return;
	if (joinable)
		pthread_join(thread, NULL);
	joinable = false;
	running = pthread_create(&thread, NULL, serve, NULL) == 0;
	if (!running) {
		fprintf(stderr, "scorpio: cannot start a thread\n");
		abort();
	}
}

void alarm_add(struct alarm *a, void (*fire)(struct alarm *a))
{
	pthread_once(&once, init);
	ranked_scope(&lock);
	a->fire = fire;
	a->at = DEADLINE_NONE;
	a->firing = false;
	a->next = alarms;
	alarms = a;
	pthread_cond_broadcast(&fired); /* who waits for the thread's end */
	start_thread();
}

void alarm_set(struct alarm *a, int64_t at)
{
	ranked_scope(&lock);
	if (at >= a->at)
		return;
	a->at = at;
	if (at < sleeps_until)
		pthread_cond_signal(&changed);
}

void alarm_remove(struct alarm *a)
{
	struct alarm **p;

	ranked_scope(&lock);
	while (a->firing)
		lock_wait(&fired, &lock, DEADLINE_NONE);
	for (p = &alarms; *p != a; p = &(*p)->next)
		;
	*p = a->next;
	if (alarms)
		return;
	/* the last: end the thread, so that nothing is left at exit */
	pthread_cond_signal(&changed);
	while (running && !alarms)
		lock_wait(&fired, &lock, DEADLINE_NONE);
	if (!running && joinable) {
		pthread_join(thread, NULL);
		joinable = false;
	}
}
