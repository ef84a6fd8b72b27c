/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/stage.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/lock.h"
#include "core/registry.h"

#define LAYERS_MAX   8
#define TURN_POLL_NS (20 * NS_PER_MS) /* how soon a cancelled wait is seen */

/* Lets one call at a time through. */
struct gate {
	struct lock lock;
	pthread_cond_t freed;
	bool taken;                        /* lock */
	unsigned users;                    /* gates_lock */
	const struct scorpio_backend *ops; /* of a whole plugin, else NULL */
	struct gate *next;                 /* gates_lock */
};

struct stage {
	const struct scorpio_backend *ops; /* the registry's */
	void *self;
	struct scorpio_host *host;
	struct scorpio_instance info;
	char *id_space;    /* owned copy */
	struct gate *gate; /* NULL: any number of calls */
	struct stage *below;
	struct scorpio_next next; /* `below` as the backend sees it */
};

static struct lock gates_lock = LOCK_INIT(LOCK_LEAF, "gates");
static struct gate *gates; /* gates_lock: of SERIAL plugins */

/* -- turns ----------------------------------------------------------------- */

static struct gate *gate_new(const struct scorpio_backend *ops)
{
	struct gate *g = xcalloc(1, sizeof(*g));

	lock_init(&g->lock, LOCK_LEAF, "backend turn");
	cond_init(&g->freed);
	g->ops = ops;
	g->users = 1;
	return g;
}

static struct gate *gate_get(const struct scorpio_backend *ops)
{
	struct gate *g;

	if (ops->threads == SCORPIO_THREADS_PARALLEL)
		return NULL;
	if (ops->threads == SCORPIO_THREADS_INSTANCE)
		return gate_new(NULL);
	ranked_scope(&gates_lock);
	for (g = gates; g && g->ops != ops; g = g->next)
		;
	if (g) {
		g->users++;
		return g;
	}
	g = gate_new(ops);
	g->next = gates;
	gates = g;
	return g;
}

static void gate_put(struct gate *g)
{
	struct gate **p;

	if (!g)
		return;
	if (g->ops) {
		ranked_scope(&gates_lock);
		if (--g->users)
			return;
		for (p = &gates; *p != g; p = &(*p)->next)
			;
		*p = g->next;
	}
	pthread_cond_destroy(&g->freed);
	lock_done(&g->lock);
	free(g);
}

static int turn_take(struct gate *g)
{
	int64_t until;
	int r = 0;

	if (!g)
		return 0;
	ranked_scope(&g->lock);
	while (g->taken && !(r = call_check())) {
		until = now_ns() + TURN_POLL_NS;
		lock_wait(&g->freed, &g->lock, MIN(until, call_deadline()));
	}
	if (!r)
		g->taken = true;
	return r;
}

static void turn_drop(struct gate *g)
{
	if (!g)
		return;
	ranked_scope(&g->lock);
	g->taken = false;
	pthread_cond_signal(&g->freed);
}

/* -- calls ----------------------------------------------------------------- */

/* The first stage from the top that offers the function, called in its turn;
 * -ENOTSUP if there is none. */
#define DISPATCH(self_, func_, ...)                                   \
	({                                                            \
		struct stage *st_ = (self_);                          \
		int64_t r_ = -ENOTSUP;                                \
                                                                      \
		while (st_ && !st_->ops->func_)                       \
			st_ = st_->below;                             \
		if (st_ && !(r_ = turn_take(st_->gate))) {            \
			lock_assert_none_held("a backend call");      \
			r_ = st_->ops->func_(st_->self, __VA_ARGS__); \
			turn_drop(st_->gate);                         \
		}                                                     \
		r_;                                                   \
	})

static int call_resolve(void *self, const char *spec,
			struct scorpio_revision *ret)
{
	return (int)DISPATCH(self, resolve, spec, ret);
}

static int call_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return (int)DISPATCH(self, list, refs, n, sink);
}

static int call_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		      const struct scorpio_sink *sink)
{
	return (int)DISPATCH(self, fetch, refs, n, sink);
}

static int call_sizes(void *self, const struct scorpio_ref *refs, uint32_t n,
		      const struct scorpio_sink *sink)
{
	return (int)DISPATCH(self, sizes, refs, n, sink);
}

