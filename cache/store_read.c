/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. Every thread keeps one reset read transaction per store and renews
 * it; a thread that ends gives its transactions back, and a store that closes
 * takes them from all threads. What fails its checksum is reported as absent
 * and handed to the writer, which looks again and drops it.
 */
#include "cache/store_impl.h"

struct read_slot {
	struct store *store; /* lock: readers; NULL once the store is closed */
	uint64_t serial; /* const; of the environment */
	MDB_txn *txn; /* lock: readers for its end; else the thread's */
	bool busy;    /* the thread's */
	struct read_slot *next_of_store; /* lock: readers */
	struct read_slot *next_of_thread;
};

struct thread_state {
	struct read_slot *slots;
	bool has_last;
	uint32_t last_len;
	uint8_t last_hash[SHA256_LEN];
	uint8_t last[STORE_CHUNK_SIZE]; /* plain bytes of the last part read */
};

static pthread_mutex_t readers = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread struct thread_state *mine;

static void slot_detach(struct read_slot *slot) /* lock: readers */
{
	struct read_slot **p;

	if (!slot->store)
		return;
	for (p = &slot->store->slots; *p != slot; p = &(*p)->next_of_store)
		;
	*p = slot->next_of_store;
	slot->store = NULL;
	mdb_txn_abort(slot->txn);
	slot->txn = NULL;
}

static void thread_end(void *p)
{
	struct thread_state *t = p;
	lock_scope(&readers);

	while (t->slots) {
		struct read_slot *slot = t->slots;

		t->slots = slot->next_of_thread;
		slot_detach(slot);
		free(slot);
	}
	free(t);
	mine = NULL;
}

static void make_key(void)
{
	if (pthread_key_create(&key, thread_end))
		abort(); /* fewer than PTHREAD_KEYS_MAX keys exist */
}

static struct thread_state *thread_state(void)
{
	if (mine)
		return mine;
	pthread_once(&once, make_key);
	mine = xmalloc(sizeof(*mine));
	mine->slots = NULL;
	mine->has_last = false;
	pthread_setspecific(key, mine);
	return mine;
}

void store_readers_close(struct store *s)
{
	lock_scope(&readers);

	while (s->slots)
		slot_detach(s->slots);
}

/* -- environments -------------------------------------------------------- */

/* Those that were left in the middle: known, and never closed. */
static struct store_old *left_behind; /* lock: readers */

static void leave(struct store *s) /* lock: readers */
{
	struct store_old **list = s->left ? &left_behind : &s->old;
	struct store_old *o = xmalloc(sizeof(*o));

	*o = (struct store_old){ *list, s->env, s->serial };
	*list = o;
}

void store_env_leave(struct store *s)
{
	lock_scope(&readers);

	leave(s);
	s->env = NULL;
}

void store_env_replace(struct store *s, MDB_env *env)
{
	lock_scope(&readers);

	leave(s);
	__atomic_store_n(&s->env, env, __ATOMIC_RELEASE);
	__atomic_store_n(&s->serial, store_serial_next(), __ATOMIC_RELEASE);
}

static bool is_read(const struct store *s, uint64_t serial) /* lock: readers */
{
	const struct read_slot *slot = s->slots;

	while (slot && slot->serial != serial)
		slot = slot->next_of_store;
	return slot;
}

void store_old_close(struct store *s)
{
	struct store_old **p = &s->old;
	lock_scope(&readers);

	while (*p) {
		struct store_old *o = *p;

		if (is_read(s, o->serial)) {
			p = &o->next;
			continue;
		}
		*p = o->next;
		mdb_env_close(o->env);
		free(o);
	}
}

/* -- transactions -------------------------------------------------------- */

/* Those of closed stores and of environments that were replaced. */
static void forget_closed(struct thread_state *t) /* lock: readers */
{
	struct read_slot **p = &t->slots;

	while (*p) {
		struct read_slot *slot = *p;

		if (slot->busy ||
		    (slot->store && slot->serial == slot->store->serial)) {
			p = &slot->next_of_thread;
			continue;
		}
		*p = slot->next_of_thread;
		slot_detach(slot);
		free(slot);
	}
}

