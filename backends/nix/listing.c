/* SPDX-License-Identifier: Apache-2.0 */
#include "listing.h"

#include <jansson.h>

struct reader {
	struct nartree *tree;
	const char *why;
	uint32_t depth;
};

static int bad(struct reader *r, const char *why)
{
	r->why = why;
	return -EBADMSG;
}

static int read_node(struct reader *r, json_t *j, const char *name,
		     size_t name_len);

struct named { /* an entry, to be sorted as archives are */
	const char *name;
	size_t len;
	json_t *node;
};

static int by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	return c ? c : (x->len > y->len) - (x->len < y->len);
}

static int read_entries(struct reader *r, json_t *entries)
{
	size_t n = json_object_size(entries), i = 0;
	auto_free struct named *list = calloc(n + 1, sizeof(*list));
	const char *name;
	json_t *node;
	int rc = 0;

	if (!list)
		return -ENOMEM;
	json_object_foreach(entries, name, node)
		list[i++] = (struct named){ name, strlen(name), node };
	qsort(list, n, sizeof(*list), by_name);
	for (i = 0; i < n && !rc; i++) {
		if (!nartree_good_name(list[i].name, list[i].len,
				       i ? list[i - 1].name : NULL,
				       i ? list[i - 1].len : 0))
			return bad(r, "a name that cannot be");
		rc = read_node(r, list[i].node, list[i].name, list[i].len);
	}
	return rc;
}

static int read_dir(struct reader *r, json_t *j, uint32_t at)
{
	json_t *entries = json_object_get(j, "entries");
	int rc;

	if (!json_is_object(entries))
		return bad(r, "a directory without entries");
	if (++r->depth > NIX_DEPTH_MAX)
		return bad(r, "directories too deep");
	rc = read_entries(r, entries);
	r->depth--;
	r->tree->nodes[at].end = r->tree->n;
	return rc;
}

static int read_file(struct reader *r, json_t *j, uint32_t at)
{
	json_t *size = json_object_get(j, "size");
	json_t *executable = json_object_get(j, "executable");

	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return bad(r, "a file without a size");
	if (executable && !json_is_boolean(executable))
		return bad(r, "executable is neither true nor false");
	r->tree->nodes[at].size = (uint64_t)json_integer_value(size);
	r->tree->nodes[at].executable = json_is_true(executable);
	return 0;
}

static int read_link(struct reader *r, json_t *j, uint32_t at)
{
	const char *target = json_string_value(json_object_get(j, "target"));

	if (!target || nartree_target(r->tree, at, target, strlen(target)))
		return bad(r, "a link without a target");
	return 0;
}

static int read_node(struct reader *r, json_t *j, const char *name,
		     size_t name_len)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	uint8_t kind = !type			     ? 0
		       : !strcmp(type, "directory") ? SCORPIO_DIR
		       : !strcmp(type, "regular")   ? SCORPIO_FILE
		       : !strcmp(type, "symlink")   ? SCORPIO_SYMLINK
						    : 0;
	int64_t at;

	if (!kind)
		return bad(r, "an entry of an unknown type");
	at = nartree_add(r->tree, kind, name, name_len);
	if (at < 0) {
		r->why = "too many entries";
		return (int)at;
	}
	if (kind == SCORPIO_DIR)
		return read_dir(r, j, (uint32_t)at);
	return kind == SCORPIO_FILE ? read_file(r, j, (uint32_t)at)
				    : read_link(r, j, (uint32_t)at);
}

static int read_root(struct reader *r, json_t *j, uint64_t nar_size)
{
	json_t *version = json_object_get(j, "version");
	int rc;

	if (!json_is_integer(version) || json_integer_value(version) != 1)
		return bad(r, "it is not a listing of version 1");
	rc = read_node(r, json_object_get(j, "root"), "", 0);
	if (!rc)
		rc = nartree_finish(r->tree);
	if (!rc && r->tree->size != nar_size)
		rc = bad(r, "its archive would have another size than the "
			    "signed one");
	return rc;
}

int listing_parse(const char *text, size_t len, uint64_t nar_size,
		  struct nartree **ret, const char **why)
{
	struct reader r = { .tree = nartree_new(), .why = "no memory" };
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	int rc = !r.tree ? -ENOMEM
		 : !j	 ? bad(&r, "it is not JSON")
			 : read_root(&r, j, nar_size);

	json_decref(j);
	if (rc) {
		nartree_free(r.tree);
		*why = rc == -EOVERFLOW ? "its sizes are impossible" : r.why;
		return rc == -ENOMEM ? rc : -EBADMSG;
	}
	*ret = r.tree;
	return 0;
}
