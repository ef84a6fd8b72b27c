/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.h - private to fs/: large files of which the source can bring parts
 * (source_part), each a blob of its own in the store. Who reads in the middle
 * waits for that part alone; who reads on gets the next ones ahead of time.
 */
#ifndef FS_PARTS_H
#define FS_PARTS_H

#include "fs/view.h"

struct request;

/* Read a range of a file that is not in the store as a whole: a count, short
 * only at its end; -EAGAIN with the need noted; -ENOENT: it has no parts. */
int64_t parts_read(struct request *r, uint64_t ino,
		   const struct view_content *c, uint64_t off, void *buf,
		   size_t size);

#endif
