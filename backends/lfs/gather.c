/* SPDX-License-Identifier: Apache-2.0 */
#include "gather.h"

#include "ids.h"

#define KEPT_MAX (768ull << 20) /* what comes after that is asked for again */

static int told(struct lfsgather *g, int rc)
{
	if (rc)
		*g->stop = true;
	return rc;
}

static void tree_free(struct lfstree *t)
{
	if (!t)
		return;
	free(t->entries);
	lfsbuf_done(&t->names);
	free(t);
}

struct lfstree *lfsgather_find(struct lfsgather *g,
			       const struct scorpio_id *below)
{
	struct lfstree *t = g->slots[lfs_hash_id(below) % LFSGATHER_SLOTS];

	while (t && !lfs_same_id(&t->id, below))
		t = t->next;
	return t;
}

int lfsgather_pour(struct lfsgather *g, struct lfstree *t)
{
	const struct scorpio_sink *out = g->out;
	struct scorpio_entry e;
	int rc;

	if (t->poured)
		return 0;
	t->poured = true;
	rc = told(g, out->tree_begin(out->ctx, &t->id));
	for (uint32_t i = 0; rc == 0 && i < t->n; i++) {
		const struct lfsentry *x = &t->entries[i];

		memset(&e, 0, sizeof(e));
		e.id = x->id;
		e.name = t->names.p + x->name;
		e.name_len = x->name_len;
		e.mode = x->mode;
		e.size = x->size;
		e.mtime_ns = x->mtime_ns;
		e.kind = x->kind;
		rc = told(g, out->tree_entry(out->ctx, &e));
	}
	return rc ? rc : told(g, out->tree_end(out->ctx));
}

/* -- the sink ------------------------------------------------------------------------ */

static int on_tree_begin(void *ctx, const struct scorpio_id *id)
{
	struct lfsgather *g = ctx;

	tree_free(g->open);
	g->open = calloc(1, sizeof(*g->open));
	if (!g->open)
		return lfs_nomem(g->s);
	g->open->id = *id;
	g->open->attributes = g->open->config = -1;
	return 0;
}

static bool is_named(const struct scorpio_entry *e, const char *name)
{
	return e->kind == SCORPIO_FILE && e->name_len == strlen(name) &&
	       !memcmp(e->name, name, e->name_len);
}

static int on_tree_entry(void *ctx, const struct scorpio_entry *e)
{
	struct lfsgather *g = ctx;
	struct lfstree *t = g->open;
	struct lfsentry *x;

	if (!t || t->n == UINT32_MAX / 2)
		return lfsfail(g->s, -EBADMSG, "an entry outside of a tree");
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? 2 * t->cap : 32;

		x = realloc(t->entries, cap * sizeof(*x));
		if (!x)
			return lfs_nomem(g->s);
		t->entries = x;
		t->cap = cap;
	}
	if (is_named(e, ".gitattributes"))
		t->attributes = t->n;
	else if (is_named(e, ".lfsconfig"))
		t->config = t->n;
	x = &t->entries[t->n++];
	memset(x, 0, sizeof(*x));
	x->id = e->id;
	x->size = e->size;
	x->mtime_ns = e->mtime_ns;
	x->name = (uint32_t)t->names.n;
	x->name_len = e->name_len;
	x->mode = e->mode;
	x->kind = e->kind;
	lfsbuf_put(&t->names, e->name, e->name_len);
	return t->names.broken || t->names.n > UINT32_MAX / 2 ?
		       lfs_nomem(g->s) :
		       0;
}

static void keep(struct lfsgather *g, struct lfstree *t)
{
	struct lfstree **slot = &g->slots[lfs_hash_id(&t->id) %
					  LFSGATHER_SLOTS];

	g->bytes += sizeof(*t) + t->cap * sizeof(*t->entries) + t->names.cap;
	g->n++;
	t->next = *slot;
	*slot = t;
}

static int on_tree_end(void *ctx)
{
	struct lfsgather *g = ctx;
	struct lfstree *t = g->open;
	bool asked, kept;
	int rc = 0;

	if (!t)
		return lfsfail(g->s, -EBADMSG, "the end of no tree");
	g->open = NULL;
	asked = g->under_rules && g->under_rules(g->ctx, &t->id);
	if (t->attributes < 0 && !g->hold)
		rc = lfsgather_pour(g, t);
	kept = asked || t->attributes >= 0 || g->keep;
	if (rc || !kept || g->bytes > KEPT_MAX || lfsgather_find(g, &t->id))
		tree_free(t);
	else
		keep(g, t);
	return rc;
}

static int on_blob_begin(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct lfsgather *g = ctx;

	return told(g, g->out->blob_begin(g->out->ctx, id, size));
}

static int on_blob_data(void *ctx, const void *p, uint64_t n)
{
	struct lfsgather *g = ctx;

	return told(g, g->out->blob_data(g->out->ctx, p, n));
}

static int on_blob_end(void *ctx)
{
	struct lfsgather *g = ctx;

	return told(g, g->out->blob_end(g->out->ctx));
}

static int on_abandon(void *ctx, int error)
{
	struct lfsgather *g = ctx;
	struct scorpio_id id;

	if (!g->open)
		return told(g, g->out->abandon(g->out->ctx, error));
	id = g->open->id;
	tree_free(g->open);
	g->open = NULL;
	return g->failed ? g->failed(g->ctx, &id, error < 0 ? error : -EIO) : 0;
}

static int on_size(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct lfsgather *g = ctx;

	return told(g, g->out->size(g->out->ctx, id, size));
}

static int on_failed(void *ctx, const struct scorpio_id *id, int error)
{
	struct lfsgather *g = ctx;

	return g->failed ? g->failed(g->ctx, id, error < 0 ? error : -EIO) : 0;
}

void lfsgather_init(struct lfsgather *g, struct lfs *s,
		    const struct scorpio_sink *out, bool *stop)
{
	memset(g, 0, sizeof(*g));
	g->s = s;
	g->out = out;
	g->stop = stop;
	g->sink.struct_size = sizeof(g->sink);
	g->sink.ctx = g;
	g->sink.tree_begin = on_tree_begin;
	g->sink.tree_entry = on_tree_entry;
	g->sink.tree_end = on_tree_end;
	g->sink.blob_begin = on_blob_begin;
	g->sink.blob_data = on_blob_data;
	g->sink.blob_end = on_blob_end;
	g->sink.abandon = on_abandon;
	g->sink.size = on_size;
	g->sink.failed = on_failed;
}

void lfsgather_done(struct lfsgather *g)
{
	tree_free(g->open);
	for (uint32_t i = 0; i < LFSGATHER_SLOTS; i++) {
		struct lfstree *t, *next;

		for (t = g->slots[i]; t; t = next) {
			next = t->next;
			tree_free(t);
		}
	}
	memset(g, 0, sizeof(*g));
}
