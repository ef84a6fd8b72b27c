/* SPDX-License-Identifier: Apache-2.0 */
/*
 * translate.c - from a directory as it is below to what the layer shows. Done
 * level by level, so that the .gitattributes of a level are one request.
 */
#include "list_impl.h"

#include "ctx.h"
#include "ids.h"
#include "known.h"
#include "server.h"

int lfsjobs_add(struct lfs *s, struct lfsjobs *j, const struct lfsjob *x)
{
	if (j->n == j->cap) {
		uint32_t cap = j->cap ? 2 * j->cap : 32;
		struct lfsjob *v = realloc(j->v, cap * sizeof(*v));

		if (!v)
			return lfs_nomem(s);
		j->v = v;
		j->cap = cap;
	}
	j->v[j->n++] = *x;
	return 0;
}

void lfsjobs_done(struct lfsjobs *j)
{
	for (uint32_t i = 0; i < j->n; i++)
		free(j->v[i].path);
	free(j->v);
	memset(j, 0, sizeof(*j));
}

/* -- each one once ---------------------------------------------------------------- */

static struct scorpio_id *done_slot(const struct lfslister *x,
				    const struct scorpio_id *id)
{
	uint32_t i = (uint32_t)lfs_hash_id(id) & (x->cap_done - 1);

	while (x->done[i].len && !lfs_same_id(&x->done[i], id))
		i = (i + 1) & (x->cap_done - 1);
	return &x->done[i];
}

static bool grow_done(struct lfslister *x)
{
	struct scorpio_id *old = x->done;
	uint32_t n = x->cap_done;

	x->cap_done = n ? 2 * n : 256;
	x->done = calloc(x->cap_done, sizeof(*x->done));
	if (!x->done) {
		x->done = old;
		x->cap_done = n;
		return false;
	}
	for (uint32_t i = 0; i < n; i++)
		if (old[i].len)
			*done_slot(x, &old[i]) = old[i];
	free(old);
	return true;
}

/* 1 it is new, 0 it was there. */
static int mark_done(struct lfslister *x, const struct scorpio_id *id)
{
	struct scorpio_id *slot;

	if (2 * x->n_done >= x->cap_done && !grow_done(x))
		return lfs_nomem(x->s);
	slot = done_slot(x, id);
	if (slot->len)
		return 0;
	*slot = *id;
	x->n_done++;
	return 1;
}

/* -- texts of a level ------------------------------------------------------------- */

struct texts {
	struct lfstext *v;
	uint32_t n, cap;
	char **paths; /* owned, of v */
};

static void texts_done(struct texts *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		lfsbuf_done(&t->v[i].text);
		free(t->paths[i]);
	}
	free(t->v);
	free(t->paths);
}

static struct lfstext *find_text(const struct texts *t,
				 const struct scorpio_id *id)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (lfs_same_id(&t->v[i].id, id))
			return &t->v[i];
	return NULL;
}

static int texts_add(struct lfs *s, struct texts *t, const struct lfsjob *job,
		     int64_t index)
{
	const struct lfsentry *e;
	struct lfstext *x;
	char *path = NULL;

	if (index < 0)
		return 0;
	e = &job->tree->entries[index];
	if (find_text(t, &e->id))
		return 0;
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? 2 * t->cap : 16;
		struct lfstext *v = realloc(t->v, cap * sizeof(*v));
		char **paths;

		if (!v)
			return lfs_nomem(s);
		t->v = v;
		paths = realloc(t->paths, cap * sizeof(*paths));
		if (!paths)
			return lfs_nomem(s);
		t->paths = paths;
		t->cap = cap;
	}
	if (job->path && asprintf(&path, "%s%s%.*s", job->path,
				  *job->path ? "/" : "", (int)e->name_len,
				  job->tree->names.p + e->name) < 0)
		return lfs_nomem(s);
	x = &t->v[t->n];
	memset(x, 0, sizeof(*x));
	x->id = e->id;
	x->path = path;
	x->path_len = path ? (uint32_t)strlen(path) : 0;
	t->paths[t->n++] = path;
	return 0;
}

static bool is_root(const struct lfsjob *job)
{
	return job->rules && lfsrules_flags(job->rules) & LFSRULES_ROOT;
}

static int level_texts(struct lfslister *x, struct texts *t, uint32_t from,
		       uint32_t to)
{
	int rc = 0;

	for (uint32_t i = from; rc == 0 && i < to; i++) {
		const struct lfsjob *job = &x->todo.v[i];

		rc = texts_add(x->s, t, job, job->tree->attributes);
		if (rc == 0 && is_root(job))
			rc = texts_add(x->s, t, job, job->tree->config);
	}
	if (rc || !t->n)
		return rc;
	rc = lfssmall_texts(x->s, t->v, t->n, x->out, &x->stop);
	return x->stop || rc == -EINTR ? rc : 0; /* else each has its error */
}

