/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is. What programs wait for stands in lanes, one for each who asks
 * (a process, a client of the API) and kind; calls are filled from the lanes in
 * turn. Hints stand in one lane for all, in the order they came.
 *
 * All of it is O(1), but for the first object and the ninth of somebody.
 */
#include "cache/flight_impl.h"

#include "core/clock.h"

#define ASKER_MAX      50000 /* objects one may wait for */
#define GATHER_ENOUGH  64u   /* a batch as large as this does not wait */
#define LIGHT_TURNS    3u    /* then one of the heavy ones' */

/* -- lanes ----------------------------------------------------------------- */

static enum flight_level level_of(const struct flight *fl)
{
	if (fl->prio == WANT_DEMAND)
		return fl->asker->heavy ? HEAVY : LIGHT;
	return fl->prio == WANT_READAHEAD ? HINT_READAHEAD : HINT_PREFETCH;
}

static struct lane *lane_of(struct flights *f, const struct flight *fl)
{
	enum flight_level level = level_of(fl);

	return level > HEAVY ? &f->hints[level - HINT_READAHEAD][fl->kind]
			     : &fl->asker->lanes[fl->kind];
}

/* At the end of the ring: before the one whose turn is next. */
static void lane_join(struct queue *q, struct lane *l)
{
	struct lane *first = q->first;

	if (!first) {
		l->prev = l->next = l;
		q->first = l;
		return;
	}
	l->next = first;
	l->prev = first->prev;
	l->prev->next = l;
	first->prev = l;
}

static void lane_leave(struct queue *q, struct lane *l)
{
	if (q->first == l)
		q->first = l->next == l ? NULL : l->next;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

void flight_next_turn(struct queue *q)
{
	if (q->first)
		q->first = q->first->next;
}

void flight_enqueue(struct flights *f, struct flight *fl)
{
	enum flight_level level = level_of(fl);
	struct queue *q = &f->queues[level][fl->kind];
	struct lane *l = lane_of(f, fl);

	if (!q->first && f->o.gather_ns)
		q->gather_until = now_ns() + flight_window(f, level);
	if (!l->head)
		lane_join(q, l);
	fl->state = QUEUED;
	fl->next = NULL;
	fl->prev = l->tail;
	if (l->tail)
		l->tail->next = fl;
	else
		l->head = fl;
	l->tail = fl;
	l->len++;
	q->len++;
}

static void leave_delayed(struct flights *f, struct flight *fl)
{
	if (fl->next)
		fl->next->prev = fl->prev;
	if (fl->prev)
		fl->prev->next = fl->next;
	else
		f->delayed = fl->next;
}

static void leave_lane(struct flights *f, struct flight *fl)
{
	struct queue *q = &f->queues[level_of(fl)][fl->kind];
	struct lane *l = lane_of(f, fl);

	if (fl->next)
		fl->next->prev = fl->prev;
	else
		l->tail = fl->prev;
	if (fl->prev)
		fl->prev->next = fl->next;
	else
		l->head = fl->next;
	l->len--;
	q->len--;
	if (!l->head)
		lane_leave(q, l);
}

void flight_dequeue(struct flights *f, struct flight *fl)
{
	if (fl->state == QUEUED)
		leave_lane(f, fl);
	else
		leave_delayed(f, fl);
	fl->prev = fl->next = NULL;
}

/* -- who asks -------------------------------------------------------------- */

static struct asker **find(struct flights *f, uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15u;
	struct asker **p = &f->askers[h >> 54];

	while (*p && (*p)->key != key)
		p = &(*p)->table_next;
	return p;
}

static struct asker *find_or_make(struct flights *f, uint64_t key)
{
	struct asker **p = find(f, key);

	if (!*p) {
		*p = xcalloc(1, sizeof(**p));
		(*p)->key = key;
	}
	return *p;
}

bool flight_asker_room(struct flights *f, uint64_t key)
{
	struct asker *a = *find(f, key);

	return !a || a->demanded < ASKER_MAX;
}

/* He wants many things: his lanes go behind. */
static void becomes_heavy(struct flights *f, struct asker *a)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct queue *from = &f->queues[LIGHT][kind];
		struct queue *to = &f->queues[HEAVY][kind];
		struct lane *l = &a->lanes[kind];

		if (!l->head)
			continue;
		if (!to->first)
			to->gather_until = from->gather_until;
		lane_leave(from, l);
		lane_join(to, l);
		from->len -= l->len;
		to->len += l->len;
	}
	a->heavy = true;
}

static void count(struct flights *f, struct flight *fl)
{
	struct asker *a = fl->asker;

	if (fl->demanded)
		return;
	fl->demanded = true;
	if (++a->demanded > ASKER_LIGHT && !a->heavy)
		becomes_heavy(f, a);
}

