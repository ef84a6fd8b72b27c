/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crowd.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"

#include <check.h>
#undef fail /* of check.h */

struct server srv;

/* -- the server ------------------------------------------------------------ */

struct scorpio_id number_id(uint64_t n)
{
	return id_make(&n, sizeof(n));
}

static uint64_t id_number(const struct scorpio_id *id)
{
	uint64_t n;

	memcpy(&n, id->bytes, sizeof(n));
	return n;
}

/* Released, or cancelled. */
static int wait_release(const struct flight_batch *b)
{
	while (srv.hold) {
		if (srv.sending)
			__atomic_store_n(b->heard, now_ns(), __ATOMIC_RELAXED);
		cond_wait_until(&srv.c, &srv.m, deadline_in_ms(1));
		if (!srv.deaf && __atomic_load_n(b->cancel, __ATOMIC_RELAXED))
			return fail(-EINTR, "cancelled");
	}
	return 0;
}

/* m held; the reports are made without it */
static void report(const struct flight_batch *b, uint32_t i)
{
	uint64_t n = id_number(&b->refs[i].id);
	int error = 0;

	if (srv.forget)
		return;
	if (n == srv.object && srv.object_times > 0) {
		srv.object_times--;
		error = srv.object_error;
	}
	srv.poured++;
	pthread_mutex_unlock(&srv.m);
	if (error) {
		flight_failed(srv.f, b->kind, &b->refs[i].id,
			      fail(error, "object %d", (int)n));
	} else {
		uint32_t pid;

		flight_poured(srv.f, b->kind, &b->refs[i].id, &pid);
		flight_landed(srv.f, b->kind, &b->refs[i].id, 0);
	}
	pthread_mutex_lock(&srv.m);
}

static int serve(void *ctx, const struct flight_batch *b)
{
	uint32_t i;
	int r;

	(void)ctx;
	pthread_mutex_lock(&srv.m);
	srv.calls[srv.n_calls++ % 4096] = (struct record){
		b->kind,
		b->prio,
		b->n,
		id_number(&b->refs[0].id),
	};
	srv.running++;
	srv.most_running = MAX(srv.most_running, srv.running);
	pthread_cond_broadcast(&srv.c);
	r = wait_release(b);
	if (!r && srv.fail_calls > 0 && srv.n_calls > srv.fail_after) {
		srv.fail_calls--;
		r = fail(srv.fail_with, "the server is out");
	}
	for (i = 0; !r && i < b->n; i++)
		report(b, i);
	srv.running--;
	pthread_cond_broadcast(&srv.c);
	pthread_mutex_unlock(&srv.m);
	return r;
}

void crowd_start(struct flight_options o)
{
	memset(&srv, 0, sizeof(srv));
	pthread_mutex_init(&srv.m, NULL);
	cond_init(&srv.c);
	srv.object = UINT64_MAX;
	o.name = "test";
	o.run = serve;
	o.slots = o.slots ? o.slots : 4;
	o.batch_max = o.batch_max ? o.batch_max : 100;
	if (!o.retry_ns)
		o.retry_ns = 2 * NS_PER_MS;
	srv.f = flight_new(&o);
}

void crowd_restart(struct flight_options o)
{
	flight_stop(srv.f, deadline_in_ms(20000));
	flight_free(srv.f);
	crowd_start(o);
}

void crowd_stop(void)
{
	pthread_mutex_lock(&srv.m);
	srv.hold = false;
	pthread_cond_broadcast(&srv.c);
	pthread_mutex_unlock(&srv.m);
	ck_assert(flight_stop(srv.f, deadline_in_ms(20000)));
	flight_free(srv.f);
}

void crowd_hold(bool on)
{
	pthread_mutex_lock(&srv.m);
	srv.hold = on;
	pthread_cond_broadcast(&srv.c);
	pthread_mutex_unlock(&srv.m);
}

void crowd_await(unsigned n)
{
	int64_t deadline = deadline_in_ms(20000);

	pthread_mutex_lock(&srv.m);
	while (srv.n_calls < n)
		ck_assert_int_eq(cond_wait_until(&srv.c, &srv.m, deadline), 0);
	pthread_mutex_unlock(&srv.m);
}

/* -- a crowd of wants ------------------------------------------------------ */

static void member_done(struct want *w, int result)
{
	struct member *x = container_of(w, struct member, want);
	struct crowd *c = x->crowd;

	pthread_mutex_lock(&c->m);
	x->result = result;
	x->calls++;
	c->done++;
	if (result)
		snprintf(x->text, sizeof(x->text), "%s", error_text(result));
	pthread_cond_broadcast(&c->c);
	pthread_mutex_unlock(&c->m);
}

struct crowd *crowd_new(unsigned n, uint64_t first, uint64_t step,
			enum want_kind kind, enum want_prio prio)
{
	struct crowd *c = xcalloc(1, sizeof(*c));
	unsigned i;

	pthread_mutex_init(&c->m, NULL);
	cond_init(&c->c);
	c->n = n;
	c->all = xcalloc(n, sizeof(*c->all));
	c->list = xcalloc(n, sizeof(struct want *));
	for (i = 0; i < n; i++) {
		struct want *w = &c->all[i].want;

		w->kind = kind;
		w->prio = prio;
		w->id = number_id(first + i * step);
		w->deadline = deadline_in_ms(60000);
		w->done = member_done;
		c->all[i].crowd = c;
		c->list[i] = w;
	}
	return c;
}

void crowd_send(struct crowd *c)
{
	flight_want(srv.f, c->list, c->n);
}

void crowd_wait(struct crowd *c, unsigned n)
{
	int64_t deadline = deadline_in_ms(30000);

	pthread_mutex_lock(&c->m);
	while (c->done < n)
		ck_assert_int_eq(cond_wait_until(&c->c, &c->m, deadline), 0);
	pthread_mutex_unlock(&c->m);
}

void crowd_free(struct crowd *c)
{
	pthread_cond_destroy(&c->c);
	pthread_mutex_destroy(&c->m);
	free(c->all);
	free(c->list);
	free(c);
}

void crowd_end(struct crowd *c, int result)
{
	unsigned i;

	crowd_wait(c, c->n);
	for (i = 0; i < c->n; i++) {
		ck_assert_int_eq(c->all[i].calls, 1);
		ck_assert_int_eq(c->all[i].result, result);
	}
	crowd_free(c);
}

struct crowd *crowd_one(uint64_t n, enum want_prio prio)
{
	return crowd_new(1, n, 0, WANT_BLOB, prio);
}

struct crowd **crowd_occupy(enum want_prio prio, unsigned calls)
{
	struct crowd **busy = xcalloc(calls, sizeof(struct crowd *));
	unsigned i;

	crowd_hold(true);
	for (i = 0; i < calls; i++) {
		busy[i] = crowd_one(1000000 + i, prio);
		crowd_send(busy[i]);
		crowd_await(i + 1);
	}
	return busy;
}

void crowd_release(struct crowd **busy, unsigned calls)
{
	unsigned i;

	crowd_hold(false);
	for (i = 0; i < calls; i++)
		crowd_end(busy[i], 0);
	free(busy);
}

int crowd_main(const char *name, void (*setup)(void),
	       const struct TTest *const tests[], size_t n)
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, crowd_stop);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(t, tests[i]);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
