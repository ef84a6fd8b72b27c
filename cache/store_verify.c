/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading everything: first the structure of the file, then every record, the
 * chunks down to the SHA-256 of their plain bytes. In steps of STEP records,
 * so that no read transaction gets old; the writer drops what is damaged.
 */
#include "cache/store_impl.h"

#define STEP    256u
#define WALK_NS (600 * NS_PER_S)

struct verify {
	struct store *s;
	bool repair;
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
	struct store_verify *ret;
	uint64_t done, total;
	struct mark_set seqs; /* data keys that an index points at */
	uint64_t clock;       /* data from here on was written meanwhile */
};

struct place { /* where the next step goes on */
	uint8_t key[STORE_SEG_KEY_MAX];
	size_t len;
	bool end;
};

static void damaged(struct verify *v, enum drop_kind kind, const MDB_val *k)
{
	v->ret->damaged++;
	if (!v->repair)
		return;
	store_drop(v->s, kind, k->mv_data, k->mv_size, true);
	v->ret->repaired++;
}

static bool key_of(const MDB_val *k, struct store_key *ret)
{
	if (k->mv_size < 2 || k->mv_size > STORE_KEY_MAX)
		return false;
	ret->len = (uint8_t)k->mv_size;
	memcpy(ret->bytes, k->mv_data, k->mv_size);
	return true;
}

static void look_tree(struct verify *v, struct store_reader *r,
		      const MDB_val *k, const MDB_val *rec)
{
	struct tree_view view;

	(void)r;
	v->ret->trees++;
	if (tree_view_init(&view, rec->mv_data, rec->mv_size,
			   codec_seed(k->mv_data, k->mv_size), true))
		damaged(v, DROP_TREE, k);
}

static void look_blob(struct verify *v, struct store_reader *r,
		      const MDB_val *k, const MDB_val *rec)
{
	uint64_t seed = codec_seed(k->mv_data, k->mv_size);
	struct codec_blob b;
	struct store_key key;
	uint32_t segs;
	bool bad;

	v->ret->blobs++;
	bad = !key_of(k, &key) ||
	      codec_blob_parse(rec->mv_data, rec->mv_size, seed, &b);
	segs = bad || b.chunks <= CODEC_INLINE
		       ? 0
		       : (b.chunks + CODEC_SEG - 1) / CODEC_SEG;
	for (uint32_t i = 0; !bad && i < segs; i++) {
		uint8_t name[STORE_SEG_KEY_MAX];
		size_t len = store_seg_key(&key, i, name);
		const uint8_t *list;
		MDB_val seg;

		bad = store_get(r, DBI_SEG, name, len, &seg) ||
		      codec_seg_parse(
			      seg.mv_data, seg.mv_size, codec_seg_seed(seed, i),
			      MIN(CODEC_SEG, b.chunks - i * CODEC_SEG), &list);
	}
	if (bad)
		damaged(v, DROP_BLOB, k);
}

static void look_chunk(struct verify *v, struct store_reader *r,
		       const MDB_val *k, const MDB_val *rec)
{
	uint8_t plain[STORE_CHUNK_SIZE], hash[SHA256_LEN];
	struct codec_index x;
	struct codec_chunk c;
	bool bad = k->mv_size != SHA256_LEN;

	v->ret->chunks++;
	if (!bad && !codec_index_parse(rec->mv_data, rec->mv_size,
				       codec_chunk_seed(k->mv_data), &x))
		mark_add(&v->seqs, x.seq);
	bad = bad ||
	      store_chunk_find(v->s, store_reader_txn(r), k->mv_data, &x, &c);
	bad = bad || codec_chunk_unpack(&c, plain);
	if (!bad) {
		hash_bytes(HASH_SHA256, plain, c.plain_len, hash);
		bad = memcmp(hash, k->mv_data, SHA256_LEN);
	}
	if (bad)
		damaged(v, DROP_CHUNK, k);
}