static int call_prefetch(void *self, const struct scorpio_ref *root,
			 uint32_t what, uint32_t depth,
			 const struct scorpio_sink *sink)
{
	return (int)DISPATCH(self, prefetch, root, what, depth, sink);
}

static int call_read(void *self, const struct scorpio_ref *ref, uint64_t offset,
		     uint64_t length, const struct scorpio_sink *sink)
{
	return (int)DISPATCH(self, read, ref, offset, length, sink);
}

static int call_diff(void *self, const struct scorpio_ref *a,
		     const struct scorpio_ref *b, scorpio_change_fn emit,
		     void *ctx)
{
	return (int)DISPATCH(self, diff, a, b, emit, ctx);
}

static int call_watch(void *self, const char *spec,
		      const struct scorpio_id *known, uint32_t timeout_ms)
{
	return (int)DISPATCH(self, watch, spec, known, timeout_ms);
}

static int64_t call_xattr(void *self, const struct scorpio_ref *ref,
			  const char *name, void *buf, uint64_t cap)
{
	return DISPATCH(self, xattr, ref, name, buf, cap);
}

static int call_publish(void *self, const void *request, void *reply)
{
	return (int)DISPATCH(self, publish, request, reply);
}

static int call_bucket(void *self, const struct scorpio_ref *dir,
		       const char *name, uint32_t name_len,
		       struct scorpio_id *ret)
{
	return (int)DISPATCH(self, bucket, dir, name, name_len, ret);
}

static int call_part(void *self, const struct scorpio_id *blob, uint64_t size,
		     uint64_t offset, struct scorpio_part *ret)
{
	return (int)DISPATCH(self, part, blob, size, offset, ret);
}

/* A layer gets its `next` opened and closed by the host. */
static int call_open(const struct scorpio_host *host UNUSED,
		     const char *url UNUSED,
		     const struct scorpio_config *config UNUSED,
		     const struct scorpio_next *next UNUSED,
		     struct scorpio_instance *info UNUSED,
		     void **ret_self UNUSED)
{
	return fail(-ENOTSUP, "the backend below is open already");
}

static void call_close(void *self UNUSED)
{
}

const struct scorpio_backend stage_calls_table = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "next",
	.threads = SCORPIO_THREADS_PARALLEL,
	.open = call_open,
	.close = call_close,
	.resolve = call_resolve,
	.list = call_list,
	.fetch = call_fetch,
	.sizes = call_sizes,
	.prefetch = call_prefetch,
	.read = call_read,
	.diff = call_diff,
	.watch = call_watch,
	.xattr = call_xattr,
	.publish = call_publish,
	.bucket = call_bucket,
	.part = call_part,
};

/* -- life ------------------------------------------------------------------ */

static void stage_free(struct stage *s)
{
	gate_put(s->gate);
	host_free(s->host);
	free(s->id_space);
	free(s);
}

/* What the instance says of itself, the unsaid filled in. */
static void settle_info(struct stage *s)
{
	const char *space = s->info.id_space;

	if (!space)
		space = s->below ? s->below->id_space : s->ops->name;
	s->id_space = xstrdup(space);
	s->info.id_space = s->id_space;
	if (!s->info.batch_max)
		s->info.batch_max = s->below ? s->below->info.batch_max : 1000;
}

static int open_one(const struct stage_options *o,
		    const struct scorpio_backend *ops, struct stage *below,
		    struct stage **ret)
{
	struct host_options ho = {
		.name = o->name,
		.get = o->get,
		.remember = o->remember,
		.recall = o->recall,
		.ctx = o->ctx,
		.scratch_parent = o->scratch,
	};
	struct stage *s = xcalloc(1, sizeof(*s));
	int r;

