/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revive.c - mounts that go on where a daemon died.
 *
 * The keeper holds the FUSE session, so the kernel goes on too: requests wait.
 * Here the inodes come from the table (node_keep.c), the changes from the log,
 * the session from what was agreed on with the kernel then. Only when the
 * keeper has the new table is the kernel asked to send again what was not
 * answered, and anything served: a daemon that dies before leaves everything as
 * it found it. Nothing here waits for the network, but for a switch that was
 * interrupted.
 */
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/delta.h"
#include "fs/keep.h"
#include "fs/known.h"
#include "fs/mountpoint.h"
#include "fs/notify.h"
#include "fs/view.h"
#include "fs/way.h"
#include "fs/workspace.h"

#include "core/id.h"

#define RESUME_ASK_MS 3000

/* The log tells of a switch the inodes have not followed. */
static int follow_switch(struct mount *m, struct notices *n)
{
	struct delta_source s = { .source = m->source, .store = m->store,
				  .space = m->space,
				  .prefix = m->needs_path ? m->subdir : NULL };
	struct scorpio_id tree = node_table_tree(m->nodes);
	struct delta *d = NULL;
	int rc;

	if (!m->changes || id_equal(&tree, &m->root))
		return 0;
	way_root(m, deadline_in_ms(RESUME_ASK_MS)); /* the store may be lost */
	rc = delta_new(&s, &tree, &m->root, deadline_in_ms(RESUME_ASK_MS), &d);
	if (rc)
		return fail_prefix(rc, "after an interrupted switch");
	node_switch_begin(m->nodes, &m->root);
	node_switch(m->nodes, d, n);
	node_switch_end(m->nodes);
	delta_free(d);
	return 0;
}

/* A switch was interrupted: the kernel may remember what is not so any more. */
static void forget_all(struct mount *m, struct notices *n)
{
	size_t count;
	cleanup_free uint64_t *all = node_numbers(m->nodes, &count);
	int rc = session_new_epoch(m);

	if (rc)
		log_warn("fs", "%s: names that an interrupted switch added may "
			 "not be seen: %s", m->dir, strerror(-rc));
	for (size_t i = 0; i < count; i++)
		notices_inode(n, all[i]);
}

/* What a revived mount's backend was told when it was made; it does without
 * until then. */
