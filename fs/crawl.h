/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crawl.h - private to fs/: read-ahead for somebody who reads a whole tree
 * (grep, tar, an indexer, a clean build), or asks for all sizes (find -size, du,
 * a build's first look) where lists do not tell them.
 *
 * Once several directories in a row had content missing, the directories that
 * follow in the order of a walk are brought too, many files in one batch. The
 * window of files brought but not yet read grows with what was really read of
 * it, so at most about as much is fetched in vain as was useful, and starts
 * small again after a pause.
 *
 * Cost: a relaxed load per first read of a file while no crawl is on. The work
 * is done on a thread of its own.
 */
#ifndef FS_CRAWL_H
#define FS_CRAWL_H

#include "fs/request.h"

struct crawl;

/* what: WANT_BLOB or WANT_SIZE */
struct crawl *crawl_new(struct mount *m, enum want_kind what);
/* Stops at once; waits for its thread to leave. NULL is fine. */
void crawl_free(struct crawl *c);
/* Content was missing in this directory for the second time, or a size. */
void crawl_missed(struct crawl *c, struct node *dir);
/* Was somebody found walking? */
bool crawl_on(const struct crawl *c);
/* The first bytes of a file in this directory are read. */
void crawl_read(struct crawl *c, struct node *dir);

#endif