	s->ops = ops;
	s->below = below;
	s->host = host_new(&ho);
	s->gate = gate_get(ops);
	s->next.struct_size = sizeof(s->next);
	s->next.self = below;
	s->next.ops = &stage_calls_table;
	s->info.struct_size = sizeof(s->info);
	if (below) {
		s->info = below->info;
		s->info.struct_size = sizeof(s->info);
	}
	error_clear();
	r = turn_take(s->gate);
	if (!r) {
		r = ops->open(s->host, o->url, host_config(s->host),
			      below ? &s->next : NULL, &s->info, &s->self);
		turn_drop(s->gate);
	}
	if (r) {
		stage_free(s);
		return r < 0 ? r
			     : fail(-EBADMSG, "%s: open() returned %d",
				    ops->name, r);
	}
	settle_info(s);
	*ret = s;
	return 0;
}

static int add_layer(const struct stage_options *o, const char *name,
		     struct stage **top)
{
	const struct scorpio_backend *ops = registry_by_name(name);
	struct stage *s;

	if (!ops || !(ops->flags & SCORPIO_BACKEND_LAYER))
		return fail(-EINVAL, "no layer named \"%s\"%s", name,
			    ops ? ": that is a source" : "");
	for (s = *top; s; s = s->below)
		if (s->ops == ops)
			return fail(-EINVAL, "layer \"%s\" is there twice",
				    name);
	return open_one(o, ops, *top, top);
}

int stage_open(const struct stage_options *o, struct stage **ret)
{
	const struct scorpio_backend *ops = registry_by_url(o->url);
	struct stage *top = NULL;
	size_t i;
	int r;

	if (!ops)
		return fail(-EINVAL,
			    "%s: nothing here takes this address; a "
			    "directory, a Git repository, or one of: %s",
			    o->name, registry_schemes());
	if (ops->flags & SCORPIO_BACKEND_LAYER)
		return fail(-EINVAL, "%s is a layer: it needs a source below",
			    ops->name);
	r = open_one(o, ops, NULL, &top);
	for (i = 0; !r && o->layers && o->layers[i]; i++)
		r = i < LAYERS_MAX
			    ? add_layer(o, o->layers[i], &top)
			    : fail(-EINVAL, "more than %d layers", LAYERS_MAX);
	if (r) {
		stage_close(top);
		return r;
	}
	*ret = top;
	return 0;
}

void stage_close(struct stage *s)
{
	struct stage *below;

	for (; s; s = below) {
		below = s->below;
		turn_take(s->gate);
		s->ops->close(s->self);
		turn_drop(s->gate);
		stage_free(s);
	}
}

const struct scorpio_backend *stage_ops(const struct stage *s)
{
	return s->ops;
}

const struct scorpio_instance *stage_info(const struct stage *s)
{
	return &s->info;
}

/* A call at the top goes through the gates below while it holds its own. */
unsigned stage_calls(const struct stage *s)
{
	for (; s; s = s->below)
		if (s->gate)
			return 1;
	return UINT32_MAX;
}

bool stage_has_sizes(const struct stage *s)
{
	while (s && !s->ops->sizes)
		s = s->below;
	return s != NULL;
}

static const struct stage *bottom(const struct stage *s)
{
	while (s->below)
		s = s->below;
	return s;
}

const struct scorpio_backend *stage_source_ops(const struct stage *s)
{
	return bottom(s)->ops;
}

bool stage_needs_path(const struct stage *s)
{
	for (; s; s = s->below)
		if (s->ops->flags & SCORPIO_BACKEND_NEEDS_PATH)
			return true;
	return false;
}

struct scorpio_id stage_plain_id(const struct stage *s,
				 const struct scorpio_id *id)
{
	uint8_t n = id->bytes[SCORPIO_ID_BELOW_LEN];
	struct scorpio_id plain = { .len = n };

	if (!s->below || id->len != SCORPIO_ID_MAX || n > SCORPIO_ID_BELOW_MAX)
		return *id;
	memcpy(plain.bytes, id->bytes, n);
	return plain;
}

bool stage_made_by_layer(const struct stage *s, const struct scorpio_id *id)
{
	return s->below && id->len == SCORPIO_ID_MAX;
}

uint32_t stage_id_kind(const struct stage *s, const struct scorpio_id *id)
{
	const struct scorpio_backend *ops = bottom(s)->ops;

	if (stage_made_by_layer(s, id) ||
	    ops->flags & SCORPIO_BACKEND_VERIFIES)
		return SCORPIO_ID_OPAQUE;
	return ops->id_kind;
}
