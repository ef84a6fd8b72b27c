/* SPDX-License-Identifier: Apache-2.0 */
/* Wants come in, reports complete them. Calls are made by flight_run.c. */
#include "cache/flight.h"

#include "cache/flight_impl.h"
#include "core/clock.h"
#include "core/error.h"

#define DONE_THREADS 4
#define TABLE_MIN    256
#define COMPANY      256 /* hints that go along with a demanded one */
#define MANY	     4   /* a call of so many directories is worth overtaking */
#define WANTS_MAX    200000u /* hints: half of it */

__thread const struct flights *flight_thread;

/* -- the lock -------------------------------------------------------------- */

void flight_post(struct outbox *o, struct pool_task *t)
{
	t->next = NULL;
	*o->end = t;
	o->end = &t->next;
}

void flight_lock(struct flights *f)
{
	lock_take(&f->lock);
}

static struct pool_task *empty(struct outbox *o)
{
	struct pool_task *t = o->head;

	o->head = NULL;
	o->end = &o->head;
	return t;
}

static void send(struct pool *p, struct pool_task *t)
{
	struct pool_task *next;

	for (; t; t = next) {
		next = t->next;
		pool_add(p, t);
	}
}

/* A pool that gets no thread runs the task here: not under the lock. */
void flight_unlock(struct flights *f)
{
	struct pool_task *calls = empty(&f->out_calls);
	struct pool_task *dones = empty(&f->out_dones);

	lock_drop(&f->lock);
	send(f->dones, dones);
	send(f->calls, calls);
}

/* -- completing ------------------------------------------------------------ */

struct finish { /* wants on their way to done(), all with one result */
	struct pool_task task;
	struct flights *owner;
	struct want *wants;
	int result;
	char *text;
	int64_t waited_ns;
};

static void run_finish(struct pool_task *t)
{
	struct finish *fin = container_of(t, struct finish, task);
	struct flight_options *o = &fin->owner->o;
	struct want *w, *next;

	flight_thread = fin->owner;
	for (w = fin->wants; w; w = next) {
		next = w->next_;
		if (o->waited)
			o->waited(o->ctx, fin->waited_ns, fin->result);
		if (fin->result)
			fail(fin->result, "%s", fin->text);
		w->done(w, fin->result);
	}
	flight_thread = NULL;
	free(fin->text);
	free(fin);
}

void flight_complete(struct flights *f, struct want *w, int result,
		     const char *text, int64_t waited_ns)
{
	struct finish *fin;
	struct want *i;

	if (!w)
		return;
	for (i = w; i; i = i->next_)
		i->flight_ = NULL;
	fin = xcalloc(1, sizeof(*fin));
	fin->task.run = run_finish;
	fin->owner = f;
	fin->wants = w;
	fin->result = result;
	fin->text = result ? xstrdup(text ? text : error_text(result)) : NULL;
	fin->waited_ns = waited_ns;
	flight_post(&f->out_dones, &fin->task);
}

void flight_release(struct flight *fl)
{
	free(fl->path);
	free(fl->text);
	free(fl->why);
	free(fl);
}

/* Take fl out of everything but its call. */
static void remove_flight(struct flights *f, struct flight *fl)
{
	flight_table_remove(f, fl);
	if (fl->state == QUEUED || fl->state == DELAYED)
		flight_dequeue(f, fl);
	flight_asker_leave(f, fl);
	if (fl->call)
		fl->finished = true;
	else
		flight_release(fl);
}

void flight_finish(struct flights *f, struct flight *fl, int result,
		   const char *text)
{
	struct want *w = fl->wants, *i;

	for (i = w; i; i = i->next_)
		f->wants--;
	if (w && fl->call)
		fl->call->live--;
	fl->wants = NULL;
	flight_complete(f, w, result, text, now_ns() - fl->queued_at);
	remove_flight(f, fl);
}

void flight_detached(struct flights *f, struct flight *fl)
{
	struct call *c = fl->call;

	f->wants--;
	if (fl->wants)
		return;
	if (!c) {
		if (fl->state != LANDING)
			remove_flight(f, fl);
		return;
	}
	if (--c->live == 0)
		__atomic_store_n(&c->cancel, true, __ATOMIC_RELAXED);
}

static void fail_list(struct flights *f, struct flight *fl, int result,
		      const char *text)
{
	struct flight *next;

	for (; fl; fl = next) {
		next = fl->next;
		flight_finish(f, fl, result, text);
	}
}

