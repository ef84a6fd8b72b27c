/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include "cache/codec.h"
#include "core/error.h"

#include <check.h>
#include <zstd.h>

#define SEED 77u

static void noise(uint8_t *p, size_t n)
{
	uint64_t x = 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (uint8_t)(x >> 40);
	}
}

/* Every single-bit change and every shorter length is refused. */
#define REFUSES_DAMAGE(rec, parse)                                           \
	do {                                                                 \
		for (size_t i_ = 0; i_ < (rec).len * 8; i_ += 3) {           \
			(rec).data[i_ / 8] ^= (uint8_t)(1 << i_ % 8);        \
			ck_assert_int_eq(parse((rec).data, (rec).len, SEED), \
					 -EBADMSG);                          \
			(rec).data[i_ / 8] ^= (uint8_t)(1 << i_ % 8);        \
		}                                                            \
		for (size_t i_ = 0; i_ < (rec).len; i_++)                    \
			ck_assert_int_eq(parse((rec).data, i_, SEED),        \
					 -EBADMSG);                          \
		ck_assert_int_eq(parse((rec).data, (rec).len, SEED + 1),     \
				 -EBADMSG);                                  \
		ck_assert_int_eq(parse((rec).data, (rec).len, SEED), 0);     \
	} while (0)

static int parse_chunk(const void *p, size_t n, uint64_t seed)
{
	struct codec_chunk c;

	return codec_chunk_parse(p, n, seed, &c);
}

static int parse_blob(const void *p, size_t n, uint64_t seed)
{
	struct codec_blob b;

	return codec_blob_parse(p, n, seed, &b);
}

static int parse_index(const void *p, size_t n, uint64_t seed)
{
	struct codec_index x;

	return codec_index_parse(p, n, seed, &x);
}

static int parse_value(const void *p, size_t n, uint64_t seed)
{
	const void *v;
	size_t len;

	return codec_value_parse(p, n, seed, &v, &len);
}

START_TEST(chunks_come_back)
{
	static const size_t sizes[] = { 1, 2, 100, 4096, 65535, 65536 };
	static uint8_t plain[65536], out[65536];
	struct codec_chunk c;

	for (size_t i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
		size_t n = sizes[i / 2];
		struct buf rec = BUF_INIT;

		if (i % 2)
			noise(plain, n);
		else
			memset(plain, 'x', n);
		codec_chunk_pack(&rec, SEED, plain, n, 3);
		ck_assert_int_eq(codec_chunk_parse(rec.data, rec.len, SEED, &c),
				 0);
		ck_assert_uint_eq(c.plain_len, n);
		memset(out, 0xee, sizeof(out));
		ck_assert_int_eq(codec_chunk_unpack(&c, out), 0);
		ck_assert_int_eq(memcmp(out, plain, n), 0);
		buf_done(&rec);
	}
}
END_TEST

START_TEST(noise_is_kept_raw_and_text_is_not)
{
	static uint8_t plain[65536];
	struct buf rec = BUF_INIT;
	struct codec_chunk c;

	noise(plain, sizeof(plain));
	codec_chunk_pack(&rec, SEED, plain, sizeof(plain), 3);
	ck_assert_int_eq(codec_chunk_parse(rec.data, rec.len, SEED, &c), 0);
	ck_assert_int_eq(c.codec, CODEC_RAW);
	ck_assert_uint_eq(rec.len, sizeof(plain) + 16);
	rec.len = 0;
	memset(plain, 'x', sizeof(plain));
	codec_chunk_pack(&rec, SEED, plain, sizeof(plain), 3);
	ck_assert_int_eq(codec_chunk_parse(rec.data, rec.len, SEED, &c), 0);
	ck_assert_int_eq(c.codec, CODEC_ZSTD);
	ck_assert_uint_lt(rec.len, 200);
	buf_done(&rec);
}
END_TEST

START_TEST(damaged_chunk)
{
	struct buf rec = BUF_INIT;

	codec_chunk_pack(&rec, SEED, "some text that is a chunk", 25, 3);
	REFUSES_DAMAGE(rec, parse_chunk);
	buf_done(&rec);
}
END_TEST

