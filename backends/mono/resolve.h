/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h - from "" (main), a tag or a root commit to a commit and the id of
 * its root tree. Two or three requests, one for a commit that is known.
 *
 * "REV@LINK" is that with a change list on top (layer.h), one request more;
 * "REV@LINK:/a/b" one whose list of files counts from /a/b. A tag with an '@'
 * in it is written with one more behind it: "v1@x@".
 */
#ifndef BACKENDS_MONO_RESOLVE_H
#define BACKENDS_MONO_RESOLVE_H

#include "common.h"

/* scorpio_backend.resolve */
int mono_resolve_spec(struct mono *m, const char *spec,
		      struct scorpio_revision *ret);

#endif
