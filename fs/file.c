/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - attributes, content, link targets and extended attributes.
 */
#include "core/error.h"
#include "core/id.h"
#include "fs/ahead.h"
#include "fs/request.h"
#include "fs/view.h"

#include <sys/xattr.h>

#define FOR_EVER 1e9
#define MAX_READ (4 * MiB)
#define MAX_LINK 4095

static int reply_attr(struct request *r, const struct stat *st)
{
	watch_request(r, 0, 0);
	fuse_reply_attr(r->req, st, FOR_EVER);
	return 0;
}

/* A tree on the way to the node is missing. */
static int need_parent(struct request *r, const struct node *n)
{
	return request_need(r, WANT_TREE, &n->parent->dir->tree,
			    n->parent->ino, SCORPIO_DIR);
}

int file_getattr(struct request *r)
{
	struct mount *m = r->mount;
	struct node *n = node_find(m->nodes, r->ino);
	struct store_reader reader;
	struct tree_entry e;
	struct scorpio_id id;
	struct stat st;
	bool known;
	int rc;

	if (!n)
		return fail(-ESTALE, "unknown inode");
	if (!n->parent) {
		view_stat_dir(m, n->ino, SCORPIO_TIME_UNKNOWN, 0755, &st);
		return reply_attr(r, &st);
	}
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	rc = view_entry(m, &reader, n, &e);
	if (rc) {
		store_read_end(&reader);
		return rc == -EAGAIN ? need_parent(r, n) : rc;
	}
	known = view_stat(m, &reader, &e, n->ino, &st);
	id = view_id(&e);
	store_read_end(&reader);
	if (known)
		return reply_attr(r, &st);
	if (!r->tries)
		ahead_sizes(m, n->parent);
	return request_need(r, WANT_SIZE, &id, n->ino,
			    S_ISLNK(st.st_mode) ? SCORPIO_SYMLINK
						: SCORPIO_FILE);
}

/* The content id and kind of a file node; *ret_known its size. */
static int content_of(struct request *r, struct store_reader *reader,
		      struct node *n, struct scorpio_id *ret, uint8_t *ret_kind)
{
	struct tree_entry e;
	int rc;

	if (!n->parent || n->dir)
		return -EISDIR;
	rc = view_entry(r->mount, reader, n, &e);
	if (rc)
		return rc == -EAGAIN ? need_parent(r, n) : rc;
	*ret = view_id(&e);
	*ret_kind = e.kind;
	return 0;
}

/* Read the range into this thread's buffer: a count, or -EAGAIN with the need
 * noted, or an error. */
static int64_t read_content(struct request *r, uint64_t off, size_t size,
			    void **ret_buf)
{
	struct mount *m = r->mount;
	struct node *n = node_find(m->nodes, r->ino);
	struct store_reader reader;
	struct scorpio_id id;
	struct store_key key;
	uint8_t kind;
	int64_t got;
	int rc;

	if (!n)
		return fail(-ESTALE, "unknown inode");
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	rc = content_of(r, &reader, n, &id, &kind);
	if (rc) {
		store_read_end(&reader);
		return rc;
	}
	*ret_buf = request_scratch(size);
	key = store_key(m->space, &id);
	got = store_blob_read(&reader, &key, off, *ret_buf, size);
	store_read_end(&reader);
	if (got != -ENOENT)
		return got;
	if (!r->tries)
		ahead_siblings(m, n);
	return request_need(r, WANT_BLOB, &id, n->ino, kind);
}

int file_read(struct request *r)
{
	void *buf;
	int64_t got = read_content(r, r->off, MIN(r->size, MAX_READ), &buf);

	if (got < 0)
		return (int)got;
	if (!r->off)
		watch_read(r->mount, r->ino);
	return request_reply_buf(r, buf, (size_t)got);
}

