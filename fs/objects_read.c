/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_read.c - the bytes of a loose object, without compression.
 *
 *	zlib: 2 bytes of head, blocks of at most 65535 plain bytes behind 5
 *	bytes each, Adler-32. Plain: "blob SIZE" NUL content
 */
#include "fs/objects_impl.h"

#include "core/clock.h"
#include "core/error.h"

#define BLOCK 65535u
#define BLOCK_HEAD 5u
#define ZLIB_HEAD 2u
#define ADLER_PRIME 65521u
#define FETCH_MS 300000

/* -- content ------------------------------------------------------------------------ */

struct scorpio_id objects_id(const struct fs_objects *o, uint64_t index)
{
	struct scorpio_id id = { .len = ID };

	memcpy(id.bytes, o->table + index * ID, ID);
	return id;
}

static int read_store(struct fs_objects *o, uint64_t index, uint64_t off,
		      void *buf, size_t len, uint64_t *ret_size)
{
	struct scorpio_id id = objects_id(o, index);
	struct store_key k = store_key(o->space, &id);
	struct store_reader r;
	struct blob_info blob;
	int64_t n = 0;
	int rc = store_read_begin(o->store, &r);

	if (rc)
		return rc;
	rc = store_blob(&r, &k, &blob);
	if (!rc && !blob.has_content)
		rc = -ENOENT;
	if (!rc && len)
		n = store_blob_read(&r, &k, off, buf, len);
	store_read_end(&r);
	if (rc || n < 0)
		return rc ? rc : (int)n;
	if (ret_size)
		*ret_size = blob.size;
	return (size_t)n == len ? 0 : -EIO;
}

/* From the store, fetched when it is not there. */
static int read_content(struct fs_objects *o, uint64_t index, uint64_t off,
			void *buf, size_t len, uint64_t *ret_size)
{
	struct scorpio_ref ref = { .id = objects_id(o, index), .path = "",
				   .kind = SCORPIO_FILE };
	int rc;

	for (int tries = 0; tries < 3; tries++) {
		rc = read_store(o, index, off, buf, len, ret_size);
		if (rc != -ENOENT)
			return rc;
		rc = source_need(o->source, WANT_BLOB, &ref, WANT_DEMAND,
				 deadline_in_ms(FETCH_MS));
		if (rc)
			return rc == -ENOENT ? -EIO : rc;
	}
	return -EIO;
}

static uint32_t adler(uint32_t sum, const uint8_t *p, size_t n)
{
	uint32_t a = sum & 0xffff, b = sum >> 16;

	while (n) {
		size_t part = MIN(n, 5552u); /* no overflow within */

		n -= part;
		while (part--) {
			a += *p++;
			b += a;
		}
		a %= ADLER_PRIME;
		b %= ADLER_PRIME;
	}
	return b << 16 | a;
}

static size_t plain_head(uint64_t size, char out[32])
{
	return (size_t)snprintf(out, 32, "blob %llu",
				(unsigned long long)size) + 1;
}

bool objects_recall(struct fs_objects *o, uint64_t index, struct memo *ret)
{
	lock_scope(&o->lock);
	*ret = o->memo[index % MEMO];
	return ret->index == index + 1;
}

int objects_learn(struct fs_objects *o, uint64_t index, struct memo *ret)
{
	cleanup_free uint8_t *part = NULL;
	char head[32];
	uint64_t size = 0;
	uint32_t sum;
	int rc;

	if (objects_recall(o, index, ret))
		return 0;
	rc = read_content(o, index, 0, NULL, 0, &size);
	if (rc)
		return rc;
	part = xmalloc(STORE_CHUNK_SIZE);
	sum = adler(1, (const uint8_t *)head, plain_head(size, head));
	for (uint64_t off = 0; off < size; off += STORE_CHUNK_SIZE) {
		size_t n = (size_t)MIN(size - off, STORE_CHUNK_SIZE);

		rc = read_content(o, index, off, part, n, NULL);
		if (rc)
			return rc;
		sum = adler(sum, part, n);
	}
	*ret = (struct memo){ index + 1, size, sum };
	lock_scope(&o->lock);
	o->memo[index % MEMO] = *ret;
	return 0;
}

static uint64_t plain_size(uint64_t size)
{
	char head[32];

	return plain_head(size, head) + size;
}

uint64_t objects_file_size(uint64_t size)
{
	uint64_t plain = plain_size(size);

	return ZLIB_HEAD + plain + (plain + BLOCK - 1) / BLOCK * BLOCK_HEAD +
	       4;
}

/* Plain bytes [off, off + n) of the object. */
static int read_plain(struct fs_objects *o, const struct memo *m, uint64_t off,
		      uint8_t *out, size_t n)
{
	char head[32];
	size_t len = plain_head(m->size, head), part = 0;

	if (off < len) {
		part = MIN(n, (size_t)(len - off));
		memcpy(out, head + off, part);
	}
	if (part == n)
		return 0;
	return read_content(o, m->index - 1, off + part - len, out + part,
			    n - part, NULL);
}

/* Where a byte of the file comes from: the piece that holds offset `off`. */
struct piece {
	uint8_t bytes[BLOCK_HEAD]; /* a head or the sum; else plain bytes */
	size_t at, len;            /* in the piece, of the piece */
	bool plain;
	uint64_t plain_off;
};

static struct piece piece_at(const struct memo *m, uint64_t off)
{
	uint64_t total = plain_size(m->size), block, in, left;
	struct piece p = { .plain = false };

	if (off < ZLIB_HEAD) {
		p = (struct piece){ { 0x78, 0x01 }, (size_t)off, ZLIB_HEAD,
				    false, 0 };
		return p;
	}
	off -= ZLIB_HEAD;
	block = off / (BLOCK + BLOCK_HEAD);
	in = off % (BLOCK + BLOCK_HEAD);
	if (block * BLOCK >= total ||
	    (block * BLOCK + BLOCK >= total &&
	     in >= BLOCK_HEAD + total - block * BLOCK)) {
		p.at = (size_t)(off - (objects_file_size(m->size) - ZLIB_HEAD - 4));
		p.len = 4;
		for (int i = 0; i < 4; i++)
			p.bytes[i] = (uint8_t)(m->adler >> (24 - 8 * i));
		return p;
	}
	left = MIN(total - block * BLOCK, BLOCK);
	if (in < BLOCK_HEAD) {
		p.at = (size_t)in;
		p.len = BLOCK_HEAD;
		p.bytes[0] = block * BLOCK + left == total;
		put_u16(p.bytes + 1, (uint16_t)left);
		put_u16(p.bytes + 3, (uint16_t)~left);
		return p;
	}
	p.plain = true;
	p.at = (size_t)(in - BLOCK_HEAD);
	p.len = (size_t)left;
	p.plain_off = block * BLOCK;
	return p;
}

int objects_read(struct fs_objects *o, const struct memo *m, uint64_t off,
		     uint8_t *out, size_t n)
{
	while (n) {
		struct piece p = piece_at(m, off);
		size_t part = MIN(n, p.len - p.at);
		int rc = 0;

		if (p.plain)
			rc = read_plain(o, m, p.plain_off + p.at, out, part);
		else
			memcpy(out, p.bytes + p.at, part);
		if (rc)
			return rc;
		out += part;
		off += part;
		n -= part;
	}
	return 0;
}
