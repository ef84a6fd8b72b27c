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
}

struct told {
	char id[FS_ID_LEN + 1];
	char *source;
};

static struct told *list_revived(struct mounts *m, size_t *ret_n)
{
	struct told *all = NULL;
	size_t n = 0;
	ranked_scope(&m->lock);

	for (struct wanted *w = m->first; w; w = w->next) {
		if (!w->revived)
			continue;
		all = xrealloc(all, (n + 1) * sizeof(*all));
		memcpy(all[n].id, w->id, sizeof(all[n].id));
		all[n++].source = xstrdup(w->source);
	}
	*ret_n = n;
	return all;
}

/* Only when all go on: who is told of one may want those that belong to it, and
 * would mount what is still to be revived. */
static void tell_all(struct mounts *m)
{
	size_t n;
	struct told *all = list_revived(m, &n);

	for (size_t i = 0; i < n; i++) {
		struct fs_mount_info info;

		if (!fs_find(m->options.fs, all[i].id, &info)) {
			m->options.mounted(m->options.ctx, &info,
					   all[i].source);
			fs_mount_info_done(&info);
		}
		free(all[i].source);
	}
	free(all);
}

void mounts_revive(struct mounts *m)
{
	fs_revive(m->options.fs, revived, m);
	if (m->options.mounted)
		tell_all(m);
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
