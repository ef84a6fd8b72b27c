/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointer.h - the text that stands in Git for an LFS object.
 *
 * Source: git-lfs docs/spec.md "The Pointer". Only the one text that the
 * specification gives an object is taken for a pointer: version first, then
 * the keys in order, one space, one newline each, nothing else, less than 1024
 * bytes. What is written otherwise (other line ends, old versions, extensions,
 * whose content would have to go through other programs) is shown as it is:
 * git's own filter would make a different text of the content, and the file
 * would count as changed.
 */
#ifndef BACKENDS_LFS_POINTER_H
#define BACKENDS_LFS_POINTER_H

#include "common.h"

#define LFSPTR_MAX 1024u /* a pointer has fewer bytes */

struct lfsptr {
	uint8_t oid[LFS_OID_LEN];
	uint64_t size;
};

/* Is it one? Pure. */
bool lfsptr_parse(const char *text, size_t n, struct lfsptr *ret);
/* The text; the length (at most 160 bytes with the NUL). */
size_t lfsptr_format(const struct lfsptr *p, char out[160]);
/* Does the content with this SHA-256 need no server? */
bool lfsptr_is_empty(const struct lfsptr *p);

#endif
