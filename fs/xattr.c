/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xattr.c - extended attributes: digests and facts of ours, which are answered
 * but not listed, and what programs set in a workspace.
 */
#include "core/error.h"
#include "core/id.h"
#include "fs/edit.h"
#include "fs/file.h"

#include <linux/limits.h>
#include <sys/xattr.h>

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

/* -- digests --------------------------------------------------------------------- */

#define HASH_AT_ONCE (1 * MiB) /* on a FUSE worker */
#define HASH_PIECE (256 * KiB)

enum form { FORM_SHA1, FORM_SHA256, FORM_RAW };

static int reply_digest(struct request *r, enum form form, const uint8_t *sha1,
			const uint8_t *sha256)
{
	char hex[2 * SHA256_LEN + 1];

	if (form == FORM_RAW)
		return reply_xattr(r, sha256, SHA256_LEN);
	hex_encode(form == FORM_SHA1 ? sha1 : sha256,
		   form == FORM_SHA1 ? SHA1_LEN : SHA256_LEN, hex);
	return reply_xattr(r, hex, strlen(hex));
}

/* Of content in the revision: known once it was fetched. */
static int lower_digest(struct request *r, const struct view_content *c,
			enum form form)
{
	struct mount *m = r->mount;
	struct store_key key = store_key(m->space, &c->id);
	struct store_reader reader;
	struct blob_info blob;
	int rc = store_read_begin(m->store, &reader);

	if (rc)
		return rc;
	rc = store_blob(&reader, &key, &blob);
	store_read_end(&reader);
	if (rc && rc != -ENOENT)
		return rc;
	if (rc || !blob.has_content)
		return request_need(r, WANT_BLOB, &c->id, r->ino, c->kind);
	return reply_digest(r, form, blob.sha1, blob.sha256);
}

static int hash_content(struct request *r, const struct view_content *c,
			struct cdigest *ret)
{
	struct hash *h1 = hash_new(HASH_SHA1), *h2 = hash_new(HASH_SHA256);
	void *buf = request_scratch(HASH_PIECE);
	uint64_t at = 0;
	int64_t n;

	while ((n = file_read_content(r, r->ino, c, at, buf, HASH_PIECE)) >
	       0) {
		hash_update(h1, buf, (size_t)n);
		hash_update(h2, buf, (size_t)n);
		at += (uint64_t)n;
	}
	hash_final(h1, ret->sha1);
	hash_final(h2, ret->sha256);
	hash_free(h1);
	hash_free(h2);
	return (int)n;
}

/* Of changed content: computed once per version. */
static int own_digest(struct request *r, const struct view_content *c,
		      enum form form)
{
	pthread_mutex_t *stripe = changes_stripe(r->mount->changes,
						 c->changed);
	uint64_t version = __atomic_load_n(&c->changed->version,
					   __ATOMIC_ACQUIRE);
	struct cdigest d;
	bool known = false;
	int rc;

	pthread_mutex_lock(stripe);
	if (c->changed->digest && c->changed->digest->version == version) {
		d = *c->changed->digest;
		known = true;
	}
	pthread_mutex_unlock(stripe);
	if (known)
		return reply_digest(r, form, d.sha1, d.sha256);
	if (c->size > HASH_AT_ONCE && !r->background)
		return -EINPROGRESS;
	rc = hash_content(r, c, &d);
	if (rc)
		return rc;
	d.version = version;
	pthread_mutex_lock(stripe);
	known = version == __atomic_load_n(&c->changed->version,
					   __ATOMIC_ACQUIRE);
	if (known) {
		if (!c->changed->digest)
			c->changed->digest = xmalloc(sizeof(d));
		*c->changed->digest = d;
	}
	pthread_mutex_unlock(stripe);
	/* written to meanwhile: there is no digest of that */
	return known ? reply_digest(r, form, d.sha1, d.sha256) : -ENODATA;
}

