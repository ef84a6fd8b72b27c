/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/source.h"

#include "cache/pour.h"
#include "cache/source_impl.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define FETCH_THREADS 4u
#define SINGLE_CALLS  32u /* where each call is for few objects */
#define SINGLE_BATCH  4u
#define BATCH_MAX     1000u
#define SIZES_MANY    8u
#define GATHER_NS     (1 * NS_PER_MS)
#define AUX_THREADS   4
#define CLOSE_MS      10000
#define DROP_MS	      10000
#define PREFETCH_MS   (3600 * 1000ll)

static const char *const call_names[] = { "list", "fetch", "sizes" };

/* -- calls of the backend -------------------------------------------------- */

/* What is in the store by now need not be asked for. Returns how many are
 * left in refs. */
static uint32_t drop_present(struct source *s, const struct flight_batch *b,
			     struct scorpio_ref *refs)
{
	uint32_t i, n = 0;

	/* or a reader of what is damaged would be sent back to it */
	if (store_dropping(s->store))
		store_flush(s->store, deadline_in_ms(DROP_MS));
	for (i = 0; i < b->n; i++) {
		if (pour_present(s, b->kind, &b->refs[i].id)) {
			flight_landed(s->flights, b->kind, &b->refs[i].id, 0);
			continue;
		}
		account_see(s->accounts, b->pids[i]);
		refs[n++] = b->refs[i];
	}
	return n;
}

static int call_backend(struct source *s, enum want_kind kind,
			const struct scorpio_ref *refs, uint32_t n,
			const struct scorpio_sink *sink)
{
	const struct scorpio_backend *ops = &stage_calls_table;

	switch (kind) {
	case WANT_TREE:
		source_count(s, OP_LIST);
		return ops->list(s->stage, refs, n, sink);
	case WANT_BLOB:
		source_count(s, OP_FETCH);
		return ops->fetch(s->stage, refs, n, sink);
	case WANT_SIZE:
		source_count(s, OP_SIZES);
		return ops->sizes(s->stage, refs, n, sink);
	}
	return -EINVAL;
}

static int run_batch(void *ctx, const struct flight_batch *b)
{
	cleanup_free struct scorpio_ref *refs = xcalloc(b->n, sizeof(*refs));
	struct source *s = ctx;
	struct pour pour;
	struct call call;
	uint32_t n;
	int r;

	n = drop_present(s, b, refs);
	if (!n)
		return 1;
	pour_init(&pour, s, (int)b->kind);
	call_enter(&call, b->deadline, b->cancel);
	call_listen(&call, b->heard);
	r = call_backend(s, b->kind, refs, n, &pour.sink);
	r = pour_done(&pour, r);
	call_leave(&call);
	if (r && r != -EINTR && !(r == -ENOTSUP && b->kind == WANT_SIZE))
		log_warn("source", "%s: %s of %u objects failed: %s", s->name,
			 call_names[b->kind], n, error_text(r));
	return r;
}

struct prefetch {
	struct source *source;
	struct scorpio_id root;
	char *path;
	uint32_t what, depth;
	void (*done)(void *ctx, int result);
	void *ctx;
};

static int run_prefetch(void *ctx, const bool *cancel)
{
	struct prefetch *x = ctx;
	struct source *s = x->source;
	struct scorpio_ref ref = { .id = x->root, .kind = SCORPIO_DIR };
	struct pour pour;
	struct call call;
	int r;

	ref.path = x->path;
	ref.path_len = x->path ? (uint32_t)strlen(x->path) : 0;
	source_count(s, OP_PREFETCH);
	pour_init(&pour, s, -1);
	call_enter(&call, deadline_in_ms(PREFETCH_MS), cancel);
	r = stage_calls_table.prefetch(s->stage, &ref, x->what, x->depth,
				       &pour.sink);
	r = pour_done(&pour, r);
	call_leave(&call);
	if (r && r != -EINTR && r != -ENOTSUP)
		log_warn("source", "%s: prefetch failed: %s", s->name,
			 error_text(r));
	return r;
}

static void prefetch_done(void *ctx, int result)
{
	struct prefetch *x = ctx;

	if (x->done)
		x->done(x->ctx, result);
	free(x->path);
	free(x);
}

