/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commits.h - the root commits this instance has met. A directory that the
 * server's main has left behind is looked for in them, the last useful one
 * first. Any thread.
 */
#ifndef BACKENDS_MONO_COMMITS_H
#define BACKENDS_MONO_COMMITS_H

#include "common.h"

#define MONO_COMMITS_MAX 64u

struct monocommit {
	char hex[MONO_HEX + 1];
	uint8_t root[MONO_OID];
	int64_t time_ns;
};

struct monocommits *monocommits_new(void); /* NULL: out of memory */
void monocommits_free(struct monocommits *c);
/* Remember a commit with the body of its root tree, which is taken (malloc).
 * The one that was useful longest ago goes. */
void monocommits_add(struct monocommits *c, const struct monocommit *commit,
		     char *body, size_t len);
bool monocommits_find(struct monocommits *c, const char *hex,
		      struct monocommit *ret);
/* The useful ones first; returns how many of at most MONO_COMMITS_MAX. */
size_t monocommits_all(struct monocommits *c,
		       char ret[][MONO_HEX + 1]);
void monocommits_useful(struct monocommits *c, const char *hex);
/* A copy of the body of this root tree; caller frees. NULL: not known. */
char *monocommits_root(struct monocommits *c, const uint8_t root[MONO_OID],
		       size_t *ret_len);

#endif
