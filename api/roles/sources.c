/* SPDX-License-Identifier: Apache-2.0 */
/* sources.c - sources and the store for roles: blocking calls over want and
 * store_*, with the same opened source that mounts of the URL use. */
#include "api/roles/private.h"

#include "api/stack.h"
#include "cache/source.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/lock.h"

#define TRIES 3 /* what came may be evicted before it is looked at */

struct scorpio_source {
	struct fs *fs;
	struct source *source;
};

static struct fs *the_fs; /* set before roles start, cleared after they ended */

void roles_sources_set(struct fs *fs)
{
	the_fs = fs;
}

static int src_open(const struct scorpio_host *h UNUSED, const char *url,
		    struct scorpio_source **ret)
{
	struct scorpio_source *s;
	struct source *source;
	int r;

	if (!the_fs)
		return fail(-EAGAIN, "the daemon does not serve yet, or no "
			    "more");
	/* without layers: roles work with the ids and bytes of the source */
	cleanup_free char *plain = stack_without_lfs(url);

	r = sources_take(the_fs, plain, &source);
	if (r)
		return r;
	s = xcalloc(1, sizeof(*s));
	s->fs = the_fs;
	s->source = source;
	*ret = s;
	return 0;
}

static void src_close(struct scorpio_source *s)
{
	if (!s)
		return;
	sources_release(s->fs, s->source);
	free(s);
}

static uint32_t src_id_kind(const struct scorpio_source *s)
{
	return source_backend(s->source)->id_kind;
}

static const char *src_shown(const struct scorpio_source *s)
{
	return source_url(s->source);
}

static int src_resolve(struct scorpio_source *s, const char *spec,
		       uint32_t timeout_ms, struct scorpio_revision *ret)
{
	return source_resolve(s->source, spec, deadline_in_ms(timeout_ms),
			      ret);
}

static struct store_key key_of(const struct scorpio_source *s,
			       const struct scorpio_id *id)
{
	return store_key(source_space(s->source), id);
}

/* -- lists ------------------------------------------------------------------------ */

/* A copy, because nothing may block while the store's own is looked at. */
static int copy_tree(struct scorpio_source *s, const struct store_key *k,
		     struct buf *ret)
{
	struct store_reader r;
	struct tree_view v;
	int e = store_read_begin(source_store(s->source), &r);

	if (e)
		return e;
	e = store_tree(&r, k, &v);
	if (!e)
		buf_put(ret, v.data, v.len);
	store_read_end(&r);
	return e;
}

static int get_tree(struct scorpio_source *s, const struct scorpio_ref *ref,
		    int64_t deadline, struct buf *copy, struct tree_view *ret)
{
	struct store_key k = key_of(s, &ref->id);
	int e = copy_tree(s, &k, copy);

	for (int i = 0; e == -ENOENT && i < TRIES; i++) {
		e = source_need(s->source, WANT_TREE, ref, WANT_DEMAND,
				deadline);
		if (!e)
			e = copy_tree(s, &k, copy);
		else
			break;
	}
	if (!e)
		e = tree_view_init(ret, copy->data, copy->len,
				   store_key_seed(&k), false);
	return e;
}

static uint64_t known_size(struct store_reader *r, struct scorpio_source *s,
			   const struct scorpio_entry *e)
{
	struct store_key k = key_of(s, &e->id);
	struct blob_info info;

	return store_blob(r, &k, &info) ? SCORPIO_SIZE_UNKNOWN : info.size;
}

static void to_entry(const struct tree_entry *t, struct scorpio_entry *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->id.len = t->id_len;
	memcpy(ret->id.bytes, t->id, t->id_len);
	ret->name = t->name;
	ret->name_len = t->name_len;
	ret->mode = t->mode;
	ret->size = t->size;
	ret->mtime_ns = t->mtime_ns;
	ret->kind = t->kind;
}

static bool has_size(const struct scorpio_entry *e)
{
	return e->kind == SCORPIO_FILE || e->kind == SCORPIO_SYMLINK;
}

/* All entries, with what the store knows of their sizes. */
static int decode(struct scorpio_source *s, const struct tree_view *v,
		  struct scorpio_entry *all)
{
	struct store_reader r;
	int e = store_read_begin(source_store(s->source), &r);

	if (e)
		return e;
	for (uint32_t i = 0; i < v->count; i++) {
		struct tree_entry t;

		tree_entry_at(v, i, &t);
		to_entry(&t, &all[i]);
		if (has_size(&all[i]) && all[i].size == SCORPIO_SIZE_UNKNOWN)
			all[i].size = known_size(&r, s, &all[i]);
	}
	store_read_end(&r);
	return 0;
}

struct gather { /* wants that are waited for together */
	struct lock lock;
	pthread_cond_t change;
	size_t left; /* lock */
	int error;   /* lock: the first */
	char why[256];
};

static void arrived(struct want *w, int result)
{
	struct gather *g = w->ctx;
	ranked_scope(&g->lock);

	if (result && !g->error) {
		g->error = result;
		snprintf(g->why, sizeof(g->why), "%s", error_text(result));
	}
	if (!--g->left)
		pthread_cond_signal(&g->change);
}

/* Every want ends by its deadline. */
static int wait_all(struct scorpio_source *s, struct gather *g,
		    struct want *wants, struct want **ptrs, size_t n)
{
	bool told = false;

