/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clkeep.h - what a server told about change lists, beside the commits in the
 * store: so a mount with one comes back while the server is away. Any thread.
 */
#ifndef BACKENDS_MONO_CLKEEP_H
#define BACKENDS_MONO_CLKEEP_H

#include "common.h"

#define MONO_CLKEEP_MAX (8u << 20) /* larger lists are asked for again */

/* The list of files of `name` ("COMMIT@LINK:/ROOT") is this text now. */
void monocl_keep(struct mono *m, const char *name, const char *text,
		 size_t len);
/* What it was when last told; NULL: not known. Caller frees. */
char *monocl_kept(struct mono *m, const char *name, size_t *ret_len);

#endif
