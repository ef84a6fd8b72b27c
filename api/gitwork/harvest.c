/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harvest.c - what is gathered while the index is made. The pack holds trees
 * as they are, in stored zlib blocks: half of a tree is ids, which do not
 * shrink, and git packs them better when it collects its garbage.
 */
#include "api/gitwork/prepare.h"

#include "core/hash.h"

#define ID SHA1_LEN
#define BLOCK 65535u
#define OBJ_TREE 2u
#define PACK_HEAD 12u

struct githarvest {
	struct buf pack, table, paths;
	struct buf ids;  /* of the trees in the pack */
	uint32_t *set;   /* positions there + 1, by id */
	size_t set_size; /* a power of two */
	const char **list;
	size_t n_paths;
	uint32_t trees;
	bool packed, sorted;
};

struct githarvest *githarvest_new(void)
{
	struct githarvest *h = xcalloc(1, sizeof(*h));

	githarvest_reset(h);
	return h;
}

void githarvest_free(struct githarvest *h)
{
	if (!h)
		return;
	buf_done(&h->pack);
	buf_done(&h->table);
	buf_done(&h->paths);
	buf_done(&h->ids);
	free(h->set);
	free(h->list);
	free(h);
}

void githarvest_reset(struct githarvest *h)
{
	static const char head[PACK_HEAD] = "PACK\0\0\0\2";

	h->pack.len = h->table.len = h->paths.len = h->n_paths = 0;
	h->trees = 0;
	h->ids.len = 0;
	if (h->set)
		memset(h->set, 0, h->set_size * sizeof(*h->set));
	h->packed = h->sorted = false;
	buf_put(&h->pack, head, sizeof(head));
}

static uint32_t adler(const uint8_t *p, size_t n)
{
	uint32_t a = 1, b = 0;

	while (n) {
		size_t part = MIN(n, 5552u);

		n -= part;
		while (part--) {
			a += *p++;
			b += a;
		}
		a %= 65521u;
		b %= 65521u;
	}
	return b << 16 | a;
}

static void put_zlib(struct buf *out, const uint8_t *p, size_t n)
{
	uint32_t sum = __builtin_bswap32(adler(p, n));

	buf_put(out, "\x78\x01", 2);
	do {
		size_t part = MIN(n, BLOCK);
		uint8_t head[5] = { part == n };

		put_u16(head + 1, (uint16_t)part);
		put_u16(head + 3, (uint16_t)~part);
		buf_put(out, head, sizeof(head));
		buf_put(out, p, part);
		p += part;
		n -= part;
	} while (n);
	buf_put(out, &sum, 4);
}

/* Ids are evenly spread. */
static uint32_t *slot_of(struct githarvest *h, const uint8_t id[ID])
{
	size_t at = get_u64(id) & (h->set_size - 1);

	while (h->set[at] &&
	       memcmp(h->ids.data + (h->set[at] - 1) * (size_t)ID, id, ID))
		at = (at + 1) & (h->set_size - 1);
	return &h->set[at];
}

static void grow(struct githarvest *h)
{
	h->set_size = MAX(h->set_size * 2, 4096u);
	free(h->set);
	h->set = xcalloc(h->set_size, sizeof(*h->set));
	for (uint32_t i = 0; i < h->trees; i++)
		*slot_of(h, h->ids.data + i * (size_t)ID) = i + 1;
}

/* The same directory is often in several places. */
static bool seen(struct githarvest *h, const uint8_t id[ID])
{
	uint32_t *slot;

	if (2 * (size_t)h->trees >= h->set_size)
		grow(h);
	slot = slot_of(h, id);
	if (*slot)
		return true;
	buf_put(&h->ids, id, ID);
	*slot = h->trees + 1;
	return false;
}

int githarvest_tree(void *harvest, const uint8_t id[20],
		    const void *raw, size_t n)
{
	struct githarvest *h = harvest;
	size_t rest = n >> 4;
	uint8_t c = (uint8_t)(OBJ_TREE << 4 | (n & 15));

	if (seen(h, id))
		return 0;
	while (rest) {
		buf_putc(&h->pack, c | 0x80);
		c = rest & 0x7f;
		rest >>= 7;
	}
	buf_putc(&h->pack, c);
	put_zlib(&h->pack, raw, n);
	h->trees++;
	return 0;
}

int githarvest_blob(void *harvest, const uint8_t id[20], const char *path)
{
	struct githarvest *h = harvest;

	buf_put(&h->table, id, ID);
	if (path) {
		buf_put(&h->paths, path, strlen(path) + 1);
		h->n_paths++;
	}
	return 0;
}

const struct buf *githarvest_pack(struct githarvest *h)
{
	uint8_t sum[SHA1_LEN];
	uint32_t n = __builtin_bswap32(h->trees);

	if (!h->packed) {
		memcpy(h->pack.data + 8, &n, 4);
		hash_bytes(HASH_SHA1, h->pack.data, h->pack.len, sum);
		buf_put(&h->pack, sum, sizeof(sum));
		h->packed = true;
	}
	return &h->pack;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, ID);
}

const struct buf *githarvest_table(struct githarvest *h)
{
	uint8_t *t = h->table.data;
	size_t n = h->table.len / ID, kept = 0;

	if (h->sorted || !n)
		return &h->table;
	qsort(t, n, ID, by_id);
	for (size_t i = 0; i < n; i++)
		if (!kept || memcmp(t + (kept - 1) * ID, t + i * ID, ID))
			memmove(t + kept++ * ID, t + i * ID, ID);
	h->table.len = kept * ID;
	h->sorted = true;
	return &h->table;
}

const char *const *githarvest_ignores(struct githarvest *h, size_t *ret_n)
{
	const char *p = (const char *)h->paths.data;

	h->list = xrealloc(h->list, (h->n_paths + 1) * sizeof(*h->list));
	for (size_t i = 0; i < h->n_paths; i++, p += strlen(p) + 1)
		h->list[i] = p;
	*ret_n = h->n_paths;
	return h->list;
}