void flight_asker_leave(struct flights *f, struct flight *fl)
{
	struct asker *a = steal(&fl->asker), **p;

	if (!a)
		return;
	a->demanded -= fl->demanded;
	fl->demanded = false;
	if (--a->refs)
		return;
	p = find(f, a->key);
	*p = a->table_next;
	free(a);
}

void flight_goes_along(struct flight *fl, struct asker *a)
{
	if (fl->asker || !a)
		return;
	fl->asker = a;
	a->refs++;
}

/* Is he with this key waiting for less than a is? */
static bool lighter(struct flights *f, uint64_t key, const struct asker *a)
{
	const struct asker *other = *find(f, key);

	return !other || other->demanded < a->demanded;
}

void flight_asked(struct flights *f, struct flight *fl, uint64_t key)
{
	struct asker *old = fl->asker;

	if (old && old->key != key && fl->state == QUEUED &&
	    lighter(f, key, old)) {
		flight_dequeue(f, fl);
		flight_asker_leave(f, fl);
		flight_goes_along(fl, find_or_make(f, key));
		flight_enqueue(f, fl);
	} else if (!old) {
		flight_goes_along(fl, find_or_make(f, key));
	}
	count(f, fl);
}

/* -- whose call is next ---------------------------------------------------- */

/* One slot is kept for demand, and one for read-ahead above prefetch. Few
 * objects do not wait for the end of a call for many: there is one slot more. */
bool flight_slot_free(const struct flights *f, enum flight_level level)
{
	unsigned slots = f->o.slots;

	if (level == LIGHT && slots > 1 && f->running_bulk && !f->running_few)
		slots++;
	if (f->running_n >= slots)
		return false;
	if (level <= HEAVY || slots == 1)
		return true;
	if (f->running_low >= slots - 1)
		return false;
	return level == HINT_READAHEAD ||
	       f->running_prefetch < (slots > 3 ? slots - 2 : 1);
}

uint32_t flight_batch_max(const struct flights *f, enum want_kind kind)
{
	return kind == WANT_SIZE ? f->o.sizes_max : f->o.batch_max;
}

static int64_t since(const struct queue *q)
{
	return q->first->head->queued_at;
}

/* The queue of this level that has waited longest and may go now. */
static struct queue *pick(struct flights *f, enum flight_level level,
			  int64_t now)
{
	struct queue *best = NULL, *q;
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		q = &f->queues[level][kind];
		if (!q->first)
			continue;
		if (q->gather_until > now &&
		    q->len < MIN(flight_batch_max(f, kind),
				 level > HEAVY ? UINT32_MAX : GATHER_ENOUGH))
			alarm_set(&f->alarm, q->gather_until);
		else if (!best || since(q) < since(best))
			best = q;
	}
	return best;
}

/* The same of all that programs wait for: light ones, but when heavy ones wait
 * as well every so manieth turn is theirs. */
static struct queue *pick_demand(struct flights *f, int64_t now)
{
	struct queue *heavy = pick(f, HEAVY, now);
	struct queue *light =
		flight_slot_free(f, LIGHT) ? pick(f, LIGHT, now) : NULL;

	if (!heavy)
		f->light_turns = 0;
	else if (!flight_slot_free(f, HEAVY))
		heavy = NULL;
	if (!heavy || !light)
		return light ? light : heavy;
	if (f->light_turns++ < LIGHT_TURNS)
		return light;
	f->light_turns = 0;
	return heavy;
}

static struct queue *pick_hint(struct flights *f, int64_t now)
{
	struct queue *q = NULL;

	for (int level = HINT_READAHEAD; !q && level < LEVELS; level++)
		if (flight_slot_free(f, level))
			q = pick(f, level, now);
	return q;
}

struct queue *flight_pick(struct flights *f, int64_t now)
{
	struct queue *q = pick_demand(f, now);

	return q ? q : pick_hint(f, now);
}

bool flight_demand_ready(struct flights *f, int64_t now)
{
	return pick(f, LIGHT, now) || pick(f, HEAVY, now);
}

void flight_stat(struct flights *f, struct flight_stats *ret)
{
	int64_t now = now_ns(), oldest = now;
	const struct lane *l;
	const struct call *c;
	int i;

	flight_scope(f);
	for (i = 0; i < LEVELS * KINDS; i++) {
		const struct queue *q = &f->queues[i / KINDS][i % KINDS];

		for (l = q->first; l; l = l->next == q->first ? NULL : l->next)
			oldest = MIN(oldest, l->head->queued_at);
	}
	for (c = f->running; c; c = c->next)
		if (c->live)
			oldest = MIN(oldest, c->oldest);
	ret->waiting = f->wants;
	ret->running = f->running_n;
	ret->oldest_ns = now - oldest;
	ret->circuit_open = circuit_open(&f->circuit);
}
