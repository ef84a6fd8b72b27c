/* SPDX-License-Identifier: Apache-2.0 */
/* One queued operation inside the write transaction. */
#include "cache/store_impl.h"

#define PAGE_HEAD     16u
#define PAGE_OVERFLOW 0x04u

/* Does a record stand in pages of its own, not within one of others? */
static bool has_pages(const struct store *s, const MDB_val *v)
{
	return ((uintptr_t)v->mv_data - PAGE_HEAD) % s->page == 0 &&
	       v->mv_size >= s->page / 4;
}

/* LMDB believes what the first of them says of their number: with a wrong one
 * it frees what is in use, or fills the memory. */
static int check_pages(struct store *s, MDB_txn *txn, const MDB_val *v)
{
	const uint8_t *head = (const uint8_t *)v->mv_data - PAGE_HEAD;
	uint64_t pages = (PAGE_HEAD + v->mv_size + s->page - 1) / s->page;
	MDB_envinfo info;

	if (!has_pages(s, v))
		return 0;
	mdb_env_info(mdb_txn_env(txn), &info);
	return get_u16(head + 10) & PAGE_OVERFLOW &&
			       get_u32(head + 12) == pages &&
			       get_u64(head) <= info.me_mapsize / s->page
		       ? 0
		       : MDB_CORRUPTED;
}

static int check_old(struct store *s, MDB_txn *txn, enum store_dbi dbi,
		     MDB_val *k, bool *ret_pages)
{
	MDB_val v;
	int rc = mdb_get(txn, s->dbi[dbi], k, &v);

	*ret_pages = !rc && has_pages(s, &v);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	return check_pages(s, txn, &v);
}

/* What has pages is removed before it is replaced: those of the same transaction
 * LMDB would keep, more than a smaller record needs, and that looks like damage. */
static int put(struct store *s, MDB_txn *txn, enum store_dbi dbi, const void *k,
	       size_t len, const void *p, size_t n, unsigned flags)
{
	MDB_val name = store_val(k, len), v = store_val(p, n);
	bool pages = false;
	int rc = flags & MDB_APPEND ? 0
				    : check_old(s, txn, dbi, &name, &pages);

	if (!rc && pages)
		rc = mdb_del(txn, s->dbi[dbi], &name, NULL);
	return rc ? rc : mdb_put(txn, s->dbi[dbi], &name, &v, flags);
}

static int get(struct store *s, MDB_txn *txn, enum store_dbi dbi, const void *k,
	       size_t len, MDB_val *ret)
{
	MDB_val name = store_val(k, len);

	return mdb_get(txn, s->dbi[dbi], &name, ret);
}

