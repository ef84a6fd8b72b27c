/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making room, on the writer thread. Chunks go first, least recently used
 * before others: the index is sampled (its keys are uniform, so any stretch of
 * it is a fair sample; up to SAMPLE chunks it is all of them), which gives the
 * stamp below which enough would go, and then a clock hand goes round the
 * index and removes what is older. When chunks were not enough, blob records
 * and then trees go, also by the clock hand. Pinned things stay.
 *
 * Readers are not disturbed: they see their snapshot. Each transaction removes
 * few records, so that it finds free pages for itself even on a full map.
 */
#include "cache/store_impl.h"

#define SAMPLE       65536u
#define STEP         1024u  /* removals in one transaction */
#define SCAN         65536u /* records looked at in one read transaction */
#define PASSES       8
#define MEASURE      16u /* removals between looks at what is in use */
#define FULL_TRIES   200 /* with a full map and pages held by readers */
#define FULL_WAIT_US 10000

uint64_t evict_high(const struct store *s)
{
	return s->max_bytes / 10 * 9;
}

uint64_t evict_low(const struct store *s)
{
	return s->max_bytes / 10 * 8;
}

struct aged {
	uint64_t stamp;
	uint64_t bytes;
};

struct evict {
	struct store *s;
	struct mark_set marks;
	uint64_t target, used;
	uint64_t cutoff; /* chunks with an older stamp go */
	unsigned step;
	unsigned full; /* how often the map was full */
	uint64_t chunks;
};

/* About what a chunk takes: whole pages once it does not fit into a leaf. */
static uint64_t weight(const struct store *s, uint32_t stored)
{
	uint64_t n = stored + 16ull;

	if (n > s->page / 2)
		n = (n + s->page - 1) / s->page * s->page;
	return n + 2 * CODEC_INDEX_LEN + SHA256_LEN;
}

static int compare_age(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;

	return x->stamp < y->stamp ? -1 : x->stamp > y->stamp;
}

static bool pinned(const struct evict *e, enum store_dbi dbi, const MDB_val *k)
{
	return e->marks.count &&
	       mark_has(&e->marks, mark_key(dbi, k->mv_data, k->mv_size));
}

/* -- which chunks -------------------------------------------------------- */

static int sample(struct evict *e, MDB_txn *txn, struct aged *out,
		  size_t *ret_n, size_t *ret_seen)
{
	MDB_dbi dbi = e->s->dbi[DBI_CHUNK];
	MDB_cursor *c;
	MDB_val k, v;
	size_t n = 0, seen = 0;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc)
		return rc;
	while (seen < SAMPLE && !(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))) {
		struct codec_index x = { 0 }; /* a damaged one is oldest */

		seen++;
		if (k.mv_size != SHA256_LEN || pinned(e, DBI_CHUNK, &k))
			continue;
		codec_index_parse(v.mv_data, v.mv_size,
				  codec_chunk_seed(k.mv_data), &x);
		out[n++] = (struct aged){ x.stamp, weight(e->s, x.stored) };
	}
	mdb_cursor_close(c);
	*ret_n = n;
	*ret_seen = seen;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The stamp below which `need` bytes of chunks lie; false: none to remove. */
static bool find_cutoff(struct evict *e, uint64_t need)
{
	struct aged *list = xmalloc(SAMPLE * sizeof(*list));
	size_t n = 0, seen = 0, i;
	double scale = 1, sum = 0;
	MDB_stat st = { 0 };
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->s->env, NULL, MDB_RDONLY, &txn);

	if (!rc) {
		mdb_stat(txn, e->s->dbi[DBI_CHUNK], &st);
		rc = sample(e, txn, list, &n, &seen);
		mdb_txn_abort(txn);
	}
	if (rc || !n) {
		free(list);
		return false;
	}
	scale = (double)st.ms_entries / (double)seen;
	qsort(list, n, sizeof(*list), compare_age);
	for (i = 0; i < n && sum < (double)need; i++)
		sum += (double)list[i].bytes * scale;
	e->cutoff = list[i - 1].stamp + 1;
	free(list);
	return true;
}

/* -- collecting and removing --------------------------------------------- */

static bool wanted(const struct evict *e, enum store_dbi dbi, const MDB_val *k,
		   const MDB_val *v)
{
	struct codec_index x;

	if (k->mv_size > STORE_KEY_MAX || pinned(e, dbi, k))
		return false;
	if (dbi != DBI_CHUNK)
		return true;
	return k->mv_size == SHA256_LEN &&
	       (codec_index_parse(v->mv_data, v->mv_size,
				  codec_chunk_seed(k->mv_data), &x) ||
		x.stamp < e->cutoff);
}

/* Up to e->step keys from the clock hand on; *end when the hand passed the
 * last key (it stands before the first one then). */
