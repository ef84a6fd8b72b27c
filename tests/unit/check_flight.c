/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked for what, when and in which order. */
#include "cache/flight.h"

#include "core/clock.h"
#include "core/error.h"
#include "tests/lib/crowd.h"

#include <check.h>
#undef fail /* of check.h */

static void setup(void)
{
	crowd_start((struct flight_options){ 0 });
}

/* -- single flight and batches --------------------------------------------- */

START_TEST(thousand_wants_one_fetch)
{
	struct crowd *c = crowd_new(1000, 7, 0, WANT_BLOB, WANT_DEMAND);

	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.n_calls, 1);
	ck_assert_uint_eq(srv.poured, 1);
}
END_TEST

START_TEST(joins_a_running_fetch)
{
	struct crowd *a = crowd_one(7, WANT_DEMAND),
		     *b = crowd_one(7, WANT_DEMAND);

	crowd_hold(true);
	crowd_send(a);
	crowd_await(1);
	crowd_send(b);
	crowd_hold(false);
	crowd_end(a, 0);
	crowd_end(b, 0);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(kinds_are_apart)
{
	struct crowd *a = crowd_new(1, 7, 0, WANT_TREE, WANT_DEMAND);
	struct crowd *b = crowd_new(1, 7, 0, WANT_BLOB, WANT_DEMAND);

	crowd_send(a);
	crowd_send(b);
	crowd_end(a, 0);
	crowd_end(b, 0);
	ck_assert_uint_eq(srv.n_calls, 2);
}
END_TEST

START_TEST(batches_are_full)
{
	struct crowd *c = crowd_new(1000, 1, 1, WANT_BLOB, WANT_DEMAND);

	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.n_calls, 10);
	ck_assert_uint_le(srv.most_running, 4);
}
END_TEST

START_TEST(sizes_come_in_larger_batches)
{
	struct crowd *c = crowd_new(1000, 1, 1, WANT_SIZE, WANT_READAHEAD);

	crowd_restart((struct flight_options){ .sizes_max = 1000,
					       .gather_ns = NS_PER_S });
	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(wants_gather_while_slots_are_taken)
{
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 4), *c[50];
	int i;

	for (i = 0; i < 50; i++) {
		c[i] = crowd_one(200 + i, WANT_DEMAND);
		crowd_send(c[i]);
	}
	crowd_release(busy, 4);
	for (i = 0; i < 50; i++)
		crowd_end(c[i], 0);
	ck_assert_uint_eq(srv.n_calls, 5);
}
END_TEST

START_TEST(large_batch_skips_the_window)
{
	struct crowd *c = crowd_new(100, 1, 1, WANT_BLOB, WANT_DEMAND);
	int64_t t = now_ns();

	crowd_restart((struct flight_options){ .gather_ns = 60 * NS_PER_S });
	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_int_lt(now_ns() - t, 30 * NS_PER_S);
}
END_TEST

/* -- priorities ------------------------------------------------------------ */

START_TEST(prefetch_leaves_a_slot_for_demand)
{
	struct crowd *p = crowd_new(1000, 1, 1, WANT_BLOB, WANT_PREFETCH);
	struct crowd *ra = crowd_new(1000, 5000, 1, WANT_BLOB, WANT_READAHEAD);
	struct crowd *d = crowd_one(99999, WANT_DEMAND);
	unsigned i, low = 0;

	crowd_hold(true);
	crowd_send(p);
	crowd_await(2); /* of 4 slots prefetch may have two */
	crowd_send(ra);
	crowd_await(3);
	crowd_send(d);
	crowd_await(4);
	ck_assert_int_eq(srv.calls[3].prio, WANT_DEMAND);
	for (i = 0; i < 4; i++)
		low += srv.calls[i].prio == WANT_PREFETCH;
	ck_assert_uint_eq(low, 2);
	crowd_hold(false);
	crowd_end(d, 0);
	crowd_end(ra, 0);
	crowd_end(p, 0);
}
END_TEST

/* One slot becomes free, so that the call after it is one: threads that start
 * at the same time note their calls in any order. */
static void free_slot(struct crowd *busy, unsigned n_calls)
{
	flight_cancel(srv.f, busy->list[0]);
	crowd_end(busy, -EINTR);
	crowd_await(n_calls);
}

