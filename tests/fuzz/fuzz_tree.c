/* SPDX-License-Identifier: Apache-2.0 */
/* A stored tree: any bytes, checksum or not, never read outside. */
#include "tests/fuzz/fuzz.h"

#include "core/base.h"

#include "cache/tree.h"

static void walk(const struct tree_view *v)
{
	volatile uint64_t sum = 0;

	for (uint32_t i = 0; i < v->count; i++) {
		struct tree_entry e;
		int64_t at;

		tree_entry_at(v, i, &e);
		for (unsigned k = 0; k < e.id_len; k++)
			sum += e.id[k];
		for (unsigned k = 0; k < e.name_len; k++)
			sum += (uint8_t)e.name[k];
		sum += e.size + (uint64_t)e.mtime_ns + e.mode + e.kind;
		at = tree_find(v, e.name, e.name_len);
		assert(at >= -1 && at < (int64_t)v->count);
	}
	tree_find(v, "", 0);
	tree_find(v, "main.c", 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tree_view v;

	if (!tree_view_init(&v, data, size, 1, false))
		walk(&v);
	if (!tree_view_init(&v, data, size, 1, true))
		walk(&v);
	return 0;
}
