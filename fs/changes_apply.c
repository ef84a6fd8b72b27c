/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_apply.c - what each kind of change does to the tree, the same for a
 * live edit and for a replayed record. A record is checked against the tree
 * before anything is touched: one that does not fit has no effect.
 */
#include "fs/changes_impl.h"

#include "core/error.h"
#include "fs/wal.h"

static int misfit(const struct change *ch, const char *why)
{
	return fail(-EBADMSG, "change %llu of type %u does not fit: %s",
		    (unsigned long long)ch->seq, ch->type, why);
}

static struct cnode *dir_of(struct changes *c, uint64_t ino)
{
	struct cnode *n = changes_find(c, ino);

	return n && n->dir ? n : NULL;
}

static void touch(struct cnode *n, int64_t time, bool modified)
{
	__atomic_store_n(&n->v.ctim, time, __ATOMIC_RELAXED);
	if (modified)
		__atomic_store_n(&n->v.mtim, time, __ATOMIC_RELAXED);
}

static void note(struct changes *c, const struct change *ch,
		 enum fs_journal_kind kind, const struct cnode *dir,
		 const char *name, bool is_dir, char *from)
{
	if (ch->seq)
		journal_add(c->journal, ch->seq, kind, is_dir,
			    changes_path(dir, name), from);
	else
		free(from);
}

/* An inode itself, under each of its names. */
static void note_node(struct changes *c, const struct change *ch,
		      enum fs_journal_kind kind, struct cnode *n)
{
	if (!ch->seq)
		return;
	if (n == c->root)
		journal_add(c->journal, ch->seq, kind, true, xstrdup(""),
			    NULL);
	for (struct cname *l = n->links; l; l = l->next_link)
		journal_add(c->journal, ch->seq, kind, n->dir != NULL,
			    changes_path(l->dir, l->name), NULL);
	__atomic_store_n(&n->modify_seq, ch->seq, __ATOMIC_RELEASE);
}

/* The name stands for something else from now on; what it was may go. */
static void replace(struct changes *c, struct cname *name, struct cnode *node)
{
	struct cnode *was = name->node;

	cname_set(name, node);
	if (was && !was->nlink)
		cnode_orphaned(c, was);
	if (!node && !name->lower_kind)
		cname_drop(name);
}

/* The record's name if it stands for an inode. */
static struct cname *living(struct changes *c, uint64_t parent,
			    const char *name)
{
	struct cnode *dir = dir_of(c, parent);
	struct cname *n = dir ? changes_name(dir, name, strlen(name)) : NULL;

	return n && n->node ? n : NULL;
}

static int apply_new(struct changes *c, struct change *ch)
{
	struct cnode *dir = dir_of(c, ch->parent), *n;
	bool adopt = ch->type == CHANGE_ADOPT;

	if (!dir)
		return misfit(ch, "no such directory");
	if (changes_find(c, ch->v.ino))
		return misfit(ch, "its inode number is taken");
	if (living(c, ch->parent, ch->name))
		return misfit(ch, "the name is taken");
	n = cnode_new(c, &ch->v);
	cname_set(cname_make(dir, ch->name, ch->kind), n);
	if (ch->v.ino & CHANGES_INO_NEW)
		c->last_number = MAX(c->last_number,
				     ch->v.ino & ~CHANGES_INO_NEW);
	ch->result = n;
	if (adopt) {
		if (ch->known)
			c->attach(c->attach_ctx, n, ch->known);
		return 0;
	}
	touch(dir, ch->time, true);
	note(c, ch, FS_JOURNAL_CREATE, dir, ch->name, n->dir != NULL, NULL);
	n->modify_seq = ch->seq;
	return 0;
}

static int apply_link(struct changes *c, struct change *ch)
{
	struct cnode *dir = dir_of(c, ch->parent);
	struct cnode *n = changes_find(c, ch->ino);

	if (!dir || !n || n->dir || living(c, ch->parent, ch->name))
		return misfit(ch, "cannot link");
	cname_set(cname_make(dir, ch->name, ch->kind), n);
	touch(n, ch->time, false);
	touch(dir, ch->time, true);
	note(c, ch, FS_JOURNAL_CREATE, dir, ch->name, false, NULL);
	return 0;
}

static bool holds_names(const struct cnode *n)
{
	return n->dir && n->dir->live;
}

static int apply_remove(struct changes *c, struct change *ch)
{
	struct cname *name = living(c, ch->parent, ch->name);
	struct cnode *dir;

	if (!name)
		return misfit(ch, "no such name");
	if (holds_names(name->node))
		return misfit(ch, "the directory is not empty");
	dir = name->dir;
	note(c, ch, FS_JOURNAL_REMOVE, dir, ch->name, name->node->dir != NULL,
	     NULL);
	touch(name->node, ch->time, false);
	touch(dir, ch->time, true);
	replace(c, name, NULL);
	return 0;
}

static bool is_below(const struct cnode *n, const struct cnode *top)
{
	while (n != top && n->links)
		n = n->links->dir;
	return n == top;
}