static int slot_new(struct store *s, struct read_slot **ret)
{
	struct thread_state *t = thread_state();
	struct read_slot *slot;
	MDB_txn *txn;
	int rc, dead;
	lock_scope(&readers); /* the caller left no way out over it */

	forget_closed(t);
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc == MDB_READERS_FULL && !mdb_reader_check(s->env, &dead))
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return store_mdb_fail(rc, "begin reading");
	slot = xcalloc(1, sizeof(*slot));
	slot->store = s;
	slot->serial = s->serial;
	slot->txn = txn;
	slot->next_of_store = s->slots;
	s->slots = slot;
	slot->next_of_thread = t->slots;
	t->slots = slot;
	*ret = slot;
	return 0;
}

int store_read_begin(struct store *s, struct store_reader *ret)
{
	uint64_t serial = __atomic_load_n(&s->serial, __ATOMIC_RELAXED);
	struct thread_state *t = thread_state();
	struct read_slot *slot;
	int rc;

	for (slot = t->slots; slot; slot = slot->next_of_thread)
		if (slot->serial == serial && !slot->busy)
			break;
	if (slot) {
		rc = mdb_txn_renew(slot->txn);
		if (rc)
			return store_mdb_fail(rc, "begin reading");
	} else {
		struct store_guard *was = store_guard_off();

		rc = slot_new(s, &slot);
		store_guard_on(was);
		if (rc)
			return rc;
	}
	slot->busy = true;
	*ret = (struct store_reader){ s, slot };
	return 0;
}

void store_read_end(struct store_reader *r)
{
	struct read_slot *slot = r->txn;

	if (!slot)
		return;
	mdb_txn_reset(slot->txn);
	slot->busy = false;
	r->txn = NULL;
}

MDB_txn *store_reader_txn(const struct store_reader *r)
{
	return ((struct read_slot *)r->txn)->txn;
}

/* -- records ------------------------------------------------------------- */

static int found(struct store *s, int rc)
{
	if (!rc)
		return 0;
	if (rc != MDB_NOTFOUND) /* the structure itself */
		store_doubt(s);
	return -ENOENT;
}

static int get(struct store *s, MDB_txn *txn, enum store_dbi dbi, const void *k,
	       size_t len, MDB_val *ret)
{
	MDB_val name = store_val(k, len);
	struct store_guard g;
	int rc;

	if (store_guard_is_on())
		return found(s, mdb_get(txn, s->dbi[dbi], &name, ret));
	if (store_guarded(&g))
		return found(s, MDB_CORRUPTED);
	rc = mdb_get(txn, s->dbi[dbi], &name, ret);
	store_guard_pop(&g);
	return found(s, rc);
}

int store_get(struct store_reader *r, enum store_dbi dbi, const void *k,
	      size_t len, MDB_val *ret)
{
	return get(r->store, store_reader_txn(r), dbi, k, len, ret);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	a ^= b + 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2);
	return a * 0xff51afd7ed558ccdull;
}

/* Large trees are hashed once, not at each lookup: remembered by where they
 * are, under which key, and what their checksum field says. */
static int big_tree(struct store *s, const MDB_val *v, uint64_t seed,
		    struct tree_view *ret)
{
	uint64_t print = mix(mix(mix(seed, (uintptr_t)v->mv_data), v->mv_size),
			     get_u64((const uint8_t *)v->mv_data + 8));
	uint64_t *slot = &s->verified[print % STORE_VERIFIED_SLOTS];
	bool known = __atomic_load_n(slot, __ATOMIC_RELAXED) == print;
	int r = tree_view_init(ret, v->mv_data, v->mv_size, seed, !known);

	if (!r && !known)
		__atomic_store_n(slot, print, __ATOMIC_RELAXED);
	return r;
}

static int read_tree(struct store_reader *r, const struct store_key *k,
		     struct tree_view *ret)
{
	uint64_t seed = store_key_seed(k);
	struct tree_view view;
	MDB_val v;
	int rc = store_get(r, DBI_TREE, k->bytes, k->len, &v);

	if (rc)
		return rc;
	if (v.mv_size > STORE_TREE_SMALL)
		rc = big_tree(r->store, &v, seed, &view);
	else
		rc = tree_view_init(&view, v.mv_data, v.mv_size, seed, true);
	if (rc) {
		store_drop(r->store, DROP_TREE, k->bytes, k->len, false);
		return fail(-ENOENT, "store: a damaged tree was dropped");
	}
	*ret = view;
	return 0;
}

int store_tree(struct store_reader *r, const struct store_key *k,
	       struct tree_view *ret)
{
	struct store_guard g;
	int rc;

	if (store_guarded(&g))
		return found(r->store, MDB_CORRUPTED);
	rc = read_tree(r, k, ret);
	store_guard_pop(&g);
	return rc;
}

