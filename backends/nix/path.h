/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - what is known of one store path, found by the hash in its name:
 * description, listing, checked archive. One thread at a time has a path; who
 * comes later waits and finds the work done, so parallel readers cause one
 * request.
 */
#ifndef BACKENDS_NIX_PATH_H
#define BACKENDS_NIX_PATH_H

#include "ranges.h"
#include "spool.h"

struct nixpath {
	struct nixpath *next; /* lock: nixpaths.lock; hash chain */
	uint32_t users;       /* lock: nixpaths.lock */
	bool busy;            /* lock: nixpaths.lock */
	int64_t used_ms;      /* lock: nixpaths.lock */
	uint8_t hash[NIX_HASH]; /* immutable */
	/* the rest belongs to who has the path */
	int64_t absent_until; /* ms; no cache has it until then */
	struct narinfo *info; /* NULL: not asked yet */
	struct nixverdict verdict;
	struct nixcache *cache; /* that told */
	struct nartree *listed; /* as the listing says, unproven */
	uint8_t listed_tag[NIXID_TAG];
	bool no_listing;  /* there is none, or none to be used */
	bool lied;        /* the archive was another than the listing said */
	struct nixspool *spool; /* checked */
	struct nixranges *ranges; /* parts of it; there is a listing then */
	bool no_ranges;           /* it is not to be had in parts */
	uint8_t tag[NIXID_TAG]; /* of spool->tree */
	uint32_t poured;        /* nodes of the spool that were poured along */
	bool followed, replayed; /* see ahead.h */
	char *profile;           /* paths that were read, each with LF */
	uint64_t fetched; /* bytes transferred for it by this instance */
	uint64_t wanted;  /* bytes of content that were asked for */
};

int nixpaths_new(struct nix *n, struct nixpaths **ret);
void nixpaths_free(struct nixpaths *p);

/* Have the path until nixpath_put. -EINTR, -ETIMEDOUT: gave up waiting. */
int nixpath_get(struct nix *n, const uint8_t hash[NIX_HASH],
		struct nixpath **ret);
void nixpath_put(struct nix *n, struct nixpath *p);

/* Its description, vouched for. -ENOENT: no cache has it. */
int nixpath_info(struct nix *n, struct nixpath *p);
/* May its tree be taken from a listing? Its description is known. */
bool nixpath_may_list(const struct nix *n, const struct nixpath *p);
/* Its tree, for metadata: from the listing where that may be believed, else
 * from the archive. Borrowed until nixpath_put. */
int nixpath_tree(struct nix *n, struct nixpath *p, const struct nartree **ret,
		 const uint8_t **ret_tag);
/* Its archive, checked: p->spool. */
int nixpath_archive(struct nix *n, struct nixpath *p);
/* If it may be read in parts: p->ranges. 0 as well if not. */
int nixpath_ranges(struct nix *n, struct nixpath *p);
void nixpath_no_ranges(struct nixpath *p);
/* After parts were brought: if they are all, the archive is checked. */
int nixpath_completed(struct nix *n, struct nixpath *p);

#endif
