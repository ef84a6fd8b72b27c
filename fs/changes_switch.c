/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_switch.c - what a switch to another revision does to the changes.
 *
 * The log gets any number of parts, which mean nothing alone, and then one
 * record that makes them count. A part is the switch's time (its name) and
 * operations:
 *	'T' u64 key                the path shows something else since now
 *	'E' u64 dir, u8 flags, u8 lower kind, name  a name of a changed directory
 *	'N' u64 ino, u8 flags, u8 kind, u16 mode, u64 size, u8 len, id
 *	                           what an inode is in the new revision
 */
#include "fs/changes_impl.h"

#include "core/error.h"
#include "fs/delta.h"
#include "fs/node.h"
#include "fs/notify.h"
#include "fs/times.h"
#include "fs/wal.h"

#define PART_MAX (256 * KiB)
#define JOURNAL_MAX 200 /* then everything below the root may differ */

enum {
	E_DROP = 1, /* what it named goes as well */
	N_GONE = 1, /* not in the revision any more */
	N_MODE = 2, /* permissions as in the revision */
	N_CONTENT = 4, /* content as in the revision */
	N_TOUCH = 8, /* its time is that of the switch */
	N_QUIET = 16, /* nor is it a change of its status */
};

struct rebase {
	struct buf ops;
	size_t *cuts, n_cuts; /* where parts end */
	size_t part;          /* where the last one began */
	struct rebase_conflict *conflicts;
	size_t n_conflicts;
	uint64_t kept;
	bool quiet;
};

/* -- planning --------------------------------------------------------------------- */

static void op_end(struct rebase *r)
{
	if (r->ops.len - r->part < PART_MAX)
		return;
	r->cuts = xrealloc(r->cuts, (r->n_cuts + 1) * sizeof(*r->cuts));
	r->cuts[r->n_cuts++] = r->ops.len;
	r->part = r->ops.len;
}

static void op_time(struct rebase *r, uint64_t key)
{
	buf_putc(&r->ops, 'T');
	buf_put(&r->ops, &key, sizeof(key));
	op_end(r);
}

static void op_name(struct rebase *r, const struct cname *name, uint8_t flags,
		    uint8_t kind)
{
	buf_putc(&r->ops, 'E');
	buf_put(&r->ops, &name->dir->v.ino, sizeof(uint64_t));
	buf_putc(&r->ops, flags);
	buf_putc(&r->ops, kind);
	buf_putc(&r->ops, name->len);
	buf_put(&r->ops, name->name, name->len + 1u);
	op_end(r);
}

static void op_node(struct rebase *r, uint64_t ino, uint8_t flags,
		    const struct delta_entry *e, const struct scorpio_id *id)
{
	struct buf *b = &r->ops;
	uint64_t size = e ? e->new_size : 0;
	uint16_t mode = e ? e->new_mode : 0;

	if (r->quiet)
		flags = (flags & ~N_TOUCH) | N_QUIET;
	buf_putc(b, 'N');
	buf_put(b, &ino, sizeof(ino));
	buf_putc(b, flags);
	buf_putc(b, e ? e->new_kind : 0);
	buf_put(b, &mode, sizeof(mode));
	buf_put(b, &size, sizeof(size));
	buf_putc(b, id ? id->len : 0);
	if (id)
		buf_put(b, id->bytes, id->len);
	op_end(r);
}

static void conflict(struct rebase *r, char *path /* takes */, const char *why)
{
	if (!path)
		return;
	r->conflicts = xrealloc(r->conflicts, (r->n_conflicts + 1) *
						      sizeof(*r->conflicts));
	r->conflicts[r->n_conflicts++] = (struct rebase_conflict){ path, why };
}

struct plan {
	struct rebase *r;
	struct changes *c;
	const struct delta *d;
};

enum base { BASE_SAME, BASE_OTHER, BASE_GONE };

/* What became of a path of the old revision; *ret for BASE_OTHER. */
static enum base base_of(const struct plan *p, const char *path,
			 const struct delta_entry **ret)
{
	const struct delta_entry *e;

	*ret = NULL;
	if (delta_gone(p->d, path))
		return BASE_GONE;
	*ret = e = delta_find(p->d, path);
	return e ? BASE_OTHER : BASE_SAME;
}

/* Is the lower directory of a changed one there no more? */
static bool dir_gone(const struct plan *p, const struct cnode *dir)
{
	const struct delta_entry *e;
	enum base b = base_of(p, dir->v.lower_path, &e);

	return b == BASE_GONE || (b == BASE_OTHER && !delta_is_dir(e->new_kind));
}

