/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flight_impl.h - shared by flight.c (wants and reports), flight_turn.c (whose
 * turn it is) and flight_run.c (calls, time). Every function here is called with
 * flights.lock held, unless it says otherwise.
 *
 * Life of a flight: QUEUED -> TAKEN by a call -> (poured) LANDING -> freed when
 * its wants are completed; DELAYED between two tries. All but finished ones
 * are in the table.
 */
#ifndef CACHE_FLIGHT_IMPL_H
#define CACHE_FLIGHT_IMPL_H

#include "cache/alarm.h"
#include "cache/flight.h"
#include "core/lock.h"
#include "core/pool.h"

#define KINDS 3

/* Whose turn it is among objects that programs wait for: those who want a few
 * things are served before those who want many. Hints come after both. */
enum flight_level { LIGHT, HEAVY, HINT_READAHEAD, HINT_PREFETCH, LEVELS };

/* So many objects at once, and one who asks is a heavy one until nothing of his
 * is under way. */
#define ASKER_LIGHT 8
/* Who waits with others for a call: so many of his objects, then the next's. */
#define ASKER_QUANTUM 64
/* A demand call of so many objects is bulk, as all of a heavy one's are. */
#define CALL_BULK 16
#define ASKER_TABLE 1024

enum flight_state { QUEUED, DELAYED, TAKEN, LANDING };

struct lane { /* what one asks for, of one kind, in order; flights.lock */
	struct flight *head, *tail;
	struct lane *prev, *next; /* a ring; NULL while there is nothing */
	uint32_t len;
};

struct asker { /* a process or a client; all under flights.lock */
	struct asker *table_next;
	uint64_t key;
	uint32_t refs;     /* flights */
	uint32_t demanded; /* of them those that were asked for */
	bool heavy;
	struct lane lanes[KINDS];
};

struct flight { /* one object; all under flights.lock */
	struct flight *table_next;
	struct flight *prev, *next; /* in a lane or in `delayed` */
	struct asker *asker;        /* of demand: whose lane; else NULL */
	struct want *wants;         /* linked by next_ */
	struct call *call;          /* while TAKEN */
	char *path;                 /* owned; fixed while TAKEN */
	char *text;                 /* owned; of `error` */
	char *why;                  /* owned; why the last try failed */
	int error;                  /* deferred to the end of the call */
	struct scorpio_id id;
	uint32_t path_len, pid;
	int64_t queued_at, not_before;
	uint8_t kind, prio, state, entry_kind, tries;
	bool demanded; /* counted there; else it goes along */
	bool solo;     /* goes alone: its batch was told -ENOENT */
	bool bad_once; /* its content was wrong once */
	bool poured, finished;
};

/* Hints may wait this many gather windows for company: a call costs a server
 * more (a process, with git) than most objects do. */
#define GATHER_AHEAD 20
/* Demand that finds other demand under way waits a part of what a call takes,
 * for many readers at once: so many eighths of it as objects are demanded, two at
 * least; at most so long, and not beyond the last of those calls. */
#define GATHER_EIGHTHS_MIN 2
#define GATHER_MAX	   (40 * NS_PER_MS)
/* Those who were answered together ask again together: for so many windows
 * after that, the first of them waits one for the others. */
#define GATHER_TOGETHER 2

struct queue {
	struct lane *first; /* whose turn is next, of a ring; NULL: empty */
	uint32_t len;       /* flights */
	int64_t gather_until;
};

struct job {
	struct job *next;
	int (*run)(void *ctx, const bool *cancel);
	void (*done)(void *ctx, int result);
	void *ctx;
};

struct call { /* one run() */
	struct pool_task task;
	struct flights *owner;
	struct call *prev, *next; /* flights.lock: list of running */
	struct flight **flights;  /* flights.lock */
	struct scorpio_ref *refs; /* fixed */
	uint32_t *pids;           /* fixed */
	uint32_t n;               /* fixed */
	uint32_t live;            /* flights.lock: still wanted ones */
	enum want_kind kind;
	enum want_prio prio;
	bool heavy, bulk; /* fixed; of demand */
	int64_t deadline, oldest, started;
	int64_t ended;        /* flights.lock */
	uint64_t random;      /* flights.lock; drawn at the end */
	struct job *job;      /* owned; instead of flights */
	bool cancel;          /* atomic */
	int64_t heard;        /* atomic; 0 = nothing yet */
	bool progress, probe; /* flights.lock */
	bool lingers;         /* flights.lock; goes on although all expired */
	bool overtaken;       /* flights.lock; see overtake() in flight.c */
};

struct outbox { /* tasks for a pool, handed over after unlocking */
	struct pool_task *head, **end;
};

