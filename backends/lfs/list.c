/* SPDX-License-Identifier: Apache-2.0 */
#include "list_impl.h"

#include "ctx.h"
#include "ids.h"
#include "known.h"

#define SIZES_AT_ONCE 1000u

static void lister_init(struct lfslister *x, struct lfs *s,
			const struct scorpio_sink *sink)
{
	memset(x, 0, sizeof(*x));
	x->s = s;
	x->out = sink;
}

static void lister_done(struct lfslister *x)
{
	lfsgather_done(&x->gather);
	lfsjobs_done(&x->asked);
	lfsjobs_done(&x->todo);
	free(x->done);
	free(x->files);
}

/* -- what is asked for ------------------------------------------------------------- */

static int say_failed(struct lfslister *x, const struct scorpio_id *id,
		      int error)
{
	int rc = x->out->failed(x->out->ctx, id, error);

	if (rc)
		x->stop = true;
	return rc;
}

static int understand(struct lfslister *x, const struct scorpio_ref *ref,
		      struct lfsjob *job)
{
	const uint8_t *hash = NULL;
	char mark = lfsid_split(&ref->id, &job->below, &hash);

	job->out = ref->id;
	if (mark == LFSID_TREE)
		return lfsctx_find(x->s, &job->below, hash, &job->rules);
	if (mark)
		return lfsfail(x->s, -EINVAL, "not the id of a directory");
	return 0;
}

static int add_asked(struct lfslister *x, const struct scorpio_ref *ref)
{
	struct lfsjob job = { 0 };
	int rc = understand(x, ref, &job);

	if (rc)
		return say_failed(x, &ref->id, rc);
	if (ref->path) {
		job.path = strndup(ref->path, ref->path_len);
		if (!job.path)
			return lfs_nomem(x->s);
	}
	rc = lfsjobs_add(x->s, &x->asked, &job);
	if (rc)
		free(job.path);
	return rc;
}

/* -- what the gathering asks -------------------------------------------------------- */

static bool under_rules(void *ctx, const struct scorpio_id *below)
{
	const struct lfslister *x = ctx;

	for (uint32_t i = 0; i < x->asked.n; i++)
		if (x->asked.v[i].rules &&
		    lfs_same_id(&x->asked.v[i].below, below))
			return true;
	return false;
}

static int on_failed(void *ctx, const struct scorpio_id *below, int error)
{
	struct lfslister *x = ctx;
	bool found = false;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < x->asked.n; i++) {
		struct lfsjob *job = &x->asked.v[i];

		if (!lfs_same_id(&job->below, below))
			continue;
		found = true;
		if (!job->failed)
			rc = say_failed(x, &job->out, error);
		job->failed = true;
	}
	return found ? rc : say_failed(x, below, error);
}

static void gather_init(struct lfslister *x)
{
	lfsgather_init(&x->gather, x->s, x->out, &x->stop);
	x->gather.failed = on_failed;
	x->gather.under_rules = under_rules;
	x->gather.ctx = x;
}

/* -- after they have come ------------------------------------------------------------ */

static int add_todo(struct lfslister *x, const struct lfsjob *from,
		    struct lfstree *tree)
{
	struct lfsjob job = *from;
	int rc;

	job.tree = tree;
	job.path = from->path ? strdup(from->path) : NULL;
	rc = lfsjobs_add(x->s, &x->todo, &job);
	if (rc)
		free(job.path);
	return rc;
}

static int asked_todo(struct lfslister *x)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < x->asked.n; i++) {
		const struct lfsjob *job = &x->asked.v[i];
		struct lfstree *t = lfsgather_find(&x->gather, &job->below);

		if (!t || (!job->rules && t->poured))
			continue;
		if (!job->rules && t->attributes < 0)
			rc = lfsgather_pour(&x->gather, t);
		else
			rc = add_todo(x, job, t);
	}
	return rc;
}

