/* SPDX-License-Identifier: Apache-2.0 */
/* What is queued in one go: trees, sizes, drops, waiting, making room. */
#include "cache/store_impl.h"

#define GC_WAIT_MS 3600000 /* terabytes take their time */

int store_put_tree(struct store *s, const struct store_key *k,
		   struct buf *record, store_done_fn done, void *ctx)
{
	struct store_op *op;

	if (record->len > store_object_max(s)) {
		int r = fail(-EFBIG,
			     "store: a directory of %zu bytes does not "
			     "fit: raise cache.max_size",
			     record->len);
		buf_done(record);
		return r;
	}
	op = store_op_new(OP_TREE, k->bytes, k->len);
	op->data = *record;
	*record = (struct buf)BUF_INIT;
	op->done = done;
	op->ctx = ctx;
	return store_queue(s, op, false);
}

int store_put_size(struct store *s, const struct store_key *k, uint64_t size)
{
	struct store_op *op;

	if (size == SCORPIO_SIZE_UNKNOWN)
		return fail(-EINVAL, "store: an unknown size is not kept");
	op = store_op_new(OP_SIZE, k->bytes, k->len);
	op->size = size;
	return store_queue(s, op, false);
}

int store_flush(struct store *s, int64_t deadline)
{
	if (s->read_only)
		return 0;
	return store_queue_wait(s, store_op_new(OP_FLUSH, NULL, 0), deadline);
}

int store_gc(struct store *s, uint64_t target, bool dry_run,
	     uint64_t *ret_freed)
{
	struct store_op *op;
	struct store_stats st;
	uint64_t held;
	int r;

	if (!target)
		target = evict_low(s);
	if (dry_run) {
		r = store_stat(s, &st);
		if (r)
			return r;
		held = MIN(st.used_bytes, st.pinned_chunks * STORE_CHUNK_SIZE);
		target = MAX(target, held);
		*ret_freed =
			st.used_bytes > target ? st.used_bytes - target : 0;
		return 0;
	}
	op = store_op_new(OP_GC, NULL, 0);
	op->size = target;
	op->ret = ret_freed;
	return store_queue_wait(s, op, deadline_in_ms(GC_WAIT_MS));
}

static void dropped(void *ctx, int result UNUSED)
{
	struct store *s = ctx;

	__atomic_sub_fetch(&s->dropping, 1, __ATOMIC_RELEASE);
}

bool store_dropping(const struct store *s)
{
	return __atomic_load_n(&s->dropping, __ATOMIC_ACQUIRE);
}

void store_drop(struct store *s, enum drop_kind kind, const void *key,
		size_t len, bool force)
{
	struct store_op *op;

	store_doubt(s); /* where a record is damaged the tree may be */
	if (s->read_only)
		return;
	op = store_op_new(OP_DROP, key, len);
	op->drop = kind;
	op->flag = force;
	op->done = dropped;
	op->ctx = s;
	__atomic_add_fetch(&s->dropping, 1, __ATOMIC_RELAXED);
	if (store_queue(s, op, true)) /* full: the next reader tells again */
		dropped(s, 0);
}