void flight_fail_waiting(struct flights *f, int result, const char *text)
{
	struct job *j = f->jobs, *next;

	for (int i = 0; i < LEVELS * KINDS; i++) {
		struct queue *q = &f->queues[i / KINDS][i % KINDS];

		while (q->first)
			flight_finish(f, q->first->head, result, text);
	}
	fail_list(f, f->delayed, result, text);
	f->jobs = NULL;
	f->jobs_end = &f->jobs;
	for (; j; j = next) {
		next = j->next;
		flight_job_done(f, j, result, text);
	}
}

/* -- wants ----------------------------------------------------------------- */

static uint64_t key_of(const struct want *w)
{
	return w->asker ? w->asker : w->pid;
}

static struct flight *flight_of(struct flights *f, const struct want *w)
{
	enum want_kind kind = w->kind;
	struct flight *fl;

	if (kind == WANT_SIZE && f->o.no_sizes)
		kind = WANT_BLOB;
	fl = flight_find(f, kind, &w->id);
	if (!fl && kind == WANT_SIZE)
		fl = flight_find(f, WANT_BLOB, &w->id);
	if (fl)
		return fl;
	fl = xcalloc(1, sizeof(*fl));
	fl->kind = kind;
	fl->prio = w->prio;
	fl->id = w->id;
	fl->pid = w->pid;
	fl->entry_kind = w->entry_kind;
	if (w->path)
		fl->path = xstrndup(w->path, w->path_len);
	fl->path_len = w->path ? w->path_len : 0;
	fl->queued_at = now_ns();
	flight_table_add(f, fl);
	if (fl->prio == WANT_DEMAND)
		flight_asked(f, fl, key_of(w));
	flight_enqueue(f, fl);
	return fl;
}

/* Somebody waits for what was only a hint: the hints queued behind it go along.
 * They are what he will ask for next, and one call for all costs a server
 * little more than one for each. */
static void promote(struct flights *f, struct flight *fl, const struct want *w)
{
	struct asker *a = NULL;
	struct flight *next;

	for (int i = 0; fl && i < COMPANY; i++) {
		next = fl->next;
		flight_dequeue(f, fl);
		fl->prio = w->prio;
		if (!i && w->prio == WANT_DEMAND)
			flight_asked(f, fl, key_of(w));
		flight_goes_along(fl, a);
		a = fl->asker;
		flight_enqueue(f, fl);
		fl = next;
	}
}

/* Somebody stands before a directory that is under way with many others as a
 * hint: it goes by itself, ahead of them. Once per call, or a walk would ask for
 * everything twice. */
static void overtake(struct flights *f, struct flight *fl)
{
	struct call *c = fl->call;
	struct flight *ghost;
	uint32_t i = 0;

	if (fl->kind != WANT_TREE || fl->state != TAKEN || fl->poured ||
	    c->n < MANY || c->overtaken || f->o.slots == 1)
		return;
	c->overtaken = true;
	while (c->flights[i] != fl)
		i++;
	/* the call goes on with what it has, path included */
	ghost = xcalloc(1, sizeof(*ghost));
	ghost->call = c;
	ghost->state = TAKEN;
	ghost->finished = true;
	ghost->path = fl->path;
	c->flights[i] = ghost;
	if (fl->wants)
		c->live--;
	fl->path = ghost->path ? xstrndup(ghost->path, fl->path_len) : NULL;
	fl->call = NULL;
	fl->prio = WANT_DEMAND;
	flight_enqueue(f, fl);
}

static void attach(struct flights *f, struct want *w)
{
	struct flight *fl = flight_of(f, w);

	if (w->prio < fl->prio && fl->state == QUEUED) {
		promote(f, fl, w);
	} else if (w->prio == WANT_DEMAND) {
		flight_asked(f, fl, key_of(w));
		if (fl->prio != WANT_DEMAND)
			overtake(f, fl);
	}
	fl->prio = MIN(fl->prio, w->prio);
	if (!fl->wants && fl->call) {
		fl->call->live++;
		flight_wanted_again(f, fl->call);
	}
	w->next_ = fl->wants;
	w->flight_ = fl;
	fl->wants = w;
	f->wants++;
	f->expiry = MIN(f->expiry, w->deadline);
}