START_TEST(demand_goes_first)
{
	static const enum want_prio order[] = { WANT_DEMAND, WANT_READAHEAD,
						WANT_PREFETCH };
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 4);
	struct crowd *p = crowd_new(10, 1, 1, WANT_BLOB, WANT_PREFETCH);
	struct crowd *r = crowd_new(10, 100, 1, WANT_BLOB, WANT_READAHEAD);
	struct crowd *d = crowd_new(10, 200, 1, WANT_BLOB, WANT_DEMAND);
	unsigned i;

	crowd_send(p);
	crowd_send(r);
	crowd_send(d);
	for (i = 0; i < 3; i++) {
		free_slot(busy[i], 5 + i);
		ck_assert_int_eq(srv.calls[4 + i].prio, order[i]);
	}
	crowd_hold(false);
	crowd_end(busy[3], 0);
	free(busy);
	crowd_end(p, 0);
	crowd_end(r, 0);
	crowd_end(d, 0);
}
END_TEST

START_TEST(demand_pulls_a_queued_prefetch_forward)
{
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 4);
	struct crowd *p = crowd_new(300, 1, 1, WANT_BLOB, WANT_PREFETCH);
	struct crowd *d = crowd_one(250, WANT_DEMAND);
	unsigned i;

	crowd_send(p);
	crowd_send(d);
	free_slot(busy[0], 5);
	ck_assert_uint_eq(srv.calls[4].first, 250);
	ck_assert_uint_eq(srv.calls[4].n, 51); /* with those queued behind */
	crowd_hold(false);
	for (i = 1; i < 4; i++)
		crowd_end(busy[i], 0);
	free(busy);
	crowd_end(d, 0);
	crowd_end(p, 0);
	ck_assert_uint_eq(srv.poured, 303);
}
END_TEST

START_TEST(single_slot_prefetch_gives_way)
{
	struct crowd *p = crowd_new(10, 1, 1, WANT_BLOB, WANT_PREFETCH);
	struct crowd *d = crowd_one(500, WANT_DEMAND);

	crowd_restart((struct flight_options){ .slots = 1 });
	crowd_hold(true);
	crowd_send(p);
	crowd_await(1);
	crowd_send(d);
	crowd_await(2); /* the first was cancelled */
	ck_assert_int_eq(srv.calls[1].prio, WANT_DEMAND);
	crowd_hold(false);
	crowd_end(d, 0);
	crowd_end(p, 0); /* asked for again */
}
END_TEST

/* -- deadlines and cancelling ---------------------------------------------- */

START_TEST(deadline_holds_while_the_server_hangs)
{
	struct crowd *c = crowd_one(1, WANT_DEMAND),
		     *late = crowd_one(2, WANT_DEMAND);
	int64_t t = now_ns();

	srv.deaf = true;
	crowd_hold(true);
	c->list[0]->deadline = deadline_in_ms(60);
	crowd_send(c);
	crowd_wait(c, 1);
	ck_assert_int_ge(now_ns() - t, 59 * NS_PER_MS);
	ck_assert_int_lt(now_ns() - t, 30 * NS_PER_S);
	ck_assert_ptr_nonnull(strstr(c->all[0].text, "in time"));
	crowd_end(c, -ETIMEDOUT);
	late->list[0]->deadline = now_ns() - 1;
	crowd_send(late);
	crowd_end(late, -ETIMEDOUT);
}
END_TEST

START_TEST(deadlines_are_each_ones_own)
{
	struct crowd *a = crowd_one(1, WANT_DEMAND),
		     *b = crowd_one(1, WANT_DEMAND);

	crowd_hold(true);
	a->list[0]->deadline = deadline_in_ms(30);
	crowd_send(a);
	crowd_send(b);
	crowd_end(a, -ETIMEDOUT);
	crowd_hold(false);
	crowd_end(b, 0);
}
END_TEST

START_TEST(cancel_queued)
{
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 4);
	struct crowd *c = crowd_one(1, WANT_DEMAND);

	crowd_send(c);
	flight_cancel(srv.f, c->list[0]);
	crowd_end(c, -EINTR);
	crowd_release(busy, 4);
	ck_assert_uint_eq(srv.n_calls, 4);
}
END_TEST

