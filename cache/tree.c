/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every accessor checks bounds itself, so that damaged records are harmless
 * even where nobody asked for the checksum; a bad entry decodes as kind 0 with
 * an empty name.
 */
#include "cache/tree.h"

#include "core/error.h"
#include "core/hash.h"

#define MAGIC       0x31657274u /* "tre1" */
#define HEAD        24u
#define SUM_FROM    16u /* the checksum covers what follows it */
#define FLAG_MTIME  1u
#define FLAGS_KNOWN FLAG_MTIME
#define ENTRY_HEAD  16u
#define ENTRIES_MAX 4000000u
#define RECORD_MAX  (2047ull * MiB) /* offsets are 32 bits */

/* -- reading ------------------------------------------------------------- */

static uint64_t checksum_of(const uint8_t *p, size_t len, uint64_t seed)
{
	/* the count stands before the checksum: make it part of the seed */
	seed ^= (get_u32(p + 4) + 1ull) * 0x9e3779b97f4a7c15ull;
	return hash_xxh3(p + SUM_FROM, len - SUM_FROM, seed);
}

int tree_view_init(struct tree_view *v, const void *data, size_t len,
		   uint64_t seed, bool checksum)
{
	const uint8_t *p = data;
	uint32_t count;

	if (len < HEAD || get_u32(p) != MAGIC || get_u32(p + 20))
		return -EBADMSG;
	count = get_u32(p + 4);
	if (count > (len - HEAD) / 4 || get_u32(p + 16) & ~FLAGS_KNOWN)
		return -EBADMSG;
	if (checksum && get_u64(p + 8) != checksum_of(p, len, seed))
		return -EBADMSG;
	*v = (struct tree_view){ p, len, count, get_u32(p + 16) };
	return 0;
}

struct slice { /* a name, and where its entry starts */
	const uint8_t *entry, *name;
	uint8_t id_len, name_len;
};

static size_t fixed_len(const struct tree_view *v)
{
	return ENTRY_HEAD + (v->flags & FLAG_MTIME ? 8 : 0);
}

static bool slice_at(const struct tree_view *v, uint32_t index,
		     struct slice *ret)
{
	uint32_t off = get_u32(v->data + HEAD + 4 * (size_t)index);
	size_t fixed = fixed_len(v);
	const uint8_t *e;

	if (off > v->len || v->len - off < fixed)
		return false;
	e = v->data + off;
	if (v->len - off - fixed < (size_t)e[1] + e[4] || e[1] > SCORPIO_ID_MAX)
		return false;
	*ret = (struct slice){ e, e + fixed + e[1], e[1], e[4] };
	return true;
}

void tree_entry_at(const struct tree_view *v, uint32_t index,
		   struct tree_entry *ret)
{
	struct slice s;

	assert(index < v->count);
	if (!slice_at(v, index, &s)) {
		*ret = (struct tree_entry){ .id = v->data, .name = "" };
		ret->size = SCORPIO_SIZE_UNKNOWN;
		ret->mtime_ns = SCORPIO_TIME_UNKNOWN;
		return;
	}
	ret->kind = s.entry[0];
	ret->id_len = s.id_len;
	ret->name_len = s.name_len;
	ret->mode = get_u16(s.entry + 2);
	ret->size = get_u64(s.entry + 8);
	ret->mtime_ns = v->flags & FLAG_MTIME
				? (int64_t)get_u64(s.entry + ENTRY_HEAD)
				: SCORPIO_TIME_UNKNOWN;
	ret->id = s.name - s.id_len;
	ret->name = (const char *)s.name;
}

static int compare(const void *a, size_t an, const void *b, size_t bn)
{
	int d = memcmp(a, b, MIN(an, bn));

	return d ? d : an < bn ? -1 : an > bn;
}

