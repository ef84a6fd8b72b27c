/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - which files of a directory, and of those below, are LFS files: what
 * the .gitattributes files above say of `filter`, with macros, and the include
 * and exclude lists. A set of rules is made for a directory, then stepped into
 * its subdirectories, where only what can still match is left, so that most
 * directories of a repository have the same few sets.
 *
 * Semantics: gitattributes(5): later lines win, deeper files win, patterns
 * without a slash match at any depth, a macro works where it is set and was
 * neither set nor unset by a stronger line; [attr] counts in the root only.
 * Include and exclude: git-lfs-fetch(1), gitignore patterns.
 *
 * One thread at a time while it is made; any after that.
 */
#ifndef BACKENDS_LFS_RULES_H
#define BACKENDS_LFS_RULES_H

#include "common.h"

#define LFSRULES_ROOT 1u /* of the root of a tree: may define macros */
#define LFSRULES_ONLY 2u /* only what is included */
#define LFSRULES_DEAD 4u /* nothing here or below, whatever is said there */

#define LFSRULES_TEXT_MAX (1u << 20)

struct lfsrules;

struct lfsrules *lfsrules_new(unsigned flags); /* NULL: out of memory */
void lfsrules_free(struct lfsrules *r);
struct lfsrules *lfsrules_copy(const struct lfsrules *r);
unsigned lfsrules_flags(const struct lfsrules *r);

/* Add what a .gitattributes of this directory says: it is stronger than what is
 * there. Odd lines are ignored as git ignores them. -EFBIG, -ENOMEM. */
int lfsrules_attributes(struct lfsrules *r, const char *text, size_t n);
/* Add a comma-separated list of paths to show ('i') or not to show ('x'). */
int lfsrules_filter(struct lfsrules *r, char kind, const char *list);

/* Is the file of that name an LFS file? */
bool lfsrules_match(const struct lfsrules *r, const char *name, size_t n);
/* Can any file here or below be, as far as is known here? */
bool lfsrules_any(const struct lfsrules *r);
/* Does it say nothing, as if there were none? */
bool lfsrules_none(const struct lfsrules *r);
/* The rules inside a directory. NULL: out of memory. */
struct lfsrules *lfsrules_step(const struct lfsrules *r, const char *name,
			       size_t n);

/* Are the rules the same inside all subdirectories? */
bool lfsrules_uniform(const struct lfsrules *r);

/* A text that says the same; equal sets have equal texts. */
int lfsrules_write(const struct lfsrules *r, struct lfsbuf *out);
/* -EBADMSG if it is no such text. */
int lfsrules_read(const char *text, size_t n, struct lfsrules **ret);

#endif
