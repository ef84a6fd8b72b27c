/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known.h - private to fs/: the names of an open root
 * (SCORPIO_INSTANCE_OPEN_ROOT) that were looked up in this mount and found, in
 * that order: what its listing shows beside the root's own tree. Each is the
 * id of the bucket it is in.
 *
 * Any thread. Grows only; 40 bytes a name.
 */
#ifndef FS_KNOWN_H
#define FS_KNOWN_H

#include "fs/mount.h"

/* What the source's instance asks of a mount being made: owner, open root.
 * -ENOTSUP: a workspace was asked for by name. */
int known_prepare(struct mount *m, const struct fs_mount_request *r);
struct known *known_new(void);
void known_free(struct known *k); /* NULL is fine */
/* It was found. The first time the kernel is made to list the root anew. */
void known_add(struct mount *m, const struct scorpio_id *bucket);
/* Of a mount that outlived its daemon: names the kernel knows were found. */
void known_revive(struct mount *m);
/* The bucket at a position, from 0; false: the end. */
bool known_at(struct mount *m, uint64_t at, struct scorpio_id *ret);
/* Before the memory goes: wait for what known_add started. */
void known_stop(struct mount *m);

#endif
