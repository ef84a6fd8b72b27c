/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack.h"

#include <brotli/decode.h>
#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_BYTES 65536u
#define LZMA_MEMORY (160ull << 20)

struct unpack {
	enum unpack_kind kind;
	unpack_fn out;
	void *ctx;
	bool ended; /* a stream is complete, and no other has begun */
	bool begun; /* any byte came */
	union {
		lzma_stream lzma;
		bz_stream bzip;
		ZSTD_DStream *zstd;
		BrotliDecoderState *brotli;
		z_stream gzip;
	};
	uint8_t buf[OUT_BYTES];
};

static const struct {
	const char *name;
	enum unpack_kind kind;
} names[] = {
	{ "none", UNPACK_NONE },   { "xz", UNPACK_XZ },
	{ "bzip2", UNPACK_BZIP2 }, { "zstd", UNPACK_ZSTD },
	{ "br", UNPACK_BROTLI },   { "gzip", UNPACK_GZIP },
	{ "lzma", UNPACK_LZMA },   { "", UNPACK_BZIP2 },
	{ "brotli", UNPACK_BROTLI },
};

bool unpack_kind_of(const char *name, enum unpack_kind *ret)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(names[i].name, name)) {
			*ret = names[i].kind;
			return true;
		}
	}
	return false;
}

const char *unpack_name(enum unpack_kind kind)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].kind == kind)
			return names[i].name;
	return "?";
}

const char *unpack_suffix(enum unpack_kind kind)
{
	static const char *const ends[] = {
		[UNPACK_NONE] = "", [UNPACK_XZ] = ".xz",
		[UNPACK_BZIP2] = ".bz2", [UNPACK_ZSTD] = ".zst",
		[UNPACK_BROTLI] = ".br", [UNPACK_GZIP] = ".gz",
		[UNPACK_LZMA] = ".lzma",
	};

	return ends[kind];
}

static bool begin(struct unpack *u)
{
	switch (u->kind) {
	case UNPACK_XZ:
		return lzma_stream_decoder(&u->lzma, LZMA_MEMORY,
					   LZMA_CONCATENATED) == LZMA_OK;
	case UNPACK_LZMA:
		return lzma_alone_decoder(&u->lzma, LZMA_MEMORY) == LZMA_OK;
	case UNPACK_BZIP2:
		return BZ2_bzDecompressInit(&u->bzip, 0, 0) == BZ_OK;
	case UNPACK_ZSTD:
		u->zstd = ZSTD_createDStream();
		return u->zstd;
	case UNPACK_BROTLI:
		u->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		return u->brotli;
	case UNPACK_GZIP:
		return inflateInit2(&u->gzip, 15 + 16) == Z_OK;
	default:
		return true;
	}
}

struct unpack *unpack_new(enum unpack_kind kind, unpack_fn out, void *ctx)
{
	struct unpack *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->kind = kind;
	u->out = out;
	u->ctx = ctx;
	if (!begin(u)) {
		free(u);
		return NULL;
	}
	return u;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	switch (u->kind) {
	case UNPACK_XZ:
	case UNPACK_LZMA:
		lzma_end(&u->lzma);
		break;
	case UNPACK_BZIP2:
		BZ2_bzDecompressEnd(&u->bzip);
		break;
	case UNPACK_ZSTD:
		ZSTD_freeDStream(u->zstd);
		break;
	case UNPACK_BROTLI:
		BrotliDecoderDestroyInstance(u->brotli);
		break;
	case UNPACK_GZIP:
		inflateEnd(&u->gzip);
		break;
	default:
		break;
	}
	free(u);
}

static int emit(struct unpack *u, size_t n)
{
	return n ? u->out(u->ctx, u->buf, n) : 0;
}

static int feed_lzma(struct unpack *u, const uint8_t *p, size_t n,
		     lzma_action action)
{
	lzma_ret r;
	int rc;

	u->lzma.next_in = p;
	u->lzma.avail_in = n;
	do {
		u->lzma.next_out = u->buf;
		u->lzma.avail_out = OUT_BYTES;
		r = lzma_code(&u->lzma, action);
		rc = emit(u, OUT_BYTES - u->lzma.avail_out);
		if (rc)
			return rc;
		if (r == LZMA_STREAM_END) {
			u->ended = true;
			return u->lzma.avail_in ? -EBADMSG : 0;
		}
		if (r == LZMA_MEM_ERROR)
			return -ENOMEM;
		if (r == LZMA_BUF_ERROR)
			return action == LZMA_FINISH ? -EBADMSG : 0;
		if (r != LZMA_OK)
			return -EBADMSG;
	} while (u->lzma.avail_in || !u->lzma.avail_out ||
		 action == LZMA_FINISH);
	return 0;
}

/* A stream ended and another byte came. */
static int again_bzip(struct unpack *u, const uint8_t *p, size_t n)
{
	BZ2_bzDecompressEnd(&u->bzip);
	memset(&u->bzip, 0, sizeof(u->bzip));
	if (!begin(u))
		return -ENOMEM;
	u->bzip.next_in = (char *)(uintptr_t)p;
	u->bzip.avail_in = (unsigned)n;
	u->ended = false;
	return 0;
}

