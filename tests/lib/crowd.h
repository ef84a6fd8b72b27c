/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd.h - for the tests of cache/flight.c: a scripted server that answers
 * batches, and crowds of wants that record what they were told.
 */
#ifndef TESTS_LIB_CROWD_H
#define TESTS_LIB_CROWD_H

#include "cache/flight.h"

struct record { /* one call */
	enum want_kind kind;
	enum want_prio prio;
	uint32_t n;
	uint64_t first; /* number of its first object */
};

extern struct server {
	pthread_mutex_t m;
	pthread_cond_t c;
	struct flights *f;
	struct record calls[4096];
	unsigned n_calls, running, most_running;
	bool hold;      /* calls wait until released (or cancelled) */
	bool deaf;      /* ... not even when cancelled */
	bool sending;   /* bytes come while calls wait */
	int fail_calls; /* so many calls fail as a whole, with: */
	int fail_with;
	unsigned fail_after; /* the first so many do not */
	uint64_t object;  /* this object ... */
	int object_error; /* ... fails so; */
	int object_times; /* so many times */
	bool forget;      /* objects are neither poured nor failed */
	unsigned poured;
} srv;

void crowd_start(struct flight_options o); /* zeros: usual for tests */
void crowd_restart(struct flight_options o);
void crowd_stop(void);
void crowd_hold(bool on);
/* Wait until that many calls have started. */
void crowd_await(unsigned n_calls);
struct scorpio_id number_id(uint64_t n);

struct crowd {
	pthread_mutex_t m;
	pthread_cond_t c;
	unsigned n, done;
	struct member {
		struct want want;
		struct crowd *crowd;
		int result, calls;
		char text[200];
	} * all;
	struct want **list;
};

/* n wants, of the objects first, first + step, ... */
struct crowd *crowd_new(unsigned n, uint64_t first, uint64_t step,
			enum want_kind kind, enum want_prio prio);
struct crowd *crowd_one(uint64_t object, enum want_prio prio);
void crowd_send(struct crowd *c);
/* Until n of them are done. */
void crowd_wait(struct crowd *c, unsigned n);
void crowd_free(struct crowd *c);
/* Assert that all end with the result, each once; frees. */
void crowd_end(struct crowd *c, int result);
/* Keep so many slots busy, one call each; the server is on hold then. */
struct crowd **crowd_occupy(enum want_prio prio, unsigned calls);
/* Release the server and expect the busy ones to end well. */
void crowd_release(struct crowd **busy, unsigned calls);

/* main of such a test: the tests one by one, each with a server that setup
 * started. */
struct TTest; /* of check.h */
int crowd_main(const char *name, void (*setup)(void),
	       const struct TTest *const tests[], size_t n);
#define CROWD_MAIN(name, setup, ...)                                        \
	int main(void)                                                      \
	{                                                                   \
		const struct TTest *const tests[] = { __VA_ARGS__ };        \
									    \
		return crowd_main(name, setup, tests, ARRAY_SIZE(tests));   \
	}

#endif
