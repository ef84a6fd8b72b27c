/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/codec.h"

#include "core/error.h"

#include <zstd.h>

#define SUM          8u  /* every record starts with its checksum */
#define CHUNK_HEAD   16u /* checksum, plain length, codec */
#define BLOB_SIZE    1u  /* blob kinds: a size alone, */
#define BLOB_FULL    2u  /* digests and chunks too */
#define BLOB_HEAD    24u
#define BLOB_DIGESTS (SHA256_LEN + SHA1_LEN + 4u)

/* -- compression contexts, one pair a thread ----------------------------- */

struct contexts {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};
static __thread struct contexts *mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void contexts_free(void *p)
{
	struct contexts *x = p;

	ZSTD_freeCCtx(x->c);
	ZSTD_freeDCtx(x->d);
	free(x);
	mine = NULL;
}

static void make_key(void)
{
	if (pthread_key_create(&key, contexts_free))
		abort(); /* fewer than PTHREAD_KEYS_MAX keys exist */
}

static struct contexts *contexts(void)
{
	if (mine)
		return mine;
	pthread_once(&once, make_key);
	mine = xcalloc(1, sizeof(*mine));
	pthread_setspecific(key, mine);
	return mine;
}

/* 0 if it did not work or does not pay */
static size_t compress(void *out, size_t cap, const void *p, size_t n,
		       int level)
{
	struct contexts *x = contexts();
	size_t got;

	if (!x->c)
		x->c = ZSTD_createCCtx();
	if (!x->c)
		return 0;
	got = ZSTD_compressCCtx(x->c, out, cap, p, n, level);
	return ZSTD_isError(got) || got > n - n / 10 ? 0 : got;
}

static int decompress(void *out, size_t n, const void *p, size_t len)
{
	struct contexts *x = contexts();
	size_t got;

	if (ZSTD_getFrameContentSize(p, len) != n)
		return -EBADMSG;
	if (!x->d)
		x->d = ZSTD_createDCtx();
	if (!x->d)
		return fail(-ENOMEM, "store: out of memory for zstd");
	got = ZSTD_decompressDCtx(x->d, out, n, p, len);
	return got == n ? 0 : -EBADMSG;
}

/* -- the checksum in front ----------------------------------------------- */

uint64_t codec_seed(const void *p, size_t n)
{
	return hash_xxh3(p, n, 0);
}

uint64_t codec_chunk_seed(const uint8_t hash[SHA256_LEN])
{
	return get_u64(hash);
}

static size_t seal_begin(struct buf *b, size_t room)
{
	size_t at = b->len;

	buf_reserve(b, SUM + room);
	memset(b->data + at, 0, SUM);
	b->len += SUM;
	return at;
}

static void seal_end(struct buf *b, size_t at, uint64_t seed)
{
	uint8_t *p = b->data + at;

	put_u64(p, hash_xxh3(p + SUM, b->len - at - SUM, seed));
}

static bool sealed(const void *rec, size_t len, size_t least, uint64_t seed)
{
	const uint8_t *p = rec;

	return len >= least &&
	       get_u64(p) == hash_xxh3(p + SUM, len - SUM, seed);
}

void codec_value_pack(struct buf *ret, uint64_t seed, const void *p, size_t n)
{
	size_t at = seal_begin(ret, n);

	buf_put(ret, p, n);
	seal_end(ret, at, seed);
}

int codec_value_parse(const void *rec, size_t len, uint64_t seed,
		      const void **ret_p, size_t *ret_n)
{
	if (!sealed(rec, len, SUM, seed))
		return -EBADMSG;
	*ret_p = (const uint8_t *)rec + SUM;
	*ret_n = len - SUM;
	return 0;
}

/* -- chunks -------------------------------------------------------------- */

void codec_chunk_pack(struct buf *ret, uint64_t seed, const void *plain,
		      size_t n, int level)
{
	size_t bound = ZSTD_compressBound(n), at, got;
	uint8_t *head;

	assert(n && n <= CODEC_CHUNK);
	at = seal_begin(ret, CHUNK_HEAD + bound);
	head = ret->data + at;
	memset(head, 0, CHUNK_HEAD);
	put_u32(head + 8, (uint32_t)n);
	ret->len = at + CHUNK_HEAD;
	got = compress(head + CHUNK_HEAD, bound, plain, n, level);
	head[12] = got ? CODEC_ZSTD : CODEC_RAW;
	if (got)
		ret->len += got;
	else
		buf_put(ret, plain, n);
	seal_end(ret, at, seed);
}

int codec_chunk_look(const void *rec, size_t len, struct codec_chunk *ret)
{
	const uint8_t *p = rec;
	uint32_t plain;

	if (len < CHUNK_HEAD)
		return -EBADMSG;
	plain = get_u32(p + 8);
	if (!plain || plain > CODEC_CHUNK || p[12] > CODEC_ZSTD ||
	    len - CHUNK_HEAD > ZSTD_compressBound(CODEC_CHUNK))
		return -EBADMSG;
	if (p[12] == CODEC_RAW && len - CHUNK_HEAD != plain)
		return -EBADMSG;
	ret->payload = p + CHUNK_HEAD;
	ret->payload_len = (uint32_t)(len - CHUNK_HEAD);
	ret->plain_len = plain;
	ret->codec = p[12];
	return 0;
}

