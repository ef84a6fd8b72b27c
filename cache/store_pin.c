/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins, and the set of everything they hold. The set is computed when room is
 * to be made, by walking the trees that are here: 8 to 16 bytes a key.
 */
#include "cache/store_impl.h"

#define RENEW 4096u /* objects looked at in one transaction */

/* -- a set of fingerprints ----------------------------------------------- */

void mark_done(struct mark_set *m)
{
	free(m->slot);
	*m = (struct mark_set){ 0 };
}

static uint64_t *mark_slot(const struct mark_set *m, uint64_t x)
{
	size_t i = x & (m->cap - 1);

	while (m->slot[i] && m->slot[i] != x)
		i = (i + 1) & (m->cap - 1);
	return &m->slot[i];
}

static void mark_grow(struct mark_set *m)
{
	struct mark_set bigger = { .cap = m->cap ? m->cap * 2 : 1024 };

	bigger.slot = xcalloc(bigger.cap, sizeof(*bigger.slot));
	bigger.count = m->count;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slot[i])
			*mark_slot(&bigger, m->slot[i]) = m->slot[i];
	free(m->slot);
	*m = bigger;
}

bool mark_add(struct mark_set *m, uint64_t x)
{
	uint64_t *slot;

	x = x ? x : 1;
	if (m->count * 4 >= m->cap * 3)
		mark_grow(m);
	slot = mark_slot(m, x);
	if (*slot)
		return false;
	*slot = x;
	m->count++;
	return true;
}

bool mark_has(const struct mark_set *m, uint64_t x)
{
	return m->cap && *mark_slot(m, x ? x : 1);
}

uint64_t mark_key(enum store_dbi dbi, const void *key, size_t len)
{
	return hash_xxh3(key, len, (uint64_t)dbi + 1);
}

/* -- pin records --------------------------------------------------------- */

struct pin {
	char *name;
	struct store_key key;
	bool is_tree;
};

static int check_name(const char *name)
{
	size_t n = strlen(name);

	if (n && n <= STORE_NAME_BYTES)
		return 0;
	return fail(-EINVAL, "store: a pin's name has 1 to %u bytes",
		    STORE_NAME_BYTES);
}

int store_pin(struct store *s, const char *name, const struct store_key *k,
	      bool is_tree)
{
	uint8_t value[1 + STORE_KEY_MAX];
	struct store_op *op;
	int r = check_name(name);

	if (r)
		return r;
	value[0] = is_tree;
	memcpy(value + 1, k->bytes, k->len);
	op = store_op_new(OP_PUT, name, strlen(name));
	op->dbi = DBI_PIN;
	codec_value_pack(&op->data, codec_seed(name, strlen(name)), value,
			 1u + k->len);
	r = store_queue_wait(s, op, store_wait_deadline());
	if (!r)
		store_pins_count(s);
	return r;
}

int store_unpin(struct store *s, const char *name)
{
	struct store_op *op;
	int r = check_name(name);

	if (r)
		return r;
	op = store_op_new(OP_DEL, name, strlen(name));
	op->dbi = DBI_PIN;
	r = store_queue_wait(s, op, store_wait_deadline());
	if (r == -ENOENT)
		return fail(-ENOENT, "store: there is no pin '%s'", name);
	if (!r)
		store_pins_count(s);
	return r;
}

static bool parse_pin(const MDB_val *k, const MDB_val *v, struct pin *ret)
{
	const uint8_t *p;
	const void *value;
	size_t n;

	if (codec_value_parse(v->mv_data, v->mv_size,
			      codec_seed(k->mv_data, k->mv_size), &value, &n))
		return false;
	p = value;
	if (n < 1 + 2 || n > 1 + STORE_KEY_MAX)
		return false;
	ret->is_tree = p[0];
	ret->key = (struct store_key){ .len = (uint8_t)(n - 1) };
	memcpy(ret->key.bytes, p + 1, n - 1);
	ret->name = xstrndup(k->mv_data, k->mv_size);
	return true;
}

static void pins_free(struct buf *pins)
{
	struct pin *p = (struct pin *)(void *)pins->data;

	for (size_t i = 0; i < pins->len / sizeof(*p); i++)
		free(p[i].name);
	buf_done(pins);
}

/* An LMDB result. */
static int pins_read(struct store *s, MDB_txn *txn, struct buf *ret)
{
	MDB_cursor *volatile c = NULL;
	MDB_cursor *open = NULL;
	struct store_guard g;
	MDB_stat st;
	MDB_val k, v;
	struct pin pin;
	int rc;

	if (store_guarded(&g)) {
		if (c)
			mdb_cursor_close(c);
		store_doubt(s);
		return MDB_CORRUPTED;
	}
	/* looks at its root page, which mdb_cursor_open would lose itself at */
	rc = mdb_stat(txn, s->dbi[DBI_PIN], &st);
	if (!rc)
		rc = mdb_cursor_open(txn, s->dbi[DBI_PIN], &open);
	c = open;
	while (!rc && !(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)))
		if (parse_pin(&k, &v, &pin))
			buf_put(ret, &pin, sizeof(pin));
	if (c)
		mdb_cursor_close(c);
	store_guard_pop(&g);
	return rc;
}

