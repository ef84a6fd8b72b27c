/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h - a write-ahead log with checkpoints: numbered records in files of one
 * directory. It knows nothing of what the records mean.
 *
 *	log.<n>     records in order of their numbers, the newest file grows
 *	checkpoint  a snapshot that replaces every log below a number it names
 *
 *	record      u32 length, u32 type, u64 seq, payload, u64 xxh3 of all that
 *
 * Promises: a record whose append returned 0 survives the death of the process
 * (it is in the page cache), and after wal_sync the death of the machine.
 * Whatever is cut off or damaged at the end, what is read back is a prefix of
 * what was appended. A crash at any point of a checkpoint leaves the old
 * snapshot with its logs, or the new one.
 *
 * A log that was removed from the disk takes nothing more: -EIO.
 *
 * Space for 1 MiB of records is reserved ahead, so that a full disk does not
 * stop the deletions that would make room.
 *
 * Threads: append and checkpoint_begin by one thread at a time (the caller's
 * lock); wal_sync by any number, which share their disk flushes;
 * checkpoint_end by one thread, beside appends.
 */
#ifndef FS_WAL_H
#define FS_WAL_H

#include "core/buf.h"

#define WAL_PAYLOAD_MAX (1u << 20)

struct wal;

/* One record read back; of the checkpoint, seq is 0. Nonzero stops wal_open
 * with that result. */
typedef int (*wal_read_fn)(void *ctx, uint32_t type, uint64_t seq,
			   const uint8_t *p, size_t n);

struct wal_found {
	bool fresh;          /* nothing was there */
	uint64_t torn_bytes; /* cut off at the end */
	uint64_t records;    /* read from logs, not from the checkpoint */
};

/* Read what is there and make ready to append. dir exists. -EBADMSG a damaged
 * checkpoint (text says so), errors of the disk. */
int wal_open(const char *dir, wal_read_fn fn, void *ctx, struct wal **ret,
	     struct wal_found *ret_found);
/* Does not sync. NULL is fine. */
void wal_close(struct wal *w);

/* Append one record; type < 1000. On failure nothing was appended. About 1 us.
 * -ENOSPC, -EDQUOT, -EIO with a text. */
int wal_append(struct wal *w, uint32_t type, const void *p, size_t n,
	       uint64_t *ret_seq);
/* The number of the newest record. Any thread. */
uint64_t wal_seq(const struct wal *w);
/* Bytes in logs that the next checkpoint would replace. Any thread. */
uint64_t wal_size(const struct wal *w);
/* Wait until every record up to seq is on the disk. After a failed flush the
 * log takes no more records: what the disk holds is unknown. */
int wal_sync(struct wal *w, uint64_t seq);

/* A snapshot: begin while nothing can change, put the whole state, then end.
 * put copies to memory. end writes, syncs and drops older logs; on failure the
 * old state stays valid and the log goes on. Both free the checkpoint. */
struct wal_checkpoint;
int wal_checkpoint_begin(struct wal *w, struct wal_checkpoint **ret);
void wal_checkpoint_put(struct wal_checkpoint *c, uint32_t type,
			const void *p, size_t n);
int wal_checkpoint_end(struct wal_checkpoint *c);
/* Give up between begin and end; then only wal_close may follow. */
void wal_checkpoint_drop(struct wal_checkpoint *c);

/* A snapshot for another directory: the log goes on as if nothing were. After
 * put, copy_end makes it the first state in the directory `dir` and syncs it;
 * it frees the checkpoint, as does drop. */
void wal_copy_begin(struct wal *w, struct wal_checkpoint **ret);
int wal_copy_end(struct wal_checkpoint *c, int dir);

#endif
