/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool lfs_oid_ok(const char *oid)
{
	return strlen(oid) == LFS_OID &&
	       strspn(oid, "0123456789abcdef") == LFS_OID;
}

static bool object_ok(const json_t *o)
{
	const char *oid = json_string_value(json_object_get(o, "oid"));
	const json_t *size = json_object_get(o, "size");

	return oid && lfs_oid_ok(oid) && json_is_integer(size) &&
	       json_integer_value(size) >= 0;
}

static bool wants_basic(const json_t *v)
{
	const json_t *list = json_object_get(v, "transfers"), *t;
	size_t i;

	if (!list)
		return true;
	json_array_foreach(list, i, t)
		if (json_is_string(t) &&
		    !strcmp(json_string_value(t), "basic"))
			return true;
	return false;
}

static const char *bad_batch(const json_t *v, int *ret_status)
{
	const json_t *objects = json_object_get(v, "objects"), *o;
	const char *algo = json_string_value(json_object_get(v, "hash_algo"));
	const char *op = json_string_value(json_object_get(v, "operation"));
	size_t i;

	*ret_status = 422;
	if (!json_is_array(objects))
		return "objects: a list of what is wanted is missing";
	if (algo && strcmp(algo, "sha256") != 0)
		return "hash_algo: only sha256 is spoken here";
	if (!op || (strcmp(op, "download") != 0 && strcmp(op, "upload") != 0))
		return "operation: download or upload";
	if (!wants_basic(v))
		return "transfers: basic is all there is";
	if (json_array_size(objects) > ASK_BATCH_MAX) {
		*ret_status = 413;
		return "more than 1000 objects in a batch";
	}
	json_array_foreach(objects, i, o)
		if (!object_ok(o))
			return "objects: an oid of 64 hexadecimal digits and a "
			       "size are needed";
	return NULL;
}

static json_t *load(const char *text, size_t n)
{
	return json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
}

const char *ask_batch(const char *text, size_t n, json_t **ret,
		      int *ret_status)
{
	json_t *v = load(text, n);
	const char *why = v ? bad_batch(v, ret_status) : "this is no JSON";

	if (!v)
		*ret_status = 400;
	if (why)
		json_decref(v);
	else
		*ret = v;
	return why;
}

/* -- locks ------------------------------------------------------------------ */

bool ask_path_ok(const char *path)
{
	size_t n, all = strlen(path);

	if (!all || all >= ASK_PATH_MAX || path[all - 1] == '/')
		return false;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	for (const char *p = path; *p; p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		if (!n || (n == 1 && *p == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

const char *ask_lock(const char *text, size_t n, json_t **ret, int *ret_status)
{
	json_t *v = load(text, n);
	const char *path = json_string_value(json_object_get(v, "path"));

	*ret_status = v ? 422 : 400;
	if (path && ask_path_ok(path)) {
		*ret = v;
		return NULL;
	}
	json_decref(v);
	return !v    ? "this is no JSON" :
	       !path ? "path: the file to lock is missing" :
		       "path: not a file's path from the root of the "
		       "repository";
}

static bool number(const char *s, long long *ret)
{
	char *end;

	if (!*s || s[strspn(s, "0123456789")])
		return false;
	errno = 0;
	*ret = strtoll(s, &end, 10);
	return !errno && *ret > 0;
}

bool ask_page(const char *cursor, const char *limit, struct ask_page *ret)
{
	long long n = ASK_PAGE;

	ret->from = 0;
	if (cursor && *cursor && !number(cursor, &ret->from))
		return false;
	if (limit && *limit && !number(limit, &n))
		return false;
	ret->n = n < (long long)ASK_PAGE ? (size_t)n : ASK_PAGE;
	return true;
}
