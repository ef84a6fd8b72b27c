/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - what clients of LFS send, taken apart. Any thread; nothing blocks. */
#ifndef MONOGATE_ASK_H
#define MONOGATE_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define LFS_OID 64u	    /* hexadecimal digits */
#define ASK_BATCH_MAX 1000u /* objects in one request */
#define ASK_PATH_MAX 4096u
#define ASK_PAGE 100u /* locks in an answer, unless fewer are asked for */

bool lfs_oid_ok(const char *oid);

/* A batch: NULL, and *ret (to be released) with `operation` download or upload
 * and `objects`, each with an oid and a size; else why it is none, and the HTTP
 * status of that. */
const char *ask_batch(const char *text, size_t n, json_t **ret,
		      int *ret_status);

/* A file's path from the root of a repository: "a/b", no empty, "." or ".."
 * segments, nothing that disturbs a terminal. */
bool ask_path_ok(const char *path);
/* {"path":..., "ref":...}: the same with the path of a lock to be made. */
const char *ask_lock(const char *text, size_t n, json_t **ret,
		     int *ret_status);

struct ask_page {
	long long from; /* the id of the first */
	size_t n;       /* up to ASK_PAGE */
};
/* A cursor that we gave, and a limit; NULL is none of it. False: no cursor of
 * ours, or no number above 0. */
bool ask_page(const char *cursor, const char *limit, struct ask_page *ret);

#endif
