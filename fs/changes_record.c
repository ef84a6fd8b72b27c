/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_record.c - the bytes of a change. A record is its type's fields in
 * the order of the bits below: integers little-endian, names as u8 length,
 * bytes and NUL, longer strings with u16, values with u32 length.
 */
#include "fs/changes_impl.h"

#include "core/error.h"

enum {
	F_INO = 1 << 0,
	F_PARENT = 1 << 1,
	F_NAME = 1 << 2,
	F_TO_PARENT = 1 << 3,
	F_TO = 1 << 4,
	F_KIND = 1 << 5,
	F_TIME = 1 << 6,
	F_CONTENT = 1 << 7,
	F_COOKIE = 1 << 8,
	F_NODE = 1 << 9,
	F_VALUE = 1 << 10,
};

static const uint32_t change_fields[CHANGE_TYPES] = {
	[CHANGE_ADOPT] = F_PARENT | F_NAME | F_KIND | F_NODE,
	[CHANGE_CREATE] = F_PARENT | F_NAME | F_KIND | F_TIME | F_NODE,
	[CHANGE_LINK] = F_INO | F_PARENT | F_NAME | F_KIND | F_TIME,
	[CHANGE_REMOVE] = F_PARENT | F_NAME | F_TIME,
	[CHANGE_RENAME] = F_PARENT | F_NAME | F_TO_PARENT | F_TO | F_KIND |
			  F_TIME,
	[CHANGE_EXCHANGE] = F_PARENT | F_NAME | F_TO_PARENT | F_TO | F_TIME,
	[CHANGE_ATTR] = F_NODE,
	[CHANGE_CONTENT] = F_INO | F_TIME | F_CONTENT,
	[CHANGE_MODIFY] = F_INO,
	[CHANGE_XATTR] = F_INO | F_NAME | F_TIME | F_VALUE,
	[CHANGE_UNXATTR] = F_INO | F_NAME | F_TIME,
	[CHANGE_RESET] = F_PARENT | F_NAME | F_TIME,
	[CHANGE_RESTORE] = F_NODE | F_TIME,
	[CHANGE_BEGIN] = F_COOKIE | F_TIME | F_VALUE,
	[CHANGE_PART] = F_VALUE,
	[CHANGE_SWITCH] = F_TIME | F_VALUE,
	[CHANGE_NODE] = F_NODE,
	[CHANGE_PLACE] = F_INO | F_PARENT | F_NAME | F_KIND | F_COOKIE,
	[CHANGE_STATE] = F_INO | F_TIME | F_COOKIE | F_KIND | F_VALUE,
	[CHANGE_JOURNAL] = F_INO | F_KIND | F_CONTENT | F_VALUE,
	[CHANGE_BASE] = F_VALUE,
	[CHANGE_TIMES] = F_VALUE,
	[CHANGE_SETTLE] = F_NODE | F_VALUE,
};

/* -- encoding ------------------------------------------------------------------ */

static void add_u64(struct buf *b, uint64_t v)
{
	buf_put(b, &v, sizeof(v));
}

static void add_u32(struct buf *b, uint32_t v)
{
	buf_put(b, &v, sizeof(v));
}

static void add_u16(struct buf *b, uint16_t v)
{
	buf_put(b, &v, sizeof(v));
}

static void add_name(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	assert(len < 256);
	buf_putc(b, (uint8_t)len);
	buf_put(b, s, len + 1);
}

/* length 0xffff = none */
static void add_string(struct buf *b, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (!s || len >= UINT16_MAX) { /* no path is that long */
		add_u16(b, UINT16_MAX);
		return;
	}
	add_u16(b, (uint16_t)len);
	buf_put(b, s, len + 1);
}

static void add_node(struct buf *b, const struct cvalue *v)
{
	add_u64(b, v->ino);
	add_u32(b, v->mode);
	add_u32(b, v->uid);
	add_u32(b, v->gid);
	add_u32(b, v->rdev);
	add_u16(b, v->lower_mode);
	buf_putc(b, v->lower_kind);
	buf_putc(b, v->content);
	add_u64(b, v->file);
	add_u64(b, __atomic_load_n(&v->size, __ATOMIC_RELAXED));
	add_u64(b, __atomic_load_n(&v->blocks, __ATOMIC_RELAXED));
	add_u64(b, (uint64_t)v->atim);
	add_u64(b, (uint64_t)__atomic_load_n(&v->mtim, __ATOMIC_RELAXED));
	add_u64(b, (uint64_t)__atomic_load_n(&v->ctim, __ATOMIC_RELAXED));
	buf_putc(b, v->id.len);
	buf_put(b, v->id.bytes, v->id.len);
	add_string(b, v->lower_path);
	add_string(b, v->target);
}