static void plan_name(struct plan *p, const struct cnode *dir,
		      struct cname *name, bool gone)
{
	cleanup_free char *lower = xasprintf("%s%s%s", dir->v.lower_path,
					     *dir->v.lower_path ? "/" : "",
					     name->name);
	struct cnode *n = name->node;
	const struct delta_entry *e = gone ? NULL : delta_find(p->d, lower);
	bool own = n && n->v.lower_path && !strcmp(n->v.lower_path, lower);
	uint8_t kind = gone ? 0 : e ? e->new_kind : name->lower_kind;

	if (!gone && !e)
		return;
	if (own && (!kind || e->what == DELTA_KIND) && !cnode_differs_below(n)) {
		op_name(p->r, name, E_DROP, kind);
		return;
	}
	/* what happened to an inode at its own place: plan_node */
	if (!own && e && e->what != DELTA_REMOVED)
		conflict(p->r, changes_path(dir, name->name),
			 !n		     ? "deleted here, changed there"
			 : name->lower_kind ? "replaced here, changed there"
					     : "added here and there");
	else if (!own && n && name->lower_kind && !kind)
		conflict(p->r, changes_path(dir, name->name),
			 "replaced here, deleted there");
	if (kind != name->lower_kind)
		op_name(p->r, name, 0, kind);
}

static void plan_names(struct plan *p, const struct cnode *n)
{
	bool gone;

	if (!n->v.lower_path || !delta_is_dir(n->v.lower_kind))
		return;
	gone = dir_gone(p, n);
	for (uint32_t i = 0; n->dir->buckets && i <= n->dir->mask; i++)
		for (struct cname *l = n->dir->buckets[i]; l; l = l->next)
			plan_name(p, n, l, gone);
}

static void plan_dir(struct plan *p, const struct cnode *n, enum base b,
		     const struct delta_entry *e)
{
	uint8_t flags = N_TOUCH;

	if (b == BASE_GONE || !delta_is_dir(e->new_kind)) {
		if (cnode_differs_below(n)) {
			conflict(p->r, changes_path(n, NULL),
				 "changed here, deleted there");
			op_node(p->r, n->v.ino, N_GONE, NULL, NULL);
		}
		return; /* else its name is dropped with it */
	}
	if (cnode_differs(n))
		conflict(p->r, changes_path(n, NULL), "changed here and there");
	op_node(p->r, n->v.ino, flags, e, &e->new_id);
}

static void plan_node(struct plan *p, const struct cnode *n)
{
	const struct delta_entry *e;
	bool lower = n->v.content == CONTENT_LOWER, other = cnode_differs(n);
	uint8_t flags = 0;
	enum base b;

	if (n == p->c->root || !n->nlink)
		return;
	p->r->kept += n->dir ? 0 : other;
	if (!n->v.lower_kind || !n->v.lower_path)
		return;
	b = base_of(p, n->v.lower_path, &e);
	if (b == BASE_SAME)
		return;
	if (n->dir) {
		plan_dir(p, n, b, e);
		return;
	}
	if (b == BASE_OTHER && e->what != DELTA_CONTENT)
		b = BASE_GONE;
	if (other)
		conflict(p->r, changes_path(n, NULL),
			 b == BASE_GONE ? "changed here, deleted there"
					: "changed here and there");
	else if (b == BASE_GONE)
		return; /* its name is dropped with it */
	if (b == BASE_OTHER && lower)
		flags |= N_CONTENT | N_TOUCH;
	if (b == BASE_OTHER &&
	    (n->v.mode & 07777) == (n->v.lower_mode & 07777u))
		flags |= N_MODE;
	op_node(p->r, n->v.ino, b == BASE_GONE ? N_GONE : flags,
		b == BASE_GONE ? NULL : e, b == BASE_GONE ? NULL : &e->new_id);
}

static int by_path(const void *a, const void *b)
{
	const struct rebase_conflict *x = a, *y = b;

	return strcmp(x->path, y->path);
}

struct rebase *changes_plan(struct changes *c, const struct delta *d,
			    bool quiet)
{
	struct rebase *r = xcalloc(1, sizeof(*r));
	struct plan p = { r, c, d };

	r->quiet = quiet;
	if (!d->dirs)
		return r;
	op_time(r, NODE_ROOT);
	for (size_t i = 0; i < d->n; i++)
		if (d->all[i]->what != DELTA_REMOVED)
			op_time(r, d->all[i]->key);
	for (size_t i = 0; i <= c->mask; i++) {
		for (struct cnode *n = c->buckets[i]; n; n = n->next) {
			plan_node(&p, n);
			if (n->dir && n->nlink)
				plan_names(&p, n);
		}
	}
	op_node(r, c->root->v.ino, N_TOUCH,
		&(struct delta_entry){ .new_kind = SCORPIO_DIR,
				       .new_mode = 0755 },
		&d->dirs->new_tree);
	if (r->n_conflicts)
		qsort(r->conflicts, r->n_conflicts, sizeof(*r->conflicts),
		      by_path);
	return r;
}

