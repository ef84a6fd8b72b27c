/* SPDX-License-Identifier: Apache-2.0 */
/* Archives: what is accepted is canonical, so its size follows from its tree;
 * the answer does not depend on how the bytes arrive. */
#include "tests/fuzz/fuzz.h"

#include "backends/nix/nar.h"

#include <assert.h>

struct seen {
	uint64_t bytes;
};

static int on_data(void *ctx, uint32_t node, const void *p, size_t n)
{
	struct seen *s = ctx;

	(void)node;
	(void)p;
	s->bytes += n;
	return 0;
}

static struct nartree *parse(const uint8_t *data, size_t size, size_t step)
{
	struct seen s = { 0 };
	struct nar *n = nar_new(on_data, &s);
	struct nartree *t = NULL;
	uint64_t sum = 0;
	int rc = 0;

	for (size_t at = 0; at < size && !rc; at += step)
		rc = nar_feed(n, data + at,
			      step < size - at ? step : size - at);
	if (!rc)
		rc = nar_end(n, &t);
	assert(!rc == !!t);
	nar_free(n);
	for (uint32_t i = 0; t && i < t->n; i++)
		if (t->nodes[i].kind == SCORPIO_FILE)
			sum += t->nodes[i].size;
	assert(!t || sum == s.bytes);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nartree *a = parse(data, size, size + 1);
	struct nartree *b = parse(data, size, 5);

	assert(!a == !b);
	if (a) {
		assert(a->size == size);
		assert(!memcmp(a->digest, b->digest, NIX_SHA256));
	}
	nartree_free(a);
	nartree_free(b);
	return 0;
}
