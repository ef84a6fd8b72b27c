/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gitindex.c - the entries: version 4, so names are cut to what differs from
 * the one before. Every 32 Ki entries the cutting starts anew (IEOT).
 */
#include "api/gitwork/gitindex_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/id.h"
#include "fs/node.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <scorpio/backend.h>
#include <sys/stat.h>

#define BLOCK_ENTRIES 32768u
#define DEPTH_MAX 1024u
#define FLUSH_AT (1u << 20)
#define HEADER 12u

/* -- the file ------------------------------------------------------------------- */

static int flush(struct gitindex *x)
{
	const uint8_t *p = x->out.data;
	size_t left = x->out.len;

	while (left) {
		ssize_t n = write(x->fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-errno, "git index: %s", strerror(errno));
		p += n;
		left -= (size_t)n;
	}
	x->offset += x->out.len;
	x->out.len = 0;
	return 0;
}

size_t gitindex_varint(uint64_t v, uint8_t out[10])
{
	uint8_t tmp[10];
	size_t at = sizeof(tmp) - 1;

	tmp[at] = v & 127;
	while (v >>= 7)
		tmp[--at] = 128 | (--v & 127);
	memcpy(out, tmp + at, sizeof(tmp) - at);
	return sizeof(tmp) - at;
}

void gitindex_stat(struct buf *b, const struct gitindex_options *o,
		   int64_t mtime_ns, uint64_t ino, uint32_t size)
{
	struct timespec t = ns_to_timespec(mtime_ns);

	for (int i = 0; i < 2; i++) { /* ctime, mtime */
		add_be32(b, (uint32_t)t.tv_sec);
		add_be32(b, (uint32_t)t.tv_nsec);
	}
	add_be32(b, o->dev);
	add_be32(b, (uint32_t)ino);
	add_be32(b, o->uid);
	add_be32(b, o->gid);
	add_be32(b, size);
}

/* One of git's own, or one that a layer made of it (backend.h). */
static bool begins_with_git_id(const uint8_t *id, size_t len)
{
	return len == GIT_RAW || (len == SCORPIO_ID_MAX &&
				  id[SCORPIO_ID_BELOW_LEN] == GIT_RAW);
}

static uint32_t git_mode(const struct tree_entry *e)
{
	switch (e->kind) {
	case SCORPIO_DIR:
		return 0040000;
	case SCORPIO_SYMLINK:
		return 0120000;
	case SCORPIO_SUBMODULE:
		return 0160000;
	default:
		return e->mode & 0100 ? 0100755 : 0100644;
	}
}

/* The number of an inode is also the key of its path (node.h). */
static int64_t mtime_of(const struct gitindex *x, const struct tree_entry *e,
			uint64_t ino)
{
	int64_t t = e->mtime_ns == SCORPIO_TIME_UNKNOWN ? x->o->time_ns
							: e->mtime_ns;

	return x->o->times ? times_get(x->o->times, ino, t) : t;
}

/* The first name of a block stands there whole; a reader that does not know
 * of blocks drops all of the one before. */
static bool start_block(struct gitindex *x)
{
	if (x->stats.entries % BLOCK_ENTRIES)
		return false;
	x->blocks = xrealloc(x->blocks,
			     (x->n_blocks + 1) * sizeof(*x->blocks));
	x->blocks[x->n_blocks++] = (struct block){
		.offset = (uint32_t)(x->offset + x->out.len) };
	return true;
}

