/* SPDX-License-Identifier: Apache-2.0 */
/* warm.c - from Mounted to Ready: the first levels of directories come. */
#include "api/antares/impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

/* Also without a limit of its own it ends before a client gives up waiting. */
#define WARM_LAST_MS 600000
/* Mounts of one revision come in bursts, and what the first one brought is there
 * for the others. */
#define FRESH_NS (2 * NS_PER_S)

static int still_wanted(void *ctx, const struct fs_warm_progress *p UNUSED)
{
	struct amount *m = ctx;

	return __atomic_load_n(&m->stop_warming, __ATOMIC_RELAXED) ? -EINTR : 0;
}

/* What is gone through; NULL: a change list, which may be another one now. */
static char *walk_of(const struct amount *m)
{
	ranked_scope(&m->antares->lock);

	return m->cl || !m->rev ? NULL : xasprintf("%s:%s", m->rev, m->path);
}

static bool gone_through(struct antares *a, const char *walk)
{
	ranked_scope(&a->lock);

	return walk && a->warmed && !strcmp(walk, a->warmed) &&
	       now_ns() - a->warmed_ns < FRESH_NS;
}

static int go_through(struct amount *m)
{
	struct antares *a = m->antares;
	int64_t ms = a->preload_ms ? a->preload_ms : WARM_LAST_MS;
	int64_t began = now_ns();
	cleanup_free char *walk = walk_of(m);
	int rc;

	if (gone_through(a, walk))
		return 0;
	rc = fs_warm_trees(daemon_fs(a->daemon), m->dir, a->depth, a->sizes,
			   deadline_in_ms(ms), still_wanted, m);
	if (rc || !walk)
		return rc;
	ranked_scope(&a->lock);
	free(a->warmed);
	a->warmed = steal(&walk);
	a->warmed_ns = began;
	return 0;
}

static void run(struct pool_task *t)
{
	struct amount *m = container_of(t, struct amount, warm);
	struct antares *a = m->antares;
	int rc = 0;

	if (!still_wanted(m, NULL))
		rc = go_through(m);
	if (rc && rc != -EINTR && !still_wanted(m, NULL))
		log_info("antares", "%s is ready, but not all of its first "
			 "directories are here: %s", m->dir, error_text(rc));
	lock_take(&a->lock);
	m->warming = false;
	if (m->state == ANTARES_MOUNTED)
		amount_state(m, ANTARES_READY, NULL);
	pthread_cond_broadcast(&a->changed);
	lock_drop(&a->lock);
	amount_put(m);
}

void amount_warm(struct amount *m)
{
	struct antares *a = m->antares;
	bool start = false;

	lock_take(&a->lock);
	if (!a->depth && m->state == ANTARES_MOUNTED) {
		amount_state(m, ANTARES_READY, NULL);
	} else if (!m->warming && !a->ending) {
		m->warming = start = true;
		m->stop_warming = false;
		m->refs++;
	}
	lock_drop(&a->lock);
	if (!start)
		return;
	m->warm.run = run;
	pool_add(a->pool, &m->warm);
}

void amount_warm_end(struct amount *m)
{
	struct antares *a = m->antares;
	ranked_scope(&a->lock);

	__atomic_store_n(&m->stop_warming, true, __ATOMIC_RELAXED);
	while (m->warming)
		lock_wait(&a->changed, &a->lock, deadline_in_ms(1000));
}
