/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.h - patterns of paths as in gitattributes(5) and gitignore(5), cut
 * into what is left of them one directory further down. Pure.
 *
 * A pattern is its segments joined by '/'; "**" as a whole segment is any number
 * of directories, at the end everything below.
 */
#ifndef BACKENDS_LFS_PATTERN_H
#define BACKENDS_LFS_PATTERN_H

#include "common.h"

/* Does one segment ("*", "?", "[...]", '\\') match the name? As git's wildmatch
 * without '/'. Steps are bounded: linear but for a few stars. */
bool lfspat_name(const char *pat, size_t n_pat, const char *name,
		 size_t n_name);

/* Does a pattern with slashes match a file right here? */
bool lfspat_file(const char *pat, size_t n, const char *name, size_t n_name);

/* What is left of it inside directory `name`: fn gets each rest (a tail of pat,
 * at most as many as there are segments, possibly one twice). *ret_whole: the
 * pattern matches the directory itself. */
void lfspat_step(const char *pat, size_t n, const char *name, size_t n_name,
		 void (*fn)(void *ctx, const char *rest, size_t n_rest),
		 void *ctx, bool *ret_whole);

#endif