/* -- one directory ------------------------------------------------------------------ */

struct work { /* a directory on its way */
	struct lfslister *x;
	const struct lfsjob *job;
	const struct lfsrules *rules; /* with its own .gitattributes */
	struct lfsrules *owned;	      /* the same if made for it */
	struct scorpio_entry *entries;
	bool uniform, stepped; /* all subdirectories get the same rules */
	uint8_t uniform_hash[LFS_OID_LEN];
	const struct lfsrules *uniform_rules;
};

static int refuse(struct lfslister *x, const struct lfsjob *job, int error)
{
	const struct scorpio_sink *out = x->out;
	int rc = out->failed(out->ctx, &job->out, error);

	if (rc)
		x->stop = true;
	return rc;
}

static const struct lfstext *text_at(const struct texts *t,
				     const struct lfsjob *job, int64_t index)
{
	return index < 0 ? NULL : find_text(t, &job->tree->entries[index].id);
}

/* 0, or why this directory cannot be shown now. */
static int own_rules(struct work *w, const struct texts *t)
{
	const struct lfsjob *job = w->job;
	const struct lfstext *a = text_at(t, job, job->tree->attributes);
	const struct lfstext *c =
		is_root(job) ? text_at(t, job, job->tree->config) : NULL;
	struct lfs *s = w->x->s;
	struct lfsconf conf __attribute__((cleanup(lfsconf_done))) = { 0 };
	int rc = 0;

	w->rules = job->rules;
	if ((a && a->error) || (c && c->error))
		return lfsfail(s, a && a->error ? a->error : c->error,
			       "its .gitattributes could not be read");
	if (c)
		rc = lfsconf_parse(c->text.p ? c->text.p : "", c->text.n,
				   &conf);
	if (rc)
		return lfs_nomem(s);
	if (c)
		lfsserver_use(s, &conf);
	if (!a && !c)
		return 0;
	w->owned = job->rules ? lfsrules_copy(job->rules) : lfsrules_new(0);
	if (!w->owned)
		return lfs_nomem(s);
	w->rules = w->owned;
	if (a && a->text.n)
		rc = lfsrules_attributes(w->owned, a->text.p, a->text.n);
	if (rc == 0 && conf.include)
		rc = lfsrules_filter(w->owned, 'i', conf.include);
	if (rc == 0 && conf.exclude)
		rc = lfsrules_filter(w->owned, 'x', conf.exclude);
	return rc ? lfsfail(s, rc, "its .gitattributes have too many lines") :
		    0;
}

/* The rules of a subdirectory: NULL none. */
static int step(struct work *w, const char *name, size_t n,
		const struct scorpio_id *below, const struct lfsrules **ret,
		uint8_t hash[LFS_OID_LEN])
{
	struct lfsrules *r;
	int rc;

	*ret = NULL;
	if (w->uniform && w->stepped) {
		memcpy(hash, w->uniform_hash, LFS_OID_LEN);
		*ret = w->uniform_rules;
		return 0;
	}
	r = lfsrules_step(w->rules, name, n);
	if (!r)
		return lfs_nomem(w->x->s);
	if (lfsrules_none(r)) {
		lfsrules_free(r);
		rc = 0;
	} else {
		rc = lfsctx_intern(w->x->s, r, below, ret, hash);
	}
	w->stepped = rc == 0;
	w->uniform_rules = *ret;
	memcpy(w->uniform_hash, hash, LFS_OID_LEN);
	return rc;
}

static int child(struct work *w, const struct lfsentry *e,
		 struct scorpio_entry *out)
{
	struct lfslister *x = w->x;
	uint8_t hash[LFS_OID_LEN] = { 0 };
	struct lfsjob job = { .below = e->id, .out = e->id };
	int rc = step(w, out->name, e->name_len, &e->id, &job.rules, hash);

	if (rc)
		return rc;
	if (job.rules)
		out->id = job.out = lfsid_tree(&e->id, hash);
	job.tree = lfsgather_find(&x->gather, &e->id);
	if (!job.tree || (!job.rules && job.tree->poured))
		return 0;
	if (!job.rules && job.tree->attributes < 0)
		return lfsgather_pour(&x->gather, job.tree);
	if (w->job->path && asprintf(&job.path, "%s%s%.*s", w->job->path,
				     *w->job->path ? "/" : "",
				     (int)e->name_len, out->name) < 0)
		return lfs_nomem(x->s);
	rc = lfsjobs_add(x->s, &x->todo, &job);
	if (rc)
		free(job.path);
	return rc;
}