static int each_kept(struct lfslister *x,
		     int (*fn)(struct lfslister *x, struct lfstree *t))
{
	int rc = 0;

	for (uint32_t i = 0; i < LFSGATHER_SLOTS; i++)
		for (struct lfstree *t = x->gather.slots[i]; t && rc == 0;
		     t = t->next)
			rc = fn(x, t);
	return rc;
}

static int pour_plain(struct lfslister *x, struct lfstree *t)
{
	return t->attributes < 0 ? lfsgather_pour(&x->gather, t) : 0;
}

static int todo_plain(struct lfslister *x, struct lfstree *t)
{
	struct lfsjob job = { .out = t->id, .below = t->id };

	return t->attributes < 0 ? 0 : add_todo(x, &job, t);
}

/* Is the root they asked for one without LFS? Then what came along is as it
 * is. */
static bool all_plain(const struct lfslister *x)
{
	for (uint32_t i = 0; i < x->asked.n; i++) {
		const struct lfsjob *job = &x->asked.v[i];

		if (job->rules && lfsknown_root_any(x->s->known, &job->out))
			return false;
	}
	return true;
}

/* -- list ------------------------------------------------------------------------------ */

/* Each directory below once, however many rules it is asked for under. */
static uint32_t below_refs(const struct lfslister *x, struct scorpio_ref *refs)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->asked.n; i++) {
		const struct lfsjob *job = &x->asked.v[i];
		uint32_t k = 0;

		while (k < n && !lfs_same_id(&refs[k].id, &job->below))
			k++;
		if (k < n)
			continue;
		memset(&refs[n], 0, sizeof(*refs));
		refs[n].id = job->below;
		refs[n].path = job->path;
		refs[n].path_len = job->path ? (uint32_t)strlen(job->path) : 0;
		refs[n++].kind = SCORPIO_DIR;
	}
	return n;
}

static int list_below(struct lfslister *x)
{
	struct scorpio_ref *refs = calloc(x->asked.n + 1, sizeof(*refs));
	const struct scorpio_next *next = x->s->next;
	uint32_t n = refs ? below_refs(x, refs) : 0;
	int rc = refs ? 0 : lfs_nomem(x->s);

	if (n)
		rc = next->ops->list(next->self, refs, n, &x->gather.sink);
	free(refs);
	return rc;
}

static int list(struct lfslister *x, const struct scorpio_ref *refs, uint32_t n)
{
	int rc = 0, below;

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = add_asked(x, &refs[i]);
	for (uint32_t i = 0; i < x->asked.n; i++)
		if (x->asked.v[i].rules)
			x->gather.keep = x->gather.hold = true;
	if (rc || !x->asked.n)
		return rc;
	below = list_below(x);
	if (x->stop || below == -EINTR)
		return below;
	rc = asked_todo(x);
	if (rc == 0)
		rc = lfslister_translate(x);
	if (rc == 0 && x->gather.hold && all_plain(x))
		rc = each_kept(x, pour_plain);
	return rc ? rc : below;
}

/* NULL without memory. */
static struct lfslister *lister_new(struct lfs *s,
				    const struct scorpio_sink *sink)
{
	struct lfslister *x = malloc(sizeof(*x));

	if (!x)
		return NULL;
	lister_init(x, s, sink);
	gather_init(x);
	return x;
}

static void lister_free(struct lfslister *x)
{
	lister_done(x);
	free(x);
}

int lfslist_list(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		 const struct scorpio_sink *sink)
{
	struct lfslister *x = lister_new(s, sink);
	int rc = x ? list(x, refs, n) : lfs_nomem(s);

	if (x)
		lister_free(x);
	return rc;
}

/* -- prefetch -------------------------------------------------------------------------- */

static int settle_sizes(struct lfslister *x)
{
	const struct scorpio_sink *out = x->out;
	int rc = 0;

	for (uint32_t at = 0; rc == 0 && at < x->n_files; at += SIZES_AT_ONCE) {
		uint32_t n = x->n_files - at < SIZES_AT_ONCE ? x->n_files - at :
							       SIZES_AT_ONCE;
		struct lfsitem *f = x->files + at;

		rc = lfssmall_pointers(x->s, f, n, out, &x->stop);
		if (x->stop || rc == -EINTR)
			return rc;
		rc = 0; /* a hint: what failed is asked for when needed */
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			if (f[i].state == LFSITEM_POINTER)
				rc = out->size(out->ctx, &f[i].id,
					       f[i].ptr.size);
		x->stop = rc != 0;
	}
	return rc;
}

