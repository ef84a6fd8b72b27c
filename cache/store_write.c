/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue and the one thread that writes. Producers hash and compress in
 * their own threads and only append here; the writer takes what is queued, up
 * to batch_bytes or BATCH_OPS, commits it in one transaction and then calls
 * the done functions. Nothing is synced on this path: a second thread does
 * that every few seconds.
 *
 * A full map: the transaction is dropped, room is made (evict.c), the batch is
 * tried again. A failing disk: the batch fails, its done functions and for a
 * second all producers get the error; then the next batch is tried, so writing
 * resumes by itself when there is space again. Reading goes on all the time.
 */
#include "core/call.h"

#include "cache/store_impl.h"

#include <signal.h>
#include <sys/statvfs.h>

#define BATCH_OPS       1000u
#define ROOM_TRIES      12
#define ROOM_WAIT_MS    50
#define QUEUE_WAIT_MS   120000   /* for producers without a deadline */
#define ERROR_NS        NS_PER_S /* how long producers are turned away */
#define IDLE_NS         (30 * NS_PER_S)
#define USE_FLUSH_NS    (30 * NS_PER_S)
#define FREE_CHECK_NS   NS_PER_S
#define FREE_REST       20u /* times what it took, if that was long */
#define FREE_LONG_NS    NS_PER_MS
#define STUCK_NS        (10 * NS_PER_S) /* pins hold more than the low mark */

/* -- operations ---------------------------------------------------------- */

struct put_state *put_state_get(struct put_state *p)
{
	if (!p)
		p = xcalloc(1, sizeof(*p));
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void put_state_put(struct put_state *p)
{
	if (p && !__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		free(p);
}

struct store_op *store_op_new(enum op_kind kind, const void *key, size_t len)
{
	struct store_op *op = xmalloc(sizeof(*op) + len);

	*op = (struct store_op){ .kind = kind, .key_len = (uint16_t)len };
	if (len)
		memcpy(op->key, key, len);
	return op;
}

void store_op_free(struct store_op *op)
{
	if (!op)
		return;
	buf_done(&op->data);
	buf_done(&op->list);
	put_state_put(op->state);
	free(op);
}

static size_t cost(const struct store_op *op)
{
	return sizeof(*op) + op->key_len + op->data.len + op->list.len;
}

/* -- queueing ------------------------------------------------------------ */

static int refused(struct store *s) /* lock: q_lock */
{
	if (s->q_stop)
		return fail(-ESHUTDOWN, "store: it is being closed");
	if (s->w_error && now_ns() < s->w_error_until)
		return fail(s->w_error, "%s", s->w_error_text);
	return 0;
}

int64_t store_wait_deadline(void)
{
	return MIN(call_deadline(), deadline_in_ms(QUEUE_WAIT_MS));
}

static int wait_room(struct store *s, bool nowait) /* lock: q_lock */
{
	int64_t end = store_wait_deadline();
	int r = refused(s);

	while (!r && s->q_bytes > s->q_bound) {
		if (nowait)
			return -EAGAIN;
		if (cond_wait_until(&s->q_room, &s->q_lock, end))
			return fail(-ETIMEDOUT, "store: the disk is too slow: "
						"the write queue stayed full");
		r = refused(s);
	}
	return r;
}

int store_queue(struct store *s, struct store_op *op, bool nowait)
{
	int r = 0;

	if (s->read_only) {
		store_op_free(op);
		return fail(-EROFS, "store: opened for reading only");
	}
	pthread_mutex_lock(&s->q_lock);
	r = wait_room(s, nowait);
	if (!r) {
		op->next = NULL;
		*s->q_tail = op;
		s->q_tail = &op->next;
		s->q_bytes += cost(op);
		pthread_cond_signal(&s->q_work);
	}
	pthread_mutex_unlock(&s->q_lock);
	if (r)
		store_op_free(op);
	return r;
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	int refs; /* lock */
	bool done;
	int result;
	char text[256];
	uint64_t value; /* instead of the caller's *ret, which may be gone */
};

static void waiter_put(struct waiter *w) /* lock: w->lock; unlocks */
{
	int left = --w->refs;

	pthread_mutex_unlock(&w->lock);
	if (left)
		return;
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->woken);
	free(w);
}

static void waiter_done(void *ctx, int result)
{
	struct waiter *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->result = result;
	if (result)
		snprintf(w->text, sizeof(w->text), "%s", error_text(result));
	pthread_cond_signal(&w->woken);
	waiter_put(w);
}

int store_queue_wait(struct store *s, struct store_op *op, int64_t deadline)
{
	struct waiter *w = xcalloc(1, sizeof(*w));
	uint64_t *ret = op->ret;
	int r;

	pthread_mutex_init(&w->lock, NULL);
	cond_init(&w->woken);
	w->refs = 2;
	op->done = waiter_done;
	op->ctx = w;
	op->ret = &w->value;
	r = store_queue(s, op, false);
	pthread_mutex_lock(&w->lock);
	if (r) {
		w->refs--;
		waiter_put(w);
		return r;
	}
	while (!w->done && !r)
		r = cond_wait_until(&w->woken, &w->lock, deadline);
	if (w->done)
		r = w->result ? fail(w->result, "%s", w->text) : 0;
	else
		r = fail(-ETIMEDOUT, "store: the commit takes too long");
	if (!r && ret)
		*ret = w->value;
	waiter_put(w);
	return r;
}

/* -- a batch ------------------------------------------------------------- */

struct batch {
	struct store_op *head;
	size_t bytes;
	unsigned count;
};

static void sync_wants(struct store *s, uint64_t bytes)
{
	lock_scope(&s->sync_lock);

	s->sync_bytes += bytes;
	if (s->sync_bytes >= STORE_SYNC_BYTES)
		pthread_cond_signal(&s->sync_work);
}

static int apply_all(struct store *s, struct batch *b, MDB_txn *txn,
		     struct store_counters *c)
{
	int rc = 0;