/* The name is in x->path. */
static int put_entry(struct gitindex *x, const struct tree_entry *e,
		     uint64_t ino, uint32_t size)
{
	size_t len = x->path.len, same = 0, n;
	int64_t mtime = mtime_of(x, e, ino);
	uint8_t tail[12], number[10];
	uint32_t mode = git_mode(e), flags = (uint32_t)MIN(len, 0xfffu);

	bool whole = start_block(x);

	gitindex_stat(&x->out, x->o, mtime, ino, size);
	/* the mode stands between inode and owner */
	add_be32(&x->out, 0);
	memmove(x->out.data + x->out.len - 12, x->out.data + x->out.len - 16,
		12);
	put_be32(x->out.data + x->out.len - 16, mode);
	buf_put(&x->out, e->id, GIT_RAW);
	tail[0] = (uint8_t)(flags >> 8);
	tail[1] = (uint8_t)flags;
	while (!whole && same < x->last.len && same < len &&
	       x->last.data[same] == x->path.data[same])
		same++;
	n = gitindex_varint(x->last.len - same, number);
	memcpy(tail + 2, number, n);
	buf_put(&x->out, tail, 2 + n);
	buf_put(&x->out, x->path.data + same, len - same);
	buf_putc(&x->out, 0);
	x->last.len = same;
	buf_put(&x->last, x->path.data + same, len - same);
	x->blocks[x->n_blocks - 1].entries++;
	x->stats.entries++;
	if (x->stats.entries == UINT32_MAX ||
	    x->offset + x->out.len > UINT32_MAX)
		return fail(-EFBIG, "too many files for a git index");
	return x->out.len >= FLUSH_AT ? flush(x) : 0;
}

/* -- one directory --------------------------------------------------------------- */

struct level { /* a directory being walked; owned */
	uint8_t *copy; /* of its record */
	struct tree_view view;
	uint32_t *order; /* as git sorts */
	uint64_t *sizes; /* by index */
};

static void level_done(struct level *l)
{
	free(l->copy);
	free(l->order);
	free(l->sizes);
}
#define cleanup_level __attribute__((cleanup(level_done)))

/* git compares directories as if their names ended in '/'. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct tree_view *v = arg;
	struct tree_entry x, y;
	uint8_t cx, cy;
	size_t n;
	int r;

	tree_entry_at(v, *(const uint32_t *)a, &x);
	tree_entry_at(v, *(const uint32_t *)b, &y);
	n = MIN(x.name_len, y.name_len);
	r = memcmp(x.name, y.name, n);
	if (r)
		return r;
	cx = n < x.name_len ? (uint8_t)x.name[n]
	     : x.kind == SCORPIO_DIR ? '/' : 0;
	cy = n < y.name_len ? (uint8_t)y.name[n]
	     : y.kind == SCORPIO_DIR ? '/' : 0;
	return cx - cy;
}

static uint64_t size_of(struct gitindex *x, struct store_reader *r,
			const struct tree_entry *e)
{
	struct scorpio_id id = { .len = e->id_len };
	struct store_key k;
	struct blob_info blob;

	if (e->kind != SCORPIO_FILE && e->kind != SCORPIO_SYMLINK)
		return e->kind == SCORPIO_SUBMODULE ? 4096 : 0;
	if (e->size != SCORPIO_SIZE_UNKNOWN)
		return e->size;
	memcpy(id.bytes, e->id, e->id_len);
	k = store_key(x->o->space, &id);
	return store_blob(r, &k, &blob) ? SCORPIO_SIZE_UNKNOWN : blob.size;
}

static int take_copy(struct gitindex *x, struct store_reader *r,
		     const struct tree_view *v, struct level *l)
{
	struct tree_entry e;

	l->copy = malloc(v->len ? v->len : 1);
	l->order = malloc((v->count + 1) * sizeof(*l->order));
	l->sizes = malloc((v->count + 1) * sizeof(*l->sizes));
	if (!l->copy || !l->order || !l->sizes)
		return fail(-ENOMEM, "git index: a directory of %u entries",
			    v->count);
	memcpy(l->copy, v->data, v->len);
	l->view = *v;
	l->view.data = l->copy;
	for (uint32_t i = 0; i < v->count; i++) {
		tree_entry_at(&l->view, i, &e);
		l->order[i] = i;
		l->sizes[i] = size_of(x, r, &e);
	}
	return 0;
}

/* The record is copied, so that no transaction lives while we write. */
static int load(struct gitindex *x, const struct scorpio_id *tree,
		struct level *l)
{
	struct store_reader r;
	struct store_key k;
	struct tree_view v;
	int rc = store_read_begin(x->o->store, &r);

