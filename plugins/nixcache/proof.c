/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.c - signed lists of the hashes of an archive's pieces, with which a
 * range of it can be checked alone (backends/nix/pieces.h). Made while an
 * archive is checked on arrival; of what is not here yet, that of an upstream.
 */
#include "nixcache.h"

#include "nix32.h"

char *key_sign(const struct nixkey *k, const char *text)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char b64[96];
	uint8_t sig[64];
	size_t len = sizeof(sig);
	char *out = NULL;

	if (c && EVP_DigestSignInit(c, NULL, NULL, NULL, k->key) == 1 &&
	    EVP_DigestSign(c, sig, &len, (const uint8_t *)text,
			   strlen(text)) == 1) {
		EVP_EncodeBlock(b64, sig, (int)len);
		if (asprintf(&out, "%s:%s", k->name, b64) < 0)
			out = NULL;
	}
	EVP_MD_CTX_free(c);
	return out;
}

/* What was noted when the archive was checked. */
static int read_pieces(struct nixcached *c, const struct narinfo *i,
		       struct pieces *p)
{
	auto_free char *path = NULL, *raw = NULL;
	size_t len;
	int rc;

	if (strncmp(i->url, "nar/", 4) != 0)
		return -ENOENT;
	if (asprintf(&path, "nar/.%s.pieces", i->url + 4) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	rc = file_read(c, path, PIECES_MAX, &raw, &len);
	if (rc)
		return rc;
	if (len != (pieces_count(i->nar_size) + 1) * NIX_SHA256)
		return rolefail(c->role, -EIO, "%s is damaged", path);
	p->n = (uint32_t)pieces_count(i->nar_size);
	p->nar_size = i->nar_size;
	memcpy(p->nar_hash, i->nar_hash, NIX_SHA256);
	memcpy(p->tree, raw, NIX_SHA256);
	p->hash = malloc(len);
	if (!p->hash)
		return -ENOMEM;
	memcpy(p->hash, raw + NIX_SHA256, len - NIX_SHA256);
	return 0;
}

static int write_pieces(struct nixcache_role *s, const struct pieces *p,
			char **ret, size_t *ret_len)
{
	char b32[NIX32_SHA256 + 1], hex[2 * NIX_SHA256 + 1];
	auto_free char *print = pieces_fingerprint(p);
	FILE *f = print ? open_memstream(ret, ret_len) : NULL;
	int rc = 0;

	if (!f)
		return -ENOMEM;
	fprintf(f, "scorpio-pieces 1\nNarHash: sha256:%s\nNarSize: %llu\n"
		"Tree: %s\n", nix32_encode(p->nar_hash, NIX_SHA256, b32),
		(unsigned long long)p->nar_size,
		nixhex_encode(p->tree, NIX_SHA256, hex));
	for (unsigned k = 0; k < s->n_keys && !rc; k++) {
		auto_free char *sig = key_sign(&s->keys[k], print);

		rc = sig ? 0 : -ENOMEM;
		if (sig)
			fprintf(f, "Sig: %s\n", sig);
	}
	fputc('\n', f);
	fwrite(p->hash, NIX_SHA256, p->n, f);
	if (fclose(f))
		rc = -ENOMEM;
	if (rc) {
		free(*ret);
		*ret = NULL;
	}
	return rc;
}

static int our_pieces(struct nixcached *c, const char *hash, char **ret,
		      size_t *ret_len)
{
	char file[NIX_HASH_TEXT + sizeof(".narinfo")];
	auto_free char *text = NULL;
	struct pieces p = { .n = 0 };
	struct narinfo *i = NULL;
	const char *why;
	int rc;

	snprintf(file, sizeof(file), "%.32s.narinfo", hash);
	rc = info_text(c, file, &text);
	if (!rc && narinfo_parse(text, strlen(text), c->role->format.store_dir,
				 &i, &why))
		rc = -ENOENT;
	if (!rc)
		rc = c->role->n_keys ? read_pieces(c, i, &p) : -ENOENT;
	if (!rc)
		rc = write_pieces(c->role, &p, ret, ret_len);
	pieces_done(&p);
	narinfo_free(i);
	return rc;
}

int send_pieces(struct nixcached *c, struct scorpio_request *r,
		const char *hash)
{
	static const char *const headers[] = {
		"Content-Type: application/octet-stream", NULL };
	struct nixcache_role *s = c->role;
	char file[NIX_HASH_TEXT + sizeof(".pieces")];
	auto_free char *text = NULL;
	size_t len = 0;
	int rc;

	if (!file_name_ok(hash))
		return send_status(s, r, 404, "404\n");
	snprintf(file, sizeof(file), "%.32s.pieces", hash);
	rc = our_pieces(c, hash, &text, &len);
	if (rc == -ENOENT)
		rc = file_read(c, file, PIECES_MAX, &text, &len);
	if (rc == -ENOENT) {
		rc = pull_text(c, file, PIECES_MAX, &text, &len);
		if (!rc)
			rc = file_write(c, file, text, len);
	}
	/* without it more is transferred, and nothing else is lost */
	return rc ? send_status(s, r, 404, "404\n")
		  : s->http->reply(r, 200, headers, text, len);
}

char *key_public(const struct nixkey *k)
{
	unsigned char b64[64];
	uint8_t raw[32];
	size_t len = sizeof(raw);
	char *out;

	if (EVP_PKEY_get_raw_public_key(k->key, raw, &len) != 1)
		return NULL;
	EVP_EncodeBlock(b64, raw, (int)len);
	return asprintf(&out, "%s:%s", k->name, b64) < 0 ? NULL : out;
}
