/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: what is accepted has acceptable names in an archive's order, and
 * the size that was asked for. */
#include "tests/fuzz/fuzz.h"

#include "backends/nix/listing.h"

#include <assert.h>

static void check(const struct nartree *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct nartree_node *n = &t->nodes[i];

		assert(n->end > i && n->end <= t->n);
		assert(!i || nartree_good_name(nartree_name(t, i), n->name_len,
					       NULL, 0));
		assert(n->kind == SCORPIO_DIR ||
		       (n->size <= t->size && n->offset <= t->size - n->size));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nartree *t = NULL;
	const char *why = NULL;
	uint64_t want;
	int rc;

	if (size < 2)
		return 0;
	want = 8ull * (data[0] | (unsigned)data[1] << 8);
	rc = listing_parse((const char *)data + 2, size - 2, want, &t, &why);
	if (rc) {
		assert(rc == -EBADMSG && why && !t);
		return 0;
	}
	assert(t->size == want);
	check(t);
	nartree_free(t);
	return 0;
}