static int apply_rename(struct changes *c, struct change *ch)
{
	struct cname *from = living(c, ch->parent, ch->name), *to;
	struct cnode *dir = dir_of(c, ch->to_parent), *n;
	char *old_path;

	if (!from || !dir)
		return misfit(ch, "no such name");
	n = from->node;
	if (n->dir && is_below(dir, n))
		return misfit(ch, "a directory below itself");
	to = changes_name(dir, ch->to, strlen(ch->to));
	if (to == from || (to && to->node && holds_names(to->node)))
		return misfit(ch, "the target is not empty");
	old_path = ch->seq ? changes_path(from->dir, from->name) : NULL;
	touch(from->dir, ch->time, true);
	if (to && to->node)
		touch(to->node, ch->time, false);
	if (!to)
		to = cname_make(dir, ch->to, ch->kind);
	replace(c, to, n);
	cname_set(from, NULL); /* n has the other name: it stays */
	if (!from->lower_kind)
		cname_drop(from);
	touch(n, ch->time, false);
	touch(dir, ch->time, true);
	note(c, ch, FS_JOURNAL_RENAME, dir, ch->to, n->dir != NULL, old_path);
	return 0;
}

static int apply_exchange(struct changes *c, struct change *ch)
{
	struct cname *a = living(c, ch->parent, ch->name);
	struct cname *b = living(c, ch->to_parent, ch->to);
	struct cnode *x, *y;

	if (!a || !b || a == b)
		return misfit(ch, "no such names");
	x = a->node;
	y = b->node;
	if ((x->dir && is_below(b->dir, x)) || (y->dir && is_below(a->dir, y)))
		return misfit(ch, "a directory below itself");
	cname_set(a, y);
	cname_set(b, x);
	touch(x, ch->time, false);
	touch(y, ch->time, false);
	touch(a->dir, ch->time, true);
	touch(b->dir, ch->time, true);
	note(c, ch, FS_JOURNAL_RENAME, b->dir, b->name, x->dir != NULL,
	     changes_path(a->dir, a->name));
	note(c, ch, FS_JOURNAL_RENAME, a->dir, a->name, y->dir != NULL,
	     changes_path(b->dir, b->name));
	return 0;
}

static int apply_attr(struct changes *c, struct change *ch)
{
	struct cnode *n = changes_find(c, ch->v.ino);

	if (!n || (n->v.mode & S_IFMT) != (ch->v.mode & S_IFMT))
		return misfit(ch, "no such inode");
	n->v.mode = ch->v.mode;
	n->v.uid = ch->v.uid;
	n->v.gid = ch->v.gid;
	n->v.atim = ch->v.atim;
	__atomic_store_n(&n->v.mtim, ch->v.mtim, __ATOMIC_RELAXED);
	touch(n, ch->v.ctim, false);
	note_node(c, ch, FS_JOURNAL_ATTRS, n);
	return 0;
}

void cnode_leave_file(struct changes *c, struct cnode *n)
{
	if (n->v.content == CONTENT_UPPER)
		changes_trash(c, n->v.file);
	n->v.file = 0;
	__atomic_fetch_add(&n->version, 1, __ATOMIC_RELEASE);
}

static int apply_content(struct changes *c, struct change *ch)
{
	struct cnode *n = changes_find(c, ch->ino);

	if (!n || n->dir || ch->content == CONTENT_LOWER)
		return misfit(ch, "no such file");
	if (n->v.content == CONTENT_UPPER && ch->content == CONTENT_UPPER) {
		/* a copy of what is shared: the same bytes for who reads */
		changes_retire(c, n->v.file);
		n->v.content = CONTENT_EMPTY;
	}
	cnode_leave_file(c, n);
	n->v.content = ch->content;
	n->v.file = ch->file;
	c->last_number = MAX(c->last_number, ch->file);
	/* at replay the content file itself tells, once all is read */
	__atomic_store_n(&n->v.size, ch->v.size, __ATOMIC_RELAXED);
	__atomic_store_n(&n->v.blocks, ch->v.blocks, __ATOMIC_RELAXED);
	__atomic_store_n(&n->unsynced, true, __ATOMIC_RELAXED);
	if (ch->time)
		touch(n, ch->time, true);
	note_node(c, ch, FS_JOURNAL_MODIFY, n);
	return 0;
}

static int apply_to_node(struct changes *c, struct change *ch)
{
	struct cnode *n = changes_find(c, ch->ino);

	if (!n)
		return misfit(ch, "no such inode");
	if (ch->type == CHANGE_MODIFY) {
		note_node(c, ch, FS_JOURNAL_MODIFY, n);
		return 0;
	}
	cnode_set_xattr(n, ch->name,
			ch->type == CHANGE_XATTR ? ch->value : NULL,
			ch->value_len);
	if (ch->time) {
		touch(n, ch->time, false);
		note_node(c, ch, FS_JOURNAL_ATTRS, n);
	}
	return 0;
}

