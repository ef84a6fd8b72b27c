/* SPDX-License-Identifier: Apache-2.0 */
/* cl.c - branches and other refs as change lists: what their commit changed, as
 * two trees differ. A move shows as a deletion and a new file, which is what
 * clients make of it anyway. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 200u
#define CHANGES_MAX 100000u

struct differ {
	struct gate *g;
	json_t *out;
	char path[GATE_PATH_MAX];
	unsigned depth;
};

/* An id of length 0 is an empty directory. */
static int children_of(struct differ *d, const struct scorpio_id *id,
		       struct gate_children *ret)
{
	struct scorpio_ref ref = { .id = *id, .kind = SCORPIO_DIR,
				   .path = d->path,
				   .path_len = (uint32_t)strlen(d->path) };

	if (!id->len)
		return 0;
	return gate_children_get(d->g, &ref, ret);
}

static int note(struct differ *d, const char *action,
		const struct scorpio_entry *e)
{
	char hex[2 * SCORPIO_ID_MAX + 1];
	json_t *path = json_string(d->path);

	if (!path)
		return d->g->host->fail(d->g->host, -ENOTSUP, "a changed name "
					"is not UTF-8");
	if (json_array_size(d->out) >= CHANGES_MAX) {
		json_decref(path);
		return d->g->host->fail(d->g->host, -E2BIG, "more than %u "
					"changes", CHANGES_MAX);
	}
	gate_hex(&e->id, hex);
	json_array_append_new(d->out, json_pack("{s:o,s:s,s:s,s:s}", "path",
						path, "sha", hex, "action",
						action, "mode",
						gate_mode(e)));
	return 0;
}

static int differ(struct differ *d, const struct scorpio_id *a,
		  const struct scorpio_id *b);

static int inside(struct differ *d, const char *name,
		  const struct scorpio_entry *a, const struct scorpio_entry *b)
{
	static const struct scorpio_id none;
	size_t len = strlen(d->path);
	bool da = a && a->kind == SCORPIO_DIR, db = b && b->kind == SCORPIO_DIR;
	int rc = 0;

	if (len + strlen(name) + 2 > sizeof(d->path))
		return d->g->host->fail(d->g->host, -ENAMETOOLONG, "a path is "
					"too long");
	snprintf(d->path + len, sizeof(d->path) - len, "%s%s", len ? "/" : "",
		 name);
	if (a && !da && (!b || db))
		rc = note(d, "deleted", a);
	if (rc == 0 && (da || db))
		rc = differ(d, da ? &a->id : &none, db ? &b->id : &none);
	if (rc == 0 && b && !db)
		rc = note(d, a && !da ? "modified" : "new", b);
	d->path[len] = '\0';
	return rc;
}

static bool same(const struct scorpio_entry *a, const struct scorpio_entry *b)
{
	return a->kind == b->kind && a->mode == b->mode &&
	       a->id.len == b->id.len &&
	       memcmp(a->id.bytes, b->id.bytes, a->id.len) == 0;
}

/* Both lists are sorted by name bytes. */
static int merge(struct differ *d, const struct gate_children *a,
		 const struct gate_children *b)
{
	size_t i = 0, k = 0;
	int rc = 0;

	while (rc == 0 && (i < a->n || k < b->n)) {
		int c = i == a->n ? 1 :
			k == b->n ? -1 :
				    strcmp(a->at[i].name, b->at[k].name);
		const struct gate_entry *x = c <= 0 ? &a->at[i++] : NULL;
		const struct gate_entry *y = c >= 0 ? &b->at[k++] : NULL;

		if (x && y && same(&x->e, &y->e))
			continue;
		rc = inside(d, (x ? x : y)->name, x ? &x->e : NULL,
			    y ? &y->e : NULL);
	}
	return rc;
}

