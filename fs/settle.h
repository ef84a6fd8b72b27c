/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.h - private to fs/: private changes that equal the revision are none.
 *
 * Programs write files anew that end up as the revision has them: git when it
 * goes to another branch and back, generators, editors. They lie in the
 * workspace's upper layer all the same, and would be in conflict with a switch.
 * Settling compares them with the revision and lets those go that are equal in
 * kind, permissions and content. Nothing that programs see changes, not even
 * inode numbers and times.
 */
#ifndef FS_SETTLE_H
#define FS_SETTLE_H

#include "fs/mount.h"

/* Costs time by the number of changes; content is compared once per version,
 * and no content is fetched. The caller holds m->switching. Blocking: trees
 * may have to be fetched. *ret: how many were settled. What cannot be compared
 * stays a change; errors are those of the log and the deadline. */
int settle(struct mount *m, int64_t deadline, uint64_t *ret);

struct delta;
/* Do private changes cover all that differs? -EAGAIN if not. adopt.c; lock:
 * edit. Costs time by what differs. */
int adopt_check(struct mount *m, const struct delta *d);

#endif
