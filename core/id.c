/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id.h"

#include <sys/random.h>

char *hex_encode(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
	return out;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *s, size_t n, void *out)
{
	uint8_t *b = out;

	for (size_t i = 0; i < n; i++) {
		int hi = digit(s[2 * i]);
		int lo = hi < 0 ? -1 : digit(s[2 * i + 1]);

		if (lo < 0)
			return false;
		b[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

struct scorpio_id id_make(const void *bytes, size_t n)
{
	struct scorpio_id id = { 0 };

	assert(n <= SCORPIO_ID_MAX);
	id.len = (uint8_t)n;
	memcpy(id.bytes, bytes, n);
	return id;
}

bool id_equal(const struct scorpio_id *a, const struct scorpio_id *b)
{
	return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}

char *id_hex(const struct scorpio_id *id, char out[ID_HEX_MAX])
{
	return hex_encode(id->bytes, MIN(id->len, SCORPIO_ID_MAX), out);
}

bool id_from_hex(const char *s, struct scorpio_id *ret)
{
	size_t n = strlen(s);

	if (n % 2 || n / 2 > SCORPIO_ID_MAX || !n)
		return false;
	*ret = (struct scorpio_id){ .len = (uint8_t)(n / 2) };
	return hex_decode(s, n / 2, ret->bytes);
}

void id_uuid(char out[ID_UUID_LEN + 1])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		abort();
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(out, ID_UUID_LEN + 1,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9],
		 b[10], b[11], b[12], b[13], b[14], b[15]);
}
