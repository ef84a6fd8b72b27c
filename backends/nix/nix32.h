/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nix32.h - base 32 as Nix writes it (spec: the bytes as one little-endian
 * number, most significant digit first), hashes in any of Nix's spellings, and
 * names of store paths. Pure functions, any thread.
 */
#ifndef BACKENDS_NIX_NIX32_H
#define BACKENDS_NIX_NIX32_H

#include "common.h"

/* Digits of n bytes. */
static inline size_t nix32_len(size_t n)
{
	return (n * 8 + 4) / 5;
}
/* Writes nix32_len(n) digits and a NUL; returns out. */
char *nix32_encode(const uint8_t *p, size_t n, char *out);
/* len digits are exactly n bytes; false for any other text. */
bool nix32_decode(const char *text, size_t len, uint8_t *out, size_t n);

bool nixhex_decode(const char *text, size_t len, uint8_t *out, size_t n);
char *nixhex_encode(const uint8_t *p, size_t n, char *out);
/* Standard base 64 with padding of exactly n bytes. */
bool nix64_decode(const char *text, size_t len, uint8_t *out, size_t n);

/* A hash of a known algorithm with `n` bytes: base 32, hex or base 64. */
bool nixhash_digits(const char *text, size_t len, uint8_t *out, size_t n);
/* "sha256:<digits>" or "sha256-<base 64>". */
bool nixhash_sha256(const char *text, size_t len, uint8_t out[NIX_SHA256]);

/* Is it "<hash>-<name>"? The hash's bytes go to out (may be NULL). */
bool nixname_parse(const char *text, size_t len, uint8_t out[NIX_HASH]);

#endif