static int differ(struct differ *d, const struct scorpio_id *a,
		  const struct scorpio_id *b)
{
	struct gate_children ca = { 0 }, cb = { 0 };
	int rc;

	if (d->depth >= DEPTH_MAX)
		return d->g->host->fail(d->g->host, -ELOOP, "directories are "
					"nested more than %u deep", DEPTH_MAX);
	d->depth++;
	rc = children_of(d, a, &ca);
	if (rc == 0)
		rc = children_of(d, b, &cb);
	if (rc == 0)
		rc = merge(d, &ca, &cb);
	d->depth--;
	gate_children_done(&ca);
	gate_children_done(&cb);
	return rc;
}

void gate_cl_prefixes(const struct gate *g,
		      char ret[GATE_CL_PREFIXES][GATE_PREFIX_CAP])
{
	snprintf(ret[0], GATE_PREFIX_CAP, "refs/changes/");
	snprintf(ret[1], GATE_PREFIX_CAP, "refs/cl/");
	snprintf(ret[2], GATE_PREFIX_CAP, "%s%.500s",
		 strncmp(g->cl_prefix, "refs/", 5) ? "refs/heads/" : "",
		 g->cl_prefix);
}

static int resolve_link(struct gate *g, const char *link,
			struct scorpio_revision *ret)
{
	char prefix[GATE_CL_PREFIXES][GATE_PREFIX_CAP];
	char name[GATE_PREFIX_CAP + 300];
	int rc = -ENOENT;

	gate_cl_prefixes(g, prefix);
	for (int i = 0; i < GATE_CL_PREFIXES - 1 && rc == -ENOENT; i++) {
		snprintf(name, sizeof(name), "%.519s%.256s", prefix[i], link);
		rc = gate_resolve(g, name, ret);
	}
	if (rc != -ENOENT)
		return rc;
	/* as it is configured: with an empty prefix anything that is one */
	snprintf(name, sizeof(name), "%.500s%.256s", g->cl_prefix, link);
	return gate_resolve(g, name, ret);
}

/* The two states a change list lies between. */
static int sides(struct gate *g, const char *link,
		 struct scorpio_revision *base, struct scorpio_revision *head)
{
	char name[600];
	int rc;

	if (strlen(link) > 256)
		return g->host->fail(g->host, -ENOENT, "no such change list");
	rc = resolve_link(g, link, head);
	if (rc == 0 && !g->cl_from_parent)
		return gate_resolve(g, "", base);
	snprintf(name, sizeof(name), "%.256s^", head->text);
	return rc ? rc : gate_resolve(g, name, base);
}

int gate_cl_files(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct scorpio_revision base, head;
	struct differ d = { .g = g };
	int rc;

	if (g->origin.kind == GATE_MONO)
		return gate_forward(g, r, "cl/{link}/files-list");
	rc = sides(g, g->http->param(r, "link"), &base, &head);
	if (rc < 0)
		return gate_error(g, r, rc);
	d.out = json_array();
	rc = differ(&d, &base.root, &head.root);
	if (rc == 0)
		return gate_data(g, r, d.out);
	json_decref(d.out);
	return gate_error(g, r, rc);
}

/* Change lists of a gateway begin at the root. */
int gate_cl_detail(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *link = g->http->param(r, "link");
	struct scorpio_revision base, head;
	int rc;

	if (g->origin.kind == GATE_MONO)
		return gate_forward(g, r, "cl/{link}/detail");
	rc = sides(g, link, &base, &head);
	if (rc < 0)
		return gate_error(g, r, rc);
	return gate_data(g, r,
			 json_pack("{s:i,s:s,s:s,s:s,s:I,s:n,s:[],s:[],s:[],"
				   "s:s}", "id", 0, "link", link, "title",
				   head.label[0] ? head.label : head.text,
				   "status", "Open", "open_timestamp",
				   (json_int_t)(head.time_ns / 1000000000),
				   "merge_timestamp", "conversations",
				   "labels", "assignees", "path", "/"));
}
