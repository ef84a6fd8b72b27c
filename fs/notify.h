/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - private to fs/: telling the kernel what it must forget.
 *
 * A notification may wait in the kernel for a page or a directory that a
 * request under way has locked. So they are sent by a thread of their own that
 * answers nothing and holds nothing; whoever answers requests never waits for
 * it (asserted). A request of the same inode may be in flight then: the kernel
 * orders the two, names by the lock of the directory, attributes by their version.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "core/base.h"

struct mount;

struct notices { /* a list being filled; zeroed is empty */
	struct notice {
		uint64_t ino;
		char *name; /* in the directory ino; NULL: ino itself */
		bool pages; /* of ino too, not only its attributes */
	} *list;
	size_t n, cap;
};

/* The attributes and pages of an inode, or a name (positive or negative). */
void notices_inode(struct notices *n, uint64_t ino);
/* Its attributes alone: does not wait for pages that are being read. */
void notices_attributes(struct notices *n, uint64_t ino);
void notices_name(struct notices *n, uint64_t dir, const char *name);
void notices_done(struct notices *n);

/* Send them and wait until the kernel has taken all. No lock held, not on a
 * thread that answers requests. Empties n. -ETIMEDOUT: they are being sent
 * still. Unknown inodes and names are no failure. */
int notify_send(struct mount *m, struct notices *n, int64_t deadline);
/* End the thread; nobody sends any more. */
void notify_stop(struct mount *m);

#endif