START_TEST(cancel_stops_the_call_when_nobody_is_left)
{
	struct crowd *a = crowd_one(1, WANT_DEMAND),
		     *b = crowd_one(1, WANT_DEMAND);
	int64_t deadline = deadline_in_ms(20000);

	crowd_hold(true);
	crowd_send(a);
	crowd_send(b);
	crowd_await(1);
	flight_cancel(srv.f, a->list[0]);
	crowd_end(a, -EINTR);
	pthread_mutex_lock(&srv.m);
	ck_assert_uint_eq(srv.running, 1);
	pthread_mutex_unlock(&srv.m);
	flight_cancel(srv.f, b->list[0]);
	crowd_end(b, -EINTR);
	pthread_mutex_lock(&srv.m);
	while (srv.running)
		ck_assert_int_eq(cond_wait_until(&srv.c, &srv.m, deadline), 0);
	pthread_mutex_unlock(&srv.m);
}
END_TEST

START_TEST(wanted_again_after_the_cancel)
{
	struct crowd *a = crowd_one(1, WANT_DEMAND),
		     *b = crowd_one(1, WANT_DEMAND);

	srv.deaf = true;
	crowd_hold(true);
	crowd_send(a);
	crowd_await(1);
	flight_cancel(srv.f, a->list[0]);
	crowd_end(a, -EINTR);
	crowd_send(b); /* joins the call that is being cancelled */
	pthread_mutex_lock(&srv.m);
	srv.deaf = false;
	pthread_mutex_unlock(&srv.m);
	crowd_await(2);
	crowd_hold(false);
	crowd_end(b, 0);
}
END_TEST

/* -- calls that outlast their wants ---------------------------------------- */

/* Time enough for the call to begin, and the want expires. */
static struct crowd *send_to_expire(uint64_t object)
{
	const char *slow = getenv("SCORPIO_SLOW"); /* sanitizers */
	struct crowd *c = crowd_one(object, WANT_DEMAND);

	c->list[0]->deadline = deadline_in_ms(300 * (slow ? atoi(slow) : 1));
	crowd_send(c);
	return c;
}

static void expires(struct crowd *c)
{
	crowd_wait(c, 1);
	ck_assert_ptr_nonnull(strstr(c->all[0].text, "still sending"));
	crowd_end(c, -ETIMEDOUT);
}

static void send_and_expire(uint64_t object)
{
	expires(send_to_expire(object));
}

static void await_idle(void)
{
	int64_t deadline = deadline_in_ms(20000);

	pthread_mutex_lock(&srv.m);
	while (srv.running)
		ck_assert_int_eq(cond_wait_until(&srv.c, &srv.m, deadline), 0);
	pthread_mutex_unlock(&srv.m);
}

START_TEST(what_is_coming_is_fetched_to_the_end)
{
	struct crowd *again = crowd_one(1, WANT_DEMAND);

	srv.sending = true;
	crowd_hold(true);
	send_and_expire(1);
	send_and_expire(1); /* joins, and leaves it running again */
	crowd_send(again);
	crowd_hold(false);
	crowd_end(again, 0);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(what_is_coming_takes_no_slot)
{
	struct crowd *c, *late[4];
	unsigned i;

	srv.sending = true;
	crowd_hold(true);
	for (i = 0; i < 4; i++) {
		late[i] = send_to_expire(1 + i);
		crowd_await(i + 1);
	}
	for (i = 0; i < 4; i++)
		expires(late[i]);
	c = crowd_one(100, WANT_DEMAND);
	crowd_send(c);
	crowd_await(5);
	crowd_hold(false);
	crowd_end(c, 0);
	await_idle();
	ck_assert_uint_eq(srv.poured, 5);
}
END_TEST

START_TEST(what_falls_silent_is_cancelled)
{
	crowd_restart((struct flight_options){ .quiet_ns = 500 * NS_PER_MS });
	srv.sending = true;
	crowd_hold(true);
	send_and_expire(1);
	pthread_mutex_lock(&srv.m);
	ck_assert_uint_eq(srv.running, 1);
	srv.sending = false;
	pthread_mutex_unlock(&srv.m);
	await_idle();
	ck_assert_uint_eq(srv.poured, 0);
}
END_TEST

START_TEST(single_slot_is_left_to_demand)
{
	struct crowd *c = crowd_one(2, WANT_DEMAND);

	crowd_restart((struct flight_options){ .slots = 1 });
	srv.sending = true;
	crowd_hold(true);
	send_and_expire(1);
	crowd_send(c);
	crowd_await(2);
	crowd_hold(false);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.most_running, 1);
}
END_TEST