	for (struct store_op *op = b->head; op && !rc; op = op->next) {
		op->result = 0;
		rc = store_apply(s, txn, c, op);
	}
	return rc ? rc : store_counters_save(s, txn, c);
}

/* One try: an LMDB result. */
static int commit(struct store *s, struct batch *b)
{
	struct store_counters c = s->c;
	MDB_txn *txn;
	MDB_stat st = { 0 };
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = apply_all(s, b, txn, &c);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	mdb_stat(txn, s->dbi[DBI_CHUNK], &st);
	rc = mdb_txn_commit(txn);
	if (rc)
		return rc;
	s->c = c;
	pthread_mutex_lock(&s->q_lock);
	s->c_seen = c;
	pthread_mutex_unlock(&s->q_lock);
	__atomic_store_n(&s->clock_seen, c.clock, __ATOMIC_RELAXED);
	__atomic_store_n(&s->chunks_seen, st.ms_entries, __ATOMIC_RELAXED);
	sync_wants(s, b->bytes);
	return 0;
}

static int used_now(struct store *s, uint64_t *ret)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return store_mdb_fail(rc, "begin");
	rc = store_used_bytes(s, txn, ret);
	mdb_txn_abort(txn);
	return rc;
}

/* Before a batch: go down to 80 % once 90 % would be passed. */
static void keep_below(struct store *s, size_t coming)
{
	uint64_t used, freed = 0;

	if (used_now(s, &used) || used + coming <= evict_high(s))
		return;
	if (now_ns() < s->stuck_until)
		return; /* not again for each batch; a full map still does */
	evict_to(s, evict_low(s) - MIN(evict_low(s) / 2, coming), &freed);
	if (used - freed + coming > evict_high(s))
		s->stuck_until = now_ns() + STUCK_NS;
}

static void empty_commit(struct store *s)
{
	struct batch none = { 0 };

	commit(s, &none);
}

/* LMDB found no (contiguous) pages although we are below 90 %: fragments, or
 * pages that a reader still holds. Evict a little more each time. */
