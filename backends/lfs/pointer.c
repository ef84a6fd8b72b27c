/* SPDX-License-Identifier: Apache-2.0 */
#include "pointer.h"

#include <inttypes.h>

static const char head[] =
	"version https://git-lfs.github.com/spec/v1\noid sha256:";
static const char middle[] = "\nsize ";

size_t lfsptr_format(const struct lfsptr *p, char out[160])
{
	char hex[LFS_OID_HEX + 1];

	lfs_hex(p->oid, LFS_OID_LEN, hex);
	return (size_t)snprintf(out, 160, "%s%s%s%" PRIu64 "\n", head, hex,
				middle, p->size);
}

static bool parse_size(const char *s, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (n < 2 || s[n - 1] != '\n' || (s[0] == '0' && n > 2))
		return false;
	for (size_t i = 0; i < n - 1; i++) {
		if (s[i] < '0' || s[i] > '9' ||
		    __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return false;
	}
	*ret = v;
	return v <= INT64_MAX;
}

bool lfsptr_parse(const char *text, size_t n, struct lfsptr *ret)
{
	const size_t h = sizeof(head) - 1, m = sizeof(middle) - 1;
	const size_t before = h + LFS_OID_HEX + m;
	struct lfsptr p;

	if (n >= LFSPTR_MAX || n <= before || memcmp(text, head, h) ||
	    !lfs_unhex(text + h, LFS_OID_LEN, p.oid) ||
	    memcmp(text + h + LFS_OID_HEX, middle, m) ||
	    !parse_size(text + before, n - before, &p.size))
		return false;
	*ret = p;
	return true;
}

bool lfsptr_is_empty(const struct lfsptr *p)
{
	static const uint8_t nothing[LFS_OID_LEN] = {
		0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
		0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
		0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
		0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
	};

	return !p->size && !memcmp(p->oid, nothing, sizeof(nothing));
}
