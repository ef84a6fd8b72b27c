/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.h - a change list over a commit: directories that the server does not
 * have, made from those it has.
 *
 * A layer is the edits of one change list over one root tree. Only directories
 * that the edits touch are of the layer; everything else keeps its id. A
 * directory of a layer has an id of 32 bytes: 'c' ('C' if what lies below is an
 * import's token), 11 bytes of a digest of server, root tree, edits and path,
 * and the 20 bytes of the tree (or token) it is made from, zero if it is new.
 * It always names the same content, and nothing has to be fetched to make it:
 * a layer costs one request, and each of its directories that is looked at one
 * more.
 */
#ifndef BACKENDS_MONO_LAYER_H
#define BACKENDS_MONO_LAYER_H

#include "clfiles.h"

#define MONO_LAYER_ID 32u /* SCORPIO_ID_BELOW_MAX */
#define MONO_LAYERS_MAX 1024u

struct monolayers;

struct monolayers *monolayers_new(void); /* NULL: out of memory */
void monolayers_free(struct monolayers *l);

/* Remember these edits (taken) over a root tree; the id of its root. One that
 * changes nothing has the root's own id. */
int monolayer_add(struct mono *m, const uint8_t root[MONO_OID],
		  struct monoedits *edits, struct scorpio_id *ret);
static inline bool monolayer_is(const struct scorpio_id *id)
{
	return id->len == MONO_LAYER_ID && (id->bytes[0] | 0x20) == 'c';
}
/* scorpio_backend.list of one directory of a layer. */
int monolayer_list(struct mono *m, const struct scorpio_ref *ref,
		   const struct scorpio_sink *sink);

#endif
