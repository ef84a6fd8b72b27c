/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks.h"

#include "auth.h"

#include <jansson.h>
#include <openssl/evp.h>

#define PARTS_MAX 65536u
#define HEADERS_MAX 40u

struct part {
	struct lfsaction at; /* oid and size of the part, and its link */
	uint64_t offset;
};

struct list {
	struct part *v;
	uint32_t n;
};

static void list_done(struct list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		lfsaction_done(&l->v[i].at);
	free(l->v);
}

/* -- which parts ------------------------------------------------------------------ */

static bool number(const json_t *o, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = (uint64_t)json_integer_value(v);
	return json_is_integer(v) && json_integer_value(v) >= 0;
}

static int take_part(json_t *o, const char *base, struct part *p)
{
	const char *hex = json_string_value(json_object_get(o, "sub_oid"));

	if (!hex || strlen(hex) != LFS_OID_HEX ||
	    !lfs_unhex(hex, LFS_OID_LEN, p->at.oid) ||
	    !number(o, "offset", &p->offset) ||
	    !number(o, "size", &p->at.size) || !p->at.size)
		return -EBADMSG;
	return lfsaction_take(&p->at, json_object_get(o, "link"), base);
}

static int by_offset(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* In order, without holes, the whole object. */
static bool complete(const struct list *l, uint64_t size)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i].offset != at || l->v[i].at.size > size - at)
			return false;
		at += l->v[i].at.size;
	}
	return at == size;
}

static int parse(const struct lfsreply *r, const char *base,
		 const struct lfsaction *a, struct list *l)
{
	json_t *j = json_loadb(r->text.p ? r->text.p : "", r->text.n, 0, NULL);
	json_t *chunks = json_object_get(j, "chunks"), *o;
	size_t i, n = json_array_size(chunks);
	int rc = n && n <= PARTS_MAX ? 0 : -EBADMSG;

	if (rc == 0)
		l->v = calloc(n, sizeof(*l->v));
	if (rc == 0 && !l->v)
		rc = -ENOMEM;
	for (i = 0; rc == 0 && i < n; i++) {
		o = json_array_get(chunks, i);
		l->n++;
		rc = take_part(o, base, &l->v[i]);
	}
	json_decref(j);
	if (rc)
		return rc;
	qsort(l->v, l->n, sizeof(*l->v), by_offset);
	return complete(l, a->size) ? 0 : -EBADMSG;
}

static int ask(struct lfs *s, const struct lfsaction *a, const char *base,
	       struct list *l)
{
	struct lfsreply r __attribute__((cleanup(lfsreply_done))) = { 0 };
	char hex[LFS_OID_HEX + 1], what[LFS_OID_HEX + 32];
	int rc;

	lfs_hex(a->oid, LFS_OID_LEN, hex);
	snprintf(what, sizeof(what), "objects/%s/chunks", hex);
	rc = lfsserver_call(s, what, NULL, &r);
	if (rc == 0)
		rc = r.status == 200 ? parse(&r, base, a, l) : -ENOTSUP;
	/* a page of something else is no list of parts */
	return rc == -EBADMSG ? -ENOTSUP : rc;
}

/* -- one part ---------------------------------------------------------------------- */

struct passing {
	struct scorpio_http x;
	EVP_MD_CTX *md;
	uint64_t got, size, skip;
	int (*data)(void *ctx, const void *p, uint64_t n);
	void *ctx;
	int rc;
};

static int pass(void *ctx, const void *data, uint64_t n)
{
	struct passing *p = ctx;
	const uint8_t *at = data;
	uint64_t skip;

	if (p->x.status != 200)
		return 0; /* an error's text */
	if (n > p->size - p->got || !EVP_DigestUpdate(p->md, data, n))
		return p->rc = -EBADMSG;
	skip = n < p->skip ? n : p->skip;
	p->got += n;
	p->skip -= skip;
	if (n > skip)
		p->rc = p->data(p->ctx, at + skip, n - skip);
	return p->rc;
}

static int exchange(struct lfs *s, const char *base, struct lfsaction *a,
		    struct passing *p)
{
	const char *headers[HEADERS_MAX + 1] = { "Accept-Encoding: identity" };
	unsigned n = 1;

	for (char **h = a->headers; h && *h && n < HEADERS_MAX; h++)
		headers[n++] = *h;
	p->x.struct_size = sizeof(p->x);
	p->x.url = a->href;
	p->x.headers = headers;
	p->x.on_data = pass;
	p->x.ctx = p;
	p->x.flags = SCORPIO_HTTP_NO_RETRY; /* what has passed has passed */
	s->host->count(s->host, "lfs_transfers", 1);
	return a->ours ? lfsauth_perform(s, lfsserver_auth(s), &p->x, base)
		       : s->host->http(s->host, &p->x);
}

static int bring(struct lfs *s, const char *base, struct lfsaction *a,
		 struct passing *p)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	int rc = exchange(s, base, a, p);

	if (p->rc || rc)
		return p->rc ? p->rc : rc;
	if (p->x.status != 200)
		return lfsfail(s, -EIO, "the LFS server answers %d to a part "
			       "of an object", p->x.status);
	if (p->got != a->size)
		return lfsfail(s, -EIO, "the LFS server sends less than a part "
			       "of an object has");
	if (!EVP_DigestFinal_ex(p->md, hash, NULL))
		return lfs_nomem(s);
	return memcmp(hash, a->oid, LFS_OID_LEN)
		       ? lfsfail(s, -EBADMSG, "the LFS server sent wrong "
				 "content (the SHA-256 of a part differs)")
		       : 0;
}

int lfschunks_run(struct lfs *s, const struct lfsaction *a, uint64_t from,
		  int (*data)(void *ctx, const void *p, uint64_t n), void *ctx)
{
	struct list l __attribute__((cleanup(list_done))) = { 0 };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	auto_free char *base = NULL;
	int rc = md ? lfsserver_url(s, &base) : lfs_nomem(s);

	if (rc == 0)
		rc = ask(s, a, base, &l);
	for (uint32_t i = 0; rc == 0 && i < l.n; i++) {
		struct part *x = &l.v[i];
		struct passing p = { .md = md, .size = x->at.size,
				     .data = data, .ctx = ctx };

		if (x->offset + x->at.size <= from)
			continue;
		p.skip = from > x->offset ? from - x->offset : 0;
		rc = EVP_DigestInit_ex(md, EVP_sha256(), NULL)
			     ? bring(s, base, &x->at, &p)
			     : lfs_nomem(s);
	}
	EVP_MD_CTX_free(md);
	return rc;
}