static int collect(struct evict *e, enum store_dbi dbi, struct store_key *out,
		   unsigned *ret_n, bool *ret_end)
{
	struct store_key *at = &e->s->evict_at[dbi];
	MDB_val k = store_val(at->bytes, at->len), v;
	unsigned n = 0, seen = 0;
	MDB_cursor *c = NULL;
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->s->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return rc;
	rc = mdb_cursor_open(txn, e->s->dbi[dbi], &c);
	if (!rc)
		rc = mdb_cursor_get(c, &k, &v,
				    at->len ? MDB_SET_RANGE : MDB_FIRST);
	while (!rc && n < e->step && seen++ < SCAN) {
		if (wanted(e, dbi, &k, &v)) {
			out[n].len = (uint8_t)k.mv_size;
			memcpy(out[n++].bytes, k.mv_data, k.mv_size);
		}
		rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	at->len = 0;
	if (!rc && k.mv_size <= STORE_KEY_MAX) {
		at->len = (uint8_t)k.mv_size;
		memcpy(at->bytes, k.mv_data, k.mv_size);
	}
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	*ret_n = n;
	*ret_end = rc == MDB_NOTFOUND;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int remove_one(struct evict *e, MDB_txn *txn, struct store_counters *c,
		      enum store_dbi dbi, const struct store_key *k)
{
	MDB_val v = store_val(k->bytes, k->len);

	switch (dbi) {
	case DBI_CHUNK:
		c->evicted++;
		return store_chunk_remove(e->s, txn, c, k->bytes);
	case DBI_BLOB:
		return store_blob_remove(e->s, txn, &v);
	default:
		return store_tree_remove(e->s, txn, c, &v);
	}
}

/* These keys in one transaction, as far as needed. */
static int remove_some(struct evict *e, enum store_dbi dbi,
		       const struct store_key *keys, unsigned n)
{
	struct store_counters c = e->s->c;
	uint64_t used = e->used;
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->s->env, NULL, 0, &txn);

	if (rc)
		return rc;
	for (unsigned i = 0; !rc && i < n && used > e->target; i++) {
		rc = remove_one(e, txn, &c, dbi, &keys[i]);
		if (i % MEASURE == MEASURE - 1 && !rc &&
		    store_used_bytes(e->s, txn, &used))
			rc = MDB_CORRUPTED;
	}
	if (!rc)
		rc = store_counters_save(e->s, txn, &c);
	if (!rc && store_used_bytes(e->s, txn, &used))
		rc = MDB_CORRUPTED;
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return rc;
	pthread_mutex_lock(&e->s->q_lock);
	e->s->c = e->s->c_seen = c;
	pthread_mutex_unlock(&e->s->q_lock);
	e->used = used;
	return 0;
}

/* A full map: fewer removals dirty fewer pages; readers may let go of some. */
static int remove_all(struct evict *e, enum store_dbi dbi,
		      const struct store_key *keys, unsigned n)
{
	unsigned done = 0;

	while (done < n && e->used > e->target) {
		unsigned now = MIN(n - done, e->step);
		int rc = remove_some(e, dbi, keys + done, now);

		if (!rc) {
			done += now;
			continue;
		}
		if (rc != MDB_MAP_FULL || ++e->full > FULL_TRIES)
			return rc;
		if (e->step > 1)
			e->step /= 4;
		if (!e->step)
			e->step = 1;
		if (e->full > 8)
			usleep(FULL_WAIT_US);
	}
	return 0;
}

/* Once round the database, or until there is room. */
static int round_trip(struct evict *e, enum store_dbi dbi, uint64_t *ret_gone)
{
	struct store_key *keys = xmalloc(STEP * sizeof(*keys));
	uint64_t gone = 0;
	unsigned ends = 0;
	int rc = 0;

	if (!e->s->evict_at[dbi].len)
		ends = 1; /* starts at the first key: one end is the whole */
	while (!rc && ends < 2 && e->used > e->target) {
		unsigned n = 0;
		bool end = false;

		rc = collect(e, dbi, keys, &n, &end);
		if (!rc && n)
			rc = remove_all(e, dbi, keys, n);
		gone += n;
		ends += end;
	}
	free(keys);
	*ret_gone = gone;
	return rc;
}

static int evict_chunks(struct evict *e)
{
	int rc = 0;

	for (int pass = 0; pass < PASSES && e->used > e->target; pass++) {
		uint64_t gone;

		if (!find_cutoff(e, e->used - e->target))
			return 0;
		rc = round_trip(e, DBI_CHUNK, &gone);
		if (rc || !gone)
			return rc;
	}
	/* half-empty pages: what is left does not free enough */
	if (e->used > e->target) {
		uint64_t gone;

		e->cutoff = UINT64_MAX;
		rc = round_trip(e, DBI_CHUNK, &gone);
	}
	return rc;
}

static int evict_all(struct evict *e)
{
	uint64_t gone;
	int rc = evict_chunks(e);

	if (!rc && e->used > e->target)
		rc = round_trip(e, DBI_BLOB, &gone);
	if (!rc && e->used > e->target)
		rc = round_trip(e, DBI_TREE, &gone);
	return rc;
}

static int used_now(struct store *s, uint64_t *ret)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return store_mdb_fail(rc, "begin");
	rc = store_used_bytes(s, txn, ret);
	mdb_txn_abort(txn);
	return rc;
}

