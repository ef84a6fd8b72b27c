/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for a pointer is the one text of its object; .lfsconfig. */
#include "tests/fuzz/fuzz.h"

#include "backends/lfs/conf.h"
#include "backends/lfs/pointer.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lfsconf c;
	struct lfsptr p;
	char text[160];

	if (lfsptr_parse((const char *)data, size, &p)) {
		assert(lfsptr_format(&p, text) == size);
		assert(!memcmp(text, data, size));
	}
	if (lfsconf_parse((const char *)data, size, &c) == 0) {
		assert(!c.url || !strncasecmp(c.url, "http", 4));
		lfsconf_done(&c);
	}
	return 0;
}
