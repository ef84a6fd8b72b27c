/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_impl.h - what the files of the store share with each other and with
 * nobody else.
 *
 *	store.c        open and close
 *	store_value.c  named values and id spaces
 *	store_state.c  the lock, the clean-shutdown mark, setting aside
 *	store_check.c  structure of the data file, without LMDB
 *	store_records.c what can be read of a damaged one
 *	store_swap.c   a new file instead of a damaged one, while in use
 *	store_salvage.c what a file that was set aside still says
 *	store_guard.c  the way out of LMDB where a page is damaged
 *	store_read.c   read transactions and everything that reads
 *	store_write.c  the queue and the writer thread
 *	store_sync.c   the thread that syncs
 *	store_put.c    what is queued in one go
 *	store_apply.c  one queued operation inside the write transaction
 *	blob_writer.c  a blob on its way in
 *	evict.c        making room
 *	store_pin.c    pins, and what they hold
 *	store_verify.c reading everything
 *	store_metrics.c what /metrics says about it
 *
 * Locks: readers (global), then store.space_lock, then store.q_lock; none is
 * held while LMDB commits.
 */
#ifndef CACHE_STORE_IMPL_H
#define CACHE_STORE_IMPL_H

#include "cache/codec.h"
#include "cache/store.h"
#include "core/clock.h"
#include "core/error.h"

#include <lmdb.h>
#include <setjmp.h>

#define STORE_FORMAT         1u
#define STORE_MIN_BYTES      (8 * MiB)
#define STORE_READERS_MAX    1024u
#define STORE_VALUE_MAX      (64 * KiB)
#define STORE_SYNC_BYTES     (256 * MiB) /* written, then synced at once */
#define STORE_COUNTERS       "counters" /* their key in meta */
#define STORE_NAME_BYTES     400u /* longest value, space or pin name */
#define STORE_USED_SLOTS     (1u << 16)
#define STORE_VERIFIED_SLOTS 1024u
#define STORE_TREE_SMALL     (16 * KiB) /* checksummed at every look */
#define STORE_SEG_KEY_MAX    (STORE_KEY_MAX + 4)

enum store_dbi {
	DBI_META,
	DBI_TREE,
	DBI_BLOB,
	DBI_SEG,
	DBI_CHUNK,
	DBI_DATA,
	DBI_PIN,
	DBI_COUNT
};

/* Kept in meta, changed by the writer only. */
struct store_counters {
	uint64_t clock; /* next data key and logical time */
	uint64_t tree_bytes, chunk_stored, chunk_plain;
	uint64_t evicted;
	uint64_t last_space;
	uint64_t reserved[2];
};

struct store_use {      /* both atomic; a torn pair only misdates a use */
	uint64_t print; /* the first eight bytes of the chunk's hash; 0 free */
	uint64_t stamp;
};

struct salvage;   /* of store_salvage.c */
struct read_slot; /* a cached read transaction of one thread */

struct store_old { /* an environment that was replaced, until nobody reads it */
	struct store_old *next;
	MDB_env *env;
	uint64_t serial;
};

struct store {
	MDB_env *env; /* atomic; the writer replaces it, lock: readers */
	MDB_dbi dbi[DBI_COUNT]; /* const: the same in every environment */
	char *path;
	char *notice;
	uint64_t serial; /* atomic; of env, unique within the process */
	struct store_old *old; /* lock: readers */
	uint64_t max_bytes;
	uint32_t page; /* of the file: 4 KiB, or what the machine had that made it */
	int level;
	char *aside; /* path of a file nothing was taken over of; writer thread */
	bool read_only;
	void (*replaced)(const char *notice); /* const; may be NULL */
	int lock_fd;
	size_t lock_text; /* bytes of it; writer thread after open */
	bool damage_seen;   /* atomic */
	bool structure_bad; /* atomic; the writer replaces the file */
	int64_t swap_after; /* writer thread; the last try failed */
	uint32_t dropping;  /* atomic; damaged records not removed yet */
	bool damage_marked; /* writer thread */
	bool left; /* writer thread; env was left in a write transaction */
	int64_t free_check_after; /* writer thread */
	bool open_on_disk;  /* the same, and who opens and closes */

	struct read_slot *slots; /* lock: readers (store_read.c) */

	pthread_mutex_t q_lock;
	pthread_cond_t q_work;             /* something queued, or stop */
	pthread_cond_t q_room;             /* bytes went down */
	struct store_op *q_head, **q_tail; /* lock: q_lock */
	size_t q_bytes, q_bound;           /* lock: q_lock (bound: const) */
	bool q_stop;                       /* lock: q_lock */
	int w_error;                       /* lock: q_lock; of the last batch */
	int64_t w_error_until;             /* lock: q_lock */
	char w_error_text[256];            /* lock: q_lock */
	size_t batch_bytes;                /* const */