static int read_blob(struct store_reader *r, const struct store_key *k,
		     struct blob_info *ret)
{
	struct codec_blob b;
	MDB_val v;
	int rc = store_get(r, DBI_BLOB, k->bytes, k->len, &v);

	if (rc)
		return rc;
	if (codec_blob_parse(v.mv_data, v.mv_size, store_key_seed(k), &b)) {
		store_drop(r->store, DROP_BLOB, k->bytes, k->len, false);
		return fail(-ENOENT, "store: a damaged blob was dropped");
	}
	ret->size = b.size;
	ret->has_content = b.has_content;
	ret->chunks = b.chunks;
	ret->list = b.list;
	if (b.has_content) {
		memcpy(ret->sha256, b.sha256, SHA256_LEN);
		memcpy(ret->sha1, b.sha1, SHA1_LEN);
	}
	return 0;
}

int store_blob(struct store_reader *r, const struct store_key *k,
	       struct blob_info *ret)
{
	struct store_guard g;
	int rc;

	if (store_guarded(&g))
		return found(r->store, MDB_CORRUPTED);
	rc = read_blob(r, k, ret);
	store_guard_pop(&g);
	return rc;
}

size_t store_seg_key(const struct store_key *k, uint32_t number,
		     uint8_t out[STORE_SEG_KEY_MAX])
{
	memcpy(out, k->bytes, k->len);
	for (int i = 0; i < 4; i++)
		out[k->len + i] = (uint8_t)(number >> (24 - 8 * i));
	return (size_t)k->len + 4;
}

static int read_seg(struct store_reader *r, const struct store_key *k,
		    const struct blob_info *b, uint32_t number,
		    struct seg_cache *seg)
{
	uint8_t name[STORE_SEG_KEY_MAX];
	size_t len = store_seg_key(k, number, name);
	MDB_val v;
	int rc = store_get(r, DBI_SEG, name, len, &v);

	if (rc)
		return rc;
	seg->list = NULL;
	seg->number = number;
	seg->count = MIN(CODEC_SEG, b->chunks - number * CODEC_SEG);
	if (!codec_seg_parse(v.mv_data, v.mv_size,
			     codec_seg_seed(store_key_seed(k), number),
			     seg->count, &seg->list))
		return 0;
	seg->list = NULL;
	store_drop(r->store, DROP_SEG, k->bytes, k->len, false);
	return fail(-ENOENT, "store: a damaged chunk list was dropped");
}

int store_chunk_hash(struct store_reader *r, const struct store_key *k,
		     const struct blob_info *b, uint32_t i,
		     struct seg_cache *seg, const uint8_t **ret)
{
	uint32_t number = i / CODEC_SEG;
	struct store_guard g;
	int rc;

	if (b->list) {
		*ret = b->list + (size_t)i * SHA256_LEN;
		return 0;
	}
	if (!seg->list || seg->number != number) {
		if (store_guarded(&g))
			return found(r->store, MDB_CORRUPTED);
		rc = read_seg(r, k, b, number, seg);
		store_guard_pop(&g);
		if (rc)
			return rc;
	}
	*ret = seg->list + (size_t)(i % CODEC_SEG) * SHA256_LEN;
	return 0;
}

/* -- chunks -------------------------------------------------------------- */

static int find_chunk(struct store *s, MDB_txn *txn, const uint8_t *hash,
		      struct codec_index *ret_index, struct codec_chunk *ret)
{
	uint64_t seed = codec_chunk_seed(hash);
	struct codec_index x;
	MDB_val v;
	int rc = get(s, txn, DBI_CHUNK, hash, SHA256_LEN, &v);

	if (rc)
		return rc;
	if (codec_index_parse(v.mv_data, v.mv_size, seed, &x))
		return -EBADMSG;
	rc = get(s, txn, DBI_DATA, &x.seq, sizeof(x.seq), &v);
	if (rc)
		return -EBADMSG; /* an index without data is damage too */
	if (codec_chunk_parse(v.mv_data, v.mv_size, seed, ret) ||
	    ret->plain_len != x.plain || v.mv_size != x.stored)
		return -EBADMSG;
	*ret_index = x;
	return 0;
}

int store_chunk_find(struct store *s, MDB_txn *txn, const uint8_t *hash,
		     struct codec_index *ret_index, struct codec_chunk *ret)
{
	struct store_guard g;
	int rc;

