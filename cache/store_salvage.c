/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can still be read of a file that was set aside goes to the new one, by
 * pread and with every checksum checked: nothing of LMDB looks at it again.
 *
 * Before anybody uses the new file: pins, named values and numbers of spaces.
 * Then, beside everything else and at most half of the time: chunks, blobs,
 * trees. A tree is taken only if no named value was lost, for a layer may have
 * to be asked for the tree again to learn what its ids mean.
 */
#include "cache/store_impl.h"

#include "core/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SMALL_NS    (5 * NS_PER_S)
#define ROUND_BYTES (1 * MiB)
#define ROUND_NS    (100 * NS_PER_MS)
#define FLUSH_MS    60000
#define NAP_NS      (10 * NS_PER_MS)
#define NAP_MAX_NS  NS_PER_S
#define SPARE       256u /* numbers that may have been given out and lost */
#define COUNTERS_LEN (sizeof(STORE_COUNTERS) - 1)
#define SPACES      (UINT16_MAX + 1u)

struct salvage;
typedef int (*take_fn)(struct salvage *g, const void *key, size_t klen,
		       const void *data, size_t len);

struct salvage {
	struct store *s;
	char *path; /* owned; of the file that was set aside */
	uint8_t known[SPACES / 8]; /* spaces: the numbers that have a name */
	bool trees;                /* may be taken */

	/* the thread that takes the content */
	pthread_t thread;
	int stop, done; /* atomic */
	int fd;
	take_fn take; /* of the database under way */
	struct mark_set big; /* blobs whose chunks are listed in segments */
	bool again;          /* the second look at blobs: the big ones */
	size_t bytes;        /* queued since the last rest */
	int64_t begun;       /* that round */
	unsigned n_trees, n_blobs, n_chunks;
	uint8_t plain[CODEC_CHUNK];
};

void store_salvage_free(struct salvage *g)
{
	if (!g)
		return;
	mark_done(&g->big);
	free(g->path);
	free(g);
}

/* -- pins, values, numbers ------------------------------------------------ */

struct small {
	struct store *s;
	MDB_txn *txn;
	enum store_dbi dbi;
	size_t left; /* bytes that may be taken */
	unsigned n[DBI_COUNT];
	uint16_t last; /* highest number of a space */
	bool counted;  /* the counters say so too */
	int rc;        /* of LMDB */
};

static bool starts(const void *key, size_t klen, const char *with)
{
	return klen > 2 && !memcmp(key, with, 2);
}

static void note_number(struct small *x, const void *key, size_t klen,
			const void *p, size_t n)
{
	struct store_counters c;

	if (starts(key, klen, "s/") && n == 2) {
		x->last = MAX(x->last, get_u16(p));
	} else if (klen == COUNTERS_LEN && n == sizeof(c)) {
		memcpy(&c, p, sizeof(c));
		x->last = MAX(x->last,
			      (uint16_t)MIN(c.last_space, UINT16_MAX));
		x->counted = true;
	}
}

static int take_small(void *ctx, const void *key, size_t klen, const void *data,
		      size_t len)
{
	struct small *x = ctx;
	MDB_val k = store_val(key, klen), v = store_val(data, len);
	bool named = starts(key, klen, "v/") || starts(key, klen, "s/");
	const void *p;
	size_t n;

	if (x->dbi == DBI_META && !named &&
	    (klen != COUNTERS_LEN || memcmp(key, STORE_COUNTERS, klen)))
		return 0;
	if (klen > STORE_NAME_BYTES + 2 || len > STORE_VALUE_MAX + 64 ||
	    codec_value_parse(data, len, codec_seed(key, klen), &p, &n))
		return -EUCLEAN;
	if (x->dbi == DBI_META)
		note_number(x, key, klen, p, n);
	if (x->dbi == DBI_META && !named)
		return 0;
	if (klen + len > x->left)
		return 0;
	x->left -= klen + len;
	x->rc = mdb_put(x->txn, x->s->dbi[x->dbi], &k, &v, MDB_NOOVERWRITE);
	if (x->rc == MDB_KEYEXIST)
		x->rc = 0;
	else
		x->n[x->dbi]++;
	return x->rc ? -EIO : 0;
}

