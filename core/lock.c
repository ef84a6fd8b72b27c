/* SPDX-License-Identifier: Apache-2.0 */
#include "core/lock.h"

#include "core/clock.h"

void lock_init(struct lock *l, enum lock_rank rank UNUSED,
	       const char *name UNUSED)
{
	pthread_mutex_init(&l->m, NULL);
#ifdef SCORPIO_DEV
	l->rank = rank;
	l->name = name;
#endif
}

void lock_done(struct lock *l)
{
	pthread_mutex_destroy(&l->m);
}

int lock_wait(pthread_cond_t *c, struct lock *l, int64_t deadline)
{
	int r;

	lock_check_drop(l);
	r = cond_wait_until(c, &l->m, deadline);
	lock_check_take(l);
	return r;
}

#ifdef SCORPIO_DEV
#define HELD_MAX 8
static __thread struct {
	const struct lock *lock[HELD_MAX];
	int n;
} held;

static void die(const char *text)
{
	fprintf(stderr, "scorpio: lock order: %s\n", text);
	abort();
}

void lock_check_take(const struct lock *l)
{
	char text[256];
	const struct lock *top = held.n ? held.lock[held.n - 1] : NULL;

	if (top && l->rank <= top->rank) {
		snprintf(text, sizeof(text),
			 "taking \"%s\" (%d) while holding \"%s\" (%d)", l->name,
			 l->rank, top->name, top->rank);
		die(text);
	}
	if (held.n == HELD_MAX)
		die("too many locks held");
	held.lock[held.n++] = l;
}

void lock_check_drop(const struct lock *l)
{
	char text[256];
	int i;

	for (i = held.n - 1; i >= 0; i--)
		if (held.lock[i] == l)
			break;
	if (i < 0) {
		snprintf(text, sizeof(text), "dropping \"%s\", not held by this thread",
			 l->name);
		die(text);
	}
	memmove(&held.lock[i], &held.lock[i + 1],
		(size_t)(held.n - i - 1) * sizeof(held.lock[0]));
	held.n--;
}

void lock_assert_none_held(const char *before)
{
	char text[256];

	if (!held.n)
		return;
	snprintf(text, sizeof(text), "\"%s\" is held before %s",
		 held.lock[held.n - 1]->name, before);
	die(text);
}
#endif
