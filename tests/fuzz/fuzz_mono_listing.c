/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of a Mono server, JSON and git trees: what is accepted keeps the
 * promises, and a list makes a tree that reads back as the same list. */
#include "tests/fuzz/fuzz.h"

#include "backends/mono/listing.h"

#include <assert.h>
#include <string.h>

static void check(const struct monolist *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct monoentry *e = &l->e[i];
		const char *name = monolist_name(l, e);

		assert(e->name_len && e->name_at + e->name_len <= l->names_len);
		assert(!memchr(name, '/', e->name_len));
		assert(!memchr(name, 0, e->name_len));
		assert(!(e->name_len == 1 && name[0] == '.'));
		assert(!(e->name_len == 2 && !memcmp(name, "..", 2)));
		assert(monolist_find(l, name, e->name_len) == e);
	}
}

static void round_trip(const struct monolist *l)
{
	struct monolist back = { 0 };
	const char *why;
	size_t len;
	char *body = monolist_tree(l, &len, NULL);

	assert(body);
	assert(monolist_parse_tree(&back, body, len, &why) == 0);
	assert(monolist_same(l, &back));
	free(body);
	monolist_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct monolist l = { 0 };
	const char *why = NULL;
	char said[64];
	int rc;

	rc = monolist_parse_json(&l, (const char *)data, size, said,
				 sizeof(said), &why);
	assert(strlen(said) < sizeof(said));
	if (rc == 0) {
		check(&l);
		round_trip(&l);
	} else {
		assert(rc == -EBADMSG || rc == -EREMOTEIO);
		assert(why && !l.e);
	}
	monolist_done(&l);
	if (monolist_parse_tree(&l, data, size, &why) == 0) {
		check(&l);
		round_trip(&l);
	}
	monolist_done(&l);
	return 0;
}
