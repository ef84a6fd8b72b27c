/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack: "PACK", version, count; the objects; SHA-1 of all that. An object: a
 * byte of type and size (4 bits, then 7 a byte), for a delta the distance back
 * to its base, then a zlib stream (gitformat-pack(5)).
 */
#include "unpack.h"

#include <openssl/evp.h>
#include <sys/mman.h>
#include <zlib.h>

#define HEAD 12u
#define TRAILER 20u
#define ENTRY_MIN 9u /* a byte and the shortest zlib stream */
#define OFS_DELTA 6


struct gitunpack {
	uint8_t *content; /* a mapping of GITUNPACK_CONTENT_MAX bytes */
	size_t used;
	struct gitunpack_object *objects;
	size_t *at;      /* of each object, in the pack: rising */
	uint32_t *by_id; /* indices, sorted by id */
	size_t n;
};

struct reading {
	struct gitunpack *u;
	const uint8_t *pack, *p, *end;
	z_stream z;
};

/* -- numbers ----------------------------------------------------------------- */

static bool read_size(const uint8_t **p, const uint8_t *end, unsigned shift,
		      uint64_t *size)
{
	uint8_t c = 0x80;

	while (c & 0x80) {
		if (*p == end || shift > 56)
			return false;
		c = *(*p)++;
		*size |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	}
	return true;
}

/* How far before the delta its base begins. */
static bool read_distance(struct reading *r, uint64_t *ret)
{
	uint64_t v = 0;
	uint8_t c = 0x80;

	for (unsigned i = 0; c & 0x80; i++) {
		if (r->p == r->end || i == 8)
			return false;
		c = *r->p++;
		v = (v + (i ? 1 : 0)) << 7 | (c & 0x7f);
	}
	*ret = v;
	return true;
}

/* -- content ------------------------------------------------------------------ */

static uint8_t *take(struct gitunpack *u, uint64_t size)
{
	uint8_t *p = u->content + u->used;

	if (size > GITUNPACK_CONTENT_MAX - u->used)
		return NULL;
	u->used += (size_t)size;
	return p;
}

/* Exactly size bytes from here into `to`. */
static bool inflate_to(struct reading *r, uint8_t *to, size_t size)
{
	uint8_t none = 0;

	if (inflateReset(&r->z) != Z_OK)
		return false;
	r->z.next_in = (Bytef *)r->p;
	r->z.avail_in = (uInt)(r->end - r->p);
	r->z.next_out = size ? to : &none;
	r->z.avail_out = (uInt)size;
	if (inflate(&r->z, Z_FINISH) != Z_STREAM_END || r->z.avail_out)
		return false;
	r->p = r->z.next_in;
	return true;
}

/* -- deltas -------------------------------------------------------------------- */

/* The fields of a copy that are there, lowest byte first. */
static bool read_copy(const uint8_t **p, const uint8_t *end, uint8_t c,
		      uint32_t *at, uint32_t *n)
{
	*at = *n = 0;
	for (unsigned i = 0; i < 7; i++) {
		if (!(c & 1u << i))
			continue;
		if (*p == end)
			return false;
		if (i < 4)
			*at |= (uint32_t)*(*p)++ << 8 * i;
		else
			*n |= (uint32_t)*(*p)++ << 8 * (i - 4);
	}
	if (!*n)
		*n = 0x10000;
	return true;
}

static bool apply(const struct gitunpack_object *base, const uint8_t *p,
		  const uint8_t *end, uint8_t *to, size_t size)
{
	uint8_t *stop = to + size;

	while (p < end) {
		uint8_t c = *p++;
		const uint8_t *from = p;
		uint32_t at, n = c;

		if (!c)
			return false;
		if (c & 0x80) {
			if (!read_copy(&p, end, c, &at, &n) ||
			    at > base->len || n > base->len - at)
				return false;
			from = base->data + at;
		} else if (n > (size_t)(end - p)) {
			return false;
		} else {
			p += n;
		}
		if (n > (size_t)(stop - to))
			return false;
		memcpy(to, from, n);
		to += n;
	}
	return to == stop;
}

static const struct gitunpack_object *object_at(const struct gitunpack *u,
						size_t n, size_t at)
{
	size_t low = 0;

	while (low < n) {
		size_t mid = low + (n - low) / 2;

		if (u->at[mid] == at)
			return &u->objects[mid];
		if (u->at[mid] < at)
			low = mid + 1;
		else
			n = mid;
	}
	return NULL;
}

static bool resolve(struct reading *r, const struct gitunpack_object *base,
		    size_t size, struct gitunpack_object *o)
{
	const uint8_t *p, *end;
	uint64_t base_len = 0, len = 0;
	uint8_t *delta = take(r->u, size), *data;

	if (!delta || !inflate_to(r, delta, size))
		return false;
	p = delta;
	end = delta + size;
	if (!read_size(&p, end, 0, &base_len) || base_len != base->len ||
	    !read_size(&p, end, 0, &len))
		return false;
	data = take(r->u, len);
	if (!data || !apply(base, p, end, data, (size_t)len))
		return false;
	o->type = base->type;
	o->data = data;
	o->len = (size_t)len;
	return true;
}