	if (store_guard_is_on()) /* the writer's is for its transaction too */
		return find_chunk(s, txn, hash, ret_index, ret);
	if (store_guarded(&g))
		return found(s, MDB_CORRUPTED);
	rc = find_chunk(s, txn, hash, ret_index, ret);
	store_guard_pop(&g);
	return rc;
}

static int unpack(struct store_reader *r, const uint8_t *hash,
		  const struct codec_chunk *c, void *out)
{
	if (!codec_chunk_unpack(c, out))
		return 0;
	store_drop(r->store, DROP_CHUNK, hash, SHA256_LEN, true);
	return fail(-ENOENT, "store: a damaged chunk was dropped");
}

/* The part [from, from+n) of a chunk that must have `want` plain bytes. */
static int read_chunk(struct store_reader *r, const uint8_t *hash,
		      uint32_t want, uint32_t from, uint8_t *out, uint32_t n)
{
	struct thread_state *t = mine;
	struct codec_index x;
	struct codec_chunk c;
	int rc;

	if (t->has_last && t->last_len == want &&
	    !memcmp(t->last_hash, hash, SHA256_LEN)) {
		memcpy(out, t->last + from, n);
		return 0;
	}
	rc = store_chunk_find(r->store, store_reader_txn(r), hash, &x, &c);
	if (rc == -EBADMSG || (!rc && c.plain_len != want)) {
		store_drop(r->store, DROP_CHUNK, hash, SHA256_LEN, !rc);
		return fail(-ENOENT, "store: a damaged chunk was dropped");
	}
	if (rc)
		return rc;
	store_touch(r->store, hash, &x);
	if (n == want)
		return unpack(r, hash, &c, out);
	t->has_last = false;
	rc = unpack(r, hash, &c, t->last);
	if (rc)
		return rc;
	memcpy(t->last_hash, hash, SHA256_LEN);
	t->last_len = want;
	t->has_last = true;
	memcpy(out, t->last + from, n);
	return 0;
}

static uint32_t chunk_len(const struct blob_info *b, uint32_t i)
{
	return (uint32_t)MIN(b->size - (uint64_t)i * STORE_CHUNK_SIZE,
			     STORE_CHUNK_SIZE);
}

static int64_t read_content(struct store_reader *r, const struct store_key *k,
			    uint64_t off, void *buf, size_t len)
{
	struct seg_cache seg = { 0 };
	struct blob_info b;
	size_t done = 0;
	int rc = store_blob(r, k, &b);

	if (rc)
		return rc;
	if (!b.has_content)
		return -ENOENT;
	if (off >= b.size)
		return 0;
	len = (size_t)MIN((uint64_t)len, b.size - off);
	while (done < len) {
		uint64_t at = off + done;
		uint32_t i = (uint32_t)(at / STORE_CHUNK_SIZE);
		uint32_t from = (uint32_t)(at % STORE_CHUNK_SIZE);
		uint32_t want = chunk_len(&b, i);
		uint32_t n = (uint32_t)MIN(want - from, len - done);
		const uint8_t *hash;

		rc = store_chunk_hash(r, k, &b, i, &seg, &hash);
		if (!rc)
			rc = read_chunk(r, hash, want, from,
					(uint8_t *)buf + done, n);
		if (rc)
			return rc;
		done += n;
	}
	return (int64_t)done;
}

int64_t store_blob_read(struct store_reader *r, const struct store_key *k,
			uint64_t off, void *buf, size_t len)
{
	struct store_guard g;
	int64_t n;

	if (store_guarded(&g))
		return found(r->store, MDB_CORRUPTED);
	n = read_content(r, k, off, buf, len);
	store_guard_pop(&g);
	return n;
}

bool store_blob_present(struct store_reader *r, const struct store_key *k,
			uint64_t off, uint64_t len)
{
	struct seg_cache seg = { 0 };
	struct blob_info b;
	uint64_t last;

	if (store_blob(r, k, &b) || !b.has_content)
		return false;
	if (off >= b.size || !len)
		return true;
	last = (off + MIN(len, b.size - off) - 1) / STORE_CHUNK_SIZE;
	for (uint64_t i = off / STORE_CHUNK_SIZE; i <= last; i++) {
		const uint8_t *hash;
		MDB_val v;

		if (store_chunk_hash(r, k, &b, (uint32_t)i, &seg, &hash) ||
		    store_get(r, DBI_CHUNK, hash, SHA256_LEN, &v))
			return false;
	}
	return true;
}