int64_t tree_find(const struct tree_view *v, const char *name, size_t len)
{
	uint32_t lo = 0, hi = v->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		struct slice s;
		int d;

		if (!slice_at(v, mid, &s))
			return -1;
		d = compare(name, len, s.name, s.name_len);
		if (!d)
			return mid;
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

/* -- building ------------------------------------------------------------ */

struct tree_builder {
	struct buf entries; /* written with an mtime each; cut out if unused */
	struct buf offsets; /* size_t each, into entries */
	uint32_t count;
	bool mtime;
};
#define BUILD_HEAD (ENTRY_HEAD + 8u)

struct tree_builder *tree_builder_new(void)
{
	return xcalloc(1, sizeof(struct tree_builder));
}

void tree_builder_free(struct tree_builder *b)
{
	if (!b)
		return;
	buf_done(&b->entries);
	buf_done(&b->offsets);
	free(b);
}

static int check_name(const char *name, uint32_t len)
{
	if (!len)
		return fail(-EBADMSG, "tree: an entry has an empty name");
	if (len > SCORPIO_NAME_MAX)
		return fail(-EBADMSG, "tree: a name of %u bytes is too long",
			    len);
	if (memchr(name, '/', len) || memchr(name, 0, len))
		return fail(-EBADMSG, "tree: '%.*s': '/' or NUL in a name",
			    (int)len, name);
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return fail(-EBADMSG, "tree: '%.*s' is not a name", (int)len,
			    name);
	return 0;
}

static int check_entry(const struct scorpio_entry *e)
{
	int r = check_name(e->name, e->name_len);

	if (r)
		return r;
	if (e->kind < SCORPIO_FILE || e->kind > SCORPIO_SUBMODULE)
		return fail(-EBADMSG, "tree: '%.*s' has the unknown kind %u",
			    (int)e->name_len, e->name, e->kind);
	if (e->mode & ~07777u)
		return fail(-EBADMSG, "tree: '%.*s' has the bad mode %o",
			    (int)e->name_len, e->name, e->mode);
	if (!e->id.len || e->id.len > SCORPIO_ID_MAX)
		return fail(-EBADMSG, "tree: '%.*s' has an id of %u bytes",
			    (int)e->name_len, e->name, e->id.len);
	return 0;
}

int tree_builder_add(struct tree_builder *b, const struct scorpio_entry *e)
{
	uint8_t head[BUILD_HEAD] = { 0 };
	size_t at = b->entries.len;
	int r = check_entry(e);

	if (r)
		return r;
	if (b->count >= ENTRIES_MAX || at > RECORD_MAX)
		return fail(-EFBIG, "tree: more than %u entries", ENTRIES_MAX);
	head[0] = e->kind;
	head[1] = e->id.len;
	put_u16(head + 2, (uint16_t)e->mode);
	head[4] = (uint8_t)e->name_len;
	put_u64(head + 8, e->size);
	put_u64(head + ENTRY_HEAD, (uint64_t)e->mtime_ns);
	b->mtime |= e->mtime_ns != SCORPIO_TIME_UNKNOWN;
	buf_put(&b->entries, head, sizeof(head));
	buf_put(&b->entries, e->id.bytes, e->id.len);
	buf_put(&b->entries, e->name, e->name_len);
	buf_put(&b->offsets, &at, sizeof(at));
	b->count++;
	return 0;
}

static int compare_built(const void *a, const void *b, void *ctx)
{
	const uint8_t *base = ctx;
	const uint8_t *x = base + *(const size_t *)a;
	const uint8_t *y = base + *(const size_t *)b;

	return compare(x + BUILD_HEAD + x[1], x[4], y + BUILD_HEAD + y[1],
		       y[4]);
}

/* Most sources list in order already. */
static int sort_entries(struct tree_builder *b)
{
	size_t *off = (size_t *)(void *)b->offsets.data;
	bool sorted = true;

	for (uint32_t i = 1; i < b->count && sorted; i++)
		sorted = compare_built(off + i - 1, off + i, b->entries.data) <
			 0;
	if (sorted)
		return 0;
	qsort_r(off, b->count, sizeof(*off), compare_built, b->entries.data);
	for (uint32_t i = 1; i < b->count; i++) {
		const uint8_t *e = b->entries.data + off[i];

		if (!compare_built(off + i - 1, off + i, b->entries.data))
			return fail(-EBADMSG, "tree: '%.*s' is listed twice",
				    e[4], e + BUILD_HEAD + e[1]);
	}
	return 0;
}

static size_t record_len(const struct tree_builder *b, size_t fixed)
{
	size_t len = HEAD + (4 * (size_t)b->count + 7) / 8 * 8;
	const size_t *off = (const size_t *)(const void *)b->offsets.data;

	for (uint32_t i = 0; i < b->count; i++) {
		const uint8_t *e = b->entries.data + off[i];

		len += (fixed + e[1] + e[4] + 7) / 8 * 8;
	}
	return len;
}

static void write_entries(const struct tree_builder *b, size_t fixed,
			  uint8_t *p)
{
	const size_t *off = (const size_t *)(const void *)b->offsets.data;
	size_t at = HEAD + (4 * (size_t)b->count + 7) / 8 * 8;

	for (uint32_t i = 0; i < b->count; i++) {
		const uint8_t *e = b->entries.data + off[i];
		size_t tail = (size_t)e[1] + e[4];

		put_u32(p + HEAD + 4 * (size_t)i, (uint32_t)at);
		memcpy(p + at, e, fixed);
		memcpy(p + at + fixed, e + BUILD_HEAD, tail);
		at += (fixed + tail + 7) / 8 * 8;
	}
}

int tree_builder_finish(struct tree_builder *b, uint64_t seed, struct buf *ret)
{
	size_t fixed = ENTRY_HEAD + (b->mtime ? 8 : 0), len;
	uint8_t *p;
	int r = sort_entries(b);

	if (r)
		return r;
	len = record_len(b, fixed);
	if (len > RECORD_MAX)
		return fail(-EFBIG, "tree: a record of %zu bytes is too big",
			    len);
	buf_reserve(ret, len);
	p = ret->data + ret->len;
	memset(p, 0, len);
	put_u32(p, MAGIC);
	put_u32(p + 4, b->count);
	put_u32(p + 16, b->mtime ? FLAG_MTIME : 0);
	write_entries(b, fixed, p);
	put_u64(p + 8, checksum_of(p, len, seed));
	ret->len += len;
	return 0;
}
