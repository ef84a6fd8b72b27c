/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/times.h"

#define FIRST_SLOTS 64

struct slot {
	uint64_t key; /* 0: free */
	int64_t time;
};

struct times {
	struct slot *slots; /* open addressing; a power of two */
	size_t mask, count;
	int64_t newest;
};

struct times *times_new(void)
{
	return xcalloc(1, sizeof(struct times));
}

void times_free(struct times *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t);
}

static struct slot *slot_of(const struct times *t, uint64_t key)
{
	size_t i = key & t->mask;

	while (t->slots[i].key && t->slots[i].key != key)
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

static void grow(struct times *t)
{
	struct times old = *t;

	t->mask = old.slots ? old.mask * 2 + 1 : FIRST_SLOTS - 1;
	t->slots = xcalloc(t->mask + 1, sizeof(*t->slots));
	for (size_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].key)
			*slot_of(t, old.slots[i].key) = old.slots[i];
	free(old.slots);
}

void times_set(struct times *t, uint64_t key, int64_t time_ns)
{
	struct slot *s;

	if (!t->slots || t->count * 2 > t->mask)
		grow(t);
	s = slot_of(t, key);
	t->count += !s->key;
	*s = (struct slot){ key, time_ns };
	t->newest = MAX(t->newest, time_ns);
}

int64_t times_get(const struct times *t, uint64_t key, int64_t base)
{
	const struct slot *s;

	if (!t->count)
		return base;
	s = slot_of(t, key);
	return s->key ? MAX(s->time, base) : base;
}

int64_t times_newest(const struct times *t)
{
	return t->newest;
}

void times_each(const struct times *t,
		void (*fn)(void *ctx, uint64_t key, int64_t time_ns),
		void *ctx)
{
	for (size_t i = 0; t->slots && i <= t->mask; i++)
		if (t->slots[i].key)
			fn(ctx, t->slots[i].key, t->slots[i].time);
}
