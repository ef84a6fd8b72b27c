/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - server.config_file: TOML, one table [[works]] for each selected
 * directory. A file of this name that is something else is left alone.
 */
#include "api/classic/impl.h"
#include "api/statefile.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/path.h"
#include "core/toml.h"
#include "core/toml_put.h"

#define STATE_MAX (16 * MiB)

void classic_save(struct classic *c)
{
	cleanup_buf struct buf b = BUF_INIT;
	int rc;

	if (c->foreign)
		return;
	buf_puts(&b, "# directories selected by /api/fs/mount; written by the "
		     "daemon\n");
	lock_take(&c->lock);
	if (!c->first)
		buf_puts(&b, "works = []\n");
	for (const struct cwork *w = c->first; w; w = w->next) {
		buf_puts(&b, "\n[[works]]\n");
		toml_put(&b, "path", w->path);
		buf_printf(&b, "node = %llu\n", (unsigned long long)w->inode);
		toml_put(&b, "hash", w->hash);
		toml_put(&b, "cl", w->cl);
		toml_put(&b, "upper", w->upper);
	}
	lock_drop(&c->lock);
	rc = statefile_write(c->file, &b);
	if (rc)
		log_warn("classic", "what is selected is not recorded: %s",
			 error_text(rc));
}

static void take(struct classic *c, const json_t *v)
{
	const char *path = json_get_text(v, "path", NULL);
	const char *cl = json_get_text(v, "cl", NULL);
	const char *upper = json_get_text(v, "upper", NULL);
	struct cwork *w;

	if (!path || cwork_find(c, path))
		return;
	w = xcalloc(1, sizeof(*w));
	w->path = xstrdup(path);
	w->hash = xstrdup(json_get_text(v, "hash", ""));
	w->inode = (uint64_t)json_get_int(v, "node", 0);
	w->cl = cl ? xstrdup(cl) : NULL;
	w->upper = upper && !strchr(upper, '/') ? xstrdup(upper) : NULL;
	cwork_add(c, w);
}

void classic_load(struct classic *c)
{
	json_t *doc = NULL, *where = NULL, *works, *v;
	cleanup_free char *text = NULL;
	struct toml_error e = { 0 };
	size_t n, i;

	if (access(c->file, F_OK))
		return;
	if (path_read(c->file, STATE_MAX, &text, &n) ||
	    toml_read(text, n, &doc, &where, &e)) {
		c->foreign = true;
		return;
	}
	works = json_object_get(doc, "works");
	c->foreign = !json_is_array(works);
	json_array_foreach(works, i, v)
		if (i < CLASSIC_WORKS_MAX)
			take(c, v);
	json_decref(doc);
	json_decref(where);
	if (c->foreign)
		log_debug("classic", "%s is not ours", c->file);
}