static int digest_xattr(struct request *r, enum form form)
{
	struct view_content c;
	int rc = file_content(r, r->ino, &c);

	if (rc == -EISDIR || (!rc && c.kind != SCORPIO_FILE))
		return -ENODATA;
	if (rc)
		return rc;
	return c.content == CONTENT_LOWER ? lower_digest(r, &c, form)
					  : own_digest(r, &c, form);
}

/* -- facts ----------------------------------------------------------------------- */

struct facts {
	struct scorpio_id id;
	uint8_t kind;
	uint64_t size;
	bool changed;
};

/* View locked. */
static int facts_of(struct request *r, struct store_reader *reader,
		    const struct node *n, struct facts *ret)
{
	const struct cnode *c = node_changed(n);
	struct tree_entry e;
	int rc;

	*ret = (struct facts){ .kind = SCORPIO_DIR };
	if (c) {
		ret->changed = !changes_is_dir(c) &&
			       c->v.content != CONTENT_LOWER;
		ret->kind = c->v.lower_kind;
		if (!ret->changed)
			ret->id = c->v.id;
		ret->size = c->v.size;
		return 0;
	}
	if (!n->parent) {
		ret->id = r->mount->root;
		return 0;
	}
	rc = view_entry(r->mount, reader, n, &e);
	if (rc)
		return rc == -EAGAIN
			       ? request_need(r, WANT_TREE,
					      &n->parent->dir->tree,
					      n->parent->ino, SCORPIO_DIR)
			       : rc;
	ret->id = view_id(&e);
	ret->kind = e.kind;
	ret->size = view_size(r->mount, reader, &e);
	return 0;
}

static int reply_rev(struct request *r)
{
	char text[sizeof(r->mount->rev.text)];

	pthread_mutex_lock(&r->mount->fs->lock); /* a switch changes it */
	memcpy(text, r->mount->rev.text, sizeof(text));
	pthread_mutex_unlock(&r->mount->fs->lock);
	return reply_xattr(r, text, strlen(text));
}

/* user.scorpio.*: what scripts may ask without the command line. */
static int own_xattr(struct request *r, const char *name)
{
	struct mount *m = r->mount;
	struct store_reader reader;
	char hex[ID_HEX_MAX];
	const char *tier = "store";
	struct facts f;
	struct node *n;
	int rc;

	if (!strcmp(name, "rev"))
		return reply_rev(r);
	rc = store_read_begin(m->store, &reader);
	if (rc)
		return rc;
	view_lock(m);
	n = node_find(m->nodes, r->ino);
	rc = n ? facts_of(r, &reader, n, &f) : fail(-ESTALE, "unknown inode");
	view_unlock(m);
	if (!rc && f.changed) {
		tier = "workspace";
	} else if (!rc && (f.kind == SCORPIO_FILE ||
			   f.kind == SCORPIO_SYMLINK)) {
		struct store_key key = store_key(m->space, &f.id);

		if (f.size == SCORPIO_SIZE_UNKNOWN ||
		    !store_blob_present(&reader, &key, 0, f.size))
			tier = "source";
	}
	store_read_end(&reader);
	if (rc)
		return rc;
	f.id = source_plain_id(m->source, &f.id);
	id_hex(&f.id, hex);
	if (!strcmp(name, "tier"))
		return reply_xattr(r, tier, strlen(tier));
	if (f.id.len && (!strcmp(name, "oid") ||
			 (!strcmp(name, "submodule") &&
			  f.kind == SCORPIO_SUBMODULE)))
		return reply_xattr(r, hex, strlen(hex));
	return -ENODATA;
}

/* -- what programs set -------------------------------------------------------------- */

#define VALUE_MAX (64 * KiB)
#define TOTAL_MAX (256 * KiB) /* of one inode */

/* The name a tool was told to ask for, and wants the bytes of. */
static bool is_raw_digest(const struct request *r)
{
	const char *name = r->mount->fs->options.digest_xattr;

	return name && !strcmp(r->name, name);
}

