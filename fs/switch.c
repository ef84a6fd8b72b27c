/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch.c - a live mount moves to another revision.
 *
 * Compare the two trees (network, no lock); then, with the only editor's lock,
 * see what that means for private changes and log it as one step; then, with
 * the view locked for writing, give every inode the kernel knows its new place
 * (memory only); then, without any lock, tell the kernel.
 */
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/delta.h"
#include "fs/edit.h"
#include "fs/notify.h"
#include "fs/settle.h"
#include "fs/view.h"
#include "fs/wal.h"
#include "fs/way.h"
#include "fs/workspace.h"

struct change_over {
	struct mount *m;
	const struct fs_switch_request *r;
	struct scorpio_revision rev;
	struct scorpio_id root; /* of the subdir */
	const char *spec;
	struct delta *delta;
	struct notices notices;
	bool bury;
	struct fs_switch_result result;
	void (*fn)(void *ctx, const char *path, const char *why);
	void *ctx;
};

static int find_root(struct change_over *x)
{
	struct mount *m = x->m;
	struct view_found at;
	int rc;

	if (m->open_root)
		return fail(-ENOTSUP, "%s has no revisions to switch between",
			    source_url(m->source));
	rc = source_resolve(m->source, x->spec, x->r->deadline, &x->rev);

	if (rc)
		return rc;
	if (x->rev.kind != SCORPIO_DIR)
		return fail(-ENOTDIR, "%s is a file, not a directory",
			    x->spec);
	x->root = x->rev.root;
	if (!*m->subdir)
		return 0;
	rc = view_walk_tree(m, &x->root, m->subdir, x->r->deadline, &at);
	if (rc)
		return fail_prefix(rc, "subdir %s", m->subdir);
	if (at.kind != SCORPIO_DIR)
		return fail(-ENOTDIR, "%s is not a directory in %s",
			    m->subdir, x->spec);
	x->root = at.id;
	return 0;
}

static int compare(struct change_over *x)
{
	struct mount *m = x->m;
	struct delta_source s = { .source = m->source, .store = m->store,
				  .space = m->space,
				  .prefix = m->needs_path ? m->subdir : NULL };
	int rc;

	way_root(m, x->r->deadline); /* the store may be lost */
	rc = delta_new(&s, &m->root, &x->root, x->r->deadline, &x->delta);

	if (rc)
		return rc;
	x->result.changed = x->delta->changed;
	x->result.added = x->delta->added;
	x->result.removed = x->delta->removed;
	return 0;
}

/* View locked for writing. */
static void move(void *ctx)
{
	struct change_over *x = ctx;

	node_switch_begin(x->m->nodes, &x->root);
	x->bury = node_switch(x->m->nodes, x->delta, &x->notices);
	x->m->root = x->root;
	node_switch_end(x->m->nodes);
}

/* Nothing that was shown may look newer than what is now. */
static int64_t time_of_switch(struct mount *m)
{
	int64_t now = wall_ns();

	if (m->changes)
		now = MAX(now, changes_now(m->changes));
	now = MAX(now, times_newest(m->times) + 1);
	return MAX(now, m->time_ns + 1);
}

static void apply_read_only(struct change_over *x)
{
	struct mount *m = x->m;
	int64_t start, time;

	pthread_rwlock_wrlock(m->view);
	start = now_ns();
	time = time_of_switch(m);
	move(x);
	if (x->delta->dirs)
		times_set(m->times, NODE_ROOT, time);
	for (size_t i = 0; i < x->delta->n; i++)
		if (x->delta->all[i]->what != DELTA_REMOVED)
			times_set(m->times, x->delta->all[i]->key, time);
	x->result.apply_ns = now_ns() - start;
	pthread_rwlock_unlock(m->view);
}

static int report(struct change_over *x, const struct rebase *plan)
{
	const struct rebase_conflict *list;
	size_t n = rebase_conflicts(plan, &list);

	x->result.conflicts = n;
	x->result.kept = rebase_kept(plan);
	if (x->r->adopt)
		return 0;
	for (size_t i = 0; i < n && x->fn; i++)
		x->fn(x->ctx, list[i].path, list[i].why);
	if (!n || x->r->force || x->r->dry_run)
		return 0;
	return fail(-EEXIST, "%zu private change%s in conflict with %.12s, "
		    "nothing was switched: %s (%s)%s; keep them over it with "
		    "force, or reset them first", n, n > 1 ? "s are" : " is",
		    x->rev.text, list[0].path, list[0].why,
		    n > 1 ? ", ..." : "");
}