void source_prefetch(struct source *s, const struct scorpio_id *root,
		     const char *path, uint32_t what, uint32_t depth,
		     void (*done)(void *ctx, int result), void *ctx)
{
	struct prefetch *x = xcalloc(1, sizeof(*x));

	x->source = s;
	x->root = *root;
	x->path = path ? xstrdup(path) : NULL;
	x->what = what;
	x->depth = depth;
	x->done = done;
	x->ctx = ctx;
	flight_job(s->flights, run_prefetch, prefetch_done, x);
}

/* -- wants ----------------------------------------------------------------- */

void source_want(struct source *s, struct want *const wants[], size_t n)
{
	uint64_t asker = call_asker();

	for (size_t i = 0; asker && i < n; i++)
		if (!wants[i]->asker && !wants[i]->pid)
			wants[i]->asker = asker;
	flight_want(s->flights, wants, n);
}

void source_cancel(struct source *s, struct want *w)
{
	flight_cancel(s->flights, w);
}

struct need {
	struct want want;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;  /* lock */
	int result; /* lock */
	char *text; /* lock */
};

static void need_done(struct want *w, int result)
{
	struct need *x = container_of(w, struct need, want);

	lock_scope(&x->lock);
	x->done = true;
	x->result = result;
	x->text = result ? xstrdup(error_text(result)) : NULL;
	pthread_cond_signal(&x->cond);
}

static void need_wait(struct source *s, struct need *x)
{
	bool cancelled = false;
	int64_t until;

	pthread_mutex_lock(&x->lock);
	while (!x->done) {
		until = deadline_in_ms(50); /* look for our caller's cancel */
		cond_wait_until(&x->cond, &x->lock, until);
		if (x->done || cancelled || !call_cancelled())
			continue;
		cancelled = true;
		pthread_mutex_unlock(&x->lock);
		flight_cancel(s->flights, &x->want);
		pthread_mutex_lock(&x->lock);
	}
	pthread_mutex_unlock(&x->lock);
}

int source_need(struct source *s, enum want_kind kind,
		const struct scorpio_ref *ref, enum want_prio prio,
		int64_t deadline)
{
	struct need x = {
		.want = {
			.kind = kind, .prio = prio, .id = ref->id,
			.path = ref->path, .path_len = ref->path_len,
			.entry_kind = ref->kind, .done = need_done,
			.deadline = MIN(deadline, call_deadline()),
		},
	};
	struct want *w = &x.want;

	if (pour_present(s, kind, &ref->id))
		return 0;
	pthread_mutex_init(&x.lock, NULL);
	cond_init(&x.cond);
	source_want(s, &w, 1);
	need_wait(s, &x);
	pthread_cond_destroy(&x.cond);
	pthread_mutex_destroy(&x.lock);
	if (x.result)
		fail(x.result, "%s", x.text);
	free(x.text);
	return x.result;
}

/* -- life ------------------------------------------------------------------ */

void source_hold(struct source *s, uint32_t *counter, int by)
{
	ranked_scope(&s->lock);
	*counter += (uint32_t)by;
	if (!s->landings && !s->asks)
		pthread_cond_broadcast(&s->quiet);
}

static const char *get_config(void *ctx, const char *key)
{
	struct source *s = ctx;

	return s->config.get ? s->config.get(&s->config, key) : NULL;
}

/* -- facts, of the id space ------------------------------------------------ */

static int remember_fact(void *ctx, const char *name, const void *p, size_t n)
{
	struct source *s = ctx;
	cleanup_free char *full = xasprintf("fact/%u/%s", s->space, name);

	if (!s->has_space)
		return fail(-ENOTSUP, "facts are remembered after open()");
	return store_put_value(s->store, full, p, n);
}

static int64_t recall_fact(void *ctx, const char *name, void *buf, size_t cap)
{
	struct source *s = ctx;
	cleanup_free char *full = xasprintf("fact/%u/%s", s->space, name);
	cleanup_buf struct buf b = BUF_INIT;
	int r;

	if (!s->has_space)
		return fail(-ENOTSUP, "facts are remembered after open()");
	r = store_get_value(s->store, full, &b);
	if (r)
		return r;
	memcpy(buf, b.data, MIN(cap, b.len));
	return (int64_t)b.len;
}

