/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - private to fs/: what changed since when, for status, watchers
 * and git. A bounded list of (sequence number, kind, path) of one generation.
 * Sequence numbers are those of the change log, so the list is rebuilt from it;
 * a checkpoint of the log carries the newest part along.
 *
 * Threads: any; its lock is a leaf.
 */
#ifndef FS_JOURNAL_H
#define FS_JOURNAL_H

#include "core/base.h"
#include "fs/fs.h"

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal *j);
/* path and from are taken; NULL path: nothing is added. */
void journal_add(struct journal *j, uint64_t seq, enum fs_journal_kind kind,
		 bool is_dir, char *path, char *from);
/* A fresh history from here on. */
void journal_begin(struct journal *j, uint64_t generation, uint64_t seq);
struct fs_clock journal_now(struct journal *j);
/* Entries up to this number were handed out: a later write to the same file is
 * news again. Atomic. */
uint64_t journal_observed(struct journal *j);
void journal_observe(struct journal *j, uint64_t seq);
/* See fs_journal. */
int journal_read(struct journal *j, struct fs_clock since, int64_t deadline,
		 int (*fn)(void *ctx, const struct fs_journal_entry *e),
		 void *ctx, struct fs_clock *ret);
/* Waiting readers end at once; for unmount. */
void journal_stop(struct journal *j);
/* The newest number that was ever given; after journal_begin, for a load. */
void journal_resume(struct journal *j, uint64_t last);
/* For a checkpoint: entries after this number are all there, and each. */
uint64_t journal_floor(struct journal *j);
void journal_each(struct journal *j,
		  void (*fn)(void *ctx, const struct fs_journal_entry *e),
		  void *ctx);

#endif
