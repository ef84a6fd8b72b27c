/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/recorder.h"

#include "core/id.h"

#include <stdarg.h>

static int breach(struct recorder *r, const char *fmt, ...) PRINTF(2, 3);
static int breach(struct recorder *r, const char *fmt, ...)
{
	va_list ap;

	if (!r->problem[0]) {
		va_start(ap, fmt);
		vsnprintf(r->problem, sizeof(r->problem), fmt, ap);
		va_end(ap);
	}
	return -EBADMSG;
}

/* Every function of the sink begins with this. */
static int enter(struct recorder *r, const char *what)
{
	if (__atomic_load_n(&r->closed, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&r->late, true, __ATOMIC_RELAXED);
		return -EBADMSG;
	}
	if (!pthread_equal(r->owner, pthread_self())) {
		__atomic_store_n(&r->alien, true, __ATOMIC_RELAXED);
		return -EBADMSG;
	}
	if (r->stopped)
		return breach(r, "%s after the sink had asked to stop", what);
	return r->problem[0] ? -EBADMSG : 0;
}

static int maybe_stop(struct recorder *r, enum rec_stop where)
{
	if (r->stop != where)
		return 0;
	r->stopped = true;
	return r->stop_value;
}

bool id_is_sane(const struct scorpio_id *id)
{
	uint32_t i;

	if (!id || !id->len || id->len > SCORPIO_ID_MAX)
		return false;
	for (i = id->len; i < SCORPIO_ID_MAX; i++)
		if (id->bytes[i])
			return false;
	return true;
}

static struct rec_object *add(struct recorder *r, enum rec_what what,
			      const struct scorpio_id *id)
{
	struct rec_object *o;

	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->objects = xrealloc(r->objects, r->cap * sizeof(*o));
	}
	o = &r->objects[r->n++];
	*o = (struct rec_object){ .what = what, .id = *id };
	return o;
}

static struct rec_object *current(struct recorder *r, enum rec_what what)
{
	if (!r->open || r->objects[r->n - 1].what != what)
		return NULL;
	return &r->objects[r->n - 1];
}

static int begin(struct recorder *r, enum rec_what what,
		 const struct scorpio_id *id, uint64_t size)
{
	const char *name = what == REC_TREE ? "tree_begin" : "blob_begin";
	int err = enter(r, name);

	if (err)
		return err;
	if (r->open)
		return breach(r, "%s before the end of another object", name);
	if (!id_is_sane(id))
		return breach(r,
			      "%s with a bad id (length, or bytes behind "
			      "its end that are not zero)",
			      name);
	add(r, what, id)->size = size;
	err = maybe_stop(r, REC_STOP_BEGIN);
	r->open = !err;
	return err;
}

static int rec_tree_begin(void *ctx, const struct scorpio_id *id)
{
	return begin(ctx, REC_TREE, id, 0);
}

static bool name_ok(const struct scorpio_entry *e)
{
	if (!e->name || !e->name_len || e->name_len > SCORPIO_NAME_MAX)
		return false;
	if (memchr(e->name, '/', e->name_len) ||
	    memchr(e->name, '\0', e->name_len))
		return false;
	return !(e->name[0] == '.' &&
		 (e->name_len == 1 || (e->name_len == 2 && e->name[1] == '.')));
}

static int check_entry(struct recorder *r, const struct scorpio_entry *e)
{
	if (!name_ok(e))
		return breach(r, "an entry has the name \"%.*s\" (%u bytes)",
			      e->name ? (int)MIN(e->name_len, 60u) : 0,
			      e->name ? e->name : "", e->name_len);
	if (e->kind < SCORPIO_FILE || e->kind > SCORPIO_SUBMODULE)
		return breach(r, "entry \"%.*s\" is of the unknown kind %u",
			      (int)e->name_len, e->name, e->kind);
	if (e->mode & ~07777u)
		return breach(r,
			      "entry \"%.*s\" has mode %o: more than "
			      "permission bits",
			      (int)e->name_len, e->name, e->mode);
	if (!id_is_sane(&e->id))
		return breach(r, "entry \"%.*s\" has a bad id",
			      (int)e->name_len, e->name);
	return 0;
}

