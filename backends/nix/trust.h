/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust.h - whom to believe about a store path: a signature by a trusted key,
 * or a name that proves the content. Any thread.
 */
#ifndef BACKENDS_NIX_TRUST_H
#define BACKENDS_NIX_TRUST_H

#include <openssl/evp.h>

#include "narinfo.h"

enum nixproof {
	NIX_SIGNED,    /* NarHash, NarSize and references are what was signed */
	NIX_ADDRESSED, /* only the content is proven, once it is here */
	NIX_UNCHECKED  /* the configuration does not ask for either */
};

struct nixverdict {
	enum nixproof proof;
	char key[256]; /* whose signature; "" none */
	/* NIX_ADDRESSED: what the content must hash to */
	const EVP_MD *md;
	bool flat; /* of the one file's bytes, not of the archive */
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned digest_len;
};

/* From the keys trusted_public_keys and require_signatures. -EINVAL. */
int nixtrust_new(struct nix *n, struct nixtrust **ret);
void nixtrust_free(struct nixtrust *t);
/* -EBADMSG, with a text, for what nobody vouches for. */
int nixtrust_check(struct nix *n, const struct narinfo *i,
		   struct nixverdict *ret);

/* Is one of the signatures of `text` by a trusted key? */
bool nixtrust_signed(const struct nix *n, const struct narinfo_sig *sigs,
		     uint32_t count, const char *text);

/* All that decides what is believed, as a text: caller frees; NULL: no memory.
 * url is the instance's. */
char *nixtrust_summary(const struct nix *n, const char *url);

/* What is signed: caller frees; NULL: no memory. For tests as well. */
char *nixtrust_fingerprint(const char *store_dir, const struct narinfo *i);
/* Does the path's name follow from CA? Fills md, flat, digest. */
bool nixtrust_addressed(const char *store_dir, const struct narinfo *i,
			struct nixverdict *ret);

#endif
