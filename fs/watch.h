/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - private to fs/: what is remembered about answered requests: the
 * trace ring, accounts per process, recordings of what was read.
 *
 * Hot-path cost: two relaxed loads while nobody listens, plus one lookup in a
 * small table for the account.
 */
#ifndef FS_WATCH_H
#define FS_WATCH_H

#include "fs/fs.h"

#define WATCH_RING 8192
#define WATCH_ACCOUNTS 1024

struct mount;
struct request;

struct watch {
	uint32_t listeners; /* atomic */
	pthread_mutex_t lock;
	struct fs_event *ring; /* lock; allocated at the first listener */
	uint64_t seq;          /* lock; of the newest event */
	pthread_mutex_t account_lock;
	struct fs_account accounts[WATCH_ACCOUNTS]; /* lock: account_lock */
};

void watch_init(struct watch *w);
void watch_done(struct watch *w);
/* An answered request. */
void watch_request(struct request *r, int error, uint64_t bytes);
/* A file of the mount was read (first bytes). */
void watch_read(struct mount *m, uint64_t ino);
void watch_recording_free(struct mount *m); /* when no request can come */

#endif
