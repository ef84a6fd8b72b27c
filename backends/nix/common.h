/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.h - what all files of the nix backend share: the instance, error
 * helpers, limits. Only the public headers and system libraries are used.
 *
 * The parts, lowest first:
 *	nix32     Nix's base 32 and hashes as Nix writes them
 *	narinfo   the description of a store path
 *	trust     keys, signatures, paths that prove themselves
 *	nartree   what an archive holds, and where; ids
 *	nar       the archive format, streamed
 *	listing   .ls files
 *	unpack    compressed streams
 *	cache     the caches asked, and requests to them
 *	spool     an archive brought and checked as a whole
 *	pieces    signed hashes of an archive's pieces
 *	places    where the parts of a compressed archive are
 *	ranges    an archive of which parts are brought
 *	path      one store path: all of the above about it
 *	serve     list and fetch
 *	ahead     what is brought before it is asked for
 *	describe  what is known of a path, as JSON
 */
#ifndef BACKENDS_NIX_COMMON_H
#define BACKENDS_NIX_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scorpio/backend.h>

#define NIX_HASH 20u        /* bytes of a store path's hash */
#define NIX_HASH_TEXT 32u   /* the same in Nix's base 32 */
#define NIX_NAME_MAX 211u   /* of a store path, after the hash */
#define NIX_BASE_MAX (NIX_HASH_TEXT + 1 + NIX_NAME_MAX)
#define NIX_SHA256 32u
#define NIX32_SHA256 52u /* digits of one */
#define NIX_NARINFO_MAX (2u << 20) /* bytes */
#define NIX_LISTING_MAX (64u << 20)
#define NIX_DEPTH_MAX 512u
#define NIX_NODES_MAX 8000000u /* of one store path */
#define NIX_TARGET_MAX 4095u   /* of a symbolic link */

struct nixcaches;
struct nixtrust;
struct nixpaths;
struct nixahead;

enum nixverify {
	NIX_VERIFY_CONTENT, /* content only after it was checked */
	NIX_VERIFY_FULL,    /* metadata as well */
	NIX_VERIFY_LAZY     /* parts before all of it was checked, too */
};

/* One instance. Immutable after open() but for what its parts lock. */
struct nix {
	const struct scorpio_host *host;
	const struct scorpio_config *config; /* borrowed until close */
	char *store_dir;                     /* "/nix/store" */
	char *space;                         /* id space */
	enum nixverify verify;
	bool listings;        /* use .ls */
	bool lookup_drv;      /* derivations may be in the caches */
	uint64_t nar_max;     /* bytes of the largest archive taken */
	uint64_t whole_below; /* archives up to this size are brought whole */
	uint64_t ranges_above; /* smaller ones are never read in parts */
	struct nixcaches *caches;
	struct nixtrust *trust;
	struct nixpaths *paths;
	struct nixahead *ahead; /* NULL: nothing is brought ahead */
};

#define nixfail(n, code, ...) ((n)->host->fail((n)->host, (code), __VA_ARGS__))
#define nixlog(n, level, ...) ((n)->host->log((n)->host, (level), __VA_ARGS__))
#define nixcount(n, name, by) ((n)->host->count((n)->host, (name), (by)))

/* These end a call; other failures concern one object. */
static inline bool nixrc_stops(int code)
{
	return code == -EINTR || code == -ETIMEDOUT;
}

/* The next word of a list in the configuration; NULL at its end. */
static inline const char *nixword(const char **list, size_t *ret_len)
{
	const char *word = *list + strspn(*list, " ,\t\n");

	*ret_len = strcspn(word, " ,\t\n");
	*list = word + *ret_len;
	return *ret_len ? word : NULL;
}

static inline void nixfree(void *p)
{
	free(*(void **)p);
}
#define auto_free __attribute__((cleanup(nixfree)))

#endif
