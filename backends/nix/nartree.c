/* SPDX-License-Identifier: Apache-2.0 */
#include "nartree.h"

#include <openssl/evp.h>

#include "nix32.h"

/* What the archive spends around things, see nar.h: a string is its length,
 * its bytes, and zeros up to a multiple of 8. */
#define MAGIC 24u      /* "nix-archive-1" */
#define OPEN 32u       /* "(" "type" */
#define CLOSE 16u      /* ")" */
#define REGULAR 16u
#define EXECUTABLE 32u /* with its empty string */
#define CONTENTS 16u
#define LENGTH 8u
#define SYMLINK 32u    /* "symlink" "target" */
#define DIRECTORY 24u
#define ENTRY 48u      /* "entry" "(" "name" */
#define NODE 16u       /* "node" */

struct nartree *nartree_new(void)
{
	return calloc(1, sizeof(struct nartree));
}

void nartree_free(struct nartree *t)
{
	if (!t)
		return;
	free(t->nodes);
	free(t->strings);
	free(t);
}

static int64_t add_string(struct nartree *t, const char *s, size_t len)
{
	size_t need, cap = t->strings_cap ? t->strings_cap : 4096;
	size_t at = t->strings_len;
	char *bigger;

	if (__builtin_add_overflow(at, len + 1, &need) || need > UINT32_MAX)
		return -E2BIG;
	while (cap < need)
		cap *= 2;
	if (cap != t->strings_cap) {
		bigger = realloc(t->strings, cap);
		if (!bigger)
			return -ENOMEM;
		t->strings = bigger;
		t->strings_cap = cap;
	}
	memcpy(t->strings + at, s, len);
	t->strings[at + len] = '\0';
	t->strings_len = need;
	return (int64_t)at;
}

int64_t nartree_add(struct nartree *t, uint8_t kind, const char *name,
		    size_t name_len)
{
	uint32_t cap = t->cap ? 2 * t->cap : 64;
	struct nartree_node *bigger;
	int64_t at;

	if (t->n >= NIX_NODES_MAX)
		return -E2BIG;
	if (t->n == t->cap) {
		bigger = realloc(t->nodes, cap * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		t->nodes = bigger;
		t->cap = cap;
	}
	at = add_string(t, name, name_len);
	if (at < 0)
		return at;
	t->nodes[t->n] = (struct nartree_node){
		.kind = kind, .name = (uint32_t)at,
		.name_len = (uint16_t)name_len, .end = t->n + 1,
	};
	return t->n++;
}

int nartree_target(struct nartree *t, uint32_t node, const char *target,
		   size_t len)
{
	int64_t at;

	if (!len || len > NIX_TARGET_MAX || memchr(target, '\0', len))
		return -EBADMSG;
	at = add_string(t, target, len);
	if (at < 0)
		return (int)at;
	t->nodes[node].target = (uint32_t)at;
	t->nodes[node].size = len;
	return 0;
}

bool nartree_good_name(const char *name, size_t len, const char *before,
		       size_t before_len)
{
	int c;

	if (!len || len > SCORPIO_NAME_MAX || memchr(name, '/', len) ||
	    memchr(name, '\0', len) || (len == 1 && *name == '.') ||
	    (len == 2 && !memcmp(name, "..", 2)))
		return false;
	if (!before)
		return true;
	c = memcmp(before, name, before_len < len ? before_len : len);
	return c < 0 || (c == 0 && before_len < len);
}

uint32_t nartree_mode(const struct nartree_node *n)
{
	if (n->kind == SCORPIO_SYMLINK)
		return 0777;
	return n->kind == SCORPIO_DIR || n->executable ? 0555 : 0444;
}

/* -- places ------------------------------------------------------------------ */

struct placing {
	struct nartree *t;
	uint64_t at;
	bool overflow;
};

static void skip(struct placing *p, uint64_t n)
{
	if (__builtin_add_overflow(p->at, n, &p->at) || p->at > INT64_MAX)
		p->overflow = true;
}

/* The bytes of a string after its length, with the zeros. */
static void skip_padded(struct placing *p, uint64_t n)
{
	if (n > INT64_MAX)
		p->overflow = true;
	else
		skip(p, (n + 7) / 8 * 8);
}

/* From the node's "(" to where its children, its bytes or its ")" are. */
static void open_node(struct placing *p, struct nartree_node *n)
{
	skip(p, OPEN);
	if (n->kind == SCORPIO_DIR) {
		skip(p, DIRECTORY);
		return;
	}
	if (n->kind == SCORPIO_FILE)
		skip(p, REGULAR + (n->executable ? EXECUTABLE : 0) + CONTENTS);
	else
		skip(p, SYMLINK);
	skip(p, LENGTH);
	n->offset = p->at;
	skip_padded(p, n->size);
	skip(p, CLOSE);
}

/* Directories that end before node `next` begins; returns how many are open. */
static uint32_t close_dirs(struct placing *p, const uint32_t *open,
			   uint32_t depth, uint32_t next)
{
	while (depth && p->t->nodes[open[depth - 1]].end <= next) {
		skip(p, CLOSE);
		if (--depth)
			skip(p, CLOSE); /* of the entry around it */
	}
	return depth;
}

static int place(struct nartree *t)
{
	uint32_t open[NIX_DEPTH_MAX + 1], depth = 0;
	struct placing p = { .t = t, .at = MAGIC };

	for (uint32_t i = 0; i < t->n; i++) {
		struct nartree_node *n = &t->nodes[i];

		if (i) {
			skip(&p, ENTRY + LENGTH);
			skip_padded(&p, n->name_len);
			skip(&p, NODE);
		}
		open_node(&p, n);
		if (n->kind == SCORPIO_DIR) {
			if (depth > NIX_DEPTH_MAX)
				return -E2BIG;
			open[depth++] = i;
		} else if (i) {
			skip(&p, CLOSE);
		}
		depth = close_dirs(&p, open, depth, i + 1);
	}
	t->size = p.at;
	return p.overflow ? -EOVERFLOW : 0;
}

/* One node as it is hashed: all that is not a place. */
static int digest_node(EVP_MD_CTX *md, const struct nartree *t, uint32_t i)
{
	const struct nartree_node *n = &t->nodes[i];
	uint64_t head[4] = { n->kind | (uint64_t)n->executable << 8, n->size,
			     n->end, n->name_len };

	if (EVP_DigestUpdate(md, head, sizeof(head)) != 1 ||
	    EVP_DigestUpdate(md, nartree_name(t, i), n->name_len) != 1)
		return -ENOMEM;
	if (n->kind == SCORPIO_SYMLINK &&
	    EVP_DigestUpdate(md, nartree_link(t, i), n->size) != 1)
		return -ENOMEM;
	return 0;
}

static int digest(struct nartree *t)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int rc = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
			 ? 0
			 : -ENOMEM;

	for (uint32_t i = 0; i < t->n && !rc; i++)
		rc = digest_node(md, t, i);
	if (!rc && EVP_DigestFinal_ex(md, t->digest, NULL) != 1)
		rc = -ENOMEM;
	EVP_MD_CTX_free(md);
	return rc;
}

