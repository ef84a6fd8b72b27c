/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a change list: what is accepted is sorted, once each, and only
 * paths that a tree can hold. */
#include "tests/fuzz/fuzz.h"

#include "backends/mono/clfiles.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct monoedits l = { 0 };
	const char *why = NULL;
	char said[64];
	int rc = monoedits_parse(&l, (const char *)data, size, "a/b", said,
				 sizeof(said), &why);

	assert(strlen(said) < sizeof(said));
	assert(rc == 0 || rc == -EBADMSG || rc == -EREMOTEIO);
	assert(rc == 0 || !l.e);
	for (size_t i = 0; i < l.n; i++) {
		const char *p = l.e[i].path;

		assert(*p && *p != '/' && p[strlen(p) - 1] != '/');
		assert(!strstr(p, "//") && strncmp(p, "../", 3));
		assert(!i || strcmp(l.e[i - 1].path, p) < 0);
		assert(monoedits_from(&l, p) == i);
	}
	monoedits_done(&l);
	return 0;
}
