/* SPDX-License-Identifier: Apache-2.0 */
/* .gitattributes of anybody, and sets of rules as they are remembered: a set
 * that was written reads back as the same text. */
#include "tests/fuzz/fuzz.h"

#include "backends/lfs/rules.h"

#include <assert.h>
#include <string.h>

static void round_trip(const struct lfsrules *r)
{
	struct lfsbuf a = { 0 }, b = { 0 };
	struct lfsrules *back = NULL;

	if (lfsrules_write(r, &a) == 0) {
		assert(lfsrules_read(a.p, a.n, &back) == 0);
		assert(lfsrules_write(back, &b) == 0);
		assert(a.n == b.n && !memcmp(a.p, b.p, a.n));
		assert(lfsrules_any(back) == lfsrules_any(r));
		assert(lfsrules_match(back, "a.bin", 5) ==
		       lfsrules_match(r, "a.bin", 5));
		lfsrules_free(back);
	}
	lfsbuf_done(&a);
	lfsbuf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lfsrules *r, *down;

	if (size > 4096)
		return 0;
	r = lfsrules_new(LFSRULES_ROOT);
	if (lfsrules_attributes(r, (const char *)data, size) == 0) {
		round_trip(r);
		down = lfsrules_step(r, "dir", 3);
		round_trip(down);
		lfsrules_free(down);
	}
	lfsrules_free(r);
	r = NULL;
	if (lfsrules_read((const char *)data, size, &r) == 0) {
		round_trip(r);
		lfsrules_free(r);
	}
	return 0;
}
