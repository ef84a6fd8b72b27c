/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - a .ls file: what an archive holds, as JSON, from a source that
 * nobody signed. Places are computed, never read from it.
 */
#ifndef BACKENDS_NIX_LISTING_H
#define BACKENDS_NIX_LISTING_H

#include "nartree.h"

/* The caller's tree. -EBADMSG with *why (static): not a listing, or not one of
 * an archive of nar_size bytes. */
int listing_parse(const char *text, size_t len, uint64_t nar_size,
		  struct nartree **ret, const char **why);

#endif
