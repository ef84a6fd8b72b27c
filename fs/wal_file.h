/* SPDX-License-Identifier: Apache-2.0 */
/* wal_file.h - private to wal.c: the bytes of records. */
#ifndef FS_WAL_FILE_H
#define FS_WAL_FILE_H

#include "core/buf.h"

#define WAL_LOG_NAME "log.%016lx"
#define WAL_MAGIC 0x4c575353u /* "SSWL" */
#define WAL_FORMAT 1u
#define WAL_RESERVED 1000u /* types from here on are ours */
#define WAL_HEADER 1001u
#define WAL_END 1002u

struct wal_record {
	uint32_t type;
	uint64_t seq;
	const uint8_t *p; /* valid during the call */
	size_t n;
};

void wal_record_put(struct buf *out, uint32_t type, uint64_t seq,
		    const void *p, size_t n);
/* Read records until the end, a damaged one (not an error), or a nonzero
 * result of fn, which is returned. *ret_good: the end of the last record that
 * fn accepted. */
int wal_file_read(int fd, int (*fn)(void *ctx, const struct wal_record *r),
		  void *ctx, uint64_t *ret_good);

#endif
