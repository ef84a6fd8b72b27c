/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <lzma.h>
#include <unistd.h>

#include "places.h"
#include "spool.h"

#define TRIES 3
#define XZ_HEADER_MAX LZMA_BLOCK_HEADER_SIZE_MAX

struct nixranges {
	struct nixcache *cache;        /* borrowed */
	const struct narinfo *info;    /* borrowed: the path's */
	struct places at;
	uint8_t *here;   /* of each unit: was it brought */
	uint8_t *proved; /* of each piece */
	struct pieces *proof; /* or NULL */
	uint64_t bytes;       /* plain, brought */
	int fd;
};

void nixranges_free(struct nixranges *r)
{
	if (!r)
		return;
	if (r->proof)
		pieces_done(r->proof);
	free(r->proof);
	places_done(&r->at);
	free(r->here);
	free(r->proved);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

int nixranges_new(struct nix *n, struct nixcache *c, const struct narinfo *i,
		  struct pieces *proof, struct nixranges **ret,
		  uint64_t *fetched)
{
	struct nixranges *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		if (proof)
			pieces_done(proof);
		free(proof);
		return -ENOMEM;
	}
	r->fd = -1;
	r->cache = c;
	r->info = i;
	r->proof = proof;
	rc = places_find(n, c, i, &r->at, fetched);
	if (!rc) {
		r->here = calloc(r->at.n, 1);
		r->proved = calloc(pieces_count(i->nar_size), 1);
		r->fd = r->here && r->proved ? nixspool_file(n) : -ENOMEM;
		rc = r->fd < 0 ? r->fd : 0;
	}
	if (rc) {
		nixranges_free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

bool nixranges_proven(const struct nixranges *r)
{
	return r->proof;
}

uint64_t nixranges_bytes(const struct nixranges *r)
{
	return r->bytes;
}

int nixranges_take(struct nixranges *r)
{
	int fd = r->fd;

	if (r->bytes != r->info->nar_size)
		return -1;
	r->fd = -1;
	return fd;
}

/* -- a transfer ------------------------------------------------------------------ */

struct filling {
	struct nix *n;
	struct nixranges *r;
	uint64_t at, end; /* plain: where the next byte goes, and the last */
	uint64_t packed;  /* bytes that came */
	bool failed;      /* what no retry changes */
	struct unpack *zstd;
	/* an xz block: its header is collected first */
	lzma_stream xz;
	lzma_block block;
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	uint8_t header[XZ_HEADER_MAX];
	uint32_t header_len, header_size; /* size 0: not known yet */
	bool ended;
};

static int on_plain(void *ctx, const void *data, size_t len)
{
	struct filling *f = ctx;
	int rc;

	if (len > f->end - f->at) {
		f->failed = true;
		return nixfail(f->n, -EBADMSG, "%s: a part of its archive is "
			       "larger than it should be", f->r->info->base);
	}
	rc = nixspool_save(f->n, f->r->fd, data, len, f->at);
	f->failed = rc;
	f->at += rc ? 0 : len;
	return rc;
}

static int bad_block(struct filling *f)
{
	f->failed = true;
	return nixfail(f->n, -EBADMSG, "%s: a block of its archive is not sound",
		       f->r->info->base);
}

/* The header of the block is there: what decodes it. */
static int begin_block(struct filling *f)
{
	lzma_ret r;

	f->block.filters = f->filters;
	f->block.header_size = f->header_size;
	r = lzma_block_header_decode(&f->block, NULL, f->header);
	if (r == LZMA_OK)
		r = lzma_block_decoder(&f->xz, &f->block);
	for (int i = 0; r == LZMA_OK && f->filters[i].id != LZMA_VLI_UNKNOWN;
	     i++) {
		free(f->filters[i].options);
		f->filters[i].options = NULL;
	}
	return r == LZMA_OK ? 0 : bad_block(f);
}

static int collect_header(struct filling *f, const uint8_t **p, size_t *n)
{
	if (!f->header_size) {
		f->header_size = lzma_block_header_size_decode(**p);
		if (!**p)
			return bad_block(f);
	}
	while (*n && f->header_len < f->header_size) {
		f->header[f->header_len++] = *(*p)++;
		--*n;
	}
	return f->header_len == f->header_size ? begin_block(f) : 0;
}

static int feed_block(struct filling *f, const uint8_t *p, size_t n)
{
	uint8_t out[65536];
	lzma_ret r = LZMA_OK;
	int rc = 0;

	if (f->header_len < f->header_size || !f->header_size)
		rc = collect_header(f, &p, &n);
	f->xz.next_in = p;
	f->xz.avail_in = n;
	while (!rc && r == LZMA_OK && !f->ended &&
	       (f->xz.avail_in || !f->xz.avail_out)) {
		f->xz.next_out = out;
		f->xz.avail_out = sizeof(out);
		r = lzma_code(&f->xz, LZMA_RUN);
		f->ended = r == LZMA_STREAM_END;
		if (r != LZMA_OK && r != LZMA_STREAM_END && r != LZMA_BUF_ERROR)
			return bad_block(f);
		rc = on_plain(f, out, sizeof(out) - f->xz.avail_out);
	}
	return rc;
}

static int on_packed(void *ctx, const void *data, size_t len)
{
	struct filling *f = ctx;
	int rc;

	f->packed += len;
	switch (f->r->info->compression) {
	case UNPACK_ZSTD:
		rc = unpack_feed(f->zstd, data, len);
		f->failed = f->failed || rc;
		return rc;
	case UNPACK_XZ:
		return feed_block(f, data, len);
	default:
		return on_plain(f, data, len);
	}
}

static int begin(struct filling *f, uint32_t unit)
{
	f->at = f->r->at.unit[unit].plain;
	f->xz = (lzma_stream)LZMA_STREAM_INIT;
	f->block = (lzma_block){ .version = 1,
				 .check = (lzma_check)f->r->at.unit[unit].check };
	f->header_len = f->header_size = 0;
	f->ended = false;
	f->zstd = f->r->info->compression == UNPACK_ZSTD
			  ? unpack_new(UNPACK_ZSTD, on_plain, f)
			  : NULL;
	return f->r->info->compression == UNPACK_ZSTD && !f->zstd ? -ENOMEM : 0;
}

static void end(struct filling *f)
{
	unpack_free(f->zstd);
	f->zstd = NULL;
	lzma_end(&f->xz);
}

/* Units [from, to) in one request. */
static int get_run(struct filling *f, uint32_t from, uint32_t to)
{
	const struct place *u = f->r->at.unit;
	struct nixget g = {
		.cache = f->r->cache, .what = f->r->info->url,
		.offset = u[from].packed,
		.length = u[to - 1].packed + u[to - 1].len - u[from].packed,
		.data = on_packed, .ctx = f,
	};
	int rc;

	g.max = g.length;
	f->end = u[to].plain;
	f->failed = false;
	rc = begin(f, from);
	if (!rc)
		rc = nixcache_get(f->n, &g);
	end(f);
	/* all of it comes, or would */
	if (g.status == 200 || g.status == 416)
		return -ENOTSUP;
	if (!rc && g.status != 206)
		return nixcache_error(f->n, f->r->cache, g.status,
				      f->r->info->url);
	if (!rc && f->at != f->end)
		rc = nixfail(f->n, f->packed < g.length ? -EIO : -EBADMSG,
			     "%s: a part of its archive is shorter than it "
			     "should be", f->r->info->base);
	return rc;
}

static int bring_run(struct nix *n, struct nixranges *r, uint32_t from,
		     uint32_t to, uint64_t *fetched)
{
	struct filling f = { .n = n, .r = r };
	int rc = -EIO;

	for (int i = 0; i < TRIES && rc == -EIO; i++) {
		if (i)
			nixcount(n, "resumed", 1);
		rc = get_run(&f, from, to);
		if (f.failed || n->host->cancelled(n->host))
			break;
	}
	*fetched += f.packed;
	if (rc)
		return rc;
	nixcount(n, "ranges", 1);
	for (uint32_t i = from; i < to; i++)
		r->here[i] = 1;
	r->bytes += r->at.unit[to].plain - r->at.unit[from].plain;
	return 0;
}

/* -- what is needed --------------------------------------------------------------- */

static void forget(struct nixranges *r, uint64_t from, uint64_t to)
{
	for (uint32_t i = places_at(&r->at, from);
	     i < r->at.n && r->at.unit[i].plain < to; i++) {
		if (r->here[i])
			r->bytes -= r->at.unit[i + 1].plain -
				    r->at.unit[i].plain;
		r->here[i] = 0;
	}
}

static int prove(struct nix *n, struct nixranges *r, uint64_t from, uint64_t to)
{
	uint32_t last = (uint32_t)((to - 1) / PIECES_BYTES);
	auto_free uint8_t *buf = malloc(PIECES_BYTES);
	uint8_t md[NIX_SHA256];
	int rc = buf ? 0 : -ENOMEM;

	for (uint32_t i = (uint32_t)(from / PIECES_BYTES); i <= last && !rc;
	     i++) {
		uint64_t at = (uint64_t)i * PIECES_BYTES;
		uint64_t left = r->info->nar_size - at;
		size_t len = left < PIECES_BYTES ? (size_t)left : PIECES_BYTES;

		if (r->proved[i])
			continue;
		rc = nixranges_read(n, r, at, buf, len);
		if (!rc && EVP_Digest(buf, len, md, NULL, EVP_sha256(),
				      NULL) != 1)
			rc = -ENOMEM;
		if (!rc && memcmp(md, r->proof->hash[i], NIX_SHA256) != 0) {
			forget(r, at, at + len);
			nixcount(n, "refused", 1);
			rc = nixfail(n, -EBADMSG, "%s: a part of its archive is "
				     "not the one that was signed",
				     r->info->base);
		}
		r->proved[i] = !rc;
	}
	return rc;
}

int nixranges_need(struct nix *n, struct nixranges *r, uint64_t offset,
		   uint64_t len, uint64_t *fetched)
{
	uint64_t size = r->info->nar_size, from = offset, to;
	uint32_t i, end;
	int rc = 0;

	if (offset > size || len > size - offset)
		return nixfail(n, -EIO, "beyond the end of an archive");
	to = offset + len;
	if (r->proof) {
		from -= from % PIECES_BYTES;
		to = (to + PIECES_BYTES - 1) / PIECES_BYTES * PIECES_BYTES;
		to = to < size ? to : size;
	}
	i = places_at(&r->at, from);
	while (!rc && i < r->at.n && r->at.unit[i].plain < to) {
		for (end = i; end < r->at.n && r->at.unit[end].plain < to &&
			      !r->here[end] && (end == i || r->at.runs);)
			end++;
		if (end > i)
			rc = bring_run(n, r, i, end, fetched);
		i = end > i ? end : i + 1;
	}
	return rc || !r->proof || to == from ? rc : prove(n, r, from, to);
}

int nixranges_read(struct nix *n, const struct nixranges *r, uint64_t offset,
		   void *buf, size_t len)
{
	struct nixspool s = { .size = r->info->nar_size, .fd = r->fd };

	return nixspool_read(n, &s, offset, buf, len);
}