static int add_file(struct lfslister *x, const struct lfsentry *e)
{
	struct lfsitem *f;

	if (x->n_files == x->cap_files) {
		uint32_t cap = x->cap_files ? 2 * x->cap_files : 64;

		f = realloc(x->files, cap * sizeof(*f));
		if (!f)
			return lfs_nomem(x->s);
		x->files = f;
		x->cap_files = cap;
	}
	f = &x->files[x->n_files++];
	memset(f, 0, sizeof(*f));
	f->below = e->id;
	f->id = lfsid_file(&e->id);
	return 0;
}

/* A file that the attributes call one of LFS. */
static int candidate(struct work *w, const struct lfsentry *e,
		     struct scorpio_entry *out)
{
	if (e->size != SCORPIO_SIZE_UNKNOWN && e->size >= LFSPTR_MAX)
		return 0; /* no pointer is that long */
	out->id = lfsid_file(&e->id);
	out->size = SCORPIO_SIZE_UNKNOWN;
	if (!w->x->s->sizes_free && !w->x->want_sizes)
		return 0;
	return add_file(w->x, e);
}

static int fill(struct work *w, const struct lfsentry *e,
		struct scorpio_entry *out)
{
	memset(out, 0, sizeof(*out));
	out->id = e->id;
	out->name = w->job->tree->names.p + e->name;
	out->name_len = e->name_len;
	out->mode = e->mode;
	out->size = e->size;
	out->mtime_ns = e->mtime_ns;
	out->kind = e->kind;
	if (!w->rules || !lfsid_fits(&e->id))
		return 0;
	if (e->kind == SCORPIO_DIR)
		return child(w, e, out);
	if (e->kind == SCORPIO_FILE &&
	    lfsrules_match(w->rules, out->name, e->name_len))
		return candidate(w, e, out);
	return 0;
}

/* Where listings always tell sizes, these must be told too. */
static int tell_sizes(struct work *w)
{
	struct lfslister *x = w->x;
	const struct lfstree *t = w->job->tree;
	int rc = lfssmall_pointers(x->s, x->files, x->n_files, x->out,
				   &x->stop);

	if (x->stop || rc == -EINTR)
		return rc;
	for (uint32_t i = 0; i < t->n; i++) {
		struct scorpio_entry *e = &w->entries[i];
		struct lfsptr p;

		if (e->kind != SCORPIO_FILE || e->id.len != SCORPIO_ID_MAX)
			continue;
		e->size = lfsknown_is_pointer(x->s->known, &t->entries[i].id,
					      &p) ?
				  p.size :
				  t->entries[i].size;
	}
	x->n_files = 0;
	return 0;
}

static int pour(struct work *w)
{
	const struct scorpio_sink *out = w->x->out;
	int rc = out->tree_begin(out->ctx, &w->job->out);

	for (uint32_t i = 0; rc == 0 && i < w->job->tree->n; i++)
		rc = out->tree_entry(out->ctx, &w->entries[i]);
	if (rc == 0)
		rc = out->tree_end(out->ctx);
	if (rc)
		w->x->stop = true;
	return rc;
}

static int translate(struct lfslister *x, const struct lfsjob *given,
		     const struct texts *t)
{
	struct lfsjob job = *given; /* todo may move */
	struct work w = { .x = x, .job = &job };
	const struct lfstree *tree = job.tree;
	int rc = own_rules(&w, t);

	if (rc == 0) {
		w.uniform = w.rules && lfsrules_uniform(w.rules);
		w.entries = calloc(tree->n + 1u, sizeof(*w.entries));
		rc = w.entries ? 0 : lfs_nomem(x->s);
	}
	for (uint32_t i = 0; rc == 0 && i < tree->n; i++)
		rc = fill(&w, &tree->entries[i], &w.entries[i]);
	if (rc == 0 && x->s->sizes_free && x->n_files)
		rc = tell_sizes(&w);
	if (rc == 0 && is_root(&job))
		lfsknown_root(x->s->known, &job.out, lfsrules_any(w.rules));
	if (rc == 0)
		rc = pour(&w);
	else if (!x->stop && rc != -EINTR && rc != -ENOMEM)
		rc = refuse(x, &job, rc);
	free(w.entries);
	lfsrules_free(w.owned);
	return rc;
}

static int level(struct lfslister *x, uint32_t from, uint32_t to)
{
	struct texts t = { 0 };
	int rc = level_texts(x, &t, from, to);

	for (uint32_t i = from; rc == 0 && i < to; i++) {
		int new = mark_done(x, &x->todo.v[i].out);

		rc = new < 0 ? new : lfs_check(x->s);
		if (rc == 0 && new)
			rc = translate(x, &x->todo.v[i], &t);
	}
	texts_done(&t);
	return rc;
}

int lfslister_translate(struct lfslister *x)
{
	uint32_t from = 0;
	int rc = 0;

	while (rc == 0 && from < x->todo.n) {
		uint32_t to = x->todo.n;

		rc = level(x, from, to);
		from = to;
	}
	return rc;
}
