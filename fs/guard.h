/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - private to fs/: programs that walk everything (indexers, desktop
 * searches, backups) and may have only so much content fetched in a minute.
 * They are known by their name (/proc/PID/comm); nothing is read ahead for
 * them, and what is in the store they read like anybody. Any thread.
 */
#ifndef FS_GUARD_H
#define FS_GUARD_H

#include "fs/request.h"

struct guard;

/* programs: names divided by blanks, at most 32. NULL or none: no guard, NULL.
 * slow: what is over the budget is fetched after everything else, instead of
 * refused. */
struct guard *guard_new(const char *programs, uint64_t budget, bool slow);
void guard_free(struct guard *g); /* NULL is fine */

/* Content is missing for this request. Sets r->watched if its program is one of
 * them, and r->last if it has to wait for everybody else. -EDQUOT with a text.
 * g may be NULL. Cost: reads /proc once. */
int guard_ask(struct guard *g, struct request *r);
/* A watched request got content of that size that was fetched for it. */
void guard_charge(struct guard *g, const struct request *r, uint64_t bytes);

#endif
