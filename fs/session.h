/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - private to session*.c: what is between libfuse and the kernel. */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs/request.h"

/* Add the operations of a writable mount to those of reading. */
void session_writable(struct fuse_lowlevel_ops *ops);
/* Read and answer through our own functions, which can agree with the kernel
 * on what libfuse does not know of. */
int session_own_io(struct mount *m, int fd);
/* A request that is about to be handed to libfuse: remember what libfuse drops
 * of it, for the operation this thread runs next. */
void session_peek(struct mount *m, const struct fuse_buf *buf);
/* Give the request of this thread its number. */
void session_mark(struct request *r);
/* Does this thread take requests from the kernel? */
bool session_serves(void);
/* Make libfuse's session of a mount that outlived its daemon ready. */
int session_revive(struct mount *m);
struct request session_arrived(fuse_req_t req, enum op op, fuse_ino_t ino);

#endif
