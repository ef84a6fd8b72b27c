/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.h - asking the server for one directory, and making sure that the
 * answer is the one that is meant.
 *
 * Ids of directories. In the monorepo, and inside an imported repository, they
 * are git tree ids. A directory below the import directory (/third-party) but
 * still part of the monorepo's own tree may be a placeholder, whose tree id is
 * only a change token: its id here is 32 bytes, 'i', the token, and 11 bytes
 * of a digest of address and path, so that it can never be taken for a tree.
 */
#ifndef BACKENDS_MONO_DIRECTORY_H
#define BACKENDS_MONO_DIRECTORY_H

#include "listing.h"

#define MONO_IMPORT_ID 32u /* SCORPIO_ID_BELOW_MAX */
#define MONO_PLACE 11u

/* GET file/tree of an absolute path, now, on main: its list and id. An unknown
 * path, and an answer that is no tree, give an empty list and *ret_len 0. The
 * body is owned by the caller; NULL where not wanted. */
int monodir_raw(struct mono *m, const char *path, struct monolist *ret,
		uint8_t ret_id[MONO_OID], char **ret_body, size_t *ret_len);
/* GET tree/content-hash at `refs` ("" = main). Unknown paths are empty lists.
 * -ENOENT: the server does not know refs, as far as one can tell. */
int monodir_json(struct mono *m, const char *path, const char *refs,
		 struct monolist *ret);

/* The id of the child `name` of the directory `path` ("/" or "/a/b"). */
struct scorpio_id monodir_import_id(const struct mono *m, const char *path,
				    const char *name, size_t n,
				    const uint8_t token[MONO_OID]);

/* scorpio_backend.list */
int monodir_list(struct mono *m, const struct scorpio_ref *refs, uint32_t n,
		 const struct scorpio_sink *sink);

#endif
