/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/pour.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"

#define SIZES_FLUSH_MS 30000

/* -- landing: from the store's queue to those who wait --------------------- */

struct landing {
	struct source *source;
	enum want_kind kind;
	struct scorpio_id id;
	bool resized; /* it has another size than was told before */
	struct landing *next; /* source.lock: of those, until it is forgotten */
};

static void begin_correction(struct landing *l)
{
	struct source *s = l->source;

	l->resized = true;
	ranked_scope(&s->lock);
	l->next = s->corrections;
	__atomic_store_n(&s->corrections, l, __ATOMIC_RELEASE);
}

static void end_correction(struct landing *l)
{
	struct source *s = l->source;
	struct landing **at;

	ranked_scope(&s->lock);
	for (at = &s->corrections; *at != l; at = &(*at)->next)
		;
	__atomic_store_n(at, l->next, __ATOMIC_RELEASE);
}

bool source_correcting(struct source *s, const struct scorpio_id *id)
{
	if (!__atomic_load_n(&s->corrections, __ATOMIC_ACQUIRE))
		return false;
	ranked_scope(&s->lock);
	for (struct landing *l = s->corrections; l; l = l->next)
		if (id_equal(&l->id, id))
			return true;
	return false;
}

static void finish(struct landing *l, int result)
{
	struct source *s = l->source;

	if (l->resized)
		end_correction(l);
	flight_landed(s->flights, l->kind, &l->id, result);
	free(l);
	source_hold(s, &s->landings, -1);
}

static void corrected(void *ctx)
{
	finish(ctx, 0);
}

/* on the store's writer thread */
static void landed(void *ctx, int result)
{
	struct landing *l = ctx;

	/* whoever showed the wrong size forgets it before anybody goes on */
	if (result || !l->resized ||
	    !source_resized(l->source, &l->id, corrected, l))
		finish(l, result);
}

/* The object is complete: count it, and tell that it is being stored. */
static struct landing *landing_new(struct pour *p, enum want_kind kind,
				   uint64_t bytes)
{
	struct landing *l = xcalloc(1, sizeof(*l));
	struct source *s = p->source;
	uint32_t pid = 0;

	l->source = s;
	l->kind = kind;
	l->id = p->id;
	source_hold(s, &s->landings, 1);
	if (flight_poured(s->flights, kind, &p->id, &pid))
		account_add(s->accounts, pid, 1, bytes);
	__atomic_fetch_add(&s->objects, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->bytes, bytes, __ATOMIC_RELAXED);
	metric_add(s->metrics.objects, 1);
	metric_add(s->metrics.bytes, (int64_t)bytes);
	return l;
}

static bool present(struct source *s, enum want_kind kind,
		    const struct scorpio_id *id, uint64_t *ret_told)
{
	struct store_key k = store_key(s->space, id);
	struct store_reader r;
	struct tree_view tree;
	struct blob_info blob;
	bool there;

	*ret_told = SCORPIO_SIZE_UNKNOWN;
	if (store_read_begin(s->store, &r) < 0)
		return false;
	if (kind == WANT_TREE) {
		there = store_tree(&r, &k, &tree) == 0;
	} else {
		there = store_blob(&r, &k, &blob) == 0;
		if (there)
			*ret_told = blob.size;
		if (there && kind == WANT_BLOB)
			there = blob.has_content &&
				(!blob.size ||
				 store_blob_present(&r, &k, 0, blob.size));
	}
	store_read_end(&r);
	return there;
}

bool pour_present(struct source *s, enum want_kind kind,
		  const struct scorpio_id *id)
{
	uint64_t told;

	return present(s, kind, id, &told);
}

/* -- troubles -------------------------------------------------------------- */

/* The backend does not keep to backend.h: nothing more is taken from it. */
static int broken(struct pour *p, const char *what)
{
	const char *name = stage_ops(p->source->stage)->name;

	if (!p->broken) {
		p->broken = -EBADMSG;
		p->why = xasprintf("backend %s broke the protocol: %s", name,
				   what);
	}
	return fail(p->broken, "%s", p->why);
}

/* May this call of the sink go on? */
static int enter(struct pour *p)
{
	if (!pthread_equal(p->owner, pthread_self())) {
		__atomic_store_n(&p->alien, true, __ATOMIC_RELAXED);
		return fail(-EBADMSG, "the sink was called by another thread");
	}
	if (p->broken)
		return fail(p->broken, "%s", p->why);
	return 0;
}

static void count_failed(struct source *s)
{
	__atomic_fetch_add(&s->failed, 1, __ATOMIC_RELAXED);
	metric_add(s->metrics.failed, 1);
}

/* This thread's error text says why. */
static void object_failed(struct pour *p, enum want_kind kind,
			  const struct scorpio_id *id, int error)
{
	char hex[ID_HEX_MAX];

	count_failed(p->source);
	log_debug("source", "%s: %s: %s", p->source->name, id_hex(id, hex),
		  error_text(error));
	flight_failed(p->source->flights, kind, id, error);
}

