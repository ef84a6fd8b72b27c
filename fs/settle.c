/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.c - see settle.h. Candidates are gathered with the view locked,
 * compared with no lock, and settled one by one under the edit lock, each only
 * if nobody touched it since.
 */
#include "fs/settle.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "fs/edit.h"
#include "fs/status.h"
#include "fs/upper.h"
#include "fs/wal.h"

#include <poll.h>

#define PIECE (256 * KiB)
#define PASSES_MAX 128 /* of new directories within each other */
#define READERS_MS 100 /* from looking a content file up to opening it */
#define NAMES_MAX (256 * KiB)

struct item {
	char *path;
	uint64_t ino, file, size, version;
	uint32_t mode;
	char *target;
};

struct settling {
	struct mount *m;
	int64_t deadline;
	struct item *items;
	size_t n, cap;
	uint64_t *files; /* content files nobody needs any more */
	size_t n_files, files_cap;
	uint64_t settled, dirs;
};

static void *grow(void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = MAX(*cap * 2, 64u);
	return xrealloc(p, *cap * size);
}

/* -- candidates; view locked --------------------------------------------------- */

static bool fits(const struct mount *m, const struct cname *name)
{
	const struct cnode *n = name->node;
	const struct cvalue *v = &n->v;

	if (n->nlink != 1 || n->xattrs || n->copying ||
	    (v->uid != CHANGES_OWNER && v->uid != m->uid) ||
	    (v->gid != CHANGES_OWNER && v->gid != m->gid))
		return false;
	switch (name->lower_kind) {
	case SCORPIO_FILE:
		return S_ISREG(v->mode) && v->content != CONTENT_LOWER;
	case SCORPIO_SYMLINK:
		return S_ISLNK(v->mode) && v->target;
	default:
		return S_ISDIR(v->mode) && !v->lower_kind;
	}
}

static void gather(struct settling *s, const struct cnode *dir,
		   const char *path);

static void gather_name(struct settling *s, const struct cname *name,
			const char *dir_path)
{
	const struct cnode *n = name->node;
	cleanup_free char *path = status_join(dir_path, name->name);
	struct item *i;

	if (status_in_place(name, path) && n->dir) {
		gather(s, n, path);
		return;
	}
	if (!fits(s->m, name))
		return;
	s->items = grow(s->items, s->n, &s->cap, sizeof(*s->items));
	i = &s->items[s->n++];
	*i = (struct item){
		.path = steal(&path), .ino = n->v.ino, .mode = n->v.mode,
		.file = n->v.content == CONTENT_UPPER ? n->v.file : 0,
		.size = __atomic_load_n(&n->v.size, __ATOMIC_RELAXED),
		.version = __atomic_load_n(&n->version, __ATOMIC_ACQUIRE),
		.target = n->v.target ? xstrdup(n->v.target) : NULL,
	};
}

/* A directory that lies where it lies in the revision. */
static void gather(struct settling *s, const struct cnode *dir,
		   const char *path)
{
	const struct cdir *d = dir->dir;

	for (uint32_t i = 0; d && d->buckets && i <= d->mask; i++)
		for (struct cname *n = d->buckets[i]; n; n = n->next)
			if (n->node && n->lower_kind)
				gather_name(s, n, path);
}

static void forget_items(struct settling *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].path);
		free(s->items[i].target);
	}
	s->n = 0;
}

/* -- comparing; no lock ------------------------------------------------------------ */

typedef int (*piece_fn)(void *ctx, const void *p, size_t n);

static int each_piece(struct settling *s, const struct item *i, piece_fn fn,
		      void *ctx)
{
	struct upper *u = s->m->changes->upper;
	cleanup_free char *buf = NULL;
	struct upper_fd fd;
	ssize_t got = 1;
	int rc;

	if (i->target)
		return fn(ctx, i->target, strlen(i->target));
	if (!i->file)
		return 0;
	rc = upper_get(u, i->file, &fd);
	if (rc)
		return rc;
	buf = xmalloc(PIECE);
	for (uint64_t at = 0; !rc && got && at < i->size; at += (size_t)got) {
		got = pread(fd.fd, buf, MIN(PIECE, i->size - at), (off_t)at);
		rc = got < 0 ? -errno : fn(ctx, buf, (size_t)got);
		if (!rc && now_ns() > s->deadline)
			rc = -ETIMEDOUT;
	}
	upper_put(u, &fd);
	return rc;
}

static int feed_hash(void *ctx, const void *p, size_t n)
{
	hash_update(ctx, p, n);
	return 0;
}

static int feed_store(void *ctx, const void *p, size_t n)
{
	return blob_writer_data(ctx, p, n);
}

static int digest(struct settling *s, const struct item *i, const char *head,
		  size_t head_len, enum hash_kind kind, uint8_t *out)
{
	struct hash *h = hash_new(kind);
	int rc;

	hash_update(h, head, head_len);
	rc = each_piece(s, i, feed_hash, h);
	if (!rc)
		hash_final(h, out);
	hash_free(h);
	return rc;
}

