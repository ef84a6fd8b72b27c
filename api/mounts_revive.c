/* SPDX-License-Identifier: Apache-2.0 */
/* mounts_revive.c - mounts that outlived the daemon before this one. */
#include "api/mounts_private.h"

static char *dup_or_null(const char *s)
{
	return s && *s ? xstrdup(s) : NULL;
}

static void revived(void *ctx, const struct fs_mount_request *r,
		    const struct fs_mount_info *i, int err)
{
	struct mounts *m = ctx;
	struct wanted *w;

	if (err) /* told in the log; the record brings it back */
		return;
	w = xcalloc(1, sizeof(*w));
	w->source = xstrdup(r->source);
	w->dir = xstrdup(r->dir);
	w->rev = dup_or_null(r->rev);
	w->rev_text = dup_or_null(i->rev);
	w->subdir = dup_or_null(r->subdir);
	w->job = dup_or_null(r->job);
	w->workspace = dup_or_null(r->workspace);
	w->state_dir = dup_or_null(r->state_dir);
	w->writable = !r->read_only;
	w->transient = r->transient;
	w->metadata = r->metadata;
	w->allow_other = r->allow_other;
	w->uid = r->uid;
	w->gid = r->gid;
	w->there = w->tried = w->revived = true;
	memcpy(w->id, i->id, sizeof(w->id));
	lock_take(&m->lock);
	wanted_link(m, w);
	lock_drop(&m->lock);
	if (m->options.mounted)
		m->options.mounted(m->options.ctx, i, r->source);
}

void mounts_revive(struct mounts *m)
{
	fs_revive(m->options.fs, revived, m);
}

static void move(char **to, char **from)
{
	free(*to);
	*to = steal(from);
}

void mounts_same(struct wanted *w, struct wanted *recorded)
{
	w->revived = false;
	move(&w->rev, &recorded->rev);
	move(&w->label, &recorded->label);
	w->metadata = recorded->metadata;
	w->allow_other = recorded->allow_other;
}