	pthread_t writer, syncer;
	bool threads;
	pthread_mutex_t sync_lock;
	pthread_cond_t sync_work;
	uint64_t sync_bytes; /* lock: sync_lock; written since the last sync */
	bool sync_stop;      /* lock: sync_lock */
	bool doubt;          /* lock: sync_lock; look at the structure */
	int64_t look_after;  /* lock: sync_lock; but not before */
	struct salvage *salvage;   /* lock: sync_lock; to be begun */
	struct salvage *salvaging; /* lock: sync_lock; under way */

	struct store_counters c;      /* writer thread */
	struct store_counters c_seen; /* lock: q_lock; after a commit */
	uint64_t clock_seen;          /* atomic copy of c.clock */
	uint64_t chunks_seen;         /* atomic, about */
	int64_t use_flushed;          /* writer thread */
	struct store_key
		evict_at[DBI_COUNT]; /* writer thread: the clock hand */

	struct store_use *used;                  /* chunks used lately */
	uint32_t used_count;                     /* atomic, about */
	uint64_t verified[STORE_VERIFIED_SLOTS]; /* atomics */
	uint64_t damaged;                        /* atomic */

	pthread_mutex_t space_lock;
	struct buf spaces; /* lock: space_lock; char *[number - 1] */

	uint64_t pinned_chunks; /* atomic; counted now and then */

	int64_t stuck_until; /* writer thread: pins left too little room */
};

/* Text and errno for an LMDB result. */
int store_mdb_fail(int rc, const char *what);
/* The errno alone. */
int store_mdb_errno(int rc);
static inline MDB_val store_val(const void *p, size_t n)
{
	return (MDB_val){ n, (void *)(uintptr_t)p };
}
/* Does LMDB's result say that a page is not what it should be? A full disk, a
 * full file and a failing disk do not. */
static inline bool store_is_structural(int rc)
{
	return rc < 0 && rc != MDB_MAP_FULL && rc != MDB_NOTFOUND &&
	       rc != MDB_READERS_FULL && rc != MDB_TXN_FULL;
}
uint32_t store_minute(void);
/* Pages in use as of this transaction, in bytes. */
int store_used_bytes(struct store *s, MDB_txn *txn, uint64_t *ret);
/* Most plain bytes one object may have. */
uint64_t store_object_max(const struct store *s);

/* -- store.c -------------------------------------------------------------- */

uint64_t store_serial_next(void);
/* LMDB's environment and databases, made if they are not there. */
int store_env_open(struct store *s, uint64_t map);
int store_env_setup(struct store *s);

/* -- store_swap.c --------------------------------------------------------- */

/* Writer thread: set the file aside and go on with an empty one. Readers end
 * what they began in the old one. -errno: nothing changed. */
int store_swap(struct store *s, const char *why);
/* Syncer thread: is the structure damaged? Then have the writer replace it. */
void store_look(struct store *s);
/* Is it? As of a snapshot that a read transaction keeps in place. -EUCLEAN */
int store_look_file(struct store *s, int64_t budget_ns);

/* -- store_salvage.c ------------------------------------------------------ */

/* Writer thread or store_open: into a new file, before anybody uses it, the
 * pins and values of the one at s->aside; s->salvage is then what is left to
 * do. At most 10 s. Error: the new file is not sound. */
int store_salvage_small(struct store *s);
/* A thread that takes the content. Then _end it. -EAGAIN */
int store_salvage_start(struct salvage *g, struct store *s);
void store_salvage_stop(struct salvage *g); /* soon; does not wait */
void store_salvage_end(struct salvage *g);  /* waits, frees */
bool store_salvage_busy(struct store *s); /* is there something left to do? */
void store_salvage_free(struct salvage *g); /* one not started; NULL */

/* -- store_state.c ------------------------------------------------------- */

struct store_state { /* of the last process that had the store */
	bool known;  /* the file said something */
	bool clean;
	bool damaged; /* it saw damage */
	bool same_boot;
	bool on_disk; /* the disk knows that it is open */
	int64_t seconds; /* how long ago it was opened; -1 unknown */
	int64_t unreadable; /* it died of this byte of the data file; or -1 */
};
int store_state_lock(struct store *s, struct store_state *ret);
int store_state_mark(struct store *s, bool clean, bool damaged);
void store_state_unlock(struct store *s);
/* Rename the data file to store.damaged-<n>, which s->aside is then; older ones
 * are removed. */
int store_state_set_aside(struct store *s, const char *why);