static int pins_load(struct store *s, struct buf *ret)
{
	struct store_reader r;
	int rc = store_read_begin(s, &r);

	if (rc)
		return rc;
	rc = pins_read(s, store_reader_txn(&r), ret);
	store_read_end(&r);
	return rc == MDB_NOTFOUND ? 0 : store_mdb_fail(rc, "read the pins");
}

int store_pins(struct store *s,
	       void (*fn)(void *ctx, const char *name,
			  const struct store_key *k),
	       void *ctx)
{
	struct buf pins = BUF_INIT;
	struct pin *p;
	int r = pins_load(s, &pins);

	p = (struct pin *)(void *)pins.data;
	for (size_t i = 0; !r && i < pins.len / sizeof(*p); i++)
		fn(ctx, p[i].name, &p[i].key);
	pins_free(&pins);
	return r;
}

/* -- what they hold ------------------------------------------------------ */

struct marking {
	struct store *s;
	struct mark_set *set;
	struct buf stack; /* struct store_key of trees still to be walked */
	uint64_t chunks;
	unsigned looked;
};

static void mark_blob(struct marking *m, struct store_reader *r,
		      const struct store_key *k)
{
	struct seg_cache seg = { 0 };
	struct blob_info b;
	const uint8_t *hash;

	if (!mark_add(m->set, mark_key(DBI_BLOB, k->bytes, k->len)))
		return;
	m->looked++;
	if (store_blob(r, k, &b) || !b.has_content)
		return;
	for (uint32_t i = 0; i < b.chunks; i++) {
		if (store_chunk_hash(r, k, &b, i, &seg, &hash))
			return;
		m->chunks +=
			mark_add(m->set, mark_key(DBI_CHUNK, hash, SHA256_LEN));
	}
}

static void mark_push(struct marking *m, const struct store_key *k)
{
	if (mark_add(m->set, mark_key(DBI_TREE, k->bytes, k->len)))
		buf_put(&m->stack, k, sizeof(*k));
}

static void mark_tree(struct marking *m, struct store_reader *r,
		      const struct store_key *k)
{
	struct tree_view v;

	m->looked++;
	if (store_tree(r, k, &v))
		return;
	for (uint32_t i = 0; i < v.count; i++) {
		struct store_key child = { 0 };
		struct tree_entry e;

		tree_entry_at(&v, i, &e);
		child.len = (uint8_t)(2 + e.id_len);
		memcpy(child.bytes, k->bytes, 2); /* the same id space */
		memcpy(child.bytes + 2, e.id, e.id_len);
		if (e.kind == SCORPIO_DIR)
			mark_push(m, &child);
		else if (e.kind == SCORPIO_FILE || e.kind == SCORPIO_SYMLINK)
			mark_blob(m, r, &child);
	}
}

/* A few objects in one read transaction; it must not get old. */
static int mark_some(struct marking *m)
{
	struct store_reader r;
	struct store_key k;
	int rc = store_read_begin(m->s, &r);

	if (rc)
		return rc;
	m->looked = 0;
	while (m->stack.len && m->looked < RENEW) {
		m->stack.len -= sizeof(k);
		memcpy(&k, m->stack.data + m->stack.len, sizeof(k));
		mark_tree(m, &r, &k);
	}
	store_read_end(&r);
	return 0;
}

static int mark_roots(struct marking *m, const struct buf *pins)
{
	const struct pin *p = (const struct pin *)(const void *)pins->data;
	struct store_reader r;
	int rc = store_read_begin(m->s, &r);

	if (rc)
		return rc;
	for (size_t i = 0; i < pins->len / sizeof(*p); i++)
		if (p[i].is_tree)
			mark_push(m, &p[i].key);
		else
			mark_blob(m, &r, &p[i].key);
	store_read_end(&r);
	return 0;
}

int store_pins_mark(struct store *s, struct mark_set *ret, uint64_t *ret_chunks)
{
	struct marking m = { .s = s, .set = ret };
	struct buf pins = BUF_INIT;
	int r = pins_load(s, &pins);

	if (!r && pins.len)
		r = mark_roots(&m, &pins);
	while (!r && m.stack.len)
		r = mark_some(&m);
	buf_done(&m.stack);
	pins_free(&pins);
	if (!r)
		*ret_chunks = m.chunks;
	return r;
}

void store_pins_count(struct store *s)
{
	struct mark_set set = { 0 };
	uint64_t n = 0;

	if (!store_pins_mark(s, &set, &n))
		__atomic_store_n(&s->pinned_chunks, n, __ATOMIC_RELAXED);
	mark_done(&set);
}
