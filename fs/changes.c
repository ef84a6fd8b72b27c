/* SPDX-License-Identifier: Apache-2.0 */
/* changes.c - the changed inodes: finding, describing, writing, burying. */
#include "fs/changes_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/upper.h"
#include "fs/wal.h"

#define RETIRE_MS 2000 /* who is about to open it has done so */

/* -- inodes ------------------------------------------------------------------- */

struct cnode *changes_find(const struct changes *c, uint64_t ino)
{
	struct cnode *n = c->buckets[ino & c->mask];

	while (n && n->v.ino != ino)
		n = n->next;
	return n;
}

static void grow(struct changes *c)
{
	size_t mask = c->mask * 2 + 1;
	struct cnode **buckets = xcalloc(mask + 1, sizeof(*buckets));

	for (size_t i = 0; i <= c->mask; i++) {
		for (struct cnode *n = c->buckets[i], *next; n; n = next) {
			next = n->next;
			n->next = buckets[n->v.ino & mask];
			buckets[n->v.ino & mask] = n;
		}
	}
	free(c->buckets);
	c->buckets = buckets;
	c->mask = mask;
}

struct cnode *cnode_new(struct changes *c, const struct cvalue *v)
{
	struct cnode *n = xcalloc(1, sizeof(*n));

	n->v = *v;
	n->v.lower_path = v->lower_path ? xstrdup(v->lower_path) : NULL;
	n->v.target = v->target ? xstrdup(v->target) : NULL;
	if (changes_is_dir(n))
		n->dir = cdir_new();
	if (c->count > c->mask)
		grow(c);
	n->next = c->buckets[v->ino & c->mask];
	c->buckets[v->ino & c->mask] = n;
	__atomic_fetch_add(&c->count, 1, __ATOMIC_RELAXED);
	return n;
}

void cnode_drop_xattrs(struct cnode *n)
{
	for (struct cxattr *x = n->xattrs, *next; x; x = next) {
		next = x->next;
		free(x->value);
		free(x);
	}
	n->xattrs = NULL;
}

void cnode_free(struct cnode *n)
{
	cnode_drop_xattrs(n);
	cdir_free(n->dir);
	free(n->digest);
	free(n->v.lower_path);
	free(n->v.target);
	free(n);
}

void cnode_unhash(struct changes *c, struct cnode *n)
{
	struct cnode **p = &c->buckets[n->v.ino & c->mask];

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	__atomic_fetch_sub(&c->count, 1, __ATOMIC_RELAXED);
}

static void push_dead(struct changes *c, struct cnode *n)
{
	lock_scope(&c->dead_lock);
	n->next_dead = c->dead;
	c->dead = n;
}

void cnode_orphaned(struct changes *c, struct cnode *n)
{
	if (!n->known)
		push_dead(c, n);
}

bool changes_forgotten(struct changes *c, struct cnode *n)
{
	__atomic_store_n(&n->known, NULL, __ATOMIC_RELAXED);
	if (n->nlink || n == c->root)
		return false;
	push_dead(c, n);
	return true;
}

void changes_trash(struct changes *c, uint64_t file)
{
	c->trash = xrealloc(c->trash,
			    (c->trash_len + 1) * sizeof(*c->trash));
	c->trash[c->trash_len++] = file;
}

void changes_retire(struct changes *c, uint64_t file)
{
	c->retired = xrealloc(c->retired,
			      (c->retired_len + 1) * sizeof(*c->retired));
	c->retired[c->retired_len++] = file;
	c->retired_at = deadline_in_ms(RETIRE_MS);
}

void changes_retire_all(struct changes *c)
{
	for (size_t i = 0; i < c->retired_len; i++)
		changes_trash(c, c->retired[i]);
	c->retired_len = 0;
	free(steal(&c->retired));
}

void changes_bury(struct changes *c)
{
	changes_edit(c);
	changes_edit_end(c); /* a checkpoint that is due stays due */
}

/* -- attributes ------------------------------------------------------------------ */

struct cxattr *changes_xattr_find(const struct cnode *n, const char *name)
{
	struct cxattr *x = n->xattrs;

	while (x && strcmp(x->name, name))
		x = x->next;
	return x;
}

void cnode_set_xattr(struct cnode *n, const char *name, const void *value,
		     size_t len)
{
	struct cxattr **p = &n->xattrs, *x;

	while (*p && strcmp((*p)->name, name))
		p = &(*p)->next;
	x = *p;
	if (!value) {
		if (!x)
			return;
		*p = x->next;
		free(x->value);
		free(x);
		return;
	}
	if (!x) {
		x = xcalloc(1, sizeof(*x) + strlen(name) + 1);
		memcpy(x->name, name, strlen(name));
		*p = x;
	}
	free(x->value);
	x->value = xmalloc(len + 1);
	memcpy(x->value, value, len);
	x->len = (uint32_t)len;
}