/* Do rules for LFS hold there? The root may have to be read for that. */
static int holds_any(struct lfslister *x, const struct scorpio_ref *root,
		     bool *ret)
{
	const struct lfsjob *job = &x->asked.v[0];
	int any, rc;

	*ret = job->rules && lfsrules_any(job->rules);
	if (!job->rules || !(lfsrules_flags(job->rules) & LFSRULES_ROOT))
		return 0;
	any = lfsknown_root_any(x->s->known, &job->out);
	if (any < 0) {
		rc = lfslist_list(x->s, root, 1, x->out);
		if (rc)
			return rc;
		any = lfsknown_root_any(x->s->known, &job->out);
	}
	*ret = any > 0;
	return 0;
}

static int prefetch(struct lfslister *x, const struct scorpio_ref *root,
		    uint32_t what, uint32_t depth)
{
	const struct scorpio_next *next = x->s->next;
	struct scorpio_ref ref = *root;
	int rc = add_asked(x, root), below;
	bool any = false;

	if (rc || !x->asked.n)
		return rc;
	rc = holds_any(x, root, &any);
	if (rc)
		return rc;
	x->gather.keep = x->gather.hold = any;
	x->want_sizes = what & SCORPIO_PREFETCH_SIZES;
	ref.id = x->asked.v[0].below;
	below = next->ops->prefetch(next->self, &ref, what, depth,
				    &x->gather.sink);
	if (x->stop || below == -EINTR || below == -ENOTSUP)
		return below;
	rc = asked_todo(x);
	if (rc == 0 && !any)
		rc = each_kept(x, todo_plain);
	if (rc == 0)
		rc = lfslister_translate(x);
	if (rc == 0 && x->n_files)
		rc = settle_sizes(x);
	return rc ? rc : below;
}

int lfslist_prefetch(struct lfs *s, const struct scorpio_ref *root,
		     uint32_t what, uint32_t depth,
		     const struct scorpio_sink *sink)
{
	struct lfslister *x = lister_new(s, sink);
	int rc = x ? prefetch(x, root, what, depth) : lfs_nomem(s);

	if (x)
		lister_free(x);
	return rc;
}

/* -- resolve ------------------------------------------------------------------------------ */

int lfslist_resolve(struct lfs *s, const char *spec,
		    struct scorpio_revision *ret)
{
	const struct lfsrules *set;
	struct lfsrules *r;
	uint8_t hash[LFS_OID_LEN];
	int rc = s->next->ops->resolve(s->next->self, spec, ret);

	if (rc || ret->kind != SCORPIO_DIR || !lfsid_fits(&ret->root))
		return rc;
	r = lfsrules_new(LFSRULES_ROOT);
	if (!r)
		return lfs_nomem(s);
	rc = lfsrules_filter(r, 'i', lfs_setting(s, "lfs.include", ""));
	if (rc == 0)
		rc = lfsrules_filter(r, 'x', lfs_setting(s, "lfs.exclude", ""));
	if (rc) {
		lfsrules_free(r);
		return lfsfail(s, rc, "lfs.include and lfs.exclude are too "
			       "long");
	}
	rc = lfsctx_intern(s, r, &ret->root, &set, hash);
	if (rc == 0)
		ret->root = lfsid_tree(&ret->root, hash);
	return rc;
}

int lfslist_watch(struct lfs *s, const char *spec,
		  const struct scorpio_id *known, uint32_t timeout_ms)
{
	const struct scorpio_next *next = s->next;
	struct scorpio_id below;
	const uint8_t *hash;

	lfsid_split(known, &below, &hash);
	return next->ops->watch(next->self, spec, &below, timeout_ms);
}
