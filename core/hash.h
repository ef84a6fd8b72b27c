/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h - SHA-1 and SHA-256 (OpenSSL, streaming) and xxh3 (checksums inside
 * the store). SHA-1 here is for naming and comparing, never the only proof
 * against an attacker: git objects from a network are verified by libgit2's
 * collision-detecting SHA-1 in the git backend.
 */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/base.h"

enum hash_kind { HASH_SHA1, HASH_SHA256 };
#define SHA1_LEN 20
#define SHA256_LEN 32

struct hash; /* one running digest; one thread at a time */

struct hash *hash_new(enum hash_kind kind);
void hash_free(struct hash *h);
void hash_reset(struct hash *h); /* start again */
void hash_update(struct hash *h, const void *p, size_t n);
/* Write the digest (20 or 32 bytes). hash_reset before using it again. */
void hash_final(struct hash *h, uint8_t *out);
/* At once; about 130 ns plus 0.5 ns a byte. */
void hash_bytes(enum hash_kind kind, const void *p, size_t n, uint8_t *out);

uint64_t hash_xxh3(const void *p, size_t n, uint64_t seed);

#endif