static void make_room(struct store *s, int try)
{
	uint64_t used, freed, step = s->max_bytes / 20;

	if (used_now(s, &used))
		return;
	used = MIN(used, evict_low(s));
	evict_to(s, used > step ? used - step : 0, &freed);
	/* pages freed by one transaction are free for the next but one */
	empty_commit(s);
	empty_commit(s);
	if (try > 2)
		usleep(ROOM_WAIT_MS * 1000);
}

static bool disk_full(const struct store *s, size_t wanted)
{
	struct statvfs v;

	return !statvfs(s->path, &v) &&
	       (uint64_t)v.f_bavail * v.f_frsize < wanted + 1 * MiB;
}

/* Damage was met: the mark makes the next start check the structure. */
static void mark_damage(struct store *s)
{
	if (s->damage_marked ||
	    !__atomic_load_n(&s->damage_seen, __ATOMIC_RELAXED))
		return;
	s->damage_marked = !store_state_mark(s, false, true);
}

/* An LMDB result. */
static int commit_with_room(struct store *s, struct batch *b)
{
	int rc;

	keep_below(s, b->bytes);
	rc = commit(s, b);
	for (int try = 0; rc == MDB_MAP_FULL && try < ROOM_TRIES; try++) {
		make_room(s, try);
		rc = commit(s, b);
	}
	if (rc == MDB_MAP_FULL)
		store_doubt(s); /* has it lost the list of free pages? */
	return rc;
}

/* A part of the writer's work that a damaged page may end: an LMDB result. */
static int guarded(struct store *s, int (*work)(struct store *, struct batch *),
		   struct batch *b)
{
	struct store_guard g;
	int rc;

	if (s->left)
		return MDB_CORRUPTED;
	if (store_guarded(&g)) {
		s->left = true;
		__atomic_store_n(&s->structure_bad, true, __ATOMIC_RELAXED);
		return MDB_CORRUPTED;
	}
	rc = work(s, b);
	store_guard_pop(&g);
	return rc;
}

static int run_batch(struct store *s, struct batch *b)
{
	int rc = guarded(s, commit_with_room, b);

	if (store_is_structural(rc) && !store_swap(s, mdb_strerror(rc)))
		rc = guarded(s, commit_with_room, b);
	if (rc == MDB_MAP_FULL)
		return fail(-ENOSPC,
			    "store: %s is full and nothing more can "
			    "be evicted: raise cache.max_size or "
			    "remove pins",
			    s->path);
	if (rc == EIO && disk_full(s, b->bytes))
		rc = ENOSPC; /* LMDB's word for a write cut short */
	if (rc == ENOSPC || rc == EDQUOT)
		return fail(-rc,
			    "store: no space left on the disk of %s: make "
			    "room there or lower cache.max_size",
			    s->path);
	return rc ? store_mdb_fail(rc, "write") : 0;
}

/* Errors of the disk turn producers away for a while; those of one operation
 * do not. */
static void note_result(struct store *s, int r, size_t bytes)
{
	lock_scope(&s->q_lock);

	s->w_error = r;
	if (r) {
		s->w_error_until = now_ns() + ERROR_NS;
		snprintf(s->w_error_text, sizeof(s->w_error_text), "%s",
			 error_text(r));
	}
	s->q_bytes -= bytes;
	pthread_cond_broadcast(&s->q_room);
}

static void finish(struct store *s, struct batch *b, int r)
{
	char text[256] = "";

	note_result(s, r, b->bytes);
	if (r)
		snprintf(text, sizeof(text), "%s", error_text(r));
	while (b->head) {
		struct store_op *op = b->head;
		int result = r ? r : op->result;

		b->head = op->next;
		if (result && op->state)
			__atomic_store_n(&op->state->error, result,
					 __ATOMIC_RELAXED);
		if (result)
			fail(result, "%s",
			     r ? text
			       : "store: a part of the "
				 "object was not written");
		if (op->done)
			op->done(op->ctx, result);
		store_op_free(op);
	}
}

/* -- the thread ---------------------------------------------------------- */

static bool use_due(struct store *s)
{
	uint32_t n = __atomic_load_n(&s->used_count, __ATOMIC_RELAXED);

	return n > STORE_USED_SLOTS / 2 ||
	       (n && now_ns() - s->use_flushed > USE_FLUSH_NS);
}