void rebase_free(struct rebase *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_conflicts; i++)
		free(r->conflicts[i].path);
	free(r->conflicts);
	free(r->cuts);
	buf_done(&r->ops);
	free(r);
}

size_t rebase_conflicts(const struct rebase *r,
			const struct rebase_conflict **ret)
{
	*ret = r->conflicts;
	return r->n_conflicts;
}

uint64_t rebase_kept(const struct rebase *r)
{
	return r->kept;
}

/* -- applying: live and at replay ----------------------------------------------------- */

struct ops {
	struct changes *c;
	const uint8_t *p, *end;
	int64_t time;
	struct notices *notices; /* NULL at replay */
	bool bad;
};

static const uint8_t *take(struct ops *o, size_t n)
{
	const uint8_t *p = o->p;

	if ((size_t)(o->end - p) < n) {
		o->bad = true;
		return NULL;
	}
	o->p += n;
	return p;
}

static void do_name(struct ops *o)
{
	const uint8_t *p = take(o, 11), *text = p ? take(o, p[10] + 1u) : NULL;
	struct cnode *dir = text ? changes_find(o->c, get_u64(p)) : NULL, *n;
	struct cname *name =
		dir && dir->dir
			? changes_name(dir, (const char *)text, p[10])
			: NULL;

	if (!name) /* gone with a directory above it */
		return;
	if (!(p[8] & E_DROP)) {
		cname_set_lower(name, p[9]);
		return;
	}
	n = name->node;
	if (o->notices && dir->known)
		notices_name(o->notices, dir->v.ino, name->name);
	if (n && n->dir)
		cnode_abandon(o->c, n);
	if (n)
		cname_set(name, NULL);
	cname_drop(name);
	if (n && !n->nlink)
		cnode_orphaned(o->c, n);
}

static void set_base(struct cnode *n, const uint8_t *p,
		     const struct scorpio_id *id)
{
	struct cvalue *v = &n->v;

	if (p[8] & N_GONE) {
		v->lower_kind = 0;
		free(v->lower_path);
		v->lower_path = NULL;
		if (n->dir || v->content != CONTENT_LOWER)
			v->id.len = 0;
		return;
	}
	v->id = *id;
	v->lower_kind = p[9];
	v->lower_mode = get_u16(p + 10);
	if (p[8] & N_MODE)
		v->mode = (v->mode & S_IFMT) |
			  (S_ISLNK(v->mode) ? 0777u : v->lower_mode & 07777u);
	if (p[8] & N_CONTENT) {
		__atomic_store_n(&v->size, get_u64(p + 12), __ATOMIC_RELAXED);
		__atomic_fetch_add(&n->version, 1, __ATOMIC_RELEASE);
	}
}

static void do_node(struct ops *o)
{
	const uint8_t *p = take(o, 21), *bytes = p ? take(o, p[20]) : NULL;
	struct scorpio_id id = { 0 };
	struct cnode *n;

	if (!bytes || p[20] > SCORPIO_ID_MAX) {
		o->bad = true;
		return;
	}
	id.len = p[20];
	memcpy(id.bytes, bytes, id.len);
	n = changes_find(o->c, get_u64(p));
	if (!n)
		return;
	set_base(n, p, &id);
	if (p[8] & N_TOUCH) {
		int64_t was = __atomic_load_n(&n->v.mtim, __ATOMIC_RELAXED);

		__atomic_store_n(&n->v.mtim, MAX(was, o->time),
				 __ATOMIC_RELAXED);
	}
	if (!(p[8] & N_QUIET))
		__atomic_store_n(&n->v.ctim, MAX(n->v.ctim, o->time),
				 __ATOMIC_RELAXED);
	if (!n->known)
		return;
	if (n->known->dir)
		n->known->dir->tree = changes_tree(n);
	if (o->notices)
		notices_inode(o->notices, n->v.ino);
}

static int apply_ops(struct changes *c, const uint8_t *p, size_t n,
		     int64_t time, struct notices *notices)
{
	struct ops o = { .c = c, .p = p, .end = p + n, .time = time,
			 .notices = notices };
	const uint8_t *key;

	while (o.p < o.end && !o.bad) {
		switch (*o.p++) {
		case 'T':
			key = take(&o, 8);
			if (key)
				times_set(c->times, get_u64(key), time);
			break;
		case 'E':
			do_name(&o);
			break;
		case 'N':
			do_node(&o);
			break;
		default:
			o.bad = true;
		}
	}
	return o.bad ? fail(-EBADMSG, "a switch in the log is malformed") : 0;
}

