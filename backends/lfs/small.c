/* SPDX-License-Identifier: Apache-2.0 */
#include "small.h"

#include "ids.h"
#include "known.h"

/* A sink for the backend below: keeps the beginning of each blob. */
struct capture {
	struct scorpio_sink sink; /* first */
	struct lfs *s;
	const struct scorpio_sink *out;
	bool *stop;
	struct lfsitem *items; /* sorted by below; or */
	struct lfstext *texts; /* ... in any order */
	uint32_t n;
	size_t limit; /* what is longer is not kept */

	struct scorpio_id id; /* of the open blob */
	struct lfsbuf text;
	uint64_t size; /* as announced */
	struct lfsitem *item;
	struct lfstext *wanted;
	bool through; /* it goes on to `out` as item->id */
	uint64_t got;
};

static int told(struct capture *c, int rc)
{
	if (rc)
		*c->stop = true;
	return rc;
}

/* -- finding ---------------------------------------------------------------------- */

static int by_below(const void *a, const void *b)
{
	const struct scorpio_id *x = &((const struct lfsitem *)a)->below;
	const struct scorpio_id *y = &((const struct lfsitem *)b)->below;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->len);
}

static struct lfsitem *find_item(struct capture *c, const struct scorpio_id *id)
{
	struct lfsitem key = { .below = *id };

	return c->items ? bsearch(&key, c->items, c->n, sizeof(key), by_below) :
			  NULL;
}

static struct lfstext *find_text(struct capture *c, const struct scorpio_id *id)
{
	for (uint32_t i = 0; c->texts && i < c->n; i++)
		if (lfs_same_id(&c->texts[i].id, id))
			return &c->texts[i];
	return NULL;
}

/* -- blobs on their way up ----------------------------------------------------------- */

static int pour(struct capture *c, const struct scorpio_id *id)
{
	const struct scorpio_sink *out = c->out;
	int rc = told(c, out->blob_begin(out->ctx, id, c->text.n));

	if (rc == 0 && c->text.n)
		rc = told(c, out->blob_data(out->ctx, c->text.p, c->text.n));
	return rc ? rc : told(c, out->blob_end(out->ctx));
}

/* It is longer than any pointer. */
static int begin_through(struct capture *c)
{
	const struct scorpio_sink *out = c->out;
	const struct scorpio_id *id = c->item ? &c->item->id : &c->id;
	int rc = told(c, out->blob_begin(out->ctx, id, c->size));

	c->through = true;
	if (rc == 0 && c->text.n)
		rc = told(c, out->blob_data(out->ctx, c->text.p, c->text.n));
	c->text.n = 0;
	return rc;
}

static int on_blob_begin(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct capture *c = ctx;

	c->id = *id;
	c->size = size;
	c->got = 0;
	c->text.n = 0;
	c->through = false;
	c->item = find_item(c, id);
	c->wanted = find_text(c, id);
	if (!c->item && !c->wanted)
		return begin_through(c);
	return 0;
}

static int on_blob_data(void *ctx, const void *p, uint64_t n)
{
	struct capture *c = ctx;
	int rc = 0;

	c->got += n;
	if (!c->through && c->text.n + n > c->limit)
		rc = begin_through(c);
	if (rc)
		return rc;
	if (c->through)
		return told(c, c->out->blob_data(c->out->ctx, p, n));
	lfsbuf_put(&c->text, p, n);
	return c->text.broken ? lfs_nomem(c->s) : 0;
}

static int item_end(struct capture *c)
{
	struct lfsptr p;

	if (!c->through && lfsptr_parse(c->text.p ? c->text.p : "", c->text.n,
					&p)) {
		c->item->state = LFSITEM_POINTER;
		c->item->ptr = p;
		lfsknown_pointer(c->s->known, &c->id, &p);
		return pour(c, &c->id); /* git will ask for it */
	}
	c->item->state = LFSITEM_POURED;
	c->item->size = c->got;
	return c->through ? told(c, c->out->blob_end(c->out->ctx)) :
			    pour(c, &c->item->id);
}

static int on_blob_end(void *ctx)
{
	struct capture *c = ctx;

	if (c->item)
		return item_end(c);
	if (c->wanted)
		c->wanted->error = 0; /* too long: as if it were empty */
	if (c->through)
		return told(c, c->out->blob_end(c->out->ctx));
	lfsbuf_put(&c->wanted->text, c->text.p, c->text.n);
	lfsknown_text(c->s->known, &c->id, c->text.p, c->text.n);
	return pour(c, &c->id);
}

static void fail_one(struct capture *c, const struct scorpio_id *id, int error)
{
	struct lfsitem *item = find_item(c, id);
	struct lfstext *text = find_text(c, id);

	if (item && item->state == LFSITEM_ASKED) {
		item->state = LFSITEM_FAILED;
		item->error = error;
	}
	if (text)
		text->error = error;
}

static int on_abandon(void *ctx, int error)
{
	struct capture *c = ctx;

	fail_one(c, &c->id, error < 0 ? error : -EIO);
	return c->through ? told(c, c->out->abandon(c->out->ctx, error)) : 0;
}

static int on_failed(void *ctx, const struct scorpio_id *id, int error)
{
	struct capture *c = ctx;

	if (!c->items && !c->texts)
		return told(c, c->out->failed(c->out->ctx, id, error));
	fail_one(c, id, error < 0 ? error : -EIO);
	return 0;
}

