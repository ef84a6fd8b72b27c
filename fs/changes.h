/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes.h - private to fs/: what differs between a workspace and its
 * revision. An in-memory tree of changed inodes with a write-ahead log.
 *
 * The revision's own tree ("lower") is not known here: callers look names up
 * in it and pass on what they found. What has no cnode is as in the revision.
 *
 *	cnode  a changed inode: created, modified, moved, or a directory on the
 *	       way to one. A directory has a map of names on top, each an inode
 *	       or a tombstone, which override the lower tree it still shows.
 *	       Moving a whole lower directory moves its cnode; the tree id goes
 *	       along.
 *	cname  one name in such a map. lower_kind says that the lower tree has
 *	       the name too: then it is listed at the lower position, and
 *	       removing it leaves a tombstone. Other names (and such that were
 *	       there before the lower tree was) are listed by a cookie that
 *	       only grows, so positions are stable.
 *
 * Every edit is one record: encoded, appended to the log, and only then
 * applied by the function that also replays it. So what is in memory is what a
 * replay of the log gives. Kinds of truth after kill -9:
 *	names, attributes, xattrs      the log
 *	size, mtime (and ctime, if later) of a file with content of its own
 *	                               that content file itself
 *
 * Inode numbers: of the revision, what node.h gave them when they were first
 * changed; created ones count up from CHANGES_INO_NEW. None is used twice.
 *
 * Locks, in the order they are taken (after fs.lock, before the node table's):
 *	edit   a mutex: one editor at a time, also over the log's append
 *	tree   a rwlock: written only while an edit is applied (memory only)
 *	stripe mutexes for size and times of files being written; leaf
 * None is held across the network, a copy of content, a disk flush or a
 * notification. An editor may read the tree without the tree lock.
 */
#ifndef FS_CHANGES_H
#define FS_CHANGES_H

#include "core/buf.h"
#include "fs/journal.h"

#include <sys/stat.h>

#include <scorpio/types.h>

#define CHANGES_INO_NEW (1ull << 51) /* path hashes stay below */
#define CHANGES_OWNER UINT32_MAX     /* uid, gid: the mount's */
#define CHANGES_COOKIE (1ull << 40)  /* listing positions of upper names */
#define CHANGES_LOG_MAX (16 * MiB)   /* then comes a checkpoint */

struct node;
struct wal;
struct upper;

enum content {
	CONTENT_EMPTY, /* no bytes */
	CONTENT_LOWER, /* as in the revision */
	CONTENT_UPPER  /* a file of ours */
};

struct cvalue { /* what is logged of an inode */
	uint64_t ino;
	struct scorpio_id id; /* in the revision: tree or content; len 0 none */
	uint32_t mode;        /* with S_IFMT */
	uint32_t uid, gid;    /* or CHANGES_OWNER */
	uint32_t rdev;
	uint16_t lower_mode; /* permissions in the revision */
	uint8_t lower_kind;  /* SCORPIO_*; 0 = not of the revision */
	uint8_t content;     /* enum content */
	uint64_t file;       /* number of the content file */
	/* of CONTENT_UPPER: atomic, and stored under the stripe */
	uint64_t size; /* SCORPIO_SIZE_UNKNOWN possible if CONTENT_LOWER */
	uint64_t blocks;
	int64_t atim, mtim, ctim;
	char *lower_path; /* in the revision, from the mount's root; or NULL */
	char *target;     /* of created symbolic links, or NULL */
};

struct cxattr {
	struct cxattr *next;
	uint32_t len;
	char *value;
	char name[];
};

struct cname {
	struct cname *next;      /* hash chain */
	struct cnode *dir;       /* that holds the name */
	struct cnode *node;      /* NULL: tombstone */
	struct cname *next_link; /* other names of the same inode */
	uint64_t cookie;         /* 0: listed at its lower position */
	uint32_t hash;
	uint8_t lower_kind;
	uint8_t len;
	char name[];
};

struct cdir {
	struct cname **buckets;
	uint32_t mask, count;  /* count: names and tombstones */
	uint32_t live, hidden; /* names; tombstones */
	struct {
		uint64_t cookie;
		struct cname *name; /* NULL: gone since */
	} *order;              /* names the lower tree does not have */
	uint32_t order_len, order_cap;
	uint64_t last_cookie;
};

struct cdigest { /* of an upper file's content */
	uint64_t version;
	uint8_t sha256[32], sha1[20];
};

struct cnode { /* lock: tree, unless it says otherwise */
	struct cvalue v;
	struct cnode *next;   /* hash chain by ino */
	struct cname *links;  /* names; empty: removed but known */
	struct cdir *dir;     /* of directories */
	struct cxattr *xattrs;
	struct node *known;   /* the kernel's; lock: node table + tree */
	struct cnode *next_dead; /* lock: changes.dead_lock */
	struct cdigest *digest;  /* lock: stripe */
	uint64_t version;        /* atomic; of the content */
	uint64_t modify_seq;     /* atomic; of the newest journal entry */
	uint64_t compared;       /* atomic; settle.c: with what, in vain */
	uint32_t nlink;
	uint16_t writers; /* atomic; of its content file */
	bool copying;  /* lock: edit; content is on its way up */
	bool unsynced; /* atomic; the content file's name may be lost */
};

#define CHANGES_STRIPES 64

struct changes {
	pthread_mutex_t edit;
	pthread_rwlock_t tree;
	pthread_mutex_t stripes[CHANGES_STRIPES];
	pthread_mutex_t dead_lock;
	pthread_cond_t copied; /* with edit: some copying, or a fork, ended */
	struct wal *wal;
	struct upper *upper;
	struct journal *journal;
	struct times *times; /* lock: tree; of paths switches changed */
	char *base;          /* lock: edit; of the last switch, or NULL */
	struct buf pending;  /* lock: edit; parts of a switch being read */
	struct cnode **buckets; /* lock: tree */
	size_t mask;            /* lock: tree */
	uint64_t count;         /* atomic */
	uint64_t last_number;   /* lock: edit; of inodes and content files */
	uint64_t checkpoint_at; /* lock: edit; log size that asks for one */
	struct cnode *root;     /* immutable */
	struct cnode *dead;     /* lock: dead_lock; to be freed */
	uint64_t *trash;        /* lock: edit; content files to be removed */
	size_t trash_len;       /* lock: edit */
	uint64_t *retired;      /* lock: edit; the same, after `retired_at` */
	size_t retired_len;     /* lock: edit */
	int64_t retired_at;     /* lock: edit; of the last one */
	bool frozen;            /* lock: edit and tree; changes_fork.c */
	int64_t newest;         /* atomic; newest time of a content file */
	bool checkpointing;     /* atomic */
	bool clean;             /* while loading: sizes are in the snapshot */
	uint64_t boot;          /* of the machine, when last begun */
	/* Called inside the edit that adopts, with the tree locked. */
	void (*attach)(void *ctx, struct cnode *n, struct node *known);
	void *attach_ctx;
	/* requests answered by a daemon that may have died since (intent.c) */
	struct intents *intents; /* lock: edit; NULL: nobody asks */
	uint64_t unique;         /* lock: edit; of the request that edits */
	uint64_t first_seq;      /* while loading: of the log */
};

struct changes_options {
	const char *dir; /* of the workspace; exists */
	struct upper *upper; /* takes */
	struct scorpio_id root;
	int64_t root_mtime;
	void (*attach)(void *ctx, struct cnode *n, struct node *known);
	void *ctx;
	/* Of a mount that outlived its daemon: called for every changed inode
	 * once the log was read; sets n->known of those the kernel knows, which
	 * stay even without a name. May be NULL. */
	void (*link)(void *ctx, struct cnode *n);
	struct intents *intents; /* borrowed; may be NULL */
};

/* Read the log and make ready. Removes content files nobody names. -EBADMSG
 * damaged or of another revision, errors of the disk; with a text. */
int changes_open(const struct changes_options *o, struct changes **ret);
/* Write a checkpoint, so that the next open is quick, and free. No request may
 * be under way. NULL is fine. */
void changes_close(struct changes *c);
/* Only free: what a crash would leave on the disk. */
void changes_abandon(struct changes *c);
/* Nothing differs from the revision. */
bool changes_untouched(struct changes *c);

/* -- reading: with the tree lock shared, or the edit lock --------------------- */

static inline void changes_read_lock(struct changes *c)
{
	pthread_rwlock_rdlock(&c->tree);
}
static inline void changes_read_unlock(struct changes *c)
{
	pthread_rwlock_unlock(&c->tree);
}
struct cnode *changes_find(const struct changes *c, uint64_t ino);
/* NULL: not overridden. Its node is NULL for a tombstone. */
struct cname *changes_name(const struct cnode *dir, const char *name,
			   size_t len);
/* The first upper name listed after `cookie` (0 = all), or NULL. */
struct cname *changes_next(const struct cnode *dir, uint64_t cookie);
/* From the mount's root; "" is the root. name may be NULL. A removed inode has
 * NULL. Caller frees. */
char *changes_path(const struct cnode *n, const char *name);
/* ino of the directory that holds it (the first, if there are several). */
uint64_t changes_parent(const struct cnode *n);
/* The lower tree a directory still shows; len 0 none. */
struct scorpio_id changes_tree(const struct cnode *n);
struct cxattr *changes_xattr_find(const struct cnode *n, const char *name);
/* Attributes; uid and gid stand for the mount's owner. */
void changes_stat(const struct cnode *n, uint32_t uid, uint32_t gid,
		  struct stat *ret);
static inline bool changes_is_dir(const struct cnode *n)
{
	return S_ISDIR(n->v.mode);
}

/* -- editing: between changes_edit and changes_edit_end ------------------------ */

void changes_edit(struct changes *c);
/* Frees what the edits removed, and asks for a checkpoint when it is time:
 * then true, and the caller lets changes_checkpoint run somewhere. */
bool changes_edit_end(struct changes *c);
/* From any thread with no lock held; takes the edit lock for the copy. */
int changes_checkpoint(struct changes *c);

/* Was this request of the kernel done by a daemon that died before it said so?
 * Only for requests the kernel sends again. (intent.c) */
bool changes_did(struct changes *c, uint64_t unique);

uint64_t changes_number(struct changes *c); /* for an inode or content file */
/* The time of a change: never before that of a write that was answered. The
 * content files get theirs from the kernel's coarse clock, or a finer one; so
 * neither clock alone would keep the order. Any thread. */
int64_t changes_now(struct changes *c);

/* A lower inode gets a cnode, unchanged so far, named `name` in `dir`, which
 * has no cname of that name. v is copied; its ino is set. known may be NULL. */
int changes_adopt(struct changes *c, struct cnode *dir, const char *name,
		  const struct cvalue *v, struct node *known,
		  struct cnode **ret);
/* A new inode. lower_kind: of the name in the lower tree, 0 none; ignored
 * where the name has a tombstone. Sets v->ino, times. */
int changes_create(struct changes *c, struct cnode *dir, const char *name,
		   uint8_t lower_kind, struct cvalue *v, struct cnode **ret);
int changes_link(struct changes *c, struct cnode *n, struct cnode *dir,
		 const char *name, uint8_t lower_kind);
int changes_remove(struct changes *c, struct cname *name);
/* Replaces what `to` is, if anything. */
int changes_rename(struct changes *c, struct cname *from, struct cnode *dir,
		   const char *to, uint8_t lower_kind);
int changes_exchange(struct changes *c, struct cname *a, struct cname *b);
/* Set mode, uid, gid, atim, mtim from v; ctim becomes now. */
int changes_attr(struct changes *c, struct cnode *n, const struct cvalue *v);
/* The content is gone: truncated to nothing, now. */
int changes_empty(struct changes *c, struct cnode *n);
/* The content is the content file `file` from now on, which is like st; times
 * stay. */
int changes_raise(struct changes *c, struct cnode *n, uint64_t file,
		  const struct stat *st);
/* value NULL removes. */
int changes_xattr(struct changes *c, struct cnode *n, const char *name,
		  const void *value, size_t len);
/* Forget what is said about a name: the lower one shows again, or none. What
 * it named is removed as by unlink. */
int changes_reset(struct changes *c, struct cname *name);
/* Give a directory the attributes in v, drop its xattrs. */
int changes_restore(struct changes *c, struct cnode *n,
		    const struct cvalue *v);

struct settled { /* an entry of the revision; borrowed */
	struct scorpio_id id;
	uint8_t kind;
	uint16_t mode;
	const char *path;
	const void *names; /* of a directory: u8 kind, u8 length, name, NUL */
	uint32_t names_len;
};
/* The inode is as that entry from now on: its only name is the entry's, type,
 * permissions and content are equal. Number and times stay. *ret_file: the
 * content file that was its own, or 0: to be removed once the log is synced
 * and no request can be about to open it. -E2BIG, errors of the log. */
int changes_settle(struct changes *c, struct cnode *n,
		   const struct settled *s, uint64_t *ret_file);

/* Who opens a content file for changing: with the tree locked, or edit, and
 * c->frozen false. False: it is being settled, or copied since it is shared; come
 * again with the edit lock. */
#define CHANGES_NO_WRITERS UINT16_MAX
static inline bool changes_writer_begin(struct cnode *n)
{
	uint16_t was = __atomic_load_n(&n->writers, __ATOMIC_RELAXED);

	do {
		if (was == CHANGES_NO_WRITERS)
			return false;
	} while (!__atomic_compare_exchange_n(&n->writers, &was,
					      (uint16_t)(was + 1), true,
					      __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	return true;
}
/* After changes_wrote. */
static inline void changes_writer_end(struct cnode *n)
{
	__atomic_fetch_sub(&n->writers, 1, __ATOMIC_RELEASE);
}
/* lock: edit. Nobody may begin until _go; false: somebody has. */
static inline bool changes_writers_stop(struct cnode *n)
{
	uint16_t none = 0;

	return __atomic_compare_exchange_n(&n->writers, &none,
					   CHANGES_NO_WRITERS, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static inline void changes_writers_go(struct cnode *n)
{
	__atomic_store_n(&n->writers, 0, __ATOMIC_RELEASE);
}

/* -- sharing all of it with another workspace (changes_fork.c) ------------------- */

/* Wait until nobody writes to a content file; nobody begins to until
 * changes_thaw. Names and attributes go on. -EBUSY after the deadline. */
int changes_freeze(struct changes *c, int64_t deadline);
void changes_thaw(struct changes *c);
struct changes_shared {
	uint64_t files, bytes;
};
/* While frozen: every content file gets a name below the upper directory `to`,
 * and *ret the state of this moment, of a generation of its own, for
 * wal_copy_end. Errors of upper_share. */
struct wal_checkpoint;
int changes_share(struct changes *c, int to, struct changes_shared *ret_n,
		  struct wal_checkpoint **ret);

/* -- switching to another revision (changes_switch.c) ---------------------------- */

struct delta;
struct notices;
struct rebase; /* what a switch does to the changes */

struct rebase_conflict {
	char *path;
	const char *why; /* static */
};
/* Find out. Conflicts stand in the result, sorted by path; the plan is as if
 * the private changes won. quiet: they cover all that differs, so no time moves
 * and the journal does not tell. Nothing is changed. */
struct rebase *changes_plan(struct changes *c, const struct delta *d,
			    bool quiet);
void rebase_free(struct rebase *r);
size_t rebase_conflicts(const struct rebase *r,
			const struct rebase_conflict **ret);
/* How many changed inodes stay changed. */
uint64_t rebase_kept(const struct rebase *r);
/* Do it: one logged step. `base` tells about the revision, for who loads the
 * log; move() is called with the tree locked for writing, before the changes
 * are touched. -EIO, -ENOSPC of the log: then nothing happened. */
int changes_rebase(struct changes *c, struct rebase *r, const struct delta *d,
		   const char *base, int64_t time,
		   void (*move)(void *ctx), void *ctx, struct notices *n);

/* -- content being written: any thread, no lock ---------------------------------- */

/* Take size and times from the content file. Under the stripe. */
void changes_measure(struct cnode *n, const struct stat *st);
/* From now on nothing is older. Any thread. */
void changes_raise_newest(struct changes *c, int64_t time);
/* The content file fd of n was just changed: take size and times from it, note
 * it in the journal. -EIO from the log. */
int changes_wrote(struct changes *c, struct cnode *n, int fd);
/* The kernel forgot it; tree lock shared and node table's lock held. True if
 * changes_bury must be called once they are dropped. */
bool changes_forgotten(struct changes *c, struct cnode *n);
void changes_bury(struct changes *c);
pthread_mutex_t *changes_stripe(struct changes *c, const struct cnode *n);

#endif
