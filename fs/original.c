/* SPDX-License-Identifier: Apache-2.0 */
/* original.c - what a path of a workspace was in its revision. */
#include "core/error.h"
#include "fs/status.h"

#define PIECE (256 * KiB)

int status_lower_path(struct mount *m, const char *path, char **ret)
{
	struct cnode *dir = m->changes->root;
	char *low = xstrdup("");
	const char *p = path;

	while (low && *p) {
		size_t len = strcspn(p, "/");
		cleanup_free char *part = xstrndup(p, len);
		struct cname *name = dir ? changes_name(dir, part, len) : NULL;
		struct cnode *n = name ? name->node : NULL;
		char *next = NULL;

		p += len + (p[len] == '/');
		if (!name || name->lower_kind)
			next = status_join(low, part);
		if (n && n->v.lower_kind && n->v.lower_path &&
		    (changes_is_dir(n) || !name->lower_kind)) {
			free(next);
			next = xstrdup(n->v.lower_path);
		}
		free(low);
		low = next;
		dir = n && n->dir ? n : NULL;
	}
	*ret = low;
	return low ? 0 : fail(-ENOENT, "%s is not of the revision: it was "
			      "added", path);
}

static int pour(struct mount *m, const struct store_key *key, uint64_t size,
		int (*fn)(void *ctx, const void *p, size_t n), void *ctx)
{
	cleanup_free char *buf = xmalloc(PIECE);
	int rc = 0;

	for (uint64_t at = 0; at < size && !rc;) {
		struct store_reader r;
		int64_t got;

		rc = store_read_begin(m->store, &r);
		if (rc)
			return rc;
		got = store_blob_read(&r, key, at, buf, PIECE);
		store_read_end(&r);
		if (got <= 0)
			return fail(-EIO, "the store does not keep what is "
				    "fetched");
		at += (uint64_t)got;
		rc = fn(ctx, buf, (size_t)got);
	}
	return rc;
}

/* Bring the content and tell its size. */
static int bring(struct mount *m, const char *low, const struct view_found *at,
		 int64_t deadline, uint64_t *ret_size)
{
	cleanup_free char *full = m->subdir ? status_join(m->subdir, low)
					    : xstrdup(low);
	struct scorpio_ref ref = { .id = at->id, .path = full,
				   .path_len = (uint32_t)strlen(full),
				   .kind = at->kind };
	struct store_key key = store_key(m->space, &at->id);
	struct store_reader r;
	struct blob_info blob;
	int rc;

	for (int tries = 0; tries < 3; tries++) {
		rc = store_read_begin(m->store, &r);
		if (rc)
			return rc;
		rc = store_blob(&r, &key, &blob);
		if (!rc && !store_blob_present(&r, &key, 0, blob.size))
			rc = -ENOENT;
		store_read_end(&r);
		*ret_size = blob.size;
		if (rc != -ENOENT)
			return rc;
		rc = source_need(m->source, WANT_BLOB, &ref, WANT_DEMAND,
				 deadline);
		if (rc)
			return rc;
	}
	return fail(-EIO, "the store does not keep what is fetched");
}

static uint32_t full_mode(const struct view_found *at)
{
	switch (at->kind) {
	case SCORPIO_FILE:
		return S_IFREG | (at->mode & 07777);
	case SCORPIO_SYMLINK:
		return S_IFLNK | 0777;
	default:
		return S_IFDIR | (at->mode & 07777);
	}
}

/* *ret_mode is told of directories too. */
static int look_up(struct mount *m, const char *path, int64_t deadline,
		   uint32_t *ret_mode, char **ret_low, struct view_found *ret)
{
	int rc;

	view_lock(m);
	rc = status_lower_path(m, path, ret_low);
	view_unlock(m);
	if (!rc)
		rc = view_walk_lower(m, *ret_low, deadline, ret);
	if (rc)
		return rc;
	if (ret_mode)
		*ret_mode = full_mode(ret);
	if (ret->kind != SCORPIO_FILE && ret->kind != SCORPIO_SYMLINK)
		return fail(-EISDIR, "%s is a directory in the revision", path);
	return 0;
}

static int acquire(struct fs *f, const char *id_or_dir, struct mount **ret)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	int rc = 0;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	if (m->changes) {
		*ret = m;
	} else {
		rc = fail(-EROFS, "%s is a read-only view", m->dir);
		mount_release(m);
	}
	return rc;
}

int fs_original(struct fs *f, const char *id_or_dir, const char *path,
		int64_t deadline, uint32_t *ret_mode,
		int (*fn)(void *ctx, const void *p, size_t n), void *ctx)
{
	cleanup_free char *low = NULL;
	struct view_found at;
	struct store_key key;
	struct mount *m;
	uint64_t size;
	int rc = acquire(f, id_or_dir, &m);

	if (rc)
		return rc;
	rc = look_up(m, path, deadline, ret_mode, &low, &at);
	if (!rc)
		rc = bring(m, low, &at, deadline, &size);
	if (!rc) {
		key = store_key(m->space, &at.id);
		rc = pour(m, &key, size, fn, ctx);
	}
	mount_release(m);
	return rc;
}

int fs_original_id(struct fs *f, const char *id_or_dir, const char *path,
		   int64_t deadline, struct scorpio_id *ret)
{
	cleanup_free char *low = NULL;
	struct view_found at;
	struct mount *m;
	int rc = acquire(f, id_or_dir, &m);

	if (rc)
		return rc;
	rc = look_up(m, path, deadline, NULL, &low, &at);
	if (!rc)
		*ret = source_plain_id(m->source, &at.id);
	mount_release(m);
	return rc;
}