/* Absent is fine. */
static int del(struct store *s, MDB_txn *txn, enum store_dbi dbi, const void *k,
	       size_t len)
{
	MDB_val name = store_val(k, len);
	bool pages;
	int rc = check_old(s, txn, dbi, &name, &pages);

	if (!rc)
		rc = mdb_del(txn, s->dbi[dbi], &name, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static void less(uint64_t *counter, uint64_t n)
{
	*counter -= MIN(*counter, n);
}

/* -- counters ------------------------------------------------------------ */

int store_counters_save(struct store *s, MDB_txn *txn,
			const struct store_counters *c)
{
	cleanup_buf struct buf b = BUF_INIT;

	codec_value_pack(&b, codec_seed(STORE_COUNTERS, sizeof(STORE_COUNTERS) - 1), c,
			 sizeof(*c));
	return put(s, txn, DBI_META, STORE_COUNTERS, sizeof(STORE_COUNTERS) - 1, b.data,
		   b.len, 0);
}

/* The clock must be beyond every key in use, whatever the record says. */
static int last_seq(struct store *s, MDB_txn *txn, uint64_t *ret)
{
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, s->dbi[DBI_DATA], &c);

	if (rc)
		return rc;
	rc = mdb_cursor_get(c, &k, &v, MDB_LAST);
	if (!rc && k.mv_size == sizeof(*ret))
		memcpy(ret, k.mv_data, sizeof(*ret));
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int store_counters_load(struct store *s, MDB_txn *txn,
			struct store_counters *ret)
{
	struct store_counters c = { .clock = 1 };
	uint64_t last = 0;
	const void *p;
	size_t n;
	MDB_val v;
	int rc = get(s, txn, DBI_META, STORE_COUNTERS, sizeof(STORE_COUNTERS) - 1, &v);

	if (rc && rc != MDB_NOTFOUND)
		return store_mdb_fail(rc, "read the counters");
	if (!rc) {
		if (!codec_value_parse(
			    v.mv_data, v.mv_size,
			    codec_seed(STORE_COUNTERS, sizeof(STORE_COUNTERS) - 1), &p,
			    &n) &&
		    n == sizeof(c))
			memcpy(&c, p, sizeof(c));
		else /* damaged: no number given out may come again */
			c.last_space = UINT16_MAX / 2;
	}
	rc = last_seq(s, txn, &last);
	if (rc)
		return store_mdb_fail(rc, "read the last chunk");
	if (last >= c.clock)
		c.clock = last + 1;
	*ret = c;
	return 0;
}

/* -- removing ------------------------------------------------------------ */

int store_chunk_remove(struct store *s, MDB_txn *txn, struct store_counters *c,
		       const uint8_t *hash)
{
	struct codec_index x;
	MDB_val v;
	int rc = get(s, txn, DBI_CHUNK, hash, SHA256_LEN, &v);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (!codec_index_parse(v.mv_data, v.mv_size, codec_chunk_seed(hash),
			       &x)) {
		less(&c->chunk_stored, x.stored);
		less(&c->chunk_plain, x.plain);
		rc = del(s, txn, DBI_DATA, &x.seq, sizeof(x.seq));
		if (rc)
			return rc;
	} /* else its data stays behind until store_verify finds it */
	return del(s, txn, DBI_CHUNK, hash, SHA256_LEN);
}

int store_blob_remove(struct store *s, MDB_txn *txn, const MDB_val *key)
{
	struct store_key k = { .len = (uint8_t)key->mv_size };
	uint8_t name[STORE_SEG_KEY_MAX];
	MDB_cursor *cur;
	MDB_val n, v;
	int rc;

	if (key->mv_size > STORE_KEY_MAX)
		return 0;
	memcpy(k.bytes, key->mv_data, k.len);
	rc = del(s, txn, DBI_BLOB, k.bytes, k.len);
	if (!rc)
		rc = mdb_cursor_open(txn, s->dbi[DBI_SEG], &cur);
	if (rc)
		return rc;
	n = store_val(name, store_seg_key(&k, 0, name));
	rc = mdb_cursor_get(cur, &n, &v, MDB_SET_RANGE);
	while (!rc && n.mv_size == (size_t)k.len + 4 &&
	       !memcmp(n.mv_data, k.bytes, k.len)) {
		rc = check_pages(s, txn, &v);
		if (!rc)
			rc = mdb_cursor_del(cur, 0);
		if (!rc)
			rc = mdb_cursor_get(cur, &n, &v, MDB_NEXT);
	}
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int store_tree_remove(struct store *s, MDB_txn *txn, struct store_counters *c,
		      const MDB_val *key)
{
	MDB_val v, k = *key;
	int rc = mdb_get(txn, s->dbi[DBI_TREE], &k, &v);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	rc = check_pages(s, txn, &v);
	if (rc)
		return rc;
	less(&c->tree_bytes, v.mv_size);
	return mdb_del(txn, s->dbi[DBI_TREE], &k, NULL);
}

/* -- putting ------------------------------------------------------------- */

static int apply_chunk(struct store *s, MDB_txn *txn, struct store_counters *c,
		       struct store_op *op)
{
	uint64_t seed = codec_chunk_seed(op->key);
	struct codec_index x = { 0 };
	uint8_t rec[CODEC_INDEX_LEN];
	MDB_val v;
	int rc = get(s, txn, DBI_CHUNK, op->key, SHA256_LEN, &v);

	if (!rc && !op->flag)
		return 0; /* another writer was faster */
	if (!rc)
		rc = store_chunk_remove(s, txn, c, op->key);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	x.seq = x.stamp = c->clock++;
	x.minute = store_minute();
	x.stored = (uint32_t)op->data.len;
	x.plain = op->plain;
	codec_index_pack(rec, seed, &x);
	rc = put(s, txn, DBI_DATA, &x.seq, sizeof(x.seq), op->data.data,
		 op->data.len, MDB_APPEND);
	if (!rc)
		rc = put(s, txn, DBI_CHUNK, op->key, SHA256_LEN, rec,
			 sizeof(rec), 0);
	c->chunk_stored += x.stored;
	c->chunk_plain += x.plain;
	return rc;
}

static int put_segs(struct store *s, MDB_txn *txn, struct store_op *op)
{
	struct store_key k = { .len = (uint8_t)op->key_len };
	uint32_t total = (uint32_t)(op->list.len / SHA256_LEN);
	int rc = 0;

	memcpy(k.bytes, op->key, op->key_len);
	for (uint32_t n = 0, at = 0; !rc && at < total; n++, at += CODEC_SEG) {
		cleanup_buf struct buf b = BUF_INIT;
		uint8_t name[STORE_SEG_KEY_MAX];
		size_t len = store_seg_key(&k, n, name);

		codec_seg_pack(&b, codec_seg_seed(store_key_seed(&k), n),
			       op->list.data + (size_t)at * SHA256_LEN,
			       MIN(CODEC_SEG, total - at));
		rc = put(s, txn, DBI_SEG, name, len, b.data, b.len, 0);
	}
	return rc;
}

static int apply_blob(struct store *s, MDB_txn *txn, struct store_op *op)
{
	int rc;

	op->result = __atomic_load_n(&op->state->error, __ATOMIC_RELAXED);
	if (op->result)
		return 0;
	rc = put_segs(s, txn, op);
	if (rc)
		return rc;
	return put(s, txn, DBI_BLOB, op->key, op->key_len, op->data.data,
		   op->data.len, 0);
}

static int apply_size(struct store *s, MDB_txn *txn, struct store_op *op)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct codec_blob old, blob = { .size = op->size };
	uint64_t seed = codec_seed(op->key, op->key_len);
	MDB_val v;
	int rc = get(s, txn, DBI_BLOB, op->key, op->key_len, &v);

	if (!rc && !codec_blob_parse(v.mv_data, v.mv_size, seed, &old))
		return 0; /* what is known stays */
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	codec_blob_pack(&b, seed, &blob);
	return put(s, txn, DBI_BLOB, op->key, op->key_len, b.data, b.len, 0);
}

static int apply_tree(struct store *s, MDB_txn *txn, struct store_counters *c,
		      struct store_op *op)
{
	MDB_val k = store_val(op->key, op->key_len);
	MDB_val v = store_val(op->data.data, op->data.len);
	int rc = mdb_put(txn, s->dbi[DBI_TREE], &k, &v, MDB_NOOVERWRITE);

	if (rc == MDB_KEYEXIST) { /* v is what is there */
		if (v.mv_size == op->data.len &&
		    !memcmp(v.mv_data, op->data.data, v.mv_size))
			return 0;
		less(&c->tree_bytes, v.mv_size);
		rc = check_pages(s, txn, &v);
		if (!rc) /* as put() does */
			rc = mdb_del(txn, s->dbi[DBI_TREE], &k, NULL);
		if (rc)
			return rc;
		v = store_val(op->data.data, op->data.len);
		rc = mdb_put(txn, s->dbi[DBI_TREE], &k, &v, 0);
	}
	c->tree_bytes += op->data.len;
	return rc;
}

static int apply_del(struct store *s, MDB_txn *txn, struct store_op *op)
{
	MDB_val k = store_val(op->key, op->key_len);
	bool pages;
	int rc = check_old(s, txn, op->dbi, &k, &pages);

	if (!rc)
		rc = mdb_del(txn, s->dbi[op->dbi], &k, NULL);
	if (rc != MDB_NOTFOUND)
		return rc;
	op->result = -ENOENT;
	return 0;
}

int store_space_save(struct store *s, MDB_txn *txn, const void *k, size_t len,
		     uint16_t number)
{
	cleanup_buf struct buf b = BUF_INIT;

	codec_value_pack(&b, codec_seed(k, len), &number, sizeof(number));
	return put(s, txn, DBI_META, k, len, b.data, b.len, 0);
}

static int apply_space(struct store *s, MDB_txn *txn, struct store_counters *c,
		       struct store_op *op)
{
	uint64_t seed = codec_seed(op->key, op->key_len);
	const void *p;
	size_t n;
	uint16_t number;
	MDB_val v;
	int rc = get(s, txn, DBI_META, op->key, op->key_len, &v);

	if (!rc && !codec_value_parse(v.mv_data, v.mv_size, seed, &p, &n) &&
	    n == sizeof(number)) {
		*op->ret = get_u16(p);
		return 0;
	}
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (c->last_space >= UINT16_MAX) {
		op->result = -EOVERFLOW;
		return 0;
	}
	number = (uint16_t)++c->last_space;
	*op->ret = number;
	return store_space_save(s, txn, op->key, op->key_len, number);
}

/* -- dropping what is damaged: look again first -------------------------- */

static bool tree_bad(struct store *s, MDB_txn *txn, const struct store_op *op)
{
	struct tree_view view;
	MDB_val v;

	return !get(s, txn, DBI_TREE, op->key, op->key_len, &v) &&
	       tree_view_init(&view, v.mv_data, v.mv_size,
			      codec_seed(op->key, op->key_len), true);
}

static bool seg_bad(struct store *s, MDB_txn *txn, const struct store_op *op,
		    const struct codec_blob *b, uint32_t number)
{
	struct store_key k = { .len = (uint8_t)op->key_len };
	uint8_t name[STORE_SEG_KEY_MAX];
	const uint8_t *list;
	MDB_val v;

	memcpy(k.bytes, op->key, op->key_len);
	if (get(s, txn, DBI_SEG, name, store_seg_key(&k, number, name), &v))
		return true;
	return codec_seg_parse(v.mv_data, v.mv_size,
			       codec_seg_seed(store_key_seed(&k), number),
			       MIN(CODEC_SEG, b->chunks - number * CODEC_SEG),
			       &list);
}

static bool blob_bad(struct store *s, MDB_txn *txn, const struct store_op *op)
{
	struct codec_blob b;
	bool bad = false;
	MDB_val v;

	if (get(s, txn, DBI_BLOB, op->key, op->key_len, &v))
		return false;
	if (codec_blob_parse(v.mv_data, v.mv_size,
			     codec_seed(op->key, op->key_len), &b))
		return true;
	if (b.chunks <= CODEC_INLINE)
		return false;
	for (uint32_t n = 0; !bad && n * CODEC_SEG < b.chunks; n++)
		bad = seg_bad(s, txn, op, &b, n);
	return bad;
}

static bool chunk_bad(struct store *s, MDB_txn *txn, const struct store_op *op)
{
	struct codec_index x;
	struct codec_chunk c;

	return store_chunk_find(s, txn, op->key, &x, &c) == -EBADMSG;
}

static int apply_drop(struct store *s, MDB_txn *txn, struct store_counters *c,
		      struct store_op *op)
{
	MDB_val k = store_val(op->key, op->key_len);
	int rc = 0;

	switch (op->drop) {
	case DROP_TREE:
		if (!op->flag && !tree_bad(s, txn, op))
			return 0;
		rc = store_tree_remove(s, txn, c, &k);
		break;
	case DROP_BLOB:
	case DROP_SEG:
		if (!op->flag && !blob_bad(s, txn, op))
			return 0;
		rc = store_blob_remove(s, txn, &k);
		break;
	case DROP_CHUNK:
		if (!op->flag && !chunk_bad(s, txn, op))
			return 0;
		rc = store_chunk_remove(s, txn, c, op->key);
		break;
	case DROP_DATA:
		rc = del(s, txn, DBI_DATA, op->key, op->key_len);
		break;
	}
	if (!rc)
		__atomic_add_fetch(&s->damaged, 1, __ATOMIC_RELAXED);
	return rc;
}

int store_apply(struct store *s, MDB_txn *txn, struct store_counters *c,
		struct store_op *op)
{
	switch (op->kind) {
	case OP_CHUNK:
		return apply_chunk(s, txn, c, op);
	case OP_BLOB:
		return apply_blob(s, txn, op);
	case OP_SIZE:
		return apply_size(s, txn, op);
	case OP_TREE:
		return apply_tree(s, txn, c, op);
	case OP_PUT:
		return put(s, txn, op->dbi, op->key, op->key_len, op->data.data,
			   op->data.len, 0);
	case OP_DEL:
		return apply_del(s, txn, op);
	case OP_SPACE:
		return apply_space(s, txn, c, op);
	case OP_DROP:
		return apply_drop(s, txn, c, op);
	case OP_FLUSH:
	case OP_GC:
		break;
	}
	return 0;
}

/* -- last use ------------------------------------------------------------ */

static int compare_prints(const void *a, const void *b)
{
	const struct store_use *x = a, *y = b;

	return memcmp(&x->print, &y->print, 8); /* as the keys are ordered */
}

static size_t take_used(struct store *s, struct store_use *out)
{
	size_t n = 0;

	for (size_t i = 0; i < STORE_USED_SLOTS; i++) {
		struct store_use *u = &s->used[i];

		if (!__atomic_load_n(&u->print, __ATOMIC_RELAXED))
			continue;
		out[n].stamp = __atomic_load_n(&u->stamp, __ATOMIC_RELAXED);
		out[n++].print =
			__atomic_exchange_n(&u->print, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&s->used_count, 0, __ATOMIC_RELAXED);
	qsort(out, n, sizeof(*out), compare_prints);
	return n;
}

static int touch_one(MDB_cursor *cur, const struct store_use *u)
{
	uint8_t rec[CODEC_INDEX_LEN], hash[SHA256_LEN];
	struct codec_index x;
	MDB_val k = store_val(&u->print, sizeof(u->print)), v;
	uint64_t seed;
	int rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);

	if (rc || k.mv_size != SHA256_LEN ||
	    memcmp(k.mv_data, &u->print, sizeof(u->print)))
		return rc == MDB_NOTFOUND ? 0 : rc; /* evicted meanwhile */
	memcpy(hash, k.mv_data, sizeof(hash));
	k.mv_data = hash;
	seed = codec_chunk_seed(hash);
	if (codec_index_parse(v.mv_data, v.mv_size, seed, &x))
		return 0;
	x.stamp = MAX(x.stamp, u->stamp);
	x.minute = store_minute();
	codec_index_pack(rec, seed, &x);
	v = store_val(rec, sizeof(rec));
	return mdb_cursor_put(cur, &k, &v, MDB_CURRENT);
}

static int touch_all(struct store *s, const struct store_use *list, size_t n)
{
	struct store_counters c = s->c;
	MDB_cursor *cur;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_cursor_open(txn, s->dbi[DBI_CHUNK], &cur);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	for (size_t i = 0; !rc && i < n; i++)
		rc = touch_one(cur, &list[i]);
	c.clock++; /* what is read from now on counts as later */
	mdb_cursor_close(cur);
	if (!rc)
		rc = store_counters_save(s, txn, &c);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (!rc)
		s->c = c;
	return rc;
}

int store_use_flush(struct store *s)
{
	struct store_use *list;
	size_t n, step = 4096;
	int rc = 0;

	if (!__atomic_load_n(&s->used_count, __ATOMIC_RELAXED))
		return 0;
	list = xmalloc(STORE_USED_SLOTS * sizeof(*list));
	n = take_used(s, list);
	/* several transactions: a full map must not be filled by this */
	for (size_t i = 0; !rc && i < n; i += step)
		rc = touch_all(s, list + i, MIN(step, n - i));
	free(list);
	if (store_is_structural(rc))
		store_doubt(s);
	return rc ? store_mdb_fail(rc, "note the last use") : 0;
}
