/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - the stored form of every record but trees (tree.h): packing and
 * checked parsing, without a database.
 *
 *	every record   u64 xxh3 of all that follows, seeded with its key, so
 *	               that a damaged record, and a good one under a wrong
 *	               key, are both found out
 *	chunk data     u32 plain length, u8 codec, u8[3] 0, payload
 *	chunk index    u64 seq, u64 stamp, u32 minute, u32 stored, u32 plain,
 *	               u32 0
 *	blob           u8 kind, u8[3] 0, u32 chunks, u64 size; if the content
 *	               is known: SHA-256, SHA-1, u32 0, hashes of 2..8 chunks
 *	               (that of a single chunk is the SHA-256 of the content)
 *	seg            up to CODEC_SEG hashes
 *	value          any bytes
 *
 * Parsers take arbitrary bytes, never read outside them and answer -EBADMSG
 * for what is not right. Any thread; compression contexts are per thread and
 * go with it.
 */
#ifndef CACHE_CODEC_H
#define CACHE_CODEC_H

#include "core/buf.h"
#include "core/hash.h"

#define CODEC_CHUNK  (64u * 1024u) /* plain bytes of a full chunk */
#define CODEC_INLINE 8u            /* most chunk hashes in a blob record */
#define CODEC_SEG    255u          /* hashes a segment: two pages of LMDB */

enum codec_kind { CODEC_RAW = 0, CODEC_ZSTD = 1 };

uint64_t codec_seed(const void *key, size_t n);
uint64_t codec_chunk_seed(const uint8_t hash[SHA256_LEN]);

/* -- sealed values ------------------------------------------------------- */
void codec_value_pack(struct buf *ret, uint64_t seed, const void *p, size_t n);
int codec_value_parse(const void *rec, size_t len, uint64_t seed,
		      const void **ret_p, size_t *ret_n);

/* -- chunks -------------------------------------------------------------- */
struct codec_chunk {
	const uint8_t *payload;
	uint32_t payload_len;
	uint32_t plain_len; /* 1 .. CODEC_CHUNK */
	enum codec_kind codec;
};
/* Compress (raw if that saves less than a tenth) and append the record. */
void codec_chunk_pack(struct buf *ret, uint64_t seed, const void *plain,
		      size_t n, int level);
int codec_chunk_parse(const void *rec, size_t len, uint64_t seed,
		      struct codec_chunk *ret);
/* The same for who does not know the hash: nothing is verified. */
int codec_chunk_look(const void *rec, size_t len, struct codec_chunk *ret);
/* How long a record is by what it says itself, at most len; 0: it is none. */
size_t codec_chunk_len(const void *rec, size_t len);
/* Write exactly plain_len bytes. -EBADMSG if the frame says otherwise: its
 * declared size is compared before anything is decompressed. */
int codec_chunk_unpack(const struct codec_chunk *c, void *out);

#define CODEC_INDEX_LEN 40u
struct codec_index {
	uint64_t seq;    /* key of the data */
	uint64_t stamp;  /* logical time of the last use */
	uint32_t minute; /* wall time of the last use */
	uint32_t stored; /* length of the data record */
	uint32_t plain;
};
void codec_index_pack(uint8_t out[CODEC_INDEX_LEN], uint64_t seed,
		      const struct codec_index *x);
int codec_index_parse(const void *rec, size_t len, uint64_t seed,
		      struct codec_index *ret);

/* -- blobs --------------------------------------------------------------- */
struct codec_blob {
	uint64_t size;
	uint32_t chunks;
	bool has_content;
	const uint8_t *sha256, *sha1; /* NULL without content */
	const uint8_t *list;          /* hashes, or NULL: none or in seg */
};
static inline uint64_t codec_chunks(uint64_t size)
{
	return size / CODEC_CHUNK + (size % CODEC_CHUNK != 0);
}
/* list: all hashes; used if there are 2 to CODEC_INLINE. */
void codec_blob_pack(struct buf *ret, uint64_t seed,
		     const struct codec_blob *b);
int codec_blob_parse(const void *rec, size_t len, uint64_t seed,
		     struct codec_blob *ret);
/* A segment: its seed depends on its number. */
uint64_t codec_seg_seed(uint64_t seed, uint32_t number);
void codec_seg_pack(struct buf *ret, uint64_t seed, const uint8_t *list,
		    uint32_t count);
int codec_seg_parse(const void *rec, size_t len, uint64_t seed, uint32_t count,
		    const uint8_t **ret_list);

#endif
