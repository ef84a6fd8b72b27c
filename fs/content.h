/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content.h - private to fs/: giving an inode a content file of its own, which
 * is what "copy-up" means here. Content of the revision is copied through the
 * store in pieces, never under a lock; large ones on a thread of fs.work, once,
 * however many requests wait for it.
 */
#ifndef FS_CONTENT_H
#define FS_CONTENT_H

#include "fs/edit.h"
#include "fs/upper.h"

#define CONTENT_ALL UINT64_MAX

struct content_file {
	struct cnode *node;
	struct upper_fd fd;
	bool privileged; /* see view_content */
};
/* Open the content file of a regular file for changing; made first if there is
 * none, with at most `keep` bytes of what it had. -EAGAIN, -EINPROGRESS. */
int content_open(struct request *r, uint64_t ino, uint64_t keep,
		 struct content_file *ret);
/* Nothing of its content was changed, or it is known already. */
void content_done(struct request *r, struct content_file *f);
/* It was changed: sizes and times follow, privileges go. Closes. `result` is
 * that of the change; returned, unless it is 0 and this fails. */
int content_close(struct request *r, struct content_file *f, int result);

#endif
