/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <lzma.h>

#define PIECE (256u * 1024u)
#define TAIL 32768u
#define INDEX_MEMORY (256ull << 20)
#define BLOCK_MAX (256ull << 20) /* plain bytes of one unit */

/* zstd's seekable format: a skippable frame with an entry for each frame,
 * then their number, a byte of flags and a magic number */
#define SEEK_SKIPPABLE 0x184d2a5eu
#define SEEK_MAGIC 0x8f92eab1u
#define SEEK_FOOTER 9u

void places_done(struct places *p)
{
	free(p->unit);
	p->unit = NULL;
	p->n = 0;
}

static int make(struct places *p, uint64_t n)
{
	if (!n || n > PLACES_MAX)
		return -ENOTSUP;
	p->unit = calloc(n + 1, sizeof(*p->unit));
	p->n = (uint32_t)n;
	return p->unit ? 0 : -ENOMEM;
}

uint32_t places_at(const struct places *p, uint64_t plain)
{
	uint32_t lo = 0, hi = p->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (p->unit[mid].plain <= plain)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static int plain_places(uint64_t size, struct places *p)
{
	int rc = make(p, (size + PIECE - 1) / PIECE);

	if (rc)
		return rc;
	p->runs = true;
	for (uint32_t i = 0; i < p->n; i++) {
		uint64_t at = (uint64_t)i * PIECE, left = size - at;

		p->unit[i] = (struct place){ at, at,
					     left < PIECE ? left : PIECE, 0 };
	}
	p->unit[p->n].plain = size;
	return 0;
}

/* -- zstd ------------------------------------------------------------------------ */

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static int read_frames(const uint8_t *p, size_t step, uint64_t packed_end,
		       uint64_t nar_size, struct places *ret)
{
	uint64_t plain = 0, packed = 0;

	for (uint32_t i = 0; i < ret->n; i++, p += step) {
		uint32_t in = le32(p), out = le32(p + 4);

		ret->unit[i] = (struct place){ plain, packed, in, 0 };
		if (out > BLOCK_MAX)
			return -ENOTSUP;
		plain += out;
		packed += in;
	}
	ret->unit[ret->n].plain = plain;
	return plain == nar_size && packed == packed_end ? 0 : -ENOTSUP;
}

int places_zstd(const uint8_t *tail, size_t len, uint64_t file_size,
		uint64_t nar_size, struct places *ret, uint64_t *ret_need)
{
	const uint8_t *foot = tail + len - SEEK_FOOTER, *head;
	uint64_t size;
	size_t step;
	int rc;

	if (len < SEEK_FOOTER + 8 || le32(foot + 5) != SEEK_MAGIC ||
	    (foot[4] & 0x7c) || le32(foot) > PLACES_MAX)
		return -ENOTSUP;
	step = foot[4] & 0x80 ? 12 : 8;
	size = (uint64_t)le32(foot) * step + SEEK_FOOTER + 8;
	if (size > file_size)
		return -ENOTSUP;
	*ret_need = size;
	if (size > len)
		return -EAGAIN;
	head = tail + len - size;
	if (le32(head) != SEEK_SKIPPABLE || le32(head + 4) != size - 8)
		return -ENOTSUP;
	rc = make(ret, le32(foot));
	if (rc)
		return rc;
	ret->runs = true;
	rc = read_frames(head + 8, step, file_size - size, nar_size, ret);
	if (rc)
		places_done(ret);
	return rc;
}

/* -- reading pieces of the file ---------------------------------------------------- */

struct reading {
	struct nix *n;
	struct nixcache *cache;
	const struct narinfo *info;
	uint64_t *fetched;
	struct nixbody body;
};

static int on_data(void *ctx, const void *p, size_t n)
{
	struct nixbody *b = ctx;

	if (n > b->cap - b->len)
		return -EFBIG;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

static int read_at(struct reading *x, uint64_t offset, uint64_t len)
{
	struct nixget g = { .cache = x->cache, .what = x->info->url,
			    .offset = offset, .length = len, .max = len,
			    .data = on_data, .ctx = &x->body };
	char *more = realloc(x->body.data, len);
	int rc;

	if (!more)
		return -ENOMEM;
	x->body.data = more;
	x->body.cap = len;
	x->body.len = 0;
	rc = nixcache_get(x->n, &g);
	*x->fetched += x->body.len;
	if (g.status == 200 || g.status == 416)
		return -ENOTSUP;
	if (!rc && g.status != 206)
		return nixcache_error(x->n, x->cache, g.status, x->info->url);
	return rc ? rc : x->body.len == len ? 0 : -ENOTSUP;
}

static int zstd_places(struct reading *x, struct places *ret)
{
	uint64_t size = x->info->file_size, want = size < TAIL ? size : TAIL;
	int rc = read_at(x, size - want, want);

	if (!rc)
		rc = places_zstd((uint8_t *)x->body.data, x->body.len, size,
				 x->info->nar_size, ret, &want);
	if (rc != -EAGAIN)
		return rc;
	rc = read_at(x, size - want, want);
	if (!rc)
		rc = places_zstd((uint8_t *)x->body.data, x->body.len, size,
				 x->info->nar_size, ret, &want);
	return rc == -EAGAIN ? -ENOTSUP : rc;
}

/* -- xz ---------------------------------------------------------------------------- */

static int blocks(const lzma_index *index, uint64_t nar_size,
		  struct places *ret)
{
	lzma_vli n = lzma_index_block_count(index);
	lzma_index_iter it;
	uint32_t i = 0;
	int rc = n < 2 || lzma_index_uncompressed_size(index) != nar_size
			 ? -ENOTSUP : make(ret, n);

	lzma_index_iter_init(&it, index);
	while (!rc && !lzma_index_iter_next(&it,
					    LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
		if (i == ret->n || it.block.uncompressed_size > BLOCK_MAX ||
		    !it.stream.flags) {
			rc = -ENOTSUP;
			break;
		}
		ret->unit[i++] = (struct place){
			it.block.uncompressed_file_offset,
			it.block.compressed_file_offset, it.block.total_size,
			(uint32_t)it.stream.flags->check };
	}
	if (rc) {
		places_done(ret);
		return rc;
	}
	ret->n = i;
	ret->unit[i] = (struct place){ .plain = nar_size };
	return 0;
}

static int find_index(struct reading *x, lzma_stream *s)
{
	uint64_t size = x->info->file_size, at = 0;
	lzma_ret r = LZMA_OK;
	int rc = 0, tries = 0;

	while (!rc && (r == LZMA_OK || r == LZMA_SEEK_NEEDED)) {
		if (r == LZMA_SEEK_NEEDED) {
			at = s->seek_pos;
			s->avail_in = 0;
		}
		if (!s->avail_in && at < size) {
			uint64_t left = size - at;

			rc = ++tries > 64 ? -ENOTSUP
					  : read_at(x, at, left < TAIL ? left
								       : TAIL);
			s->next_in = (uint8_t *)x->body.data;
			s->avail_in = rc ? 0 : x->body.len;
			at += s->avail_in;
		}
		if (!rc)
			r = lzma_code(s, at < size ? LZMA_RUN : LZMA_FINISH);
	}
	return rc ? rc : r == LZMA_STREAM_END ? 0 : -ENOTSUP;
}

static int xz_places(struct reading *x, struct places *ret)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_index *index = NULL;
	int rc;

	if (lzma_file_info_decoder(&s, &index, INDEX_MEMORY,
				   x->info->file_size) != LZMA_OK)
		return -ENOMEM;
	rc = find_index(x, &s);
	if (!rc)
		rc = blocks(index, x->info->nar_size, ret);
	lzma_end(&s);
	lzma_index_end(index, NULL);
	return rc;
}

int places_find(struct nix *n, struct nixcache *c, const struct narinfo *i,
		struct places *ret, uint64_t *fetched)
{
	struct reading x = { .n = n, .cache = c, .info = i,
			     .fetched = fetched };
	int rc = -ENOTSUP;

	*ret = (struct places){ .n = 0 };
	if (i->compression == UNPACK_NONE)
		return plain_places(i->nar_size, ret);
	if (i->compression == UNPACK_ZSTD && i->file_size)
		rc = zstd_places(&x, ret);
	else if (i->compression == UNPACK_XZ && i->file_size)
		rc = xz_places(&x, ret);
	free(x.body.data);
	return rc;
}