/* A record that is sound in itself, with a frame that grows enormous. */
START_TEST(decompression_bomb)
{
	size_t huge = 16 << 20, n;
	uint8_t *zeros = xcalloc(huge, 1), *out = xmalloc(65536);
	uint8_t *frame = xmalloc(ZSTD_compressBound(huge));
	struct buf rec = BUF_INIT;
	struct codec_chunk c;

	n = ZSTD_compress(frame, ZSTD_compressBound(huge), zeros, huge, 3);
	ck_assert(!ZSTD_isError(n));
	buf_reserve(&rec, n + 16);
	memset(rec.data, 0, 16);
	put_u32(rec.data + 8, 65536);
	rec.data[12] = CODEC_ZSTD;
	memcpy(rec.data + 16, frame, n);
	rec.len = 16 + n;
	put_u64(rec.data, hash_xxh3(rec.data + 8, rec.len - 8, SEED));
	ck_assert_int_eq(codec_chunk_parse(rec.data, rec.len, SEED, &c), 0);
	ck_assert_int_eq(codec_chunk_unpack(&c, out), -EBADMSG);
	put_u32(rec.data + 8, (uint32_t)huge); /* an honest size: too big */
	put_u64(rec.data, hash_xxh3(rec.data + 8, rec.len - 8, SEED));
	ck_assert_int_eq(codec_chunk_parse(rec.data, rec.len, SEED, &c),
			 -EBADMSG);
	buf_done(&rec);
	free(zeros);
	free(out);
	free(frame);
}
END_TEST

static struct buf blob_record(uint32_t chunks, bool content)
{
	static uint8_t hashes[CODEC_INLINE * SHA256_LEN];
	struct codec_blob b = { .size = chunks * (uint64_t)CODEC_CHUNK,
				.chunks = chunks,
				.has_content = content,
				.sha256 = hashes,
				.sha1 = hashes + 50,
				.list = hashes };
	struct buf rec = BUF_INIT;

	noise(hashes, sizeof(hashes));
	codec_blob_pack(&rec, SEED, &b);
	return rec;
}

START_TEST(blobs_come_back)
{
	for (uint32_t n = 0; n < 12; n++) {
		struct buf rec = blob_record(n, true);
		struct codec_blob b;

		ck_assert_int_eq(codec_blob_parse(rec.data, rec.len, SEED, &b),
				 0);
		ck_assert(b.has_content);
		ck_assert_uint_eq(b.chunks, n);
		ck_assert_uint_eq(b.size, n * (uint64_t)CODEC_CHUNK);
		ck_assert_int_eq(b.list != NULL, n >= 1 && n <= 8);
		if (n == 1)
			ck_assert_ptr_eq(b.list, b.sha256);
		REFUSES_DAMAGE(rec, parse_blob);
		buf_done(&rec);
	}
}
END_TEST

START_TEST(size_alone)
{
	struct codec_blob in = { .size = 1ull << 50 }, b;
	struct buf rec = BUF_INIT;

	codec_blob_pack(&rec, SEED, &in);
	ck_assert_int_eq(codec_blob_parse(rec.data, rec.len, SEED, &b), 0);
	ck_assert(!b.has_content);
	ck_assert_uint_eq(b.size, 1ull << 50);
	ck_assert_ptr_null(b.sha256);
	REFUSES_DAMAGE(rec, parse_blob);
	buf_done(&rec);
}
END_TEST

START_TEST(index_segment_and_value)
{
	struct codec_index in = { 1ull << 60, 5, 6, 7, 8 }, x;
	uint8_t list[CODEC_SEG * SHA256_LEN];
	const uint8_t *got;
	struct buf rec = BUF_INIT;

	buf_reserve(&rec, CODEC_INDEX_LEN);
	rec.len = CODEC_INDEX_LEN;
	codec_index_pack(rec.data, SEED, &in);
	ck_assert_int_eq(codec_index_parse(rec.data, rec.len, SEED, &x), 0);
	ck_assert_uint_eq(x.seq, in.seq);
	ck_assert_uint_eq(x.plain, in.plain);
	REFUSES_DAMAGE(rec, parse_index);
	rec.len = 0;
	noise(list, sizeof(list));
	codec_seg_pack(&rec, SEED, list, CODEC_SEG);
	ck_assert_uint_le(rec.len + 16, 8192); /* two pages of LMDB */
	ck_assert_int_eq(
		codec_seg_parse(rec.data, rec.len, SEED, CODEC_SEG, &got), 0);
	ck_assert_int_eq(memcmp(got, list, sizeof(list)), 0);
	ck_assert_int_eq(codec_seg_parse(rec.data, rec.len, SEED, 254, &got),
			 -EBADMSG);
	ck_assert_uint_ne(codec_seg_seed(SEED, 0), codec_seg_seed(SEED, 1));
	rec.len = 0;
	codec_value_pack(&rec, SEED, "value", 5);
	REFUSES_DAMAGE(rec, parse_value);
	buf_done(&rec);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("codec");
	TCase *t = tcase_create("codec");
	SRunner *sr;
	int failed;

	tcase_add_test(t, chunks_come_back);
	tcase_add_test(t, noise_is_kept_raw_and_text_is_not);
	tcase_add_test(t, damaged_chunk);
	tcase_add_test(t, decompression_bomb);
	tcase_add_test(t, blobs_come_back);
	tcase_add_test(t, size_alone);
	tcase_add_test(t, index_segment_and_value);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
