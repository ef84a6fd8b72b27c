/* SPDX-License-Identifier: Apache-2.0 */
#include "nixcache.h"

#include <jansson.h>

#include "nar.h"
#include "nix32.h"

struct check {
	struct nixcache_role *role;
	struct unpack *unpack;
	struct nar *nar;
	EVP_MD_CTX *plain, *packed, *piece;
	struct sum sum;
	/* what proof.c serves: the tree's digest, then a hash for each piece */
	uint8_t (*pieces)[NIX_SHA256];
	size_t n_pieces, cap_pieces;
};

/* The piece that was fed is complete. */
static int end_piece(struct check *k)
{
	uint8_t (*more)[NIX_SHA256];

	if (k->n_pieces + 1 >= k->cap_pieces) {
		k->cap_pieces = k->cap_pieces ? 2 * k->cap_pieces : 64;
		more = realloc(k->pieces, k->cap_pieces * NIX_SHA256);
		if (!more)
			return -ENOMEM;
		k->pieces = more;
	}
	return EVP_DigestFinal_ex(k->piece, k->pieces[++k->n_pieces], NULL) !=
				       1 ||
			       EVP_DigestInit_ex(k->piece, EVP_sha256(),
						 NULL) != 1
		       ? -ENOMEM
		       : 0;
}

/* Bytes of the plain archive from `at` on. */
static int feed_pieces(struct check *k, uint64_t at, const uint8_t *p, size_t n)
{
	int rc = 0;

	while (n && !rc) {
		size_t room = PIECES_BYTES - (size_t)(at % PIECES_BYTES);
		size_t part = n < room ? n : room;

		if (EVP_DigestUpdate(k->piece, p, part) != 1)
			return -ENOMEM;
		at += part;
		p += part;
		n -= part;
		if (part == room)
			rc = end_piece(k);
	}
	return rc;
}

static int on_plain(void *ctx, const void *p, size_t n)
{
	struct check *k = ctx;
	int rc;

	if (n > k->role->nar_max - k->sum.nar_size)
		return rolefail(k->role, -EFBIG, "an archive of more than %llu "
				"bytes", (unsigned long long)k->role->nar_max);
	if (EVP_DigestUpdate(k->plain, p, n) != 1 ||
	    feed_pieces(k, k->sum.nar_size, p, n))
		return -ENOMEM;
	k->sum.nar_size += n;
	rc = nar_feed(k->nar, p, n);
	return rc == -EBADMSG || rc == -E2BIG ?
		       rolefail(k->role, -EBADMSG, "not a proper archive: %s",
				nar_why(k->nar)) : rc;
}

struct check *check_new(struct nixcache_role *s, enum unpack_kind kind)
{
	struct check *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->role = s;
	k->sum.kind = kind;
	k->unpack = unpack_new(kind, on_plain, k);
	k->nar = nar_new(NULL, NULL);
	k->plain = EVP_MD_CTX_new();
	k->packed = EVP_MD_CTX_new();
	k->piece = EVP_MD_CTX_new();
	if (k->unpack && k->nar && k->plain && k->packed && k->piece &&
	    EVP_DigestInit_ex(k->piece, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestInit_ex(k->plain, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestInit_ex(k->packed, EVP_sha256(), NULL) == 1)
		return k;
	check_free(k);
	return NULL;
}

void check_free(struct check *k)
{
	if (!k)
		return;
	unpack_free(k->unpack);
	nar_free(k->nar);
	EVP_MD_CTX_free(k->plain);
	EVP_MD_CTX_free(k->packed);
	EVP_MD_CTX_free(k->piece);
	free(k->pieces);
	free(k);
}

int check_feed(struct check *k, const void *p, size_t n)
{
	uint64_t before = k->sum.nar_size;
	int rc;

	if (EVP_DigestUpdate(k->packed, p, n) != 1)
		return -ENOMEM;
	k->sum.file_size += n;
	rc = unpack_feed(k->unpack, p, n);
	/* else on_plain said why */
	if (rc == -EBADMSG && k->sum.nar_size == before)
		rc = rolefail(k->role, rc, "it is not sound %s data",
			      unpack_name(k->sum.kind));
	return rc;
}

int check_end(struct check *k, struct sum *ret, struct nartree **ret_tree)
{
	int rc = unpack_end(k->unpack);

	if (rc)
		return rolefail(k->role, -EBADMSG, "the archive is cut off");
	if (EVP_DigestFinal_ex(k->plain, k->sum.nar_hash, NULL) != 1 ||
	    EVP_DigestFinal_ex(k->packed, k->sum.file_hash, NULL) != 1)
		return -ENOMEM;
	rc = nar_end(k->nar, ret_tree);
	if (rc)
		return rolefail(k->role, -EBADMSG, "not a proper archive: %s",
				nar_why(k->nar));
	if (k->sum.nar_size % PIECES_BYTES && end_piece(k))
		return -ENOMEM;
	memcpy(k->pieces[0], (*ret_tree)->digest, NIX_SHA256);
	*ret = k->sum;
	return 0;
}

int check_keep(struct nixcached *c, int fd, const char *name,
	       const struct check *k)
{
	auto_free char *path = NULL, *pieces = NULL;
	int rc = sum_write(c, name, &k->sum);

	if (!rc && asprintf(&pieces, "nar/.%s.pieces", name) < 0) {
		pieces = NULL;
		rc = -ENOMEM;
	}
	if (!rc)
		rc = file_write(c, pieces, k->pieces,
				(k->n_pieces + 1) * NIX_SHA256);

	if (!rc && asprintf(&path, "nar/%s", name) < 0) {
		path = NULL;
		rc = -ENOMEM;
	}
	return rc ? rc : file_name(c, fd, path);
}

/* -- listings ------------------------------------------------------------------------- */

static json_t *node_json(const struct nartree *t, uint32_t i)
{
	const struct nartree_node *x = &t->nodes[i];
	json_t *v = json_object(), *entries;

	if (x->kind == SCORPIO_SYMLINK) {
		json_object_set_new(v, "type", json_string("symlink"));
		json_object_set_new(v, "target",
				    json_stringn(nartree_link(t, i), x->size));
		return v;
	}
	if (x->kind == SCORPIO_FILE) {
		json_object_set_new(v, "type", json_string("regular"));
		json_object_set_new(v, "size", json_integer((json_int_t)x->size));
		if (x->executable)
			json_object_set_new(v, "executable", json_true());
		json_object_set_new(v, "narOffset",
				    json_integer((json_int_t)x->offset));
		return v;
	}
	entries = json_object();
	for (uint32_t k = i + 1; k < x->end; k = t->nodes[k].end) {
		char name[256];

		memcpy(name, nartree_name(t, k), t->nodes[k].name_len);
		name[t->nodes[k].name_len] = '\0';
		/* fails for a name that JSON cannot hold: no listing then */
		if (json_object_set_new(entries, name, node_json(t, k))) {
			json_decref(entries);
			json_decref(v);
			return NULL;
		}
	}
	json_object_set_new(v, "type", json_string("directory"));
	json_object_set_new(v, "entries", entries);
	return v;
}

char *listing_text(const struct nartree *t)
{
	json_t *root = node_json(t, 0), *v;
	char *text;

	if (!root)
		return NULL;
	v = json_pack("{s:i,s:o}", "version", 1, "root", root);
	text = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	return text;
}