	g->left = n;
	lock_init(&g->lock, LOCK_LEAF, "role list");
	cond_init(&g->change);
	for (size_t i = 0; i < n; i++)
		ptrs[i] = &wants[i];
	source_want(s->source, ptrs, n);
	lock_take(&g->lock);
	while (g->left) {
		lock_wait(&g->change, &g->lock, deadline_in_ms(500));
		if (told || !call_cancelled())
			continue;
		told = true;
		lock_drop(&g->lock);
		for (size_t i = 0; i < n; i++)
			source_cancel(s->source, &wants[i]);
		lock_take(&g->lock);
	}
	lock_drop(&g->lock);
	pthread_cond_destroy(&g->change);
	lock_done(&g->lock);
	return g->error ? fail(g->error, "%s", g->why) : 0;
}

static int bring_sizes(struct scorpio_source *s, const struct scorpio_ref *dir,
		       const struct scorpio_entry *all, uint32_t count,
		       int64_t deadline)
{
	struct gather g = { 0 };
	struct want *wants = xcalloc(count, sizeof(*wants));
	struct want **ptrs = xcalloc(count, sizeof(*ptrs));
	char **paths = xcalloc(count, sizeof(*paths));
	size_t n = 0;
	int r = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct scorpio_entry *e = &all[i];

		if (!has_size(e) || e->size != SCORPIO_SIZE_UNKNOWN)
			continue;
		paths[n] = xasprintf("%.*s%s%.*s", (int)dir->path_len,
				     dir->path ? dir->path : "",
				     dir->path_len ? "/" : "",
				     (int)e->name_len, e->name);
		wants[n] = (struct want){
			.kind = WANT_SIZE, .prio = WANT_DEMAND, .id = e->id,
			.path = paths[n], .entry_kind = e->kind,
			.path_len = (uint32_t)strlen(paths[n]),
			.deadline = deadline, .done = arrived, .ctx = &g,
		};
		n++;
	}
	if (n)
		r = wait_all(s, &g, wants, ptrs, n);
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
	free(ptrs);
	free(wants);
	return r;
}

static int src_list(struct scorpio_source *s, const struct scorpio_ref *tree,
		    uint32_t flags, uint32_t timeout_ms,
		    int (*emit)(void *ctx, const struct scorpio_entry *e),
		    void *ctx)
{
	int64_t deadline = deadline_in_ms(timeout_ms);
	cleanup_buf struct buf copy = BUF_INIT;
	struct scorpio_entry *all = NULL;
	struct tree_view v;
	int r = get_tree(s, tree, deadline, &copy, &v);

	if (r)
		return r;
	all = xcalloc(v.count + 1u, sizeof(*all));
	r = decode(s, &v, all);
	if (!r && (flags & SCORPIO_LIST_SIZES))
		r = bring_sizes(s, tree, all, v.count, deadline);
	if (!r && (flags & SCORPIO_LIST_SIZES))
		r = decode(s, &v, all);
	for (uint32_t i = 0; i < v.count && !r; i++)
		r = emit(ctx, &all[i]);
	free(all);
	return r;
}

/* -- content ----------------------------------------------------------------------- */

static int look(struct scorpio_source *s, const struct store_key *k,
		struct scorpio_blob *ret)
{
	struct store_reader r;
	struct blob_info info;
	int e = store_read_begin(source_store(s->source), &r);

	if (e)
		return e;
	e = store_blob(&r, k, &info);
	if (!e && (!info.has_content ||
		   !store_blob_present(&r, k, 0, info.size)))
		e = -ENOENT;
	if (!e) {
		memset(ret, 0, sizeof(*ret));
		ret->size = info.size;
		memcpy(ret->sha256, info.sha256, sizeof(ret->sha256));
		memcpy(ret->sha1, info.sha1, sizeof(ret->sha1));
	}
	store_read_end(&r);
	return e;
}

static int src_need(struct scorpio_source *s, const struct scorpio_ref *file,
		    uint32_t timeout_ms, struct scorpio_blob *ret)
{
	int64_t deadline = deadline_in_ms(timeout_ms);
	struct store_key k = key_of(s, &file->id);
	int r = look(s, &k, ret);

	for (int i = 0; r == -ENOENT && i < TRIES; i++) {
		r = source_need(s->source, WANT_BLOB, file, WANT_DEMAND,
				deadline);
		if (r)
			return r;
		r = look(s, &k, ret);
	}
	return r == -ENOENT ? fail(-EIO, "the store is too small to hold it")
			    : r;
}

static int64_t src_read(struct scorpio_source *s,
			const struct scorpio_ref *file, uint64_t offset,
			void *buf, uint64_t n, uint32_t timeout_ms)
{
	int64_t deadline = deadline_in_ms(timeout_ms);
	struct store_key k = key_of(s, &file->id);
	int64_t got = -ENOENT;

	for (int i = 0; got == -ENOENT && i < TRIES; i++) {
		struct store_reader r;
		int e = i ? source_need(s->source, WANT_BLOB, file,
					WANT_DEMAND, deadline) : 0;

		if (!e)
			e = store_read_begin(source_store(s->source), &r);
		if (e)
			return e;
		got = store_blob_read(&r, &k, offset, buf, n);
		store_read_end(&r);
	}
	return got == -ENOENT ? fail(-EIO, "the store is too small to hold it")
			      : got;
}

const struct scorpio_sources_service roles_sources = {
	.struct_size = sizeof(struct scorpio_sources_service),
	.open = src_open,
	.close = src_close,
	.id_kind = src_id_kind,
	.shown = src_shown,
	.resolve = src_resolve,
	.list = src_list,
	.need = src_need,
	.read = src_read,
};
