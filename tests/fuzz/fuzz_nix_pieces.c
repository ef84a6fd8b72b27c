/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of an archive's pieces, and seek tables of zstd files: what is accepted
 * covers the archive, in order. The first byte says which. */
#include "tests/fuzz/fuzz.h"

#include "backends/nix/pieces.h"
#include "backends/nix/places.h"

#include <assert.h>

static void try_pieces(const uint8_t *data, size_t size)
{
	struct pieces p = { .n = 0 };
	const char *why = NULL;
	char *text;

	if (pieces_parse((const char *)data, size, &p, &why)) {
		assert(why && !p.hash);
		return;
	}
	assert(p.n == pieces_count(p.nar_size) && p.n && p.n_sigs);
	text = pieces_fingerprint(&p);
	assert(text);
	free(text);
	pieces_done(&p);
}

static void try_table(const uint8_t *data, size_t size)
{
	uint64_t nar = data[0] | (uint64_t)data[1] << 8, need = 0;
	uint64_t file = data[2] | (uint64_t)data[3] << 8;
	struct places p = { .n = 0 };

	size -= 4;
	if (file < size || places_zstd(data + 4, size, file, nar, &p, &need))
		return;
	for (uint32_t i = 0; i < p.n; i++)
		assert(p.unit[i].plain <= p.unit[i + 1].plain &&
		       p.unit[i].packed + p.unit[i].len <= file);
	assert(p.unit[p.n].plain == nar);
	assert(places_at(&p, nar ? nar - 1 : 0) < p.n);
	places_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 's')
		try_pieces(data, size);
	else if (size > 4 + 17)
		try_table(data, size);
	return 0;
}