START_TEST(stop_ends_what_is_coming)
{
	srv.sending = true;
	crowd_hold(true);
	send_and_expire(1);
	ck_assert(flight_stop(srv.f, deadline_in_ms(20000)));
	flight_free(srv.f);
	ck_assert_uint_eq(srv.running, 0);
	crowd_start((struct flight_options){ 0 });
}
END_TEST

/* -- jobs, ends, many threads ---------------------------------------------- */

struct job_test {
	pthread_mutex_t m;
	pthread_cond_t c;
	bool started, done;
	int result;
};

static int job_run(void *ctx, const bool *cancel)
{
	struct job_test *j = ctx;

	pthread_mutex_lock(&j->m);
	j->started = true;
	pthread_cond_broadcast(&j->c);
	pthread_mutex_unlock(&j->m);
	while (!__atomic_load_n(cancel, __ATOMIC_RELAXED))
		usleep(1000);
	return fail(-EINTR, "cancelled");
}

static void job_done(void *ctx, int result)
{
	struct job_test *j = ctx;

	pthread_mutex_lock(&j->m);
	j->done = true;
	j->result = result;
	pthread_mutex_unlock(&j->m);
}

START_TEST(stop_cancels_everything)
{
	struct job_test j = { .m = PTHREAD_MUTEX_INITIALIZER };
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 1);
	struct crowd *c = crowd_new(500, 1, 1, WANT_TREE, WANT_PREFETCH);

	cond_init(&j.c);
	flight_job(srv.f, job_run, job_done, &j);
	pthread_mutex_lock(&j.m);
	while (!j.started)
		pthread_cond_wait(&j.c, &j.m);
	pthread_mutex_unlock(&j.m);
	crowd_send(c);
	ck_assert(flight_stop(srv.f, deadline_in_ms(20000)));
	flight_free(srv.f);
	crowd_end(busy[0], -EINTR);
	free(busy);
	crowd_end(c, -EINTR);
	ck_assert(j.done);
	ck_assert_int_eq(j.result, -EINTR);
	crowd_start((struct flight_options){ 0 });
}
END_TEST

START_TEST(stop_gives_up_on_a_deaf_call)
{
	struct crowd *c = crowd_one(1, WANT_DEMAND);

	srv.deaf = true;
	crowd_hold(true);
	crowd_send(c);
	crowd_await(1);
	ck_assert(!flight_stop(srv.f, deadline_in_ms(50)));
	crowd_end(c, -EINTR);
	crowd_hold(false);
}
END_TEST

static void *storm(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg, i, k;

	for (i = 0; i < 40; i++) {
		struct crowd *c =
			crowd_new(20, rand_r(&seed) % 300, 1, rand_r(&seed) % 3,
				  rand_r(&seed) % 3);

		crowd_send(c);
		for (k = 0; k < 20; k++)
			if (rand_r(&seed) % 4 == 0)
				flight_cancel(srv.f, c->list[k]);
		crowd_wait(c, 20);
		for (k = 0; k < 20; k++)
			ck_assert(c->all[k].calls == 1 &&
				  (c->all[k].result == 0 ||
				   c->all[k].result == -EINTR));
		crowd_free(c);
	}
	return NULL;
}

START_TEST(storm_of_threads)
{
	pthread_t t[8];
	size_t i;

	crowd_restart((struct flight_options){ .gather_ns = 100000 });
	for (i = 0; i < ARRAY_SIZE(t); i++)
		pthread_create(&t[i], NULL, storm, (void *)(i + 1));
	for (i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
}
END_TEST

CROWD_MAIN("flight", setup, thousand_wants_one_fetch, joins_a_running_fetch,
	   kinds_are_apart, batches_are_full, sizes_come_in_larger_batches,
	   wants_gather_while_slots_are_taken, large_batch_skips_the_window,
	   prefetch_leaves_a_slot_for_demand, demand_goes_first,
	   demand_pulls_a_queued_prefetch_forward,
	   single_slot_prefetch_gives_way,
	   deadline_holds_while_the_server_hangs, deadlines_are_each_ones_own,
	   cancel_queued, cancel_stops_the_call_when_nobody_is_left,
	   wanted_again_after_the_cancel,
	   what_is_coming_is_fetched_to_the_end, what_is_coming_takes_no_slot,
	   what_falls_silent_is_cancelled, single_slot_is_left_to_demand,
	   stop_ends_what_is_coming, stop_cancels_everything,
	   stop_gives_up_on_a_deaf_call, storm_of_threads)