void change_encode(const struct change *ch, struct buf *b)
{
	uint32_t f = change_fields[ch->type];

	if (f & F_INO)
		add_u64(b, ch->ino);
	if (f & F_PARENT)
		add_u64(b, ch->parent);
	if (f & F_NAME)
		add_name(b, ch->name);
	if (f & F_TO_PARENT)
		add_u64(b, ch->to_parent);
	if (f & F_TO)
		add_name(b, ch->to);
	if (f & F_KIND)
		buf_putc(b, ch->kind);
	if (f & F_TIME)
		add_u64(b, (uint64_t)ch->time);
	if (f & F_CONTENT) {
		buf_putc(b, ch->content);
		add_u64(b, ch->file);
	}
	if (f & F_COOKIE)
		add_u64(b, ch->cookie);
	if (f & F_NODE)
		add_node(b, &ch->v);
	if (f & F_VALUE) {
		add_u32(b, ch->value_len);
		buf_put(b, ch->value, ch->value_len);
	}
}

/* -- decoding ------------------------------------------------------------------ */

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || (size_t)(c->end - p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static uint64_t take_u64(struct cursor *c)
{
	const uint8_t *p = take(c, 8);

	return p ? get_u64(p) : 0;
}

static uint32_t take_u32(struct cursor *c)
{
	const uint8_t *p = take(c, 4);

	return p ? get_u32(p) : 0;
}

static uint16_t take_u16(struct cursor *c)
{
	const uint8_t *p = take(c, 2);

	return p ? get_u16(p) : 0;
}

static uint8_t take_u8(struct cursor *c)
{
	const uint8_t *p = take(c, 1);

	return p ? *p : 0;
}

/* n bytes without NUL and one that is */
static const char *take_text(struct cursor *c, size_t n)
{
	const char *s = (const char *)take(c, n + 1);

	if (s && (s[n] || memchr(s, 0, n)))
		c->bad = true;
	return s;
}

static const char *take_name(struct cursor *c)
{
	size_t n = take_u8(c);

	if (!n)
		c->bad = true;
	return take_text(c, n);
}

static char *take_string(struct cursor *c)
{
	size_t n = take_u16(c);

	return n == UINT16_MAX ? NULL : (char *)(uintptr_t)take_text(c, n);
}

static void take_node(struct cursor *c, struct cvalue *v)
{
	const uint8_t *id;

	v->ino = take_u64(c);
	v->mode = take_u32(c);
	v->uid = take_u32(c);
	v->gid = take_u32(c);
	v->rdev = take_u32(c);
	v->lower_mode = take_u16(c);
	v->lower_kind = take_u8(c);
	v->content = take_u8(c);
	v->file = take_u64(c);
	v->size = take_u64(c);
	v->blocks = take_u64(c);
	v->atim = (int64_t)take_u64(c);
	v->mtim = (int64_t)take_u64(c);
	v->ctim = (int64_t)take_u64(c);
	v->id.len = take_u8(c);
	if (v->id.len > SCORPIO_ID_MAX) {
		c->bad = true;
		return;
	}
	id = take(c, v->id.len);
	if (id)
		memcpy(v->id.bytes, id, v->id.len);
	v->lower_path = take_string(c);
	v->target = take_string(c);
	if (v->content > CONTENT_UPPER)
		c->bad = true;
}

int change_decode(uint32_t type, const uint8_t *p, size_t n,
		  struct change *ret)
{
	struct cursor c = { .p = p, .end = p + n };
	struct change ch = { .type = type };
	uint32_t f;

	if (!type || type >= CHANGE_TYPES)
		return fail(-EBADMSG, "a change of unknown type %u", type);
	f = change_fields[type];
	if (f & F_INO)
		ch.ino = take_u64(&c);
	if (f & F_PARENT)
		ch.parent = take_u64(&c);
	if (f & F_NAME)
		ch.name = take_name(&c);
	if (f & F_TO_PARENT)
		ch.to_parent = take_u64(&c);
	if (f & F_TO)
		ch.to = take_name(&c);
	if (f & F_KIND)
		ch.kind = take_u8(&c);
	if (f & F_TIME)
		ch.time = (int64_t)take_u64(&c);
	if (f & F_CONTENT) {
		ch.content = take_u8(&c);
		ch.file = take_u64(&c);
	}
	if (f & F_COOKIE)
		ch.cookie = take_u64(&c);
	if (f & F_NODE)
		take_node(&c, &ch.v);
	if (f & F_VALUE) {
		ch.value_len = take_u32(&c);
		ch.value = take(&c, ch.value_len);
	}
	if (c.bad || c.p != c.end)
		return fail(-EBADMSG, "a change of type %u is malformed",
			    type);
	*ret = ch;
	return 0;
}
