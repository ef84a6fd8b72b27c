/* SPDX-License-Identifier: Apache-2.0 */
/* info.c - telling about mounts, paths and waiting requests. */
#include "core/clock.h"
#include "core/error.h"
#include "core/waits.h"
#include "fs/ahead.h"
#include "fs/redirect.h"
#include "fs/request.h"
#include "fs/view.h"
#include "fs/workspace.h"

static int64_t oldest_wait(struct mount *m)
{
	int64_t oldest = 0, now = now_ns();

	lock_scope(&m->parked_lock);
	for (struct request *r = m->parked; r; r = r->next)
		oldest = MAX(oldest, now - r->started);
	return oldest;
}

static const char *metadata_text(struct mount *m)
{
	switch (__atomic_load_n(&m->ahead->metadata, __ATOMIC_RELAXED)) {
	case METADATA_LOADING:
		return "loading";
	case METADATA_RESIDENT:
		return "resident";
	default:
		return "on demand";
	}
}

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static char **dup_list(char *const *list, size_t n)
{
	char **copy = n ? xcalloc(n + 1, sizeof(*copy)) : NULL;

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

/* Without the root, and without the .git that is ours until somebody says
 * otherwise: a new workspace has no changes. */
static uint64_t count_changed(struct changes *c)
{
	uint64_t n = __atomic_load_n(&c->count, __ATOMIC_RELAXED);
	const struct cname *own;

	changes_read_lock(c);
	own = changes_name(c->root, FS_OWN_NAME, strlen(FS_OWN_NAME));
	n -= own && own->node && !own->lower_kind && n > 1;
	changes_read_unlock(c);
	return n ? n - 1 : 0;
}

static const char *state_text(struct mount *m)
{
	if (__atomic_load_n(&m->dead, __ATOMIC_ACQUIRE))
		return "unmounted from outside";
	return m->state == MOUNT_LIVE	    ? "mounted"
	       : m->state == MOUNT_STARTING ? "mounting"
					    : "unmounting";
}

/* lock: fs.lock */
void info_fill(struct mount *m, struct fs_mount_info *i)
{
	*i = (struct fs_mount_info){
		.source = xstrdup(source_url(m->source)),
		.backend = xstrdup(source_bottom(m->source)->name),
		.rev_spec = xstrdup(m->rev_spec), .rev = xstrdup(m->rev.text),
		.label = xstrdup(m->rev.label),
		.subdir = xstrdup(m->subdir ? m->subdir : ""),
		.dir = xstrdup(m->dir), .job = dup_or_null(m->job),
		.state = xstrdup(state_text(m)),
		.metadata = xstrdup(metadata_text(m)),
		.read_only = m->read_only, .created_ns = m->created_ns,
		.mount_ns = m->mount_ns,
		.requests = __atomic_load_n(&m->requests, __ATOMIC_RELAXED),
		.bytes_read = __atomic_load_n(&m->bytes_read, __ATOMIC_RELAXED),
		.waiting = __atomic_load_n(&m->waiting, __ATOMIC_RELAXED),
	};
	if (m->changes) {
		i->workspace = xstrdup(m->workspace->name);
		i->state_dir = xstrdup(m->workspace->dir);
		i->resumed = m->workspace->resumed;
		i->idle = m->workspace->idle;
		i->named = m->workspace->named;
		i->redirects = dup_list(m->workspace->redirects,
					m->workspace->n_redirects);
		i->changed = count_changed(m->changes);
	}
	memcpy(i->id, m->id, sizeof(i->id));
	node_count(m->nodes, &i->inodes, &i->inode_bytes);
	i->oldest_wait_ns = i->waiting ? oldest_wait(m) : 0;
	source_stat(m->source, &i->stats);
}

void fs_mount_info_done(struct fs_mount_info *i)
{
	free(i->source);
	free(i->backend);
	free(i->rev_spec);
	free(i->rev);
	free(i->label);
	free(i->subdir);
	free(i->dir);
	free(i->job);
	free(i->state);
	free(i->metadata);
	free(i->workspace);
	free(i->state_dir);
	for (char **p = i->redirects; p && *p; p++)
		free(*p);
	free(i->redirects);
	*i = (struct fs_mount_info){ 0 };
}

int fs_each(struct fs *f, int (*fn)(void *ctx, const struct fs_mount_info *i),
	    void *ctx)
{
	struct fs_mount_info *infos = NULL;
	size_t n = 0;
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	for (struct mount *m = f->mounts; m; m = m->next) {
		if (m->state == MOUNT_STARTING)
			continue;
		infos = xrealloc(infos, (n + 1) * sizeof(*infos));
		info_fill(m, &infos[n++]);
	}
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		if (!rc)
			rc = fn(ctx, &infos[i]);
		fs_mount_info_done(&infos[i]);
	}
	free(infos);
	return rc;
}

int fs_find(struct fs *f, const char *id_or_dir, struct fs_mount_info *ret)
{
	struct mount *m = mount_acquire(f, id_or_dir);

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	pthread_mutex_lock(&f->lock);
	info_fill(m, ret);
	pthread_mutex_unlock(&f->lock);
	mount_release(m);
	return 0;
}

const char *fs_where_name(enum fs_where w)
{
	static const char *const names[] = { "source", "queue", "work",
					     "lock" };

	return names[w];
}

