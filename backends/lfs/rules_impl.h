/* SPDX-License-Identifier: Apache-2.0 */
/* rules_impl.h - shared by rules.c and attributes.c only. */
#ifndef BACKENDS_LFS_RULES_IMPL_H
#define BACKENDS_LFS_RULES_IMPL_H

#include "rules.h"

#define RULES_MAX 20000u
#define MACROS_MAX 64u

#define RULE_ATTR 'a'
#define RULE_INCLUDE 'i'
#define RULE_EXCLUDE 'x'
#define RULE_MACRO 'm' /* a definition; the pattern is its name */

#define EFFECT_ON '+'	 /* filter=lfs */
#define EFFECT_OFF '-'	 /* anything else said of filter */
#define EFFECT_MACRO 'M' /* a macro is set */
#define EFFECT_UNSET 'C' /* ... or said not to be */

struct lfsrule {
	char kind, effect;
	uint8_t macro; /* which, with EFFECT_MACRO, EFFECT_UNSET, RULE_MACRO */
	bool base;     /* no slash: matches the last name, at any depth */
	bool dirs;     /* matches directories only */
	uint32_t at, len; /* the pattern, in text */
};

struct lfsrules {
	unsigned flags;
	struct lfsrule *rules; /* the stronger the later */
	uint32_t n, cap;
	struct lfsbuf text;
};

/* Add one; the members at and len are set here. -EFBIG, -ENOMEM. */
int lfsrules_add(struct lfsrules *r, struct lfsrule rule, const char *pat,
		 size_t n);
const char *lfsrules_pattern(const struct lfsrules *r, const struct lfsrule *x);

#endif
