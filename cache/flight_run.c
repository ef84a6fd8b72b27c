/* SPDX-License-Identifier: Apache-2.0 */
/* When which call is made, and what its end means for its objects. */
#include "cache/flight_impl.h"

#include "core/clock.h"
#include "core/error.h"

#define RETRY_MAX_NS   (5 * NS_PER_S)
#define EXPIRY_STEP_NS (2 * NS_PER_MS) /* deadlines are kept this exactly */
#define CALL_NS	       (24 * 3600 * NS_PER_S) /* for what is still coming */

/* -- starting calls -------------------------------------------------------- */

static void count_call(struct flights *f, const struct call *c, int by)
{
	f->running_n += by;
	if (c->bulk)
		f->running_bulk += by;
	else if (c->prio == WANT_DEMAND)
		f->running_few += by;
	if (c->prio != WANT_DEMAND)
		f->running_low += by;
	if (c->prio == WANT_PREFETCH)
		f->running_prefetch += by;
}

static void run_call(struct pool_task *t);

static void start(struct flights *f, struct call *c)
{
	c->task.run = run_call;
	c->owner = f;
	c->prev = NULL;
	c->next = f->running;
	if (c->next)
		c->next->prev = c;
	f->running = c;
	count_call(f, c, 1);
	if (circuit_ask(&f->circuit, now_ns()) == CIRCUIT_PROBE) {
		circuit_probing(&f->circuit);
		c->probe = true;
	}
	flight_post(&f->out_calls, &c->task);
}

static void take_flight(struct flights *f, struct call *c, struct flight *fl)
{
	struct scorpio_ref *ref = &c->refs[c->n];

	flight_dequeue(f, fl);
	fl->state = TAKEN;
	fl->call = c;
	fl->error = 0; /* what an earlier call said of it */
	ref->id = fl->id;
	ref->path = fl->path;
	ref->path_len = fl->path_len;
	ref->kind = fl->entry_kind;
	c->pids[c->n] = fl->pid;
	c->flights[c->n++] = fl;
	c->live++;
	c->oldest = MIN(c->oldest, fl->queued_at);
}

/* The objects of one call: some of everybody's, in turn. */
static void fill(struct flights *f, struct call *c, struct queue *q, uint32_t n)
{
	bool solo = q->first->head->solo;
	uint32_t turn = 0;
	struct lane *l;

	while (c->n < n && (l = q->first) && (!c->n || !l->head->solo)) {
		take_flight(f, c, l->head);
		if (solo)
			n = 1;
		turn = q->first == l ? turn + 1 : 0;
		if (q->first == l && (turn == ASKER_QUANTUM || c->n == n)) {
			flight_next_turn(q);
			turn = 0;
		}
	}
}

static void start_batch(struct flights *f, struct queue *q)
{
	const struct flight *head = q->first->head;
	uint32_t n = MIN(q->len, flight_batch_max(f, head->kind));
	struct call *c = xcalloc(1, sizeof(*c));

	c->flights = xcalloc(n, sizeof(struct flight *));
	c->refs = xcalloc(n, sizeof(*c->refs));
	c->pids = xcalloc(n, sizeof(*c->pids));
	c->kind = head->kind;
	c->prio = head->prio;
	c->oldest = DEADLINE_NONE;
	c->started = now_ns();
	c->deadline = c->started + CALL_NS;
	c->heavy = c->prio == WANT_DEMAND && head->asker->heavy;
	fill(f, c, q, n);
	c->bulk = c->prio == WANT_DEMAND && (c->heavy || c->n >= CALL_BULK);
	start(f, c);
}

static void start_job(struct flights *f)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->job = f->jobs;
	c->prio = WANT_PREFETCH;
	c->deadline = DEADLINE_NONE;
	c->started = now_ns();
	f->jobs = c->job->next;
	if (!f->jobs)
		f->jobs_end = &f->jobs;
	start(f, c);
}

/* Where only one call fits, a lower one gives way to demand. */
static void preempt(struct flights *f, int64_t now)
{
	struct call *c = f->running;

	if (f->o.slots != 1 || !c || (c->prio == WANT_DEMAND && !c->lingers))
		return;
	if (flight_demand_ready(f, now))
		__atomic_store_n(&c->cancel, true, __ATOMIC_RELAXED);
}

