/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - a small pack, whole in memory, taken apart in one pass: each object
 * is inflated once, its id computed from its content (SHA-1 with collision
 * detection). Made for answers of a few hundred files; what it does not take is
 * for libgit2's indexer, which also says what is wrong with a damaged pack.
 * Needs neither files nor the host. One thread at a time.
 */
#ifndef BACKENDS_GIT_UNPACK_H
#define BACKENDS_GIT_UNPACK_H

#include "common.h"

#define GITUNPACK_PACK_MAX (24u << 20)    /* bytes of a pack */
#define GITUNPACK_CONTENT_MAX (64u << 20) /* bytes of all its objects */

struct gitunpack_object {
	git_oid oid;
	git_object_t type;
	const uint8_t *data; /* until gitunpack_free; NULL if empty */
	size_t len;
};

struct gitunpack;

/* 0, or -ENOTSUP: damaged, too large, or with deltas against objects that are
 * not in it. The pack is borrowed during the call. */
int gitunpack_new(const uint8_t *pack, size_t len, struct gitunpack **ret);
void gitunpack_free(struct gitunpack *u); /* NULL is fine */
/* All of them, in the order of the pack. */
const struct gitunpack_object *gitunpack_all(const struct gitunpack *u,
					     size_t *ret_n);
const struct gitunpack_object *gitunpack_find(const struct gitunpack *u,
					      const git_oid *oid); /* or NULL */

#endif