void flight_circuit_text(struct flights *f, char *buf, size_t cap)
{
	snprintf(buf, cap, "server %s unreachable since %lld s", f->o.name,
		 (long long)circuit_age_s(&f->circuit, now_ns()));
}

/* May wants come in? Else the errno, with the text in buf. */
static int admit(struct flights *f, char *buf, size_t cap)
{
	if (f->closing) {
		snprintf(buf, cap, "%s is being closed", f->o.name);
		return -EINTR;
	}
	if (f->offline) {
		snprintf(buf, cap, "offline: not in the cache");
		return -EIO;
	}
	if (circuit_ask(&f->circuit, now_ns()) == CIRCUIT_NO) {
		flight_circuit_text(f, buf, cap);
		return -EIO;
	}
	return 0;
}

/* A limit of what waits for one server. */
static bool room(struct flights *f, const struct want *w)
{
	if (w->prio != WANT_DEMAND)
		return f->wants < WANTS_MAX / 2;
	return f->wants < WANTS_MAX && flight_asker_room(f, key_of(w));
}

void flight_want(struct flights *f, struct want *const wants[], size_t n)
{
	struct want *refused = NULL, *late = NULL, *many = NULL;
	int64_t now = now_ns();
	char text[256] = "";
	size_t i;
	int r;

	flight_scope(f);
	r = admit(f, text, sizeof(text));
	for (i = 0; i < n; i++) {
		struct want **list = r ? &refused : &late;

		if (!r && wants[i]->deadline > now) {
			if (room(f, wants[i])) {
				attach(f, wants[i]);
				continue;
			}
			list = &many;
		}
		wants[i]->next_ = *list;
		*list = wants[i];
	}
	flight_complete(f, refused, r, text, 0);
	flight_complete(f, late, -ETIMEDOUT, "the deadline had passed", 0);
	flight_complete(f, many, -EIO, "too much is asked for at once", 0);
	flight_dispatch(f);
}

void flight_cancel(struct flights *f, struct want *w)
{
	struct flight *fl;
	struct want **p;

	flight_scope(f);
	fl = w->flight_;
	if (!fl)
		return; /* on its way to done() */
	for (p = &fl->wants; *p != w; p = &(*p)->next_)
		;
	*p = w->next_;
	w->next_ = NULL;
	flight_complete(f, w, -EINTR, "cancelled", now_ns() - fl->queued_at);
	flight_detached(f, fl);
}

void flight_size_to_blob(struct flights *f, struct flight *fl)
{
	struct flight *blob = flight_find(f, WANT_BLOB, &fl->id);
	struct want *w, *next;

	if (fl->state == QUEUED || fl->state == DELAYED)
		flight_dequeue(f, fl);
	flight_table_remove(f, fl);
	if (!blob) {
		fl->kind = WANT_BLOB;
		flight_table_add(f, fl);
		flight_enqueue(f, fl);
		return;
	}
	for (w = fl->wants; w; w = next) {
		next = w->next_;
		f->wants--;
		attach(f, w); /* finds the blob: no_sizes is set */
	}
	flight_asker_leave(f, fl);
	flight_release(fl);
}

/* -- reports --------------------------------------------------------------- */

void flight_landed(struct flights *f, enum want_kind kind,
		   const struct scorpio_id *id, int result)
{
	const char *text = result ? error_text(result) : NULL;
	struct flight *fl;

	flight_scope(f);
	fl = flight_find(f, kind, id);
	if (fl)
		flight_finish(f, fl, result, text);
	fl = kind == WANT_BLOB && !result ? flight_find(f, WANT_SIZE, id)
					  : NULL;
	if (fl)
		flight_finish(f, fl, 0, NULL);
}

bool flight_poured(struct flights *f, enum want_kind kind,
		   const struct scorpio_id *id, uint32_t *ret_pid)
{
	struct flight *fl;

	flight_scope(f);
	fl = flight_find(f, kind, id);
	if (!fl)
		return false;
	*ret_pid = fl->pid;
	fl->poured = true;
	if (fl->call)
		fl->call->progress = true;
	if (fl->state == QUEUED || fl->state == DELAYED) {
		flight_dequeue(f, fl);
		fl->state = LANDING;
	}
	return true;
}

