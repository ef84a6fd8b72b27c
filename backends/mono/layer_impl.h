/* SPDX-License-Identifier: Apache-2.0 */
/* layer_impl.h - shared by layer.c and layer_base.c only. */
#ifndef BACKENDS_MONO_LAYER_IMPL_H
#define BACKENDS_MONO_LAYER_IMPL_H

#include "layer.h"
#include "listing.h"

#define LAYER_PLACE 11u /* bytes of the digest in an id */

struct listed { /* a directory of the server; immutable, counted */
	struct listed *next; /* lock: layer.lock; in its cache */
	unsigned refs;       /* atomic */
	char *path;
	struct scorpio_entry *e; /* sorted by name; names owned */
	size_t n, cap;
};

struct layer {
	struct layer *next; /* lock: monolayers.lock */
	unsigned refs;      /* atomic */
	uint8_t root[MONO_OID], digest[32];
	struct monoedits edits; /* immutable */
	pthread_mutex_t lock;
	struct listed *cache;   /* lock */
	size_t cached;          /* lock; entries in it */
};

void layer_put(struct layer *l); /* NULL is fine */
struct scorpio_id layer_id(const struct layer *l, const char *path,
			   const struct scorpio_id *base /* NULL: new */);

/* layer_base.c */
void layer_cache_done(struct layer *l);
void listed_put(struct listed *d); /* NULL is fine */
const struct scorpio_entry *listed_find(const struct listed *d /* or NULL */,
					const char *name, size_t n);
/* The directory `path` of the server, whose id is known. */
int layer_base(struct mono *m, struct layer *l, const char *path,
	       const struct scorpio_id *id, struct listed **ret);
/* What the root tree below the layer has at `path`: kind and mode count, the
 * name is not there. -ENOENT. */
int layer_base_entry(struct mono *m, struct layer *l, const char *path,
		     struct scorpio_entry *ret);

#endif