struct flights {
	struct flight_options o; /* fixed, but for no_sizes: lock */
	struct pool *calls, *dones;
	struct alarm alarm;
	struct lock lock;
	pthread_cond_t idle; /* with lock: a call ended */
	/* all of the following: lock */
	struct outbox out_calls, out_dones;
	struct flight **table;
	uint32_t table_size, count;
	struct queue queues[LEVELS][KINDS];
	struct lane hints[LEVELS - HINT_READAHEAD][KINDS];
	struct asker *askers[ASKER_TABLE];
	unsigned light_turns; /* calls for light ones while heavy ones waited */
	struct flight *delayed;
	struct job *jobs, **jobs_end;
	struct call *running;
	uint32_t running_n, running_low, running_prefetch; /* in slots */
	uint32_t running_bulk, running_few;                /* of demand */
	uint32_t lingering;
	uint32_t wants;
	int64_t expiry; /* no want's deadline is earlier */
	int64_t together_until; /* who was answered together may be back */
	int64_t pace;   /* what a short call takes, about; 0 = unknown */
	uint64_t random;
	struct circuit circuit;
	bool offline, closing;
};

/* flight.c */
extern __thread const struct flights *flight_thread; /* whose thread this is */
void flight_lock(struct flights *f);
void flight_unlock(struct flights *f); /* and send what was posted */
static inline void flight_unlock_(struct flights **f)
{
	flight_unlock(*f);
}
static inline struct flights *flight_lock_(struct flights *f)
{
	flight_lock(f);
	return f;
}
/* Hold the lock until the end of the scope. */
#define flight_scope(f)                                                   \
	__attribute__((cleanup(flight_unlock_), unused)) struct flights * \
	BASE_CAT(flights_, __LINE__) = flight_lock_(f)
void flight_post(struct outbox *o, struct pool_task *t);
/* Complete all wants of fl and take it off the table; it is gone unless a call
 * still has it. text may be NULL. */
void flight_finish(struct flights *f, struct flight *fl, int result,
		   const char *text);
void flight_release(struct flight *fl);
/* A want left fl otherwise. Frees fl or cancels its call if it was the last. */
void flight_detached(struct flights *f, struct flight *fl);
/* Take wants w (linked by next_) to a pool thread. */
void flight_complete(struct flights *f, struct want *w, int result,
		     const char *text, int64_t waited_ns);
/* c, that lingered, is wanted again. */
void flight_wanted_again(struct flights *f, struct call *c);
/* Fail everything that is queued or delayed, and the jobs. */
void flight_fail_waiting(struct flights *f, int result, const char *text);
/* Sizes are not to be had by themselves: fetch the blob. */
void flight_size_to_blob(struct flights *f, struct flight *fl);
/* The text of an open circuit. */
void flight_circuit_text(struct flights *f, char *buf, size_t cap);

/* flight_table.c */
struct flight *flight_find(struct flights *f, enum want_kind kind,
			   const struct scorpio_id *id);
void flight_table_add(struct flights *f, struct flight *fl);
void flight_table_remove(struct flights *f, struct flight *fl);
/* c has ended with r: how long others wait for company. */
void flight_answered(struct flights *f, const struct call *c, int r);
/* How long the first of a queue waits for others. */
int64_t flight_window(const struct flights *f, enum flight_level level);

/* flight_turn.c */
void flight_enqueue(struct flights *f, struct flight *fl);
void flight_dequeue(struct flights *f, struct flight *fl); /* or delayed */
void flight_next_turn(struct queue *q);
/* The queue to fill a call from now, if a slot is free for it; or NULL. */
struct queue *flight_pick(struct flights *f, int64_t now);
bool flight_slot_free(const struct flights *f, enum flight_level level);
uint32_t flight_batch_max(const struct flights *f, enum want_kind kind);
/* Does any that programs wait for stand ready? */
bool flight_demand_ready(struct flights *f, int64_t now);
/* fl is asked for by whoever has this key, or goes along with what he asks for:
 * it is in his lane if it is queued, unless somebody lighter asked before. */
void flight_asked(struct flights *f, struct flight *fl, uint64_t key);
void flight_goes_along(struct flight *fl, struct asker *a);
/* fl is over. */
void flight_asker_leave(struct flights *f, struct flight *fl);
/* May he ask for one more? */
bool flight_asker_room(struct flights *f, uint64_t key);

/* flight_run.c */
void flight_dispatch(struct flights *f);
void flight_tick(struct alarm *a); /* takes the lock */
void flight_job_done(struct flights *f, struct job *j /* takes */, int result,
		     const char *text);

#endif