static void *ask_revision(void *arg)
{
	struct mount *m = arg;
	struct scorpio_revision known;

	source_resolve(m->source, m->rev.text, deadline_in_ms(RESUME_ASK_MS),
		       &known);
	__atomic_fetch_sub(&m->waiting, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void ask_later(struct mount *m)
{
	pthread_t t;

	if (!m->needs_path || source_offline(m->source))
		return;
	/* as if parked: the mount does not go away under it */
	__atomic_fetch_add(&m->waiting, 1, __ATOMIC_RELAXED);
	if (pthread_create(&t, NULL, ask_revision, m))
		__atomic_fetch_sub(&m->waiting, 1, __ATOMIC_RELEASE);
	else
		pthread_detach(t);
}

static int revive_changes(struct mount *m)
{
	const struct workspace *w = m->workspace;

	if (!w)
		return 0;
	if (!w->resumed)
		return fail(-ENOENT, "its changes in %s are gone", w->dir);
	free(m->rev_spec);
	m->rev_spec = xstrdup(w->rev_spec);
	m->rev = w->rev;
	m->root = w->root;
	m->time_ns = w->time_ns;
	return workspace_begin(m->workspace, m);
}

int mount_revive(struct mount *m, struct kept_mount *k)
{
	struct notices notices = { 0 };
	bool told = true;
	int rc;

	m->subdir = xstrdup(k->subdir);
	m->rev = k->rev;
	m->root = k->root;
	m->time_ns = k->time_ns;
	m->created_ns = k->created_ns;
	m->made_dir = k->made_dir;
	memcpy(m->init, k->init, sizeof(m->init));
	m->init_len = k->init_len;
	m->nodes = steal(&k->nodes);
	kept_mount_times(k, m->times);
	m->open_root = m->open_root && !*m->subdir;
	if (m->open_root)
		m->known = known_new();
	rc = revive_changes(m);
	node_table_settle(m->nodes);
	if (!rc)
		rc = follow_switch(m, &notices);
	if (!rc) {
		told = node_switch_is_told(m->nodes);
		rc = session_restore(m, dup(k->kept->fd[KEEP_FUSE]));
	}
	if (rc) {
		notices_done(&notices);
		return rc;
	}
	mount_keep(m); /* from here on this table counts */
	known_revive(m);
	session_resend(m); /* of one that is unmounted: the worker sees */
	rc = workers_add(m->fs, m);
	if (!rc && !told) {
		forget_all(m, &notices);
		if (!notify_send(m, &notices, deadline_in_ms(RESUME_ASK_MS)))
			node_switch_told(m->nodes);
	}
	notices_done(&notices);
	ask_later(m);
	return rc;
}

/* -- all of them -------------------------------------------------------------------- */

static int one(struct fs *f, struct kept_mount *k,
	       struct fs_mount_request *r, struct fs_mount_info *info)
{
	*r = (struct fs_mount_request){
		.source = k->source, .rev = k->rev_spec, .subdir = k->subdir,
		.dir = k->dir, .job = k->job, .read_only = k->read_only,
		.allow_other = k->allow_other, .uid = k->uid, .gid = k->gid,
		.metadata = k->metadata, .workspace = k->workspace,
		.state_dir = k->state_dir,
		.transient = !k->named,
		.deadline = deadline_in_ms(RESUME_ASK_MS),
	};
	return mount_up(f, r, k, info);
}

/* What cannot go on must not keep anybody waiting. */
static void let_go(struct fs *f, const char *name, const char *dir)
{
	mountpoint_detach(dir, true);
	keeper_drop(f->keeper, name);
}

static void revive(struct fs *f, struct kept *x,
		   void (*fn)(void *ctx, const struct fs_mount_request *r,
			      const struct fs_mount_info *i, int err),
		   void *ctx)
{
	cleanup_free char *dir = xstrndup(x->text, strcspn(x->text, "\n"));
	char name[KEEPER_NAME];
	struct fs_mount_request r = { .dir = dir };
	struct fs_mount_info info;
	struct kept_mount *k = NULL;
	int rc;

	memcpy(name, x->name, sizeof(name));
	rc = kept_mount_read(x, true, &k);
	if (!rc)
		rc = one(f, k, &r, &info);
	if (rc) {
		log_error("fs", "%s cannot go on: %s", dir, error_text(rc));
		let_go(f, name, dir);
	}
	fn(ctx, &r, rc ? NULL : &info, rc);
	if (!rc)
		fs_mount_info_done(&info);
	kept_mount_free(k);
}

void fs_revive(struct fs *f,
	       void (*fn)(void *ctx, const struct fs_mount_request *r,
			  const struct fs_mount_info *i, int err),
	       void *ctx)
{
	struct kept *x;

	while ((x = keeper_take(f->keeper, KEEPER_MOUNT)))
		revive(f, x, fn, ctx);
}

static int could_not(int rc, const char *dir)
{
	cleanup_free char *why = xstrdup(error_text(rc));

	return fail(rc, "%s could not go on: %s. Nothing was changed. scorpio "
		    "stop and scorpio serve mount it again with its changes; "
		    "programs that use it must open their files anew", dir,
		    why);
}

int fs_can_revive(struct keeper *keeper, const char *state_dir)
{
	struct kept_mount *k;
	struct kept *x;
	int rc = 0;

	while (!rc && (x = keeper_take(keeper, KEEPER_MOUNT))) {
		cleanup_free char *dir = xstrndup(x->text,
						  strcspn(x->text, "\n"));
		cleanup_free char *changes = NULL;

		rc = kept_mount_read(x, false, &k);
		if (rc)
			return could_not(rc, dir);
		if (k->workspace)
			changes = xasprintf("%s/%s/meta", k->state_dir
					    ? k->state_dir : state_dir,
					    k->workspace);
		if (changes && access(changes, R_OK))
			rc = fail(-ENOENT, "%s could not go on: there is no "
				  "%s with its changes", dir, changes);
		kept_mount_free(k);
	}
	return rc;
}
