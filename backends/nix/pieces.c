/* SPDX-License-Identifier: Apache-2.0 */
#include "pieces.h"

#include "nix32.h"

#define MAGIC "scorpio-pieces 1\n"
#define LINE_MAX_BYTES 512u

struct lines {
	struct pieces *out;
	bool hash, size, tree;
};

void pieces_done(struct pieces *p)
{
	if (!p)
		return;
	free(p->hash);
	p->hash = NULL;
}

char *pieces_fingerprint(const struct pieces *p)
{
	char b32[NIX32_SHA256 + 1], tree[2 * NIX_SHA256 + 1];
	char list[2 * NIX_SHA256 + 1], *text;
	uint8_t md[NIX_SHA256];

	if (EVP_Digest(p->hash, (size_t)p->n * NIX_SHA256, md, NULL,
		       EVP_sha256(), NULL) != 1)
		return NULL;
	return asprintf(&text, "scorpio-pieces;1;sha256:%s;%llu;%s;%s",
			nix32_encode(p->nar_hash, NIX_SHA256, b32),
			(unsigned long long)p->nar_size,
			nixhex_encode(p->tree, NIX_SHA256, tree),
			nixhex_encode(md, NIX_SHA256, list)) < 0
		       ? NULL
		       : text;
}

static bool read_size(const char *v, size_t n, uint64_t *ret)
{
	uint64_t x = 0;

	if (!n || n > 18)
		return false;
	for (; n; n--, v++) {
		if (*v < '0' || *v > '9')
			return false;
		x = x * 10 + (uint64_t)(*v - '0');
	}
	*ret = x;
	return x;
}

static bool read_sig(struct pieces *p, const char *v, size_t n)
{
	const char *colon = memchr(v, ':', n);
	struct narinfo_sig *s = &p->sigs[p->n_sigs];

	if (!colon || colon == v ||
	    p->n_sigs == sizeof(p->sigs) / sizeof(*p->sigs) ||
	    !nix64_decode(colon + 1, n - (size_t)(colon + 1 - v), s->bytes,
			  sizeof(s->bytes)))
		return false;
	s->key = v;
	s->key_len = (uint32_t)(colon - v);
	p->n_sigs++;
	return true;
}

static bool key_is(const char *line, size_t n, const char *key,
		   const char **ret_v, size_t *ret_n)
{
	size_t k = strlen(key);

	if (n < k || memcmp(line, key, k) != 0)
		return false;
	*ret_v = line + k;
	*ret_n = n - k;
	return true;
}

static bool read_line(struct lines *l, const char *line, size_t n)
{
	struct pieces *p = l->out;
	const char *v;
	size_t len;

	if (key_is(line, n, "Sig: ", &v, &len))
		return read_sig(p, v, len);
	if (key_is(line, n, "NarHash: ", &v, &len) && !l->hash)
		return l->hash = nixhash_sha256(v, len, p->nar_hash);
	if (key_is(line, n, "NarSize: ", &v, &len) && !l->size)
		return l->size = read_size(v, len, &p->nar_size);
	if (key_is(line, n, "Tree: ", &v, &len) && !l->tree)
		return l->tree = nixhex_decode(v, len, p->tree, NIX_SHA256);
	return false;
}

int pieces_parse(const char *text, size_t len, struct pieces *ret,
		 const char **why)
{
	struct pieces p = { .n = 0 };
	struct lines l = { .out = &p };
	size_t at = strlen(MAGIC);

	*why = "it is no list of pieces";
	if (len < at || memcmp(text, MAGIC, at) != 0)
		return -EBADMSG;
	for (;;) {
		const char *lf = memchr(text + at, '\n', len - at);
		size_t n = lf ? (size_t)(lf - text) - at : len;

		if (!lf || n > LINE_MAX_BYTES)
			return -EBADMSG;
		at += n + 1;
		if (!n)
			break;
		if (!read_line(&l, lf - n, n))
			return -EBADMSG;
	}
	*why = "it is not complete";
	if (!l.hash || !l.size || !l.tree || !p.n_sigs ||
	    pieces_count(p.nar_size) > PIECES_MAX / NIX_SHA256 ||
	    len - at != pieces_count(p.nar_size) * NIX_SHA256)
		return -EBADMSG;
	p.n = (uint32_t)pieces_count(p.nar_size);
	p.hash = malloc(len - at);
	if (!p.hash)
		return -ENOMEM;
	memcpy(p.hash, text + at, len - at);
	*ret = p;
	return 0;
}