void flight_dispatch(struct flights *f)
{
	enum circuit_answer a;
	int64_t now = now_ns();
	struct queue *q;

	if (f->closing)
		return;
	alarm_set(&f->alarm, f->expiry);
	while ((q = flight_pick(f, now))) {
		a = circuit_ask(&f->circuit, now);
		if (a == CIRCUIT_NO)
			alarm_set(&f->alarm, f->circuit.probe_at);
		if (a == CIRCUIT_WAIT || a == CIRCUIT_NO)
			return;
		start_batch(f, q);
	}
	while (f->jobs && flight_slot_free(f, HINT_PREFETCH))
		start_job(f);
	preempt(f, now);
}

/* -- the end of a call ----------------------------------------------------- */

static uint64_t next_random(struct flights *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

/* Doubled with each try, a quarter more or less; the same for all objects of a
 * call, so that they stay together. */
static int64_t retry_pause(const struct flights *f, const struct call *c,
			   unsigned tries)
{
	int64_t ns = f->o.retry_ns << MIN(tries - 1, 10u);

	ns = MIN(ns, RETRY_MAX_NS);
	return ns - ns / 4 + (int64_t)(c->random % (uint64_t)(ns / 2 + 1));
}

static bool has_time(const struct flight *fl, int64_t until)
{
	const struct want *w;

	for (w = fl->wants; w; w = w->next_)
		if (w->deadline > until)
			return true;
	return false;
}

static void delay(struct flights *f, struct flight *fl, int64_t until,
		  const char *why)
{
	free(fl->why);
	fl->why = xstrdup(why);
	fl->state = DELAYED;
	fl->not_before = until;
	fl->prev = NULL;
	fl->next = f->delayed;
	if (fl->next)
		fl->next->prev = fl;
	f->delayed = fl;
	alarm_set(&f->alarm, until);
}

static bool transient(int r)
{
	return r == -EIO || r == -EAGAIN || r == -ETIMEDOUT || r == -EINTR;
}

/* r is what the call returned, or what was reported of this object. */
static void settle(struct flights *f, struct call *c, struct flight *fl, int r,
		   const char *text)
{
	bool cancelled = __atomic_load_n(&c->cancel, __ATOMIC_RELAXED);
	int64_t now = c->ended, pause;

	if (cancelled && (!r || r == -EINTR || r == -ETIMEDOUT)) {
		flight_enqueue(f, fl);
		return;
	}
	if (r == -ENOTSUP && fl->kind == WANT_SIZE) {
		flight_size_to_blob(f, fl);
		return;
	}
	if (r == -EBADMSG && !fl->bad_once) {
		fl->bad_once = true;
		flight_enqueue(f, fl);
		return;
	}
	if (r == -ENOENT && !fl->error && c->n > 1) {
		/* one of them does not exist: find out which */
		fl->solo = true;
		flight_enqueue(f, fl);
		return;
	}
	if (transient(r) && fl->tries + 1u < f->o.max_tries) {
		pause = retry_pause(f, c, ++fl->tries);
		if (has_time(fl, now + pause)) {
			delay(f, fl, now + pause, text);
			return;
		}
	}
	if (!r)
		r = -EIO;
	flight_finish(f, fl, r == -EINTR ? -EIO : r, text);
}

static void settle_flight(struct flights *f, struct call *c, struct flight *fl,
			  int r, const char *text)
{
	char *own = fl->text;

	fl->call = NULL;
	fl->text = NULL;
	fl->state = LANDING;
	if (fl->finished)
		flight_release(fl);
	else if (fl->poured)
		; /* flight_landed will come */
	else if (!fl->wants)
		flight_finish(f, fl, 0, NULL);
	else if (fl->error)
		settle(f, c, fl, fl->error, own);
	else
		settle(f, c, fl, r, text);
	free(own);
}

/* What the call's end says about the server. True: the circuit is open. */
static bool judge(struct flights *f, const struct call *c, int r)
{
	bool cancelled = __atomic_load_n(&c->cancel, __ATOMIC_RELAXED);

	if (c->progress) {
		circuit_ok(&f->circuit);
		return false;
	}
	if (cancelled || r == 1 || r == -EINTR || (c->job && r < 0)) {
		if (c->probe)
			circuit_neutral(&f->circuit);
		return false;
	}
	if (r == -EIO || r == -ETIMEDOUT)
		return circuit_failed(&f->circuit, now_ns());
	circuit_ok(&f->circuit);
	return false;
}

static void unlink_call(struct flights *f, struct call *c)
{
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		f->running = c->next;
	count_call(f, c, -1);
	pthread_cond_broadcast(&f->idle);
}

/* lock held */
static void end_call(struct flights *f, struct call *c, int r, const char *text)
{
	bool open = judge(f, c, r);
	char why[1400];
	size_t len;
	uint32_t i;

	r = MIN(r, 0);
	flight_wanted_again(f, c); /* it counts until here */
	unlink_call(f, c);
	c->random = next_random(f);
	c->ended = now_ns();
	flight_answered(f, c, r);
	if (r == -ENOTSUP && c->kind == WANT_SIZE && !c->job)
		f->o.no_sizes = true;
	for (i = 0; i < c->n; i++) {
		if (open && !c->flights[i]->finished)
			c->flights[i]->tries = f->o.max_tries;
		settle_flight(f, c, c->flights[i], r, text);
	}
	if (c->job)
		flight_job_done(f, steal(&c->job), r, text);
	if (open) {
		flight_circuit_text(f, why, sizeof(why));
		len = strlen(why);
		snprintf(why + len, sizeof(why) - len, ": %s", text);
		flight_fail_waiting(f, -EIO, why);
	}
	flight_dispatch(f);
}

static void run_call(struct pool_task *t)
{
	struct call *c = container_of(t, struct call, task);
	struct flights *f = c->owner;
	struct flight_batch b = {
		.kind = c->kind,
		.prio = c->prio,
		.refs = c->refs,
		.pids = c->pids,
		.n = c->n,
		.deadline = c->deadline,
		.cancel = &c->cancel,
		.heard = &c->heard,
	};
	char *text = NULL;
	int r;

	error_clear();
	flight_thread = f;
	r = c->job ? c->job->run(c->job->ctx, &c->cancel)
		   : f->o.run(f->o.ctx, &b);
	flight_thread = NULL;
	text = r < 0 ? xstrdup(error_text(r))
		     : xasprintf("%s did not send the object", f->o.name);
	flight_lock(f);
	end_call(f, c, r, text);
	free(c->flights);
	free(c->refs);
	free(c->pids);
	free(c);
	flight_unlock(f);
	free(text);
}

/* -- jobs ------------------------------------------------------------------ */

struct job_end {
	struct pool_task task;
	struct flights *owner;
	struct job *job;
	int result;
	char *text;
};

static void run_job_end(struct pool_task *t)
{
	struct job_end *e = container_of(t, struct job_end, task);

	if (e->result)
		fail(e->result, "%s", e->text);
	flight_thread = e->owner;
	if (e->job->done)
		e->job->done(e->job->ctx, e->result);
	flight_thread = NULL;
	free(e->job);
	free(e->text);
	free(e);
}

void flight_job_done(struct flights *f, struct job *j, int result,
		     const char *text)
{
	struct job_end *e = xcalloc(1, sizeof(*e));

	e->task.run = run_job_end;
	e->owner = f;
	e->job = j;
	e->result = result;
	e->text = result ? xstrdup(text) : NULL;
	flight_post(&f->out_dones, &e->task);
}

void flight_job(struct flights *f, int (*run)(void *ctx, const bool *cancel),
		void (*done)(void *ctx, int result), void *ctx)
{
	struct job *j = xcalloc(1, sizeof(*j));
	char text[256];

	j->run = run;
	j->done = done;
	j->ctx = ctx;
	flight_scope(f);
	if (f->closing || f->offline) {
		flight_job_done(f, j, f->closing ? -EINTR : -EIO,
				f->closing ? "closing" : "offline");
		return;
	}
	if (circuit_ask(&f->circuit, now_ns()) != CIRCUIT_GO) {
		flight_circuit_text(f, text, sizeof(text));
		flight_job_done(f, j, -EIO, text);
		return;
	}
	*f->jobs_end = j;
	f->jobs_end = &j->next;
	flight_dispatch(f);
}

void flight_leave(struct flights *f, int result)
{
	flight_scope(f);
	if (result == -EINTR)
		return;
	if (result == -EIO || result == -ETIMEDOUT)
		circuit_failed(&f->circuit, now_ns());
	else
		circuit_ok(&f->circuit);
	flight_dispatch(f);
}

/* -- time ------------------------------------------------------------------ */

static bool heard_lately(const struct flights *f, const struct call *c,
			 int64_t now)
{
	int64_t heard = __atomic_load_n(&c->heard, __ATOMIC_RELAXED);

	return heard && now - heard < f->o.quiet_ns;
}

void flight_wanted_again(struct flights *f, struct call *c)
{
	if (!c->lingers)
		return;
	c->lingers = false;
	f->lingering--;
	if (f->o.slots > 1)
		count_call(f, c, 1);
}

/* May the call of fl, whose last want has just expired, go on nevertheless?
 * Then it needs no slot, except where there is only one. */
static bool linger(struct flights *f, struct flight *fl, int64_t now)
{
	struct call *c = fl->call;

	if (!c || c->live > 1 || f->lingering >= f->o.slots ||
	    !heard_lately(f, c, now))
		return false;
	f->wants--;
	c->live = 0;
	c->lingers = true;
	f->lingering++;
	if (f->o.slots > 1)
		count_call(f, c, -1);
	return true;
}

/* Cancel those that fell silent. When to look again, or DEADLINE_NONE. */
static int64_t watch_lingering(struct flights *f, int64_t now)
{
	int64_t next = DEADLINE_NONE;
	struct call *c;

	for (c = f->running; c; c = c->next) {
		if (!c->lingers)
			continue;
		if (!heard_lately(f, c, now))
			__atomic_store_n(&c->cancel, true, __ATOMIC_RELAXED);
		else
			next = now + f->o.quiet_ns / 2;
	}
	return next;
}

static void too_late(struct flights *f, struct flight *fl, struct want *w,
		     int64_t now)
{
	bool coming = fl->call && heard_lately(f, fl->call, now);
	char text[1400];

	snprintf(text, sizeof(text), "%s %s%s%s", f->o.name,
		 coming ? "is still sending it: try again later"
			: "did not answer in time",
		 fl->why ? "; before that: " : "", fl->why ? fl->why : "");
	flight_complete(f, w, -ETIMEDOUT, text, now - fl->queued_at);
}

static int64_t expire_flight(struct flights *f, struct flight *fl, int64_t now,
			     int64_t next)
{
	struct want **p = &fl->wants, *w;

	while ((w = *p)) {
		if (w->deadline > now) {
			next = MIN(next, w->deadline);
			p = &w->next_;
			continue;
		}
		*p = w->next_;
		w->next_ = NULL;
		too_late(f, fl, w, now);
		if (!fl->wants) {
			if (!linger(f, fl, now))
				flight_detached(f, fl); /* may be gone now */
			break;
		}
		f->wants--;
	}
	return next;
}

static void expire(struct flights *f, int64_t now)
{
	int64_t next = DEADLINE_NONE;
	struct flight *fl, *after;
	uint32_t i;

	for (i = 0; i < f->table_size; i++) {
		for (fl = f->table[i]; fl; fl = after) {
			after = fl->table_next;
			next = expire_flight(f, fl, now, next);
		}
	}
	next = MIN(next, watch_lingering(f, now));
	f->expiry =
		next == DEADLINE_NONE ? next : MAX(next, now + EXPIRY_STEP_NS);
}

static void wake_delayed(struct flights *f, int64_t now)
{
	struct flight *fl, *next;

	for (fl = f->delayed; fl; fl = next) {
		next = fl->next;
		if (fl->not_before > now) {
			alarm_set(&f->alarm, fl->not_before);
			continue;
		}
		flight_dequeue(f, fl);
		flight_enqueue(f, fl);
	}
}

void flight_tick(struct alarm *a)
{
	struct flights *f = container_of(a, struct flights, alarm);
	int64_t now = now_ns();

	flight_scope(f);
	if (f->expiry <= now)
		expire(f, now);
	wake_delayed(f, now);
	flight_dispatch(f);
}