/* -- objects -------------------------------------------------------------------- */

static bool read_plain(struct reading *r, size_t size,
		       struct gitunpack_object *o)
{
	uint8_t *data = take(r->u, size);

	if (!data || !inflate_to(r, data, size))
		return false;
	o->data = data;
	o->len = size;
	return true;
}

static bool read_delta(struct reading *r, size_t i, size_t size,
		       struct gitunpack_object *o)
{
	const struct gitunpack_object *base;
	uint64_t back;

	if (!read_distance(r, &back) || back > r->u->at[i])
		return false;
	base = object_at(r->u, i, r->u->at[i] - (size_t)back);
	return base && resolve(r, base, size, o);
}

static bool read_object(struct reading *r, size_t i)
{
	struct gitunpack_object *o = &r->u->objects[i];
	uint64_t size;
	unsigned type;
	uint8_t c;
	bool ok;

	r->u->at[i] = (size_t)(r->p - r->pack);
	if (r->p == r->end)
		return false;
	c = *r->p++;
	type = c >> 4 & 7;
	size = c & 15;
	if ((c & 0x80 && !read_size(&r->p, r->end, 4, &size)) ||
	    size > GITUNPACK_CONTENT_MAX)
		return false;
	o->type = (git_object_t)type;
	if (type >= GIT_OBJECT_COMMIT && type <= GIT_OBJECT_TAG)
		ok = read_plain(r, (size_t)size, o);
	else
		ok = type == OFS_DELTA && read_delta(r, i, (size_t)size, o);
	return ok && git_odb_hash(&o->oid, o->data, o->len, o->type) == 0;
}

static int by_id(const void *a, const void *b, void *ctx)
{
	const struct gitunpack_object *o = ctx;

	return git_oid_cmp(&o[*(const uint32_t *)a].oid,
			   &o[*(const uint32_t *)b].oid);
}

static bool sealed(const uint8_t *pack, size_t len)
{
	uint8_t sum[EVP_MAX_MD_SIZE];

	return EVP_Digest(pack, len - TRAILER, sum, NULL, EVP_sha1(), NULL) &&
	       memcmp(sum, pack + len - TRAILER, TRAILER) == 0;
}

static uint32_t read_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static bool read_all(struct gitunpack *u, const uint8_t *pack, size_t len)
{
	struct reading r = { .u = u, .pack = pack, .p = pack + HEAD,
			     .end = pack + len - TRAILER };
	bool ok = inflateInit(&r.z) == Z_OK;

	for (size_t i = 0; i < u->n && ok; i++)
		ok = read_object(&r, i);
	inflateEnd(&r.z);
	if (!ok || r.p != r.end)
		return false;
	for (size_t i = 0; i < u->n; i++)
		u->by_id[i] = (uint32_t)i;
	qsort_r(u->by_id, u->n, sizeof(*u->by_id), by_id, u->objects);
	return true;
}

static bool allocate(struct gitunpack *u)
{
	void *p = mmap(NULL, GITUNPACK_CONTENT_MAX, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	u->content = p;
	u->objects = calloc(u->n + 1, sizeof(*u->objects));
	u->at = calloc(u->n + 1, sizeof(*u->at));
	u->by_id = calloc(u->n + 1, sizeof(*u->by_id));
	return u->objects && u->at && u->by_id;
}

int gitunpack_new(const uint8_t *pack, size_t len, struct gitunpack **ret)
{
	struct gitunpack *u;

	if (len < HEAD + TRAILER || len > GITUNPACK_PACK_MAX ||
	    memcmp(pack, "PACK\0\0\0\2", 8) != 0 ||
	    read_u32(pack + 8) > len / ENTRY_MIN || !sealed(pack, len))
		return -ENOTSUP;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOTSUP;
	u->n = read_u32(pack + 8);
	if (!allocate(u) || !read_all(u, pack, len)) {
		gitunpack_free(u);
		return -ENOTSUP;
	}
	*ret = u;
	return 0;
}

void gitunpack_free(struct gitunpack *u)
{
	if (!u)
		return;
	if (u->content)
		munmap(u->content, GITUNPACK_CONTENT_MAX);
	free(u->objects);
	free(u->at);
	free(u->by_id);
	free(u);
}

const struct gitunpack_object *gitunpack_all(const struct gitunpack *u,
					     size_t *ret_n)
{
	*ret_n = u->n;
	return u->objects;
}

const struct gitunpack_object *gitunpack_find(const struct gitunpack *u,
					      const git_oid *oid)
{
	size_t low = 0, high = u->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct gitunpack_object *o = &u->objects[u->by_id[mid]];
		int c = git_oid_cmp(&o->oid, oid);

		if (!c)
			return o;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}
