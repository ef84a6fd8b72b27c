/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a growing array of bytes. Not thread-safe. Zero-initialised = empty. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/base.h"

struct buf {
	uint8_t *data; /* owned; not NUL-terminated unless buf_str() */
	size_t len, cap;
};
#define BUF_INIT { 0 }

void buf_done(struct buf *b);                /* frees; usable again */
void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, uint8_t c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Terminate with NUL (not counted) and return the text; borrowed. */
char *buf_str(struct buf *b);
/* Take the memory out, NUL-terminated; the buf is empty afterwards. */
char *buf_steal(struct buf *b);
/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);
#define cleanup_buf __attribute__((cleanup(buf_done)))

/* little-endian integers in records */
static inline void put_u16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void put_u32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void put_u64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }
static inline uint16_t get_u16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return v;
}
static inline uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}
static inline uint64_t get_u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "records are little-endian in memory");

#endif
