/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - private to fs/: what several operations need to know of a file. */
#ifndef FS_FILE_H
#define FS_FILE_H

#include "fs/request.h"
#include "fs/view.h"

/* Attributes of r->ino. -EAGAIN with the need noted. */
int file_attributes(struct request *r, struct stat *ret);
/* Where its content is now. The kernel asks for one change of an inode's
 * content at a time, so this stays true while a request that names ino is under
 * way, but for a reset from outside. */
int file_content(struct request *r, uint64_t ino, struct view_content *ret);
/* Read from there. A count, short only at the end. -EAGAIN, need noted. */
int64_t file_read_content(struct request *r, uint64_t ino,
			  const struct view_content *c, uint64_t off,
			  void *buf, size_t size);

#endif