struct scorpio_id changes_tree(const struct cnode *n)
{
	return n->v.lower_kind == SCORPIO_DIR ? n->v.id
					      : (struct scorpio_id){ 0 };
}

void changes_stat(const struct cnode *n, uint32_t uid, uint32_t gid,
		  struct stat *st)
{
	const struct cvalue *v = &n->v;
	uint64_t size = __atomic_load_n(&v->size, __ATOMIC_RELAXED);
	uint64_t blocks = __atomic_load_n(&v->blocks, __ATOMIC_RELAXED);

	memset(st, 0, sizeof(*st));
	st->st_ino = v->ino;
	st->st_mode = v->mode;
	st->st_uid = v->uid == CHANGES_OWNER ? uid : v->uid;
	st->st_gid = v->gid == CHANGES_OWNER ? gid : v->gid;
	st->st_rdev = v->rdev;
	st->st_blksize = 4096;
	st->st_atim = ns_to_timespec(v->atim);
	st->st_mtim = ns_to_timespec(
		__atomic_load_n(&v->mtim, __ATOMIC_RELAXED));
	st->st_ctim = ns_to_timespec(
		__atomic_load_n(&v->ctim, __ATOMIC_RELAXED));
	st->st_nlink = n->nlink;
	if (changes_is_dir(n)) { /* as of unchanged ones: not counted */
		st->st_nlink = n->nlink ? 1 : 0;
		st->st_size = 4096;
		st->st_blocks = 8;
	} else if (size != SCORPIO_SIZE_UNKNOWN) {
		st->st_size = (off_t)size;
		st->st_blocks = v->content == CONTENT_LOWER
					? (blkcnt_t)((size + 511) / 512)
					: (blkcnt_t)blocks;
	}
}

/* -- paths ----------------------------------------------------------------------- */

uint64_t changes_parent(const struct cnode *n)
{
	return n->links ? n->links->dir->v.ino : n->v.ino;
}

char *changes_path(const struct cnode *n, const char *name)
{
	size_t len = name ? strlen(name) : 0, at;
	const struct cnode *up;
	char *path;

	for (up = n; up->links; up = up->links->dir)
		len += up->links->len + 1;
	if (up->v.ino != 1)
		return NULL; /* removed */
	path = xmalloc(len + 2);
	at = len + 1;
	path[at] = '\0';
	if (name) {
		at -= strlen(name);
		memcpy(path + at, name, strlen(name));
	}
	for (up = n; up->links; up = up->links->dir) {
		if (path[at])
			path[--at] = '/';
		at -= up->links->len;
		memcpy(path + at, up->links->name, up->links->len);
	}
	memmove(path, path + at, strlen(path + at) + 1);
	return path;
}

/* -- content being written -------------------------------------------------------- */

pthread_mutex_t *changes_stripe(struct changes *c, const struct cnode *n)
{
	return &c->stripes[(n->v.ino * 0x9e3779b97f4a7c15ull) >> 58];
}

void changes_measure(struct cnode *n, const struct stat *st)
{
	struct cvalue *v = &n->v;
	int64_t mtim = timespec_to_ns(st->st_mtim);
	int64_t ctim = timespec_to_ns(st->st_ctim);

	__atomic_store_n(&v->size, (uint64_t)st->st_size, __ATOMIC_RELAXED);
	__atomic_store_n(&v->blocks, (uint64_t)st->st_blocks,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&v->mtim, mtim, __ATOMIC_RELAXED);
	if (ctim > __atomic_load_n(&v->ctim, __ATOMIC_RELAXED))
		__atomic_store_n(&v->ctim, ctim, __ATOMIC_RELAXED);
}

void changes_raise_newest(struct changes *c, int64_t mtim)
{
	int64_t was = __atomic_load_n(&c->newest, __ATOMIC_RELAXED);

	while (was < mtim &&
	       !__atomic_compare_exchange_n(&c->newest, &was, mtim, true,
					    __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

int changes_wrote(struct changes *c, struct cnode *n, int fd)
{
	struct change ch = { .type = CHANGE_MODIFY, .ino = n->v.ino };
	struct stat st;
	int rc;

	pthread_mutex_lock(changes_stripe(c, n));
	__atomic_fetch_add(&n->version, 1, __ATOMIC_RELEASE);
	rc = fstat(fd, &st) ? -errno : 0;
	if (!rc) {
		changes_measure(n, &st);
		changes_raise_newest(c, n->v.mtim);
	}
	pthread_mutex_unlock(changes_stripe(c, n));
	if (rc)
		return fail(rc, "changed file: %s", strerror(-rc));
	if (__atomic_load_n(&n->modify_seq, __ATOMIC_ACQUIRE) >
	    journal_observed(c->journal))
		return 0;
	changes_edit(c);
	if (n->nlink)
		rc = change_commit(c, &ch);
	changes_edit_end(c);
	return rc;
}
