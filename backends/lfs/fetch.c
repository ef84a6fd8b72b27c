/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include "ctx.h"
#include "ids.h"
#include "many.h"
#include "small.h"

#include <inttypes.h>

struct parts { /* of a call */
	struct scorpio_ref *plain;
	struct lfsitem *files;
	uint32_t n_plain, n_files;
};

static void parts_done(struct parts *p)
{
	free(p->plain);
	free(p->files);
}
#define auto_parts __attribute__((cleanup(parts_done)))

/* Refs of below, and those of LFS files. Nonzero: what the sink said. */
static int sort_out(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink, struct parts *p)
{
	int rc = 0;

	p->plain = calloc(n + 1, sizeof(*p->plain));
	p->files = calloc(n + 1, sizeof(*p->files));
	if (!p->plain || !p->files)
		return lfs_nomem(s);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		struct lfsitem *f = &p->files[p->n_files];
		const uint8_t *hash;
		char mark = lfsid_split(&refs[i].id, &f->below, &hash);

		if (!mark) {
			p->plain[p->n_plain++] = refs[i];
		} else if (mark == LFSID_FILE) {
			f->id = refs[i].id;
			f->path = refs[i].path;
			f->path_len = refs[i].path_len;
			p->n_files++;
		} else {
			rc = sink->failed(sink->ctx, &refs[i].id,
					  lfsfail(s, -EINVAL,
						  "not the id of a file"));
		}
	}
	return rc;
}

/* Pointers first; what is none is poured by that. */
static int read_pointers(struct lfs *s, struct parts *p,
			 const struct scorpio_sink *sink, bool *stop)
{
	int rc = lfssmall_pointers(s, p->files, p->n_files, sink, stop);
	int why = rc ? rc : -EIO;

	if (*stop || rc == -EINTR)
		return rc;
	for (uint32_t i = 0; i < p->n_files; i++) {
		struct lfsitem *f = &p->files[i];

		if (f->state != LFSITEM_FAILED && f->state != LFSITEM_ASKED)
			continue;
		why = f->state == LFSITEM_FAILED ? f->error : why;
		if (f->state == LFSITEM_FAILED)
			lfsfail(s, why, "its pointer could not be read");
		rc = sink->failed(sink->ctx, &f->id, why);
		if (rc) {
			*stop = true;
			return rc;
		}
	}
	return 0;
}

/* POINTERs to the front; how many. */
static uint32_t gather_pointers(struct parts *p)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < p->n_files; i++)
		if (p->files[i].state == LFSITEM_POINTER)
			p->files[k++] = p->files[i];
	return k;
}

int lfsfetch_fetch(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink)
{
	auto_parts struct parts p = { 0 };
	int rc = sort_out(s, refs, n, sink, &p), below = 0;
	bool stop = rc != 0;

	if (rc == 0 && p.n_plain)
		below = lfssmall_below(s, p.plain, p.n_plain, false, sink,
				       &stop);
	if (stop || below == -EINTR)
		return rc ? rc : below;
	if (p.n_files)
		rc = read_pointers(s, &p, sink, &stop);
	if (rc == 0 && p.n_files)
		rc = lfsmany_bring(s, p.files, gather_pointers(&p), sink,
				   &stop);
	return rc ? rc : below;
}

/* -- sizes ------------------------------------------------------------------------- */

struct weigh { /* a sink that also tells sizes of what goes through it */
	struct scorpio_sink sink; /* first */
	const struct scorpio_sink *out;
	struct scorpio_id id;
	uint64_t got;
};

static int weigh_begin(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct weigh *w = ctx;

	w->id = *id;
	w->got = 0;
	return w->out->blob_begin(w->out->ctx, id, size);
}

static int weigh_data(void *ctx, const void *p, uint64_t n)
{
	struct weigh *w = ctx;

	w->got += n;
	return w->out->blob_data(w->out->ctx, p, n);
}

static int weigh_end(void *ctx)
{
	struct weigh *w = ctx;
	int rc = w->out->blob_end(w->out->ctx);

	return rc ? rc : w->out->size(w->out->ctx, &w->id, w->got);
}

static int weigh_abandon(void *ctx, int error)
{
	struct weigh *w = ctx;

	return w->out->abandon(w->out->ctx, error);
}

static int weigh_failed(void *ctx, const struct scorpio_id *id, int error)
{
	struct weigh *w = ctx;

	return w->out->failed(w->out->ctx, id, error);
}

static int weigh_size(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct weigh *w = ctx;

	return w->out->size(w->out->ctx, id, size);
}

/* Without sizes below, by the content. */
static int sizes_by_content(struct lfs *s, struct parts *p,
			    const struct scorpio_sink *sink, bool *stop)
{
	struct weigh w = { .out = sink };

	w.sink.struct_size = sizeof(w.sink);
	w.sink.ctx = &w;
	w.sink.blob_begin = weigh_begin;
	w.sink.blob_data = weigh_data;
	w.sink.blob_end = weigh_end;
	w.sink.abandon = weigh_abandon;
	w.sink.size = weigh_size;
	w.sink.failed = weigh_failed;
	return lfssmall_below(s, p->plain, p->n_plain, false, &w.sink, stop);
}