/* -- the log ---------------------------------------------------------------------------- */

static void set_base_text(struct changes *c, const char *text, size_t n)
{
	free(c->base);
	c->base = xstrndup(text, n);
}

static int replay_switch(struct changes *c, const struct change *ch)
{
	const struct buf *b = &c->pending;
	int rc = 0;

	/* parts of a switch that never happened have another time */
	if (b->len >= 8 && (int64_t)get_u64(b->data) == ch->time)
		rc = apply_ops(c, b->data + 8, b->len - 8, ch->time, NULL);
	c->pending.len = 0;
	if (rc)
		return rc;
	set_base_text(c, ch->value, ch->value_len);
	changes_raise_newest(c, ch->time);
	journal_add(c->journal, ch->seq, FS_JOURNAL_RESET, true, xstrdup(""),
		    NULL);
	return 0;
}

int switch_replay(struct changes *c, const struct change *ch)
{
	const uint8_t *p = ch->value;
	struct buf *b = &c->pending;

	switch (ch->type) {
	case CHANGE_PART:
		if (ch->value_len < 8)
			return fail(-EBADMSG, "a switch is malformed");
		if (b->len >= 8 && get_u64(b->data) != get_u64(p))
			b->len = 0;
		if (!b->len)
			buf_put(b, p, 8);
		buf_put(b, p + 8, ch->value_len - 8);
		return 0;
	case CHANGE_SWITCH:
		return replay_switch(c, ch);
	case CHANGE_BASE:
		set_base_text(c, ch->value, ch->value_len);
		return 0;
	default:
		if (ch->value_len != 16)
			return fail(-EBADMSG, "a time is malformed");
		times_set(c->times, get_u64(p), (int64_t)get_u64(p + 8));
		return 0;
	}
}

static int append(struct changes *c, const struct change *ch, uint64_t *ret)
{
	struct buf payload = BUF_INIT;
	int rc;

	change_encode(ch, &payload);
	rc = wal_append(c->wal, ch->type, payload.data, payload.len, ret);
	buf_done(&payload);
	return rc;
}

static int append_parts(struct changes *c, const struct rebase *r,
			int64_t time)
{
	size_t from = 0;
	uint64_t seq;
	int rc = 0;

	for (size_t i = 0; i <= r->n_cuts && !rc; i++) {
		size_t to = i < r->n_cuts ? r->cuts[i] : r->ops.len;
		struct buf part = BUF_INIT;
		struct change ch = { .type = CHANGE_PART };

		if (from == to)
			break;
		buf_put(&part, &time, sizeof(time));
		buf_put(&part, r->ops.data + from, to - from);
		ch.value = part.data;
		ch.value_len = (uint32_t)part.len;
		rc = append(c, &ch, &seq);
		buf_done(&part);
		from = to;
	}
	return rc;
}

static void add_journal(struct changes *c, const struct delta *d, uint64_t seq)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->all[i]->what != DELTA_DIR;
	if (n > JOURNAL_MAX) {
		journal_add(c->journal, seq, FS_JOURNAL_RESET, true,
			    xstrdup(""), NULL);
		return;
	}
	for (size_t i = 0; i < d->n; i++) {
		const struct delta_entry *e = d->entries[i];
		bool is_dir = delta_is_dir(e->new_kind) ||
			      delta_is_dir(e->old_kind);

		if (e->what == DELTA_DIR)
			continue;
		journal_add(c->journal, seq,
			    is_dir			? FS_JOURNAL_RESET
			    : e->what == DELTA_ADDED	? FS_JOURNAL_CREATE
			    : e->what == DELTA_REMOVED ? FS_JOURNAL_REMOVE
						       : FS_JOURNAL_MODIFY,
			    is_dir, xstrdup(e->path), NULL);
	}
}

int changes_rebase(struct changes *c, struct rebase *r, const struct delta *d,
		   const char *base, int64_t time,
		   void (*move)(void *ctx), void *ctx, struct notices *n)
{
	struct change ch = { .type = CHANGE_SWITCH, .time = time,
			     .value = base,
			     .value_len = (uint32_t)strlen(base) };
	uint64_t seq;
	int rc = append_parts(c, r, time);

	if (!rc)
		rc = append(c, &ch, &seq);
	if (rc)
		return rc;
	pthread_rwlock_wrlock(&c->tree);
	move(ctx);
	rc = apply_ops(c, r->ops.data, r->ops.len, time, n);
	assert(!rc); /* our own mistake: the log has it already */
	set_base_text(c, base, strlen(base));
	changes_raise_newest(c, time);
	pthread_rwlock_unlock(&c->tree);
	if (!r->quiet)
		add_journal(c, d, seq);
	return rc;
}
