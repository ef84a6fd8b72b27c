/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts_follow.c - mounts of a server's latest revision that move on with it,
 * live, if the configuration says how often to look. Those that were asked for
 * at a certain revision stay; so do those with a life of their own (a job's, a
 * change list's), which have their state elsewhere.
 */
#include "api/mounts_private.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define BEHIND_MS 8000 /* between looks whether the server is there again */

static bool is_latest(const char *rev)
{
	return !rev || !*rev || !strcmp(rev, "main") || !strcmp(rev, "HEAD") ||
	       !strcmp(rev, "refs/heads/main");
}

bool mounts_follow_due(struct wanted *w, int64_t now)
{
	struct mounts *m = w->mounts;
	int64_t ms;

	if (!w->there || w->busy || w->gone || w->state_dir ||
	    !m->options.follow_ms || w->next_look > now || !is_latest(w->rev))
		return false;
	if (w->behind) {
		w->next_look = deadline_in_ms(BEHIND_MS);
		return true;
	}
	ms = m->options.follow_ms(m->options.ctx, w->source);
	if (!w->next_look || !ms) { /* it has just been mounted */
		w->next_look = deadline_in_ms(ms ? ms : 60000);
		return false;
	}
	w->next_look = deadline_in_ms(ms);
	return true;
}

static void first_conflict(void *ctx, const char *path, const char *why)
{
	char *out = ctx;

	if (!*out)
		snprintf(out, 256, "%s (%s)", path, why);
}

/* 0: it shows the latest. Told is what is new. */
static int look(struct mounts *m, const char *id, char conflict[256])
{
	struct fs_switch_request q = {
		.dry_run = true,
		.deadline = deadline_in_ms(m->options.timeout_ms),
	};
	struct fs_switch_result x;
	int rc = fs_switch(m->options.fs, id, &q, &x, first_conflict, conflict);

	if (rc || !strcmp(x.old_rev, x.new_rev))
		return rc;
	q.dry_run = false;
	return mounts_switch(m, id, &q, &x, first_conflict, conflict);
}

static void tell(struct wanted *w, int rc, const char *conflict)
{
	if (rc == w->look_error)
		return;
	w->look_error = rc;
	if (rc == -EEXIST)
		log_warn("mounts", "%s stays where it is: the latest revision "
			 "changes what is changed here: %s", w->dir, conflict);
	else if (rc && rc != -ENOENT)
		log_warn("mounts", "%s: cannot look for a newer revision: %s",
			 w->dir, error_text(rc));
}

void mounts_follow(struct pool_task *t)
{
	struct wanted *w = container_of(t, struct wanted, task);
	struct mounts *m = w->mounts;
	char id[FS_ID_LEN + 1], conflict[256] = "";
	int rc;

	lock_take(&m->lock);
	memcpy(id, w->id, sizeof(id));
	lock_drop(&m->lock);
	rc = look(m, id, conflict);
	lock_take(&m->lock);
	tell(w, rc, conflict);
	if (!rc || rc == -EEXIST)
		w->behind = false;
	wanted_done(w);
}