/* lock: edit */
static int rebase(struct change_over *x, char **ret_base)
{
	struct mount *m = x->m;
	struct changes *c = m->changes;
	cleanup_free char *base = workspace_base(m->workspace, m, x->spec,
						 &x->rev, &x->root);
	struct rebase *plan = changes_plan(c, x->delta, x->r->adopt);
	int64_t start;
	int rc = report(x, plan);

	if (!rc && x->r->adopt)
		rc = adopt_check(m, x->delta);
	if (!rc && !x->r->dry_run) {
		start = now_ns();
		rc = changes_rebase(c, plan, x->delta, base,
				    time_of_switch(m), move, x, &x->notices);
		x->result.apply_ns = now_ns() - start;
		if (!rc)
			*ret_base = steal(&base);
	}
	rebase_free(plan);
	return rc;
}

static int apply_writable(struct change_over *x)
{
	struct mount *m = x->m;
	cleanup_free char *base = NULL;
	bool due;
	int rc;

	changes_edit(m->changes);
	rc = rebase(x, &base);
	due = changes_edit_end(m->changes);
	if (due)
		edit_checkpoint(m);
	if (rc || !base)
		return rc;
	/* meta never says what the log might lose */
	rc = wal_sync(m->changes->wal, wal_seq(m->changes->wal));
	if (!rc)
		rc = workspace_rebased(m->workspace, base);
	if (rc) /* it has happened, and the log tells */
		log_warn("fs", "%s: after a switch: %s", m->dir,
			 error_text(rc));
	return 0;
}

static void remember(struct change_over *x)
{
	struct mount *m = x->m;

	lock_scope(&m->fs->lock);
	free(m->rev_spec);
	m->rev_spec = xstrdup(x->spec);
	m->rev = x->rev;
}

/* What equals the revision is in conflict with nothing. */
static int settle_before(struct change_over *x)
{
	uint64_t n;

	return x->m->changes && !x->r->adopt
		       ? settle(x->m, x->r->deadline, &n)
		       : 0;
}

/* What was written before turns out to be the new revision's. */
static void settle_after(struct change_over *x)
{
	uint64_t n = 0;
	int rc = x->m->changes ? settle(x->m, x->r->deadline, &n) : 0;

	if (rc)
		log_info("fs", "%s: after a switch: %s", x->m->dir,
			 error_text(rc));
	if (x->r->adopt)
		x->result.kept -= MIN(n, x->result.kept);
}

static int run(struct change_over *x)
{
	struct mount *m = x->m;
	int rc = find_root(x);

	if (!rc)
		rc = settle_before(x);
	if (!rc)
		rc = compare(x);
	if (rc)
		return rc;
	if (m->changes) {
		rc = apply_writable(x);
	} else if (!x->r->dry_run) {
		mount_keep_switch(m, x->spec, &x->rev, &x->root);
		apply_read_only(x);
	}
	if (rc || x->r->dry_run)
		return rc;
	remember(x);
	mount_keep(m);
	x->result.notices = x->notices.n;
	rc = notify_send(m, &x->notices, x->r->deadline);
	if (!rc)
		node_switch_told(m->nodes);
	else
		log_warn("fs", "%s: after a switch: %s", m->dir,
			 error_text(rc));
	if (x->r->adopt || x->r->force)
		settle_after(x);
	return 0;
}

int fs_switch(struct fs *f, const char *id_or_dir,
	      const struct fs_switch_request *r, struct fs_switch_result *ret,
	      void (*fn)(void *ctx, const char *path, const char *why),
	      void *ctx)
{
	struct change_over x = { .r = r, .spec = r->rev ? r->rev : "",
				 .fn = fn, .ctx = ctx };
	struct source_stats before, after;
	int64_t start = now_ns();
	int rc;

	x.m = mount_acquire(f, id_or_dir);
	if (!x.m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	pthread_mutex_lock(&x.m->switching);
	source_stat(x.m->source, &before);
	snprintf(x.result.old_rev, sizeof(x.result.old_rev), "%s",
		 x.m->rev.text);
	rc = run(&x);
	source_stat(x.m->source, &after);
	pthread_mutex_unlock(&x.m->switching);
	snprintf(x.result.new_rev, sizeof(x.result.new_rev), "%s",
		 x.rev.text);
	snprintf(x.result.label, sizeof(x.result.label), "%s", x.rev.label);
	x.result.requests = after.requests - before.requests;
	x.result.ns = now_ns() - start;
	if (!rc && !r->dry_run)
		log_info("fs", "%s: switched from %.12s to %.12s in %lld ms: "
			 "%llu files changed, %llu added, %llu removed",
			 x.m->dir, x.result.old_rev, x.result.new_rev,
			 (long long)(x.result.ns / NS_PER_MS),
			 (unsigned long long)x.result.changed,
			 (unsigned long long)x.result.added,
			 (unsigned long long)x.result.removed);
	delta_free(x.delta);
	notices_done(&x.notices);
	mount_release(x.m);
	if (ret && (!rc || rc == -EEXIST))
		*ret = x.result;
	return rc;
}
