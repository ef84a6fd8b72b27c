/* SPDX-License-Identifier: Apache-2.0 */
/* mounts_config.c - the mounts the configuration wants: each [[mount]], and the
 * whole monorepo if server.workspace says where. */
#include "api/mounts_private.h"

static void want(struct mounts *m, const struct config_mount *c,
		 enum fs_metadata metadata)
{
	struct wanted *w = wanted_at(m, c->dir);

	if (w && w->revived)
		w->from_config = true;
	if (w)
		return;
	w = xcalloc(1, sizeof(*w));
	w->source = xstrdup(c->source);
	w->dir = xstrdup(c->dir);
	w->rev = c->rev && *c->rev ? xstrdup(c->rev) : NULL;
	w->subdir = c->subdir && *c->subdir ? xstrdup(c->subdir) : NULL;
	w->metadata = metadata;
	w->writable = !c->ro && mounts_writable(w->source);
	if (w->writable)
		w->workspace = mounts_workspace(w->source, w->dir, w->subdir);
	w->transient = w->writable;
	w->allow_other = w->uid = w->gid = -1;
	w->from_config = true;
	w->last = mounts_state_last(m, w->dir, w->source);
	wanted_link(m, w);
}

void mounts_configured(struct mounts *m, const struct config *c)
{
	cleanup_free char *url = xasprintf("mono+%s",
					   config_string(c, "server.base_url"));
	const struct config_mount monorepo = {
		.source = url, .dir = config_string(c, "server.workspace"),
	};
	const struct config_mount *list;
	size_t n = config_mounts(c, &list);
	enum fs_metadata metadata = FS_METADATA_AUTO;

	mounts_metadata(config_string(c, "fs.metadata"), &metadata);
	ranked_scope(&m->lock);
	for (size_t i = 0; i < n; i++)
		want(m, &list[i], metadata);
	if (config_is_set(c, "server.workspace"))
		want(m, &monorepo, FS_METADATA_ONDEMAND);
}