/* Everything below a directory loses its names. */
void cnode_abandon(struct changes *c, struct cnode *dir)
{
	struct cdir *d = dir->dir;

	for (uint32_t i = 0; d->buckets && i <= d->mask; i++) {
		while (d->buckets[i]) {
			struct cname *name = d->buckets[i];
			struct cnode *n = name->node;

			if (n && n->dir && n->nlink == 1)
				cnode_abandon(c, n);
			if (n) {
				cname_set(name, NULL);
				if (!n->nlink)
					cnode_orphaned(c, n);
			}
			cname_drop(name);
		}
	}
}

static int apply_reset(struct changes *c, struct change *ch)
{
	struct cnode *dir = dir_of(c, ch->parent), *n;
	struct cname *name =
		dir ? changes_name(dir, ch->name, strlen(ch->name)) : NULL;

	if (!name)
		return misfit(ch, "no such name");
	n = name->node;
	note(c, ch, FS_JOURNAL_RESET, dir, ch->name, n && n->dir, NULL);
	if (n && n->dir)
		cnode_abandon(c, n);
	cname_set(name, NULL);
	cname_drop(name);
	if (n && !n->nlink)
		cnode_orphaned(c, n);
	touch(dir, ch->time, true);
	return 0;
}

static int apply_restore(struct changes *c, struct change *ch)
{
	struct cnode *n = changes_find(c, ch->v.ino);

	if (!n || !n->dir)
		return misfit(ch, "no such directory");
	n->v.mode = ch->v.mode;
	n->v.uid = ch->v.uid;
	n->v.gid = ch->v.gid;
	n->v.atim = ch->v.atim;
	__atomic_store_n(&n->v.mtim, ch->v.mtim, __ATOMIC_RELAXED);
	touch(n, ch->time, false);
	cnode_drop_xattrs(n);
	if (ch->seq)
		journal_add(c->journal, ch->seq, FS_JOURNAL_RESET, true,
			    changes_path(n, NULL), NULL);
	return 0;
}

/* -- records of checkpoints ---------------------------------------------------- */

static int apply_node(struct changes *c, struct change *ch)
{
	struct cnode *n = changes_find(c, ch->v.ino);

	if (ch->v.ino == 1 && n) { /* the root is there already */
		if (ch->v.id.len)
			n->v.id = ch->v.id;
		n->v.mode = ch->v.mode;
		n->v.uid = ch->v.uid;
		n->v.gid = ch->v.gid;
		n->v.atim = ch->v.atim;
		n->v.mtim = ch->v.mtim;
		n->v.ctim = ch->v.ctim;
		return 0;
	}
	if (n)
		return misfit(ch, "its inode number is taken");
	cnode_new(c, &ch->v);
	return 0;
}

static int apply_place(struct changes *c, struct change *ch)
{
	struct cnode *dir = dir_of(c, ch->parent);
	struct cnode *n = ch->ino ? changes_find(c, ch->ino) : NULL;
	struct cname *name;

	if (!dir || (ch->ino && !n) ||
	    changes_name(dir, ch->name, strlen(ch->name)))
		return misfit(ch, "cannot place");
	name = cname_make(dir, ch->name, ch->kind);
	if (ch->cookie)
		cname_place(name, ch->cookie);
	if (n)
		cname_set(name, n);
	return 0;
}

int change_apply(struct changes *c, struct change *ch)
{
	static int (*const apply[CHANGE_TYPES])(struct changes *,
						struct change *) = {
		[CHANGE_ADOPT] = apply_new,
		[CHANGE_CREATE] = apply_new,
		[CHANGE_LINK] = apply_link,
		[CHANGE_REMOVE] = apply_remove,
		[CHANGE_RENAME] = apply_rename,
		[CHANGE_EXCHANGE] = apply_exchange,
		[CHANGE_ATTR] = apply_attr,
		[CHANGE_CONTENT] = apply_content,
		[CHANGE_MODIFY] = apply_to_node,
		[CHANGE_XATTR] = apply_to_node,
		[CHANGE_UNXATTR] = apply_to_node,
		[CHANGE_RESET] = apply_reset,
		[CHANGE_RESTORE] = apply_restore,
		[CHANGE_NODE] = apply_node,
		[CHANGE_PLACE] = apply_place,
		[CHANGE_SETTLE] = settle_apply,
	};

	return apply[ch->type] ? apply[ch->type](c, ch)
			       : misfit(ch, "unexpected");
}

int change_commit(struct changes *c, struct change *ch)
{
	struct buf payload = BUF_INIT;
	int rc;

	change_encode(ch, &payload);
	intent_note(c, ch->type);
	rc = wal_append(c->wal, ch->type, payload.data, payload.len,
			&ch->seq);
	buf_done(&payload);
	if (rc)
		return rc;
	pthread_rwlock_wrlock(&c->tree);
	rc = change_apply(c, ch);
	pthread_rwlock_unlock(&c->tree);
	assert(!rc); /* our own mistake: the log has it already */
	return rc;
}