static int rec_tree_entry(void *ctx, const struct scorpio_entry *e)
{
	struct recorder *r = ctx;
	struct rec_object *o;
	struct rec_entry *x;
	int err = enter(r, "tree_entry");

	if (err)
		return err;
	o = current(r, REC_TREE);
	if (!o)
		return breach(r, "tree_entry outside of a tree");
	err = check_entry(r, e);
	if (err)
		return err;
	if (o->n == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 16;
		o->entries = xrealloc(o->entries, o->cap * sizeof(*x));
	}
	x = &o->entries[o->n++];
	x->name = xstrndup(e->name, e->name_len);
	x->e = *e;
	x->e.name = x->name;
	err = maybe_stop(r, REC_STOP_ITEM);
	r->open = !err;
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct rec_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void recorder_sort(struct rec_object *tree)
{
	if (tree->n)
		qsort(tree->entries, tree->n, sizeof(*tree->entries), compare);
}

static int end(struct recorder *r, struct rec_object *o)
{
	o->complete = true;
	r->open = false;
	return maybe_stop(r, REC_STOP_END);
}

static int rec_tree_end(void *ctx)
{
	struct recorder *r = ctx;
	struct rec_object *o;
	int err = enter(r, "tree_end");
	uint32_t i;

	if (err)
		return err;
	o = current(r, REC_TREE);
	if (!o)
		return breach(r, "tree_end outside of a tree");
	recorder_sort(o);
	for (i = 1; i < o->n; i++)
		if (!strcmp(o->entries[i - 1].name, o->entries[i].name))
			return breach(r, "a tree has \"%s\" twice",
				      o->entries[i].name);
	return end(r, o);
}

static int rec_blob_begin(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	return begin(ctx, REC_BLOB, id, size);
}

static int rec_blob_data(void *ctx, const void *data, uint64_t n)
{
	struct recorder *r = ctx;
	struct rec_object *o;
	int err = enter(r, "blob_data");

	if (err)
		return err;
	o = current(r, REC_BLOB);
	if (!o || (n && !data))
		return breach(r, "blob_data outside of a blob, or NULL");
	if (o->size != SCORPIO_SIZE_UNKNOWN && n > o->size - o->data.len)
		return breach(r, "more than the %llu bytes announced",
			      (unsigned long long)o->size);
	buf_put(&o->data, data, n);
	err = maybe_stop(r, REC_STOP_ITEM);
	r->open = !err;
	return err;
}

static int rec_blob_end(void *ctx)
{
	struct recorder *r = ctx;
	struct rec_object *o;
	int err = enter(r, "blob_end");

	if (err)
		return err;
	o = current(r, REC_BLOB);
	if (!o)
		return breach(r, "blob_end outside of a blob");
	if (o->size != SCORPIO_SIZE_UNKNOWN && o->size != o->data.len)
		return breach(r, "%zu of the %llu bytes announced", o->data.len,
			      (unsigned long long)o->size);
	return end(r, o);
}

static int rec_abandon(void *ctx, int error)
{
	struct recorder *r = ctx;
	int err = enter(r, "abandon");

	if (err)
		return err;
	if (!r->open)
		return breach(r, "abandon without an object");
	if (error >= 0)
		return breach(r, "abandon(%d): not a negative errno", error);
	r->objects[r->n - 1].what = REC_FAILED;
	r->objects[r->n - 1].error = error;
	r->objects[r->n - 1].complete = true;
	r->open = false;
	return 0;
}

static int rec_size(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct recorder *r = ctx;
	struct rec_object *o;
	int err = enter(r, "size");

	if (err)
		return err;
	if (!id_is_sane(id) || size > INT64_MAX)
		return breach(r, "size() with a bad id or size");
	if (r->open)
		return breach(r, "size() inside another object");
	o = add(r, REC_SIZE, id);
	o->size = size;
	o->complete = true;
	return 0;
}

static int rec_failed(void *ctx, const struct scorpio_id *id, int error)
{
	struct recorder *r = ctx;
	struct rec_object *o;
	int err = enter(r, "failed");

	if (err)
		return err;
	if (!id_is_sane(id))
		return breach(r, "failed() with a bad id");
	if (error >= 0)
		return breach(r, "failed(%d): not a negative errno", error);
	if (r->open)
		return breach(r, "failed() inside another object");
	o = add(r, REC_FAILED, id);
	o->error = error;
	o->complete = true;
	return maybe_stop(r, REC_STOP_FAILED);
}

void recorder_init(struct recorder *r)
{
	*r = (struct recorder){
		.sink = {
			.struct_size = sizeof(r->sink),
			.ctx = r,
			.tree_begin = rec_tree_begin,
			.tree_entry = rec_tree_entry,
			.tree_end = rec_tree_end,
			.blob_begin = rec_blob_begin,
			.blob_data = rec_blob_data,
			.blob_end = rec_blob_end,
			.abandon = rec_abandon,
			.size = rec_size,
			.failed = rec_failed,
		},
		.owner = pthread_self(),
	};
}

void recorder_close(struct recorder *r)
{
	__atomic_store_n(&r->closed, true, __ATOMIC_RELEASE);
	if (__atomic_load_n(&r->alien, __ATOMIC_RELAXED))
		breach(r, "the sink was called by another thread");
}

void recorder_done(struct recorder *r)
{
	uint32_t i, k;

	for (i = 0; i < r->n; i++) {
		for (k = 0; k < r->objects[i].n; k++)
			free(r->objects[i].entries[k].name);
		free(r->objects[i].entries);
		buf_done(&r->objects[i].data);
	}
	free(r->objects);
	r->objects = NULL;
	r->n = r->cap = 0;
}

const struct rec_object *recorder_find(const struct recorder *r,
				       enum rec_what what,
				       const struct scorpio_id *id)
{
	uint32_t i;

	for (i = 0; i < r->n; i++)
		if (r->objects[i].what == what && r->objects[i].complete &&
		    id_equal(&r->objects[i].id, id))
			return &r->objects[i];
	return NULL;
}

unsigned recorder_count(const struct recorder *r, enum rec_what what,
			const struct scorpio_id *id)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < r->n; i++)
		n += r->objects[i].what == what && r->objects[i].complete &&
		     id_equal(&r->objects[i].id, id);
	return n;
}
