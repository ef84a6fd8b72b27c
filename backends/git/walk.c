/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c - everything below a tree of a local repository, level by level. The
 * host's sink is wrapped: what passes through it says what comes next.
 */
#include "local.h"

struct idset { /* open addressing; zero ids are free slots */
	git_oid *slots;
	size_t n, cap; /* cap is a power of two */
};

struct reflist {
	struct scorpio_ref *v;
	size_t n, cap;
};

struct walk {
	const struct scorpio_sink *sink;
	struct idset seen;
	struct reflist dirs, files; /* of the level being listed */
	bool blobs;
};

static size_t slot_of(const struct idset *s, const git_oid *oid)
{
	size_t i;

	memcpy(&i, oid->id, sizeof(i));
	for (i &= s->cap - 1; !git_oid_is_zero(&s->slots[i]) &&
			      !git_oid_equal(&s->slots[i], oid);)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static bool grow(struct idset *s)
{
	struct idset bigger = { .cap = s->cap ? 2 * s->cap : 1024,
				.n = s->n };

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < s->cap; i++)
		if (!git_oid_is_zero(&s->slots[i]))
			bigger.slots[slot_of(&bigger, &s->slots[i])] =
				s->slots[i];
	free(s->slots);
	*s = bigger;
	return true;
}

/* 1 added, 0 it was there, -ENOMEM */
static int add_id(struct idset *s, const git_oid *oid)
{
	size_t i;

	if (2 * s->n >= s->cap && !grow(s))
		return -ENOMEM;
	i = slot_of(s, oid);
	if (!git_oid_is_zero(&s->slots[i]))
		return 0;
	s->slots[i] = *oid;
	s->n++;
	return 1;
}

static int push(struct reflist *l, const struct scorpio_id *id, uint8_t kind)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct scorpio_ref *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	memset(&l->v[l->n], 0, sizeof(*l->v));
	l->v[l->n].id = *id;
	l->v[l->n++].kind = kind;
	return 0;
}

/* -- the wrapped sink ------------------------------------------------------ */

static int on_tree_begin(void *ctx, const struct scorpio_id *id)
{
	const struct scorpio_sink *sink = ((struct walk *)ctx)->sink;

	return sink->tree_begin(sink->ctx, id);
}

static int on_tree_entry(void *ctx, const struct scorpio_entry *e)
{
	struct walk *w = ctx;
	bool dir = e->kind == SCORPIO_DIR;
	git_oid oid;
	int rc = 0;

	if ((dir || (w->blobs && e->kind != SCORPIO_SUBMODULE)) &&
	    gitid_to_oid(&e->id, &oid))
		rc = add_id(&w->seen, &oid);
	if (rc > 0)
		rc = push(dir ? &w->dirs : &w->files, &e->id, e->kind);
	return rc ? rc : w->sink->tree_entry(w->sink->ctx, e);
}

static int on_tree_end(void *ctx)
{
	const struct scorpio_sink *sink = ((struct walk *)ctx)->sink;

	return sink->tree_end(sink->ctx);
}

static int on_failed(void *ctx, const struct scorpio_id *id, int error)
{
	const struct scorpio_sink *sink = ((struct walk *)ctx)->sink;

	return sink->failed ? sink->failed(sink->ctx, id, error) : error;
}

static int each_batch(struct gitlocal_call *c, struct reflist *l,
		      int (*fn)(struct gitlocal_call *c,
				const struct scorpio_ref *refs, uint32_t n))
{
	int rc = 0;

	for (size_t i = 0; i < l->n && rc == 0; i += 1000)
		rc = fn(c, l->v + i,
			(uint32_t)(l->n - i < 1000 ? l->n - i : 1000));
	return rc;
}

static int run(struct gitlocal_call *c, struct walk *w,
	       const struct scorpio_sink *wrapped, uint32_t depth)
{
	struct gitlocal_call listing = *c;
	int rc = 0;

	listing.sink = wrapped;
	for (uint32_t level = 0; rc == 0 && w->dirs.n &&
				 (!depth || level <= depth); level++) {
		struct reflist now = w->dirs;

		memset(&w->dirs, 0, sizeof(w->dirs));
		rc = each_batch(&listing, &now, gitlocal_list);
		free(now.v);
	}
	return rc ? rc : each_batch(c, &w->files, gitlocal_fetch);
}

int gitlocal_prefetch(struct gitlocal_call *c, const struct scorpio_ref *root,
		      uint32_t what, uint32_t depth)
{
	struct walk w = { .sink = c->sink,
			  .blobs = what & SCORPIO_PREFETCH_BLOBS };
	struct scorpio_sink wrapped = {
		.struct_size = sizeof(wrapped),
		.ctx = &w,
		.tree_begin = on_tree_begin,
		.tree_entry = on_tree_entry,
		.tree_end = on_tree_end,
		.failed = on_failed,
	};
	int rc = push(&w.dirs, &root->id, SCORPIO_DIR);

	if (rc == 0)
		rc = run(c, &w, &wrapped, depth);
	if (rc == -ENOMEM)
		gitfail(c->source, rc, "out of memory");
	free(w.dirs.v);
	free(w.files.v);
	free(w.seen.slots);
	return rc;
}