static bool is_ours(const struct request *r)
{
	return !strcmp(r->name, "user.sha256") ||
	       !strcmp(r->name, "user.sha1") ||
	       !strncmp(r->name, "user.scorpio.", 13) || is_raw_digest(r);
}

static bool is_supported(const char *name)
{
	return !strncmp(name, "user.", 5) || !strncmp(name, "trusted.", 8) ||
	       !strncmp(name, "security.", 9);
}

/* View locked: the changed inode or NULL. */
static struct cnode *changed_of(struct mount *m, uint64_t ino)
{
	struct node *n = node_find(m->nodes, ino);

	return n ? node_changed(n) : NULL;
}

static int get_set_xattr(struct request *r)
{
	struct mount *m = r->mount;
	struct cxattr *x = NULL;
	struct cnode *c;
	cleanup_free char *value = NULL;
	size_t n = 0;

	if (!m->changes)
		return -ENODATA;
	view_lock(m);
	c = changed_of(m, r->ino);
	if (c && c->xattrs)
		x = changes_xattr_find(c, r->name);
	if (x) {
		n = x->len;
		value = xmalloc(n + 1);
		memcpy(value, x->value, n);
	}
	view_unlock(m);
	return value ? reply_xattr(r, value, n) : -ENODATA;
}

int file_getxattr(struct request *r)
{
	if (!strcmp(r->name, "user.sha256"))
		return digest_xattr(r, FORM_SHA256);
	if (!strcmp(r->name, "user.sha1"))
		return digest_xattr(r, FORM_SHA1);
	if (is_raw_digest(r))
		return digest_xattr(r, FORM_RAW);
	if (!strncmp(r->name, "user.scorpio.", 13))
		return own_xattr(r, r->name + 13);
	return get_set_xattr(r);
}

int xattr_list(struct request *r)
{
	struct mount *m = r->mount;
	struct buf names = BUF_INIT;
	struct cnode *c;
	int rc;

	view_lock(m);
	c = changed_of(m, r->ino);
	for (const struct cxattr *x = c ? c->xattrs : NULL; x; x = x->next)
		buf_put(&names, x->name, strlen(x->name) + 1);
	view_unlock(m);
	rc = reply_xattr(r, names.data, names.len);
	buf_done(&names);
	return rc;
}

static int check_set(const struct request *r, const struct cnode *n)
{
	const struct cxattr *old = changes_xattr_find(n, r->name);
	size_t total = r->size + strlen(r->name);

	if (r->op == OP_REMOVEXATTR)
		return old ? 0 : -ENODATA;
	if (r->flags & XATTR_CREATE && old)
		return -EEXIST;
	if (r->flags & XATTR_REPLACE && !old)
		return -ENODATA;
	if (r->size > VALUE_MAX)
		return -E2BIG;
	for (const struct cxattr *x = n->xattrs; x; x = x->next)
		if (x != old)
			total += x->len + strlen(x->name);
	return total > TOTAL_MAX ? -ENOSPC : 0;
}

int xattr_set(struct request *r)
{
	bool remove = r->op == OP_REMOVEXATTR;
	struct cnode *n;
	struct edit e;
	int rc;

	if (is_ours(r))
		return -EPERM;
	if (!is_supported(r->name))
		return -EOPNOTSUPP;
	if (strlen(r->name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (!request_was_done(r)) {
		rc = edit_begin(&e, r);
		if (rc)
			return rc;
		rc = edit_node(&e, r->ino, &n);
		if (!rc)
			rc = check_set(r, n);
		if (!rc)
			rc = changes_xattr(e.c, n, r->name,
					   remove ? NULL : r->data, r->size);
		edit_end(&e);
		if (rc)
			return rc;
	}
	watch_request(r, 0, 0);
	fuse_reply_err(r->req, 0);
	return 0;
}
