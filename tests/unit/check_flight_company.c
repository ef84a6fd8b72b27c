/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for company, and who goes ahead of it. */
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

START_TEST(gather_window_joins_neighbours)
{
	struct crowd *busy = crowd_one(99, WANT_DEMAND), *c[10];
	int i;

	crowd_restart((struct flight_options){ .gather_ns = 300 * NS_PER_MS });
	crowd_hold(true);
	crowd_send(busy);
	crowd_await(1);
	for (i = 0; i < 10; i++) {
		c[i] = crowd_one(i + 1, WANT_DEMAND);
		crowd_send(c[i]);
	}
	crowd_await(2);
	crowd_hold(false);
	for (i = 0; i < 10; i++)
		crowd_end(c[i], 0);
	crowd_end(busy, 0);
	ck_assert_uint_eq(srv.n_calls, 2);
	ck_assert_uint_eq(srv.calls[1].n, 10);
}
END_TEST

START_TEST(answered_together_they_ask_together)
{
	struct crowd *first = crowd_new(2, 1, 1, WANT_BLOB, WANT_DEMAND);
	struct crowd *a = crowd_one(10, WANT_DEMAND),
		     *b = crowd_one(11, WANT_DEMAND);

	crowd_restart((struct flight_options){ .gather_ns = NS_PER_S / 2 });
	crowd_send(first);
	crowd_end(first, 0);
	crowd_send(a); /* who waits 500 ms for company */
	crowd_send(b);
	crowd_end(a, 0);
	crowd_end(b, 0);
	ck_assert_uint_eq(srv.n_calls, 2);
}
END_TEST

START_TEST(who_is_alone_does_not_wait_for_company)
{
	struct crowd *hints = crowd_new(5, 100, 1, WANT_BLOB, WANT_READAHEAD);
	struct crowd *one;
	int64_t t = now_ns();
	int i;

	crowd_restart((struct flight_options){ .gather_ns = 60 * NS_PER_S });
	crowd_send(hints);
	for (i = 0; i < 5; i++) {
		one = crowd_one(i + 1, WANT_DEMAND);
		crowd_send(one);
		crowd_end(one, 0);
	}
	ck_assert_int_lt(now_ns() - t, 30 * NS_PER_S);
	ck_assert_uint_eq(srv.n_calls, 5);
	crowd_stop();
	crowd_end(hints, -EINTR);
	crowd_start((struct flight_options){ 0 });
}
END_TEST

/* one of many hinted directories is waited for: it does not wait for them */
START_TEST(demand_overtakes_hinted_directories)
{
	struct crowd *hints = crowd_new(10, 1, 1, WANT_TREE, WANT_READAHEAD);
	struct crowd *d = crowd_one(5, WANT_DEMAND), *e = crowd_one(6, WANT_DEMAND);

	d->all->want.kind = e->all->want.kind = WANT_TREE;
	crowd_hold(true);
	crowd_send(hints);
	crowd_await(1);
	crowd_send(d);
	crowd_await(2);
	ck_assert_uint_eq(srv.calls[1].n, 1);
	ck_assert_uint_eq(srv.calls[1].first, 5);
	ck_assert_int_eq(srv.calls[1].prio, WANT_DEMAND);
	crowd_send(e); /* once per call: a walk asks for one after the other */
	crowd_hold(false);
	crowd_end(d, 0);
	crowd_end(e, 0);
	crowd_end(hints, 0);
	ck_assert_uint_eq(srv.n_calls, 2);
}
END_TEST

START_TEST(overtaken_and_cancelled)
{
	struct crowd *hints = crowd_new(10, 1, 1, WANT_TREE, WANT_READAHEAD);
	struct crowd *d = crowd_one(5, WANT_DEMAND);
	unsigned i;

	d->all->want.kind = WANT_TREE;
	crowd_hold(true);
	crowd_send(hints);
	crowd_await(1);
	crowd_send(d);
	crowd_await(2);
	for (i = 0; i < 10; i++)
		flight_cancel(srv.f, &hints->all[i].want);
	crowd_wait(hints, 10);
	flight_cancel(srv.f, &d->all->want);
	crowd_end(d, -EINTR);
	crowd_end(hints, -EINTR);
	crowd_hold(false);
}
END_TEST

CROWD_MAIN("flight_company", setup, gather_window_joins_neighbours,
	   answered_together_they_ask_together,
	   who_is_alone_does_not_wait_for_company,
	   demand_overtakes_hinted_directories, overtaken_and_cancelled)