void slow_at(struct fs_slow *s, pid_t thread)
{
	s->where = waits_of(thread, s->waits, sizeof(s->waits)) == WAITS_LOCK
			   ? FS_AT_LOCK
			   : FS_AT_WORK;
}

void fs_slow(struct fs *f, int64_t min_ns,
	     void (*fn)(void *ctx, const struct fs_slow *s), void *ctx)
{
	int64_t now = now_ns();

	lock_scope(&f->lock);
	for (struct mount *m = f->mounts; m; m = m->next) {
		struct fs_slow s = { .dir = m->dir,
				     .source = source_url(m->source) };
		struct source_stats stats;

		source_stat(m->source, &stats);
		s.unreachable = stats.circuit_open;
		workers_slow(f, m, now - min_ns, &s, fn, ctx);
		lock_scope(&m->parked_lock);
		for (struct request *r = m->parked; r; r = r->next) {
			if (now - r->started < min_ns)
				continue;
			s.op = request_op_name(r->op);
			s.name = r->name;
			s.ino = r->ino;
			s.pid = r->pid;
			s.age_ns = now - r->started;
			s.where = __atomic_load_n(&r->where, __ATOMIC_RELAXED);
			s.waits[0] = '\0';
			if (s.where == FS_AT_WORK)
				slow_at(&s, __atomic_load_n(&r->thread,
							    __ATOMIC_RELAXED));
			fn(ctx, &s);
		}
	}
}

/* -- paths ------------------------------------------------------------------ */

static int content_info(struct mount *m, const struct view_found *at,
			struct fs_path_info *i)
{
	struct store_key key = store_key(m->space, &at->id);
	struct store_reader r;
	struct tree_view v;
	struct blob_info blob;
	int rc = store_read_begin(m->store, &r);

	if (rc)
		return rc;
	i->key = key;
	if (at->kind == SCORPIO_DIR) {
		i->resident = !store_tree(&r, &key, &v);
	} else if (at->kind != SCORPIO_SUBMODULE &&
		   !store_blob(&r, &key, &blob)) {
		i->size = blob.size;
		i->chunks = blob.chunks;
		i->has_digests = blob.has_content;
		memcpy(i->sha256, blob.sha256, sizeof(i->sha256));
		memcpy(i->sha1, blob.sha1, sizeof(i->sha1));
		i->resident = blob.has_content &&
			      store_blob_present(&r, &key, 0, blob.size);
	}
	store_read_end(&r);
	return 0;
}

void fs_path_info_done(struct fs_path_info *i)
{
	free(i->path);
	i->path = NULL;
}

int fs_path(struct fs *f, const char *path, int64_t deadline,
	    struct fs_path_info *ret)
{
	const char *rel;
	struct mount *m = mount_of_path(f, path, &rel);
	struct fs_path_info i = { 0 };
	struct view_found at = { 0 };
	int rc;

	if (!m)
		return fail(-EXDEV, "%s is not below a mount of this daemon",
			    path);
	if (redirect_of(m, rel))
		rc = fail(-EXDEV, "%s is redirected to the local disk "
			  "(%s/redirect/%s)", path, m->workspace->dir, rel);
	else
		rc = view_walk(m, rel, deadline, &at);
	if (!rc) {
		memcpy(i.mount_id, m->id, sizeof(i.mount_id));
		i.kind = at.kind;
		i.mode = at.mode;
		i.ino = at.ino;
		i.id = source_plain_id(m->source, &at.id);
		i.shown = at.id;
		i.size = at.size;
		i.mtime_ns = at.mtime_ns;
		rc = content_info(m, &at, &i);
	}
	if (!rc) {
		i.path = xstrdup(rel);
		*ret = i;
	}
	mount_release(m);
	return rc;
}

#define DESCRIBE_MAX (64 * MiB)

/* The text may grow between two questions. */
static int ask_source(struct mount *m, const struct scorpio_ref *ref,
		      const char *name, char **ret)
{
	size_t cap = 64 * KiB;

	while (cap <= DESCRIBE_MAX) {
		cleanup_free char *text = xmalloc(cap + 1);
		int64_t n = source_xattr(m->source, ref, name, text, cap);

		if (n < 0)
			return (int)n;
		if ((uint64_t)n <= cap) {
			text[n] = '\0';
			*ret = steal(&text);
			return 0;
		}
		cap = (size_t)n + 4096;
	}
	return fail(-EFBIG, "a description of more than 64 MiB");
}

int fs_ask(struct fs *f, const char *path, const char *name, int64_t deadline,
	   char **ret)
{
	const char *rel;
	struct mount *m = mount_of_path(f, path, &rel);
	struct view_found at = { 0 };
	int rc;

	if (!m)
		return fail(-EXDEV, "%s is not below a mount of this daemon",
			    path);
	rc = view_walk(m, rel, deadline, &at);
	if (!rc && !at.id.len)
		rc = fail(-ENODATA, "it is not of the source");
	if (!rc) {
		struct scorpio_ref ref = { .id = at.id, .kind = at.kind,
					   .path = rel,
					   .path_len = (uint32_t)strlen(rel) };

		rc = ask_source(m, &ref, name, ret);
	}
	mount_release(m);
	return rc;
}
