/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - attributes, content and link targets.
 */
#include "core/error.h"
#include "fs/ahead.h"
#include "fs/crawl.h"
#include "fs/file.h"
#include "fs/guard.h"
#include "fs/parts.h"
#include "fs/process.h"
#include "fs/upper.h"

#define FOR_EVER 1e9
#define MAX_READ (4 * MiB)
#define MAX_LINK 4095

static int reply_attr(struct request *r, const struct stat *st, double timeout)
{
	watch_request(r, 0, 0);
	fuse_reply_attr(r->req, st, timeout);
	return 0;
}

/* A tree on the way to the unchanged node is missing. */
static int need_parent(struct request *r, const struct node *n)
{
	return request_need(r, WANT_TREE, &n->parent->dir->tree,
			    n->parent->ino, SCORPIO_DIR);
}

/* View locked. -EAGAIN: the size is not known (then st_mode is set) or the
 * parent's tree is missing; the need is noted. */
static int attributes(struct request *r, struct store_reader *reader,
		      const struct node *n, struct stat *st)
{
	struct mount *m = r->mount;
	const struct cnode *c = node_changed(n);
	struct tree_entry e;
	struct scorpio_id id;
	int rc;

	st->st_mode = 0;
	if (!c && !n->parent) {
		view_stat_dir(m, n->ino,
			      view_mtime(m, NODE_ROOT, SCORPIO_TIME_UNKNOWN),
			      0755, st);
		return 0;
	}
	if (c) {
		if (view_stat_changed(m, reader, c, st))
			return 0;
		id = c->v.id;
	} else {
		rc = view_entry(m, reader, n, &e);
		if (rc)
			return rc == -EAGAIN ? need_parent(r, n) : rc;
		if (view_stat(m, reader, n->parent, &e, n->ino, st))
			return 0;
		id = view_id(&e);
	}
	return request_need(r, WANT_SIZE, &id, n->ino,
			    S_ISLNK(st->st_mode) ? SCORPIO_SYMLINK
						 : SCORPIO_FILE);
}

int file_attributes(struct request *r, struct stat *st)
{
	struct mount *m = r->mount;
	struct store_reader reader;
	struct node *n;
	int rc = store_read_begin(m->store, &reader);

	if (rc)
		return rc;
	view_lock(m);
	n = node_find(m->nodes, r->ino);
	rc = n ? attributes(r, &reader, n, st)
	       : fail(-ESTALE, "unknown inode");
	store_read_end(&reader);
	if (rc == -EAGAIN && st->st_mode && !r->tries && !node_changed(n)) {
		/* in this order, or the size would wait for the content */
		ahead_sizes(m, n->parent);
		ahead_guess(m, &r->need_id, r->need_entry_kind,
			    process_asker(r->pid, fuse_req_ctx(r->req)->uid));
	}
	view_unlock(m);
	return rc;
}

int file_getattr(struct request *r)
{
	struct stat st;
	int rc = file_attributes(r, &st);
	bool asks_again;

	if (rc)
		return rc;
	/* the content, which is verified, is about to say the size again */
	asks_again = r->tries && r->need_kind == WANT_SIZE &&
		     ahead_guessed(r->mount, &r->need_id, (uint64_t)st.st_size);
	return reply_attr(r, &st, asks_again ? 0 : FOR_EVER);
}

int file_content(struct request *r, uint64_t ino, struct view_content *ret)
{
	struct mount *m = r->mount;
	struct store_reader reader;
	struct node *n;
	int rc = store_read_begin(m->store, &reader);

	if (rc)
		return rc;
	view_lock(m);
	n = node_find(m->nodes, ino);
	rc = n ? view_content(m, &reader, n, ret)
	       : fail(-ESTALE, "unknown inode");
	if (rc == -EAGAIN)
		rc = need_parent(r, n);
	view_unlock(m);
	store_read_end(&reader);
	return rc;
}

static int64_t read_upper(struct mount *m, uint64_t file, uint64_t off,
			  void *buf, size_t size)
{
	struct upper_fd fd;
	size_t got = 0;
	ssize_t n = 1;
	int rc = upper_get(m->changes->upper, file, &fd);

	if (rc)
		return rc;
	while (got < size && n > 0) {
		n = pread(fd.fd, (char *)buf + got, size - got,
			  (off_t)(off + got));
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			got += (size_t)n;
	}
	if (n < 0)
		rc = fail(-errno, "changed content: %s", strerror(errno));
	upper_put(m->changes->upper, &fd);
	return rc ? rc : (int64_t)got;
}

/* A size learned without content is the server's word alone, and the kernel
 * cuts what is read to it. When the content, which is verified, turns out to
 * have another one, the kernel forgets it (resized.c) before those who waited
 * for the content go on; but they, and who comes in between, must not take the
 * cut for the whole. */