/* The open object is no good; what else comes of it is ignored. */
static void drop(struct pour *p, int error)
{
	object_failed(p, p->open == POUR_TREE ? WANT_TREE : WANT_BLOB, &p->id,
		      error);
	p->dropped = true;
}

static int begin(struct pour *p, const struct scorpio_id *id, int what)
{
	int r = enter(p);

	if (!r && p->open)
		r = broken(p, "an object began inside another");
	if (!r && (!id || !id->len || id->len > SCORPIO_ID_MAX))
		r = broken(p, "an object without a valid id");
	if (!r)
		r = call_check();
	if (r)
		return r;
	p->id = *id;
	p->open = what;
	p->dropped = false;
	p->present = present(p->source,
			     what == POUR_TREE ? WANT_TREE : WANT_BLOB, id,
			     &p->told);
	return 0;
}

/* Forget the open object. */
static void close_object(struct pour *p)
{
	tree_builder_free(steal(&p->tree));
	blob_writer_abandon(steal(&p->blob));
	p->open = POUR_NONE;
}

/* -- trees ----------------------------------------------------------------- */

static int pour_tree_begin(void *ctx, const struct scorpio_id *id)
{
	struct pour *p = ctx;
	int r = begin(p, id, POUR_TREE);

	if (!r && !p->present)
		p->tree = tree_builder_new();
	return r;
}

static int pour_tree_entry(void *ctx, const struct scorpio_entry *e)
{
	struct pour *p = ctx;
	int r = enter(p);

	if (!r && (p->open != POUR_TREE || !e || (!e->name && e->name_len)))
		r = broken(p, "an entry outside of a tree");
	if (r || p->present || p->dropped)
		return r;
	r = tree_builder_add(p->tree, e);
	if (r)
		drop(p, fail_prefix(r, "%s: bad directory", p->source->name));
	return 0;
}

static int store_tree_now(struct pour *p)
{
	struct store_key k = store_key(p->source->space, &p->id);
	cleanup_buf struct buf record = BUF_INIT;
	struct source *s = p->source;
	struct landing *l;
	int r;

	r = tree_builder_finish(p->tree, store_key_seed(&k), &record);
	if (r) {
		drop(p, fail_prefix(r, "%s: bad directory", s->name));
		return 0;
	}
	l = landing_new(p, WANT_TREE, record.len);
	r = store_put_tree(s->store, &k, &record, landed, l);
	if (r)
		landed(l, r);
	return 0;
}

static int pour_tree_end(void *ctx)
{
	struct pour *p = ctx;
	int r = enter(p);

	if (!r && p->open != POUR_TREE)
		r = broken(p, "the end of a tree that had not begun");
	if (r)
		return r;
	if (p->present)
		flight_landed(p->source->flights, WANT_TREE, &p->id, 0);
	else if (!p->dropped)
		r = store_tree_now(p);
	close_object(p);
	return r;
}

/* -- blobs ----------------------------------------------------------------- */

static int pour_blob_begin(void *ctx, const struct scorpio_id *id,
			   uint64_t size)
{
	struct pour *p = ctx;
	struct source *s = p->source;
	struct store_key k;
	int r = begin(p, id, POUR_BLOB);

	p->size = size;
	p->got = 0;
	if (r || p->present)
		return r;
	k = store_key(s->space, id);
	r = blob_writer_new(s->store, &k, id, stage_id_kind(s->stage, id), size,
			    &p->blob);
	if (r)
		drop(p, r);
	return 0;
}

static int pour_blob_data(void *ctx, const void *data, uint64_t n)
{
	struct pour *p = ctx;
	int r = enter(p);

	if (!r && (p->open != POUR_BLOB || (n && !data)))
		r = broken(p, "data outside of a blob");
	if (!r)
		r = call_check();
	if (r || p->dropped)
		return r;
	if (n > p->size - p->got || p->got + n < p->got) {
		drop(p, fail(-EBADMSG,
			     "%s: sent more than the %llu bytes it "
			     "announced",
			     p->source->name, (unsigned long long)p->size));
		return 0;
	}
	p->got += n;
	call_progress();
	if (p->present || !n)
		return 0;
	r = blob_writer_data(p->blob, data, n);
	if (r)
		drop(p, r);
	return 0;
}

static void store_blob_now(struct pour *p)
{
	struct source *s = p->source;
	struct landing *l;
	int r;

	if (p->size != SCORPIO_SIZE_UNKNOWN && p->got != p->size) {
		drop(p, fail(-EBADMSG, "%s: sent %llu of %llu bytes", s->name,
			     (unsigned long long)p->got,
			     (unsigned long long)p->size));
		return;
	}
	l = landing_new(p, WANT_BLOB, p->got);
	if (p->told != SCORPIO_SIZE_UNKNOWN && p->told != p->got)
		begin_correction(l);
	r = blob_writer_end(steal(&p->blob), landed, l);
	if (!r)
		return;
	/* not poured after all; -EBADMSG may be asked for again */
	flight_unpoured(s->flights, WANT_BLOB, &p->id);
	drop(p, fail_prefix(r, "%s", s->name));
	if (l->resized)
		end_correction(l);
	free(l);
	source_hold(s, &s->landings, -1);
}

