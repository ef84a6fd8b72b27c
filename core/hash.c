/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

struct hash {
	EVP_MD_CTX *ctx;
	const EVP_MD *md;
};

static EVP_MD *mds[2]; /* fetched once: EVP_sha1() looks up at every call */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	mds[HASH_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
	mds[HASH_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!mds[HASH_SHA1] || !mds[HASH_SHA256])
		abort(); /* an OpenSSL without SHA cannot run this program */
}

static const EVP_MD *md_of(enum hash_kind kind)
{
	pthread_once(&once, fetch);
	return mds[kind];
}

struct hash *hash_new(enum hash_kind kind)
{
	struct hash *h = xcalloc(1, sizeof(*h));

	h->md = md_of(kind);
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx)
		abort();
	hash_reset(h);
	return h;
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void hash_reset(struct hash *h)
{
	if (EVP_DigestInit_ex(h->ctx, h->md, NULL) != 1)
		abort();
}

void hash_update(struct hash *h, const void *p, size_t n)
{
	if (EVP_DigestUpdate(h->ctx, p, n) != 1)
		abort();
}

void hash_final(struct hash *h, uint8_t *out)
{
	if (EVP_DigestFinal_ex(h->ctx, out, NULL) != 1)
		abort();
}

void hash_bytes(enum hash_kind kind, const void *p, size_t n, uint8_t *out)
{
	if (EVP_Digest(p, n, out, NULL, md_of(kind), NULL) != 1)
		abort();
}

uint64_t hash_xxh3(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}
