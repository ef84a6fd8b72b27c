/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - compressed streams, fed as they arrive: none, xz, bzip2, zstd,
 * br (brotli), gzip, lzma. Several streams after one another are one (parallel
 * compressors write that). Memory is bounded: windows up to 128 MiB. One
 * thread per object.
 */
#ifndef BACKENDS_NIX_UNPACK_H
#define BACKENDS_NIX_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unpack_kind {
	UNPACK_NONE,
	UNPACK_XZ,
	UNPACK_BZIP2,
	UNPACK_ZSTD,
	UNPACK_BROTLI,
	UNPACK_GZIP,
	UNPACK_LZMA,
};

/* By its name in a narinfo; "" is bzip2. */
bool unpack_kind_of(const char *name, enum unpack_kind *ret);
const char *unpack_name(enum unpack_kind kind);
/* What a file's name ends in after ".nar". */
const char *unpack_suffix(enum unpack_kind kind);

struct unpack;
typedef int (*unpack_fn)(void *ctx, const void *data, size_t n);

/* NULL: no memory. */
struct unpack *unpack_new(enum unpack_kind kind, unpack_fn out, void *ctx);
void unpack_free(struct unpack *u);
/* -EBADMSG: it is damaged; -ENOMEM; or what out() returned. */
int unpack_feed(struct unpack *u, const void *data, size_t n);
/* -EBADMSG: it is cut off. */
int unpack_end(struct unpack *u);

#endif
