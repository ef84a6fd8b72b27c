/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - what one fetch brought: bytes in memory, or a directory in the
 * instance's scratch space that looks like a small bare repository, with the
 * pack in objects/pack. It lives as long as one call, unless its packs are moved
 * into a repository that stays. Every id was computed from its object's content,
 * with collision detection. One thread at a time.
 */
#ifndef BACKENDS_GIT_PACK_H
#define BACKENDS_GIT_PACK_H

#include "common.h"
#include "pour.h"

#define GITPACK_OBJECTS_MAX (64u << 20) /* objects of one pack */

struct gitpack;

/* -ENOSPC, -EIO... with a text. */
int gitpack_new(struct gitsource *s, struct gitpack **ret);
void gitpack_free(struct gitpack *p); /* removes the directory; NULL is fine */
/* For the git program, as --git-dir. NULL: it cannot be made, with a text. */
const char *gitpack_gitdir(struct gitpack *p);

/* The pack's bytes as they come. -ENOSPC before the disk is full; -EBADMSG
 * for what is no pack. */
int gitpack_write(struct gitpack *p, const void *data, size_t n);
/* No more bytes: resolve deltas, check everything, open. No byte at all is an
 * empty pack. -EBADMSG: damaged or cut short. */
int gitpack_finish(struct gitpack *p);
/* Instead of write and finish: another program has put packs there. */
int gitpack_adopt(struct gitpack *p);

/* After finish: the ids of all objects, in the order of the pack. */
const git_oid *gitpack_ids(const struct gitpack *p, size_t *ret_n);
bool gitpack_has(const struct gitpack *p, const git_oid *oid,
		 git_object_t *ret_type);
int gitpack_read(struct gitpack *p, const git_oid *oid,
		 git_odb_object **ret); /* -ESTALE absent */
/* The content of each tree, until fn returns other than 0. */
typedef int (*gitpack_tree_fn)(void *ctx, const void *raw, size_t len);
int gitpack_trees(struct gitpack *p, gitpack_tree_fn fn, void *ctx);
/* Pour all trees and blobs. */
int gitpack_pour(struct gitpack *p, struct gitpour *pour);
/* Move the packs into another repository's object directory. */
int gitpack_move(struct gitpack *p, const char *objects);

#endif
