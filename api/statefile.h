/* SPDX-License-Identifier: Apache-2.0 */
/* statefile.h - small files that say what a daemon had, for the next one. */
#ifndef API_STATEFILE_H
#define API_STATEFILE_H

#include "core/buf.h"

#include <pthread.h>

/* Who changed something has it written; those who come meanwhile share the next
 * writing. Zero it and init; one for each file. */
struct statefile {
	pthread_mutex_t lock; /* held while it is written */
	uint64_t asked;       /* atomic: calls of statefile_save */
	uint64_t written;     /* lock: as many of them are answered */
	int error;            /* lock: of the last writing, as its text */
	char why[256];        /* lock */
};
void statefile_init(struct statefile *s);
void statefile_done(struct statefile *s);
/* What was changed before is written when this returns, by `write`, whose result
 * it is: called by one thread at a time, at most once by each. */
int statefile_save(struct statefile *s, int (*write)(void *ctx), void *ctx);

/* As a whole or not at all, readable by its owner alone, on the disk when this
 * returns. The directory is made. */
int statefile_write(const char *path, const struct buf *text);
/* It cannot be read (error err, whose text is logged): it goes to PATH.bad, so
 * that the next write does not destroy it. */
void statefile_set_aside(const char *area, const char *path, int err);
/* Is there one? */
bool statefile_is_aside(const char *path);

#endif