/* Data that no index points at: its index was damaged once. */
static void look_data(struct verify *v, struct store_reader *r,
		      const MDB_val *k, const MDB_val *rec)
{
	uint64_t seq;

	(void)r;
	(void)rec;
	if (k->mv_size != sizeof(seq))
		return;
	memcpy(&seq, k->mv_data, sizeof(seq));
	if (seq < v->clock && !mark_has(&v->seqs, seq))
		damaged(v, DROP_DATA, k);
}

typedef void (*look_fn)(struct verify *v, struct store_reader *r,
			const MDB_val *k, const MDB_val *rec);

static int step(struct verify *v, enum store_dbi dbi, look_fn look,
		struct place *at)
{
	MDB_val k = store_val(at->key, at->len), rec;
	struct store_reader r;
	MDB_cursor *c;
	int rc = store_read_begin(v->s, &r);

	if (rc)
		return rc;
	rc = mdb_cursor_open(store_reader_txn(&r), v->s->dbi[dbi], &c);
	if (rc) {
		store_read_end(&r);
		return store_mdb_fail(rc, "verify");
	}
	rc = mdb_cursor_get(c, &k, &rec, at->len ? MDB_SET_RANGE : MDB_FIRST);
	for (unsigned i = 0; !rc && i < STEP; i++) {
		look(v, &r, &k, &rec);
		v->done++;
		rc = mdb_cursor_get(c, &k, &rec, MDB_NEXT);
	}
	at->end = rc;
	if (!rc && k.mv_size <= sizeof(at->key)) {
		at->len = k.mv_size;
		memcpy(at->key, k.mv_data, k.mv_size);
	}
	mdb_cursor_close(c);
	store_read_end(&r);
	return rc && rc != MDB_NOTFOUND ? store_mdb_fail(rc, "verify") : 0;
}

static int verify_dbi(struct verify *v, enum store_dbi dbi, look_fn look)
{
	struct place at = { .len = 0 };
	int r = 0;

	while (!r && !at.end) {
		r = step(v, dbi, look, &at);
		if (v->progress)
			v->progress(v->ctx, MIN(v->done, v->total), v->total);
	}
	return r;
}

static int structure_bad(struct store *s, int r, struct store_verify *ret)
{
	ret->damaged++;
	if (s->read_only)
		return fail_prefix(r, "the structure is damaged; the daemon "
				      "sets the store aside when it starts");
	__atomic_store_n(&s->structure_bad, true, __ATOMIC_RELAXED);
	store_flush(s, DEADLINE_NONE); /* the writer acts on it */
	return fail_prefix(r, "the structure is damaged; the store is set "
			      "aside and begun anew");
}

int store_verify(struct store *s, bool repair,
		 void (*progress)(void *ctx, uint64_t done, uint64_t total),
		 void *ctx, struct store_verify *ret)
{
	struct store_verify found = { 0 };
	struct verify v = { .s = s,
			    .repair = repair && !s->read_only,
			    .progress = progress,
			    .ctx = ctx,
			    .ret = &found };
	struct store_stats st;
	int r = store_flush(s, DEADLINE_NONE);

	if (!r)
		r = store_look_file(s, WALK_NS);
	if (r == -EUCLEAN)
		r = structure_bad(s, r, &found);
	if (!r)
		r = store_stat(s, &st);
	if (r) {
		*ret = found;
		return r;
	}
	v.total = st.trees + st.blobs + 2 * st.chunks;
	v.clock = __atomic_load_n(&s->clock_seen, __ATOMIC_RELAXED);
	r = verify_dbi(&v, DBI_TREE, look_tree);
	if (!r)
		r = verify_dbi(&v, DBI_BLOB, look_blob);
	if (!r)
		r = verify_dbi(&v, DBI_CHUNK, look_chunk);
	if (!r)
		r = verify_dbi(&v, DBI_DATA, look_data);
	mark_done(&v.seqs);
	if (!r && repair && found.damaged)
		r = store_flush(s, DEADLINE_NONE);
	*ret = found;
	return r;
}
