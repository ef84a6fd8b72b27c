/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of LFS send to the gateway: what is accepted can be used without
 * another look. */
#include "tests/fuzz/fuzz.h"

#include "plugins/monogate/ask.c"

#include <assert.h>

static void batch(const char *text, size_t n)
{
	json_t *v = NULL, *o;
	int status = 0;
	const char *why = ask_batch(text, n, &v, &status);
	const char *op;
	size_t i;

	assert(!why == !!v);
	assert(!why || status == 400 || status == 413 || status == 422);
	if (why)
		return;
	op = json_string_value(json_object_get(v, "operation"));
	assert(!strcmp(op, "download") || !strcmp(op, "upload"));
	assert(json_array_size(json_object_get(v, "objects")) <= ASK_BATCH_MAX);
	json_array_foreach(json_object_get(v, "objects"), i, o) {
		const char *oid = json_string_value(json_object_get(o, "oid"));

		assert(strlen(oid) == LFS_OID && !strpbrk(oid, "/."));
		assert(json_integer_value(json_object_get(o, "size")) >= 0);
	}
	json_decref(v);
}

static void lock(const char *text, size_t n)
{
	json_t *v = NULL;
	int status = 0;
	const char *why = ask_lock(text, n, &v, &status), *path;

	assert(!why == !!v);
	assert(!why || status == 400 || status == 422);
	if (why)
		return;
	path = json_string_value(json_object_get(v, "path"));
	assert(*path && *path != '/' && !strstr(path, "//"));
	assert(strcmp(path, "..") != 0 && !strstr(path, "/../"));
	assert(strlen(path) < ASK_PATH_MAX && !strpbrk(path, "\r\n\033"));
	json_decref(v);
}

static void page(const char *text, size_t n)
{
	struct ask_page at;
	char *copy = strndup(text, n), *limit = strchr(copy, '&');

	if (limit)
		*limit++ = '\0';
	if (ask_page(copy, limit, &at))
		assert(at.from >= 0 && at.n && at.n <= ASK_PAGE);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	batch((const char *)data, size);
	lock((const char *)data, size);
	page((const char *)data, size);
	return 0;
}
