/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - private to session*.c: the parts that only writable mounts use. */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs/request.h"

/* Add the operations of a writable mount to those of reading. */
void session_writable(struct fuse_lowlevel_ops *ops);
/* Read and answer through our own functions, which can agree with the kernel
 * on what libfuse does not know of. */
int session_own_io(struct mount *m);
/* A request that is about to be handed to libfuse: remember what libfuse drops
 * of it, for the operation this thread runs next. */
void session_peek(struct mount *m, const struct fuse_buf *buf);
struct request session_arrived(fuse_req_t req, enum op op, fuse_ino_t ino);

#endif