size_t codec_chunk_len(const void *rec, size_t len)
{
	const uint8_t *p = rec;
	size_t n;

	if (len < CHUNK_HEAD)
		return 0;
	n = p[12] == CODEC_RAW
		    ? get_u32(p + 8)
		    : ZSTD_findFrameCompressedSize(p + CHUNK_HEAD,
						   len - CHUNK_HEAD);
	return ZSTD_isError(n) || n > len - CHUNK_HEAD ? 0 : n + CHUNK_HEAD;
}

int codec_chunk_parse(const void *rec, size_t len, uint64_t seed,
		      struct codec_chunk *ret)
{
	if (!sealed(rec, len, CHUNK_HEAD, seed))
		return -EBADMSG;
	return codec_chunk_look(rec, len, ret);
}

int codec_chunk_unpack(const struct codec_chunk *c, void *out)
{
	if (c->codec == CODEC_ZSTD)
		return decompress(out, c->plain_len, c->payload,
				  c->payload_len);
	memcpy(out, c->payload, c->plain_len);
	return 0;
}

void codec_index_pack(uint8_t out[CODEC_INDEX_LEN], uint64_t seed,
		      const struct codec_index *x)
{
	put_u64(out + 8, x->seq);
	put_u64(out + 16, x->stamp);
	put_u32(out + 24, x->minute);
	put_u32(out + 28, x->stored);
	put_u32(out + 32, x->plain);
	put_u32(out + 36, 0);
	put_u64(out, hash_xxh3(out + SUM, CODEC_INDEX_LEN - SUM, seed));
}

int codec_index_parse(const void *rec, size_t len, uint64_t seed,
		      struct codec_index *ret)
{
	const uint8_t *p = rec;

	if (len != CODEC_INDEX_LEN || !sealed(rec, len, len, seed))
		return -EBADMSG;
	ret->seq = get_u64(p + 8);
	ret->stamp = get_u64(p + 16);
	ret->minute = get_u32(p + 24);
	ret->stored = get_u32(p + 28);
	ret->plain = get_u32(p + 32);
	return 0;
}

/* -- blobs --------------------------------------------------------------- */

static size_t inline_len(uint32_t chunks)
{
	return chunks >= 2 && chunks <= CODEC_INLINE ? chunks * SHA256_LEN : 0;
}

void codec_blob_pack(struct buf *ret, uint64_t seed, const struct codec_blob *b)
{
	size_t at = seal_begin(ret, BLOB_HEAD + BLOB_DIGESTS);
	uint8_t head[BLOB_HEAD - SUM] = { 0 };
	static const uint8_t zero[4];

	head[0] = b->has_content ? BLOB_FULL : BLOB_SIZE;
	put_u32(head + 4, b->has_content ? b->chunks : 0);
	put_u64(head + 8, b->size);
	buf_put(ret, head, sizeof(head));
	if (b->has_content) {
		buf_put(ret, b->sha256, SHA256_LEN);
		buf_put(ret, b->sha1, SHA1_LEN);
		buf_put(ret, zero, sizeof(zero));
		buf_put(ret, b->list, inline_len(b->chunks));
	}
	seal_end(ret, at, seed);
}

int codec_blob_parse(const void *rec, size_t len, uint64_t seed,
		     struct codec_blob *ret)
{
	const uint8_t *p = rec;
	struct codec_blob b = { 0 };

	if (!sealed(rec, len, BLOB_HEAD, seed))
		return -EBADMSG;
	b.has_content = p[8] == BLOB_FULL;
	b.chunks = get_u32(p + 12);
	b.size = get_u64(p + 16);
	if (p[8] == BLOB_SIZE) {
		if (len != BLOB_HEAD || b.chunks)
			return -EBADMSG;
		*ret = b;
		return 0;
	}
	if (!b.has_content || codec_chunks(b.size) != b.chunks ||
	    len != BLOB_HEAD + BLOB_DIGESTS + inline_len(b.chunks))
		return -EBADMSG;
	b.sha256 = p + BLOB_HEAD;
	b.sha1 = b.sha256 + SHA256_LEN;
	if (b.chunks == 1)
		b.list = b.sha256;
	else if (inline_len(b.chunks))
		b.list = p + BLOB_HEAD + BLOB_DIGESTS;
	*ret = b;
	return 0;
}

uint64_t codec_seg_seed(uint64_t seed, uint32_t number)
{
	return seed ^ ((uint64_t)number + 1) * 0x9e3779b97f4a7c15ull;
}

void codec_seg_pack(struct buf *ret, uint64_t seed, const uint8_t *list,
		    uint32_t count)
{
	assert(count && count <= CODEC_SEG);
	codec_value_pack(ret, seed, list, (size_t)count * SHA256_LEN);
}

int codec_seg_parse(const void *rec, size_t len, uint64_t seed, uint32_t count,
		    const uint8_t **ret_list)
{
	if (len != SUM + (size_t)count * SHA256_LEN ||
	    !sealed(rec, len, SUM, seed))
		return -EBADMSG;
	*ret_list = (const uint8_t *)rec + SUM;
	return 0;
}
