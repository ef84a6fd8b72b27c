/* SPDX-License-Identifier: Apache-2.0 */
#include "modes.h"

#include <openssl/evp.h>

#define BUDGET (48u << 20) /* bytes hashed */

static const uint32_t modes[] = { MONO_MODE_FILE, MONO_MODE_EXEC,
				  MONO_MODE_LINK, MONO_MODE_SUB };
#define MODES (sizeof(modes) / sizeof(*modes))

/* All modes tried have six digits, so the body's length never changes. */
struct solver {
	struct monolist *l;
	const uint8_t *want;
	char *body;
	size_t len;
	size_t *at;     /* where the mode of each entry stands */
	size_t *open;   /* entries that the hints do not settle */
	size_t n_open;
	size_t left;    /* of the budget */
	EVP_MD_CTX *md; /* after the header */
	EVP_MD_CTX *work;
};

static void set(struct solver *s, size_t i, uint32_t mode)
{
	char text[9];

	s->l->e[i].mode = mode;
	snprintf(text, sizeof(text), "%06o", (unsigned)mode);
	memcpy(s->body + s->at[i], text, 6);
}

static bool right(struct solver *s)
{
	size_t cost = s->len + 64;
	uint8_t got[MONO_OID];

	if (s->left < cost) {
		s->left = 0;
		return false;
	}
	s->left -= cost;
	return EVP_MD_CTX_copy_ex(s->work, s->md) &&
	       EVP_DigestUpdate(s->work, s->body, s->len) &&
	       EVP_DigestFinal_ex(s->work, got, NULL) &&
	       memcmp(got, s->want, MONO_OID) == 0;
}

/* Entry i as anything else. */
static bool flip(struct solver *s, size_t i)
{
	uint32_t was = s->l->e[i].mode;

	for (size_t k = 0; k < MODES; k++) {
		if (modes[k] == was)
			continue;
		set(s, i, modes[k]);
		if (right(s))
			return true;
	}
	set(s, i, was);
	return false;
}

static bool flip_open(struct solver *s)
{
	for (size_t i = 0; i < s->n_open && s->left; i++)
		if (flip(s, s->open[i]))
			return true;
	return false;
}

/* A mode changed while the content stayed. */
static bool flip_any(struct solver *s)
{
	for (size_t i = 0; i < s->l->n && s->left; i++)
		if (s->l->e[i].mode != MONO_MODE_DIR && flip(s, i))
			return true;
	return false;
}

static bool flip_two(struct solver *s)
{
	for (size_t i = 0; i < s->n_open; i++) {
		uint32_t was = s->l->e[s->open[i]].mode;

		for (size_t k = 0; k < MODES; k++) {
			if (modes[k] == was)
				continue;
			set(s, s->open[i], modes[k]);
			for (size_t j = i + 1; j < s->n_open && s->left; j++)
				if (flip(s, s->open[j]))
					return true;
		}
		set(s, s->open[i], was);
	}
	return false;
}

/* Every open entry as any of the first `kinds` modes. */
static bool all_of(struct solver *s, size_t kinds)
{
	double ways = 1;
	uint64_t n = 1;

	for (size_t i = 0; i < s->n_open; i++)
		ways *= (double)kinds;
	if (ways * (double)(s->len + 64) > (double)s->left)
		return false;
	for (size_t i = 0; i < s->n_open; i++)
		n *= kinds;
	for (uint64_t way = 0; way < n; way++) {
		uint64_t rest = way;

		for (size_t i = 0; i < s->n_open; i++, rest /= kinds)
			set(s, s->open[i], modes[rest % kinds]);
		if (right(s))
			return true;
	}
	return false;
}

/* All open entries alike, or executable by the end of their name. */
static bool alike(struct solver *s)
{
	for (size_t i = 0; i < s->n_open; i++)
		set(s, s->open[i], MONO_MODE_EXEC);
	if (right(s))
		return true;
	for (size_t i = 0; i < s->n_open; i++) {
		const struct monoentry *e = &s->l->e[s->open[i]];
		const char *name = monolist_name(s->l, e);
		bool script = e->name_len > 3 &&
			      (!memcmp(name + e->name_len - 3, ".sh", 3) ||
			       !memcmp(name + e->name_len - 3, ".pl", 3) ||
			       !memcmp(name + e->name_len - 3, ".py", 3));

		set(s, s->open[i], script ? MONO_MODE_EXEC : MONO_MODE_FILE);
	}
	return right(s);
}

static void guess(struct solver *s, const uint32_t *first)
{
	for (size_t i = 0; i < s->n_open; i++)
		set(s, s->open[i], first[s->open[i]]);
}

static bool search(struct solver *s, const uint32_t *first)
{
	if (right(s) || flip_open(s))
		return true;
	if (s->n_open && (all_of(s, 2) || all_of(s, 3) || alike(s)))
		return true;
	guess(s, first);
	if (flip_two(s))
		return true;
	guess(s, first);
	return flip_any(s);
}

/* The mode each entry most likely has; those that are not certain are open.
 * Both lists are sorted, by orders that differ only where kinds do. */
static void use_hints(struct solver *s, const struct monolist *hints)
{
	size_t h = 0;

	for (size_t i = 0; i < s->l->n; i++) {
		struct monoentry *e = &s->l->e[i];
		const char *name = monolist_name(s->l, e);
		const struct monoentry *x = NULL;

		if (e->mode)
			continue;
		if (h < hints->n && hints->e[h].name_len == e->name_len &&
		    !memcmp(monolist_name(hints, &hints->e[h]), name,
			    e->name_len))
			x = &hints->e[h++];
		else if ((x = monolist_find(hints, name, e->name_len)))
			h = (size_t)(x - hints->e) + 1;
		e->mode = x && x->mode != MONO_MODE_DIR && x->mode > 077777u ?
				  x->mode :
				  MONO_MODE_FILE;
		if (!x || memcmp(x->oid, e->oid, MONO_OID) != 0)
			s->open[s->n_open++] = i;
	}
}

static bool start(struct solver *s)
{
	char head[32];
	int n;

	s->body = monolist_tree(s->l, &s->len, s->at);
	s->md = EVP_MD_CTX_new();
	s->work = EVP_MD_CTX_new();
	n = snprintf(head, sizeof(head), "tree %zu", s->len) + 1;
	return s->body && s->md && s->work &&
	       EVP_DigestInit_ex(s->md, EVP_sha1(), NULL) &&
	       EVP_DigestUpdate(s->md, head, (size_t)n);
}

bool monomodes_solve(struct monolist *l, const struct monolist *hints,
		     const uint8_t want[MONO_OID])
{
	struct solver s = { .l = l, .want = want, .left = BUDGET };
	uint32_t *first = calloc(l->n + 1, sizeof(*first));
	bool found = false;

	s.at = calloc(l->n + 1, sizeof(*s.at));
	s.open = calloc(l->n + 1, sizeof(*s.open));
	if (first && s.at && s.open) {
		use_hints(&s, hints);
		for (size_t i = 0; i < l->n; i++)
			first[i] = l->e[i].mode;
		found = start(&s) && search(&s, first);
	}
	EVP_MD_CTX_free(s.md);
	EVP_MD_CTX_free(s.work);
	free(s.body);
	free(s.at);
	free(s.open);
	free(first);
	return found;
}
