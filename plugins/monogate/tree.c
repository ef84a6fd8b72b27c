/* SPDX-License-Identifier: Apache-2.0 */
/* tree.c - directories as JSON: names and object ids, and beyond the API modes
 * and sizes. Unknown paths are empty lists, as the public server answers. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct listing {
	json_t *dirs, *files; /* directories come first */
	const char *dir;      /* the path they are in */
	bool plain;           /* without ids: name, path, content_type */
};

/* JSON carries text: other names are to be had through file/tree only, where
 * the client finds that this list is not the whole tree. */
static json_t *name_of(const struct scorpio_entry *e)
{
	return json_stringn(e->name, e->name_len);
}

static void add_extras(json_t *v, const struct scorpio_entry *e)
{
	json_object_set_new(v, "mode", json_string(gate_mode(e)));
	if ((e->kind == SCORPIO_FILE || e->kind == SCORPIO_SYMLINK) &&
	    e->size != SCORPIO_SIZE_UNKNOWN)
		json_object_set_new(v, "size",
				    json_integer((json_int_t)e->size));
}

static void add_path(json_t *v, const char *dir, const struct scorpio_entry *e)
{
	char path[GATE_PATH_MAX + SCORPIO_NAME_MAX + 2];

	snprintf(path, sizeof(path), "%s%s/%.*s", *dir ? "/" : "", dir,
		 (int)e->name_len, e->name);
	json_object_set_new(v, "path", json_string(path));
}

static int add(void *ctx, const struct scorpio_entry *e)
{
	struct listing *l = ctx;
	bool dir = e->kind == SCORPIO_DIR;
	char hex[2 * SCORPIO_ID_MAX + 1];
	json_t *name = name_of(e), *v;

	if (!name)
		return 0;
	v = json_object();
	json_object_set_new(v, "name", name);
	json_object_set_new(v, "content_type",
			    json_string(dir ? "directory" : "file"));
	if (l->plain) {
		add_path(v, l->dir, e);
	} else {
		gate_hex(&e->id, hex);
		json_object_set_new(v, "oid", json_string(hex));
		add_extras(v, e);
	}
	json_array_append_new(dir ? l->dirs : l->files, v);
	return 0;
}

static int list(struct gate *g, const struct scorpio_ref *dir, bool plain,
		json_t **ret)
{
	struct listing l = { .dirs = json_array(), .files = json_array(),
			     .dir = dir->path, .plain = plain };
	int rc = g->sources->list(g->source, dir,
				  plain ? 0 : SCORPIO_LIST_SIZES,
				  GATE_TIMEOUT_MS, add, &l);

	if (rc == 0)
		json_array_extend(l.dirs, l.files);
	json_decref(l.files);
	if (rc == 0)
		*ret = l.dirs;
	else
		json_decref(l.dirs);
	return rc;
}

int gate_content_hash(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct gate_place at;
	json_t *data = NULL;
	bool known;
	int rc = gate_find(g, r, &at, &known);

	if (rc == 0)
		rc = list(g, &at.dir, false, &data);
	else if (rc == -ENOENT && known)
		return gate_data(g, r, json_array());
	return rc ? gate_error(g, r, rc) : gate_data(g, r, data);
}

int gate_dir_hash(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct gate_place at;
	char hex[2 * SCORPIO_ID_MAX + 1];
	const char *name;
	bool known;
	int rc = gate_find(g, r, &at, &known);

	if (rc && !(rc == -ENOENT && known))
		return gate_error(g, r, rc);
	if (rc || !*at.path) /* the root is in no parent */
		return gate_data(g, r, json_array());
	name = strrchr(at.path, '/');
	gate_hex(&at.dir.id, hex);
	return gate_data(g, r, json_pack("[{s:s,s:s,s:s}]", "name",
					 name ? name + 1 : at.path,
					 "content_type", "directory", "oid",
					 hex));
}

/* Each ancestor's items under its path. */
static int add_ancestors(struct gate *g, struct gate_place *at, json_t *out)
{
	size_t len = strlen(at->path), n = 0;
	bool known;
	int rc = 0;

	for (;;) {
		struct gate_place up;
		char path[GATE_PATH_MAX + 1];
		json_t *items;

		snprintf(path, sizeof(path), "/%.*s", (int)n, at->path);
		rc = gate_walk(g, path, at->rev.text, &up, &known);
		if (rc == 0)
			rc = list(g, &up.dir, true, &items);
		if (rc < 0)
			return rc;
		json_object_set_new(out, path,
			json_pack("{s:I,s:o}", "total_count",
				  (json_int_t)json_array_size(items),
				  "tree_items", items));
		if (n == len)
			return 0;
		n += at->path[n] == '/';
		n += strcspn(at->path + n, "/");
	}
}

int gate_tree(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct gate_place at;
	json_t *all = json_object(), *items = NULL;
	bool known;
	int rc = gate_find(g, r, &at, &known);

	if (rc == 0)
		rc = add_ancestors(g, &at, all);
	if (rc == 0)
		rc = list(g, &at.dir, true, &items);
	if (rc == 0)
		return gate_data(g, r, json_pack("{s:o,s:o}", "file_tree", all,
						 "tree_items", items));
	json_decref(all);
	return gate_error(g, r, rc);
}

int gate_path_can_clone(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct gate_place at;
	bool known;
	int rc = gate_find(g, r, &at, &known);

	if (rc && !(rc == -ENOENT && known))
		return gate_error(g, r, rc);
	return gate_data(g, r, json_boolean(rc == 0 &&
					    gate_can_clone(g, at.path)));
}
