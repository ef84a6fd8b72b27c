/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flight.h - one fetch per object, however many want it. Wants go into queues
 * by priority and kind; as slots become free they are taken out in batches and
 * given to run() on a pool thread. What run() brings is reported by id, from
 * any thread, and completes every want of that object.
 *
 * Who asks (a process, a client) for more than eight objects at once goes behind
 * those who ask for few, but has every fourth call; among equals it is one's turn
 * after the other's. Where one of many objects holds the last slot, a call for
 * few may be made in one more. One may wait for 50 000 objects, all together for
 * 200 000: what is beyond that fails at once with -EIO.
 *
 * A call whose wants have all run into their deadlines is cancelled, unless it
 * heard from its server lately: then it goes on outside of the slots until it
 * is done or silent, so that who asks again finds the object here.
 *
 * This file knows neither backends nor the store, only when to call and whom
 * to tell. Threads: any. No lock is held while run() or a want's done() runs.
 * A want costs about 0.3 us, a batch two thread switches.
 */
#ifndef CACHE_FLIGHT_H
#define CACHE_FLIGHT_H

#include "cache/circuit.h"
#include "cache/source.h"

struct flights;

struct flight_batch { /* borrowed by run() */
	enum want_kind kind;
	enum want_prio prio;
	const struct scorpio_ref *refs;
	const uint32_t *pids; /* on whose behalf, one for each ref */
	uint32_t n;
	int64_t deadline;   /* of the call; far away: cancel comes first */
	const bool *cancel; /* atomic: nobody wants any of it any more */
	int64_t *heard;     /* atomic; set to now_ns() whenever bytes come */
};

struct flight_options {
	const char *name; /* for texts and logs; borrowed */
	/* Calls at once. 1: a demand want cancels a running lower call, whose
	 * objects are asked for again later. More: one slot is for demand. */
	unsigned slots;
	unsigned batch_max;
	unsigned sizes_max; /* in a call for sizes, which are small; 0: same */
	/* The first want of an idle queue waits so long for company, demand only
	 * while other demand is under way (then in proportion to what a call
	 * takes, when that is long); 0 = not at all. */
	int64_t gather_ns;
	bool no_sizes;     /* sizes are learned by fetching */
	/* Perform one call. 0 or a negative errno for what was not reported;
	 * -ENOTSUP for sizes turns no_sizes on; 1 = the server was not asked.
	 */
	int (*run)(void *ctx, const struct flight_batch *b);
	/* Optional: a want was completed after so long. */
	void (*waited)(void *ctx, int64_t ns, int result);
	void *ctx;
	/* for tests: other than the usual; 0 = usual */
	int64_t retry_ns;              /* first pause; 50 ms */
	int64_t quiet_ns;              /* "lately"; 60 s */
	unsigned max_tries;            /* 6 */
	const struct circuit *circuit; /* settings copied */
};

struct flights *flight_new(const struct flight_options *o);
/* Fail what waits (-EINTR), cancel what runs and wait for it until deadline.
 * False: a call does not return; flight_free must not be called. */
bool flight_stop(struct flights *f, int64_t deadline);
/* After flight_stop, when no report can come any more. Waits for done()s that
 * are running; not from one of its own threads. NULL is fine. */
void flight_free(struct flights *f);

/* Is this one of its threads (inside run or a done)? */
bool flight_own_thread(const struct flights *f);

void flight_want(struct flights *f, struct want *const wants[], size_t n);
void flight_cancel(struct flights *f, struct want *w);
/* wants fail at once with -EIO */
void flight_set_offline(struct flights *f, bool offline);
bool flight_offline(struct flights *f);

/* -- reports, by run() and whoever finishes its work ---------------------- */

/* The object is here (0) or failed for good, with this thread's error text. A
 * blob also answers those who want its size. */
void flight_landed(struct flights *f, enum want_kind kind,
		   const struct scorpio_id *id, int result);
/* The object came and is being stored: flight_landed follows. True if it was
 * wanted; *ret_pid: by whom. */
bool flight_poured(struct flights *f, enum want_kind kind,
		   const struct scorpio_id *id, uint32_t *ret_pid);
/* It was not what it should be after all: flight_failed follows. */
void flight_unpoured(struct flights *f, enum want_kind kind,
		     const struct scorpio_id *id);
/* The object cannot be had, with this thread's error text. -EBADMSG: asked for
 * once more; -EIO, -EAGAIN, -ETIMEDOUT: like a failed call. */
void flight_failed(struct flights *f, enum want_kind kind,
		   const struct scorpio_id *id, int error);

/* -- other calls ----------------------------------------------------------- */

/* A long call in a slot of prefetch priority: run, then done(ctx, result) on a
 * pool thread. done may be NULL. */
void flight_job(struct flights *f, int (*run)(void *ctx, const bool *cancel),
		void (*done)(void *ctx, int result), void *ctx);
/* Calls made elsewhere (resolve): 0, or -EIO with a text while the circuit is
 * open; then, unless refused, tell how it went. */
int flight_enter(struct flights *f);
void flight_leave(struct flights *f, int result);

struct flight_stats {
	uint32_t waiting, running;
	int64_t oldest_ns;
	bool circuit_open;
};
void flight_stat(struct flights *f, struct flight_stats *ret);

#endif