int evict_to(struct store *s, uint64_t target, uint64_t *ret_freed)
{
	struct evict e = { .s = s, .target = target, .step = STEP };
	uint64_t before;
	int rc = used_now(s, &e.used);

	if (rc)
		return rc;
	before = e.used;
	if (before <= target) {
		*ret_freed = 0;
		return 0;
	}
	store_use_flush(s); /* if it fails, the order is a little worse */
	rc = store_pins_mark(s, &e.marks, &e.chunks);
	if (!rc) {
		rc = evict_all(&e);
		rc = rc ? store_mdb_fail(rc, "evict") : 0;
	}
	mark_done(&e.marks);
	__atomic_store_n(&s->pinned_chunks, e.chunks, __ATOMIC_RELAXED);
	*ret_freed = before > e.used ? before - e.used : 0;
	return rc;
}

/* -- uses ---------------------------------------------------------------- */

void store_touch(struct store *s, const uint8_t *hash,
		 const struct codec_index *x)
{
	uint64_t clock = __atomic_load_n(&s->clock_seen, __ATOMIC_RELAXED);
	uint64_t chunks = __atomic_load_n(&s->chunks_seen, __ATOMIC_RELAXED);
	uint64_t print = get_u64(hash), at, now;
	struct store_use *slot;

	/* among the newest eighth, and said so within six hours: fresh */
	if (x && (x->stamp >= clock || clock - x->stamp <= chunks / 8) &&
	    store_minute() - x->minute < 360)
		return;
	if (s->read_only || !print)
		return;
	at = print * 0x9e3779b97f4a7c15ull >> 48;
	slot = &s->used[at]; /* if all are taken, the first is overwritten */
	for (unsigned i = 0; i < 8; i++) {
		struct store_use *u = &s->used[(at + i) % STORE_USED_SLOTS];

		now = __atomic_load_n(&u->print, __ATOMIC_RELAXED);
		if (now == print)
			return;
		if (now)
			continue;
		__atomic_fetch_add(&s->used_count, 1, __ATOMIC_RELAXED);
		slot = u;
		break;
	}
	/* before anything that is put from now on */
	__atomic_store_n(&slot->stamp, clock - 1, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->print, print, __ATOMIC_RELAXED);
}

/* -- figures ------------------------------------------------------------- */

static int stat_txn(struct store *s, MDB_txn *txn, struct store_stats *st)
{
	MDB_stat x;
	MDB_envinfo info;
	int r = store_used_bytes(s, txn, &st->used_bytes);

	if (r)
		return r;
	if (!mdb_stat(txn, s->dbi[DBI_TREE], &x))
		st->trees = x.ms_entries;
	if (!mdb_stat(txn, s->dbi[DBI_BLOB], &x))
		st->blobs = x.ms_entries;
	if (!mdb_stat(txn, s->dbi[DBI_CHUNK], &x))
		st->chunks = x.ms_entries;
	if (!mdb_env_info(mdb_txn_env(txn), &info))
		st->file_bytes = (info.me_last_pgno + 1) * s->page;
	return 0;
}

static int stat_read(const struct store_reader *r, struct store_stats *st)
{
	struct store_guard g;
	int rc;

	if (store_guarded(&g)) {
		store_doubt(r->store);
		return store_mdb_fail(MDB_CORRUPTED, "count");
	}
	rc = stat_txn(r->store, store_reader_txn(r), st);
	store_guard_pop(&g);
	return rc;
}

int store_stat(struct store *s, struct store_stats *ret)
{
	struct store_stats st = { .max_bytes = s->max_bytes };
	struct store_reader r;
	int rc = store_read_begin(s, &r);

	if (rc)
		return rc;
	rc = stat_read(&r, &st);
	store_read_end(&r);
	if (rc)
		return rc;
	pthread_mutex_lock(&s->q_lock);
	st.tree_bytes = s->c_seen.tree_bytes;
	st.chunk_stored_bytes = s->c_seen.chunk_stored;
	st.chunk_plain_bytes = s->c_seen.chunk_plain;
	st.evicted_chunks = s->c_seen.evicted;
	pthread_mutex_unlock(&s->q_lock);
	st.damaged_records = __atomic_load_n(&s->damaged, __ATOMIC_RELAXED);
	if (!s->threads)
		store_pins_count(s); /* nobody else does */
	st.pinned_chunks = __atomic_load_n(&s->pinned_chunks, __ATOMIC_RELAXED);
	*ret = st;
	return 0;
}
