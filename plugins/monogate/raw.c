/* SPDX-License-Identifier: Apache-2.0 */
/* raw.c - Git objects as bytes: trees and files. */
#include "range.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (16u << 20) /* of a file shown as JSON text */

static const char *const octets[] = {
	"Content-Type: application/octet-stream", NULL,
};

/* -- trees ---------------------------------------------------------------------- */

/* Git sorts a directory as if it ended in '/'. */
static int by_git_order(const void *a, const void *b)
{
	const struct gate_entry *x = a, *y = b;
	size_t nx = x->e.name_len, ny = y->e.name_len;
	size_t n = nx < ny ? nx : ny;
	int d = memcmp(x->name, y->name, n);
	unsigned char cx, cy;

	if (d)
		return d;
	cx = nx > n ? (unsigned char)x->name[n] :
	     x->e.kind == SCORPIO_DIR ? '/' : 0;
	cy = ny > n ? (unsigned char)y->name[n] :
	     y->e.kind == SCORPIO_DIR ? '/' : 0;
	return (cx > cy) - (cx < cy);
}

static int write_tree(const struct gate_children *l, char **ret, size_t *ret_len)
{
	FILE *f = open_memstream(ret, ret_len);
	bool bad = false;

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		const struct scorpio_entry *e = &l->at[i].e;

		bad = bad || e->id.len != GATE_OID;
		fprintf(f, "%s %s", gate_mode(e), l->at[i].name);
		fputc(0, f);
		fwrite(e->id.bytes, 1, GATE_OID, f);
	}
	if (fclose(f))
		return -ENOMEM;
	return bad ? -ENOTSUP : 0;
}

static int send_tree(struct gate *g, struct scorpio_request *r,
		     const struct scorpio_ref *dir)
{
	struct gate_children l = { 0 };
	char *body = NULL, hex[2 * SCORPIO_ID_MAX + 1];
	char tag[GATE_TAG_MAX];
	size_t len = 0;
	int rc;

	gate_hex(&dir->id, hex);
	if (gate_known(g, r, hex, &rc))
		return rc;
	const char *const headers[] = { octets[0], gate_tag(tag, hex), NULL };

	rc = gate_children_get(g, dir, &l);
	if (rc == 0) {
		qsort(l.at, l.n, sizeof(*l.at), by_git_order);
		rc = write_tree(&l, &body, &len);
	}
	rc = rc ? gate_error(g, r, rc) :
		  g->http->reply(r, 200, headers, body, len);
	gate_children_done(&l);
	free(body);
	return rc;
}

int gate_file_tree(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *oid = g->http->query(r, "oid", NULL);
	struct gate_place at;
	struct scorpio_id id;
	bool known;
	int rc = gate_find(g, r, &at, &known);

	if (oid && !gate_unhex(oid, &id))
		return gate_error(g, r, g->host->fail(g->host, -EINVAL,
			"oid: not the 40 hexadecimal digits of an object"));
	if (rc == -ENOENT && known)
		return g->http->reply(r, 200, octets, "", 0);
	if (rc < 0)
		return gate_error(g, r, rc);
	if (oid && (id.len != at.dir.id.len ||
		    memcmp(id.bytes, at.dir.id.bytes, id.len) != 0))
		return g->http->reply(r, 200, octets, "", 0);
	return send_tree(g, r, &at.dir);
}

/* -- files ---------------------------------------------------------------------- */

struct sending {
	struct gate *g;
	struct scorpio_ref ref;
};

static int64_t read_blob(void *ctx, uint64_t pos, void *buf, uint64_t n)
{
	struct sending *s = ctx;

	return s->g->sources->read(s->g->source, &s->ref, pos, buf, n,
				   GATE_TIMEOUT_MS);
}

static int send_blob(struct gate *g, struct scorpio_request *r,
		     const struct scorpio_ref *ref, uint64_t size)
{
	struct scorpio_body b = { .struct_size = sizeof(b), .read = read_blob,
				  .done = free };
	struct scorpio_range x;
	char tag[GATE_TAG_MAX];
	struct sending *s;

	g->http->range(r, size, &x);
	if (x.status == 416)
		return gate_range_refuse(g, r, &x);
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->g = g;
	s->ref = *ref;
	b.ctx = s;
	b.from = x.from;
	b.size = x.n;
	const char *const headers[] =
		GATE_RANGE_HEADERS(x, tag, g->http->param(r, "oid"));

	return g->http->reply_body(r, x.status, headers, &b);
}

int gate_file_blob(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct scorpio_ref ref = { .kind = SCORPIO_FILE, .path = "" };
	struct scorpio_blob blob;
	int rc;

	if (!gate_unhex(g->http->param(r, "oid"), &ref.id))
		return gate_error(g, r, g->host->fail(g->host, -EINVAL,
			"not the 40 hexadecimal digits of an object"));
	if (gate_known(g, r, g->http->param(r, "oid"), &rc))
		return rc;
	rc = g->sources->need(g->source, &ref, GATE_TIMEOUT_MS, &blob);
	if (rc == -ESTALE) /* no directory named it: it was asked for by id */
		rc = g->host->fail(g->host, -ENOENT, "object not found: %s",
				   g->http->param(r, "oid"));
	return rc < 0 ? gate_error(g, r, rc) :
			send_blob(g, r, &ref, blob.size);
}

/* A file's path: its directory, and the entry in it. */
static int find_file(struct gate *g, struct scorpio_request *r,
		     struct gate_place *at, struct scorpio_entry *ret)
{
	const char *path = g->http->query(r, "path", "/");
	const char *name = strrchr(path, '/');
	char dir[GATE_PATH_MAX];
	bool known;
	int rc;

	if (!name || !name[1] || strlen(path) >= sizeof(dir))
		return g->host->fail(g->host, -ENOENT, "%s is not a file",
				     path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	rc = gate_walk(g, *dir ? dir : "/", g->http->query(r, "refs", ""), at,
		       &known);
	if (rc == 0)
		rc = gate_child(g, &at->dir, name + 1, strlen(name + 1), ret);
	return rc;
}

/* A file as text; null if it is none. */
int gate_blob(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct gate_place at;
	struct scorpio_entry e = { 0 };
	struct scorpio_blob blob;
	struct scorpio_ref ref = { .path = "" };
	char *text = NULL;
	int64_t n = 0;
	int rc = find_file(g, r, &at, &e);

	if (rc == -ENOENT || (rc == 0 && e.kind != SCORPIO_FILE))
		return gate_data(g, r, json_null());
	ref.id = e.id;
	ref.kind = e.kind;
	if (rc == 0)
		rc = g->sources->need(g->source, &ref, GATE_TIMEOUT_MS, &blob);
	if (rc == 0 && blob.size > TEXT_MAX)
		rc = g->host->fail(g->host, -EINVAL, "a file of %llu bytes is "
				   "not shown as text; take file/blob",
				   (unsigned long long)blob.size);
	if (rc == 0 && !(text = malloc(blob.size + 1)))
		rc = -ENOMEM;
	if (rc == 0)
		n = g->sources->read(g->source, &ref, 0, text, blob.size,
				     GATE_TIMEOUT_MS);
	if (rc == 0 && n < 0)
		rc = (int)n;
	rc = rc ? gate_error(g, r, rc) :
		  gate_data(g, r, json_stringn(text, (size_t)n));
	free(text);
	return rc;
}
