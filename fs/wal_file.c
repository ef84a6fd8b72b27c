/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/wal_file.h"

#include "core/error.h"
#include "core/hash.h"
#include "fs/wal.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define HEAD 16u
#define TAIL 8u

void wal_record_put(struct buf *out, uint32_t type, uint64_t seq,
		    const void *p, size_t n)
{
	size_t start = out->len;
	uint8_t *at;

	buf_reserve(out, HEAD + n + TAIL);
	at = out->data + start;
	put_u32(at, (uint32_t)n);
	put_u32(at + 4, type);
	put_u64(at + 8, seq);
	if (n)
		memcpy(at + HEAD, p, n);
	put_u64(at + HEAD + n, hash_xxh3(at, HEAD + n, 0));
	out->len = start + HEAD + n + TAIL;
}

/* The record at p; 0 = damaged or cut. Returns its whole length. */
static size_t parse(const uint8_t *p, size_t left, struct wal_record *ret)
{
	size_t n;

	if (left < HEAD + TAIL)
		return 0;
	n = get_u32(p);
	if (n > WAL_PAYLOAD_MAX || n > left - HEAD - TAIL)
		return 0;
	if (get_u64(p + HEAD + n) != hash_xxh3(p, HEAD + n, 0))
		return 0;
	*ret = (struct wal_record){ .type = get_u32(p + 4),
				    .seq = get_u64(p + 8), .p = p + HEAD,
				    .n = n };
	return HEAD + n + TAIL;
}

int wal_file_read(int fd, int (*fn)(void *ctx, const struct wal_record *r),
		  void *ctx, uint64_t *ret_good)
{
	struct wal_record r;
	struct stat st;
	size_t size, at = 0, n;
	uint8_t *map;
	int rc = 0;

	*ret_good = 0;
	if (fstat(fd, &st))
		return fail(-errno, "%s", strerror(errno));
	size = (size_t)st.st_size;
	if (!size)
		return 0;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return fail(-errno, "%s", strerror(errno));
	while (at < size && (n = parse(map + at, size - at, &r))) {
		rc = fn(ctx, &r);
		if (rc)
			break;
		at += n;
		*ret_good = at;
	}
	munmap(map, size);
	return rc;
}
