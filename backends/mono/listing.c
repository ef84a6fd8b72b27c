/* SPDX-License-Identifier: Apache-2.0 */
#include "listing.h"

#include <openssl/evp.h>

#define NAMES_MAX (1u << 30)

void monolist_done(struct monolist *l)
{
	free(l->e);
	free(l->names);
	memset(l, 0, sizeof(*l));
}

static bool grow(void *p, size_t *cap, size_t need, size_t size)
{
	void **at = p, *bigger;
	size_t n = *cap ? *cap : 64;

	if (need <= *cap)
		return true;
	while (n < need)
		n *= 2;
	bigger = reallocarray(*at, n, size);
	if (!bigger)
		return false;
	*at = bigger;
	*cap = n;
	return true;
}

static bool name_ok(const char *name, size_t n)
{
	return n && !memchr(name, '/', n) && !memchr(name, 0, n) &&
	       !(n == 1 && name[0] == '.') &&
	       !(n == 2 && name[0] == '.' && name[1] == '.');
}

static bool mode_ok(uint32_t mode)
{
	switch (mode & 0170000u) {
	case 0:
		return mode == 0;
	case 0100000u:
		return !(mode & 07000);
	case MONO_MODE_DIR:
	case MONO_MODE_LINK:
	case MONO_MODE_SUB:
		return !(mode & 07777);
	default:
		return false;
	}
}

int monolist_add(struct monolist *l, const char *name, size_t name_len,
		 uint32_t mode, const uint8_t *oid, uint64_t size)
{
	struct monoentry *e;

	if (!name_ok(name, name_len) || !mode_ok(mode) ||
	    name_len > NAMES_MAX - l->names_len)
		return -EBADMSG;
	if (!grow(&l->e, &l->cap, l->n + 1, sizeof(*l->e)) ||
	    !grow(&l->names, &l->names_cap, l->names_len + name_len, 1))
		return -ENOMEM;
	e = &l->e[l->n++];
	e->name_at = (uint32_t)l->names_len;
	e->name_len = (uint32_t)name_len;
	e->mode = mode;
	e->size = size;
	memcpy(e->oid, oid, MONO_OID);
	memcpy(l->names + l->names_len, name, name_len);
	l->names_len += name_len;
	return 0;
}

/* -- order ----------------------------------------------------------------- */

/* git's: a directory compares as if its name ended in '/' */
static int compare(const void *pa, const void *pb, void *names)
{
	const struct monoentry *a = pa, *b = pb;
	const char *na = (char *)names + a->name_at;
	const char *nb = (char *)names + b->name_at;
	uint32_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c = memcmp(na, nb, n);
	unsigned char ca, cb;

	if (c)
		return c;
	ca = a->name_len > n	       ? (unsigned char)na[n]
	     : a->mode == MONO_MODE_DIR ? '/'
				       : 0;
	cb = b->name_len > n	       ? (unsigned char)nb[n]
	     : b->mode == MONO_MODE_DIR ? '/'
				       : 0;
	if (ca != cb)
		return ca < cb ? -1 : 1;
	return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

static int by_name(const void *pa, const void *pb, void *names)
{
	const struct monoentry *a = pa, *b = pb;
	uint32_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c = memcmp((char *)names + a->name_at, (char *)names + b->name_at,
		       n);

	if (c)
		return c;
	return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

int monolist_sort(struct monolist *l)
{
	if (!l->n)
		return 0;
	qsort_r(l->e, l->n, sizeof(*l->e), by_name, l->names);
	for (size_t i = 1; i < l->n; i++)
		if (by_name(&l->e[i - 1], &l->e[i], l->names) == 0)
			return -EBADMSG;
	qsort_r(l->e, l->n, sizeof(*l->e), compare, l->names);
	return 0;
}

const struct monoentry *monolist_find(const struct monolist *l,
				      const char *name, size_t n)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->e[i].name_len == n &&
		    memcmp(monolist_name(l, &l->e[i]), name, n) == 0)
			return &l->e[i];
	return NULL;
}

