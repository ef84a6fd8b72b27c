/* SPDX-License-Identifier: Apache-2.0 */
/* Where flights are found by object, and how long they wait for company. */
#include "cache/flight_impl.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/id.h"

/* -- the table ------------------------------------------------------------- */

static uint32_t slot_of(const struct flights *f, enum want_kind kind,
			const struct scorpio_id *id)
{
	return hash_xxh3(id->bytes, id->len, kind) & (f->table_size - 1);
}

struct flight *flight_find(struct flights *f, enum want_kind kind,
			   const struct scorpio_id *id)
{
	struct flight *fl = f->table[slot_of(f, kind, id)];

	while (fl && (fl->kind != kind || !id_equal(&fl->id, id)))
		fl = fl->table_next;
	return fl;
}

static void table_grow(struct flights *f)
{
	uint32_t old_size = f->table_size, i, slot;
	struct flight **old = f->table, *fl, *next;

	f->table_size = old_size * 2;
	f->table = xcalloc(f->table_size, sizeof(*f->table));
	for (i = 0; i < old_size; i++) {
		for (fl = old[i]; fl; fl = next) {
			next = fl->table_next;
			slot = slot_of(f, fl->kind, &fl->id);
			fl->table_next = f->table[slot];
			f->table[slot] = fl;
		}
	}
	free(old);
}

void flight_table_add(struct flights *f, struct flight *fl)
{
	uint32_t slot;

	if (f->count >= f->table_size)
		table_grow(f);
	slot = slot_of(f, fl->kind, &fl->id);
	fl->table_next = f->table[slot];
	f->table[slot] = fl;
	f->count++;
}

void flight_table_remove(struct flights *f, struct flight *fl)
{
	struct flight **p = &f->table[slot_of(f, fl->kind, &fl->id)];

	while (*p != fl)
		p = &(*p)->table_next;
	*p = fl->table_next;
	f->count--;
}

/* -- company ------------------------------------------------------------- */

/* How many objects others wait for, of those under way. What heavy ones wait for
 * is nothing a light one would wait for. */
static uint32_t company(const struct flights *f, enum flight_level level)
{
	const struct call *c = f->running;
	uint32_t n = 0;

	for (; c; c = c->next)
		if (c->prio == WANT_DEMAND && (level == HEAVY || !c->heavy))
			n += c->live;
	return n;
}

/* Were several answered together just now? */
static bool together(const struct flights *f)
{
	const struct call *c = f->running;

	while (c && (c->prio != WANT_DEMAND || c->n < 2))
		c = c->next;
	return c || now_ns() < f->together_until;
}

/* Nobody waits for company who
 * is alone: a single reader's next want comes only after this one's answer. */
int64_t flight_window(const struct flights *f, enum flight_level level)
{
	uint32_t others = company(f, level);
	int64_t part = f->pace / 8 *
		       MIN(MAX(others, (uint32_t)GATHER_EIGHTHS_MIN), 8u);

	if (level > HEAVY)
		return GATHER_AHEAD * f->o.gather_ns;
	if (!others)
		return together(f) ? f->o.gather_ns : 0;
	return MAX(f->o.gather_ns, MIN(part, GATHER_MAX));
}

/* The shorter calls tell how far away the server is. */
static void measure(struct flights *f, const struct call *c)
{
	int64_t took = c->ended - c->started;

	if (!f->pace || took < f->pace)
		f->pace = took;
	else
		f->pace += (MIN(took, 2 * f->pace) - f->pace) / 16;
}

void flight_answered(struct flights *f, const struct call *c, int r)
{
	int64_t soon = c->ended + f->o.gather_ns;

	if (!r && !c->job)
		measure(f, c);
	if (c->prio != WANT_DEMAND)
		return;
	if (c->n > 1)
		f->together_until = c->ended + GATHER_TOGETHER * f->o.gather_ns;
	for (int level = LIGHT; level <= HEAVY; level++) {
		struct queue *q = f->queues[level];

		for (int kind = 0; kind < KINDS && !company(f, level); kind++)
			q[kind].gather_until = MIN(q[kind].gather_until, soon);
	}
}
