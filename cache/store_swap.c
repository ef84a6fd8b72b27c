/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file whose structure is damaged, found while it is in use: what LMDB would
 * make of it nobody knows, and nothing can be stored any more. It is a cache, so
 * the writer sets it aside and goes on with a new file, under everybody who
 * reads. Whoever is in the old one ends there; numbers of spaces and the clock
 * stay, for they are known outside. Pins, named values and what else can still
 * be read are taken over (store_salvage.c).
 *
 * The first sign is a record with a wrong checksum, a key that is not found
 * again, or a result of LMDB that says so. The writer believes the last kind at
 * once; the others have the syncer look, by pread.
 */
#include "cache/store_impl.h"

#include <sys/stat.h>

#define LOOK_NS     (10 * NS_PER_S) /* longest look: some 20 GB */
#define LOOK_REST   20              /* times what the last one took, at least */
#define LOOK_GAP_NS NS_PER_S
#define RETRY_NS    NS_PER_S

/* -- looking ------------------------------------------------------------- */

void store_doubt(struct store *s)
{
	lock_scope(&s->sync_lock);

	__atomic_store_n(&s->damage_seen, true, __ATOMIC_RELAXED);
	s->doubt = true;
	pthread_cond_signal(&s->sync_work);
}

int store_look_file(struct store *s, int64_t budget_ns)
{
	struct store_reader r;
	int rc = store_read_begin(s, &r);

	if (rc)
		return rc;
	rc = store_check_file(s->path, mdb_txn_id(store_reader_txn(&r)),
			      now_ns() + budget_ns);
	store_read_end(&r);
	return rc == -EAGAIN ? 0 : rc; /* both roots are newer by now */
}

static bool look_due(struct store *s)
{
	lock_scope(&s->sync_lock);

	if (!s->doubt || now_ns() < s->look_after)
		return false;
	s->doubt = false;
	return true;
}

void store_look(struct store *s)
{
	int64_t start = now_ns();

	if (!look_due(s))
		return;
	/* twice: a root may be looked at while it is being written */
	if (store_look_file(s, LOOK_NS) == -EUCLEAN &&
	    store_look_file(s, LOOK_NS) == -EUCLEAN) {
		__atomic_store_n(&s->structure_bad, true, __ATOMIC_RELAXED);
		store_queue(s, store_op_new(OP_FLUSH, NULL, 0), true);
	}
	pthread_mutex_lock(&s->sync_lock);
	s->look_after = now_ns() + LOOK_GAP_NS +
			LOOK_REST * (now_ns() - start);
	pthread_mutex_unlock(&s->sync_lock);
}

/* -- replacing ----------------------------------------------------------- */

/* The names are never freed before the store is. */
static char **space_names(struct store *s, size_t *ret)
{
	char **copy;
	lock_scope(&s->space_lock);

	copy = xmalloc(s->spaces.len + 1);
	if (s->spaces.len)
		memcpy(copy, s->spaces.data, s->spaces.len);
	*ret = s->spaces.len / sizeof(*copy);
	return copy;
}

static int save_numbers(struct store *s, struct store *fresh, MDB_txn *txn)
{
	size_t n = 0;
	cleanup_free char **names = space_names(s, &n);
	int rc = store_counters_save(fresh, txn, &fresh->c);

	for (size_t i = 0; !rc && i < n; i++) {
		cleanup_free char *key = NULL;

		if (!names[i])
			continue;
		key = xasprintf("s/%s", names[i]);
		rc = store_space_save(fresh, txn, key, strlen(key),
				      (uint16_t)(i + 1));
	}
	return rc;
}

/* What was given out: no number may come again for something else. */
static int keep_numbers(struct store *s, struct store *fresh)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(fresh->env, NULL, 0, &txn);

	if (rc)
		return store_mdb_fail(rc, "begin");
	fresh->c = (struct store_counters){ .clock = s->c.clock,
					    .evicted = s->c.evicted,
					    .last_space = s->c.last_space };
	rc = save_numbers(s, fresh, txn);
	if (rc) {
		mdb_txn_abort(txn);
		return store_mdb_fail(rc, "begin anew");
	}
	rc = mdb_txn_commit(txn);
	return rc ? store_mdb_fail(rc, "begin anew") : 0;
}

static int make_fresh(struct store *s, struct store *fresh, const char *why)
{
	cleanup_free char *file = xasprintf("%s/data.mdb", s->path);
	struct stat st;
	int r = 0;

	fresh->path = s->path;
	fresh->page = s->page;
	fresh->max_bytes = s->max_bytes;
	fresh->aside = steal(&s->aside);
	if (!stat(file, &st)) /* else the last try came this far */
		r = store_state_set_aside(fresh, why);
	if (!r)
		r = store_env_open(fresh, s->max_bytes);
	if (!r)
		r = store_env_setup(fresh);
	if (!r)
		r = keep_numbers(s, fresh);
	return r ? r : store_salvage_small(fresh);
}

static void go_on_with(struct store *s, const struct store *fresh)
{
	assert(!memcmp(s->dbi, fresh->dbi, sizeof(s->dbi)));
	s->c = fresh->c;
	pthread_mutex_lock(&s->q_lock);
	s->c_seen = s->c;
	pthread_mutex_unlock(&s->q_lock);
	memset(s->evict_at, 0, sizeof(s->evict_at));
	s->stuck_until = 0;
	__atomic_store_n(&s->chunks_seen, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->pinned_chunks, 0, __ATOMIC_RELAXED);
	for (size_t i = 0; i < STORE_VERIFIED_SLOTS; i++) /* known by address */
		__atomic_store_n(&s->verified[i], 0, __ATOMIC_RELAXED);
	store_bus_unwatch(s);
	store_env_replace(s, fresh->env);
	store_bus_watch(s);
	s->left = false;
	__atomic_store_n(&s->structure_bad, false, __ATOMIC_RELAXED);
	__atomic_store_n(&s->damage_seen, false, __ATOMIC_RELAXED);
	s->damage_marked = false;
	store_state_mark(s, false, false);
	pthread_mutex_lock(&s->sync_lock);
	store_salvage_free(s->salvage);
	s->salvage = fresh->salvage;
	pthread_cond_signal(&s->sync_work);
	pthread_mutex_unlock(&s->sync_lock);
}

int store_swap(struct store *s, const char *why)
{
	cleanup_free struct store *fresh = NULL;
	int r;

	if (now_ns() < s->swap_after)
		return -EAGAIN;
	fresh = xcalloc(1, sizeof(*fresh));
	r = make_fresh(s, fresh, why);
	if (r) {
		if (fresh->env)
			mdb_env_close(fresh->env);
		s->aside = steal(&fresh->aside);
		s->swap_after = now_ns() + RETRY_NS;
	} else {
		go_on_with(s, fresh);
		if (s->replaced)
			s->replaced(fresh->notice);
	}
	free(fresh->notice);
	return r;
}
