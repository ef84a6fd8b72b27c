/* SPDX-License-Identifier: Apache-2.0 */
/* Where flights are found: by object in a table, by turn in queues. */
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

/* -- the queues ------------------------------------------------------------ */

/* Does somebody else wait for something? */
static bool company(const struct flights *f)
{
	const struct call *c = f->running;

	while (c && (c->prio != WANT_DEMAND || !c->live))
		c = c->next;
	return c;
}

/* How long the first of a queue waits for others. Nobody waits for company who
 * is alone: a single reader's next want comes only after this one's answer. */
static int64_t window(const struct flights *f, int prio)
{
	if (prio != WANT_DEMAND)
		return GATHER_AHEAD * f->o.gather_ns;
	if (!company(f))
		return 0;
	return MAX(f->o.gather_ns, MIN(f->pace / GATHER_PART, GATHER_MAX));
}

void flight_enqueue(struct flights *f, struct flight *fl)
{
	struct queue *q = &f->queues[fl->prio][fl->kind];

	if (!q->head && f->o.gather_ns)
		q->gather_until = now_ns() + window(f, fl->prio);
	fl->state = QUEUED;
	fl->next = NULL;
	fl->prev = q->tail;
	if (q->tail)
		q->tail->next = fl;
	else
		q->head = fl;
	q->tail = fl;
	q->len++;
}

void flight_dequeue(struct flights *f, struct flight *fl)
{
	struct queue *q = &f->queues[fl->prio][fl->kind];
	struct flight **head = fl->state == QUEUED ? &q->head : &f->delayed;

	if (fl->next)
		fl->next->prev = fl->prev;
	else if (fl->state == QUEUED)
		q->tail = fl->prev;
	if (fl->prev)
		fl->prev->next = fl->next;
	else
		*head = fl->next;
	if (fl->state == QUEUED)
		q->len--;
	fl->prev = fl->next = NULL;
}
