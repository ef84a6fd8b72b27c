/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h - the grammar of revisions, shared by local repositories and
 * servers:
 *
 *	""  @  HEAD  branch  tag  refs/...  full or short commit id
 *	REV^{tree}  REV^{commit}  REV^{}  REV:sub/dir
 *	REV~n  REV^n                   of servers: those with the filter tree:0
 *	REV@{...}                      local repositories only
 */
#ifndef BACKENDS_GIT_RESOLVE_H
#define BACKENDS_GIT_RESOLVE_H

#include "common.h"

struct gitrev {
	char *name;  /* without suffix and path; never empty */
	char *path;  /* "a/b", "" = the root itself */
	bool tree;   /* ^{tree} was given */
};

/* -EINVAL with a text; -ENOMEM. Nothing to free on failure. */
int gitrev_parse(const struct gitsource *s, const char *spec,
		 struct gitrev *ret);
void gitrev_done(struct gitrev *r);

/* Reads any object by id; the caller frees *ret. */
typedef int (*gitrev_get_fn)(void *ctx, const git_oid *oid,
			     git_odb_object **ret);

/* From the object a name stands for to the answer: tags are peeled, the path
 * is walked. label: the full reference name, or NULL. */
int gitrev_finish(struct gitsource *s, const struct gitrev *rev,
		  const git_oid *oid, const char *label, gitrev_get_fn get,
		  void *ctx, struct scorpio_revision *ret);

/* The k-th full reference name that `name` may mean, in git's order of
 * preference, or false at the end. buf holds it. */
bool gitrev_candidate(const char *name, unsigned k, char *buf, size_t cap);
#define GITREV_CANDIDATES 6u

#endif