static int plain_sizes(struct lfs *s, struct parts *p,
		       const struct scorpio_sink *sink, bool *stop)
{
	int rc = -ENOTSUP;

	if (!__atomic_load_n(&s->no_sizes, __ATOMIC_RELAXED))
		rc = lfssmall_below(s, p->plain, p->n_plain, true, sink, stop);
	if (rc != -ENOTSUP || *stop)
		return rc;
	__atomic_store_n(&s->no_sizes, true, __ATOMIC_RELAXED);
	return sizes_by_content(s, p, sink, stop);
}

static int tell_sizes(struct parts *p, const struct scorpio_sink *sink)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < p->n_files; i++) {
		const struct lfsitem *f = &p->files[i];

		if (f->state == LFSITEM_POINTER)
			rc = sink->size(sink->ctx, &f->id, f->ptr.size);
		else if (f->state == LFSITEM_POURED)
			rc = sink->size(sink->ctx, &f->id, f->size);
	}
	return rc;
}

int lfsfetch_sizes(struct lfs *s, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink)
{
	auto_parts struct parts p = { 0 };
	int rc = sort_out(s, refs, n, sink, &p), below = 0;
	bool stop = rc != 0;

	if (rc == 0 && p.n_plain)
		below = plain_sizes(s, &p, sink, &stop);
	if (stop || below == -EINTR)
		return rc ? rc : below;
	if (p.n_files)
		rc = read_pointers(s, &p, sink, &stop);
	if (rc == 0)
		rc = tell_sizes(&p, sink);
	return rc ? rc : below;
}

/* -- attributes ---------------------------------------------------------------------- */

static int no_data(void *ctx, const void *p, uint64_t n)
{
	(void)ctx;
	(void)p;
	(void)n;
	return 0;
}

static int no_begin(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	(void)ctx;
	(void)id;
	(void)size;
	return 0;
}

static int no_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static int no_failed(void *ctx, const struct scorpio_id *id, int error)
{
	(void)ctx;
	(void)id;
	(void)error;
	return 0;
}

static int no_abandon(void *ctx, int error)
{
	(void)ctx;
	(void)error;
	return 0;
}

static int64_t put(const char *text, void *buf, uint64_t cap)
{
	size_t n = strlen(text);

	memcpy(buf, text, n < cap ? n : cap);
	return (int64_t)n;
}

static int64_t describe(struct lfs *s, const struct scorpio_ref *ref,
			const struct scorpio_id *below, void *buf, uint64_t cap)
{
	struct scorpio_sink nowhere = {
		.struct_size = sizeof(nowhere), .blob_begin = no_begin,
		.blob_data = no_data, .blob_end = no_end,
		.abandon = no_abandon, .size = no_begin, .failed = no_failed,
	};
	struct lfsitem f = { .id = ref->id, .below = *below,
			     .path = ref->path, .path_len = ref->path_len };
	char hex[LFS_OID_HEX + 1], text[LFS_OID_HEX + 32];
	bool stop = false;
	int rc = lfssmall_pointers(s, &f, 1, &nowhere, &stop);

	if (rc || f.state == LFSITEM_FAILED)
		return rc ? rc : f.error;
	if (f.state != LFSITEM_POINTER)
		return -ENODATA;
	lfs_hex(f.ptr.oid, LFS_OID_LEN, hex);
	snprintf(text, sizeof(text), "%s %" PRIu64, hex, f.ptr.size);
	return put(text, buf, cap);
}

/* Its own .gitattributes are not in them. */
static int64_t rules_above(struct lfs *s, const struct scorpio_id *below,
			   const uint8_t *hash, void *buf, uint64_t cap)
{
	auto_lfsbuf struct lfsbuf text = { 0 };
	const struct lfsrules *r;
	int rc = lfsctx_find(s, below, hash, &r);

	if (rc)
		return rc;
	rc = lfsrules_write(r, &text);
	if (rc)
		return lfsfail(s, rc, "the rules cannot be told");
	memcpy(buf, text.p, text.n < cap ? text.n : cap);
	return (int64_t)text.n;
}

int64_t lfsfetch_xattr(struct lfs *s, const struct scorpio_ref *ref,
		       const char *name, void *buf, uint64_t cap)
{
	const struct scorpio_backend *ops = s->next->ops;
	struct scorpio_ref below = *ref;
	const uint8_t *hash;
	char mark = lfsid_split(&ref->id, &below.id, &hash);

	if (!strcmp(name, "lfs"))
		return mark == LFSID_FILE ?
			       describe(s, ref, &below.id, buf, cap) :
			       -ENODATA;
	if (!strcmp(name, "lfs.rules"))
		return mark == LFSID_TREE ?
			       rules_above(s, &below.id, hash, buf, cap) :
			       -ENODATA;
	return ops->xattr(s->next->self, &below, name, buf, cap);
}