/* -- store_bus.c --------------------------------------------------------- */

/* From now on store_bus_note knows this store's map. One per process. */
void store_bus_watch(struct store *s);
void store_bus_unwatch(struct store *s);
/* Can the page at this byte of the data file be read? By pread. */
bool store_bus_readable(const struct store *s, uint64_t at);

/* -- store_check.c ------------------------------------------------------- */

/* Check the B-trees of <path>/data.mdb as of transaction txnid (0 = newest):
 * bounds, order, no page twice, none of them free. Reads with pread: cannot
 * crash. 0 fine; -EUCLEAN with a text; -ETIMEDOUT as far as it got, fine;
 * -EINVAL not LMDB's; -ENOENT. About 2 us a page that is in memory. */
int store_check_file(const char *path, uint64_t txnid, int64_t deadline);
int store_check_fd(int fd, uint64_t txnid, int64_t deadline);
/* The roots and the list of free pages alone, by the only one who writes. 5 us,
 * and 4 ns a free page. */
int store_check_free(const char *path, int64_t deadline);

/* -- store_records.c ------------------------------------------------------ */

/* Every record of a database that can still be reached in a damaged file: from
 * the newest root, and if that met damage from the one before it. The record's
 * own checksum is not looked at; order is not kept; with both roots a key may
 * come twice, the newer first. After damage `all` gives what stands in pages no
 * root leads to as well: of any database, or made up by whoever wrote a file's
 * content; only for records that prove themselves. Some come without a key and
 * longer than they are. A result of fn but 0 and -EUCLEAN ends it. Gives
 * how often something was damaged, or -EINVAL no root, -ETIMEDOUT, -ECANCELED. */
struct store_records {
	const char *db;
	bool all;
	int64_t deadline;
	const int *stop; /* atomic; NULL: never */
	int (*fn)(void *ctx, const void *key, size_t klen, const void *data,
		  size_t len);
	void *ctx;
};
int store_check_records(int fd, const struct store_records *x);

/* -- store_guard.c ------------------------------------------------------- */

/*
 *	if (store_guarded(&g))
 *		it was damaged; do not touch what was changed below
 *	else
 *		... LMDB, or its map; no lock taken; store_guard_pop(&g)
 */
struct store_guard {
	sigjmp_buf at;
	struct store_guard *outer;
};
#ifdef __SANITIZE_THREAD__
#define STORE_SAVES_MASK 1 /* it blocks every signal while a handler runs */
#else
#define STORE_SAVES_MASK 0
#endif
#define store_guarded(g) \
	(store_guard_push(g), sigsetjmp((g)->at, STORE_SAVES_MASK))
void store_guard_push(struct store_guard *g);
void store_guard_pop(const struct store_guard *g);
bool store_guard_is_on(void); /* of this thread */
/* No way out over what is between them. */
struct store_guard *store_guard_off(void);
void store_guard_on(struct store_guard *g);
void store_assertion(MDB_env *env, const char *text); /* MDB_assert_func */

/* -- store_read.c -------------------------------------------------------- */

void store_readers_close(struct store *s); /* every thread's */
/* Whoever begins to read from now on reads in env. Writer thread. */
void store_env_replace(struct store *s, MDB_env *env);
/* At the end, where it must not be closed. */
void store_env_leave(struct store *s);
/* Close those replaced that nobody reads any more. Syncer, store_close. */
void store_old_close(struct store *s);
MDB_txn *store_reader_txn(const struct store_reader *r);
int store_get(struct store_reader *r, enum store_dbi dbi, const void *key,
	      size_t len, MDB_val *ret);
/* Find the index and data record of a chunk; -ENOENT, or -EBADMSG if either is
 * damaged (not yet dropped). */
int store_chunk_find(struct store *s, MDB_txn *txn, const uint8_t *hash,
		     struct codec_index *ret_index, struct codec_chunk *ret);
/* Hash number i of a blob; `seg` remembers the last segment. */
struct seg_cache {
	const uint8_t *list;
	uint32_t number, count;
};
int store_chunk_hash(struct store_reader *r, const struct store_key *k,
		     const struct blob_info *b, uint32_t i,
		     struct seg_cache *seg, const uint8_t **ret);
/* Remember that the chunk was used; ~5 ns if it is known to be fresh. NULL:
 * whatever is known. */
void store_touch(struct store *s, const uint8_t *hash,
		 const struct codec_index *x);
/* Damage was met: have the writer look and drop. Never blocks. */
enum drop_kind { DROP_TREE, DROP_BLOB, DROP_SEG, DROP_CHUNK, DROP_DATA };
void store_drop(struct store *s, enum drop_kind kind, const void *key,
		size_t len, bool force);