	if (rc)
		return rc;
	k = store_key(x->o->space, tree);
	rc = store_tree(&r, &k, &v);
	if (!rc)
		rc = take_copy(x, &r, &v, l);
	store_read_end(&r);
	if (rc == -ENOENT) {
		x->missing = *tree;
		return -EAGAIN;
	}
	if (!rc)
		qsort_r(l->order, l->view.count, sizeof(*l->order), compare,
			&l->view);
	return rc;
}

static uint32_t add_dir(struct gitindex *x, const struct tree_entry *e,
			uint64_t ino)
{
	struct dirent_node *d;

	if (x->n_dirs == x->cap_dirs) {
		x->cap_dirs = x->cap_dirs * 2 + 64;
		x->dirs = xrealloc(x->dirs, x->cap_dirs * sizeof(*x->dirs));
	}
	d = &x->dirs[x->n_dirs];
	*d = (struct dirent_node){
		.ino = ino, .name = x->names.len, .name_len = e->name_len,
		.first = NO_DIR, .next = NO_DIR,
		.mtime_ns = mtime_of(x, e, ino),
	};
	memcpy(d->id, e->id, GIT_RAW);
	buf_put(&x->names, e->name, e->name_len);
	buf_putc(&x->names, 0);
	return x->n_dirs++;
}

static void raw_entry(struct buf *raw, const struct tree_entry *e)
{
	buf_printf(raw, "%o ", git_mode(e));
	buf_put(raw, e->name, e->name_len);
	buf_putc(raw, 0);
	buf_put(raw, e->id, GIT_RAW);
}

/* Is the tree git would make of this listing the one we have the id of? */
static int check_tree(struct gitindex *x, uint32_t dir, const struct level *l)
{
	struct hash *h;
	struct tree_entry e;
	uint8_t id[GIT_RAW];
	char head[32];
	int n;

	x->raw.len = 0;
	for (uint32_t i = 0; i < l->view.count; i++) {
		tree_entry_at(&l->view, l->order[i], &e);
		raw_entry(&x->raw, &e);
	}
	n = snprintf(head, sizeof(head), "tree %zu", x->raw.len);
	h = hash_new(HASH_SHA1);
	hash_update(h, head, (size_t)n + 1);
	hash_update(h, x->raw.data, x->raw.len);
	hash_final(h, id);
	hash_free(h);
	x->dirs[dir].exact = !memcmp(id, x->dirs[dir].id, GIT_RAW);
	if (!x->dirs[dir].exact)
		x->stats.inexact++;
	else if (x->o->tree)
		return x->o->tree(x->o->ctx, id, x->raw.data, x->raw.len);
	return 0;
}

static int walk(struct gitindex *x, uint32_t dir,
		const struct scorpio_id *tree, unsigned depth);

static int walk_dir(struct gitindex *x, uint32_t dir, uint32_t *last,
		    const struct tree_entry *e, uint64_t ino, unsigned depth)
{
	struct scorpio_id tree = id_make(e->id, e->id_len);
	uint32_t child = add_dir(x, e, ino);
	int rc;

	buf_putc(&x->path, '/');
	rc = walk(x, child, &tree, depth + 1);
	if (rc)
		return rc;
	if (!x->dirs[child].entries) { /* git does not know empty ones */
		x->dirs[dir].exact = false;
		return 0;
	}
	if (*last == NO_DIR)
		x->dirs[dir].first = child;
	else
		x->dirs[*last].next = child;
	*last = child;
	x->dirs[dir].subdirs++;
	x->dirs[dir].entries += x->dirs[child].entries;
	x->dirs[dir].exact &= x->dirs[child].exact;
	return 0;
}

static int walk_file(struct gitindex *x, uint32_t dir,
		     const struct tree_entry *e, uint64_t ino, uint64_t size)
{
	bool ignores = e->kind == SCORPIO_FILE && e->name_len == 10 &&
		       !memcmp(e->name, ".gitignore", 10);
	struct dirent_node *d = &x->dirs[dir];

	d->entries++;
	if (ignores) {
		d->ignores = true;
		memcpy(d->ignore_id, e->id, GIT_RAW);
	}
	if (e->id_len > GIT_RAW)
		x->stats.layered++;
	if (size == SCORPIO_SIZE_UNKNOWN) {
		x->stats.sizes_unknown++;
		size = 0;
	}
	if (x->o->blob && e->kind != SCORPIO_SUBMODULE) {
		int rc = x->o->blob(x->o->ctx, e->id,
				    ignores ? buf_str(&x->path) : NULL);

		if (rc)
			return rc;
	}
	return put_entry(x, e, ino, (uint32_t)size);
}

