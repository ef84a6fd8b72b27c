/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - what is brought before it is asked for: when something below bin/,
 * lib/ or libexec/ of a path is read, descriptions and listings of what the path
 * refers to, and, where archives are read in parts, the heads of their shared
 * libraries; and what was read last time of a path of the same name. Hints:
 * bounded, on one thread, given up when the instance closes.
 */
#ifndef BACKENDS_NIX_AHEAD_H
#define BACKENDS_NIX_AHEAD_H

#include "path.h"

struct nixahead;
int nixahead_new(struct nix *n, struct nixahead **ret);
/* Ends the thread: waits for the request under way. */
void nixahead_free(struct nixahead *a);
/* How much of a file is brought: what its first read asks for. */
static inline uint64_t nixahead_bytes(const struct nartree_node *x)
{
	return x->size < NIX_PARTS_ABOVE ? x->size : NIX_PART;
}
/* A node of the path's tree is being read. */
void nixahead_read(struct nix *n, struct nixpath *p, const struct nartree *t,
		   uint32_t node);

/* -- what was read before, by the name of the path ------------------------------- */

/* Note that a node was read. */
void nixprofile_note(struct nix *n, struct nixpath *p, const struct nartree *t,
		     uint32_t node);
/* Once for a path: nodes that were read of one of its name, at most max. */
uint32_t nixprofile_nodes(struct nix *n, struct nixpath *p,
			  const struct nartree *t, uint32_t *ret, uint32_t max);

#endif