size_t store_seg_key(const struct store_key *k, uint32_t number,
		     uint8_t out[STORE_SEG_KEY_MAX]);

/* -- store_write.c ------------------------------------------------------- */

enum op_kind {
	OP_CHUNK, /* key: hash, data: record, index.plain */
	OP_BLOB,  /* data: record, list: all hashes if they go to seg */
	OP_SIZE,
	OP_TREE,
	OP_PUT,   /* dbi, key, data: a sealed value */
	OP_DEL,   /* dbi, key; -ENOENT if absent */
	OP_SPACE, /* key; the number goes to *ret */
	OP_DROP,
	OP_FLUSH, /* nothing: its done says that all before is committed
		   */
	OP_GC     /* alone in its batch; size: target, freed comes back
		     there */
};

/* Shared by the operations of one blob: the first failure spoils the rest. */
struct put_state {
	int refs;  /* atomic */
	int error; /* atomic */
};
struct put_state *put_state_get(struct put_state *p);
void put_state_put(struct put_state *p);

struct store_op {
	struct store_op *next;
	enum op_kind kind;
	enum store_dbi dbi;
	enum drop_kind drop;
	bool flag; /* OP_CHUNK: replace; OP_DROP: force */
	int result;
	uint32_t plain;
	uint64_t size;
	uint64_t *ret; /* OP_GC, OP_SPACE; written before done is called */
	struct buf data, list;
	struct put_state *state;
	store_done_fn done;
	void *ctx;
	uint16_t key_len;
	uint8_t key[];
};
struct store_op *store_op_new(enum op_kind kind, const void *key, size_t len);
void store_op_free(struct store_op *op);
/* Takes op (also on failure). Waits for room unless `nowait`. */
int store_queue(struct store *s, struct store_op *op /* takes */, bool nowait);
/* Queue, wait for the commit, give its result. */
int store_queue_wait(struct store *s, struct store_op *op /* takes */,
		     int64_t deadline);
/* For waits without a deadline of their own: the caller's, at most 2 min. */
int64_t store_wait_deadline(void);
int store_writer_start(struct store *s);
void store_writer_stop(struct store *s); /* commits what is queued */

/* -- store_sync.c -------------------------------------------------------- */

int store_thread(pthread_t *t, void *(*fn)(void *), void *arg,
		 const char *name);
int store_sync_start(struct store *s);
void store_sync_stop(struct store *s);

/* -- store_apply.c (writer thread) --------------------------------------- */

/* An LMDB result; op->result holds what concerns the operation alone. */
int store_apply(struct store *s, MDB_txn *txn, struct store_counters *c,
		struct store_op *op);
int store_counters_save(struct store *s, MDB_txn *txn,
			const struct store_counters *c);
int store_counters_load(struct store *s, MDB_txn *txn,
			struct store_counters *ret);
/* Note the number of a space; k: its key in meta. */
int store_space_save(struct store *s, MDB_txn *txn, const void *k, size_t len,
		     uint16_t number);
/* Remove a chunk's index and data. Absent is fine. */
int store_chunk_remove(struct store *s, MDB_txn *txn, struct store_counters *c,
		       const uint8_t *hash);
int store_blob_remove(struct store *s, MDB_txn *txn, const MDB_val *key);
int store_tree_remove(struct store *s, MDB_txn *txn, struct store_counters *c,
		      const MDB_val *key);
/* Write the use table back. */
int store_use_flush(struct store *s);

/* -- evict.c (writer thread) --------------------------------------------- */

/* Bring the bytes in use down to target, or as far as pins allow. */
int evict_to(struct store *s, uint64_t target, uint64_t *ret_freed);
uint64_t evict_high(const struct store *s); /* start above this */
uint64_t evict_low(const struct store *s);  /* and go down to this */

/* -- store_pin.c --------------------------------------------------------- */

/* What the pins hold: fingerprints of keys (a false hit only keeps more). */
struct mark_set {
	uint64_t *slot;
	size_t cap, count;
};
void mark_done(struct mark_set *m);
bool mark_add(struct mark_set *m, uint64_t fingerprint); /* true: was new */
bool mark_has(const struct mark_set *m, uint64_t fingerprint);
uint64_t mark_key(enum store_dbi dbi, const void *key, size_t len);
int store_pins_mark(struct store *s, struct mark_set *ret,
		    uint64_t *ret_chunks);
void store_pins_count(struct store *s); /* for store_stat */

/* -- store_metrics.c ------------------------------------------------------ */

void store_metrics_start(struct store *s);
void store_metrics_stop(struct store *s);

#endif
