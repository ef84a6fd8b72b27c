/* SPDX-License-Identifier: Apache-2.0 */
#include "ctx.h"

#include "ids.h"

#include <openssl/evp.h>

#define PART (16u << 10) /* of a text in one fact */
#define SLOTS 4096u
#define SETS_MAX 200000u

struct set {
	struct set *next;
	uint8_t hash[LFS_OID_LEN];
	size_t hash_len; /* of it, that ids carry */
	struct lfsrules *rules;
};

struct lfsctx {
	pthread_mutex_t lock;
	struct set *slots[SLOTS]; /* lock; members never change */
	uint32_t n;		  /* lock */
};

int lfsctx_new(struct lfs *s, struct lfsctx **ret)
{
	struct lfsctx *c = calloc(1, sizeof(*c));

	if (!c)
		return lfs_nomem(s);
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void lfsctx_free(struct lfsctx *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct set *x, *next;

		for (x = c->slots[i]; x; x = next) {
			next = x->next;
			lfsrules_free(x->rules);
			free(x);
		}
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* -- the table ------------------------------------------------------------------ */

static struct set **slot_of(struct lfsctx *c, const uint8_t *hash)
{
	return &c->slots[(hash[0] | hash[1] << 8) % SLOTS];
}

static const struct lfsrules *look(struct lfsctx *c, const uint8_t *hash,
				   size_t len)
{
	const struct lfsrules *found = NULL;

	pthread_mutex_lock(&c->lock);
	for (struct set *x = *slot_of(c, hash); x && !found; x = x->next)
		if (x->hash_len == len && !memcmp(x->hash, hash, len))
			found = x->rules;
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* Another thread may have been faster: then its set is the one. */
static int insert(struct lfs *s, const uint8_t *hash, size_t len,
		  struct lfsrules *r, const struct lfsrules **ret)
{
	struct lfsctx *c = s->ctx;
	struct set *x = calloc(1, sizeof(*x)), *at;
	int rc = x ? 0 : -ENOMEM;

	pthread_mutex_lock(&c->lock);
	for (at = *slot_of(c, hash); at; at = at->next)
		if (at->hash_len == len && !memcmp(at->hash, hash, len))
			break;
	if (!at && c->n >= SETS_MAX)
		rc = -EFBIG;
	if (!at && rc == 0) {
		memcpy(x->hash, hash, len);
		x->hash_len = len;
		x->rules = r;
		x->next = *slot_of(c, hash);
		*slot_of(c, hash) = x;
		c->n++;
	}
	pthread_mutex_unlock(&c->lock);
	if (at || rc) {
		free(x);
		lfsrules_free(r);
	}
	if (rc)
		return lfsfail(s, rc, "too many different .gitattributes");
	*ret = at ? at->rules : r;
	return 0;
}

/* -- in the store ---------------------------------------------------------------- */

static void fact_name(const uint8_t *hash, size_t len, unsigned part,
		      char out[100])
{
	char hex[2 * LFS_OID_LEN + 1];

	lfs_hex(hash, len, hex);
	snprintf(out, 100, "lfs/ctx/%s/%u", hex, part);
}

/* All parts; one shorter than PART, or none, ends them. -ENOENT if there is not
 * even a first. */
static int recall(struct lfs *s, const uint8_t *hash, size_t len,
		  struct lfsbuf *out)
{
	auto_free char *buf = malloc(PART);
	char name[100];
	int64_t n = PART;

	if (!buf)
		return lfs_nomem(s);
	for (unsigned part = 0; n == PART; part++) {
		fact_name(hash, len, part, name);
		n = s->host->recall(s->host, name, buf, PART);
		if (n == -ENOENT && part)
			break;
		if (n < 0)
			return (int)n;
		lfsbuf_put(out, buf, (size_t)(n < PART ? n : PART));
		if (out->n > LFSRULES_TEXT_MAX)
			return -EBADMSG;
	}
	return out->broken ? lfs_nomem(s) : 0;
}

static int remember(struct lfs *s, const uint8_t *hash, size_t len,
		    const struct lfsbuf *text)
{
	auto_lfsbuf struct lfsbuf old = { 0 };
	char name[100];
	int rc = recall(s, hash, len, &old);

	if (rc == -ENOTSUP)
		return 0; /* no store: nothing outlives us */
	if (rc == 0 && old.n == text->n && !memcmp(old.p, text->p, old.n))
		return 0;
	if (rc == 0)
		return lfsfail(s, -EIO, "two sets of .gitattributes have the "
			       "same short hash; mount with --no-lfs");
	for (size_t at = 0; at < text->n; at += PART) {
		size_t n = text->n - at < PART ? text->n - at : PART;

		fact_name(hash, len, (unsigned)(at / PART), name);
		rc = s->host->remember(s->host, name, text->p + at, n);
		if (rc)
			return rc;
	}
	return 0;
}

/* The store may have been begun anew since: what is written to it now must be
 * understood by a later daemon too. */
static int remember_again(struct lfs *s, const uint8_t *hash, size_t len,
			  const struct lfsbuf *text)
{
	char name[100], byte;

	fact_name(hash, len, 0, name);
	if (s->host->recall(s->host, name, &byte, 1) != -ENOENT)
		return 0;
	return remember(s, hash, len, text);
}

/* -- what others call ------------------------------------------------------------ */

static int hash_text(struct lfs *s, const struct lfsbuf *text,
		     uint8_t ret[LFS_OID_LEN])
{
	return EVP_Digest(text->p, text->n, ret, NULL, EVP_sha256(), NULL) ?
		       0 :
		       lfs_nomem(s);
}

int lfsctx_intern(struct lfs *s, struct lfsrules *r,
		  const struct scorpio_id *below, const struct lfsrules **ret,
		  uint8_t ret_hash[LFS_OID_LEN])
{
	size_t len = lfsid_hash_len(below);
	auto_lfsbuf struct lfsbuf text = { 0 };
	int rc = lfsrules_write(r, &text);

	if (rc == -EFBIG)
		rc = lfsfail(s, rc, "the .gitattributes name too many files "
			     "for LFS; mount with --no-lfs");
	else if (rc == 0)
		rc = hash_text(s, &text, ret_hash);
	if (rc == 0) {
		*ret = look(s->ctx, ret_hash, len);
		if (*ret) {
			lfsrules_free(r);
			return remember_again(s, ret_hash, len, &text);
		}
		rc = remember(s, ret_hash, len, &text);
	}
	if (rc) {
		lfsrules_free(r);
		return rc;
	}
	return insert(s, ret_hash, len, r, ret);
}

int lfsctx_find(struct lfs *s, const struct scorpio_id *below,
		const uint8_t *hash, const struct lfsrules **ret)
{
	size_t len = lfsid_hash_len(below);
	auto_lfsbuf struct lfsbuf text = { 0 };
	uint8_t real[LFS_OID_LEN];
	struct lfsrules *r = NULL;
	int rc;

	*ret = look(s->ctx, hash, len);
	if (*ret)
		return 0;
	rc = recall(s, hash, len, &text);
	if (rc == 0)
		rc = hash_text(s, &text, real);
	if (rc == 0 && memcmp(real, hash, len))
		rc = -EBADMSG; /* only a part of it was written */
	if (rc == 0)
		rc = lfsrules_read(text.p, text.n, &r);
	if (rc)
		return lfsfail(s, -ESTALE, "what .gitattributes say of this "
			       "directory is not in the store any more");
	return insert(s, hash, len, r, ret);
}