static int pour_blob_end(void *ctx)
{
	struct pour *p = ctx;
	int r = enter(p);

	if (!r && p->open != POUR_BLOB)
		r = broken(p, "the end of a blob that had not begun");
	if (r)
		return r;
	if (p->present)
		flight_landed(p->source->flights, WANT_BLOB, &p->id, 0);
	else if (!p->dropped)
		store_blob_now(p);
	close_object(p);
	return 0;
}

/* -- the rest of the sink -------------------------------------------------- */

static int pour_abandon(void *ctx, int error)
{
	struct pour *p = ctx;
	int r = enter(p);

	if (!r && !p->open)
		r = broken(p, "abandoned an object that had not begun");
	if (r)
		return r;
	if (!p->dropped && !p->present)
		drop(p, error < 0 ? error : -EIO);
	close_object(p);
	return 0;
}

/* Nothing is ever read of a file that is said to be empty, so its content would
 * never prove the server wrong. But the id of nothing is known. */
static bool empty_by_mistake(const struct source *s,
			     const struct scorpio_id *id, uint64_t size)
{
	static const char *const nothing[] = {
		"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", /* git, SHA-1 */
		"473a0f4c3be8a93681a267e3b1e9a7dc"
		"da1185436fe141f7749120a303721813", /* git, SHA-256 */
		"e3b0c44298fc1c149afbf4c8996fb924"
		"27ae41e4649b934ca495991b7852b855", /* SHA-256 */
	};
	char hex[ID_HEX_MAX];

	if (size || stage_id_kind(s->stage, id) == SCORPIO_ID_OPAQUE)
		return false;
	id_hex(id, hex);
	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++)
		if (!strcmp(hex, nothing[i]))
			return false;
	return true;
}

static int pour_size(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct pour *p = ctx;
	struct store_key k;
	int r = enter(p);

	if (!r &&
	    (!id || !id->len || id->len > SCORPIO_ID_MAX || size > INT64_MAX))
		r = broken(p, "not a size, or not an id");
	if (!r)
		r = call_check();
	if (r)
		return r;
	k = store_key(p->source->space, id);
	if (empty_by_mistake(p->source, id, size)) /* fetch it instead */
		r = fail(-ENOTSUP, "said to be empty, which it is not");
	else
		r = store_put_size(p->source->store, &k, size);
	if (r)
		object_failed(p, WANT_SIZE, id, r);
	else
		buf_put(&p->sizes, id, sizeof(*id));
	return 0;
}

static int pour_failed(void *ctx, const struct scorpio_id *id, int error)
{
	struct pour *p = ctx;
	int r = enter(p);

	if (!r && (!id || !id->len || id->len > SCORPIO_ID_MAX))
		r = broken(p, "a failure of no valid id");
	if (!r && p->open && id_equal(id, &p->id))
		r = broken(p, "failed() for an object that was begun");
	if (!r && p->kind >= 0)
		object_failed(p, (enum want_kind)p->kind, id,
			      error < 0 ? error : -EIO);
	return r;
}

void pour_init(struct pour *p, struct source *s, int kind)
{
	*p = (struct pour){
		.sink = {
			.struct_size = sizeof(p->sink),
			.ctx = p,
			.tree_begin = pour_tree_begin,
			.tree_entry = pour_tree_entry,
			.tree_end = pour_tree_end,
			.blob_begin = pour_blob_begin,
			.blob_data = pour_blob_data,
			.blob_end = pour_blob_end,
			.abandon = pour_abandon,
			.size = pour_size,
			.failed = pour_failed,
		},
		.source = s,
		.owner = pthread_self(),
		.kind = kind,
	};
}

/* Sizes are told when they are committed, all at once. */
static void land_sizes(struct pour *p)
{
	const struct scorpio_id *id = (const void *)p->sizes.data;
	size_t n = p->sizes.len / sizeof(*id), i;
	struct source *s = p->source;
	int r;

	if (!n)
		return;
	r = store_flush(s->store, deadline_in_ms(SIZES_FLUSH_MS));
	for (i = 0; i < n; i++)
		flight_landed(s->flights, WANT_SIZE, &id[i], r);
}

int pour_done(struct pour *p, int r)
{
	char what[64];

	if (__atomic_load_n(&p->alien, __ATOMIC_RELAXED))
		broken(p, "the sink was called by another thread");
	if (r > 0) {
		snprintf(what, sizeof(what), "a call returned %d", r);
		broken(p, what);
	}
	if (!r && p->open)
		broken(p, "a call ended in the middle of an object");
	close_object(p);
	if (p->sizes.len) {
		cleanup_free char *text = r < 0 ? xstrdup(error_text(r)) : NULL;
		land_sizes(p);
		if (text)
			fail(r, "%s", text);
	}
	buf_done(&p->sizes);
	if (p->broken) {
		r = fail(p->broken, "%s", p->why);
		free(p->why);
	}
	return r;
}
