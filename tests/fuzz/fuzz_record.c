/* SPDX-License-Identifier: Apache-2.0 */
/* The stored records of blobs, chunks, indexes and segments: the first byte
 * chooses the kind, the rest is the record; once as it is and once with its
 * checksum made right, or nothing would ever come past it. */
#include "tests/fuzz/fuzz.h"

#include "core/base.h"

#include "cache/codec.h"

#define SEED 5u

static void chunk(const uint8_t *p, size_t n)
{
	static uint8_t plain[CODEC_CHUNK];
	struct codec_chunk c;

	if (!codec_chunk_parse(p, n, SEED, &c)) {
		assert(c.plain_len && c.plain_len <= CODEC_CHUNK);
		codec_chunk_unpack(&c, plain);
	}
}

static void blob(const uint8_t *p, size_t n)
{
	volatile uint8_t sum = 0;
	struct codec_blob b;

	if (codec_blob_parse(p, n, SEED, &b))
		return;
	assert(!b.has_content || codec_chunks(b.size) == b.chunks);
	if (b.list)
		for (size_t i = 0; i < b.chunks * (size_t)SHA256_LEN; i++)
			sum += b.list[i];
	if (b.has_content)
		sum += b.sha256[SHA256_LEN - 1] + b.sha1[SHA1_LEN - 1];
}

static void seg(const uint8_t *p, size_t n)
{
	const uint8_t *list;
	volatile uint8_t sum = 0;
	uint32_t count = n ? 1 + p[n - 1] % CODEC_SEG : 1;

	if (!codec_seg_parse(p, n, SEED, count, &list))
		for (size_t i = 0; i < count * (size_t)SHA256_LEN; i++)
			sum += list[i];
}

static void parse(unsigned kind, const uint8_t *p, size_t n)
{
	struct codec_index x;
	const void *value;
	size_t len;

	switch (kind % 5) {
	case 0:
		chunk(p, n);
		break;
	case 1:
		blob(p, n);
		break;
	case 2:
		seg(p, n);
		break;
	case 3:
		codec_index_parse(p, n, SEED, &x);
		break;
	default:
		if (!codec_value_parse(p, n, SEED, &value, &len))
			assert(len <= n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (!size)
		return 0;
	parse(data[0], data + 1, size - 1);
	if (size < 1 + 8)
		return 0;
	copy = xmalloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	put_u64(copy, hash_xxh3(copy + 8, size - 9, SEED));
	parse(data[0], copy, size - 1);
	free(copy);
	return 0;
}
