/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - making, removing and moving names in a workspace. The kernel has
 * checked permissions and holds the directories' locks; what it checks on its
 * own view is checked again here, because ours is the one that counts.
 */
#include "core/error.h"
#include "fs/edit.h"

#include <linux/fs.h>

/* st_rdev of the protocol is 32 bits */
static int kind_allowed(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return 0;
	default:
		return -EINVAL;
	}
}

static int create(struct edit *e, const struct request *r,
		  struct cnode **ret)
{
	struct cvalue v = { .mode = r->mode, .uid = r->uid, .gid = r->gid,
			    .rdev = r->rdev,
			    .target = (char *)(uintptr_t)r->name2,
			    .size = r->name2 ? strlen(r->name2) : 0 };
	struct edit_name name;
	struct cnode *dir;
	int rc = edit_dir(e, r->ino, &dir);

	if (!rc)
		rc = edit_find(e, dir, r->name, &name);
	if (rc)
		return rc;
	if (edit_exists(&name))
		return -EEXIST;
	if (dir->v.mode & S_ISGID) { /* as local filesystems do */
		v.gid = dir->v.gid == CHANGES_OWNER ? e->m->gid : dir->v.gid;
		if (S_ISDIR(v.mode))
			v.mode |= S_ISGID;
	}
	return changes_create(e->c, dir, r->name, name.lower_kind, &v, ret);
}

/* It was done by a daemon that died before it said so: the entry that is there
 * now is the answer. Nobody else got at the directory, which the kernel has
 * locked. */
static int answer_entry(struct request *r)
{
	struct fuse_entry_param param;
	struct edit_name name;
	struct cnode *dir;
	struct edit e;
	int rc = edit_begin(&e, r);

	if (rc)
		return rc;
	rc = edit_dir(&e, r->ino, &dir);
	if (!rc)
		rc = edit_find(&e, dir, r->name, &name);
	if (!rc && (!name.name || !name.name->node))
		rc = -ENOENT;
	if (!rc)
		edit_entry(&e, name.name->node, &param);
	edit_end(&e);
	return rc ? rc : request_reply_entry(r, &param);
}

int names_create(struct request *r)
{
	struct fuse_entry_param param;
	struct cnode *n;
	struct edit e;
	int rc = kind_allowed(r->mode);

	if (!rc && request_was_done(r))
		return answer_entry(r);

	if (!rc)
		rc = edit_begin(&e, r);
	if (rc)
		return rc;
	rc = create(&e, r, &n);
	if (!rc)
		edit_entry(&e, n, &param);
	edit_end(&e);
	return rc ? rc : request_reply_entry(r, &param);
}

static int done(struct request *r, int rc)
{
	if (rc)
		return rc;
	watch_request(r, 0, 0);
	fuse_reply_err(r->req, 0);
	return 0;
}

static int remove_name(struct edit *e, const struct request *r)
{
	bool want_dir = r->op == OP_RMDIR;
	struct edit_name name;
	struct cnode *dir, *n;
	int rc = edit_dir(e, r->ino, &dir);

	if (!rc)
		rc = edit_find(e, dir, r->name, &name);
	if (rc)
		return rc;
	if (!edit_exists(&name))
		return -ENOENT;
	if (edit_is_dir(&name) != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	rc = want_dir ? edit_check_empty(e, &name) : 0;
	if (!rc)
		rc = edit_adopt(e, &name, &n);
	return rc ? rc : changes_remove(e->c, name.name);
}

int names_remove(struct request *r)
{
	struct edit e;
	int rc;

	if (request_was_done(r))
		return done(r, 0);
	rc = edit_begin(&e, r);
	if (rc)
		return rc;
	rc = remove_name(&e, r);
	edit_end(&e);
	return done(r, rc);
}

static bool is_below(const struct cnode *n, const struct cnode *top)
{
	while (n != top && n->links)
		n = n->links->dir;
	return n == top;
}

/* May `from` take the place of `to`, which exists? */
static int check_replace(struct edit *e, const struct edit_name *from,
			 const struct edit_name *to)
{
	bool a = edit_is_dir(from), b = edit_is_dir(to);

	if (a && !b)
		return -ENOTDIR;
	if (b && !a)
		return -EISDIR;
	return b ? edit_check_empty(e, to) : 0;
}

static int check_flags(const struct request *r, const struct edit_name *from,
		       const struct edit_name *to)
{
	if (r->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    r->flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (!edit_exists(from))
		return -ENOENT;
	if (r->flags & RENAME_NOREPLACE && edit_exists(to))
		return -EEXIST;
	if (r->flags & RENAME_EXCHANGE && !edit_exists(to))
		return -ENOENT;
	return 0;
}

static int rename_name(struct edit *e, const struct request *r)
{
	bool exchange = r->flags & RENAME_EXCHANGE;
	struct cnode *from_dir = NULL, *to_dir = NULL, *n, *other = NULL;
	struct edit_name from, to;
	int rc = edit_dir(e, r->ino, &from_dir);

	if (!rc)
		rc = edit_dir(e, r->ino2, &to_dir);
	if (!rc)
		rc = edit_find(e, from_dir, r->name, &from);
	if (!rc)
		rc = edit_find(e, to_dir, r->name2, &to);
	if (!rc)
		rc = check_flags(r, &from, &to);
	if (!rc && from_dir == to_dir && !strcmp(r->name, r->name2))
		return 0;
	if (!rc && edit_exists(&to) && !exchange)
		rc = check_replace(e, &from, &to);
	if (!rc)
		rc = edit_adopt(e, &from, &n);
	if (!rc && edit_exists(&to))
		rc = edit_adopt(e, &to, &other);
	if (rc)
		return rc;
	if (n == other)
		return 0; /* two names of one file */
	if ((n->dir && is_below(to_dir, n)) ||
	    (exchange && other->dir && is_below(from_dir, other)))
		return -EINVAL;
	return exchange ? changes_exchange(e->c, from.name, to.name)
			: changes_rename(e->c, from.name, to_dir, r->name2,
					 to.lower_kind);
}

int names_rename(struct request *r)
{
	struct edit e;
	int rc;

	if (request_was_done(r))
		return done(r, 0);
	rc = edit_begin(&e, r);
	if (rc)
		return rc;
	rc = rename_name(&e, r);
	edit_end(&e);
	return done(r, rc);
}

static int link_name(struct edit *e, const struct request *r,
		     struct cnode **ret)
{
	struct edit_name name;
	struct cnode *dir, *n;
	int rc = edit_node(e, r->ino2, &n);

	if (!rc)
		rc = edit_dir(e, r->ino, &dir);
	if (!rc)
		rc = edit_find(e, dir, r->name, &name);
	if (rc)
		return rc;
	if (n->dir)
		return -EPERM;
	if (!n->nlink)
		return -ENOENT;
	if (edit_exists(&name))
		return -EEXIST;
	*ret = n;
	return changes_link(e->c, n, dir, r->name, name.lower_kind);
}

int names_link(struct request *r)
{
	struct fuse_entry_param param;
	struct cnode *n;
	struct edit e;
	int rc;

	if (request_was_done(r))
		return answer_entry(r);
	rc = edit_begin(&e, r);
	if (rc)
		return rc;
	rc = link_name(&e, r, &n);
	if (!rc)
		edit_entry(&e, n, &param);
	edit_end(&e);
	return rc ? rc : request_reply_entry(r, &param);
}