static int check_told_size(struct request *r, struct store_reader *reader,
			   const struct scorpio_id *id)
{
	struct store_key key;
	struct blob_info blob;

	if (r->op != OP_READ)
		return 0;
	if (source_correcting(r->mount->source, id))
		return fail(-EIO, "the server told a wrong size; read it again");
	if (!r->told)
		return 0;
	key = store_key(r->mount->space, id);
	if (store_blob(reader, &key, &blob) || blob.size == r->told_size)
		return 0;
	return fail(-EIO, "the server told a wrong size, %llu instead of %llu "
		    "bytes; read it again",
		    (unsigned long long)r->told_size,
		    (unsigned long long)blob.size);
}

int64_t file_read_content(struct request *r, uint64_t ino,
			  const struct view_content *c, uint64_t off,
			  void *buf, size_t size)
{
	struct mount *m = r->mount;
	struct store_reader reader;
	struct store_key key;
	struct blob_info blob;
	struct node *n;
	int64_t got;
	int rc;

	if (c->content == CONTENT_UPPER)
		return read_upper(m, c->file, off, buf, size);
	if (c->content == CONTENT_EMPTY)
		return 0;
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	key = store_key(m->space, &c->id);
	got = store_blob_read(&reader, &key, off, buf, size);
	if (got >= 0) {
		rc = check_told_size(r, &reader, &c->id);
		if (r->watched && r->tries && !store_blob(&reader, &key, &blob))
			guard_charge(m->fs->guard, r, blob.size);
	} else if (got == -ENOENT && !r->tries &&
		   !store_blob(&reader, &key, &blob)) {
		r->told = true;
		r->told_size = blob.size;
	}
	store_read_end(&reader);
	if (got != -ENOENT)
		return rc ? rc : got;
	rc = r->tries ? 0 : guard_ask(m->fs->guard, r);
	if (rc)
		return rc;
	if (!r->tries && !r->watched) {
		view_lock(m);
		n = node_find(m->nodes, ino);
		if (n)
			ahead_siblings(m, n);
		view_unlock(m);
	}
	got = parts_read(r, ino, c, off, buf, size);
	if (got >= 0)
		guard_charge(m->fs->guard, r, (uint64_t)got);
	if (got != -ENOENT)
		return got;
	return request_need(r, WANT_BLOB, &c->id, ino, c->kind);
}

/* Read the range into this thread's buffer: a count, or -EAGAIN with the need
 * noted, or an error. */
static int64_t read_content(struct request *r, uint64_t off, size_t size,
			    void **ret_buf)
{
	struct view_content c;
	int rc = file_content(r, r->ino, &c);

	if (rc)
		return rc;
	*ret_buf = request_scratch(size);
	return file_read_content(r, r->ino, &c, off, *ret_buf, size);
}

/* Before the reply: the node is certain to live until then. */
static void read_began(struct request *r)
{
	struct node *n;

	watch_read(r->mount, r->ino);
	view_lock(r->mount);
	n = node_find(r->mount->nodes, r->ino);
	if (n && !node_changed(n) && n->parent)
		crawl_read(r->mount->crawl, n->parent);
	view_unlock(r->mount);
}

int file_read(struct request *r)
{
	void *buf = NULL;
	int64_t got = read_content(r, r->off, MIN(r->size, MAX_READ), &buf);

	if (got < 0)
		return (int)got;
	if (!r->off)
		read_began(r);
	return request_reply_buf(r, buf, (size_t)got);
}

static int reply_link(struct request *r, const char *target)
{
	watch_request(r, 0, strlen(target));
	fuse_reply_readlink(r->req, target);
	return 0;
}

/* The target of a symbolic link made here: allocated, or NULL. */
static char *own_target(struct mount *m, uint64_t ino)
{
	struct cnode *c;
	struct node *n;
	char *target = NULL;

	if (!m->changes)
		return NULL;
	view_lock(m);
	n = node_find(m->nodes, ino);
	c = n ? node_changed(n) : NULL;
	if (c && c->v.target)
		target = xstrdup(c->v.target);
	view_unlock(m);
	return target;
}

int file_readlink(struct request *r)
{
	cleanup_free char *own = own_target(r->mount, r->ino);
	void *buf = NULL;
	int64_t got;

	if (own)
		return reply_link(r, own);
	got = read_content(r, 0, MAX_LINK + 1, &buf);

	if (got < 0)
		return (int)got;
	if (got > MAX_LINK)
		return fail(-EIO, "symbolic link target over %d bytes",
			    MAX_LINK);
	((char *)buf)[got] = '\0';
	return reply_link(r, buf);
}