/* x->path is this directory's with a '/' behind, or empty. */
static int walk(struct gitindex *x, uint32_t dir,
		const struct scorpio_id *tree, unsigned depth)
{
	cleanup_level struct level l = { NULL };
	size_t base = x->path.len;
	uint32_t last = NO_DIR;
	int rc;

	if (depth > DEPTH_MAX)
		return fail(-ELOOP, "git index: directories nest too deeply");
	if (x->o->cancel && __atomic_load_n(x->o->cancel, __ATOMIC_RELAXED))
		return fail(-EINTR, "cancelled");
	rc = load(x, tree, &l);
	if (!rc)
		rc = check_tree(x, dir, &l);
	for (uint32_t i = 0; !rc && i < l.view.count; i++) {
		struct tree_entry e;
		uint64_t ino;

		tree_entry_at(&l.view, l.order[i], &e);
		if (!begins_with_git_id(e.id, e.id_len))
			return fail(-EINVAL, "git index: not a git id");
		ino = node_ino(x->dirs[dir].ino, e.name, e.name_len);
		buf_put(&x->path, e.name, e.name_len);
		rc = e.kind == SCORPIO_DIR
			     ? walk_dir(x, dir, &last, &e, ino, depth)
			     : walk_file(x, dir, &e, ino,
					 l.sizes[l.order[i]]);
		x->path.len = base;
	}
	return rc;
}

/* -- the whole --------------------------------------------------------------------- */

static int write_all(struct gitindex *x)
{
	struct tree_entry root = { .id = x->o->root.bytes, .name = "",
				   .mtime_ns = SCORPIO_TIME_UNKNOWN };
	uint8_t header[HEADER] = "DIRC";
	int rc;

	buf_put(&x->out, header, HEADER);
	add_dir(x, &root, NODE_ROOT);
	rc = walk(x, 0, &x->o->root, 0);
	x->stats.dirs = x->n_dirs;
	if (rc)
		return rc;
	gitindex_extensions(x, &x->out);
	rc = flush(x);
	if (rc)
		return rc;
	put_be32(header + 4, 4);
	put_be32(header + 8, x->stats.entries);
	if (pwrite(x->fd, header, HEADER, 0) != HEADER)
		return fail(-EIO, "git index: %s", strerror(errno));
	return 0;
}

/* git ends it with the SHA-1 of all that is before. */
static int seal(struct gitindex *x)
{
	uint8_t sum[SHA1_LEN];
	void *p = mmap(NULL, x->offset, PROT_READ, MAP_SHARED, x->fd, 0);

	if (p == MAP_FAILED)
		return fail(-errno, "git index: %s", strerror(errno));
	hash_bytes(HASH_SHA1, p, x->offset, sum);
	munmap(p, x->offset);
	buf_put(&x->out, sum, sizeof(sum));
	return flush(x);
}

int gitindex_write(const struct gitindex_options *o, const char *path,
		   struct gitindex_stats *ret, struct scorpio_id *ret_missing)
{
	struct gitindex x = { .o = o };
	int rc;

	if (!begins_with_git_id(o->root.bytes, o->root.len))
		return fail(-EINVAL, "git index: not a git id");
	x.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (x.fd < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	rc = write_all(&x);
	if (!rc)
		rc = seal(&x);
	if (!rc && fsync(x.fd))
		rc = fail(-errno, "%s: %s", path, strerror(errno));
	close(x.fd);
	if (!rc && ret)
		*ret = x.stats;
	if (rc == -EAGAIN && ret_missing)
		*ret_missing = x.missing;
	if (rc)
		unlink(path);
	free(x.dirs);
	free(x.blocks);
	buf_done(&x.names);
	buf_done(&x.path);
	buf_done(&x.last);
	buf_done(&x.out);
	buf_done(&x.raw);
	return rc;
}