void flight_failed(struct flights *f, enum want_kind kind,
		   const struct scorpio_id *id, int error)
{
	const char *text = error_text(error);
	struct flight *fl;

	flight_scope(f);
	fl = flight_find(f, kind, id);
	if (!fl || fl->state != TAKEN || fl->poured)
		return;
	if (error == -EBADMSG || error == -ENOTSUP || error == -EIO ||
	    error == -EAGAIN || error == -ETIMEDOUT) {
		/* it may be tried again, but not before this call has ended */
		free(fl->text);
		fl->text = xstrdup(text);
		fl->error = error;
		return;
	}
	fl->call->progress = true;
	flight_finish(f, fl, error, text);
}

void flight_unpoured(struct flights *f, enum want_kind kind,
		     const struct scorpio_id *id)
{
	struct flight *fl;

	flight_scope(f);
	fl = flight_find(f, kind, id);
	if (!fl)
		return;
	fl->poured = false;
	if (fl->state != LANDING)
		return;
	if (fl->wants)
		flight_enqueue(f, fl);
	else
		remove_flight(f, fl);
}

/* -- life ------------------------------------------------------------------ */

struct flights *flight_new(const struct flight_options *o)
{
	struct flights *f = xcalloc(1, sizeof(*f));

	f->o = *o;
	f->o.slots = MAX(o->slots, 1u);
	f->o.batch_max = MAX(o->batch_max, 1u);
	f->o.sizes_max = MAX(o->sizes_max, f->o.batch_max);
	if (!f->o.retry_ns)
		f->o.retry_ns = 50 * NS_PER_MS;
	if (!f->o.quiet_ns)
		f->o.quiet_ns = 60 * NS_PER_S;
	if (!f->o.max_tries)
		f->o.max_tries = 6;
	circuit_init(&f->circuit);
	if (o->circuit)
		f->circuit = *o->circuit;
	f->o.circuit = NULL;
	lock_init(&f->lock, LOCK_FLIGHT, "flights");
	f->out_calls.end = &f->out_calls.head;
	f->out_dones.end = &f->out_dones.head;
	cond_init(&f->idle);
	f->table_size = TABLE_MIN;
	f->table = xcalloc(f->table_size, sizeof(*f->table));
	f->jobs_end = &f->jobs;
	f->expiry = DEADLINE_NONE;
	f->random = (uint64_t)now_ns() | 1;
	/* one more than slots, and as many for lingerers */
	f->calls = pool_new("fetch", 2 * f->o.slots + (f->o.slots > 1));
	f->dones = pool_new("done", DONE_THREADS);
	alarm_add(&f->alarm, flight_tick);
	return f;
}

/* lock held */
static void fail_all(struct flights *f, const char *text)
{
	struct flight *fl, *next;
	uint32_t i;

	flight_fail_waiting(f, -EINTR, text);
	for (i = 0; i < f->table_size; i++) {
		for (fl = f->table[i]; fl; fl = next) {
			next = fl->table_next;
			flight_finish(f, fl, -EINTR, text);
		}
	}
}

bool flight_stop(struct flights *f, int64_t deadline)
{
	struct call *c;

	flight_lock(f);
	f->closing = true;
	fail_all(f, "the source is being closed");
	for (c = f->running; c; c = c->next)
		__atomic_store_n(&c->cancel, true, __ATOMIC_RELAXED);
	flight_unlock(f); /* sends what was posted */
	flight_lock(f);
	while (f->running && lock_wait(&f->idle, &f->lock, deadline) == 0)
		;
	if (f->running) {
		flight_unlock(f);
		return false;
	}
	flight_unlock(f);
	alarm_remove(&f->alarm);
	return true;
}

void flight_free(struct flights *f)
{
	if (!f)
		return;
	assert(f->closing && !f->running && !f->count);
	pool_free(f->calls);
	pool_free(f->dones);
	pthread_cond_destroy(&f->idle);
	lock_done(&f->lock);
	free(f->table);
	free(f);
}

bool flight_own_thread(const struct flights *f)
{
	return flight_thread == f;
}

void flight_set_offline(struct flights *f, bool offline)
{
	flight_scope(f);
	f->offline = offline;
	if (offline)
		flight_fail_waiting(f, -EIO, "offline: not in the cache");
}

bool flight_offline(struct flights *f)
{
	flight_scope(f);
	return f->offline;
}

int flight_enter(struct flights *f)
{
	char text[256];

	flight_scope(f);
	if (circuit_ask(&f->circuit, now_ns()) != CIRCUIT_NO)
		return 0;
	flight_circuit_text(f, text, sizeof(text));
	return fail(-EIO, "%s", text);
}
