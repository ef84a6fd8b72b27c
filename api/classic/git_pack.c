/* SPDX-License-Identifier: Apache-2.0 */
/* git_pack.c - a pack of whole objects. */
#include "api/classic/git_impl.h"
#include "core/error.h"

#include <arpa/inet.h>
#include <zlib.h>

struct pushpack {
	struct buf body;
	uint32_t n;
};

static const struct {
	const char *name;
	unsigned kind;
} kinds[] = { { "commit", 1 }, { "tree", 2 }, { "blob", 3 } };

void git_id(const char *type, const void *p, size_t n, char ret_hex[GIT_HEX])
{
	struct hash *h = hash_new(HASH_SHA1);
	uint8_t sha[SHA1_LEN];
	char head[64];
	int len = snprintf(head, sizeof(head), "%s %zu", type, n);

	hash_update(h, head, (size_t)len + 1);
	hash_update(h, p, n);
	hash_final(h, sha);
	hash_free(h);
	hex_encode(sha, sizeof(sha), ret_hex);
}

struct pushpack *pushpack_new(void)
{
	return xcalloc(1, sizeof(struct pushpack));
}

void pushpack_free(struct pushpack *p)
{
	if (!p)
		return;
	buf_done(&p->body);
	free(p);
}

void pushpack_add(struct pushpack *p, const char *type, const void *data,
		 size_t n, char ret_hex[GIT_HEX])
{
	uLongf room = compressBound(n);
	cleanup_free uint8_t *z = xmalloc(room);
	unsigned kind = 0;
	uint8_t c;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, type))
			kind = kinds[i].kind;
	assert(kind);
	git_id(type, data, n, ret_hex);
	c = (uint8_t)(kind << 4 | (n & 15));
	for (size_t left = n >> 4; left; left >>= 7) {
		buf_putc(&p->body, c | 0x80);
		c = left & 0x7f;
	}
	buf_putc(&p->body, c);
	if (compress2(z, &room, data, n, Z_DEFAULT_COMPRESSION) != Z_OK)
		abort(); /* the room is enough: only memory can be missing */
	buf_put(&p->body, z, room);
	p->n++;
}

void pushpack_finish(struct pushpack *p, struct buf *out)
{
	size_t start = out->len;
	uint32_t head[] = { htonl(2), htonl(p->n) };
	uint8_t sha[SHA1_LEN];

	buf_put(out, "PACK", 4);
	buf_put(out, head, sizeof(head));
	buf_put(out, p->body.data, p->body.len);
	hash_bytes(HASH_SHA1, (uint8_t *)out->data + start, out->len - start,
		   sha);
	buf_put(out, sha, sizeof(sha));
}
