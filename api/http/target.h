/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - the target of an HTTP request, taken apart: decoded path segments
 * and query members. Works on a copy; nothing points into the input. One
 * thread at a time.
 *
 * Refused (so that no handler ever sees them): a target that does not start
 * with '/', raw control bytes, blanks, '\\' and '#', broken percent escapes, %00,
 * segments "." and ".." in any spelling, empty segments inside the path, more
 * than TARGET_SEGMENTS_MAX segments, TARGET_QUERY_MAX members or TARGET_LEN_MAX bytes.
 * An escaped slash stays inside its segment and never splits it.
 */
#ifndef API_HTTP_TARGET_H
#define API_HTTP_TARGET_H

#include "core/base.h"

#define TARGET_LEN_MAX 16384u
#define TARGET_SEGMENTS_MAX 64u
#define TARGET_QUERY_MAX 64u

struct target {
	char *copy;  /* owned; everything below points into it */
	char *path;  /* as received, without the query; for logs */
	size_t n;    /* segments; "/" has none */
	char *segment[TARGET_SEGMENTS_MAX];
	bool trailing_slash;
	size_t queries;
	char *name[TARGET_QUERY_MAX], *value[TARGET_QUERY_MAX];
};

/* 0, -EBADMSG malformed, -E2BIG over a limit, -EPERM for "." and ".."; each
 * with a text. On failure *u is empty. */
int target_parse(const char *target, size_t len, struct target *u);
void target_done(struct target *u); /* twice is fine */
/* The first member of that name, or dflt; borrowed. A name without '=' has the
 * value "". */
const char *target_query(const struct target *u, const char *name,
		      const char *dflt);
/* Decode percent escapes in place; '+' becomes a blank if `plus`. Returns the
 * new length, or -EBADMSG. */
int64_t target_decode(char *s, size_t n, bool plus);

#endif
