/* SPDX-License-Identifier: Apache-2.0 */
/* changes_edit.c - each kind of edit as one logged change, and what follows. */
#include "fs/changes_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/times.h"
#include "fs/upper.h"
#include "fs/wal.h"

void changes_edit(struct changes *c)
{
	pthread_mutex_lock(&c->edit);
}

/* Take those off the tree that have neither a name nor the kernel's interest.
 * lock: edit */
static struct cnode *collect_dead(struct changes *c)
{
	struct cnode *dead, *gone = NULL;

	pthread_mutex_lock(&c->dead_lock);
	dead = steal(&c->dead);
	pthread_mutex_unlock(&c->dead_lock);
	if (!dead)
		return NULL;
	pthread_rwlock_wrlock(&c->tree);
	for (struct cnode *n = dead, *next; n; n = next) {
		next = n->next_dead;
		if (n->known || n->nlink)
			continue;
		cnode_unhash(c, n);
		if (n->v.content == CONTENT_UPPER)
			changes_trash(c, n->v.file);
		n->next_dead = gone;
		gone = n;
	}
	pthread_rwlock_unlock(&c->tree);
	return gone;
}

void cnode_bury(struct changes *c, struct cnode *n)
{
	struct cnode **p;

	pthread_mutex_lock(&c->dead_lock);
	for (p = &c->dead; *p && *p != n;)
		p = &(*p)->next_dead;
	if (*p)
		*p = n->next_dead;
	pthread_mutex_unlock(&c->dead_lock);
	cnode_unhash(c, n);
	if (n->v.content == CONTENT_UPPER)
		changes_trash(c, n->v.file);
	cnode_free(n);
}

bool changes_edit_end(struct changes *c)
{
	struct cnode *gone = collect_dead(c);
	cleanup_free uint64_t *trash = NULL;
	size_t n;
	bool due = wal_size(c->wal) > c->checkpoint_at;

	if (c->retired_len && now_ns() > c->retired_at)
		changes_retire_all(c);
	trash = steal(&c->trash);
	n = c->trash_len;
	c->trash_len = 0;
	pthread_mutex_unlock(&c->edit);
	for (struct cnode *next; gone; gone = next) {
		next = gone->next_dead;
		cnode_free(gone);
	}
	for (size_t i = 0; i < n; i++)
		upper_remove(c->upper, trash[i]);
	return due;
}

uint64_t changes_number(struct changes *c)
{
	return ++c->last_number;
}

int64_t changes_now(struct changes *c)
{
	struct timespec t;
	int64_t now, floor;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	now = t.tv_sec * NS_PER_S + t.tv_nsec;
	floor = __atomic_load_n(&c->newest, __ATOMIC_RELAXED);
	return MAX(now, floor);
}

int changes_adopt(struct changes *c, struct cnode *dir, const char *name,
		  const struct cvalue *v, struct node *known,
		  struct cnode **ret)
{
	struct change ch = { .type = CHANGE_ADOPT, .parent = dir->v.ino,
			     .name = name, .kind = v->lower_kind, .v = *v,
			     .known = known };
	int rc = change_commit(c, &ch);

	if (!rc)
		*ret = ch.result;
	return rc;
}

int changes_create(struct changes *c, struct cnode *dir, const char *name,
		   uint8_t lower_kind, struct cvalue *v, struct cnode **ret)
{
	struct change ch = { .type = CHANGE_CREATE, .parent = dir->v.ino,
			     .name = name, .kind = lower_kind,
			     .time = changes_now(c) };
	int rc;

	v->ino = CHANGES_INO_NEW | changes_number(c);
	v->atim = v->mtim = v->ctim = ch.time;
	ch.v = *v;
	rc = change_commit(c, &ch);
	if (!rc)
		*ret = ch.result;
	return rc;
}

