/* SPDX-License-Identifier: Apache-2.0 */
/* The check of the data file's structure, and what is read of a damaged one: any
 * file, never a crash and never without end. */
#include "tests/fuzz/fuzz.h"

#include "core/base.h"

#include "cache/store_impl.h"

#include <sys/mman.h>

static const char *const names[] = { "meta", "pin", "data", "tree" };

/* Every byte of it is there. */
static int take(void *ctx, const void *key, size_t klen, const void *data,
		size_t len)
{
	volatile uint64_t *sum = ctx;

	*sum ^= hash_xxh3(key, klen, 0) ^ hash_xxh3(data, len, 1);
	*sum += codec_chunk_len(data, len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	uint64_t sum = 0;
	int r;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	r = store_check_fd(fd, 0, DEADLINE_NONE);
	assert(r <= 0);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		struct store_records x = { .db = names[i],
					   .all = i % 2 == 0,
					   .deadline = DEADLINE_NONE,
					   .fn = take,
					   .ctx = &sum };
		int n = store_check_records(fd, &x);

		assert(r || !n); /* what is sound has no damage in it */
	}
	close(fd);
	return 0;
}
