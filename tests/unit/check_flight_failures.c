/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of wants when the server fails. */
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

/* -- failures -------------------------------------------------------------- */

START_TEST(failed_call_is_repeated)
{
	struct crowd *c = crowd_new(10, 1, 1, WANT_BLOB, WANT_DEMAND);

	srv.fail_calls = 3;
	srv.fail_with = -EIO;
	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.n_calls, 4);
}
END_TEST

START_TEST(repeats_end)
{
	struct crowd *c = crowd_one(1, WANT_DEMAND);

	srv.fail_calls = 1000;
	srv.fail_with = -EIO;
	crowd_send(c);
	crowd_wait(c, 1);
	ck_assert_str_eq(c->all[0].text, "the server is out");
	crowd_end(c, -EIO);
	ck_assert_uint_eq(srv.n_calls, 6);
}
END_TEST

START_TEST(no_time_left_to_repeat)
{
	struct crowd *c = crowd_one(1, WANT_DEMAND);

	crowd_restart((struct flight_options){ .retry_ns = 4 * NS_PER_S });
	srv.fail_calls = 1;
	srv.fail_with = -EIO;
	c->list[0]->deadline = deadline_in_ms(2500);
	crowd_send(c);
	crowd_end(c, -EIO);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(refusals_are_final)
{
	struct crowd *c = crowd_new(5, 1, 1, WANT_BLOB, WANT_DEMAND);

	srv.fail_calls = 1;
	srv.fail_with = -EACCES;
	crowd_send(c);
	crowd_end(c, -EACCES);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(one_missing_object)
{
	struct crowd *c = crowd_new(9, 1, 1, WANT_BLOB, WANT_DEMAND);
	unsigned i;

	srv.object = 5;
	srv.object_error = -ENOENT;
	srv.object_times = 1;
	crowd_send(c);
	crowd_wait(c, 9);
	for (i = 0; i < 9; i++)
		ck_assert_int_eq(c->all[i].result, i == 4 ? -ENOENT : 0);
	ck_assert_str_eq(c->all[4].text, "object 5");
	crowd_free(c);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

/* A whole batch told -ENOENT must not make its other objects absent. */
START_TEST(no_false_enoent)
{
	struct crowd *c = crowd_new(5, 1, 1, WANT_BLOB, WANT_DEMAND);

	srv.fail_calls = 1;
	srv.fail_with = -ENOENT;
	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.n_calls, 6);
}
END_TEST

START_TEST(bad_content_is_asked_for_once_more)
{
	struct crowd *a = crowd_one(5, WANT_DEMAND), *b;

	srv.object = 5;
	srv.object_error = -EBADMSG;
	srv.object_times = 1;
	crowd_send(a);
	crowd_end(a, 0);
	ck_assert_uint_eq(srv.n_calls, 2);
	b = crowd_one(5, WANT_DEMAND);
	srv.object_times = 100;
	crowd_send(b);
	crowd_end(b, -EBADMSG);
	ck_assert_uint_eq(srv.n_calls, 4);
}
END_TEST

/* What a call said of an object does not hold for the next one, which fails as a
 * whole and says nothing of it. */
START_TEST(failed_object_then_failed_call)
{
	struct crowd *c = crowd_one(5, WANT_DEMAND);

	srv.object = 5;
	srv.object_error = -EIO;
	srv.object_times = 1;
	srv.fail_calls = 1;
	srv.fail_with = -EIO;
	srv.fail_after = 1;
	crowd_send(c);
	crowd_end(c, 0);
	ck_assert_uint_eq(srv.n_calls, 3);
}
END_TEST

START_TEST(forgotten_objects_are_eio)
{
	struct crowd *c = crowd_one(5, WANT_DEMAND);

	srv.forget = true;
	crowd_send(c);
	crowd_wait(c, 1);
	ck_assert_ptr_nonnull(strstr(c->all[0].text, "did not send"));
	crowd_end(c, -EIO);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(sizes_fall_back_to_content)
{
	struct crowd *s = crowd_new(3, 1, 1, WANT_SIZE, WANT_DEMAND);
	struct crowd *t = crowd_new(3, 11, 1, WANT_SIZE, WANT_DEMAND);

	srv.fail_calls = 1;
	srv.fail_with = -ENOTSUP;
	crowd_send(s);
	crowd_end(s, 0);
	ck_assert_int_eq(srv.calls[0].kind, WANT_SIZE);
	ck_assert_int_eq(srv.calls[1].kind, WANT_BLOB);
	crowd_send(t); /* known by now */
	crowd_end(t, 0);
	ck_assert_uint_eq(srv.n_calls, 3);
	ck_assert_int_eq(srv.calls[2].kind, WANT_BLOB);
}
END_TEST

START_TEST(content_answers_for_sizes)
{
	struct crowd *b = crowd_one(1, WANT_DEMAND);
	struct crowd *s = crowd_new(1, 1, 0, WANT_SIZE, WANT_DEMAND);

	crowd_hold(true);
	crowd_send(b);
	crowd_await(1);
	crowd_send(s);
	crowd_hold(false);
	crowd_end(s, 0);
	crowd_end(b, 0);
	ck_assert_uint_eq(srv.n_calls, 1);
}
END_TEST

START_TEST(extra_objects_complete_others)
{
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 4);
	struct crowd *c = crowd_one(77, WANT_DEMAND);
	struct scorpio_id id = number_id(77);
	uint32_t pid;

	crowd_send(c);
	ck_assert(flight_poured(srv.f, WANT_BLOB, &id, &pid));
	flight_landed(srv.f, WANT_BLOB, &id, 0);
	crowd_end(c, 0);
	crowd_release(busy, 4);
	ck_assert_uint_eq(srv.n_calls, 4);
}
END_TEST

/* -- circuit and offline --------------------------------------------------- */

static const struct circuit quick = {
	.min_failures = 3,
	.min_span_ns = 1,
	.probe_ns = 50 * NS_PER_MS,
	.probe_max_ns = 100 * NS_PER_MS,
};

START_TEST(circuit_opens_and_recovers)
{
	struct crowd *c = crowd_one(1, WANT_DEMAND),
		     *d = crowd_one(2, WANT_DEMAND);
	struct circuit slower = quick;
	struct flight_stats st;
	unsigned calls;
	int64_t t;

	slower.probe_ns = slower.probe_max_ns = 1000 * NS_PER_MS;
	crowd_restart((struct flight_options){ .circuit = &slower });
	srv.fail_calls = 1000;
	srv.fail_with = -EIO;
	crowd_send(c);
	crowd_end(c, -EIO);
	flight_stat(srv.f, &st);
	ck_assert(st.circuit_open);
	calls = srv.n_calls;
	crowd_send(d);
	crowd_wait(d, 1);
	ck_assert_ptr_nonnull(strstr(d->all[0].text, "server test unreach"));
	crowd_end(d, -EIO);
	ck_assert_uint_eq(srv.n_calls, calls); /* at once, unasked */
	ck_assert_int_eq(flight_enter(srv.f), -EIO);

	pthread_mutex_lock(&srv.m);
	srv.fail_calls = 0;
	pthread_mutex_unlock(&srv.m);
	for (t = deadline_in_ms(20000); st.circuit_open;) {
		ck_assert_int_lt(now_ns(), t);
		usleep(5000);
		c = crowd_one(3, WANT_DEMAND);
		crowd_send(c);
		crowd_wait(c, 1);
		flight_stat(srv.f, &st);
		if (st.circuit_open && c->all[0].result)
			ck_assert_int_eq(c->all[0].result, -EIO);
		crowd_end(c, c->all[0].result);
	}
}
END_TEST

START_TEST(failed_probe_fails_those_who_waited_for_it)
{
	struct crowd *c = crowd_one(1, WANT_DEMAND), *p, *d;

	crowd_restart((struct flight_options){ .circuit = &quick });
	srv.fail_calls = 1000;
	srv.fail_with = -EIO;
	crowd_send(c);
	crowd_end(c, -EIO);
	usleep(60000);
	crowd_hold(true);
	p = crowd_one(2, WANT_DEMAND);
	d = crowd_one(3, WANT_DEMAND);
	crowd_send(p);
	crowd_await(4);
	crowd_send(d); /* waits for the probe */
	crowd_hold(false);
	crowd_end(p, -EIO);
	crowd_end(d, -EIO);
	ck_assert_uint_eq(srv.n_calls, 4);
}
END_TEST

START_TEST(offline_fails_at_once)
{
	struct crowd **busy = crowd_occupy(WANT_DEMAND, 4);
	struct crowd *a = crowd_one(1, WANT_DEMAND),
		     *b = crowd_one(2, WANT_DEMAND), *d;

	crowd_send(a);
	flight_set_offline(srv.f, true);
	crowd_end(a, -EIO);
	crowd_send(b);
	crowd_wait(b, 1);
	ck_assert_str_eq(b->all[0].text, "offline: not in the cache");
	crowd_end(b, -EIO);
	crowd_release(busy, 4); /* were under way */
	flight_set_offline(srv.f, false);
	d = crowd_one(1, WANT_DEMAND);
	crowd_send(d);
	crowd_end(d, 0);
}
END_TEST

CROWD_MAIN("flight_failures", setup, failed_call_is_repeated, repeats_end,
	   no_time_left_to_repeat, refusals_are_final, one_missing_object,
	   no_false_enoent, bad_content_is_asked_for_once_more,
	   forgotten_objects_are_eio, failed_object_then_failed_call,
	   sizes_fall_back_to_content, content_answers_for_sizes,
	   extra_objects_complete_others, circuit_opens_and_recovers,
	   failed_probe_fails_those_who_waited_for_it, offline_fails_at_once)
