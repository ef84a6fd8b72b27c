/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that does what takes long beside the writer: syncing to the disk,
 * looking at the structure where there is doubt, closing what was replaced. */
#include "cache/store_impl.h"

#define SYNC_NS         (5 * NS_PER_S)
#define READER_CHECK_NS (60 * NS_PER_S)

static bool sync_due(const struct store *s) /* lock: sync_lock */
{
	return s->sync_stop || s->sync_bytes >= STORE_SYNC_BYTES || s->salvage ||
	       (s->doubt && now_ns() >= s->look_after);
}

/* The one under way ends when there is another, or with the store. */
static void next_salvage(struct store *s, bool stop)
{
	struct salvage *next, *old;

	pthread_mutex_lock(&s->sync_lock);
	old = s->salvage || stop ? steal(&s->salvaging) : NULL;
	pthread_mutex_unlock(&s->sync_lock);
	if (old)
		store_salvage_end(old);
	pthread_mutex_lock(&s->sync_lock);
	next = stop ? NULL : steal(&s->salvage);
	if (next && !store_salvage_start(next, s))
		s->salvaging = steal(&next);
	pthread_mutex_unlock(&s->sync_lock);
	store_salvage_free(next);
}

static void *syncer_main(void *arg)
{
	struct store *s = arg;
	int64_t checked = 0; /* at once: the pins are not counted yet */
	bool stop = false;

	while (!stop) {
		int64_t end = now_ns() + SYNC_NS;
		uint64_t bytes;
		MDB_env *env; /* only this thread closes one */
		int dead;

		pthread_mutex_lock(&s->sync_lock);
		while (!sync_due(s))
			if (cond_wait_until(&s->sync_work, &s->sync_lock, end))
				break;
		stop = s->sync_stop;
		bytes = s->sync_bytes;
		s->sync_bytes = 0;
		pthread_mutex_unlock(&s->sync_lock);
		next_salvage(s, stop);
		if (stop)
			continue;
		store_old_close(s);
		store_look(s);
		env = __atomic_load_n(&s->env, __ATOMIC_ACQUIRE);
		if (bytes)
			mdb_env_sync(env, 1); /* a failure shows in writes */
		if (checked && now_ns() - checked < READER_CHECK_NS)
			continue;
		mdb_reader_check(env, &dead);
		store_pins_count(s);
		checked = now_ns();
	}
	return NULL;
}

int store_thread(pthread_t *t, void *(*fn)(void *), void *arg, const char *name)
{
	int e = pthread_create(t, NULL, fn, arg);

	if (e)
		return fail(-e, "store: cannot start a thread: %s",
			    strerror(e));
	pthread_setname_np(*t, name);
	return 0;
}

int store_sync_start(struct store *s)
{
	return store_thread(&s->syncer, syncer_main, s, "store-sync");
}

void store_sync_stop(struct store *s)
{
	pthread_mutex_lock(&s->sync_lock);
	s->sync_stop = true;
	pthread_cond_signal(&s->sync_work);
	pthread_mutex_unlock(&s->sync_lock);
	pthread_join(s->syncer, NULL);
}