static int on_size(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct capture *c = ctx;

	return told(c, c->out->size(c->out->ctx, id, size));
}

/* Trees are not expected here; they would have to be translated. */
static int ignore_tree(void *ctx, const struct scorpio_id *id)
{
	(void)ctx;
	(void)id;
	return 0;
}

static int ignore_entry(void *ctx, const struct scorpio_entry *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

static int ignore_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static void capture_init(struct capture *c, struct lfs *s,
			 const struct scorpio_sink *out, bool *stop)
{
	memset(c, 0, sizeof(*c));
	c->s = s;
	c->out = out;
	c->stop = stop;
	c->sink.struct_size = sizeof(c->sink);
	c->sink.ctx = c;
	c->sink.tree_begin = ignore_tree;
	c->sink.tree_entry = ignore_entry;
	c->sink.tree_end = ignore_end;
	c->sink.blob_begin = on_blob_begin;
	c->sink.blob_data = on_blob_data;
	c->sink.blob_end = on_blob_end;
	c->sink.abandon = on_abandon;
	c->sink.size = on_size;
	c->sink.failed = on_failed;
}

typedef int (*call_fn)(void *self, const struct scorpio_ref *refs, uint32_t n,
		       const struct scorpio_sink *sink);

/* In pieces that the backend below takes. */
static int call_below(struct capture *c, call_fn call, struct scorpio_ref *refs,
		      uint32_t n)
{
	const struct scorpio_next *next = c->s->next;
	int rc = 0, worst = 0;

	for (uint32_t at = 0; at < n && !*c->stop; at += c->s->below_max) {
		uint32_t part = n - at < c->s->below_max ? n - at :
							   c->s->below_max;

		rc = call(next->self, refs + at, part, &c->sink);
		if (rc == -EINTR || rc == -ENOTSUP || *c->stop)
			return rc;
		worst = rc ? rc : worst;
	}
	return worst;
}

/* What is to be asked for of the backend below. */
struct asking {
	struct scorpio_ref *refs;
	uint32_t n;
};

static void ask(struct asking *a, const struct scorpio_id *id,
		const char *path, uint32_t path_len)
{
	struct scorpio_ref *r = &a->refs[a->n++];

	memset(r, 0, sizeof(*r));
	r->id = *id;
	r->path = path;
	r->path_len = path_len;
	r->kind = SCORPIO_FILE;
}

static int fetch_asked(struct capture *c, struct asking *a)
{
	int rc = a->n ? call_below(c, c->s->next->ops->fetch, a->refs, a->n) :
			0;

	lfsbuf_done(&c->text);
	free(a->refs);
	return rc;
}

/* -- pointers ------------------------------------------------------------------------- */

int lfssmall_pointers(struct lfs *s, struct lfsitem *items, uint32_t n,
		      const struct scorpio_sink *sink, bool *stop)
{
	struct asking a = { calloc(n + 1, sizeof(*a.refs)), 0 };
	struct capture c;
	int rc;

	if (!a.refs)
		return lfs_nomem(s);
	capture_init(&c, s, sink, stop);
	qsort(items, n, sizeof(*items), by_below);
	for (uint32_t i = 0; i < n; i++) {
		struct lfsitem *x = &items[i];

		x->state = LFSITEM_ASKED;
		if (lfsknown_is_pointer(s->known, &x->below, &x->ptr))
			x->state = LFSITEM_POINTER;
		else if (!i || !lfs_same_id(&x[-1].below, &x->below))
			ask(&a, &x->below, x->path, x->path_len);
	}
	c.items = items;
	c.n = n;
	c.limit = LFSPTR_MAX;
	rc = fetch_asked(&c, &a);
	for (uint32_t i = 0; i < n && a.n; i++) { /* the same one twice */
		struct lfsitem *first = find_item(&c, &items[i].below);

		if (items[i].state == LFSITEM_ASKED)
			items[i] = *first;
	}
	return rc;
}

/* -- texts ----------------------------------------------------------------------------- */

int lfssmall_texts(struct lfs *s, struct lfstext *texts, uint32_t n,
		   const struct scorpio_sink *sink, bool *stop)
{
	struct asking a = { calloc(n + 1, sizeof(*a.refs)), 0 };
	struct capture c;
	int rc;

	if (!a.refs)
		return lfs_nomem(s);
	capture_init(&c, s, sink, stop);
	for (uint32_t i = 0; i < n; i++) {
		struct lfstext *t = &texts[i];

		if (lfsknown_has_text(s->known, &t->id, &t->text))
			continue;
		t->error = 1; /* so far */
		ask(&a, &t->id, t->path, t->path_len);
	}
	c.texts = texts;
	c.n = n;
	c.limit = LFSTEXT_MAX;
	rc = fetch_asked(&c, &a);
	for (uint32_t i = 0; i < n; i++)
		if (texts[i].error > 0)
			texts[i].error = rc < 0 ? rc : -EIO;
	return rc;
}

int lfssmall_below(struct lfs *s, struct scorpio_ref *refs, uint32_t n,
		   bool sizes, const struct scorpio_sink *sink, bool *stop)
{
	const struct scorpio_backend *ops = s->next->ops;
	struct capture c;
	int rc;

	capture_init(&c, s, sink, stop);
	rc = call_below(&c, sizes ? ops->sizes : ops->fetch, refs, n);
	lfsbuf_done(&c.text);
	return rc;
}
