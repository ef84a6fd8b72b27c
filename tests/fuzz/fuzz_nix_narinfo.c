/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of store paths: what is accepted keeps the promises. */
#include "tests/fuzz/fuzz.h"

#include "backends/nix/narinfo.h"
#include "backends/nix/nix32.h"
#include "backends/nix/trust.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nixverdict v = { 0 };
	struct narinfo *i = NULL;
	const char *why = NULL;
	char *text;
	int rc = narinfo_parse((const char *)data, size, "/nix/store", &i,
			       &why);

	if (rc) {
		assert((rc == -EBADMSG || rc == -ENOTSUP) && why && !i);
		return 0;
	}
	assert(nixname_parse(i->base, strlen(i->base), NULL));
	assert(i->nar_size >= 96 && i->nar_size % 8 == 0);
	assert(*i->url && *i->url != '/' && strncmp(i->url, "../", 3) != 0);
	for (uint32_t k = 0; k < i->n_refs; k++) {
		assert(nixname_parse(i->refs[k], strlen(i->refs[k]), NULL));
		assert(!k || strcmp(i->refs[k - 1], i->refs[k]) < 0);
	}
	text = nixtrust_fingerprint("/nix/store", i);
	assert(text);
	free(text);
	nixtrust_addressed("/nix/store", i, &v);
	narinfo_free(i);
	return 0;
}