int nartree_finish(struct nartree *t)
{
	int rc = t->n ? place(t) : -EBADMSG;

	return rc ? rc : digest(t);
}

/* -- ids --------------------------------------------------------------------- */

static void put_be(uint8_t *p, uint32_t v, unsigned n)
{
	while (n--) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

static uint32_t get_be(const uint8_t *p, unsigned n)
{
	uint32_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

struct scorpio_id nixid_make(const struct nixid *x)
{
	struct scorpio_id id = { .len = 1 };
	uint8_t *p = id.bytes;

	*p++ = (uint8_t)x->what;
	if (x->what == NIXID_ROOT)
		return id;
	memcpy(p, x->hash, NIX_HASH);
	id.len = 1 + NIX_HASH;
	if (x->what == NIXID_BUCKET)
		return id;
	id.len = NIXID_LEN;
	p += NIX_HASH;
	if (x->what == NIXID_PART) {
		memcpy(p, x->tag, NIXID_PART_TAG);
		put_be(p + NIXID_PART_TAG, x->node, 3);
		put_be(p + NIXID_PART_TAG + 3, x->part, 3);
	} else {
		memcpy(p, x->tag, NIXID_TAG);
		put_be(p + NIXID_TAG, x->node, 4);
	}
	return id;
}

bool nixid_parse(const struct scorpio_id *id, struct nixid *ret)
{
	const uint8_t *p = id->bytes;

	if (!id->len || id->len > SCORPIO_ID_MAX)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->what = (enum nixid_what)*p++;
	if (ret->what == NIXID_ROOT)
		return id->len == 1;
	if (id->len < 1 + NIX_HASH)
		return false;
	memcpy(ret->hash, p, NIX_HASH);
	if (ret->what == NIXID_BUCKET)
		return id->len == 1 + NIX_HASH;
	if (id->len != NIXID_LEN)
		return false;
	p += NIX_HASH;
	if (ret->what == NIXID_PART) {
		memcpy(ret->tag, p, NIXID_PART_TAG);
		ret->node = get_be(p + NIXID_PART_TAG, 3);
		ret->part = get_be(p + NIXID_PART_TAG + 3, 3);
		return true;
	}
	memcpy(ret->tag, p, NIXID_TAG);
	ret->node = get_be(p + NIXID_TAG, 4);
	return ret->what == NIXID_NODE;
}

bool nixid_of_tree(const struct nixid *x, const uint8_t tag[NIXID_TAG])
{
	return (x->what == NIXID_NODE && !memcmp(x->tag, tag, NIXID_TAG)) ||
	       (x->what == NIXID_PART && !memcmp(x->tag, tag, NIXID_PART_TAG));
}

void nixid_tag(const uint8_t nar_hash[NIX_SHA256], const struct nartree *t,
	       uint8_t out[NIXID_TAG])
{
	uint8_t both[2 * NIX_SHA256], md[NIX_SHA256];

	memcpy(both, nar_hash, NIX_SHA256);
	memcpy(both + NIX_SHA256, t->digest, NIX_SHA256);
	EVP_Digest(both, sizeof(both), md, NULL, EVP_sha256(), NULL);
	memcpy(out, md, NIXID_TAG);
}