static void cut_batch(struct store *s, struct batch *b) /* lock: q_lock */
{
	struct store_op *op, *last = NULL;

	*b = (struct batch){ .head = s->q_head };
	for (op = s->q_head; op; last = op, op = op->next) {
		size_t n = cost(op);

		if (last &&
		    (op->kind == OP_GC || last->kind == OP_GC ||
		     b->bytes + n > s->batch_bytes || b->count >= BATCH_OPS))
			break;
		b->bytes += n;
		b->count++;
	}
	s->q_head = op;
	if (!op)
		s->q_tail = &s->q_head;
	if (last)
		last->next = NULL;
}

/* False: stopped and nothing left. An empty batch: look after the house. */
static bool take(struct store *s, struct batch *b)
{
	lock_scope(&s->q_lock);

	*b = (struct batch){ 0 };
	if (!s->q_head && !s->q_stop)
		cond_wait_until(&s->q_work, &s->q_lock, now_ns() + IDLE_NS);
	if (!s->q_head)
		return !s->q_stop;
	cut_batch(s, b);
	return true;
}

/* A list of free pages that is wrong makes LMDB write over what is in use, or
 * search it for minutes: never let it have one. */
static bool free_list_bad(struct store *s)
{
	int64_t start = now_ns(), took;
	bool bad;

	if (start < s->free_check_after)
		return false;
	bad = store_check_free(s->path, start + FREE_CHECK_NS) == -EUCLEAN;
	took = now_ns() - start;
	if (took > FREE_LONG_NS) /* more than 100 000 pages */
		s->free_check_after = start + FREE_REST * took;
	return bad;
}

static bool is_damaged(struct store *s, bool writes)
{
	if (writes && free_list_bad(s))
		__atomic_store_n(&s->structure_bad, true, __ATOMIC_RELAXED);
	return __atomic_load_n(&s->structure_bad, __ATOMIC_RELAXED);
}

static int gc(struct store *s, struct batch *b)
{
	struct store_op *op = b->head;

	op->result = evict_to(s, op->size, op->ret);
	return 0;
}

static int run_gc(struct store *s, struct batch *b)
{
	int rc = guarded(s, gc, b);

	return rc ? store_mdb_fail(rc, "make room") : 0;
}

static int flush_use(struct store *s, struct batch *b UNUSED)
{
	return store_use_flush(s);
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	struct batch b;

	while (take(s, &b)) {
		int r = 0;

		if (is_damaged(s, b.head))
			store_swap(s, "its structure");
		if (b.head && b.head->kind == OP_GC)
			r = run_gc(s, &b);
		else if (b.head)
			r = run_batch(s, &b);
		finish(s, &b, r);
		mark_damage(s);
		if (use_due(s)) {
			guarded(s, flush_use, NULL);
			s->use_flushed = now_ns();
		}
	}
	guarded(s, flush_use, NULL);
	return NULL;
}

/* -- starting and ending ------------------------------------------------- */

int store_writer_start(struct store *s)
{
	sigset_t all, old;
	int r;

	s->use_flushed = now_ns();
	s->threads = true; /* they look at it */
	sigfillset(&all); /* signals are for the threads that expect them */
	sigdelset(&all, SIGBUS); /* but these are the thread's own */
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = store_sync_start(s);
	if (!r) {
		r = store_thread(&s->writer, writer_main, s, "store-write");
		if (r)
			store_sync_stop(s);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		s->threads = false;
	return r;
}

void store_writer_stop(struct store *s)
{
	if (!s->threads)
		return;
	pthread_mutex_lock(&s->sync_lock);
	if (s->salvaging)
		store_salvage_stop(s->salvaging);
	pthread_mutex_unlock(&s->sync_lock);
	pthread_mutex_lock(&s->q_lock);
	s->q_stop = true;
	pthread_cond_broadcast(&s->q_work);
	pthread_cond_broadcast(&s->q_room);
	pthread_mutex_unlock(&s->q_lock);
	pthread_join(s->writer, NULL);
	store_sync_stop(s);
	s->threads = false;
}