static int feed_bzip(struct unpack *u, const uint8_t *p, size_t n)
{
	int r, rc;

	if (u->ended)
		rc = again_bzip(u, p, n);
	else
		rc = 0;
	u->bzip.next_in = (char *)(uintptr_t)p;
	u->bzip.avail_in = (unsigned)n;
	while (!rc) {
		u->bzip.next_out = (char *)u->buf;
		u->bzip.avail_out = OUT_BYTES;
		r = BZ2_bzDecompress(&u->bzip);
		if (r != BZ_OK && r != BZ_STREAM_END)
			return r == BZ_MEM_ERROR ? -ENOMEM : -EBADMSG;
		rc = emit(u, OUT_BYTES - u->bzip.avail_out);
		if (rc)
			return rc;
		if (r == BZ_STREAM_END) {
			u->ended = true;
			if (!u->bzip.avail_in)
				return 0;
			rc = again_bzip(u, (uint8_t *)u->bzip.next_in,
					u->bzip.avail_in);
		} else if (!u->bzip.avail_in && u->bzip.avail_out) {
			return 0;
		}
	}
	return rc;
}

static int feed_zstd(struct unpack *u, const uint8_t *p, size_t n)
{
	ZSTD_inBuffer in = { p, n, 0 };
	int rc = 0;

	for (;;) {
		ZSTD_outBuffer out = { u->buf, OUT_BYTES, 0 };
		size_t before = in.pos,
		       r = ZSTD_decompressStream(u->zstd, &out, &in);

		if (ZSTD_isError(r))
			return -EBADMSG;
		/* 0: a frame, or a skippable one, is complete */
		if (in.pos != before || out.pos)
			u->ended = r == 0;
		rc = emit(u, out.pos);
		if (rc || (in.pos == in.size && out.pos < OUT_BYTES))
			return rc;
	}
}

static int feed_brotli(struct unpack *u, const uint8_t *p, size_t n)
{
	const uint8_t *next = p;
	BrotliDecoderResult r;
	int rc;

	if (u->ended)
		return n ? -EBADMSG : 0;
	do {
		uint8_t *out = u->buf;
		size_t room = OUT_BYTES;

		r = BrotliDecoderDecompressStream(u->brotli, &n, &next, &room,
						  &out, NULL);
		if (r == BROTLI_DECODER_RESULT_ERROR)
			return -EBADMSG;
		rc = emit(u, OUT_BYTES - room);
		if (rc)
			return rc;
	} while (r == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT);
	u->ended = r == BROTLI_DECODER_RESULT_SUCCESS;
	return u->ended && n ? -EBADMSG : 0;
}

static int feed_gzip(struct unpack *u, const uint8_t *p, size_t n)
{
	int r, rc;

	u->gzip.next_in = (uint8_t *)(uintptr_t)p;
	u->gzip.avail_in = (unsigned)n;
	for (;;) {
		if (u->ended) {
			if (!u->gzip.avail_in)
				return 0;
			if (inflateReset(&u->gzip) != Z_OK)
				return -EBADMSG;
			u->ended = false;
		}
		u->gzip.next_out = u->buf;
		u->gzip.avail_out = OUT_BYTES;
		r = inflate(&u->gzip, Z_NO_FLUSH);
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
		rc = emit(u, OUT_BYTES - u->gzip.avail_out);
		if (rc)
			return rc;
		u->ended = r == Z_STREAM_END;
		if (!u->ended && !u->gzip.avail_in && u->gzip.avail_out)
			return 0;
	}
}

static int feed(struct unpack *u, const uint8_t *p, size_t n)
{
	switch (u->kind) {
	case UNPACK_XZ:
	case UNPACK_LZMA:
		return u->kind == UNPACK_LZMA && u->ended
			       ? -EBADMSG
			       : feed_lzma(u, p, n, LZMA_RUN);
	case UNPACK_BZIP2:
		return feed_bzip(u, p, n);
	case UNPACK_ZSTD:
		return feed_zstd(u, p, n);
	case UNPACK_BROTLI:
		return feed_brotli(u, p, n);
	case UNPACK_GZIP:
		return feed_gzip(u, p, n);
	default:
		return u->out(u->ctx, p, n);
	}
}

int unpack_feed(struct unpack *u, const void *data, size_t n)
{
	const uint8_t *p = data;
	int rc = 0;

	while (n && !rc) { /* some of the libraries count in 32 bits */
		size_t part = n < (1u << 30) ? n : 1u << 30;

		u->begun = true;
		rc = feed(u, p, part);
		p += part;
		n -= part;
	}
	return rc;
}

int unpack_end(struct unpack *u)
{
	if (u->kind == UNPACK_NONE)
		return 0;
	if (u->kind == UNPACK_XZ)
		return u->begun ? feed_lzma(u, NULL, 0, LZMA_FINISH)
				: -EBADMSG;
	return u->begun && u->ended ? 0 : -EBADMSG;
}
