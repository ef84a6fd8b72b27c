/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is: one who asks for much does not keep others waiting. */
#include "cache/flight.h"

#include "core/clock.h"
#include "tests/lib/crowd.h"

#include <check.h>
#undef fail /* of check.h */

#define GREEDY 1
#define OTHER  2

static struct crowd *of(uint32_t pid, struct crowd *c)
{
	for (unsigned i = 0; i < c->n; i++)
		c->all[i].want.pid = pid;
	return c;
}

static struct crowd *demand(uint32_t pid, unsigned n, uint64_t first)
{
	return of(pid, crowd_new(n, first, 1, WANT_BLOB, WANT_DEMAND));
}

static void one_by_one(void)
{
	crowd_start((struct flight_options){ .slots = 4, .batch_max = 1 });
	crowd_hold(true);
}

/* The call that asked for an object. Others may be going on. */
static unsigned call_of(uint64_t object)
{
	lock_scope(&srv.m);

	for (unsigned i = 0; i < srv.n_calls; i++)
		if (srv.calls[i].first == object)
			return i;
	ck_abort_msg("nobody asked for %u", (unsigned)object);
	return 0;
}

START_TEST(few_do_not_wait_for_many)
{
	struct crowd *greedy = demand(GREEDY, 100, 1000), *one, *two;

	crowd_send(greedy);
	crowd_await(4);
	one = demand(OTHER, 1, 1);
	crowd_send(one);
	crowd_await(5); /* although all slots are taken */
	two = demand(OTHER + 1, 1, 2);
	crowd_send(two);
	crowd_hold(false);
	crowd_end(one, 0);
	crowd_end(two, 0);
	crowd_end(greedy, 0);
	ck_assert_uint_eq(call_of(1), 4);
	ck_assert_uint_eq(call_of(2), 5);
	ck_assert_uint_le(srv.most_running, 5);
}
END_TEST

/* one call at a time: the order is exact */
static void one_call(void)
{
	crowd_restart((struct flight_options){ .slots = 1, .batch_max = 1 });
	crowd_hold(true);
}

/* hundreds with a wish each do not keep the one with many from his turn */
START_TEST(many_have_their_turn)
{
	struct crowd *greedy = demand(GREEDY, 20, 1000), *few[40];
	unsigned i, late = 0;

	one_call();
	crowd_send(greedy);
	crowd_await(1);
	for (i = 0; i < 40; i++) {
		few[i] = demand(OTHER + i, 1, 1 + i);
		crowd_send(few[i]);
	}
	crowd_hold(false);
	for (i = 0; i < 40; i++)
		crowd_end(few[i], 0);
	for (i = 0; i < 40; i++)
		late = MAX(late, call_of(1 + i));
	/* every fourth call was his */
	ck_assert_uint_eq(late, 40 + 40 / 3);
	crowd_end(greedy, 0);
}
END_TEST

START_TEST(greedy_ones_take_turns)
{
	struct crowd *a = demand(GREEDY, 200, 1000);
	struct crowd *b = demand(OTHER, 50, 5000);
	unsigned last = 0;

	one_call();
	crowd_send(a);
	crowd_await(1);
	crowd_send(b);
	crowd_hold(false);
	crowd_end(b, 0);
	for (uint64_t n = 5000; n < 5050; n++)
		last = MAX(last, call_of(n));
	/* one's turn after the other's, not all of a before b */
	ck_assert_uint_le(last, 1 + 2 * 50);
	crowd_end(a, 0);
}
END_TEST

START_TEST(both_are_in_one_call)
{
	struct crowd *busy, *a = demand(GREEDY, 150, 1000);
	struct crowd *b = demand(OTHER, 20, 5000);

	crowd_restart((struct flight_options){ .slots = 2, .batch_max = 100 });
	crowd_hold(true);
	busy = demand(3, 200, 9000); /* fills both slots */
	crowd_send(busy);
	crowd_await(2);
	crowd_send(a);
	crowd_send(b);
	crowd_hold(false);
	crowd_end(b, 0);
	crowd_end(a, 0);
	crowd_end(busy, 0);
	/* 64 of a, 20 of b, 16 of a; then the rest */
	ck_assert_uint_eq(srv.n_calls, 4);
	ck_assert_uint_eq(srv.calls[2].n + srv.calls[3].n, 170);
}
END_TEST

/* what the greedy one has queued is asked for at once when another wants it */
START_TEST(shared_object_goes_with_the_lighter)
{
	struct crowd *greedy = demand(GREEDY, 100, 1000), *same;

	crowd_send(greedy);
	crowd_await(4);
	same = demand(OTHER, 1, 1090);
	crowd_send(same);
	crowd_await(5);
	crowd_hold(false);
	crowd_end(same, 0);
	crowd_end(greedy, 0);
	ck_assert_uint_eq(call_of(1090), 4);
	ck_assert_uint_eq(srv.n_calls, 100);
}
END_TEST

/* hints that go along with a wish do not make its owner a greedy one */
START_TEST(company_does_not_count)
{
	struct crowd *hints = crowd_new(100, 1000, 1, WANT_BLOB, WANT_PREFETCH);
	struct crowd *greedy = demand(GREEDY, 100, 5000), *one, *two;

	crowd_send(greedy);
	crowd_await(4);
	crowd_send(hints);
	one = demand(OTHER, 1, 1010);
	crowd_send(one);
	crowd_await(5);
	two = demand(OTHER, 1, 1); /* behind what went along with the first */
	crowd_send(two);
	crowd_hold(false);
	crowd_end(one, 0);
	crowd_end(two, 0);
	ck_assert_uint_eq(call_of(1010), 4);
	crowd_end(hints, 0);
	crowd_end(greedy, 0);
}
END_TEST

START_TEST(cancelled_ones_leave_no_trace)
{
	for (int round = 0; round < 3; round++) {
		struct crowd *greedy = demand(GREEDY, 100, 1000);

		crowd_send(greedy);
		crowd_await(4);
		for (unsigned i = 0; i < greedy->n; i++)
			flight_cancel(srv.f, &greedy->all[i].want);
		crowd_end(greedy, -EINTR);
	}
}
END_TEST

START_TEST(one_cannot_ask_for_everything)
{
	struct crowd *all = demand(GREEDY, 50000, 100000), *more, *other;

	crowd_send(all);
	more = demand(GREEDY, 1, 1);
	crowd_send(more);
	crowd_end(more, -EIO);
	other = demand(OTHER, 1, 2);
	crowd_send(other);
	crowd_await(5);
	/* all end, each once */
	crowd_restart((struct flight_options){ .slots = 4 });
	crowd_end(other, -EINTR);
	crowd_end(all, -EINTR);
}
END_TEST

CROWD_MAIN("flight_fair", one_by_one, few_do_not_wait_for_many,
	   many_have_their_turn, greedy_ones_take_turns, both_are_in_one_call,
	   shared_object_goes_with_the_lighter, company_does_not_count,
	   cancelled_ones_leave_no_trace, one_cannot_ask_for_everything)