int file_readlink(struct request *r)
{
	void *buf;
	int64_t got = read_content(r, 0, MAX_LINK + 1, &buf);

	if (got < 0)
		return (int)got;
	if (got > MAX_LINK)
		return fail(-EIO, "symbolic link target over %d bytes",
			    MAX_LINK);
	((char *)buf)[got] = '\0';
	watch_request(r, 0, (uint64_t)got);
	fuse_reply_readlink(r->req, buf);
	return 0;
}

static int reply_xattr(struct request *r, const void *p, size_t n)
{
	if (r->size && n > r->size)
		return -ERANGE;
	watch_request(r, 0, n);
	if (!r->size)
		fuse_reply_xattr(r->req, n);
	else
		fuse_reply_buf(r->req, p, n);
	return 0;
}

/* Digests of the content; known once it was fetched. */
static int digest_xattr(struct request *r, bool sha1)
{
	struct mount *m = r->mount;
	struct node *n = node_find(m->nodes, r->ino);
	struct store_reader reader;
	struct blob_info blob;
	struct scorpio_id id;
	struct store_key key;
	char hex[2 * SHA256_LEN + 1];
	uint8_t kind;
	int rc;

	if (!n)
		return fail(-ESTALE, "unknown inode");
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	rc = content_of(r, &reader, n, &id, &kind);
	if (rc || kind != SCORPIO_FILE) {
		store_read_end(&reader);
		return rc == -EISDIR || !rc ? -ENODATA : rc;
	}
	key = store_key(m->space, &id);
	rc = store_blob(&reader, &key, &blob);
	if (!rc && blob.has_content)
		hex_encode(sha1 ? blob.sha1 : blob.sha256,
			   sha1 ? SHA1_LEN : SHA256_LEN, hex);
	store_read_end(&reader);
	if (rc && rc != -ENOENT)
		return rc;
	if (rc || !blob.has_content)
		return request_need(r, WANT_BLOB, &id, n->ino, kind);
	return reply_xattr(r, hex, strlen(hex));
}

/* user.scorpio.*: what scripts may ask without the command line. */
static int own_xattr(struct request *r, const char *name)
{
	struct mount *m = r->mount;
	struct node *n = node_find(m->nodes, r->ino);
	struct store_reader reader;
	struct tree_entry e;
	struct scorpio_id id = { 0 };
	char hex[ID_HEX_MAX];
	uint8_t kind = SCORPIO_DIR;
	bool resident = true;
	int rc;

	if (!n)
		return fail(-ESTALE, "unknown inode");
	if (!strcmp(name, "rev"))
		return reply_xattr(r, m->rev.text, strlen(m->rev.text));
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	if (n->parent) {
		rc = view_entry(m, &reader, n, &e);
		if (!rc) {
			id = view_id(&e);
			kind = e.kind;
		}
	} else {
		id = m->root;
	}
	if (!rc && (kind == SCORPIO_FILE || kind == SCORPIO_SYMLINK)) {
		struct store_key key = store_key(m->space, &id);
		uint64_t size = view_size(m, &reader, &e);

		resident = size != SCORPIO_SIZE_UNKNOWN &&
			   store_blob_present(&reader, &key, 0, size);
	}
	store_read_end(&reader);
	if (rc)
		return rc == -EAGAIN ? need_parent(r, n) : rc;
	id_hex(&id, hex);
	if (!strcmp(name, "oid"))
		return reply_xattr(r, hex, strlen(hex));
	if (!strcmp(name, "submodule") && kind == SCORPIO_SUBMODULE)
		return reply_xattr(r, hex, strlen(hex));
	if (!strcmp(name, "tier")) {
		const char *tier = resident ? "store" : "source";

		return reply_xattr(r, tier, strlen(tier));
	}
	return -ENODATA;
}

int file_getxattr(struct request *r)
{
	if (!strcmp(r->name, "user.sha256"))
		return digest_xattr(r, false);
	if (!strcmp(r->name, "user.sha1"))
		return digest_xattr(r, true);
	if (!strncmp(r->name, "user.scorpio.", 13))
		return own_xattr(r, r->name + 13);
	return -ENODATA;
}
