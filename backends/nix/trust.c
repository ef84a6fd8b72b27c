/* SPDX-License-Identifier: Apache-2.0 */
#include "trust.h"

#include "nix32.h"

#define CACHE_NIXOS_ORG \
	"cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
#define KEYS_MAX 256u

struct key {
	char *name;
	EVP_PKEY *key;
};

struct nixtrust { /* immutable */
	struct key keys[KEYS_MAX];
	unsigned n;
	bool required;
};

void nixtrust_free(struct nixtrust *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n; i++) {
		free(t->keys[i].name);
		EVP_PKEY_free(t->keys[i].key);
	}
	free(t);
}

/* "name:base64" of len bytes */
static int add_key(struct nix *n, struct nixtrust *t, const char *text,
		   size_t len)
{
	const char *colon = memchr(text, ':', len);
	struct key *k = &t->keys[t->n];
	uint8_t raw[32];

	if (t->n == KEYS_MAX)
		return nixfail(n, -EINVAL, "more than %u trusted_public_keys",
			       KEYS_MAX);
	if (!colon || colon == text || colon - text > 255 ||
	    !nix64_decode(colon + 1, len - (size_t)(colon + 1 - text), raw,
			  sizeof(raw)))
		return nixfail(n, -EINVAL, "trusted_public_keys: \"%.*s\" is "
			       "not NAME:BASE64 of an ed25519 key", (int)len,
			       text);
	k->name = strndup(text, (size_t)(colon - text));
	k->key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw,
					     sizeof(raw));
	t->n++;
	return k->name && k->key ? 0 : -ENOMEM;
}

int nixtrust_new(struct nix *n, struct nixtrust **ret)
{
	const char *keys = n->host->config_string(
		n->config, "trusted_public_keys", CACHE_NIXOS_ORG);
	struct nixtrust *t = calloc(1, sizeof(*t));
	int rc = t ? 0 : -ENOMEM;
	const char *word;
	size_t len;

	while (!rc && (word = nixword(&keys, &len)))
		rc = add_key(n, t, word, len);
	if (rc) {
		nixtrust_free(t);
		return rc;
	}
	t->required = n->host->config_bool(n->config, "require_signatures", 1);
	*ret = t;
	return 0;
}

char *nixtrust_summary(const struct nix *n, const char *url)
{
	const struct nixtrust *t = n->trust;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "%s %d %d", n->store_dir, n->verify, t->required);
	for (unsigned i = 0; i < t->n; i++) {
		uint8_t raw[32] = { 0 };
		char hex[65];
		size_t got = sizeof(raw);

		EVP_PKEY_get_raw_public_key(t->keys[i].key, raw, &got);
		fprintf(f, " %s:%s", t->keys[i].name,
			nixhex_encode(raw, sizeof(raw), hex));
	}
	if (!t->required)
		fprintf(f, " %s", url);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* -- signatures ---------------------------------------------------------------- */

char *nixtrust_fingerprint(const char *store_dir, const struct narinfo *i)
{
	char hash[NIX32_SHA256 + 1], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "1;%s/%s;sha256:%s;%llu;", store_dir, i->base,
		nix32_encode(i->nar_hash, NIX_SHA256, hash),
		(unsigned long long)i->nar_size);
	for (uint32_t k = 0; k < i->n_refs; k++)
		fprintf(f, "%s%s/%s", k ? "," : "", store_dir, i->refs[k]);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool verify(EVP_PKEY *key, const uint8_t sig[64], const char *text)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool good = c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(c, sig, 64, (const uint8_t *)text,
				     strlen(text)) == 1;

	EVP_MD_CTX_free(c);
	return good;
}

/* The key whose signature holds; *ret_known: one was of a trusted name. */
static const struct key *find_signer(const struct nixtrust *t,
				     const struct narinfo_sig *sigs, uint32_t n,
				     const char *fingerprint, bool *ret_known)
{
	for (uint32_t s = 0; s < n; s++) {
		const struct narinfo_sig *sig = &sigs[s];

		for (unsigned k = 0; k < t->n; k++) {
			if (strlen(t->keys[k].name) != sig->key_len ||
			    memcmp(t->keys[k].name, sig->key, sig->key_len))
				continue;
			*ret_known = true;
			if (verify(t->keys[k].key, sig->bytes, fingerprint))
				return &t->keys[k];
		}
	}
	return NULL;
}

bool nixtrust_signed(const struct nix *n, const struct narinfo_sig *sigs,
		     uint32_t count, const char *text)
{
	bool known;

	return find_signer(n->trust, sigs, count, text, &known);
}

/* -- names that prove the content ---------------------------------------------- */

/* Does hashing `text` give the path's hash? SHA-256 folded to 20 bytes. */
static bool folds_to(const char *text, const uint8_t hash[NIX_HASH])
{
	uint8_t md[NIX_SHA256], out[NIX_HASH] = { 0 };

	if (EVP_Digest(text, strlen(text), md, NULL, EVP_sha256(), NULL) != 1)
		return false;
	for (unsigned i = 0; i < NIX_SHA256; i++)
		out[i % NIX_HASH] ^= md[i];
	return !memcmp(out, hash, NIX_HASH);
}

