/* SPDX-License-Identifier: Apache-2.0 */
/* Trees, commits and tags: whatever is accepted keeps the promises. */
#include "tests/fuzz/fuzz.h"

#include "backends/git/object.h"

#include <assert.h>
#include <scorpio/types.h>
#include <string.h>

static void check_entry(const struct gittree_entry *e, const uint8_t *data,
			size_t size)
{
	const uint8_t *name = (const uint8_t *)e->name;

	assert(e->name_len > 0 && name >= data &&
	       name + e->name_len <= data + size);
	assert(e->id + GITOBJ_ID <= data + size);
	assert(!memchr(e->name, '/', e->name_len));
	assert(!memchr(e->name, 0, e->name_len));
	assert(!(e->name_len == 1 && e->name[0] == '.'));
	assert(!(e->name_len == 2 && !memcmp(e->name, "..", 2)));
	assert(e->kind >= SCORPIO_FILE && e->kind <= SCORPIO_SUBMODULE);
	assert(e->mode == 0644 || e->mode == 0755 || e->mode == 0777);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gittree_reader r;
	struct gittree_entry e, found;
	uint8_t id[GITOBJ_ID];
	int64_t time;
	int rc;

	gittree_begin(&r, data, size);
	while ((rc = gittree_next(&r, &e)) > 0) {
		check_entry(&e, data, size);
		gittree_forbidden(e.name, e.name_len);
		assert(gittree_find(data, size, e.name, e.name_len,
				    &found) == 1);
	}
	assert(rc == 0 || r.why);
	gitcommit_parent(data, size, 1 + size % 3, id);
	if (gitcommit_parse(data, size, id, &time) == 0)
		assert(time <= INT64_MAX / 1000000000 &&
		       time >= INT64_MIN / 1000000000);
	gittag_parse(data, size, id);
	return 0;
}
