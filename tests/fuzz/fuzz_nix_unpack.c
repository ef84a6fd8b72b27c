/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed streams: the first byte says which kind. The answer does not
 * depend on how the bytes arrive. */
#include "tests/fuzz/fuzz.h"

#include "backends/nix/unpack.h"

#include <assert.h>
#include <errno.h>

#define MOST (4u << 20)

struct sum {
	uint64_t n, sum;
};

static int on_plain(void *ctx, const void *p, size_t n)
{
	struct sum *s = ctx;

	for (size_t i = 0; i < n; i++)
		s->sum = s->sum * 31 + ((const uint8_t *)p)[i];
	s->n += n;
	return s->n > MOST ? -EFBIG : 0;
}

static int run(enum unpack_kind kind, const uint8_t *data, size_t size,
	       size_t step, struct sum *s)
{
	struct unpack *u = unpack_new(kind, on_plain, s);
	int rc = 0;

	for (size_t at = 0; at < size && !rc; at += step)
		rc = unpack_feed(u, data + at,
				 step < size - at ? step : size - at);
	if (!rc)
		rc = unpack_end(u);
	unpack_free(u);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum a = { 0 }, b = { 0 };
	int ra, rb;

	if (!size || *data > UNPACK_LZMA)
		return 0;
	ra = run(*data, data + 1, size - 1, size, &a);
	rb = run(*data, data + 1, size - 1, 3, &b);
	assert(ra == -EFBIG || rb == -EFBIG || !ra == !rb);
	assert(ra || (a.n == b.n && a.sum == b.sum));
	return 0;
}
