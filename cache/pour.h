/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pour.h - the sink of a backend call: what is poured goes into the store,
 * verified, and those who want it are told after the commit. It trusts the
 * backend with nothing: wrong nesting, sizes or ids end in -EBADMSG with a text
 * that names the backend.
 *
 * One call, one thread. Costs what the store's writers cost.
 */
#ifndef CACHE_POUR_H
#define CACHE_POUR_H

#include "cache/source_impl.h"
#include "core/buf.h"

struct pour {
	struct scorpio_sink sink; /* hand this to the backend */
	struct source *source;
	pthread_t owner;
	int kind; /* enum want_kind of what was asked for; -1: any */
	enum { POUR_NONE, POUR_TREE, POUR_BLOB } open;
	bool present; /* the open object is in the store already */
	bool dropped; /* it failed; what still comes of it is ignored */
	struct scorpio_id id;
	struct tree_builder *tree;
	struct blob_writer *blob;
	uint64_t size, got; /* of the open blob */
	uint64_t told;      /* its size as told before, or unknown */
	int broken;         /* the backend broke the protocol */
	char *why;
	bool alien;       /* atomic: another thread called the sink */
	struct buf sizes; /* struct scorpio_id[]: sizes just stored */
};

void pour_init(struct pour *p, struct source *s, int kind);
/* After the call, which returned r: clean up and give the result to use, with
 * its text. */
int pour_done(struct pour *p, int r);

/* Is the object there, whole? */
bool pour_present(struct source *s, enum want_kind kind,
		  const struct scorpio_id *id);

#endif