static int open_stage(struct source *s, const struct source_options *o)
{
	cleanup_free char *scratch =
		xasprintf("%s/scratch", store_path(o->store));
	struct stage_options so = {
		.name = s->name,
		.url = o->address ? o->address : s->url,
		.layers = o->layers,
		.scratch = scratch,
		.get = get_config,
		.remember = remember_fact,
		.recall = recall_fact,
		.ctx = s,
	};
	int r;

	r = stage_open(&so, &s->stage);
	if (r)
		return r;
	s->local = stage_info(s->stage)->flags & SCORPIO_INSTANCE_LOCAL;
	/* its root is the same for ever */
	if (stage_info(s->stage)->flags & SCORPIO_INSTANCE_OPEN_ROOT)
		s->allow_stale = true;
	r = store_space(s->store, stage_info(s->stage)->id_space, &s->space);
	s->has_space = !r;
	return r;
}

static void waited(void *ctx, int64_t ns, int result UNUSED)
{
	struct source *s = ctx;

	histogram_add(s->metrics.wait, ns);
}

/* Requests for single objects have to overlap, or each waits a round trip. */
static unsigned usual_calls(const struct scorpio_instance *info)
{
	return info->batch_max <= SINGLE_BATCH ? SINGLE_CALLS : FETCH_THREADS;
}

static void open_flights(struct source *s, const struct source_options *o)
{
	unsigned slots = o->fetch_threads ? o->fetch_threads
					  : usual_calls(stage_info(s->stage));
	uint32_t batch_max = o->batch_max ? o->batch_max : BATCH_MAX;
	struct circuit circuit;
	struct flight_options fo = {
		.name = s->name,
		.slots = MIN(MAX(slots, 2u), stage_calls(s->stage)),
		.batch_max = MIN(batch_max, stage_info(s->stage)->batch_max),
		.sizes_max = MIN(SIZES_MANY * batch_max,
				 stage_info(s->stage)->batch_max),
		.gather_ns = s->local ? 0 : GATHER_NS,
		.no_sizes = !stage_has_sizes(s->stage),
		.run = run_batch,
		.waited = waited,
		.ctx = s,
		.circuit = &circuit,
	};

	circuit_init(&circuit);
	if (s->local)
		circuit.min_failures = UINT32_MAX; /* no server to spare */
	s->flights = flight_new(&fo);
	flight_set_offline(s->flights, o->offline && !s->local);
}

static void source_free(struct source *s)
{
	flight_free(s->flights);
	pool_free(s->aux);
	stage_close(s->stage);
	account_free(s->accounts);
	pthread_cond_destroy(&s->quiet);
	lock_done(&s->lock);
	free(s->name);
	free(s->url);
	free(s->shown_url);
	free(s);
}

int source_open(const struct source_options *o, struct source **ret)
{
	struct source *s = xcalloc(1, sizeof(*s));
	char shown[1024];
	int r;

	s->refs = 1;
	s->url = xstrdup(o->url);
	s->shown_url = xstrdup(log_redact(o->url, shown, sizeof(shown)));
	s->name = xstrdup(o->name ? o->name : s->shown_url);
	s->store = o->store;
	s->allow_stale = o->allow_stale;
	if (o->config)
		s->config = *o->config;
	lock_init(&s->lock, LOCK_LEAF, "source");
	cond_init(&s->quiet);
	s->accounts = account_new();
	r = open_stage(s, o);
	if (r) {
		source_free(s);
		return r;
	}
	s->aux = pool_new("ask", AUX_THREADS);
	open_flights(s, o);
	source_metrics_init(s);
	*ret = s;
	return 0;
}

void source_on_resized(struct source *s, source_resized_fn fn, void *ctx)
{
	ranked_scope(&s->lock);
	s->resized = fn;
	s->resized_ctx = ctx;
}

bool source_resized(struct source *s, const struct scorpio_id *id,
		    void (*done)(void *arg), void *arg)
{
	ranked_scope(&s->lock);
	if (s->resized)
		s->resized(s->resized_ctx, s->space, id, done, arg);
	return s->resized;
}