/* By the id alone: the revision's content was never fetched. */
static bool equals_id(struct settling *s, const struct item *i,
		      const struct scorpio_id *id)
{
	uint32_t kind = source_id_kind(s->m->source, id);
	bool git = kind == SCORPIO_ID_GIT;
	uint8_t out[SHA256_LEN];
	char head[32] = "";
	size_t n = 0;

	if (kind == SCORPIO_ID_OPAQUE ||
	    (id->len != SHA256_LEN && !(git && id->len == SHA1_LEN)))
		return false;
	if (git)
		n = (size_t)snprintf(head, sizeof(head), "blob %llu",
				     (unsigned long long)i->size) + 1;
	return !digest(s, i, head, n,
		       id->len == SHA1_LEN ? HASH_SHA1 : HASH_SHA256, out) &&
	       !memcmp(out, id->bytes, id->len);
}

/* The content is to be read from the store from now on. The writer verifies
 * what it is given. */
static bool keep_in_store(struct settling *s, const struct item *i,
			  const struct scorpio_id *id)
{
	struct store *store = s->m->store;
	struct store_key key = store_key(s->m->space, id);
	uint32_t kind = source_id_kind(s->m->source, id);
	struct blob_writer *w;

	if (blob_writer_new(store, &key, id, kind, i->size, &w))
		return false;
	if (each_piece(s, i, feed_store, w)) {
		blob_writer_abandon(w);
		return false;
	}
	return !blob_writer_end(w, NULL, NULL);
}

static bool same_content(struct settling *s, const struct item *i,
			 const struct scorpio_id *id)
{
	struct store_key key = store_key(s->m->space, id);
	uint8_t out[SHA256_LEN];
	struct store_reader r;
	struct blob_info blob;
	bool known, whole = false;

	if (store_read_begin(s->m->store, &r))
		return false;
	known = !store_blob(&r, &key, &blob) && blob.has_content;
	if (known)
		whole = store_blob_present(&r, &key, 0, blob.size);
	store_read_end(&r);
	if (!known)
		return equals_id(s, i, id) && keep_in_store(s, i, id);
	if (blob.size != i->size ||
	    digest(s, i, "", 0, HASH_SHA256, out) ||
	    memcmp(out, blob.sha256, sizeof(out)) != 0)
		return false;
	return whole || keep_in_store(s, i, id);
}

/* Never 0. */
static uint64_t memo(const struct item *i, const struct scorpio_id *id)
{
	return hash_xxh3(id->bytes, id->len, i->version) | 1;
}

/* Every name of the tree, as changes_settle wants them. */
static int tree_names(struct settling *s, const char *path,
		      const struct view_found *at, struct buf *out)
{
	cleanup_free char *probe = status_join(path, " ");
	struct view_found none;
	struct store_reader r;
	struct tree_entry e;
	struct tree_view v;
	int rc;

	if (at->kind == SCORPIO_SUBMODULE)
		return 0;
	/* looking a name up brings the tree */
	rc = view_walk_lower(s->m, probe, s->deadline, &none);
	if (rc && rc != -ENOENT)
		return rc;
	rc = store_read_begin(s->m->store, &r);
	if (rc)
		return rc;
	rc = view_tree(s->m, &r, &at->id, &v);
	for (uint32_t i = 0; !rc && i < v.count; i++) {
		tree_entry_at(&v, i, &e);
		buf_putc(out, e.kind);
		buf_putc(out, (uint8_t)e.name_len);
		buf_put(out, e.name, e.name_len);
		buf_putc(out, 0);
		if (out->len > NAMES_MAX)
			rc = -E2BIG;
	}
	store_read_end(&r);
	return rc;
}

/* -- settling -------------------------------------------------------------------------- */

/* lock: edit. Still what was looked at? */
static struct cnode *unchanged(struct settling *s, const struct item *i)
{
	struct changes *c = s->m->changes;
	struct cnode *n = changes_find(c, i->ino);
	cleanup_free char *path = NULL;

	if (!n || !n->links || !n->links->lower_kind ||
	    !fits(s->m, n->links) || n->v.mode != i->mode)
		return NULL;
	path = changes_path(n, NULL);
	if (!path || strcmp(path, i->path) != 0)
		return NULL;
	return n;
}

/* lock: edit. Nobody writes to it, and nobody begins to until the end. */
static bool stop_writers(struct cnode *n, const struct item *i)
{
	if (!changes_writers_stop(n))
		return false;
	if ((n->v.content == CONTENT_UPPER ? n->v.file : 0) == i->file &&
	    __atomic_load_n(&n->version, __ATOMIC_ACQUIRE) == i->version)
		return true;
	changes_writers_go(n);
	return false;
}