static void read_known(struct small *x, struct salvage *g)
{
	MDB_val k, v;
	MDB_cursor *c;
	const void *p;
	size_t n;

	if (mdb_cursor_open(x->txn, x->s->dbi[DBI_META], &c))
		return;
	while (!mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		if (!starts(k.mv_data, k.mv_size, "s/") ||
		    codec_value_parse(v.mv_data, v.mv_size,
				      codec_seed(k.mv_data, k.mv_size), &p,
				      &n) ||
		    n != 2)
			continue;
		g->known[get_u16(p) / 8] |= (uint8_t)(1u << get_u16(p) % 8);
	}
	mdb_cursor_close(c);
}

/* No number that was given out may come again for something else. */
static int keep_numbers(struct small *x, struct store_counters *c, bool whole)
{
	uint64_t last = MAX(c->last_space, (uint64_t)x->last);

	if (!c->last_space && !(whole && x->counted))
		last = MIN(MAX(last, UINT16_MAX / 2u) + SPARE, UINT16_MAX);
	c->last_space = last;
	return store_counters_save(x->s, x->txn, c);
}

static int take_from(struct salvage *g, const char *db, struct small *x)
{
	const struct store_records from = { .db = db,
					    .deadline = now_ns() + SMALL_NS,
					    .fn = take_small,
					    .ctx = x };

	return store_check_records(g->fd, &from);
}

static int take_smalls(struct small *x, struct salvage *g)
{
	struct store_counters c = x->s->c;
	int damaged, pins = 0;

	x->dbi = DBI_META;
	damaged = take_from(g, "meta", x);
	if (!x->rc)
		x->rc = keep_numbers(x, &c, !damaged);
	x->dbi = DBI_PIN;
	if (!x->rc)
		pins = take_from(g, "pin", x);
	if (x->rc)
		return x->rc;
	read_known(x, g);
	x->rc = mdb_txn_commit(x->txn);
	x->txn = NULL;
	if (x->rc)
		return x->rc;
	x->s->c = x->s->c_seen = c;
	g->trees = !damaged;
	log_info("store", "taken over from %s: %u pins, %u values%s", g->path,
		 x->n[DBI_PIN], x->n[DBI_META],
		 damaged || pins ? "; some may be lost" : "");
	return 0;
}

/* The file may be anything: what is not taken over is fetched again. */
int store_salvage_small(struct store *s)
{
	struct small x = { .s = s, .left = s->max_bytes / 8 };
	struct salvage *g;

	if (!s->aside)
		return 0;
	g = xcalloc(1, sizeof(*g));
	g->path = steal(&s->aside);
	g->fd = open(g->path, O_RDONLY | O_CLOEXEC);
	if (g->fd < 0)
		x.rc = errno;
	if (!x.rc)
		x.rc = mdb_txn_begin(s->env, NULL, 0, &x.txn);
	if (!x.rc)
		take_smalls(&x, g);
	mdb_txn_abort(x.txn);
	if (g->fd >= 0)
		close(g->fd);
	if (x.rc) {
		log_warn("store", "nothing is taken over from %s: %s", g->path,
			 mdb_strerror(x.rc));
		store_salvage_free(g);
		g = NULL;
	}
	s->salvage = g;
	return store_is_structural(x.rc) ? store_mdb_fail(x.rc, "take over")
					 : 0;
}

/* -- content -------------------------------------------------------------- */

static bool stopped(const struct salvage *g)
{
	return __atomic_load_n(&g->stop, __ATOMIC_RELAXED);
}

static bool is_known(const struct salvage *g, const void *key, size_t klen)
{
	const uint8_t *p = key;
	unsigned space;

	if (klen < 3 || klen > STORE_SEG_KEY_MAX)
		return false;
	space = (unsigned)p[0] << 8 | p[1];
	return g->known[space / 8] & 1u << space % 8;
}

