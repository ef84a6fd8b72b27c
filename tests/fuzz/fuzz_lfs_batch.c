/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of LFS servers: what is accepted is a link that can be followed. */
#include "tests/fuzz/fuzz.h"

#include "backends/lfs/server.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lfsaction a[2] = { 0 };
	const char *why = NULL;
	int rc;

	memset(a[0].oid, 0x11, sizeof(a[0].oid));
	memset(a[1].oid, 0x22, sizeof(a[1].oid));
	a[0].size = a[1].size = 1;
	rc = lfsbatch_parse((const char *)data, size, "https://h:1/x",
			    "download", a, 2, &why);
	assert(rc == 0 || (rc == -EBADMSG && why));
	for (int i = 0; i < 2; i++) {
		assert(rc || a[i].error || a[i].href);
		if (a[i].href && !a[i].error)
			assert(!strncasecmp(a[i].href, "http", 4));
		for (char **h = a[i].headers; h && *h; h++)
			assert(!strpbrk(*h, "\r\n") && strchr(*h, ':'));
		assert(!strpbrk(a[i].why, "\r\n\033"));
		lfsaction_done(&a[i]);
	}
	return 0;
}
