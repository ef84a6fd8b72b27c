/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of LFS servers to who wants to upload: what is accepted is a link that can
 * be followed, or nothing to do. */
#include "tests/fuzz/fuzz.h"

#include "backends/lfs/upload.h"

#include <assert.h>
#include <string.h>

static void check_link(int rc, const struct lfsaction *a)
{
	if (a->href && !a->error && !rc)
		assert(!strncasecmp(a->href, "http", 4));
	for (char **h = a->headers; h && *h; h++)
		assert(!strpbrk(*h, "\r\n") && strchr(*h, ':'));
	assert(!strpbrk(a->why, "\r\n\033"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lfsaction a[4] = { 0 };
	const char *why = NULL;
	int rc;

	for (int i = 0; i < 4; i++) {
		memset(a[i].oid, i % 2 ? 0x22 : 0x11, sizeof(a[i].oid));
		a[i].size = 1;
	}
	rc = lfsupload_parse((const char *)data, size, "https://h:1/x", a,
			     a + 2, 2, &why);
	assert(rc == 0 || (rc == -EBADMSG && why));
	for (int i = 0; i < 4; i++) {
		check_link(rc, &a[i]);
		lfsaction_done(&a[i]);
	}
	return 0;
}