static bool is_absent(struct salvage *g, enum store_dbi dbi, const void *key,
		      size_t klen)
{
	struct store_reader r;
	MDB_val v;
	int rc;

	if (store_read_begin(g->s, &r))
		return false;
	rc = store_get(&r, dbi, key, klen, &v);
	store_read_end(&r);
	return rc == -ENOENT;
}

/* Wait for what was queued, then rest as long as all that took. */
static int rest(struct salvage *g)
{
	int64_t took, end;
	struct store_stats st;
	int r = g->bytes ? store_flush(g->s, deadline_in_ms(FLUSH_MS)) : 0;

	took = now_ns() - g->begun;
	end = now_ns() + MIN(took, NAP_MAX_NS);
	while (!r && !stopped(g) && now_ns() < end) {
		struct timespec nap = { 0, NAP_NS };

		nanosleep(&nap, NULL);
	}
	if (!r)
		r = store_stat(g->s, &st);
	if (!r && st.used_bytes > evict_low(g->s))
		r = -ENOSPC;
	g->bytes = 0;
	g->begun = now_ns();
	return r;
}

static int queue(struct salvage *g, struct store_op *op /* takes */,
		 const void *data, size_t len)
{
	buf_put(&op->data, data, len);
	g->bytes += len + op->key_len;
	return store_queue(g->s, op, false);
}

static int take_chunk(struct salvage *g, const void *key, size_t klen UNUSED,
		      const void *data, size_t len)
{
	uint8_t hash[SHA256_LEN];
	struct codec_chunk c;
	struct store_op *op;

	if (!key)
		len = codec_chunk_len(data, len);
	if (codec_chunk_look(data, len, &c) || codec_chunk_unpack(&c, g->plain))
		return -EUCLEAN;
	hash_bytes(HASH_SHA256, g->plain, c.plain_len, hash);
	if (codec_chunk_parse(data, len, codec_chunk_seed(hash), &c))
		return -EUCLEAN;
	if (!is_absent(g, DBI_CHUNK, hash, sizeof(hash)))
		return 0;
	op = store_op_new(OP_CHUNK, hash, sizeof(hash));
	op->plain = c.plain_len;
	g->n_chunks++;
	return queue(g, op, data, len);
}

static int put_record(struct salvage *g, enum store_dbi dbi, const void *key,
		      size_t klen, const void *data, size_t len)
{
	struct store_op *op = store_op_new(OP_PUT, key, klen);

	op->dbi = dbi;
	return queue(g, op, data, len);
}

static int take_blob(struct salvage *g, const void *key, size_t klen, const void *data,
		     size_t len)
{
	struct codec_blob b;
	bool big;

	if (codec_blob_parse(data, len, codec_seed(key, klen), &b))
		return -EUCLEAN;
	big = b.chunks > CODEC_INLINE;
	if (!is_known(g, key, klen) || big != g->again ||
	    !is_absent(g, DBI_BLOB, key, klen)) {
		if (big && !g->again)
			mark_add(&g->big, mark_key(DBI_BLOB, key, klen));
		return 0;
	}
	g->n_blobs++;
	return put_record(g, DBI_BLOB, key, klen, data, len);
}

static int take_seg(struct salvage *g, const void *key, size_t klen, const void *data,
		    size_t len)
{
	const uint8_t *p = key, *list;
	uint32_t number;

	if (!is_known(g, key, klen) || klen < 4 + 3 || len < 8)
		return 0;
	klen -= 4;
	if (!mark_has(&g->big, mark_key(DBI_BLOB, key, klen)))
		return 0;
	number = (uint32_t)p[klen] << 24 | (uint32_t)p[klen + 1] << 16 |
		 (uint32_t)p[klen + 2] << 8 | p[klen + 3];
	if (codec_seg_parse(data, len,
			    codec_seg_seed(codec_seed(key, klen), number),
			    (uint32_t)((len - 8) / SHA256_LEN), &list))
		return -EUCLEAN;
	if (!is_absent(g, DBI_SEG, key, klen + 4))
		return 0;
	return put_record(g, DBI_SEG, key, klen + 4, data, len);
}

