/* SPDX-License-Identifier: Apache-2.0 */
/* Input: eight bytes of size, then the header's value. */
#include "api/http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct range r;
	uint64_t size;
	char *value;
	int got;

	if (n < sizeof(size))
		return 0;
	memcpy(&size, data, sizeof(size));
	value = xstrndup((const char *)data + sizeof(size), n - sizeof(size));
	got = range_parse(value, size, &r);
	free(value);
	if (got <= 0)
		return 0;
	if ((size_t)got != r.n || r.n > RANGE_MAX)
		abort();
	for (size_t i = 0; i < r.n; i++) {
		if (!r.part[i].length || r.part[i].offset >= size ||
		    r.part[i].length > size - r.part[i].offset)
			abort();
	}
	return 0;
}
