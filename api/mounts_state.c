/* SPDX-License-Identifier: Apache-2.0 */
/* mounts_state.c - the record of wanted mounts: one small JSON file. */
#include "api/mounts_private.h"
#include "api/statefile.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/path.h"

#define STATE_VERSION 1
#define STATE_MAX (16 * MiB)
#define STATE_MOUNTS_MAX 10000u

static const char *const metadata_names[] = { "auto", "full", "ondemand" };

bool mounts_metadata(const char *text, enum fs_metadata *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(metadata_names); i++) {
		if (strcmp(text, metadata_names[i]))
			continue;
		*ret = (enum fs_metadata)i;
		return true;
	}
	return false;
}

static void put(json_t *obj, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(obj, key, json_bytes(value, strlen(value)));
}

static json_t *to_json(const struct wanted *w)
{
	json_t *v = json_object();

	put(v, "source", w->source);
	put(v, "dir", w->dir);
	put(v, "rev", w->rev);
	put(v, "revision", w->rev_text);
	put(v, "label", w->label);
	put(v, "subdir", w->subdir);
	put(v, "job", w->job);
	put(v, "workspace", w->workspace);
	put(v, "state_dir", w->state_dir);
	if (w->writable)
		json_object_set_new(v, "writable", json_true());
	if (w->transient)
		json_object_set_new(v, "transient", json_true());
	put(v, "metadata", metadata_names[w->metadata]);
	json_object_set_new(v, "allow_other", json_integer(w->allow_other));
	json_object_set_new(v, "uid", json_integer(w->uid));
	json_object_set_new(v, "gid", json_integer(w->gid));
	return v;
}

/* Of those the configuration names: what they show, in case that the server is
 * away at the next start. */
static json_t *shown(const struct wanted *w)
{
	json_t *v = json_object();

	put(v, "source", w->source);
	put(v, "dir", w->dir);
	put(v, "revision", w->rev_text ? w->rev_text : w->last);
	return v;
}

char *mounts_state_last(struct mounts *m, const char *dir, const char *source)
{
	char *last = NULL;
	size_t i;
	json_t *v;

	json_array_foreach(m->last, i, v) {
		cleanup_free char *d = json_get_bytes(v, "dir");
		cleanup_free char *s = json_get_bytes(v, "source");

		if (!last && d && s && !strcmp(d, dir) && !strcmp(s, source))
			last = json_get_bytes(v, "revision");
	}
	return last;
}

static int write_state(void *ctx)
{
	cleanup_buf struct buf text = BUF_INIT;
	json_t *list = json_array(), *config = json_array(), *doc;
	struct mounts *m = ctx;

	lock_take(&m->lock);
	for (struct wanted *w = m->first; w; w = w->next) {
		if (!w->from_config && !w->gone && !w->fresh)
			json_array_append_new(list, to_json(w));
		if (w->from_config && (w->rev_text || w->last))
			json_array_append_new(config, shown(w));
	}
	lock_drop(&m->lock);
	doc = json_pack("{s:i,s:o,s:o}", "version", STATE_VERSION, "mounts",
			list, "configured", config);
	json_print_pretty(doc, &text);
	json_decref(doc);
	return statefile_write(m->state_path, &text);
}

int mounts_state_save(struct mounts *m)
{
	return m->state_path ? statefile_save(&m->saving, write_state, m) : 0;
}

static void add(struct mounts *m, const json_t *v)
{
	struct wanted *w = xcalloc(1, sizeof(*w)), *there;
	bool keep;

	w->source = json_get_bytes(v, "source");
	w->dir = json_get_bytes(v, "dir");
	w->rev = json_get_bytes(v, "rev");
	w->rev_text = json_get_bytes(v, "revision");
	w->label = json_get_bytes(v, "label");
	w->subdir = json_get_bytes(v, "subdir");
	w->job = json_get_bytes(v, "job");
	w->workspace = json_get_bytes(v, "workspace");
	w->state_dir = json_get_bytes(v, "state_dir");
	w->writable = json_get_bool(v, "writable", false);
	w->transient = json_get_bool(v, "transient", false);
	mounts_metadata(json_get_text(v, "metadata", "auto"), &w->metadata);
	w->allow_other = (int)json_get_int(v, "allow_other", -1);
	w->uid = json_get_int(v, "uid", -1);
	w->gid = json_get_int(v, "gid", -1);
	keep = w->dir && (!m->options.keep ||
			  m->options.keep(m->options.ctx, w->dir));
	ranked_scope(&m->lock);
	there = w->dir ? wanted_at(m, w->dir) : NULL;
	if (there && there->revived)
		mounts_same(there, w);
	if (w->source && keep && w->dir[0] == '/' && !there)
		wanted_link(m, w);
	else
		wanted_free(w);
}

static int read_state(struct mounts *m)
{
	cleanup_free char *text = NULL;
	json_t *doc, *list, *v;
	size_t len, i;
	int r = path_read(m->state_path, STATE_MAX, &text, &len);

	if (!r)
		r = json_parse(text, len, m->state_path, &doc);
	if (r)
		return r;
	list = json_object_get(doc, "mounts");
	if (json_get_int(doc, "version", 0) != STATE_VERSION ||
	    !json_is_array(list) || json_array_size(list) > STATE_MOUNTS_MAX)
		r = fail(-EBADMSG, "%s: not a list of mounts of this version",
			 m->state_path);
	if (!r) {
		json_array_foreach(list, i, v)
			add(m, v);
		json_decref(m->last);
		m->last = json_incref(json_object_get(doc, "configured"));
	}
	json_decref(doc);
	return r;
}

int mounts_state_load(struct mounts *m)
{
	int r;

	if (!m->state_path || access(m->state_path, F_OK))
		return 0;
	r = read_state(m);
	if (!r)
		return 0;
	statefile_set_aside("mounts", m->state_path, r);
	return r;
}
