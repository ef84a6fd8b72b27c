/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounter.h - private to fs/, and for who starts the daemon: a process beside it
 * that runs fusermount3, so that the daemon of a user can give up what it needs
 * for that (programs with more rights than their caller, core/confine.h).
 *
 * It does nothing but that, with the rights of the same user, and ends when the
 * daemon does. Without it fusermount3 is run by libfuse and core/spawn.h.
 */
#ifndef FS_MOUNTER_H
#define FS_MOUNTER_H

#include "core/base.h"

struct fuse_session;

/* Start it: once, before threads are many and before rights are given up. */
int mounter_start(void);
bool mounter_is_used(void);
/* Mount a new session at dir, by whoever does that here. options: of the mount,
 * as fuse_session_new was told them. -errno, with fusermount3's text if it has
 * one. Blocking: fusermount3 is ended after 10 s, a helper that does not answer
 * is waited for 22 s. */
int mounter_mount(struct fuse_session *s, const char *dir,
		  const char *options);
/* fusermount3 -u. 0: it ran, *ret_status and what it said in error. As long. */
int mounter_unmount(const char *dir, bool lazy, int *ret_status, char *error,
		    size_t cap);

#endif
