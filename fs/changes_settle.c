/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_settle.c - a changed inode is as in the revision again.
 *
 * It keeps its number and its times, so nobody who looks at it can tell, and
 * the kernel need not be told. A file leaves its content file; a new directory
 * in the place of one of the revision becomes that one: names of the revision
 * that it does not have turn into tombstones (the record lists all), and those
 * it has keep their place in listings.
 */
#include "fs/changes_impl.h"

#include "core/error.h"
#include "fs/node.h"
#include "fs/wal.h"

#define NAMES_MAX (WAL_PAYLOAD_MAX / 2)

static int misfit(const char *why)
{
	return fail(-EBADMSG, "something to settle does not fit: %s", why);
}

/* -- is it? ------------------------------------------------------------------- */

static bool at_home(const struct cnode *n)
{
	cleanup_free char *path = changes_path(n, NULL);

	return n->nlink == 1 && path && n->v.lower_path &&
	       !strcmp(path, n->v.lower_path);
}

/* Is anything but its time another than in the revision? Not: below it. */
bool cnode_differs(const struct cnode *n)
{
	if (!n->v.lower_kind || !n->v.lower_path || n->xattrs ||
	    n->v.uid != CHANGES_OWNER || n->v.gid != CHANGES_OWNER)
		return true;
	if (!S_ISLNK(n->v.mode) &&
	    (n->v.mode & 07777) != (n->v.lower_mode & 07777u))
		return true;
	if (!n->dir && n->v.content != CONTENT_LOWER)
		return true;
	return !at_home(n);
}

/* The same of all below it, too. */
bool cnode_differs_below(const struct cnode *n)
{
	if (cnode_differs(n))
		return true;
	for (uint32_t i = 0; n->dir && n->dir->buckets && i <= n->dir->mask;
	     i++)
		for (struct cname *l = n->dir->buckets[i]; l; l = l->next)
			if (!l->node || cnode_differs_below(l->node))
				return true;
	return false;
}

/* -- it is ---------------------------------------------------------------------- */

/* u8 kind, u8 length, name, NUL; -EBADMSG */
static int each_name(const struct change *ch, struct cnode *dir)
{
	const uint8_t *p = ch->value, *end = p + ch->value_len;

	while (p < end) {
		const char *text = (const char *)p + 2;
		struct cname *name;
		size_t len;

		if (end - p < 4 || end - p < p[1] + 3 || !p[1] ||
		    strnlen(text, p[1] + 1u) != p[1])
			return misfit("its names are malformed");
		len = p[1];
		if (dir) {
			name = changes_name(dir, text, len);
			if (!name)
				name = cname_make(dir, text, p[0]);
			name->lower_kind = p[0]; /* its place stays */
		}
		p += len + 3;
	}
	return 0;
}

static void settle_dir(struct cnode *n)
{
	struct node *known = n->known;

	if (!known || !known->dir)
		return;
	known->dir->tree = changes_tree(n);
	known->dir->key = node_key(n->v.lower_path);
}

int settle_apply(struct changes *c, struct change *ch)
{
	struct cnode *n = changes_find(c, ch->v.ino);
	struct cvalue *v;
	int rc;

	if (!n || !ch->v.lower_path || !ch->v.lower_kind ||
	    (n->v.mode & S_IFMT) != (ch->v.mode & S_IFMT))
		return misfit("no such inode");
	rc = each_name(ch, NULL);
	if (rc)
		return rc;
	if (!n->dir)
		cnode_leave_file(c, n);
	else
		each_name(ch, n);
	v = &n->v;
	v->id = ch->v.id;
	v->uid = ch->v.uid;
	v->gid = ch->v.gid;
	v->lower_kind = ch->v.lower_kind;
	v->lower_mode = ch->v.lower_mode;
	v->content = n->dir ? CONTENT_EMPTY : CONTENT_LOWER;
	free(v->lower_path);
	v->lower_path = xstrdup(ch->v.lower_path);
	free(steal(&v->target));
	__atomic_store_n(&v->size, ch->v.size, __ATOMIC_RELAXED);
	__atomic_store_n(&v->blocks, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&v->mtim, ch->v.mtim, __ATOMIC_RELAXED);
	__atomic_store_n(&v->ctim, ch->v.ctim, __ATOMIC_RELAXED);
	if (n->dir)
		settle_dir(n);
	return 0;
}

/* Whoever reads it now may be about to open its content file. */
static uint64_t keep_file(struct changes *c)
{
	return c->trash_len ? c->trash[--c->trash_len] : 0;
}

int changes_settle(struct changes *c, struct cnode *n,
		   const struct settled *s, uint64_t *ret_file)
{
	struct change ch = { .type = CHANGE_SETTLE, .v = n->v,
			     .value = s->names, .value_len = s->names_len };
	bool has_file = n->v.content == CONTENT_UPPER;
	int rc;

	*ret_file = 0;
	if (s->names_len > NAMES_MAX)
		return fail(-E2BIG, "a directory of too many names");
	ch.v.id = s->id;
	ch.v.lower_kind = s->kind;
	ch.v.lower_mode = s->mode;
	ch.v.lower_path = (char *)(uintptr_t)s->path;
	ch.v.uid = ch.v.gid = CHANGES_OWNER;
	ch.v.target = NULL;
	rc = change_commit(c, &ch);
	if (!rc && has_file)
		*ret_file = keep_file(c);
	return rc;
}