static int commit(struct settling *s, const struct item *i,
		  const struct settled *to)
{
	struct changes *c = s->m->changes;
	uint64_t file = 0;
	struct cnode *n;
	bool due;
	int rc = 0;

	changes_edit(c);
	n = unchanged(s, i);
	if (n && stop_writers(n, i)) {
		rc = changes_settle(c, n, to, &file);
		s->settled += !rc;
		s->dirs += !rc && n->dir;
		changes_writers_go(n);
	}
	due = changes_edit_end(c);
	if (due)
		edit_checkpoint(s->m);
	if (file) {
		s->files = grow(s->files, s->n_files, &s->files_cap,
				sizeof(*s->files));
		s->files[s->n_files++] = file;
	}
	return rc;
}

/* Compared before, in vain? */
static bool known_other(struct settling *s, const struct item *i,
			const struct scorpio_id *id, bool set)
{
	struct cnode *n;
	bool known = false;

	view_lock(s->m);
	n = changes_find(s->m->changes, i->ino);
	if (n && set)
		__atomic_store_n(&n->compared, memo(i, id), __ATOMIC_RELAXED);
	else if (n)
		known = __atomic_load_n(&n->compared, __ATOMIC_RELAXED) ==
			memo(i, id);
	view_unlock(s->m);
	return known;
}

static bool same_type(const struct item *i, const struct view_found *at)
{
	switch (at->kind) {
	case SCORPIO_FILE:
		return S_ISREG(i->mode) &&
		       (i->mode & 07777) == (at->mode & 07777) &&
		       (at->size == SCORPIO_SIZE_UNKNOWN ||
			at->size == i->size);
	case SCORPIO_SYMLINK:
		return S_ISLNK(i->mode);
	default:
		return S_ISDIR(i->mode) &&
		       (i->mode & 07777) == (at->mode & 07777);
	}
}

static int settle_item(struct settling *s, const struct item *i)
{
	cleanup_buf struct buf names = BUF_INIT;
	struct view_found at;
	struct settled to;
	int rc = view_walk_lower(s->m, i->path, s->deadline, &at);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (!same_type(i, &at))
		return 0;
	if (S_ISDIR(i->mode)) {
		rc = tree_names(s, i->path, &at, &names);
		if (rc)
			return rc == -E2BIG ? 0 : rc;
	} else {
		if (known_other(s, i, &at.id, false))
			return 0;
		if (!same_content(s, i, &at.id)) {
			known_other(s, i, &at.id, true);
			return 0;
		}
	}
	to = (struct settled){ .id = at.id, .kind = at.kind,
			       .mode = (uint16_t)at.mode, .path = i->path,
			       .names = names.data,
			       .names_len = (uint32_t)names.len };
	return commit(s, i, &to);
}

static int go_on(struct settling *s)
{
	if (__atomic_load_n(&s->m->dead, __ATOMIC_RELAXED))
		return -EINTR;
	return now_ns() < s->deadline
		       ? 0
		       : fail(-ETIMEDOUT, "comparing the changes with the "
			      "revision takes too long");
}

/* New directories that turn out to be those of the revision bring forth new
 * candidates. */
static int all_passes(struct settling *s)
{
	int rc = 0;

	for (int pass = 0; pass < PASSES_MAX && !rc; pass++) {
		s->dirs = 0;
		forget_items(s);
		view_lock(s->m);
		gather(s, s->m->changes->root, "");
		view_unlock(s->m);
		for (size_t i = 0; i < s->n && !rc; i++) {
			rc = settle_item(s, &s->items[i]);
			if (!rc)
				rc = go_on(s);
		}
		if (!s->dirs)
			break;
	}
	return rc;
}

/* The log must have it before the only copy goes; and what goes to the store
 * instead is written by then. */
static void drop_files(struct settling *s)
{
	struct changes *c = s->m->changes;

	if (!s->n_files)
		return;
	store_flush(s->m->store, s->deadline);
	if (wal_sync(c->wal, wal_seq(c->wal)))
		return; /* they are removed at the next mount */
	poll(NULL, 0, READERS_MS);
	for (size_t i = 0; i < s->n_files; i++)
		upper_remove(c->upper, s->files[i]);
}

int settle(struct mount *m, int64_t deadline, uint64_t *ret)
{
	struct settling s = { .m = m, .deadline = deadline };
	int rc = all_passes(&s);

	drop_files(&s);
	forget_items(&s);
	free(s.items);
	free(s.files);
	*ret = s.settled;
	return rc;
}

int fs_settle(struct fs *f, const char *id_or_dir, int64_t deadline,
	      uint64_t *ret)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	int rc = 0;

	*ret = 0;
	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	if (m->changes) {
		pthread_mutex_lock(&m->switching);
		rc = settle(m, deadline, ret);
		pthread_mutex_unlock(&m->switching);
	}
	mount_release(m);
	return rc;
}