/* type:sha256:<hex>:<store dir>:<name>, type being what is before the colon
 * and the references */
static bool proves(const char *store_dir, const struct narinfo *i,
		   const char *type, bool with_refs,
		   const uint8_t sha256[NIX_SHA256])
{
	char hex[2 * NIX_SHA256 + 1], *text = NULL;
	size_t len;
	bool good;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return false;
	fputs(type, f);
	for (uint32_t k = 0; with_refs && k < i->n_refs; k++)
		fprintf(f, ":%s/%s", store_dir, i->refs[k]);
	fprintf(f, ":sha256:%s:%s:%s", nixhex_encode(sha256, NIX_SHA256, hex),
		store_dir, i->base + NIX_HASH_TEXT + 1);
	good = !fclose(f) && folds_to(text, i->hash);
	free(text);
	return good;
}

/* "algo:digits" */
static bool ca_hash(const char *ca, struct nixverdict *ret, char algo[8])
{
	static const char *const known[] = { "sha256", "sha1", "sha512",
					     "md5" };
	size_t n = strcspn(ca, ":");

	for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++) {
		if (strlen(known[k]) != n || memcmp(known[k], ca, n) != 0 ||
		    !ca[n])
			continue;
		snprintf(algo, 8, "%s", known[k]);
		ret->md = EVP_get_digestbyname(known[k]);
		ret->digest_len = ret->md ? (unsigned)EVP_MD_size(ret->md) : 0;
		return ret->md && nixhash_digits(ca + n + 1, strlen(ca) - n - 1,
						 ret->digest, ret->digest_len);
	}
	return false;
}

/* The other fixed outputs: a hash of how the content is hashed. */
static bool proves_fixed(const char *store_dir, const struct narinfo *i,
			 const struct nixverdict *v, const char *algo)
{
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	uint8_t md[NIX_SHA256];
	char *text;
	int n = asprintf(&text, "fixed:out:%s%s:%s:", v->flat ? "" : "r:", algo,
			 nixhex_encode(v->digest, v->digest_len, hex));
	bool good = n > 0 && EVP_Digest(text, (size_t)n, md, NULL, EVP_sha256(),
					NULL) == 1;

	if (n > 0)
		free(text);
	return good && proves(store_dir, i, "output:out", false, md);
}

static bool refers_to_itself(const struct narinfo *i)
{
	for (uint32_t k = 0; k < i->n_refs; k++)
		if (!strcmp(i->refs[k], i->base))
			return true;
	return false;
}

bool nixtrust_addressed(const char *store_dir, const struct narinfo *i,
			struct nixverdict *ret)
{
	const char *ca = i->ca;
	char algo[8];

	/* a hash that leaves out the path's own name is not computed here */
	if (!ca || refers_to_itself(i))
		return false;
	ret->flat = true;
	if (!strncmp(ca, "text:", 5))
		return ca_hash(ca + 5, ret, algo) && !strcmp(algo, "sha256") &&
		       proves(store_dir, i, "text", true, ret->digest);
	if (strncmp(ca, "fixed:", 6) != 0)
		return false;
	ca += 6;
	ret->flat = strncmp(ca, "r:", 2) != 0;
	if (!ca_hash(ca + (ret->flat ? 0 : 2), ret, algo))
		return false;
	if (!ret->flat && !strcmp(algo, "sha256"))
		return proves(store_dir, i, "source", true, ret->digest);
	return !i->n_refs && proves_fixed(store_dir, i, ret, algo);
}

/* -- the verdict --------------------------------------------------------------- */

int nixtrust_check(struct nix *n, const struct narinfo *i,
		   struct nixverdict *ret)
{
	auto_free char *text = nixtrust_fingerprint(n->store_dir, i);
	const struct key *k;
	bool known = false;

	memset(ret, 0, sizeof(*ret));
	if (!text)
		return -ENOMEM;
	k = find_signer(n->trust, i->sigs, i->n_sigs, text, &known);
	if (k) {
		ret->proof = NIX_SIGNED;
		snprintf(ret->key, sizeof(ret->key), "%s", k->name);
		return 0;
	}
	if (nixtrust_addressed(n->store_dir, i, ret)) {
		ret->proof = NIX_ADDRESSED;
		return 0;
	}
	if (!n->trust->required) {
		ret->proof = NIX_UNCHECKED;
		return 0;
	}
	if (known)
		return nixfail(n, -EBADMSG, "%s: the signature does not hold: "
			       "its description was changed, or the key is "
			       "another one of that name", i->base);
	if (i->n_sigs)
		return nixfail(n, -EBADMSG, "%s: signed by %.*s%s, which is not "
			       "among trusted_public_keys", i->base,
			       (int)i->sigs[0].key_len, i->sigs[0].key,
			       i->n_sigs > 1 ? " and others" : "");
	return nixfail(n, -EBADMSG, "%s: it is not signed, and its name does "
		       "not prove its content", i->base);
}