int changes_link(struct changes *c, struct cnode *n, struct cnode *dir,
		 const char *name, uint8_t lower_kind)
{
	struct change ch = { .type = CHANGE_LINK, .ino = n->v.ino,
			     .parent = dir->v.ino, .name = name,
			     .kind = lower_kind, .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_remove(struct changes *c, struct cname *name)
{
	struct change ch = { .type = CHANGE_REMOVE,
			     .parent = name->dir->v.ino, .name = name->name,
			     .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_rename(struct changes *c, struct cname *from, struct cnode *dir,
		   const char *to, uint8_t lower_kind)
{
	struct change ch = { .type = CHANGE_RENAME,
			     .parent = from->dir->v.ino, .name = from->name,
			     .to_parent = dir->v.ino, .to = to,
			     .kind = lower_kind, .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_exchange(struct changes *c, struct cname *a, struct cname *b)
{
	struct change ch = { .type = CHANGE_EXCHANGE,
			     .parent = a->dir->v.ino, .name = a->name,
			     .to_parent = b->dir->v.ino, .to = b->name,
			     .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_attr(struct changes *c, struct cnode *n, const struct cvalue *v)
{
	struct change ch = { .type = CHANGE_ATTR, .v = *v };

	ch.v.ino = n->v.ino;
	ch.v.ctim = changes_now(c);
	/* what an attribute change does not carry stays out of the record */
	ch.v.lower_path = ch.v.target = NULL;
	ch.v.id.len = 0;
	return change_commit(c, &ch);
}

int changes_empty(struct changes *c, struct cnode *n)
{
	struct change ch = { .type = CHANGE_CONTENT, .ino = n->v.ino,
			     .content = CONTENT_EMPTY,
			     .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_raise(struct changes *c, struct cnode *n, uint64_t file,
		  const struct stat *st)
{
	struct change ch = { .type = CHANGE_CONTENT, .ino = n->v.ino,
			     .content = CONTENT_UPPER, .file = file };

	ch.v.size = (uint64_t)st->st_size;
	ch.v.blocks = (uint64_t)st->st_blocks;
	return change_commit(c, &ch);
}

int changes_xattr(struct changes *c, struct cnode *n, const char *name,
		  const void *value, size_t len)
{
	struct change ch = { .type = value ? CHANGE_XATTR : CHANGE_UNXATTR,
			     .ino = n->v.ino, .name = name, .value = value,
			     .value_len = (uint32_t)len,
			     .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_reset(struct changes *c, struct cname *name)
{
	struct change ch = { .type = CHANGE_RESET,
			     .parent = name->dir->v.ino, .name = name->name,
			     .time = changes_now(c) };

	return change_commit(c, &ch);
}

int changes_restore(struct changes *c, struct cnode *n,
		    const struct cvalue *v)
{
	struct change ch = { .type = CHANGE_RESTORE, .v = *v,
			     .time = changes_now(c) };

	ch.v.ino = n->v.ino;
	ch.v.lower_path = ch.v.target = NULL;
	ch.v.id.len = 0;
	return change_commit(c, &ch);
}

/* -- checkpoints ------------------------------------------------------------------ */

struct snapshot {
	struct wal_checkpoint *wal;
	struct buf buf;
};

static void put(struct snapshot *s, const struct change *ch)
{
	s->buf.len = 0;
	change_encode(ch, &s->buf);
	wal_checkpoint_put(s->wal, ch->type, s->buf.data, s->buf.len);
}

static void put_node(struct snapshot *s, const struct cnode *n)
{
	struct change ch = { .type = CHANGE_NODE };

	/* by hand: size and times may be stored to meanwhile */
	ch.v = (struct cvalue){
		.ino = n->v.ino, .id = n->v.id, .mode = n->v.mode,
		.uid = n->v.uid, .gid = n->v.gid, .rdev = n->v.rdev,
		.lower_mode = n->v.lower_mode, .lower_kind = n->v.lower_kind,
		.content = n->v.content, .file = n->v.file,
		.size = __atomic_load_n(&n->v.size, __ATOMIC_RELAXED),
		.blocks = __atomic_load_n(&n->v.blocks, __ATOMIC_RELAXED),
		.atim = n->v.atim,
		.mtim = __atomic_load_n(&n->v.mtim, __ATOMIC_RELAXED),
		.ctim = __atomic_load_n(&n->v.ctim, __ATOMIC_RELAXED),
		.lower_path = n->v.lower_path, .target = n->v.target,
	};
	put(s, &ch);
}

static void put_name(struct snapshot *s, const struct cname *name)
{
	struct change ch = { .type = CHANGE_PLACE,
			     .parent = name->dir->v.ino, .name = name->name,
			     .ino = name->node ? name->node->v.ino : 0,
			     .kind = name->lower_kind,
			     .cookie = name->cookie };

	put(s, &ch);
}

static void put_names(struct snapshot *s, const struct cnode *dir)
{
	const struct cdir *d = dir->dir;

	for (uint32_t i = 0; i < d->order_len; i++)
		if (d->order[i].name)
			put_name(s, d->order[i].name);
	for (uint32_t i = 0; d->buckets && i <= d->mask; i++)
		for (struct cname *n = d->buckets[i]; n; n = n->next)
			if (!n->cookie)
				put_name(s, n);
}

static void put_xattrs(struct snapshot *s, const struct cnode *n)
{
	for (const struct cxattr *x = n->xattrs; x; x = x->next) {
		struct change ch = { .type = CHANGE_XATTR, .ino = n->v.ino,
				     .name = x->name, .value = x->value,
				     .value_len = x->len };

		put(s, &ch);
	}
}

static void put_journal(void *ctx, const struct fs_journal_entry *e)
{
	struct snapshot *s = ctx;
	struct buf text = BUF_INIT;
	struct change ch = { .type = CHANGE_JOURNAL, .ino = e->seq,
			     .kind = (uint8_t)e->kind,
			     .content = e->is_dir };

	buf_put(&text, e->path, strlen(e->path) + 1);
	if (e->from)
		buf_put(&text, e->from, strlen(e->from) + 1);
	ch.value = text.data;
	ch.value_len = (uint32_t)text.len;
	put(s, &ch);
	buf_done(&text);
}

static void put_time(void *ctx, uint64_t key, int64_t time)
{
	struct snapshot *s = ctx;
	uint64_t value[2] = { key, (uint64_t)time };
	struct change ch = { .type = CHANGE_TIMES, .value = value,
			     .value_len = sizeof(value) };

	put(s, &ch);
}

/* What the switches left. */
static void put_base(struct snapshot *s, const struct changes *c)
{
	struct change ch = { .type = CHANGE_BASE, .value = c->base };

	if (!c->base)
		return;
	ch.value_len = (uint32_t)strlen(c->base);
	put(s, &ch);
	times_each(c->times, put_time, s);
}

/* Without a name only as long as the kernel may use it. */
static bool stays(const struct cnode *n, bool clean)
{
	return n->nlink ||
	       (!clean && __atomic_load_n(&n->known, __ATOMIC_RELAXED));
}

/* Everything but the journal. history: what of it stays. */
static void put_all(struct snapshot *s, struct changes *c, bool clean,
		    struct fs_clock history, uint64_t floor)
{
	uint64_t value[3] = { floor, history.seq, c->boot };
	struct change ch = { .type = CHANGE_STATE, .ino = c->last_number,
			     .cookie = history.generation, .kind = clean,
			     .value = value, .value_len = sizeof(value),
			     .time = wall_ns() };

	put(s, &ch);
	for (size_t i = 0; i <= c->mask; i++)
		for (struct cnode *n = c->buckets[i]; n; n = n->next)
			if (stays(n, clean))
				put_node(s, n);
	for (size_t i = 0; i <= c->mask; i++) {
		for (struct cnode *n = c->buckets[i]; n; n = n->next) {
			if (!stays(n, clean))
				continue;
			if (n->dir)
				put_names(s, n);
			put_xattrs(s, n);
		}
	}
	put_base(s, c);
}

/* lock: edit. The state of this moment, into memory. */
int changes_snapshot(struct changes *c, bool clean,
		     struct wal_checkpoint **ret)
{
	struct snapshot s = { .buf = BUF_INIT };
	int rc = wal_checkpoint_begin(c->wal, &s.wal);

	if (rc)
		return rc;
	put_all(&s, c, clean, journal_now(c->journal),
		journal_floor(c->journal));
	journal_each(c->journal, put_journal, &s);
	buf_done(&s.buf);
	*ret = s.wal;
	return 0;
}

/* lock: edit. Generation 0: who loads it begins one. */
void changes_snapshot_copy(struct changes *c, struct wal_checkpoint **ret)
{
	struct snapshot s = { .buf = BUF_INIT };
	struct fs_clock none = { 0, journal_now(c->journal).seq };

	wal_copy_begin(c->wal, &s.wal);
	put_all(&s, c, true, none, none.seq);
	buf_done(&s.buf);
	*ret = s.wal;
}

int changes_checkpoint(struct changes *c)
{
	struct wal_checkpoint *snapshot;
	uint64_t before;
	int rc;

	if (__atomic_exchange_n(&c->checkpointing, true, __ATOMIC_ACQ_REL))
		return 0; /* somebody does */
	changes_edit(c);
	before = wal_size(c->wal);
	rc = changes_snapshot(c, false, &snapshot);
	changes_edit_end(c);
	if (!rc)
		rc = wal_checkpoint_end(snapshot);
	changes_edit(c);
	/* a disk that refused is asked again later */
	c->checkpoint_at = rc ? wal_size(c->wal) + CHANGES_LOG_MAX
			      : MAX(CHANGES_LOG_MAX, before / 2);
	changes_edit_end(c);
	__atomic_store_n(&c->checkpointing, false, __ATOMIC_RELEASE);
	return rc;
}
