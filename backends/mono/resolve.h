/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h - from "" (main), a tag or a root commit to a commit and the id of
 * its root tree. Two or three requests, one for a commit that is known.
 */
#ifndef BACKENDS_MONO_RESOLVE_H
#define BACKENDS_MONO_RESOLVE_H

#include "common.h"

/* scorpio_backend.resolve */
int mono_resolve_spec(struct mono *m, const char *spec,
		      struct scorpio_revision *ret);

#endif