static int take_tree(struct salvage *g, const void *key, size_t klen, const void *data,
		     size_t len)
{
	struct tree_view v;

	if (tree_view_init(&v, data, len, codec_seed(key, klen), true))
		return -EUCLEAN;
	if (!is_known(g, key, klen) || !is_absent(g, DBI_TREE, key, klen))
		return 0;
	g->n_trees++;
	return queue(g, store_op_new(OP_TREE, key, klen), data, len);
}

static bool has_room(const struct salvage *g)
{
	struct statvfs v;
	struct stat st;

	return !fstat(g->fd, &st) && !fstatvfs(g->fd, &v) &&
	       (uint64_t)v.f_bavail * v.f_frsize / 11 * 10 >
		       (uint64_t)st.st_size;
}

/* A record, whatever becomes of it: work is work. */
static int take_one(void *ctx, const void *key, size_t klen, const void *data,
		    size_t len)
{
	struct salvage *g = ctx;
	int e, r = g->take(g, key, klen, data, len);

	if ((r && r != -EUCLEAN) ||
	    (g->bytes < ROUND_BYTES && now_ns() - g->begun < ROUND_NS))
		return r;
	e = rest(g);
	return e ? e : r;
}

static int take(struct salvage *g, const char *db, take_fn fn)
{
	const struct store_records from = { .db = db,
					    .all = fn == take_chunk,
					    .deadline = DEADLINE_NONE,
					    .stop = &g->stop,
					    .fn = take_one,
					    .ctx = g };

	g->take = fn;
	return store_check_records(g->fd, &from);
}

/* What names others comes after them. */
static int take_all(struct salvage *g)
{
	int r;

	if (!has_room(g))
		return fail(-ENOSPC, "the disk has no room for a second one");
	r = take(g, "data", take_chunk);
	if (r >= 0)
		r = take(g, "blob", take_blob);
	if (r >= 0 && g->big.count)
		r = take(g, "seg", take_seg);
	g->again = true;
	if (r >= 0 && g->big.count)
		r = take(g, "blob", take_blob);
	if (r >= 0 && g->trees)
		r = take(g, "tree", take_tree);
	if (r >= 0)
		r = store_flush(g->s, deadline_in_ms(FLUSH_MS));
	return r;
}

static void *salvage_main(void *arg)
{
	struct salvage *g = arg;
	int r;

	g->begun = now_ns();
	g->fd = open(g->path, O_RDONLY | O_CLOEXEC);
	r = g->fd < 0 ? fail(-errno, "%s", strerror(errno)) : take_all(g);
	if (g->fd >= 0)
		close(g->fd);
	log_info("store", "taken over from %s: %u directories, %u files, %u "
		 "chunks%s%s", g->path, g->n_trees, g->n_blobs, g->n_chunks,
		 r ? "; then it ended: " : "", r ? error_text(r) : "");
	mark_done(&g->big);
	__atomic_store_n(&g->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

int store_salvage_start(struct salvage *g, struct store *s)
{
	g->s = s;
	return store_thread(&g->thread, salvage_main, g, "store-salvage");
}

void store_salvage_stop(struct salvage *g)
{
	__atomic_store_n(&g->stop, 1, __ATOMIC_RELAXED);
}

bool store_salvage_busy(struct store *s)
{
	lock_scope(&s->sync_lock);

	return s->salvage ||
	       (s->salvaging &&
		!__atomic_load_n(&s->salvaging->done, __ATOMIC_ACQUIRE));
}

void store_salvage_end(struct salvage *g)
{
	store_salvage_stop(g);
	pthread_join(g->thread, NULL);
	store_salvage_free(g);
}
