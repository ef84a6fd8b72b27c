/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modes.h - the modes that a JSON listing leaves out, found by the id of the
 * tree: the list with the right modes is the one whose git tree has this id.
 */
#ifndef BACKENDS_MONO_MODES_H
#define BACKENDS_MONO_MODES_H

#include "listing.h"

/* Fill in the modes of `l` (sorted) so that its tree has the id `want`.
 * hints: a listing of about the same directory with modes, sorted; may be
 * empty. True: found, and with that `l` is proven to be that directory.
 * False: not found within the effort allowed (about 0.1 s); modes then hold
 * the best guess. */
bool monomodes_solve(struct monolist *l, const struct monolist *hints,
		     const uint8_t want[MONO_OID]);

#endif