bool monolist_same(const struct monolist *a, const struct monolist *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct monoentry *x = &a->e[i], *y = &b->e[i];

		if (x->name_len != y->name_len ||
		    memcmp(monolist_name(a, x), monolist_name(b, y),
			   x->name_len) != 0 ||
		    memcmp(x->oid, y->oid, MONO_OID) != 0 ||
		    (x->mode == MONO_MODE_DIR) != (y->mode == MONO_MODE_DIR))
			return false;
	}
	return true;
}

/* -- git trees ------------------------------------------------------------- */

struct reader {
	const uint8_t *p, *end;
	const char *why;
};

static bool read_mode(struct reader *r, uint32_t *ret)
{
	uint32_t mode = 0;
	unsigned digits = 0;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '7' && digits < 7) {
		mode = mode << 3 | (uint32_t)(*r->p++ - '0');
		digits++;
	}
	*ret = mode;
	return digits && mode && r->p < r->end && *r->p++ == ' ';
}

static int read_entry(struct reader *r, struct monolist *l)
{
	const uint8_t *nul;
	const char *name;
	uint32_t mode;
	int rc;

	r->why = "an entry has no mode";
	if (!read_mode(r, &mode))
		return -EBADMSG;
	r->why = "it ends in the middle of an entry";
	name = (const char *)r->p;
	nul = memchr(r->p, 0, (size_t)(r->end - r->p));
	if (!nul || (size_t)(r->end - nul) < 1 + MONO_OID)
		return -EBADMSG;
	r->why = "an entry has an impossible name or mode";
	r->p = nul + 1 + MONO_OID;
	if (nul == (const uint8_t *)name)
		return 0;
	rc = monolist_add(l, name, (size_t)(nul - (const uint8_t *)name), mode,
			  nul + 1, SCORPIO_SIZE_UNKNOWN);
	return rc;
}

int monolist_parse_tree(struct monolist *l, const void *raw, size_t len,
			const char **why)
{
	struct reader r = { .p = raw, .end = (const uint8_t *)raw + len };
	int rc = 0;

	while (rc == 0 && r.p < r.end)
		rc = read_entry(&r, l);
	if (rc == 0 && (rc = monolist_sort(l)) < 0)
		r.why = "a name is there twice";
	if (rc < 0) {
		*why = rc == -ENOMEM ? "out of memory" : r.why;
		monolist_done(l);
	}
	return rc;
}

char *monolist_tree(const struct monolist *l, size_t *ret_len, size_t *ret_at)
{
	/* the longest mode, a blank, a NUL */
	char *out = malloc(l->names_len + l->n * (7 + 2 + MONO_OID) + 1);
	char *p = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		const struct monoentry *e = &l->e[i];

		if (ret_at)
			ret_at[i] = (size_t)(p - out);
		p += snprintf(p, 9, "%o ",
			      (unsigned)(e->mode ? e->mode : MONO_MODE_FILE));
		memcpy(p, monolist_name(l, e), e->name_len);
		p += e->name_len;
		*p++ = 0;
		memcpy(p, e->oid, MONO_OID);
		p += MONO_OID;
	}
	*ret_len = (size_t)(p - out);
	return out;
}

void monotree_id(const void *raw, size_t len, uint8_t ret[MONO_OID])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	char head[32];
	int n = snprintf(head, sizeof(head), "tree %zu", len) + 1;

	memset(ret, 0, MONO_OID);
	if (c && EVP_DigestInit_ex(c, EVP_sha1(), NULL) &&
	    EVP_DigestUpdate(c, head, (size_t)n) &&
	    EVP_DigestUpdate(c, raw, len))
		EVP_DigestFinal_ex(c, ret, NULL);
	EVP_MD_CTX_free(c);
}