struct source *source_get(struct source *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

/* False: something does not come back by the deadline. */
static bool wait_quiet(struct source *s, int64_t deadline)
{
	int r = 0;

	ranked_scope(&s->lock);
	while ((s->landings || s->asks) && !r)
		r = lock_wait(&s->quiet, &s->lock, deadline);
	return !s->landings && !s->asks;
}

static void teardown(struct source *s)
{
	int64_t deadline = deadline_in_ms(CLOSE_MS);

	source_metrics_done(s);
	if (flight_stop(s->flights, deadline) && wait_quiet(s, deadline))
		source_free(s);
	else
		log_error("source",
			  "%s: backend %s does not return from a call; it is "
			  "left behind",
			  s->name, stage_ops(s->stage)->name);
}

/* Sources that a thread of their own closes. */
static struct lock closers_lock = LOCK_INIT(LOCK_LEAF, "closers");
static pthread_cond_t closers_gone = PTHREAD_COND_INITIALIZER;
static unsigned closers; /* closers_lock */

static void count_closer(int by)
{
	ranked_scope(&closers_lock);
	closers += (unsigned)by;
	if (!closers)
		pthread_cond_broadcast(&closers_gone);
}

static void *close_elsewhere(void *arg)
{
	teardown(arg);
	count_closer(-1);
	return NULL;
}

void source_join(void)
{
	ranked_scope(&closers_lock);
	while (closers)
		lock_wait(&closers_gone, &closers_lock, DEADLINE_NONE);
}

void source_put(struct source *s)
{
	pthread_t thread;

	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (!flight_own_thread(s->flights)) {
		teardown(s);
		return;
	}
	/* from a done(): that thread is one of those to be waited for */
	count_closer(1);
	if (pthread_create(&thread, NULL, close_elsewhere, s) == 0) {
		pthread_detach(thread);
		return;
	}
	log_error("source", "%s: no thread to close it", s->name);
	count_closer(-1);
}

/* -- questions ------------------------------------------------------------- */

const char *source_url(const struct source *s)
{
	return s->shown_url;
}

const struct scorpio_backend *source_backend(const struct source *s)
{
	return stage_ops(s->stage);
}

const struct scorpio_backend *source_bottom(const struct source *s)
{
	return stage_source_ops(s->stage);
}

struct scorpio_id source_plain_id(const struct source *s,
				  const struct scorpio_id *id)
{
	return stage_plain_id(s->stage, id);
}

uint32_t source_id_kind(const struct source *s, const struct scorpio_id *id)
{
	return stage_made_by_layer(s->stage, id)
		       ? SCORPIO_ID_OPAQUE
		       : stage_source_ops(s->stage)->id_kind;
}

bool source_needs_path(const struct source *s)
{
	return stage_needs_path(s->stage);
}

uint32_t source_instance_flags(const struct source *s)
{
	return stage_info(s->stage)->flags;
}

uint16_t source_space(const struct source *s)
{
	return s->space;
}

struct store *source_store(const struct source *s)
{
	return s->store;
}

void source_set_offline(struct source *s, bool offline)
{
	flight_set_offline(s->flights, offline && !s->local);
}

bool source_offline(const struct source *s)
{
	return flight_offline(s->flights);
}

int source_bucket(struct source *s, const struct scorpio_id *dir,
		  const char *name, size_t len, struct scorpio_id *ret)
{
	struct scorpio_ref ref = { .id = *dir, .kind = SCORPIO_DIR };
	struct scorpio_id id = { 0 };
	int r;

	r = stage_calls_table.bucket(s->stage, &ref, name, (uint32_t)len, &id);
	if (r)
		return r == -ENOENT || r == -ENOTSUP ? -ENOENT : r;
	if (!id.len || id.len > SCORPIO_ID_MAX)
		return fail(-EBADMSG, "backend %s: a bucket without a valid id",
			    stage_ops(s->stage)->name);
	*ret = id;
	return 0;
}

int source_part(struct source *s, const struct scorpio_id *id, uint64_t size,
		uint64_t offset, struct scorpio_part *ret)
{
	struct scorpio_part p = { .offset = 0 };

	if (stage_calls_table.part(s->stage, id, size, offset, &p))
		return -ENOENT;
	if (!p.id.len || p.id.len > SCORPIO_ID_MAX || p.offset > offset ||
	    offset - p.offset >= p.length || p.offset % STORE_CHUNK_SIZE)
		return fail(-EBADMSG, "backend %s: a part without a valid id "
			    "or place", stage_ops(s->stage)->name);
	*ret = p;
	return 0;
}

void source_accounts(struct source *s,
		     void (*fn)(void *ctx, const struct source_account *a),
		     void *ctx)
{
	account_each(s->accounts, fn, ctx);
}
